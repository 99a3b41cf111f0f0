//! The signed end of the chain: the number and hash of the last line, under an Ed25519 signature. Without it, who can
//! write the files could cut lines off the end or write the whole chain anew.
//!
//! The file `head` has two places that are written in turn, so that a death in the middle of one leaves the other.
//! What a head cannot show is that files *and* head were put back to an earlier state together: an auditor who keeps a
//! head of last week finds that out.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use policies::Secret;
use serde::{Deserialize, Serialize};

use super::chain::{Hash, hex};
use super::folder::private;

const NAME: &str = "head";

/// Bytes of one place.
const PLACE: usize = 256;

const SEED_BYTES: usize = 32;

/// What the key of hashes is derived for, so that it is not the one that signs.
const HASHES: &[u8] = b"lakegate audit statements";

/// The key of a trail: heads are signed with it, and what hashes are made with is derived from it.
pub(crate) struct SigningKey {
    pair: Ed25519KeyPair,
    hashes: hmac::Key,
}

/// The key that heads are checked with. It is no secret.
#[derive(Clone, Debug)]
pub(crate) struct VerifyingKey(Vec<u8>);

#[derive(Serialize, Deserialize)]
struct Written {
    seq: u64,
    hash: String,
    signature: String,
}

impl SigningKey {
    /// From the base64 (padded) of 32 random bytes, as `openssl rand -base64 32` writes it.
    ///
    /// # Errors
    /// A sentence that says what is wrong and repeats nothing.
    pub(crate) fn new(written: &Secret) -> Result<Self, &'static str> {
        let seed = BASE64_STANDARD
            .decode(written.expose().trim())
            .map_err(|_| "it is not base64")?;
        if seed.len() != SEED_BYTES {
            return Err("it is not 32 bytes long");
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| "it is no key")?;
        let whole = hmac::Key::new(hmac::HMAC_SHA256, &seed);
        let derived = hmac::sign(&whole, HASHES);
        Ok(Self {
            pair,
            hashes: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
        })
    }

    /// What checks the signatures.
    pub(crate) fn verifying(&self) -> VerifyingKey {
        VerifyingKey(self.pair.public_key().as_ref().to_vec())
    }

    /// What hashes of statements are made with.
    pub(super) fn hashes(&self) -> hmac::Key {
        self.hashes.clone()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("SigningKey(***)")
    }
}

impl VerifyingKey {
    /// From its written form.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match BASE64_STANDARD.decode(text.trim()) {
            Ok(bytes) if bytes.len() == 32 => Ok(Self(bytes)),
            _ => Err("a public key is 32 bytes in base64".to_owned()),
        }
    }

    pub(crate) fn written(&self) -> String {
        BASE64_STANDARD.encode(&self.0)
    }
}

/// The head file of a writer.
#[derive(Debug)]
pub(super) struct Head {
    file: File,
    key: SigningKey,
    /// Which place is written next.
    next: u64,
}

impl Head {
    pub(super) fn open(folder: &Path, key: SigningKey) -> io::Result<Self> {
        let file = private(&folder.join(NAME))?;
        // Both places have their bytes from the start, so that a full disk has room for them.
        if file.metadata()?.len() < 2 * PLACE as u64 {
            file.write_all_at(&[b' '; 2 * PLACE], 0)?;
        }
        Ok(Self { file, key, next: 0 })
    }

    pub(super) fn verifying(&self) -> VerifyingKey {
        self.key.verifying()
    }

    /// Signs the end of the chain.
    pub(super) fn sign(&mut self, seq: u64, hash: &Hash) -> io::Result<()> {
        let signature = self.key.pair.sign(&message(seq, hash));
        let written = Written {
            seq,
            hash: hex(hash),
            signature: BASE64_STANDARD.encode(signature.as_ref()),
        };
        let mut place = serde_json::to_vec(&written)?;
        place.resize(PLACE - 1, b' ');
        place.push(b'\n');
        self.file.write_all_at(&place, self.next * PLACE as u64)?;
        self.next ^= 1;
        Ok(())
    }

    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// The head of a folder: number and hash of the last line that was signed; none when there is no head file.
///
/// # Errors
/// A sentence when no place holds a head that the key has signed.
pub(super) fn read(folder: &Path, key: &VerifyingKey) -> Result<Option<(u64, String)>, String> {
    let text = match std::fs::read_to_string(folder.join(NAME)) {
        // Made, and nothing was signed yet.
        Ok(text) if text.trim().is_empty() => return Ok(None),
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("the head cannot be read: {error}")),
    };
    let signed = text.lines().filter_map(|line| {
        let written: Written = serde_json::from_str(line.trim()).ok()?;
        let signature = BASE64_STANDARD.decode(&written.signature).ok()?;
        let message = message_of(written.seq, &written.hash);
        let key = UnparsedPublicKey::new(&ED25519, &key.0);
        key.verify(&message, &signature).ok()?;
        Some((written.seq, written.hash))
    });
    signed
        .max()
        .map(Some)
        .ok_or_else(|| "the head was not signed with this key".to_owned())
}

fn message(seq: u64, hash: &Hash) -> Vec<u8> {
    message_of(seq, &hex(hash))
}

fn message_of(seq: u64, hash: &str) -> Vec<u8> {
    format!("lakegate audit head\n{seq}\n{hash}\n").into_bytes()
}
