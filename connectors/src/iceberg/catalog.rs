//! An Iceberg catalog in one SQLite file, in the layout of Apache Iceberg's `JdbcCatalog` V1, which PyIceberg's
//! `SqlCatalog` reads and writes too.
//!
//! Invariants:
//! - A table changes only by the swap of its metadata location from the one that was read: of two writers with one base
//!   exactly one wins, and the other gets a retryable `CatalogCommitConflicts`.
//! - A metadata file is on the disk before the catalog points to it, and is never written twice.

mod operations;
mod publish;
mod sqlite;

pub use publish::Publication;

use crate::iceberg::Config;
use crate::{Error, Result};
use iceberg::io::FileIO;
use iceberg::spec::TableMetadata;
use iceberg::table::Table;
use iceberg::{Catalog, ErrorKind, MetadataLocation, NamespaceIdent, Runtime, TableIdent};
use sqlite::{Pool, Session};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Handle;

/// The property that marks a namespace as made, in every implementation of this layout.
const EXISTS: &str = "exists";
/// The namespace property that says where its tables lie.
const LOCATION: &str = "location";

/// The catalog. Cheap to share; holds no state but its pool.
#[derive(Debug)]
pub struct JdbcCatalog {
    name: String,
    warehouse: String,
    file_io: FileIO,
    runtime: Runtime,
    pool: Pool,
}

/// Opens the catalog of `config`. Its file must exist and hold the catalog's tables.
///
/// # Errors
/// [`Error::NotFound`] naming the file, [`Error::Unavailable`] when it is not such a catalog.
pub async fn open_catalog(config: &Config) -> Result<Arc<JdbcCatalog>> {
    JdbcCatalog::open("iceberg", config, Handle::current())
        .await
        .map(Arc::new)
}

/// Makes the catalog file, its tables and the warehouse folder where they are missing, and opens the catalog.
///
/// # Errors
/// [`Error::Invalid`] for a config that cannot be used, [`Error::Unavailable`] when the disk refuses.
pub async fn create_catalog(config: &Config) -> Result<Arc<JdbcCatalog>> {
    config.validate()?;
    let warehouse = config.warehouse_path()?;
    let folders = [config.catalog.parent().map(ToOwned::to_owned), Some(warehouse)];
    for folder in folders
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
    Pool::new("iceberg", config, Handle::current()).create().await?;
    open_catalog(config).await
}

impl JdbcCatalog {
    /// Opens the catalog of the source `source_name`; its blocking work runs on `io`.
    pub(super) async fn open(source_name: &str, config: &Config, io: Handle) -> Result<Self> {
        config.validate()?;
        let runtime = {
            let _inside = io.enter();
            Runtime::current()
        };
        let catalog = Self {
            name: config.catalog_name.clone(),
            warehouse: config.warehouse_path()?.display().to_string(),
            file_io: FileIO::new_with_fs(),
            runtime,
            pool: Pool::new(source_name, config, io),
        };
        catalog.check().await?;
        Ok(catalog)
    }

    /// Whether the catalog file answers.
    pub(super) async fn check(&self) -> Result<()> {
        self.ask(|session, catalog| session.location(catalog, "", "").map(|_| ()))
            .await
    }

    /// Where the current metadata of a table lies; `None` when there is no such table.
    pub(super) async fn location(&self, namespace: &str, table: &str) -> Result<Option<String>> {
        let (namespace, table) = (namespace.to_owned(), table.to_owned());
        self.ask(move |session, catalog| session.location(catalog, &namespace, &table))
            .await
    }

    /// All tables as (namespace, name), sorted.
    pub(super) async fn all_tables(&self) -> Result<Vec<(String, String)>> {
        self.ask(|session, catalog| session.tables(catalog, None)).await
    }

    /// All namespaces in their dotted form, sorted.
    pub(super) async fn all_namespaces(&self) -> Result<Vec<String>> {
        self.ask(|session, catalog| session.namespaces(catalog)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session, &str) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let catalog = self.name.clone();
        self.pool.run(move |session| work(session, &catalog)).await
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
        let text = location.to_string();
        let path = super::config::strip_file_scheme(&text).ok_or_else(|| {
            iceberg::Error::new(ErrorKind::FeatureUnsupported, format!("storage of {text}"))
        })?;
        let synced = async {
            tokio::fs::File::open(path).await?.sync_all().await?;
            match std::path::Path::new(path).parent() {
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
        self.ask(move |session, catalog| session.put_properties(catalog, &name, &rows))
            .await
            .map_err(foreign)
    }

    /// Points a table from one metadata file to the next; false when it no longer points to the old one.
    pub(super) async fn point(&self, ident: &TableIdent, old: &str, new: &str) -> Result<bool> {
        let (namespace, name) = (ident.namespace.join("."), ident.name.clone());
        let pair = (old.to_owned(), new.to_owned());
        self.ask(move |session, catalog| session.swap(catalog, &namespace, &name, (&pair.0, &pair.1)))
            .await
    }

    async fn insert(&self, ident: &TableIdent, location: &str) -> iceberg::Result<()> {
        let (namespace, name, place) = (ident.namespace.join("."), ident.name.clone(), location.to_owned());
        let added = self
            .ask(move |session, catalog| session.insert(catalog, &namespace, &name, &place))
            .await;
        if added.map_err(foreign)? {
            Ok(())
        } else {
            Err(table_exists(ident))
        }
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
