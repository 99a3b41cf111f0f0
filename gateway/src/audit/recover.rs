//! What a dead process left in the folder: the end of the chain, the requests that it has not ended, and whether anything
//! is missing of what was signed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use super::chain::{self, Hash, NOTHING};
use super::folder::{files, first_seq};
use super::head::{self, VerifyingKey};
use crate::config::Fault;
use crate::error::{Error, Result};

/// The newest file.
pub(super) struct Last {
    pub(super) path: PathBuf,
    /// The number of its last line.
    pub(super) seq: u64,
    /// Its hash.
    pub(super) prev: Hash,
    /// Starts without an end.
    pub(super) open: BTreeSet<u64>,
    /// Bytes of whole lines.
    pub(super) bytes: u64,
    /// Bytes after them: of a line that is not whole.
    pub(super) torn: u64,
}

/// Reads the end of a folder's chain; none in a new folder.
///
/// # Errors
/// `Config` for a line that was changed, and for lines that were signed and are not there.
pub(super) fn recover(folder: &Path, key: &VerifyingKey) -> Result<Option<Last>> {
    let mut found = files(folder).map_err(|error| at(folder, &error.to_string()))?;
    let last = loop {
        let Some(path) = found.pop() else { break None };
        let last = read(path)?;
        if last.bytes > 0 {
            break Some(last);
        }
        // Its process died between making it and writing its first line.
        fs::remove_file(&last.path).map_err(|error| at(&last.path, &error.to_string()))?;
    };
    let signed = head::read(folder, key).map_err(|problem| at(folder, &keep(&problem)))?;
    match (signed, &last) {
        (Some((seq, hash)), last) => check(folder, last.as_ref(), seq, &hash)?,
        (None, Some(_)) => return Err(at(folder, &keep("there is no head that signs its records"))),
        (None, None) => {}
    }
    Ok(last)
}

/// Checks that the chain goes as far as it was signed.
fn check(folder: &Path, last: Option<&Last>, signed: u64, hash: &str) -> Result<()> {
    let end = last.map_or(0, |last| last.seq);
    if signed > end {
        let problem = format!("records {} to {signed} were signed and are not there", end + 1);
        return Err(at(folder, &keep(&problem)));
    }
    match last {
        Some(last) if last.seq == signed && chain::hex(&last.prev) != hash => Err(at(
            folder,
            &keep(&format!("record {signed} is not the one that was signed")),
        )),
        _ => Ok(()),
    }
}

fn keep(problem: &str) -> String {
    format!("{problem}; look into it with `lakegate audit verify`, then move the folder away, and keep it")
}

fn read(path: PathBuf) -> Result<Last> {
    let failed = |error: io::Error| at(&path, &error.to_string());
    let mut reader = BufReader::new(File::open(&path).map_err(failed)?);
    let mut last = Last {
        path: path.clone(),
        seq: first_seq(&path).map_or(0, |seq| seq.saturating_sub(1)),
        prev: NOTHING,
        open: BTreeSet::new(),
        bytes: 0,
        torn: 0,
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(failed)?;
        if read == 0 {
            return Ok(last);
        }
        if line.pop() != Some(b'\n') {
            last.torn = read as u64;
            return Ok(last);
        }
        let prev = (last.bytes > 0).then_some(&last.prev);
        let (fields, hash) = chain::check(&line, prev)
            .map_err(|problem| at(&path, &keep(&format!("record {} {problem}", last.seq + 1))))?;
        fields.follow(&mut last.open);
        last.seq = fields.seq;
        last.prev = hash;
        last.bytes += read as u64;
    }
}

/// A fault of the folder.
pub(super) fn at(path: &Path, problem: &str) -> Error {
    Fault::at("audit.folder", format!("{}: {problem}", path.display())).into()
}
