//! Iceberg tables of one catalog.
//!
//! Path of a table: `catalog` says where its metadata lies, `storage` opens the store that it lies in and `warehouse` shows
//! the files that the table may name, `metadata` reads it and the manifests, `files` plans,
//! `pruning`, `bounds` and `blooms` leave files out, `partitions` deals them out, `table` makes the scan, `adapter` and `reader`
//! fit each file to the table's columns.
//!
//! Rows that deletes take away: `deletes` says which delete files apply to a data file and what they say, `source` leaves
//! those rows out.
//!
//! Earlier states: `pin` says what a version, a branch, a tag or an instant stands for; `inspect` tells a table's metadata
//! as tables.
//!
//! What ingest wrote into its snapshots: `system` tells it as tables.
//!
//! Files of other writers: `naming` gives ids to the columns of files that have none, `nested` rebuilds what changed
//! inside of a column.
//!
//! Not read, and refused by name: data files other than Parquet, encryption, defaults that are no plain value.

mod adapter;
mod blooms;
mod bounds;
mod catalog;
mod config;
mod deletes;
mod files;
#[cfg(test)]
mod fixture;
mod inspect;
mod location;
mod metadata;
mod named;
mod naming;
mod nested;
mod partitions;
mod pin;
mod pruning;
mod reader;
mod schema;
mod source;
mod statistics;
mod storage;
mod system;
mod table;
mod unpruned;
mod values;
mod warehouse;
mod weight;

pub use catalog::rest::Config as RestConfig;
pub use catalog::{JdbcCatalog, Publication, create_catalog, open_catalog};
pub use config::{Config, FilesWithin};
pub use storage::{Config as StorageConfig, Credentials};

use crate::{
    AsOf, Capabilities, Connector, Error, Pushdown, Result, SourceTable, TableEntry, TableKind, Version,
};
use ::iceberg::spec::TableMetadata;
use async_trait::async_trait;
use blooms::Blooms;
use catalog::{Lookup, Pointer};
use datafusion::catalog::TableProvider;
use deletes::cache::DeleteCache;
use files::Snapshot;
use inspect::{Kind, MetadataTable};
use metadata::{Known, MetadataStore};
use naming::Naming;
use pin::Pin;
use reader::Footers;
use std::sync::Arc;
use storage::Storage;
use table::IcebergTable;
use tokio::runtime::Handle;
use warehouse::Warehouse;

/// The key of a field's Iceberg id in its Arrow metadata; the one that Parquet files use.
pub const FIELD_ID_KEY: &str = parquet::arrow::PARQUET_FIELD_ID_META_KEY;
/// The key of a column's comment (Iceberg's `doc`) in its Arrow metadata.
pub const COMMENT_KEY: &str = "comment";

/// What this connector does.
pub const CAPABILITIES: Capabilities = Capabilities {
    kind: "iceberg",
    projection: Pushdown::Exact,
    filter: Pushdown::Prunes,
    limit: Pushdown::Prunes,
    aggregate: Pushdown::No,
    join: Pushdown::No,
    versions: true,
    partitions: true,
};

/// The connector.
#[derive(Debug)]
pub struct Iceberg {
    catalog: Arc<dyn Lookup>,
    storage: Storage,
    known: Known,
    footers: Footers,
    blooms: Blooms,
    deletes: DeleteCache,
}

/// One table with what its files are read through.
struct Opened {
    metadata: Arc<TableMetadata>,
    location: String,
    store: MetadataStore,
    warehouse: Warehouse,
}

impl Iceberg {
    /// Opens the source `name`. A catalog file and a warehouse folder must exist; a catalog or a store on the network is not
    /// asked yet. Blocking work and sockets run on `io`.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] naming what is missing, [`crate::Error::Invalid`] naming a bad key.
    pub async fn open(name: &str, config: &Config, io: Handle) -> Result<Self> {
        config.validate()?;
        let catalog = catalog::open_lookup(name, config, io.clone()).await?;
        Ok(Self::over(catalog, Storage::open(name, config, io)?, config))
    }

    fn over(catalog: Arc<dyn Lookup>, storage: Storage, config: &Config) -> Self {
        Self {
            catalog,
            storage,
            known: metadata::known(config.metadata_cache_bytes),
            footers: reader::footers(config.footer_cache_bytes),
            blooms: blooms::blooms(config.bloom_cache_bytes),
            deletes: DeleteCache::new(config.delete_cache_bytes),
        }
    }

    /// The table `full` where the catalog says that it is.
    async fn opened(&self, full: &str, pointer: Pointer) -> Result<Opened> {
        let Pointer {
            location,
            metadata,
            lent,
        } = pointer;
        let warehouse = self.storage.warehouse(full, &location, lent.as_ref()).await?;
        let store = MetadataStore::new(warehouse.clone(), self.known.clone());
        let metadata = match metadata {
            Some(metadata) => metadata,
            None => store.metadata(full, &location).await?,
        };
        Ok(Opened {
            metadata,
            location,
            store,
            warehouse,
        })
    }

    fn pinned(&self, name: &str, opened: Opened, at: Option<&Version>) -> Result<SourceTable> {
        let Opened {
            metadata,
            store,
            warehouse,
            ..
        } = opened;
        let Pin {
            snapshot,
            columns,
            version,
        } = match at {
            None => pin::newest(&metadata),
            Some(version) => pin::at(name, &metadata, version)?,
        };
        let schema = Arc::new(schema::to_arrow(&columns));
        let naming = Naming::of(name, &metadata)?;
        let defaults = Arc::new(schema::defaults(name, &columns)?);
        let comment = metadata.properties().get("comment").cloned();
        let primary_key = schema::primary_key(&columns);
        let snapshot = Snapshot {
            table: name.into(),
            snapshot,
            schema: Arc::clone(&schema),
            metadata,
        };
        let scans = |snapshot| {
            Arc::new(IcebergTable {
                snapshot,
                store: store.clone(),
                warehouse: warehouse.clone(),
                footers: self.footers.clone(),
                blooms: self.blooms.clone(),
                deletes: self.deletes.clone(),
                naming: naming.clone(),
                defaults: Arc::clone(&defaults),
            }) as Arc<dyn TableProvider>
        };
        let plain = Snapshot {
            schema: Arc::new(schema::without_views(&schema)),
            ..snapshot.clone()
        };
        let object_stores = vec![(warehouse.url().clone(), Arc::clone(warehouse.store()))];
        Ok(SourceTable {
            without_views: (plain.schema != schema).then(|| scans(plain)),
            provider: scans(snapshot),
            version,
            comment,
            primary_key,
            schema,
            object_stores,
        })
    }
}

impl Iceberg {
    /// A metadata table, pinned by the name of a metadata file that the table still knows.
    async fn inspected(
        &self,
        schema: &str,
        table: &str,
        kind: Kind,
        at: Option<&Version>,
    ) -> Result<Option<SourceTable>> {
        let Some(pointer) = self.catalog.pointer(schema, table).await? else {
            return Ok(None);
        };
        let full = format!("{schema}.{table}");
        let Opened {
            mut metadata,
            mut location,
            store,
            ..
        } = self.opened(&full, pointer).await?;
        if let Some(version) = at.filter(|version| version.as_str() != file_name(&location)) {
            let mut log = metadata.metadata_log().iter();
            let known = log.find(|entry| file_name(&entry.metadata_file) == version.as_str());
            let gone = || Error::VersionGone {
                table: full.clone(),
                version: version.clone(),
            };
            location = known.ok_or_else(gone)?.metadata_file.clone();
            metadata = store.metadata(&full, &location).await?;
        }
        let snapshot = Snapshot {
            table: full.as_str().into(),
            snapshot: metadata.current_snapshot().cloned(),
            schema: Arc::new(schema::to_arrow(metadata.current_schema())),
            metadata,
        };
        let provider = Arc::new(MetadataTable::new(kind, snapshot, store)?);
        Ok(Some(SourceTable {
            without_views: None,
            schema: provider.schema(),
            provider,
            version: Version::new(file_name(&location)),
            comment: None,
            primary_key: Vec::new(),
            object_stores: Vec::new(),
        }))
    }
}

/// The last part of a location.
fn file_name(location: &str) -> &str {
    location.rsplit('/').next().unwrap_or(location)
}

#[async_trait]
impl Connector for Iceberg {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    async fn schemas(&self) -> Result<Vec<String>> {
        self.catalog.namespaces().await
    }

    async fn tables(&self) -> Result<Vec<TableEntry>> {
        let all = self.catalog.tables().await?;
        let mut entries = all
            .into_iter()
            .map(|(schema, name)| TableEntry {
                schema,
                name,
                kind: TableKind::Table,
            })
            .collect();
        Self::with_system(&mut entries);
        Ok(entries)
    }

    async fn table(&self, schema: &str, name: &str, at: Option<&Version>) -> Result<Option<SourceTable>> {
        let Some(pointer) = self.catalog.pointer(schema, name).await? else {
            return match inspect::split(name) {
                Some((table, kind)) => self.inspected(schema, table, kind, at).await,
                None => match Self::system_kind(schema, name) {
                    Some(kind) => self.system(kind, at).await,
                    None => Ok(None),
                },
            };
        };
        let full = format!("{schema}.{name}");
        let opened = self.opened(&full, pointer).await?;
        self.pinned(&full, opened, at).map(Some)
    }

    async fn version_as_of(&self, schema: &str, name: &str, at: &AsOf) -> Result<Option<Version>> {
        let full = format!("{schema}.{name}");
        let Some(pointer) = self.catalog.pointer(schema, name).await? else {
            let table = inspect::split(name).map(|(table, _)| table);
            return match table {
                Some(table) if self.catalog.pointer(schema, table).await?.is_some() => {
                    Err(Error::Unsupported {
                        table: full,
                        feature: "a metadata table at an earlier state".to_owned(),
                    })
                }
                _ => Ok(None),
            };
        };
        let metadata = self.opened(&full, pointer).await?.metadata;
        pin::as_of(&full, &metadata, at).map(Some)
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let (asked, kept) = (self.storage.asked(), self.storage.kept());
        vec![
            ("store_requests", asked.requests),
            ("store_failures", asked.failures),
            ("store_bytes", asked.bytes),
            ("disk_cache_hits", kept.hits),
            ("disk_cache_misses", kept.misses),
            ("disk_cache_bytes", kept.bytes),
        ]
    }

    async fn committed(&self, schema: &str, name: &str, version: &Version) -> Result<Option<i64>> {
        let full = format!("{schema}.{name}");
        // A metadata table is as old as the metadata file that it shows, which its table knows.
        let Some(pointer) = self.catalog.pointer(schema, name).await? else {
            return Ok(None);
        };
        let metadata = self.opened(&full, pointer).await?.metadata;
        let pin = pin::at(&full, &metadata, version)?;
        Ok(pin
            .snapshot
            .map(|snapshot| snapshot.timestamp_ms().saturating_mul(1_000)))
    }

    async fn check(&self) -> Result<()> {
        self.catalog.check().await
    }
}

#[cfg(test)]
mod tests;
