//! The files of the trail. `audit-N.jsonl` begins with the line of number N; the newest is written, the others stay as
//! they are until the operator moves them away.
//!
//! Invariants: one process writes a folder; a batch of lines is written whole or, after a failure, not at all; what a
//! dead process left half written or open is told in the trail itself.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::chain::{self, Hash, NOTHING};
use super::head::{Head, SigningKey};
use super::record::Event;
use crate::config::Fault;
use crate::error::{Error, Result};

const START: &str = "audit-";
const ENDING: &str = ".jsonl";

/// The longest line that a file may have; ours are far shorter.
pub(super) const LINE_BYTES_MAX: usize = 8 << 20;

/// The files of a folder in the order of their lines.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with(START) && name.ends_with(ENDING) {
            found.push(path);
        }
    }
    // The numbers have leading zeros, so the order of names is theirs.
    found.sort();
    Ok(found)
}

/// The folder's files while they are written.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    file: File,
    /// Bytes of the file that are whole lines.
    bytes: u64,
    bytes_max: u64,
    /// The number of the next line.
    seq: u64,
    prev: Hash,
    /// Starts without an end.
    open: BTreeSet<u64>,
    head: Head,
    /// Kept locked for as long as this process writes.
    _lock: File,
    batch: Vec<u8>,
}

/// What the newest file tells.
struct Last {
    path: PathBuf,
    seq: u64,
    prev: Hash,
    open: BTreeSet<u64>,
    bytes: u64,
    torn: u64,
}

impl Journal {
    /// Opens or makes the folder, and closes what a dead process left open.
    pub(super) fn open(folder: &Path, bytes_max: u64, key: SigningKey) -> Result<Self> {
        let failed = |error: io::Error| at(folder, &error.to_string());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        let lock = private(&folder.join("lock")).map_err(failed)?;
        lock.try_lock()
            .map_err(|_| at(folder, "another process writes it"))?;
        let last = match files(folder).map_err(failed)?.pop() {
            Some(path) => Some(recover(path)?),
            None => None,
        };
        let head = Head::open(folder, key).map_err(failed)?;
        let mut journal = match last {
            Some(last) => {
                let file = private(&last.path).map_err(failed)?;
                file.set_len(last.bytes).map_err(failed)?;
                let mut journal = Self {
                    folder: folder.to_owned(),
                    file,
                    bytes: last.bytes,
                    bytes_max,
                    seq: last.seq + 1,
                    prev: last.prev,
                    open: last.open,
                    head,
                    _lock: lock,
                    batch: Vec::new(),
                };
                if last.torn > 0 {
                    journal
                        .put(None, &Event::Torn { bytes: last.torn })
                        .map_err(failed)?;
                }
                journal
            }
            None => {
                let file = private(&folder.join(name(1))).map_err(failed)?;
                let mut journal = Self {
                    folder: folder.to_owned(),
                    file,
                    bytes: 0,
                    bytes_max,
                    seq: 1,
                    prev: NOTHING,
                    open: BTreeSet::new(),
                    head,
                    _lock: lock,
                    batch: Vec::new(),
                };
                journal.put_file_line().map_err(failed)?;
                journal
            }
        };
        for seq in std::mem::take(&mut journal.open) {
            journal.put(Some(seq), &Event::Lost {}).map_err(failed)?;
        }
        let version = env!("CARGO_PKG_VERSION");
        journal.put(None, &Event::Open { version }).map_err(failed)?;
        journal.commit().map_err(failed)?;
        Ok(journal)
    }

    /// Adds a record to the batch; the number it will have.
    pub(super) fn put(&mut self, of: Option<u64>, event: &Event) -> io::Result<u64> {
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let (line, hash) = chain::line(self.seq, &at, of, event, &self.prev)?;
        let seq = self.seq;
        self.batch.extend_from_slice(&line);
        self.prev = hash;
        self.seq += 1;
        match event {
            Event::Start(_) => drop(self.open.insert(seq)),
            Event::End(_) | Event::Lost {} => {
                if let Some(of) = of {
                    self.open.remove(&of);
                }
            }
            _ => {}
        }
        Ok(seq)
    }

    /// Writes the batch and signs its end. After a failure the batch is still there, and the file has none of it that a
    /// later attempt does not write over.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.file.write_all_at(&self.batch, self.bytes)?;
        self.head.sign(self.seq - 1, &self.prev)?;
        self.bytes += self.batch.len() as u64;
        self.batch.clear();
        Ok(())
    }

    /// Begins a new file when this one is full. Nothing waits to be written when this is called.
    pub(super) fn rotate(&mut self) -> io::Result<bool> {
        if self.bytes < self.bytes_max || !self.batch.is_empty() {
            return Ok(false);
        }
        self.file.sync_data()?;
        // Not to be there is part of the name's meaning; a file that is there is from an attempt that failed.
        let file = private(&self.folder.join(name(self.seq)))?;
        file.set_len(0)?;
        self.file = file;
        self.bytes = 0;
        self.put_file_line()?;
        File::open(&self.folder)?.sync_all()?;
        Ok(true)
    }

    /// The files to be forced to disk.
    pub(super) fn syncable(&self) -> io::Result<[File; 2]> {
        Ok([self.file.try_clone()?, self.head.file()?])
    }

    fn put_file_line(&mut self) -> io::Result<()> {
        let event = Event::File {
            public_key: self.head.verifying().written(),
            open: self.open.iter().copied().collect(),
        };
        self.put(None, &event).map(drop)
    }
}

/// Reads the newest file to its end.
fn recover(path: PathBuf) -> Result<Last> {
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
    let mut is_first = true;
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
        let prev = (!is_first).then_some(&last.prev);
        let (fields, hash) = chain::check(&line, prev).map_err(|problem| {
            at(
                &path,
                &format!(
                    "line {} {problem}; move the folder away, and keep it",
                    last.seq + 1
                ),
            )
        })?;
        if is_first {
            last.open = fields.open.iter().copied().collect();
            is_first = false;
        }
        match (fields.kind.as_str(), fields.of) {
            ("start", _) => drop(last.open.insert(fields.seq)),
            ("end" | "lost", Some(of)) => drop(last.open.remove(&of)),
            _ => {}
        }
        last.seq = fields.seq;
        last.prev = hash;
        last.bytes += read as u64;
    }
}

fn name(seq: u64) -> String {
    format!("{START}{seq:020}{ENDING}")
}

/// The number that the name of a file tells.
pub(super) fn first_seq(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(START)?.strip_suffix(ENDING)?.parse().ok()
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn at(path: &Path, problem: &str) -> Error {
    Fault::at("audit.folder", format!("{}: {problem}", path.display())).into()
}
