//! The files of identity on disk: read whole, written whole.
//!
//! Invariant: a reader sees the old file or the new one and never a part, also when the writer dies in between; what is
//! written is for the owner's eyes only.

use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The text of a file; none when there is no such file.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File {
            path: path.to_owned(),
            action: "read",
            source,
        }),
    }
}

/// Puts `text` in the place of a file, with mode 0600. Two writers at a time are kept apart by a lock, so that `change`
/// sees what the other wrote.
///
/// # Errors
/// [`Error::File`] when the folder does not let us; whatever `change` gives.
pub fn rewrite<T>(path: &Path, change: impl FnOnce() -> Result<(String, T)>) -> Result<T> {
    let failed = |source: io::Error| Error::File {
        path: path.to_owned(),
        action: "written",
        source,
    };
    let beside = |ending: &str| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(ending);
        path.with_file_name(name)
    };
    let lock = private(&beside(".lock"), false).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let (text, outcome) = change()?;
    let fresh: PathBuf = beside(".new");
    let written = private(&fresh, true).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&fresh, path))
        .and_then(|()| match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        })
        .map_err(failed)?;
    Ok(outcome)
}

fn private(path: &Path, is_emptied: bool) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(is_emptied)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::{read_if_there, rewrite};
    use crate::error::Error;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_replaced_whole_and_kept_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        assert_eq!(read_if_there(&path).unwrap(), None);
        assert_eq!(rewrite(&path, || Ok(("one".to_owned(), 1))).unwrap(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        rewrite(&path, || Ok(("two".to_owned(), ()))).unwrap();
        assert_eq!(read_if_there(&path).unwrap().as_deref(), Some("two"));
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let refused = rewrite(&path, || Err::<(String, ()), _>(Error::Sealed));
        assert!(refused.is_err());
        assert_eq!(read_if_there(&path).unwrap().as_deref(), Some("two"));
    }

    #[test]
    fn writers_at_one_time_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("count");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        rewrite(&path, || {
                            let before = read_if_there(&path)?.unwrap_or_default();
                            Ok((format!("{before}x"), ()))
                        })
                        .unwrap();
                    }
                });
            }
        });
        assert_eq!(read_if_there(&path).unwrap().unwrap().len(), 40);
    }
}
