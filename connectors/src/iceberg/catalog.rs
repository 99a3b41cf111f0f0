//! Where the tables of a source are: in a SQL database in the layout of Apache Iceberg's `JdbcCatalog` V1, which
//! PyIceberg's `SqlCatalog` reads and writes too, or behind a REST service.
//!
//! Invariants:
//! - A reader asks only for what [`Lookup`] has: the names, and where the newest metadata of a table is.
//! - A table changes only by the swap of its metadata location from the one that was read: of two writers with one base
//!   exactly one wins, and the other gets a retryable `CatalogCommitConflicts`.
//! - A metadata file is on the disk before the catalog points to it, and is never written twice.

mod operations;
mod postgres;
mod publish;
pub(super) mod rest;
mod rows;
mod sqlite;

pub use publish::Publication;

use super::config::CatalogAt;
use super::storage::lent::LentProvider;
use super::storage::{self, Storage};
use crate::iceberg::Config;
use crate::{Error, Result};
use async_trait::async_trait;
use iceberg::io::FileIO;
use iceberg::spec::TableMetadata;
use iceberg::table::Table;
use iceberg::{Catalog, ErrorKind, MetadataLocation, NamespaceIdent, Runtime, TableIdent};
use rows::Rows;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tokio::runtime::Handle;

/// The property that marks a namespace as made, in every implementation of this layout.
const EXISTS: &str = "exists";
/// The namespace property that says where its tables lie.
const LOCATION: &str = "location";

/// What a reader asks a catalog for.
#[async_trait]
pub(super) trait Lookup: fmt::Debug + Send + Sync {
    /// Whether the catalog answers.
    async fn check(&self) -> Result<()>;

    /// All namespaces in their dotted form, sorted.
    async fn namespaces(&self) -> Result<Vec<String>>;

    /// All tables as (namespace, name), sorted.
    async fn tables(&self) -> Result<Vec<(String, String)>>;

    /// Where a table is now; `None` when there is no such table.
    async fn pointer(&self, namespace: &str, table: &str) -> Result<Option<Pointer>>;
}

/// Where a table is.
#[derive(Clone, Debug)]
pub(super) struct Pointer {
    /// The location of its newest metadata file.
    pub(super) location: String,
    /// What is in that file, where the catalog says it as well.
    pub(super) metadata: Option<Arc<TableMetadata>>,
    /// The credentials for the table's folder, where the catalog lends some.
    pub(super) lent: Option<Arc<LentProvider>>,
}

/// The catalog that `config` names, for readers. One on the network is not asked yet.
pub(super) async fn open_lookup(source_name: &str, config: &Config, io: Handle) -> Result<Arc<dyn Lookup>> {
    match config.catalog_at()? {
        CatalogAt::Rest(url) => Ok(Arc::new(rest::RestCatalog::new(source_name, &url, config, io)?)),
        CatalogAt::File(_) | CatalogAt::Postgres(_) => {
            Ok(Arc::new(JdbcCatalog::open(source_name, config, io).await?))
        }
    }
}

/// The catalog in a SQL database. Cheap to share; holds no state but its pool.
#[derive(Debug)]
pub struct JdbcCatalog {
    name: String,
    warehouse: String,
    file_io: FileIO,
    /// Whether tables lie on local disk.
    is_local: bool,
    runtime: Runtime,
    rows: Box<dyn Rows>,
}

/// Opens the catalog of `config`. A file must exist and hold the catalog's tables; a server is not asked yet.
///
/// # Errors
/// [`Error::NotFound`] naming the file, [`Error::Unavailable`] when it is not such a catalog.
pub async fn open_catalog(config: &Config) -> Result<Arc<JdbcCatalog>> {
    JdbcCatalog::open("iceberg", config, Handle::current())
        .await
        .map(Arc::new)
}

/// Makes the catalog's tables, and a catalog file and a warehouse folder, where they are missing, and opens the catalog.
///
/// # Errors
/// [`Error::Invalid`] for a config that cannot be used, [`Error::Unavailable`] when the disk refuses.
pub async fn create_catalog(config: &Config) -> Result<Arc<JdbcCatalog>> {
    config.validate()?;
    let file = match config.catalog_at()? {
        CatalogAt::File(file) => file.parent().map(ToOwned::to_owned),
        CatalogAt::Postgres(_) | CatalogAt::Rest(_) => None,
    };
    for folder in [file, config.warehouse_path()]
        .into_iter()
        .flatten()
        .filter(|path| !path.as_os_str().is_empty())
    {
        tokio::fs::create_dir_all(&folder)
            .await
            .map_err(|cause| Error::Unavailable {
                source_name: "iceberg".to_owned(),
                path: folder.display().to_string(),
                cause: Box::new(cause),
            })?;
    }
    open_rows("iceberg", config, Handle::current())?.create().await?;
    open_catalog(config).await
}

fn open_rows(source_name: &str, config: &Config, io: Handle) -> Result<Box<dyn Rows>> {
    match config.catalog_at()? {
        CatalogAt::File(file) => Ok(Box::new(sqlite::Pool::new(source_name, file, config, io))),
        CatalogAt::Postgres(url) => Ok(Box::new(postgres::Server::new(source_name, &url, config, io)?)),
        CatalogAt::Rest(_) => Err(Error::Invalid {
            key: "catalog".to_owned(),
            problem: "is a REST catalog, and not one in a database".to_owned(),
        }),
    }
}

impl JdbcCatalog {
    /// Opens the catalog of the source `source_name`; its blocking work runs on `io`.
    pub(super) async fn open(source_name: &str, config: &Config, io: Handle) -> Result<Self> {
        config.validate()?;
        let runtime = {
            let _inside = io.enter();
            Runtime::current()
        };
        let local = config.warehouse_path();
        let file_io = match &local {
            Some(_) => FileIO::new_with_fs(),
            // A writer reads little, and the cache on disk is the reader's.
            None => storage::io::file_io(&Storage::open(source_name, &config.without_cache(), io.clone())?),
        };
        let catalog = Self {
            name: config.catalog_name.clone(),
            is_local: local.is_some(),
            warehouse: local.map_or_else(|| config.warehouse.clone(), |path| path.display().to_string()),
            file_io,
            runtime,
            rows: open_rows(source_name, config, io)?,
        };
        // A server that is down must not hold up the start; a file that is missing is a mistake.
        if let CatalogAt::File(_) = config.catalog_at()? {
            catalog.check().await?;
        }
        Ok(catalog)
    }

    /// Where the current metadata of a table lies, whether or not it can be read there; `None` when there is no such
    /// table.
    ///
    /// # Errors
    /// What the catalog's database says.
    pub async fn location(&self, namespace: &str, table: &str) -> Result<Option<String>> {
        self.rows.location(&self.name, namespace, table).await
    }

    fn table(&self, ident: TableIdent, location: String, metadata: TableMetadata) -> iceberg::Result<Table> {
        Table::builder()
            .identifier(ident)
            .metadata_location(location)
            .metadata(metadata)
            .file_io(self.file_io.clone())
            .runtime(self.runtime.clone())
            // Each load would start an empty cache; the reader of this crate has its own.
            .disable_cache()
            .build()
    }

    /// Writes a metadata file and waits until the disk has it.
    async fn write_metadata(
        &self,
        metadata: &TableMetadata,
        location: &MetadataLocation,
    ) -> iceberg::Result<()> {
        metadata.write_to(&self.file_io, location).await?;
        if !self.is_local {
            // A store that has answered has the file.
            return Ok(());
        }
        let text = location.to_string();
        let place = super::location::Location::parse(&text).ok_or_else(|| {
            iceberg::Error::new(ErrorKind::FeatureUnsupported, format!("storage of {text}"))
        })?;
        let path = format!("/{}", place.path);
        let synced = async {
            tokio::fs::File::open(&path).await?.sync_all().await?;
            match std::path::Path::new(&path).parent() {
                Some(folder) => tokio::fs::File::open(folder).await?.sync_all().await,
                None => Ok(()),
            }
        };
        synced.await.map_err(|e: std::io::Error| {
            iceberg::Error::new(ErrorKind::Unexpected, format!("cannot sync {path}")).with_source(e)
        })
    }

    /// The folder of a new table: below its namespace's own location, else below the warehouse.
    async fn default_location(&self, namespace: &NamespaceIdent, table: &str) -> iceberg::Result<String> {
        let properties = self.get_namespace(namespace).await?.properties().clone();
        let base = match properties.get(LOCATION) {
            Some(location) => location.trim_end_matches('/').to_owned(),
            None => format!("{}/{}", self.warehouse.trim_end_matches('/'), namespace.join("/")),
        };
        Ok(format!("{base}/{table}"))
    }

    async fn require_namespace(&self, namespace: &NamespaceIdent) -> iceberg::Result<()> {
        if self.namespace_exists(namespace).await? {
            return Ok(());
        }
        Err(iceberg::Error::new(
            ErrorKind::NamespaceNotFound,
            format!("namespace {namespace} does not exist"),
        ))
    }
}

impl JdbcCatalog {
    async fn put_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: &HashMap<String, String>,
    ) -> iceberg::Result<()> {
        let mut rows: Vec<_> = properties
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        rows.retain(|(key, _)| key != EXISTS);
        rows.push((EXISTS.to_owned(), "true".to_owned()));
        let name = namespace.join(".");
        self.rows
            .put_properties(&self.name, &name, &rows)
            .await
            .map_err(foreign)
    }

    /// Points a table from one metadata file to the next; false when it no longer points to the old one.
    pub(super) async fn point(&self, ident: &TableIdent, old: &str, new: &str) -> Result<bool> {
        let namespace = ident.namespace.join(".");
        self.rows
            .swap(&self.name, &namespace, &ident.name, (old, new))
            .await
    }

    async fn insert(&self, ident: &TableIdent, location: &str) -> iceberg::Result<()> {
        let namespace = ident.namespace.join(".");
        let added = self
            .rows
            .insert(&self.name, &namespace, &ident.name, location)
            .await;
        if added.map_err(foreign)? {
            Ok(())
        } else {
            Err(table_exists(ident))
        }
    }
}

#[async_trait]
impl Lookup for JdbcCatalog {
    async fn check(&self) -> Result<()> {
        self.rows.location(&self.name, "", "").await.map(drop)
    }

    async fn namespaces(&self) -> Result<Vec<String>> {
        self.rows.namespaces(&self.name).await
    }

    async fn tables(&self) -> Result<Vec<(String, String)>> {
        self.rows.tables(&self.name, None).await
    }

    async fn pointer(&self, namespace: &str, table: &str) -> Result<Option<Pointer>> {
        let location = self.location(namespace, table).await?;
        Ok(location.map(|location| Pointer {
            location,
            metadata: None,
            lent: None,
        }))
    }
}

fn table_exists(ident: &TableIdent) -> iceberg::Error {
    iceberg::Error::new(
        ErrorKind::TableAlreadyExists,
        format!("table {ident} already exists"),
    )
}

/// An error of this crate as one of Iceberg's, its cause kept.
fn foreign(error: Error) -> iceberg::Error {
    let retryable = error.is_retryable();
    iceberg::Error::new(ErrorKind::Unexpected, error.to_string())
        .with_retryable(retryable)
        .with_source(error)
}

#[cfg(test)]
mod tests;
