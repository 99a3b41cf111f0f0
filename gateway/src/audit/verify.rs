//! Reads the whole trail and says whether anything in it was changed.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::Serialize;

use super::chain::{self, Hash};
use super::folder::{LINE_BYTES_MAX, files, first_seq};
use super::head::{self, VerifyingKey};

/// What was found to be whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verified {
    /// The number of the first record that is there; earlier files were moved away unless it is 1.
    pub(crate) first: u64,
    /// The number of the last record.
    pub(crate) last: u64,
    /// The number of the last record under the signature; the few after it are chained and not signed yet.
    pub(crate) signed: u64,
    /// The starts without an end: of requests that run now, or whose process died.
    pub(crate) open: BTreeSet<u64>,
}

/// Where a trail is broken, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Broken {
    /// The file at fault, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// The line of the file, from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    /// The number that the record at fault has or should have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record: Option<u64>,
    /// What is wrong.
    pub(crate) problem: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(out, "{file}")?;
            match self.line {
                Some(line) => write!(out, ", line {line}: ")?,
                None => write!(out, ": ")?,
            }
        }
        match self.record {
            Some(record) => write!(out, "record {record} {}", self.problem),
            None => out.write_str(&self.problem),
        }
    }
}

impl Broken {
    fn at(path: &Path, problem: impl Into<String>) -> Self {
        Self {
            file: Some(path.display().to_string()),
            problem: problem.into(),
            ..Self::default()
        }
    }
}

/// Checks every record of a folder and the signature of its end.
///
/// # Errors
/// Where the first fault is.
pub(crate) fn verify(folder: &Path, key: &VerifyingKey) -> Result<Verified, Broken> {
    let in_folder = |problem: String| Broken::at(folder, problem);
    let found = files(folder).map_err(|error| in_folder(error.to_string()))?;
    // The head first: what is written meanwhile comes after it.
    let head = head::read(folder, key).map_err(in_folder)?;
    let mut walk = Walk {
        signed: head.as_ref().map(|(seq, _)| *seq),
        ..Walk::default()
    };
    for path in &found {
        walk.file(path)?;
    }
    let (Some(first), Some(last)) = (walk.first, walk.seq) else {
        let gone = head.map(|(signed, _)| format!("records 1 to {signed} are missing"));
        return Err(in_folder(
            gone.unwrap_or_else(|| "there are no records".to_owned()),
        ));
    };
    let Some((signed, hash)) = head else {
        return Err(in_folder("there is no head that signs its records".to_owned()));
    };
    if signed > last {
        return Err(Broken {
            record: Some(last + 1),
            ..in_folder(format!(
                "and all after it to {signed} are missing at the end, and were signed"
            ))
        });
    }
    if walk.signed_hash.map(|hash| chain::hex(&hash)) != Some(hash) {
        return Err(Broken {
            record: Some(signed),
            ..in_folder("is not the one that was signed".to_owned())
        });
    }
    Ok(Verified {
        first,
        last,
        signed,
        open: walk.open,
    })
}

#[derive(Default)]
struct Walk {
    first: Option<u64>,
    seq: Option<u64>,
    prev: Option<Hash>,
    open: BTreeSet<u64>,
    /// The number of the record under the signature, and the hash that was found there.
    signed: Option<u64>,
    signed_hash: Option<Hash>,
}

impl Walk {
    fn file(&mut self, path: &Path) -> Result<(), Broken> {
        let named = first_seq(path);
        if let (Some(named), Some(seq)) = (named, self.seq)
            && named != seq + 1
        {
            return Err(Broken {
                record: Some(seq + 1),
                ..Broken::at(
                    path,
                    format!("and all after it to {} are missing", named.saturating_sub(1)),
                )
            });
        }
        let mut number = 0;
        let each = |line: &[u8]| {
            number += 1;
            let expected = self.seq.map_or(named, |seq| Some(seq + 1));
            self.step(line, expected).map_err(|problem| Broken {
                line: Some(number),
                record: expected,
                ..Broken::at(path, problem)
            })
        };
        lines(path, each, |problem| Broken::at(path, problem))
    }

    fn step(&mut self, line: &[u8], expected: Option<u64>) -> Result<(), String> {
        let (fields, hash) = chain::check(line, self.prev.as_ref())?;
        if expected.is_some_and(|expected| fields.seq != expected) {
            return Err(format!("has the number {}", fields.seq));
        }
        fields.follow(&mut self.open);
        if self.signed == Some(fields.seq) {
            self.signed_hash = Some(hash);
        }
        self.first = self.first.or(Some(fields.seq));
        self.seq = Some(fields.seq);
        self.prev = Some(hash);
        Ok(())
    }
}

/// Gives each line of a file, without its end. A last line without an end is being written now, or was when its process
/// died, and is no record.
pub(super) fn lines<E>(
    path: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
    fault: impl Fn(String) -> E,
) -> Result<(), E> {
    let failed = |error: io::Error| fault(error.to_string());
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
                true => Err(fault("a line is longer than any record".to_owned())),
                false => Ok(()),
            };
        }
        each(&line)?;
    }
}
