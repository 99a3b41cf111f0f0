//! What one table may read: the files below its folder, or below the roots of its source where the config says so.
//!
//! Invariant: a location becomes a store path only when it lies below a root, by its text and without `..`; a local store
//! is rooted there itself, so that no path can name a file elsewhere.

use super::location::Location;
use super::metadata::shown;
use crate::{Error, Result};
use bytes::Bytes;
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;

/// A place below which files may lie, and where that is in its store.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// As locations begin.
    pub(super) location: Location,
    /// The path in the store.
    pub(super) key: Path,
    /// The store: the top of a bucket or of the disk.
    pub(super) home: Location,
}

impl Root {
    /// Where a location below this root is in the store; `None` for one that is not below it.
    pub(super) fn key_of(&self, location: &Location) -> Option<Path> {
        let below = location.below(&self.location)?;
        let key = [self.key.as_ref(), below].join("/");
        Path::parse(key.trim_matches('/')).ok()
    }

    /// The root of a folder below this one.
    pub(super) fn narrowed(&self, below: &str) -> Option<Self> {
        let joined = |path: &str| [path, below].join("/").trim_matches('/').to_owned();
        Some(Self {
            location: Location {
                path: joined(&self.location.path),
                ..self.location.clone()
            },
            key: Path::parse(joined(self.key.as_ref())).ok()?,
            home: self.home.clone(),
        })
    }
}

/// The files of one table. [`super::storage::Storage::warehouse`] makes it.
#[derive(Clone, Debug)]
pub(super) struct Warehouse {
    pub(super) source_name: Arc<str>,
    /// All of one store.
    pub(super) roots: Arc<[Root]>,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) url: ObjectStoreUrl,
    /// What tells the store's files from those of another.
    pub(super) id: Arc<str>,
    pub(super) file_bytes_max: u64,
}

impl Warehouse {
    /// The store, in which [`Warehouse::path`] gives places.
    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The address under which scans name the store.
    pub(super) fn url(&self) -> &ObjectStoreUrl {
        &self.url
    }

    /// What tells a path of this store from the same path of another one, for caches.
    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The store path of a location that `table` names.
    ///
    /// # Errors
    /// [`Error::Outside`] when it does not lie below a root.
    pub(super) fn path(&self, table: &str, location: &str) -> Result<Path> {
        let outside = || Error::Outside {
            table: table.to_owned(),
            path: location.to_owned(),
        };
        let place = Location::parse(location).ok_or_else(outside)?;
        self.roots
            .iter()
            .find_map(|root| root.key_of(&place))
            .ok_or_else(outside)
    }

    /// Reads a whole metadata file, within the bound of the config.
    pub(super) async fn read(&self, table: &str, location: &str) -> Result<Bytes> {
        let path = self.path(table, location)?;
        let found = self
            .store
            .get(&path)
            .await
            .map_err(|cause| self.lost(table, location, cause))?;
        self.check_size(table, location, found.meta.size)?;
        found
            .bytes()
            .await
            .map_err(|cause| self.lost(table, location, cause))
    }

    /// Reads `size` bytes of a file from `start` on, within the bound of the config.
    pub(super) async fn read_range(
        &self,
        table: &str,
        location: &str,
        start: u64,
        size: u64,
    ) -> Result<Bytes> {
        let path = self.path(table, location)?;
        self.check_size(table, location, size)?;
        let end = start.saturating_add(size);
        let missing = |cause: crate::error::Cause| Error::Corrupt {
            table: table.to_owned(),
            path: self.shown(location),
            cause,
        };
        let bytes = match self.store.get_range(&path, start..end).await {
            Ok(bytes) => bytes,
            // A range that the file does not have is told as a plain failure, like many others.
            Err(cause @ object_store::Error::Generic { .. }) => {
                let held = self.store.head(&path).await;
                return Err(match held {
                    Ok(held) if held.size < end => missing(Box::new(cause)),
                    _ => self.lost(table, location, cause),
                });
            }
            Err(other) => return Err(self.lost(table, location, other)),
        };
        if u64::try_from(bytes.len()) == Ok(size) {
            return Ok(bytes);
        }
        Err(missing(
            format!("{size} bytes from {start} on are not there").into(),
        ))
    }

    /// Refuses a metadata file above the bound of the config, before any of it is in memory.
    pub(super) fn check_size(&self, table: &str, location: &str, bytes: u64) -> Result<()> {
        if bytes <= self.file_bytes_max {
            return Ok(());
        }
        let problem = format!(
            "{bytes} bytes are above metadata_file_bytes_max = {}",
            self.file_bytes_max
        );
        Err(Error::Corrupt {
            table: table.to_owned(),
            path: self.shown(location),
            cause: problem.into(),
        })
    }

    /// What a failed read means: a file that a table names and that is missing is a damaged table.
    pub(super) fn lost(&self, table: &str, location: &str, cause: object_store::Error) -> Error {
        match cause {
            object_store::Error::NotFound { .. } => Error::Missing {
                table: table.to_owned(),
                path: self.shown(location),
            },
            other => self.unavailable(location, other),
        }
    }

    /// A failure that may pass.
    pub(super) fn unavailable(
        &self,
        path: &str,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        Error::Unavailable {
            source_name: self.source_name.to_string(),
            path: self.shown(path),
            cause: Box::new(cause),
        }
    }

    /// A location for people, as a path below the warehouse. Where that lies on the server is nobody's business.
    pub(super) fn shown(&self, location: &str) -> String {
        let place = Location::parse(location);
        let below = |root: &Root| Some(place.as_ref()?.below(&root.location)?.to_owned());
        if let Some(path) = self.roots.iter().find_map(below) {
            return path;
        }
        match location.starts_with('/') || location.contains(':') {
            true => shown(location),
            // A path of the store.
            false => location.to_owned(),
        }
    }
}
