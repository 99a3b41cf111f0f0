//! An issuer's public keys (RFC 7517), as far as they are good enough to check a token with.
//!
//! Invariants: a key is what its own parameters say and never what a token says; there is no symmetric key, and a
//! document that holds one is refused as a whole, since its issuer has published a secret; no two keys share a name.

use super::config::{Algorithm, Family};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Keys of one issuer.
const KEYS_MAX: usize = 64;

const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

#[derive(Deserialize)]
struct Document {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A key that tokens may be signed with.
pub(super) struct Key {
    id: Option<String>,
    family: Family,
    /// The one algorithm that the key is for, where it says so.
    algorithm: Option<Algorithm>,
    decoding: DecodingKey,
}

impl Key {
    /// Whether a token of this algorithm may be signed by this key.
    pub(super) fn serves(&self, algorithm: Algorithm) -> bool {
        self.family == algorithm.family() && self.algorithm.is_none_or(|own| own == algorithm)
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Key")
            .field("id", &self.id)
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Arc<Key>>);

impl KeySet {
    /// Reads a document. Keys that are not for signing, too weak or of an unknown kind are left out.
    ///
    /// # Errors
    /// A sentence that says why the document is refused.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| format!("the keys cannot be read: {error}"))?;
        if document.keys.len() > KEYS_MAX {
            return Err(format!("there are more than {KEYS_MAX} keys"));
        }
        if document.keys.iter().any(|key| key.kty == "oct") {
            return Err("there is a symmetric key among the public ones".to_owned());
        }
        let mut names = BTreeSet::new();
        if document
            .keys
            .iter()
            .filter_map(|key| key.kid.as_deref())
            .any(|name| !names.insert(name))
        {
            return Err("two keys have the same kid".to_owned());
        }
        let keys: Vec<Arc<Key>> = document
            .keys
            .iter()
            .filter_map(|jwk| match key(jwk) {
                Ok(key) => Some(Arc::new(key)),
                Err(reason) => {
                    tracing::info!(kid = jwk.kid, reason, "a key is left out");
                    None
                }
            })
            .collect();
        match keys.is_empty() {
            true => Err("there is no key that could sign a token".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    /// The key for a token: the one of its name, or the only one there is for its algorithm.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Arc<Key>> {
        let mut fitting = self.0.iter().filter(|key| key.serves(algorithm));
        match id {
            Some(_) => fitting.find(|key| key.id.as_deref() == id).map(Arc::clone),
            None => {
                let only = fitting.next()?;
                fitting.next().is_none().then(|| Arc::clone(only))
            }
        }
    }
}

fn key(jwk: &Jwk) -> Result<Key, &'static str> {
    if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return Err("it is not for signatures");
    }
    let verifies = |operations: &Vec<String>| operations.iter().any(|operation| operation == "verify");
    if jwk
        .key_ops
        .as_ref()
        .is_some_and(|operations| !verifies(operations))
    {
        return Err("it is not for verifying");
    }
    let algorithm = match &jwk.alg {
        Some(name) => Some(Algorithm::of_name(name).ok_or("its algorithm is not known")?),
        None => None,
    };
    let (family, decoding) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => (Family::Rsa, rsa(jwk)?),
        ("EC", Some("P-256")) => (Family::P256, point(jwk, 32)?),
        ("EC", Some("P-384")) => (Family::P384, point(jwk, 48)?),
        ("OKP", Some("Ed25519")) => (Family::Ed25519, edwards(jwk)?),
        _ => return Err("its kind is not known"),
    };
    if algorithm.is_some_and(|algorithm| algorithm.family() != family) {
        return Err("its algorithm is one of another kind of key");
    }
    Ok(Key {
        id: jwk.kid.clone(),
        family,
        algorithm,
        decoding,
    })
}

fn bytes(part: Option<&String>) -> Result<Vec<u8>, &'static str> {
    let part = part.ok_or("a part of it is missing")?;
    URL_SAFE_NO_PAD.decode(part).map_err(|_| "it is not base64url")
}

fn rsa(jwk: &Jwk) -> Result<DecodingKey, &'static str> {
    let modulus = bytes(jwk.n.as_ref())?;
    let exponent = bytes(jwk.e.as_ref())?;
    // Zeros in front would make a short modulus look long.
    let modulus: Vec<u8> = modulus.into_iter().skip_while(|byte| *byte == 0).collect();
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !RSA_BITS.contains(&(modulus.len() * 8 - leading)) {
        return Err("its modulus has fewer than 2048 or more than 8192 bits");
    }
    let is_odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
    let is_one = exponent.iter().rev().skip(1).all(|byte| *byte == 0) && exponent.last() == Some(&1);
    if !is_odd || is_one || exponent.len() > 8 {
        return Err("its exponent is none that anybody uses");
    }
    Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn point(jwk: &Jwk, length: usize) -> Result<DecodingKey, &'static str> {
    let (x, y) = (bytes(jwk.x.as_ref())?, bytes(jwk.y.as_ref())?);
    if x.len() != length || y.len() != length {
        return Err("its coordinates have a wrong length");
    }
    let uncompressed: Vec<u8> = [4].into_iter().chain(x).chain(y).collect();
    Ok(DecodingKey::from_ec_der(&uncompressed))
}

fn edwards(jwk: &Jwk) -> Result<DecodingKey, &'static str> {
    let x = bytes(jwk.x.as_ref())?;
    if x.len() != 32 {
        return Err("its point has a wrong length");
    }
    Ok(DecodingKey::from_ed_der(&x))
}
