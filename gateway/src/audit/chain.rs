//! How the lines of the trail hold together. A line is a JSON object whose last two fields are `prev`, the hash of the
//! line before, and `hash`, the SHA-256 of everything before it in the line. To change, drop, add or move a line, every
//! later one has to be changed as well, and the last of them is signed.

use std::collections::BTreeSet;

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

/// A line before it is sealed.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub(super) seq: u64,
    pub(super) at: &'a str,
    /// The gateway that writes, where the config gives it a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<&'a str>,
    /// The start that the record belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<u64>,
    #[serde(flatten)]
    pub(super) event: &'a Event,
}

#[derive(Serialize)]
struct Linked<'a> {
    #[serde(flatten)]
    line: &'a Line<'a>,
    prev: &'a str,
}

/// The fields of a line that everybody needs who reads it.
#[derive(Debug, Deserialize)]
pub(super) struct Fields {
    pub(super) seq: u64,
    of: Option<u64>,
    kind: String,
    prev: String,
    /// The open requests that the first line of a file names.
    #[serde(default)]
    open: Vec<u64>,
}

impl Line<'_> {
    /// The line as it is written, with its line end, after the line with the hash `prev`; and its own hash.
    pub(super) fn sealed(&self, prev: &Hash) -> Result<(Vec<u8>, Hash), serde_json::Error> {
        let prev = hex(prev);
        let mut text = serde_json::to_vec(&Linked {
            line: self,
            prev: &prev,
        })?;
        text.pop();
        let hash = sha256(&text);
        text.extend_from_slice(MARK);
        text.extend_from_slice(hex(&hash).as_bytes());
        text.extend_from_slice(b"\"}\n");
        Ok((text, hash))
    }
}

impl Fields {
    /// Keeps the numbers of the requests that are open after this line.
    pub(super) fn follow(&self, open: &mut BTreeSet<u64>) {
        match (self.kind.as_str(), self.of) {
            ("file", _) => open.extend(&self.open),
            ("start", _) => drop(open.insert(self.seq)),
            ("end" | "lost", Some(of)) => drop(open.remove(&of)),
            _ => {}
        }
    }
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

fn sha256(bytes: &[u8]) -> Hash {
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
