//! Reads the whole trail and says whether anything in it was changed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use super::chain::{self, Hash};
use super::head::{self, VerifyingKey};
use super::journal::{LINE_BYTES_MAX, files, first_seq};

/// What was found to be whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    /// The number of the first record that is there; earlier files were moved away unless it is 1.
    pub(crate) first: u64,
    /// The number of the last record.
    pub(crate) last: u64,
    /// The number of the last record under the signature; the few after it are chained and not signed yet.
    pub(crate) signed: u64,
    /// Requests without an end: those that run now.
    pub(crate) open: u64,
}

/// Checks every record of a folder and the signature of its end.
///
/// # Errors
/// A sentence that names the file, the line and what is wrong with it.
pub(crate) fn verify(folder: &Path, key: &VerifyingKey) -> Result<Verified, String> {
    let found = files(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // The head first: what is written meanwhile comes after it.
    let head = head::read(folder, key)?;
    let mut walk = Walk::default();
    let mut signed_hash = None;
    for path in &found {
        let shown = path.display();
        if let (Some(named), Some(seq)) = (first_seq(path), walk.seq)
            && named != seq + 1
        {
            return Err(format!(
                "{shown}: records {} to {} are missing",
                seq + 1,
                named.saturating_sub(1)
            ));
        }
        let mut number = 0;
        lines(path, |line| {
            number += 1;
            let (seq, hash) = walk
                .step(line)
                .map_err(|problem| format!("{shown}, line {number}: {problem}"))?;
            if number == 1 && first_seq(path) != Some(seq) {
                return Err(format!("{shown}: its first record is {seq}"));
            }
            if head.as_ref().is_some_and(|(signed, _)| *signed == seq) {
                signed_hash = Some(hash);
            }
            Ok(())
        })?;
    }
    let (Some(first), Some(last)) = (walk.first, walk.seq) else {
        return Err(format!("{}: there are no records", folder.display()));
    };
    let Some((signed, hash)) = head else {
        return Err(format!("{}: there is no head", folder.display()));
    };
    if signed > last {
        return Err(format!("records {} to {signed} are missing at the end", last + 1));
    }
    if signed_hash.map(|hash| chain::hex(&hash)) != Some(hash) {
        return Err(format!("record {signed} is not the one that was signed"));
    }
    Ok(Verified {
        first,
        last,
        signed,
        open: walk.open.len() as u64,
    })
}

#[derive(Default)]
struct Walk {
    first: Option<u64>,
    seq: Option<u64>,
    prev: Option<Hash>,
    open: BTreeSet<u64>,
}

impl Walk {
    fn step(&mut self, line: &[u8]) -> Result<(u64, Hash), String> {
        let (fields, hash) = chain::check(line, self.prev.as_ref())?;
        if self.seq.is_some_and(|seq| fields.seq != seq + 1) {
            return Err(format!("the record has the number {}", fields.seq));
        }
        match (fields.kind.as_str(), fields.of) {
            ("file", _) => self.open.extend(fields.open),
            ("start", _) => drop(self.open.insert(fields.seq)),
            ("end" | "lost", Some(of)) => drop(self.open.remove(&of)),
            _ => {}
        }
        self.first = self.first.or(Some(fields.seq));
        self.seq = Some(fields.seq);
        self.prev = Some(hash);
        Ok((fields.seq, hash))
    }
}

/// Gives each line of a file, without its end. A last line without an end is being written now, or was when its process
/// died, and is no record.
pub(super) fn lines(path: &Path, mut each: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader)
            .take(LINE_BYTES_MAX as u64)
            .read_until(b'\n', &mut line)
            .map_err(failed)?;
        if read == 0 {
            return Ok(());
        }
        if line.pop() != Some(b'\n') {
            return match read == LINE_BYTES_MAX {
                true => Err(format!("{}: a line is longer than any record", path.display())),
                false => Ok(()),
            };
        }
        each(&line)?;
    }
}
