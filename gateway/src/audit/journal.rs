//! The file that is written: lines are put into a batch, the batch is written and its end signed.
//!
//! Invariants: one process writes a folder; a batch of lines is written whole or, after a failure, not at all; what a
//! dead process left half written or open is told in the trail itself; the files stay within their bound.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::chain::{self, Hash, NOTHING};
use super::folder::{self, private};
use super::head::{Head, SigningKey};
use super::record::Event;
use super::recover::{at, recover};
use crate::config::{Oldest, Trail};
use crate::error::Result;

/// The folder's files while they are written.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    node: Option<String>,
    file: File,
    /// Bytes of the file that are whole lines.
    bytes: u64,
    /// Bytes of the files before it.
    before: u64,
    file_bytes_max: u64,
    folder_bytes_max: u64,
    oldest: Oldest,
    /// The number of the first line of this process.
    first: u64,
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

/// Files to be forced to disk.
#[derive(Debug)]
pub(super) struct Forced {
    lines: File,
    head: File,
}

impl Forced {
    /// Forces the lines first, then what signs them.
    pub(super) fn force(&self) -> io::Result<()> {
        self.lines.sync_data()?;
        self.head.sync_data()
    }
}

impl Journal {
    /// Opens or makes the folder, and closes what a dead process left open.
    pub(super) fn open(folder: &Path, config: &Trail, key: SigningKey) -> Result<Self> {
        let failed = |error: io::Error| at(folder, &error.to_string());
        folder::make(folder).map_err(failed)?;
        let lock = private(&folder.join("lock")).map_err(failed)?;
        lock.try_lock()
            .map_err(|_| at(folder, "another process writes it"))?;
        let last = recover(folder, &key.verifying())?;
        let path = last
            .as_ref()
            .map_or_else(|| folder::path(folder, 1), |last| last.path.clone());
        let file = private(&path).map_err(failed)?;
        let bytes = last.as_ref().map_or(0, |last| last.bytes);
        file.set_len(bytes).map_err(failed)?;
        let (torn, is_new) = (last.as_ref().map_or(0, |last| last.torn), last.is_none());
        let mut journal = Self {
            folder: folder.to_owned(),
            node: config.node.clone(),
            file,
            bytes,
            before: folder::bytes(folder).map_err(failed)?.saturating_sub(bytes),
            file_bytes_max: config.file_bytes_max.as_u64(),
            folder_bytes_max: config.folder_bytes_max.as_u64(),
            oldest: config.oldest,
            first: last.as_ref().map_or(1, |last| last.seq + 1),
            seq: last.as_ref().map_or(1, |last| last.seq + 1),
            prev: last.as_ref().map_or(NOTHING, |last| last.prev),
            open: last.map(|last| last.open).unwrap_or_default(),
            head: Head::open(folder, key).map_err(failed)?,
            _lock: lock,
            batch: Vec::new(),
        };
        journal.begin(torn, is_new).map_err(failed)?;
        Ok(journal)
    }

    /// The first lines of a process.
    fn begin(&mut self, torn: u64, is_new: bool) -> io::Result<()> {
        if is_new {
            self.put_file_line()?;
        }
        if torn > 0 {
            self.put(None, &Event::Torn { bytes: torn })?;
        }
        for seq in std::mem::take(&mut self.open) {
            self.put(Some(seq), &Event::Lost {})?;
        }
        let version = env!("CARGO_PKG_VERSION");
        self.put(None, &Event::Open { version })?;
        self.write()?;
        self.sign()
    }

    /// Adds a record to the batch; the number it will have.
    pub(super) fn put(&mut self, of: Option<u64>, event: &Event) -> io::Result<u64> {
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let seq = self.seq;
        let line = chain::Line {
            seq,
            at: &at,
            node: self.node.as_deref(),
            of,
            event,
        };
        let (line, hash) = line.sealed(&self.prev)?;
        self.batch.extend_from_slice(&line);
        self.prev = hash;
        self.seq += 1;
        match (event, of) {
            (Event::Start(_), _) => drop(self.open.insert(seq)),
            (Event::End(_) | Event::Lost {}, Some(of)) => drop(self.open.remove(&of)),
            _ => {}
        }
        Ok(seq)
    }

    /// Writes the batch. After a failure the batch is still there, and the file has none of it that a later attempt does
    /// not write over.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.make_room()?;
        self.file.write_all_at(&self.batch, self.bytes)?;
        self.bytes += self.batch.len() as u64;
        self.batch.clear();
        Ok(())
    }

    /// Signs the end of what is written.
    pub(super) fn sign(&mut self) -> io::Result<()> {
        self.head.sign(self.seq - 1, &self.prev)
    }

    /// Sees to it that the batch fits the folder's bound. The bound is asked of the disk when it is reached: an operator
    /// may have moved files away.
    fn make_room(&mut self) -> io::Result<()> {
        let wanted = self.bytes + self.batch.len() as u64;
        if self.before + wanted <= self.folder_bytes_max {
            return Ok(());
        }
        let mut files = folder::files(&self.folder)?;
        // The newest is the one that is written.
        files.pop();
        let mut sizes = Vec::with_capacity(files.len());
        for path in files {
            let size = fs::metadata(&path)?.len();
            sizes.push((path, size));
        }
        self.before = sizes.iter().map(|(_, size)| size).sum();
        for (path, size) in sizes {
            if self.before + wanted <= self.folder_bytes_max || self.oldest == Oldest::Keep {
                break;
            }
            fs::remove_file(&path)?;
            tracing::warn!(file = %path.display(), "the oldest file of the audit trail was removed to make room");
            self.before -= size;
        }
        match self.before + wanted <= self.folder_bytes_max {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the files have reached audit.folder_bytes_max; move the oldest away",
            )),
        }
    }

    /// Begins a new file when this one is full. Nothing waits to be written when this is called.
    pub(super) fn rotate(&mut self) -> io::Result<bool> {
        if self.bytes < self.file_bytes_max || !self.batch.is_empty() {
            return Ok(false);
        }
        self.file.sync_data()?;
        let file = private(&folder::path(&self.folder, self.seq))?;
        // What is in it is from an attempt that failed.
        file.set_len(0)?;
        self.file = file;
        self.before += self.bytes;
        self.bytes = 0;
        self.put_file_line()?;
        File::open(&self.folder)?.sync_all()?;
        Ok(true)
    }

    /// The files as they are now, to be forced to disk.
    pub(super) fn syncable(&self) -> io::Result<Forced> {
        Ok(Forced {
            lines: self.file.try_clone()?,
            head: self.head.file()?,
        })
    }

    /// Records of this process that are on file.
    pub(super) fn records(&self) -> u64 {
        self.seq - self.first
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.before + self.bytes
    }

    /// Requests without an end.
    pub(super) fn open_requests(&self) -> usize {
        self.open.len()
    }

    fn put_file_line(&mut self) -> io::Result<()> {
        let event = Event::File {
            public_key: self.head.verifying().written(),
            open: self.open.iter().copied().collect(),
        };
        self.put(None, &event).map(drop)
    }
}
