//! Policies from one file.
//!
//! Invariant: there is always a good snapshot. A bad file at the start is an error; a bad file at a reload is an error
//! too and leaves the snapshot in force.

use crate::decide::PolicySet;
use crate::error::{Error, Result};
use crate::store::PolicyStore;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// A policy document on disk.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    current: RwLock<Arc<PolicySet>>,
}

impl FileStore {
    /// Reads the document.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, [`Error::Document`] if it is not a policy document.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let set = load(&path)?;
        Ok(Self {
            path,
            current: RwLock::new(Arc::new(set)),
        })
    }

    /// Reads the document again; queries that begin from now on are decided by it.
    ///
    /// # Errors
    /// As [`FileStore::open`]; then the snapshot in force stays.
    pub fn reload(&self) -> Result<()> {
        let set = Arc::new(load(&self.path)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = set;
        Ok(())
    }
}

impl PolicyStore for FileStore {
    fn current(&self) -> Arc<PolicySet> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }
}

fn load(path: &Path) -> Result<PolicySet> {
    let text = fs::read_to_string(path).map_err(|source| Error::File {
        path: path.to_owned(),
        action: "read",
        source,
    })?;
    PolicySet::parse(&text, path)
}

#[cfg(test)]
mod tests {
    use super::{FileStore, PolicyStore};
    use crate::error::Error;
    use std::fs;

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
}
