//! Turns failures of the table's storage into errors that name the path and, for a full disk, the room.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// `ENOSPC` and `EDQUOT` of Linux and macOS as they stand in the text of an `io::Error`. Iceberg 0.10's local storage formats its
/// `io::Error` into a message and drops it, so for that storage the text is all there is.
const FULL_TEXTS: [&str; 3] = ["(os error 28)", "(os error 122)", "(os error 69)"];

/// The error for a failed `action` on `path`; `bytes` is what the step wanted to write.
pub(crate) fn failed(action: &'static str, path: &str, bytes: Option<u64>, source: iceberg::Error) -> Error {
    classify(action, path, bytes, Box::new(source))
}

fn classify(
    action: &'static str,
    path: &str,
    bytes: Option<u64>,
    source: Box<dyn StdError + Send + Sync>,
) -> Error {
    if !is_full(source.as_ref()) {
        return Error::Storage {
            action,
            path: path.to_owned(),
            source,
        };
    }
    let available = local_path(path).and_then(|local| available(&local));
    Error::DiskFull {
        path: path.to_owned(),
        needed: bytes,
        available,
        source: Some(source),
    }
}

/// Whether `error` or one of its causes says that disk or quota are full.
pub(crate) fn is_full(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(io) = current.downcast_ref::<io::Error>()
            && matches!(
                io.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        {
            return true;
        }
        let text = current.to_string();
        if FULL_TEXTS.iter().any(|full| text.contains(full)) {
            return true;
        }
        next = current.source();
    }
    false
}

/// Waits until a local file and its entry in its folder are on the disk. Other stores have that done when a write returns.
pub(crate) async fn sync(location: &str) -> crate::error::Result<()> {
    let Some(path) = local_path(location) else {
        return Ok(());
    };
    let synced = async {
        tokio::fs::File::open(&path).await?.sync_all().await?;
        match path.parent() {
            Some(folder) => tokio::fs::File::open(folder).await?.sync_all().await,
            None => Ok(()),
        }
    };
    let synced: io::Result<()> = synced.await;
    synced.map_err(|error| classify("sync", location, None, Box::new(error)))
}

/// Writes a local file whose name says its content, all of it or nothing, and waits until the disk has it. One that is there is left alone.
pub(crate) async fn write_once(location: &str, bytes: &[u8]) -> crate::error::Result<()> {
    let failed = |action| {
        move |error: io::Error| classify(action, location, Some(bytes.len() as u64), Box::new(error))
    };
    let path = local_path(location).unwrap_or_else(|| PathBuf::from(location));
    if tokio::fs::try_exists(&path).await.map_err(failed("look for"))? {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    tokio::fs::create_dir_all(&folder)
        .await
        .map_err(failed("create"))?;
    let draft = folder.join(format!(".{}.draft", uuid::Uuid::now_v7().simple()));
    let written = async {
        tokio::fs::write(&draft, bytes).await?;
        tokio::fs::File::open(&draft).await?.sync_all().await?;
        tokio::fs::rename(&draft, &path).await?;
        tokio::fs::File::open(&folder).await?.sync_all().await
    };
    let written: io::Result<()> = written.await;
    if written.is_err()
        && let Err(error) = tokio::fs::remove_file(&draft).await
    {
        tracing::debug!(%error, "no draft to remove");
    }
    written.map_err(failed("write"))
}

/// The local path of a location (`/a`, `file:/a`, `file:///a`); none for any other scheme.
pub(crate) fn local_path(location: &str) -> Option<PathBuf> {
    let path = location
        .strip_prefix("file://")
        .or_else(|| location.strip_prefix("file:"))
        .unwrap_or(location);
    path.starts_with('/').then(|| PathBuf::from(path))
}

/// Bytes that an unprivileged process may still write at `path` or at the nearest folder above it that exists.
pub(crate) fn available(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|ancestor| ancestor.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_full_device_is_told_apart_from_other_failures() {
        let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = full.write_all(b"x").unwrap_err();
        let text = iceberg::Error::new(
            iceberg::ErrorKind::Unexpected,
            format!("Failed to write to file: {error}"),
        );
        let typed = failed("write", "/dev/full", Some(1), text);
        assert!(
            matches!(
                typed,
                Error::DiskFull {
                    needed: Some(1),
                    available: Some(_),
                    ..
                }
            ),
            "{typed:?}"
        );
        assert!(
            typed
                .to_string()
                .starts_with("no space left at /dev/full: 1 bytes needed")
        );

        let chained = iceberg::Error::new(iceberg::ErrorKind::Unexpected, "upload").with_source(error);
        assert!(matches!(
            failed("write", "s3://b/k", None, chained),
            Error::DiskFull { available: None, .. }
        ));

        let other = iceberg::Error::new(iceberg::ErrorKind::Unexpected, "Permission denied (os error 13)");
        assert!(matches!(
            failed("create", "/x", None, other),
            Error::Storage { action: "create", .. }
        ));
    }

    #[test]
    fn locations_become_local_paths() {
        for location in ["/a/b", "file:/a/b", "file:///a/b"] {
            assert_eq!(local_path(location), Some(PathBuf::from("/a/b")));
        }
        assert_eq!(local_path("s3://a/b"), None);
        assert!(available(Path::new("/not/there/at/all")).unwrap() > 0);
    }
}
