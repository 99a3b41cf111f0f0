//! The config of one Iceberg source, and its bounds.

use super::catalog::rest;
use super::location::{Location, Scheme};
use super::storage;
use crate::postgres::Password as Secret;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where an Iceberg lake lies and what its reader may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the catalog is: the path of a SQLite file or `postgres://USER@HOST:PORT/DATABASE`, both in the layout of
    /// Iceberg's JDBC catalog, or the `https://` address of a REST catalog.
    pub catalog: String,
    /// The catalog's name inside that file (column `catalog_name`); several catalogs may share a file.
    #[serde(default = "catalog_name")]
    pub catalog_name: String,
    /// Below which place every table lies: a path, a `file://` URL or that of a bucket and a folder in it. Of a REST
    /// catalog it may also be the name of the warehouse; then `locations` say where tables lie, or the catalog's loans.
    #[serde(default)]
    pub warehouse: String,
    /// Further places below which tables lie.
    #[serde(default)]
    pub locations: Vec<String>,
    /// Where the warehouse was when its tables were written, if it has been moved since.
    #[serde(default)]
    pub moved_from: Option<String>,
    /// What a table may name files of.
    #[serde(default)]
    pub files_within: FilesWithin,
    /// The password of a catalog on Postgres.
    #[serde(default)]
    pub password: Option<Secret>,
    /// How a REST catalog is spoken to.
    #[serde(default)]
    pub rest: Box<rest::Config>,
    /// How buckets are reached.
    #[serde(default)]
    pub storage: Box<storage::Config>,
    /// The most open connections to the catalog; further calls wait for one.
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

/// What a table may name files of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilesWithin {
    /// Its own folder: the one above its metadata.
    #[default]
    Table,
    /// All places of the source, as tables that took over other tables' files do. Who may write one table can then read
    /// all of them.
    Warehouse,
}

/// Where a catalog is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CatalogAt {
    /// In a SQLite file.
    File(PathBuf),
    /// In a Postgres database.
    Postgres(String),
    /// Behind a REST service.
    Rest(url::Url),
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
            catalog: catalog.into().to_string_lossy().into_owned(),
            catalog_name: catalog_name(),
            warehouse: warehouse.into(),
            locations: Vec::new(),
            moved_from: None,
            files_within: FilesWithin::Table,
            password: None,
            rest: Box::default(),
            storage: Box::default(),
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
        let at = self.catalog_at()?;
        if self.catalog_name.is_empty() || self.catalog_name.len() > 255 {
            return Err(invalid("catalog_name", "must have 1 to 255 characters"));
        }
        if self.connections_max == 0 || self.connections_max > 1_024 {
            return Err(invalid("connections_max", "must be 1 to 1024"));
        }
        if self.metadata_file_bytes_max == 0 {
            return Err(invalid("metadata_file_bytes_max", "must be at least 1"));
        }
        self.storage.validate()?;
        if let CatalogAt::Rest(url) = &at {
            self.rest.validate(url)?;
        } else if self.warehouse.is_empty() {
            return Err(invalid("warehouse", "the key is missing"));
        } else if !is_place(&self.warehouse) {
            let problem = "must be an absolute path or the URL of a store, such as s3://BUCKET/FOLDER";
            return Err(invalid("warehouse", problem));
        }
        if self
            .moved_from
            .as_deref()
            .is_some_and(|from| !is_place(from) || self.warehouse.is_empty())
        {
            return Err(invalid(
                "moved_from",
                "must be a place as warehouse, which must be one too",
            ));
        }
        match self.locations.iter().find(|location| !is_place(location)) {
            Some(wrong) => Err(invalid(
                "locations",
                &format!("{wrong} is no absolute path and no URL of a store"),
            )),
            None => Ok(()),
        }
    }

    /// Where the catalog is kept.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is neither a path nor an address.
    pub(super) fn catalog_at(&self) -> Result<CatalogAt> {
        let is = |scheme: &str| self.catalog.starts_with(scheme);
        if is("postgres://") || is("postgresql://") {
            return Ok(CatalogAt::Postgres(self.catalog.clone()));
        }
        if is("http://") || is("https://") {
            let url = url::Url::parse(&self.catalog);
            return url
                .map(CatalogAt::Rest)
                .map_err(|_| invalid("catalog", "is no address"));
        }
        match self.catalog.is_empty() || self.catalog.contains("://") {
            true => Err(invalid(
                "catalog",
                "must be a file, a postgres:// or an https:// address",
            )),
            false => Ok(CatalogAt::File(PathBuf::from(&self.catalog))),
        }
    }

    /// The same without a cache on local disk.
    pub(super) fn without_cache(&self) -> Self {
        let mut config = self.clone();
        config.storage.cache_dir = None;
        config
    }

    /// The places below which tables lie.
    pub(super) fn roots(&self) -> impl Iterator<Item = &str> {
        let warehouse = Some(self.warehouse.as_str()).filter(|text| is_place(text));
        warehouse
            .into_iter()
            .chain(self.locations.iter().map(String::as_str))
    }

    /// The warehouse as an absolute path; none where it is a bucket or a name.
    pub fn warehouse_path(&self) -> Option<PathBuf> {
        let place = Location::parse(&self.warehouse)?;
        (place.scheme == Scheme::File).then(|| PathBuf::from(format!("/{}", place.path)))
    }

    /// As [`crate::SourceConfig::fill_secrets`].
    pub(crate) fn fill_secrets(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<()> {
        if let Some(password) = &mut self.password {
            password.fill(&variable)?;
        }
        self.rest.fill_secrets(&variable)?;
        self.storage.fill_secrets(&variable)
    }
}

/// Whether a text is the location of a place.
fn is_place(text: &str) -> bool {
    Location::parse(text).is_some()
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
    fn a_warehouse_is_a_place_or_the_name_of_one_at_a_rest_catalog() {
        let problem = |config: Config| config.validate().err().map(|error| error.to_string());
        for good in [
            "/w",
            "file:///w",
            "s3://b/w",
            "abfss://c@a.dfs.core.windows.net/w",
            "gs://b",
        ] {
            assert_eq!(problem(Config::new("/c.db", good)), None, "{good}");
        }
        for bad in ["warehouse", "", "hdfs://n/w"] {
            assert!(
                problem(Config::new("/c.db", bad))
                    .unwrap()
                    .starts_with("key warehouse: "),
                "{bad}"
            );
        }
        assert_eq!(problem(Config::new("https://c/iceberg", "analytics")), None);
        assert_eq!(problem(Config::new("postgres://u@h/d", "s3://b/w")), None);
        assert!(
            problem(Config::new("mysql://u@h/d", "/w"))
                .unwrap()
                .starts_with("key catalog: ")
        );
        assert!(
            problem(Config::new("http://c/iceberg", "w"))
                .unwrap()
                .contains("allow_http")
        );
        let mut config = Config::new("/c.db", "/w");
        config.locations = vec!["x".to_owned()];
        assert!(problem(config).unwrap().starts_with("key locations: x "));
    }
}
