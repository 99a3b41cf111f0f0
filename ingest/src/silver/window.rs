//! What has been published in the last days: the index behind dedupe and `unique` rules.
//!
//! Invariants:
//! 1. *Derived*: everything in it comes from the silver table. It names the snapshot up to which it is complete, in the same atomic write as
//!    its entries; with another head it is caught up, and where that cannot be, made anew. It can be deleted at any time.
//! 2. *Bounded*: memory is the cache of the store; each day is a keyspace, and a day that no window reaches is dropped whole.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use crate::digest;
use crate::error::{Error, Result};

/// Microseconds of a day.
pub(crate) const DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// Days that the longest window reaches back, and the one that it begins in.
const DAYS_KEPT: i64 = 8;
/// The key of the snapshot up to which the index is complete.
const COMPLETE: &str = "complete";

/// The store of all pipelines of a process. Cheap to clone.
#[derive(Clone)]
pub struct Windows {
    database: Database,
}

impl std::fmt::Debug for Windows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Windows").finish_non_exhaustive()
    }
}

impl Windows {
    /// Opens the store in `folder` with a cache of `cache_bytes`; a damaged one is made anew.
    ///
    /// # Errors
    /// [`Error::Index`] when the disk refuses, or another process has it open.
    pub fn open(folder: &Path, cache_bytes: u64) -> Result<Self> {
        let open = || Database::builder(folder).cache_size(cache_bytes).open();
        let opened = match open() {
            Ok(database) => Ok(database),
            Err(fjall::Error::Locked) => Err(fjall::Error::Locked),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "the index cannot be read and is made anew");
                std::fs::remove_dir_all(folder).map_err(fjall::Error::Io)?;
                open()
            }
        };
        Ok(Self { database: opened? })
    }

    /// The index of one pipeline.
    pub(crate) fn of(&self, pipeline: &str) -> Result<Window> {
        let state = self
            .database
            .keyspace(&format!("{pipeline}-state"), KeyspaceCreateOptions::default)?;
        Ok(Window {
            database: self.database.clone(),
            pipeline: pipeline.to_owned(),
            state,
        })
    }
}

impl From<fjall::Error> for Error {
    fn from(source: fjall::Error) -> Self {
        Error::Index {
            source: Box::new(source),
        }
    }
}

/// The index of one pipeline.
pub(crate) struct Window {
    database: Database,
    pipeline: String,
    state: Keyspace,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window")
            .field("pipeline", &self.pipeline)
            .finish_non_exhaustive()
    }
}

/// A thing that was published: a record's digest, or the values of a `unique` rule.
pub(crate) type Key = [u8; 16];

/// The key of bytes in a room of their own, such as the id of a rule.
pub(crate) fn key(room: &str, bytes: &[u8]) -> Key {
    let full = digest::parts(&[room.as_bytes(), &[0], bytes]);
    let mut key = [0; 16];
    key.copy_from_slice(&full[..16]);
    key
}

impl Window {
    /// The snapshot of silver up to which the index is complete.
    pub(crate) fn complete(&self) -> Result<Option<i64>> {
        let found = self.state.get(COMPLETE)?;
        Ok(found.and_then(|bytes| bytes.as_ref().try_into().ok().map(i64::from_be_bytes)))
    }

    /// Whether `key` was published in the `length` microseconds before `now`.
    pub(crate) fn has(&self, key: &Key, now: i64, length: i64) -> Result<bool> {
        let first = (now - length).div_euclid(DAY);
        for day in (first..=now.div_euclid(DAY)).rev() {
            let name = self.name(day);
            if !self.database.keyspace_exists(&name) {
                continue;
            }
            let keyspace = self.database.keyspace(&name, KeyspaceCreateOptions::default)?;
            let found = keyspace.get(key)?;
            let at = found.and_then(|bytes| bytes.as_ref().try_into().ok().map(i64::from_be_bytes));
            if at.is_some_and(|at| now - at < length) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds what a snapshot has published, and names that snapshot, all or nothing.
    pub(crate) fn add(&self, entries: &[(Key, i64)], snapshot: Option<i64>) -> Result<()> {
        let mut batch = self.database.batch();
        let mut open: Option<(i64, Keyspace)> = None;
        for (key, at) in entries {
            let day = at.div_euclid(DAY);
            if open.as_ref().is_none_or(|(held, _)| *held != day) {
                let name = self.name(day);
                open = Some((
                    day,
                    self.database.keyspace(&name, KeyspaceCreateOptions::default)?,
                ));
            }
            if let Some((_, keyspace)) = &open {
                batch.insert(keyspace, *key, at.to_be_bytes());
            }
        }
        if let Some(snapshot) = snapshot {
            batch.insert(&self.state, COMPLETE, snapshot.to_be_bytes());
        }
        batch.commit()?;
        Ok(())
    }

    /// Drops the days that no window reaches any more; all of them with `everything`.
    pub(crate) fn forget(&self, now: i64, everything: bool) -> Result<()> {
        let oldest = now.div_euclid(DAY) - DAYS_KEPT;
        let prefix = format!("{}-day-", self.pipeline);
        for name in self.database.list_keyspace_names() {
            let Some(day) = name.strip_prefix(&prefix).and_then(|day| day.parse::<i64>().ok()) else {
                continue;
            };
            if everything || day < oldest {
                let keyspace = self.database.keyspace(&name, KeyspaceCreateOptions::default)?;
                self.database.delete_keyspace(keyspace)?;
            }
        }
        if everything {
            self.state.remove(COMPLETE)?;
        }
        Ok(())
    }

    fn name(&self, day: i64) -> String {
        format!("{}-day-{day}", self.pipeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_remembers_as_long_as_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let now = 20_000 * DAY + 5;
        let one = key("record", b"a");
        {
            let windows = Windows::open(folder.path(), 1 << 20).unwrap();
            let window = windows.of("events").unwrap();
            assert_eq!(window.complete().unwrap(), None);
            window.add(&[(one, now)], Some(7)).unwrap();
            assert!(window.has(&one, now + 7 * DAY - 1, 7 * DAY).unwrap());
            assert!(!window.has(&one, now + 7 * DAY, 7 * DAY).unwrap());
            assert!(!window.has(&key("rule", b"a"), now, 7 * DAY).unwrap());
            assert!(!windows.of("other").unwrap().has(&one, now, 7 * DAY).unwrap());
        }
        let windows = Windows::open(folder.path(), 1 << 20).unwrap();
        let window = windows.of("events").unwrap();
        assert_eq!(window.complete().unwrap(), Some(7));
        assert!(window.has(&one, now + 1, 7 * DAY).unwrap());
        window.forget(now + 20 * DAY, false).unwrap();
        assert!(!window.has(&one, now + 1, 7 * DAY).unwrap());
        assert_eq!(window.complete().unwrap(), Some(7));
        window.forget(now, true).unwrap();
        assert_eq!(window.complete().unwrap(), None);
    }

    #[test]
    fn a_damaged_store_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("index");
        drop(Windows::open(&place, 1 << 20).unwrap().of("a").unwrap());
        for entry in std::fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::write(path, b"garbage").unwrap();
            }
        }
        let windows = Windows::open(&place, 1 << 20).unwrap();
        assert_eq!(windows.of("a").unwrap().complete().unwrap(), None);
    }
}
