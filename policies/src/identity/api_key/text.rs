//! The written form of a key, and the MAC of it that the file holds.

use crate::error::{Error, Result};
use crate::secret::Secret;
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Letters of an id: 71 bits, so that two ids never meet.
const ID_LETTERS: usize = 12;

/// Letters of a secret: 256 bits.
const SECRET_LETTERS: usize = 43;

/// Letters of a check: 62^6 is more than 2^32.
const CHECK_LETTERS: usize = 6;

const PEPPER_BYTES: usize = 32;

/// The parts of a key.
pub(super) struct Parts {
    pub(super) id: String,
    secret: Zeroizing<String>,
}

impl Parts {
    /// A new key.
    pub(super) fn draw() -> Result<Self> {
        Ok(Self {
            id: letters(ID_LETTERS)?,
            secret: Zeroizing::new(letters(SECRET_LETTERS)?),
        })
    }

    /// A key as it is written; none for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (rest, check) = text.strip_prefix("lg_")?.rsplit_once('_')?;
        let (id, secret) = rest.split_once('_')?;
        if !is_id(id) || secret.len() != SECRET_LETTERS || !is_plain(secret) {
            return None;
        }
        let parts = Self {
            id: id.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
        };
        (parts.check() == check).then_some(parts)
    }

    /// As it is shown to its owner.
    pub(super) fn written(&self) -> Secret {
        Secret::new(format!(
            "lg_{}_{}_{}",
            self.id,
            self.secret.as_str(),
            self.check()
        ))
    }

    fn check(&self) -> String {
        let text = Zeroizing::new(format!("lg_{}_{}", self.id, self.secret.as_str()));
        let mut rest = crc32(text.as_bytes());
        let mut letters = [b'0'; CHECK_LETTERS];
        for letter in letters.iter_mut().rev() {
            *letter = ALPHABET[(rest % 62) as usize];
            rest /= 62;
        }
        letters.iter().map(|letter| char::from(*letter)).collect()
    }
}

/// The secret of the house that keys are checked with. It is not in the keys file.
#[derive(Clone)]
pub struct Pepper(Key);

impl Pepper {
    /// The base64 (padded) of 32 random bytes, as `openssl rand -base64 32` writes it.
    ///
    /// # Errors
    /// [`Error::Setting`] with the key `pepper`.
    pub fn new(written: &Secret) -> Result<Self> {
        let fault = |reason: &str| Error::Setting {
            key: "pepper".into(),
            reason: reason.to_owned(),
        };
        let bytes = STANDARD
            .decode(written.expose().trim())
            .map(Zeroizing::new)
            .map_err(|_| fault("it is not base64"))?;
        if bytes.len() != PEPPER_BYTES {
            return Err(fault("it is not 32 bytes long"));
        }
        Ok(Self(Key::new(HMAC_SHA256, &bytes)))
    }

    pub(super) fn mac(&self, parts: &Parts) -> String {
        STANDARD.encode(hmac::sign(&self.0, &message(parts)))
    }

    /// Whether the MAC is that of the key, in the same time wherever they differ. Without one it is not.
    pub(super) fn fits(&self, parts: &Parts, mac: Option<&str>) -> bool {
        let (bytes, is_there) = match mac.and_then(|mac| STANDARD.decode(mac).ok()) {
            Some(bytes) => (bytes, true),
            None => (vec![0; 32], false),
        };
        hmac::verify(&self.0, &message(parts), &bytes).is_ok() && is_there
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Pepper(***)")
    }
}

fn message(parts: &Parts) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(format!("{}:{}", parts.id, parts.secret.as_str()).into_bytes())
}

pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_LETTERS && is_plain(text)
}

pub(super) fn is_mac(text: &str) -> bool {
    STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Random letters, each equally likely.
fn letters(count: usize) -> Result<String> {
    let mut text = String::with_capacity(count);
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while text.len() < count {
        rand::fill(bytes.as_mut_slice()).map_err(|_| Error::Internal {
            operation: "drawing a key",
        })?;
        // 248 is the largest multiple of 62 in a byte; the rest would favour the first letters.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let letters = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        text.extend(letters.take(count - text.len()));
    }
    Ok(text)
}

/// CRC-32 as in zlib and PNG (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| match crc & 1 {
            1 => (crc >> 1) ^ 0xEDB8_8320,
            _ => crc >> 1,
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::{Parts, crc32};

    #[test]
    fn the_check_is_the_crc_that_everybody_has() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_key_is_read_as_it_was_written_and_in_no_other_form() {
        let parts = Parts::draw().unwrap();
        let written = parts.written();
        let text = written.expose();
        assert_eq!(text.len(), 3 + 12 + 1 + 43 + 1 + 6);
        assert_eq!(Parts::parse(text).unwrap().id, parts.id);
        for position in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(Parts::parse(&changed).is_none(), "position {position}");
            assert!(Parts::parse(&text[..position]).is_none());
        }
        assert!(Parts::parse(&format!("{text} ")).is_none());
    }
}
