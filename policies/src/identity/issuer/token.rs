//! A JSON Web Token as it travels: three parts in base64url (RFC 7515, compact form), the first of which is read here.
//!
//! Invariant: nothing is guessed. Padding, blanks, a fourth part, a critical extension, an algorithm without a public
//! key: each is [`Error::Token`].

use super::config::Algorithm;
use super::jwks::Key;
use crate::error::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

/// The longest token. It travels in a header of every call, and servers and proxies bound headers at 8 KiB.
const BYTES_MAX: usize = 8 * 1024;

/// The longest name of a key.
const KEY_ID_BYTES_MAX: usize = 256;

/// What is read of the header. `jwk`, `jku`, `x5u` and `x5c` would let a token bring its own key; they are passed over.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
    zip: Option<Value>,
}

/// A token whose header is one that we understand. Nothing of it is proven yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    kind: Option<String>,
    payload: Vec<u8>,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        if text.len() > BYTES_MAX {
            return Err(Error::Token);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Error::Token)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::Token)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(Error::Token);
        }
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Error::Token);
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| Error::Token)?;
        // Nothing critical is understood here; an unencoded or compressed payload is something else than it looks.
        if header.crit.is_some() || header.b64.is_some() || header.zip.is_some() {
            return Err(Error::Token);
        }
        if header
            .kid
            .as_ref()
            .is_some_and(|kid| kid.len() > KEY_ID_BYTES_MAX)
        {
            return Err(Error::Token);
        }
        // The signature is decoded where it is checked; that it is base64url is known before a key is fetched.
        decoded(signature)?;
        Ok(Self {
            algorithm: Algorithm::of_name(&header.alg).ok_or(Error::Token)?,
            key_id: header.kid,
            kind: header.typ,
            payload: decoded(payload)?,
            signed,
            signature,
        })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    pub(super) fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether the key has signed this token with the algorithm of its header, which the caller has allowed.
    pub(super) fn is_signed_by(&self, key: &Key) -> bool {
        key.serves(self.algorithm)
            && jsonwebtoken::crypto::verify(
                self.signature,
                self.signed.as_bytes(),
                key.decoding(),
                self.algorithm.verifier(),
            )
            .unwrap_or(false)
    }
}
