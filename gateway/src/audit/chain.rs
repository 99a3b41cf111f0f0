//! How the lines of the trail hold together. A line is a JSON object whose last two fields are `prev`, the hash of the
//! line before, and `hash`, the SHA-256 of everything before it in the line. To change, drop, add or move a line, every
//! later one has to be changed as well, and the last of them is signed.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::record::Event;

/// A hash.
pub(super) type Hash = [u8; 32];

/// What the first line of all names as the line before.
pub(super) const NOTHING: Hash = [0; 32];

const MARK: &[u8] = b",\"hash\":\"";

/// The bytes of a line from its mark on.
const TAIL: usize = MARK.len() + 64 + 2;

#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    at: &'a str,
    /// The start that the record belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    #[serde(flatten)]
    event: &'a Event,
    prev: &'a str,
}

/// The fields of a line that everybody needs who reads it.
#[derive(Debug, Deserialize)]
pub(super) struct Fields {
    pub(super) seq: u64,
    pub(super) of: Option<u64>,
    pub(super) kind: String,
    prev: String,
    /// The open requests that the first line of a file names.
    #[serde(default)]
    pub(super) open: Vec<u64>,
    pub(super) public_key: Option<String>,
}

/// The line of a record, with its line end, and its hash.
pub(super) fn line(
    seq: u64,
    at: &str,
    of: Option<u64>,
    event: &Event,
    prev: &Hash,
) -> Result<(Vec<u8>, Hash), serde_json::Error> {
    let mut text = serde_json::to_vec(&Line {
        seq,
        at,
        of,
        event,
        prev: &hex(prev),
    })?;
    text.pop();
    let hash = sha256(&text);
    text.extend_from_slice(MARK);
    text.extend_from_slice(hex(&hash).as_bytes());
    text.extend_from_slice(b"\"}\n");
    Ok((text, hash))
}

/// Checks a line, without its line end, that follows the line with the hash `prev`.
///
/// # Errors
/// A sentence that says what does not fit.
pub(super) fn check(line: &[u8], prev: Option<&Hash>) -> Result<(Fields, Hash), &'static str> {
    let cut = line.len().checked_sub(TAIL).ok_or("is no record")?;
    let (content, tail) = line.split_at(cut);
    let hash = sha256(content);
    let written = tail.strip_prefix(MARK).and_then(|tail| tail.strip_suffix(b"\"}"));
    if written != Some(hex(&hash).as_bytes()) {
        return Err("was changed: its hash is that of another line");
    }
    let fields: Fields = serde_json::from_slice(line).map_err(|_| "is no record")?;
    match prev {
        Some(prev) if hex(prev) != fields.prev => Err("does not follow the line before"),
        _ => Ok((fields, hash)),
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = NOTHING;
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

pub(super) fn hex(hash: &Hash) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
