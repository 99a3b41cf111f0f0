//! Policies from one file.

use crate::config::Config;
use crate::decide::PolicySet;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::store::{Held, PolicyStore, Seen};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A policy document on disk.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    held: Held,
}

impl FileStore {
    /// Reads the document.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, [`Error::Document`] if it is not a policy document.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::with_key(path.into(), None)
    }

    /// Reads the document that a config names.
    ///
    /// # Errors
    /// As [`FileStore::open`], or the fault of the key of masks.
    pub fn of(config: &Config) -> Result<Self> {
        Self::with_key(config.file.clone(), config.key()?)
    }

    fn with_key(path: PathBuf, key: Option<Secret>) -> Result<Self> {
        Ok(Self {
            held: Held::new(&read(&path)?, &path, key)?,
            path,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the document again; queries that begin from now on are decided by it.
    ///
    /// # Errors
    /// As [`FileStore::open`]; then the snapshot in force stays.
    pub fn reload(&self) -> Result<()> {
        self.held.replace(&read(&self.path)?)
    }

    /// Looks whether the document has become another, and takes it if so. From the first look on the snapshot counts as
    /// fresh for `staleness_max` after each look that could read the file.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read.
    pub fn look(&self, staleness_max: Duration) -> Result<Seen> {
        self.held.look(read(&self.path).map(Some), staleness_max)
    }
}

impl PolicyStore for FileStore {
    fn current(&self) -> Arc<PolicySet> {
        self.held.current()
    }

    fn is_fresh(&self) -> bool {
        self.held.is_fresh()
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| Error::File {
        path: path.to_owned(),
        action: "read",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::{FileStore, PolicyStore, Seen};
    use crate::error::Error;
    use std::fs;
    use std::time::Duration;

    const GOOD: &str = "[[allow]]\nname = \"a\"\nroles = [\"r\"]\ntables = [\"a.b.c\"]\n";

    #[test]
    fn a_missing_or_bad_file_is_an_error_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policies.toml");
        let missing = FileStore::open(&path).unwrap_err();
        assert!(matches!(missing, Error::File { .. }));
        assert!(missing.to_string().ends_with("policies.toml cannot be read"));
        fs::write(&path, "[[allow]]\nnam = 1\n").unwrap();
        let bad = FileStore::open(&path).unwrap_err().to_string();
        assert!(
            bad.contains("policies.toml, line 2: unknown field `nam`"),
            "{bad}"
        );
    }

    #[test]
    fn a_bad_reload_keeps_the_snapshot_and_a_good_one_replaces_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policies.toml");
        fs::write(&path, GOOD).unwrap();
        let store = FileStore::open(&path).unwrap();
        let first = store.current();
        fs::write(&path, "no toml").unwrap();
        assert!(store.reload().is_err());
        assert_eq!(store.current().epoch(), first.epoch());
        fs::write(&path, "").unwrap();
        store.reload().unwrap();
        assert_ne!(store.current().epoch(), first.epoch());
    }

    #[test]
    fn a_look_takes_a_change_once_and_a_file_out_of_reach_makes_the_store_stale() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policies.toml");
        fs::write(&path, GOOD).unwrap();
        let store = FileStore::open(&path).unwrap();
        let long = Duration::from_secs(3600);
        let first = store.current();
        assert!(matches!(store.look(long), Ok(Seen::Same)));
        fs::write(&path, "").unwrap();
        assert!(matches!(store.look(long), Ok(Seen::Changed(Ok(())))));
        assert_ne!(store.current().epoch(), first.epoch());
        fs::write(&path, "no toml").unwrap();
        assert!(matches!(store.look(long), Ok(Seen::Changed(Err(_)))));
        assert!(matches!(store.look(long), Ok(Seen::Same)), "a fault is told once");
        fs::remove_file(&path).unwrap();
        assert!(store.look(long).is_err());
        assert!(store.is_fresh(), "it was read within the hour");
        assert!(store.look(Duration::ZERO).is_err());
        assert!(!store.is_fresh());
        fs::write(&path, GOOD).unwrap();
        store.look(long).unwrap();
        assert!(store.is_fresh());
    }
}
