//! Closes bytes that leave the house and must come back unchanged: tokens, tickets, handles.
//!
//! AES-256-GCM-SIV: fleets share one key and draw nonces at random, and this mode forgives a repeated nonce.
//! Layout: one byte of format, 12 bytes of nonce, ciphertext, 16 bytes of tag.
//!
//! Invariants:
//! * The purpose is authenticated, so a ticket never opens as a token.
//! * The first key seals, every key opens: a new key is put second on all nodes, then first, then the old one goes.
//! * Every failure to open is [`Error::Sealed`]; which byte or which key was at fault is not told.

use crate::error::{Error, Result};
use crate::secret::Secret;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use zeroize::Zeroizing;

const FORMAT: u8 = 1;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// Keys that a ring may hold. Each one costs an attempt for every foreign byte string that is presented.
const KEYS_MAX: usize = 8;

/// A ring of keys that seals and opens.
pub struct Seal {
    keys: Vec<RandomizedNonceKey>,
}

impl Seal {
    /// A ring of one key that nobody else has: what it seals opens in this process only.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system gives no random bytes.
    pub fn random() -> Result<Self> {
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        rand::fill(bytes.as_mut_slice()).map_err(|_| internal("drawing a seal key"))?;
        Ok(Self {
            keys: vec![key(bytes.as_slice())?],
        })
    }

    /// A ring of 1 to 8 keys, each the base64 (padded) of 32 random bytes, as `openssl rand -base64 32` writes it.
    /// Blanks and line ends around a key are ignored.
    ///
    /// # Errors
    /// [`Error::SealKey`] naming the position of the key at fault.
    pub fn from_keys(keys: &[Secret]) -> Result<Self> {
        if keys.is_empty() {
            return Err(ring("there is no key"));
        }
        if keys.len() > KEYS_MAX {
            return Err(ring("there are more than 8 keys"));
        }
        let keys = keys.iter().enumerate().map(|(index, written)| {
            let fault = |reason| Error::SealKey {
                position: index + 1,
                reason,
            };
            let bytes = STANDARD
                .decode(written.expose().trim())
                .map(Zeroizing::new)
                .map_err(|_| fault("it is not base64"))?;
            if bytes.len() != KEY_BYTES {
                return Err(fault("it is not 32 bytes long"));
            }
            key(&bytes)
        });
        Ok(Self {
            keys: keys.collect::<Result<_>>()?,
        })
    }

    /// Closes `plain` for one purpose. The result is 29 bytes longer and differs at each call.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system gives no random bytes.
    pub fn seal(&self, purpose: &'static str, plain: &[u8]) -> Result<Vec<u8>> {
        let failed = || internal("sealing");
        let key = self.keys.first().ok_or_else(failed)?;
        let mut closed = Vec::with_capacity(plain.len() + TAG_BYTES);
        closed.extend_from_slice(plain);
        let nonce = key
            .seal_in_place_append_tag(Aad::from(purpose), &mut closed)
            .map_err(|_| failed())?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + closed.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut closed);
        Ok(sealed)
    }

    /// Gives back what was sealed for the same purpose by a key of this ring.
    ///
    /// # Errors
    /// [`Error::Sealed`] for everything else.
    pub fn open(&self, purpose: &'static str, sealed: &[u8]) -> Result<Vec<u8>> {
        let Some((&FORMAT, rest)) = sealed.split_first() else {
            return Err(Error::Sealed);
        };
        let Some((nonce, closed)) = rest.split_first_chunk::<NONCE_LEN>() else {
            return Err(Error::Sealed);
        };
        for key in &self.keys {
            let mut bytes = closed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let opened = key
                .open_in_place(nonce, Aad::from(purpose), &mut bytes)
                .map(|plain| plain.len());
            if let Ok(length) = opened {
                bytes.truncate(length);
                return Ok(bytes);
            }
        }
        Err(Error::Sealed)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Seal").field("keys", &self.keys.len()).finish()
    }
}

fn key(bytes: &[u8]) -> Result<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes).map_err(|_| internal("making a seal key"))
}

fn internal(operation: &'static str) -> Error {
    Error::Internal { operation }
}

fn ring(reason: &'static str) -> Error {
    Error::SealKey { position: 0, reason }
}

#[cfg(test)]
mod tests;
