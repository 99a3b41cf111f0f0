//! The quickstart's folder: private to its owner, locked by one process, written file by file at once.
//!
//! Invariant: a file of ours is either as the last complete write left it or not there; a kill never leaves half of one.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::{Error, Result};

/// The file whose lock says that a quickstart runs here, and whose presence says that the folder is ours.
const LOCK: &str = "quickstart.lock";

/// An open folder. The lock goes with it.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and locks it.
    ///
    /// # Errors
    /// The folder cannot be made, holds other things than a quickstart's, or another quickstart runs on it.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let failed = |action| {
            move |source| Error::File {
                action,
                path: dir.to_owned(),
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed("make the folder (--dir)"))?;
        let root = dir.canonicalize().map_err(failed("open the folder (--dir)"))?;
        let lock = root.join(LOCK);
        let foreign = !lock.exists()
            && root
                .read_dir()
                .map_err(failed("read the folder (--dir)"))?
                .next()
                .is_some();
        if foreign {
            return Err(Error::Foreign { path: dir.to_owned() });
        }
        let file = private()
            .create(true)
            .truncate(false)
            .open(&lock)
            .map_err(failed("write in the folder (--dir)"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { root, _lock: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed("lock the folder (--dir)")(source)),
        }
    }

    /// The folder's absolute path.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The absolute path of a file of the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes a folder in the folder, where it is missing.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn make(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| Error::File {
            action: "make",
            path,
            source,
        })
    }

    /// A file's text; none if it is not there.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(super) fn read(&self, name: &str) -> Result<Option<String>> {
        let path = self.path(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File {
                action: "read",
                path,
                source,
            }),
        }
    }

    /// Writes a file of mode 0600, all of it or nothing.
    ///
    /// # Errors
    /// The disk refuses; the file is as before.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        let draft = self.path(&format!("{name}.draft"));
        let written = (|| {
            let mut file = private().create(true).truncate(true).open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)?;
            File::open(&self.root)?.sync_all()
        })();
        written.map_err(|source| Error::File {
            action: "write",
            path,
            source,
        })
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}
