//! The folder of one source: the only place that its tables' files are read from.
//!
//! Invariant: a location becomes a store path only when it lies below the warehouse, by its text and without `..`, and
//! the store itself is rooted there, so that no path can name a file elsewhere.

use super::config::{Config, strip_file_scheme};
use super::metadata::shown;
use crate::{Error, Result};
use bytes::Bytes;
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::path::PathBuf;
use std::sync::Arc;

/// The warehouse of one source.
#[derive(Clone, Debug)]
pub(super) struct Warehouse {
    source_name: String,
    /// The spellings of the root that a location may start with: as configured, and with links followed.
    roots: Vec<PathBuf>,
    store: Arc<dyn ObjectStore>,
    url: ObjectStoreUrl,
    file_bytes_max: u64,
}

impl Warehouse {
    /// Opens the folder of `config` for the source `source_name`.
    pub(super) fn open(source_name: &str, config: &Config) -> Result<Self> {
        let root = config.warehouse_path()?;
        let real = root.canonicalize().map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound {
                what: "warehouse",
                name: root.display().to_string(),
            },
            _ => unavailable(source_name, &root.display().to_string(), cause),
        })?;
        let store = LocalFileSystem::new_with_prefix(&real)
            .map_err(|cause| unavailable(source_name, &root.display().to_string(), cause))?;
        let url =
            ObjectStoreUrl::parse(format!("iceberg://{source_name}")).map_err(|cause| Error::Internal {
                doing: "naming a store",
                cause: Box::new(cause),
            })?;
        Ok(Self {
            source_name: source_name.to_owned(),
            roots: vec![root, real],
            store: Arc::new(store),
            url,
            file_bytes_max: config.metadata_file_bytes_max,
        })
    }

    /// The same folder under one more spelling of its root: that of the place where its tables were written.
    #[cfg(test)]
    pub(super) fn known_as(mut self, root: &str) -> Self {
        self.roots.insert(0, PathBuf::from(root));
        self
    }

    /// The store, rooted at the warehouse.
    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The address under which scans name the store.
    pub(super) fn url(&self) -> &ObjectStoreUrl {
        &self.url
    }

    /// The store path of a location that `table` names.
    ///
    /// # Errors
    /// [`Error::Outside`] when it does not lie below the warehouse.
    pub(super) fn path(&self, table: &str, location: &str) -> Result<Path> {
        let outside = || Error::Outside {
            table: table.to_owned(),
            path: location.to_owned(),
        };
        let local = strip_file_scheme(location).ok_or_else(outside)?;
        let local = std::path::Path::new(local);
        let below = self
            .roots
            .iter()
            .find_map(|root| local.strip_prefix(root).ok())
            .ok_or_else(outside)?;
        // The parts, joined anew, leave out doubled slashes and single dots, which writers do produce.
        let mut parts = Vec::new();
        for part in below.components() {
            match part {
                std::path::Component::Normal(name) => parts.push(name.to_str().ok_or_else(outside)?),
                std::path::Component::CurDir => {}
                _ => return Err(outside()),
            }
        }
        Path::parse(parts.join("/")).map_err(|_| outside())
    }

    /// The same location as an absolute local path.
    pub(super) fn local(&self, table: &str, location: &str) -> Result<PathBuf> {
        let path = self.path(table, location)?;
        let root = self.roots.last().cloned().unwrap_or_default();
        Ok(root.join(path.as_ref()))
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
        let read = self.store.get_range(&path, start..end).await;
        let bytes = read.map_err(|cause| match cause {
            // A range that the file does not have is told as a plain failure.
            object_store::Error::Generic { .. } => Error::Corrupt {
                table: table.to_owned(),
                path: self.shown(location),
                cause: Box::new(cause),
            },
            other => self.lost(table, location, other),
        })?;
        if u64::try_from(bytes.len()) == Ok(size) {
            return Ok(bytes);
        }
        Err(Error::Corrupt {
            table: table.to_owned(),
            path: self.shown(location),
            cause: format!("{size} bytes from {start} on are not there").into(),
        })
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
            object_store::Error::NotFound { .. } => Error::Corrupt {
                table: table.to_owned(),
                path: self.shown(location),
                cause: Box::new(cause),
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
        unavailable(&self.source_name, &self.shown(path), cause)
    }

    /// A location for people, as a path below the warehouse. Where that lies on the server is nobody's business.
    pub(super) fn shown(&self, location: &str) -> String {
        if let Ok(path) = self.path("", location) {
            return path.to_string();
        }
        match location.starts_with('/') || location.contains(':') {
            true => shown(location),
            // A path of the store.
            false => location.to_owned(),
        }
    }
}

fn unavailable(
    source_name: &str,
    path: &str,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::Unavailable {
        source_name: source_name.to_owned(),
        path: path.to_owned(),
        cause: Box::new(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warehouse() -> (tempfile::TempDir, Warehouse) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::new("/c.db", dir.path().to_str().unwrap());
        let warehouse = Warehouse::open("lake", &config).unwrap();
        (dir, warehouse)
    }

    #[test]
    fn a_location_below_the_warehouse_is_found_in_every_spelling() {
        let (dir, warehouse) = warehouse();
        let root = dir.path().to_str().unwrap();
        for location in [
            format!("{root}/t/a.parquet"),
            format!("file://{root}//t/./a.parquet"),
            format!("file:{root}/t/a.parquet"),
        ] {
            assert_eq!(
                warehouse.path("t", &location).unwrap().as_ref(),
                "t/a.parquet",
                "{location}"
            );
        }
        let odd = warehouse
            .path("t", &format!("{root}/t/a%20b=c d.parquet"))
            .unwrap();
        assert_eq!(odd.as_ref(), "t/a%20b=c d.parquet");
    }

    #[test]
    fn a_location_that_leaves_the_warehouse_is_refused() {
        let (dir, warehouse) = warehouse();
        let root = dir.path().to_str().unwrap();
        let outside = [
            "/etc/passwd".to_owned(),
            format!("{root}/../secret"),
            format!("{root}/t/../../secret"),
            format!("{root}2/t/a.parquet"),
            "s3://bucket/t".to_owned(),
            "t/a.parquet".to_owned(),
        ];
        for location in outside {
            let error = warehouse.path("gold.t", &location).unwrap_err();
            assert!(matches!(error, Error::Outside { .. }), "{location}: {error}");
        }
    }
}
