//! The config of one Iceberg source, and its bounds.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where an Iceberg lake lies and what its reader may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The SQLite file that holds the catalog, in the layout of Iceberg's JDBC catalog.
    pub catalog: PathBuf,
    /// The catalog's name inside that file (column `catalog_name`); several catalogs may share a file.
    #[serde(default = "catalog_name")]
    pub catalog_name: String,
    /// The folder that holds every table: a path or a `file://` URL. No file outside of it is read.
    pub warehouse: String,
    /// The most open connections to the catalog file; further calls wait for one.
    #[serde(default = "connections_max")]
    pub connections_max: usize,
    /// How long a call waits for another writer of the catalog file, in milliseconds.
    #[serde(default = "busy_timeout_ms")]
    pub busy_timeout_ms: u64,
    /// Memory for table metadata, manifest lists and manifests, in bytes.
    #[serde(default = "metadata_cache_bytes")]
    pub metadata_cache_bytes: u64,
    /// Memory for the footers and page indexes of data files, in bytes.
    #[serde(default = "footer_cache_bytes")]
    pub footer_cache_bytes: u64,
    /// Memory for the Bloom filters of data files, in bytes.
    #[serde(default = "bloom_cache_bytes")]
    pub bloom_cache_bytes: u64,
    /// Memory for what delete files say, in bytes; also the most that the keys of one equality delete file may take.
    #[serde(default = "delete_cache_bytes")]
    pub delete_cache_bytes: u64,
    /// The largest metadata file, manifest list, manifest, delete file or deletion vector that is read, in bytes.
    #[serde(default = "metadata_file_bytes_max")]
    pub metadata_file_bytes_max: u64,
}

fn catalog_name() -> String {
    "lakegate".to_owned()
}

fn connections_max() -> usize {
    4
}

fn busy_timeout_ms() -> u64 {
    5_000
}

fn metadata_cache_bytes() -> u64 {
    128 << 20
}

fn footer_cache_bytes() -> u64 {
    128 << 20
}

fn bloom_cache_bytes() -> u64 {
    64 << 20
}

fn delete_cache_bytes() -> u64 {
    128 << 20
}

fn metadata_file_bytes_max() -> u64 {
    256 << 20
}

impl Config {
    /// A config with the default bounds.
    pub fn new(catalog: impl Into<PathBuf>, warehouse: impl Into<String>) -> Self {
        Self {
            catalog: catalog.into(),
            catalog_name: catalog_name(),
            warehouse: warehouse.into(),
            connections_max: connections_max(),
            busy_timeout_ms: busy_timeout_ms(),
            metadata_cache_bytes: metadata_cache_bytes(),
            footer_cache_bytes: footer_cache_bytes(),
            bloom_cache_bytes: bloom_cache_bytes(),
            delete_cache_bytes: delete_cache_bytes(),
            metadata_file_bytes_max: metadata_file_bytes_max(),
        }
    }

    /// Checks the keys without touching the disk.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key.
    pub fn validate(&self) -> Result<()> {
        if self.catalog.as_os_str().is_empty() {
            return Err(invalid("catalog", "is empty"));
        }
        if self.catalog_name.is_empty() || self.catalog_name.len() > 255 {
            return Err(invalid("catalog_name", "must have 1 to 255 characters"));
        }
        if self.connections_max == 0 || self.connections_max > 1_024 {
            return Err(invalid("connections_max", "must be 1 to 1024"));
        }
        if self.metadata_file_bytes_max == 0 {
            return Err(invalid("metadata_file_bytes_max", "must be at least 1"));
        }
        self.warehouse_path().map(|_| ())
    }

    /// The warehouse as an absolute path.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is relative or of another scheme than `file`.
    pub fn warehouse_path(&self) -> Result<PathBuf> {
        let path = strip_file_scheme(&self.warehouse)
            .ok_or_else(|| invalid("warehouse", "only a local folder or a file:// URL is supported"))?;
        if !Path::new(path).is_absolute() {
            return Err(invalid("warehouse", "must be an absolute path"));
        }
        Ok(PathBuf::from(path))
    }
}

/// The path of a location without its `file:` scheme, in the spellings that Iceberg writers use; `None` for another
/// scheme. Nothing is percent-decoded: writers put the path down as it is on disk.
pub(super) fn strip_file_scheme(location: &str) -> Option<&str> {
    let scheme_end = location.find(':').filter(|end| {
        location[..*end]
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
            && location.starts_with(|c: char| c.is_ascii_alphabetic())
    });
    let Some(end) = scheme_end else {
        return Some(location);
    };
    if !location[..end].eq_ignore_ascii_case("file") {
        return None;
    }
    let rest = &location[end + 1..];
    // file:///a, file://localhost/a and file:/a all mean /a.
    match rest.strip_prefix("//") {
        Some(after) if after.starts_with('/') => Some(after),
        Some(after) => after
            .strip_prefix("localhost")
            .filter(|path| path.starts_with('/')),
        None => Some(rest),
    }
}

fn invalid(key: &str, problem: &str) -> Error {
    Error::Invalid {
        key: key.to_owned(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_locations_of_every_spelling_mean_one_path() {
        for spelling in [
            "/w/t",
            "file:/w/t",
            "file:///w/t",
            "FILE:///w/t",
            "file://localhost/w/t",
        ] {
            assert_eq!(strip_file_scheme(spelling), Some("/w/t"), "{spelling}");
        }
        for other in ["s3://b/t", "file://host/w", "hdfs:/w"] {
            assert_eq!(strip_file_scheme(other), None, "{other}");
        }
        assert_eq!(strip_file_scheme("/w/a:b"), Some("/w/a:b"));
    }

    #[test]
    fn a_relative_or_foreign_warehouse_is_refused() {
        assert!(Config::new("/c.db", "warehouse").validate().is_err());
        assert!(Config::new("/c.db", "s3://b/w").validate().is_err());
        assert!(Config::new("/c.db", "/w").validate().is_ok());
    }
}
