//! What the database says of itself: schemas, tables, columns, types, keys, sizes.
//!
//! Invariants:
//! - Only what the role may read is there: schemas it may use, tables and columns it may select.
//! - What is told is at most `catalog_ttl_ms` old; a table that is not known, or not in the wanted version, is asked for
//!   again at once.
//! - One question at a time goes to the server for one thing, however many wait for the answer.

mod queries;

pub(super) use queries::ColumnStatistics;

use super::config::{Config, invalid};
use super::failure::{Subject, changed};
use super::pool::{Lease, Pool};
use super::session::Facts;
use super::types::{Mapped, Mapping, Types};
use crate::iceberg::COMMENT_KEY;
use crate::{Error, ForeignKey, Result, TableEntry, TableKind, Version};
use arrow::datatypes::{Field, Schema, SchemaRef};
use moka::future::Cache;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Schemas of the server itself, which are shown only where the config names them.
const SYSTEM: [&str; 2] = ["pg_catalog", "information_schema"];

/// A kind of relation, as `pg_class.relkind` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Table,
    Partitioned,
    View,
    Materialized,
    Foreign,
}

impl Relation {
    fn of(kind: i8) -> Option<Self> {
        Some(match u8::try_from(kind).ok()? {
            b'r' => Self::Table,
            b'p' => Self::Partitioned,
            b'v' => Self::View,
            b'm' => Self::Materialized,
            b'f' => Self::Foreign,
            _ => return None,
        })
    }

    /// Whether its rows lie in blocks of its own, so that a range of blocks is a part of it.
    pub(super) fn has_blocks(self) -> bool {
        matches!(self, Self::Table | Self::Materialized)
    }

    fn kind(self) -> TableKind {
        match self {
            Self::View | Self::Materialized => TableKind::View,
            Self::Table | Self::Partitioned | Self::Foreign => TableKind::Table,
        }
    }
}

/// A column as the catalog has it.
#[derive(Clone, Debug)]
pub(super) struct ColumnRow {
    pub(super) name: String,
    pub(super) number: i16,
    pub(super) oid: u32,
    pub(super) modifier: i32,
    pub(super) comment: Option<String>,
}

/// Everything that is known of one table.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) schema_name: String,
    pub(super) name: String,
    pub(super) relation: Relation,
    pub(super) comment: Option<String>,
    /// The columns as the engine sees them, and how each is read.
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<Mapped>,
    pub(super) primary_key: Vec<String>,
    /// Estimated; none when the server has not looked yet.
    pub(super) rows: Option<u64>,
    pub(super) blocks: u64,
    /// By column, as far as the server has looked.
    pub(super) statistics: Vec<Option<ColumnStatistics>>,
    pub(super) version: Version,
    pub(super) facts: Arc<Facts>,
}

impl Described {
    /// The table in messages.
    pub(super) fn subject(&self) -> Subject {
        Subject {
            table: format!("{}.{}", self.schema_name, self.name).into(),
            version: Some(self.version.clone()),
        }
    }
}

/// The names of everything.
#[derive(Debug)]
struct Listing {
    schemas: Vec<String>,
    tables: Vec<TableEntry>,
    keys: Vec<ForeignKey>,
}

/// The catalog of one source.
#[derive(Debug)]
pub(super) struct Catalog {
    pool: Pool,
    /// Both by the number of changes that were met, so that what was told before a change is left behind.
    listing: Cache<u64, Arc<Listing>>,
    tables: Cache<TableKey, Arc<Described>>,
}

/// Changes met, schema, name.
type TableKey = (u64, String, String);

impl Catalog {
    pub(super) fn new(pool: Pool) -> Self {
        let ttl = Duration::from_millis(pool.config().catalog_ttl_ms);
        let entries = pool.config().catalog_entries;
        Self {
            listing: Cache::builder().max_capacity(2).time_to_live(ttl).build(),
            tables: Cache::builder().max_capacity(entries).time_to_live(ttl).build(),
            pool,
        }
    }

    pub(super) async fn schemas(&self) -> Result<Vec<String>> {
        Ok(self.listing().await?.schemas.clone())
    }

    pub(super) async fn tables(&self) -> Result<Vec<TableEntry>> {
        Ok(self.listing().await?.tables.clone())
    }

    pub(super) async fn foreign_keys(&self) -> Result<Vec<ForeignKey>> {
        Ok(self.listing().await?.keys.clone())
    }

    async fn listing(&self) -> Result<Arc<Listing>> {
        let pool = self.pool.clone();
        let found = self.listing.try_get_with(self.pool.changes(), async move {
            let task = pool.spawn({
                let pool = pool.clone();
                async move { list(&pool).await }
            });
            task.done().await.map(Arc::new)
        });
        found.await.map_err(|failure| Error::shared(&failure))
    }

    /// One table; `None` when there is none that may be read.
    ///
    /// # Errors
    /// [`Error::VersionGone`] when it is not as it was at `at`, [`Error::Unavailable`] when the source does not answer.
    pub(super) async fn table(
        &self,
        schema: &str,
        name: &str,
        at: Option<&Version>,
    ) -> Result<Option<Arc<Described>>> {
        if !is_shown(self.pool.config(), schema) || schema.contains('\0') || name.contains('\0') {
            return Ok(None);
        }
        let found = self.kept(schema, name).await?;
        let Some(at) = at else { return Ok(found) };
        if found.as_ref().is_some_and(|table| table.version == *at) {
            return Ok(found);
        }
        self.tables.invalidate(&self.key(schema, name)).await;
        match self.kept(schema, name).await? {
            Some(table) if table.version == *at => Ok(Some(table)),
            Some(table) => Err(changed(&Subject {
                version: Some(at.clone()),
                ..table.subject()
            })),
            None => Ok(None),
        }
    }

    fn key(&self, schema: &str, name: &str) -> TableKey {
        (self.pool.changes(), schema.to_owned(), name.to_owned())
    }

    async fn kept(&self, schema: &str, name: &str) -> Result<Option<Arc<Described>>> {
        let pool = self.pool.clone();
        let asked = (schema.to_owned(), name.to_owned());
        let found = self.tables.try_get_with(self.key(schema, name), async move {
            let task = pool.spawn({
                let pool = pool.clone();
                async move { describe(&pool, asked).await }
            });
            match task.done().await {
                Ok(Some(table)) => Ok(Arc::new(table)),
                Ok(None) => Err(None),
                Err(error) => Err(Some(error)),
            }
        });
        match found.await {
            Ok(table) => Ok(Some(table)),
            // An absence is not kept: the table may be made the next moment.
            Err(failure) => match failure.as_ref() {
                None => Ok(None),
                Some(error) => Err(Error::copied(error)),
            },
        }
    }
}

/// Whether a schema is one that the config shows.
fn is_shown(config: &Config, schema: &str) -> bool {
    let named = config.schemas.iter().any(|shown| shown == schema);
    let hidden = config.schemas_hidden.iter().any(|hidden| hidden == schema);
    let own = SYSTEM.contains(&schema) || schema.starts_with("pg_toast") || schema.starts_with("pg_temp");
    !hidden && (named || (config.schemas.is_empty() && !own))
}

/// A connection that is known to answer: one that was kept may have died unnoticed, so a second one is tried.
pub(super) async fn answering(pool: &Pool) -> Result<Lease> {
    let lease = pool.lease(None).await?;
    if lease.client()?.batch_execute("").await.is_ok() {
        pool.answered();
        return Ok(lease);
    }
    drop(lease);
    pool.forget();
    pool.lease(None).await
}

async fn list(pool: &Pool) -> Result<Listing> {
    let lease = answering(pool).await?;
    let failed = |error| pool.origin().failure(&Subject::default(), error);
    let client = lease.client()?;
    let config = pool.config();
    let schemas = client.query(queries::SCHEMAS, &[]).await.map_err(failed)?;
    let tables = client.query(queries::TABLES, &[]).await.map_err(failed)?;
    let keys = client.query(queries::FOREIGN_KEYS, &[]).await.map_err(failed)?;
    let mut listing = Listing {
        schemas: Vec::new(),
        tables: Vec::new(),
        keys: Vec::new(),
    };
    for row in &schemas {
        listing.schemas.push(row.try_get(0).map_err(failed)?);
    }
    for row in &tables {
        let Some(relation) = Relation::of(row.try_get(2).map_err(failed)?) else {
            continue;
        };
        listing.tables.push(TableEntry {
            schema: row.try_get(0).map_err(failed)?,
            name: row.try_get(1).map_err(failed)?,
            kind: relation.kind(),
        });
    }
    for row in &keys {
        listing.keys.push(queries::foreign_key(row).map_err(failed)?);
    }
    lease.release();
    listing.schemas.retain(|schema| is_shown(config, schema));
    listing.tables.retain(|table| is_shown(config, &table.schema));
    let shown = |key: &ForeignKey| is_shown(config, &key.table.0) && is_shown(config, &key.referenced.0);
    listing.keys.retain(shown);
    listing.schemas.sort();
    listing.tables.sort();
    listing.keys.sort();
    Ok(listing)
}

async fn describe(pool: &Pool, (schema, name): (String, String)) -> Result<Option<Described>> {
    let lease = answering(pool).await?;
    let subject = Subject {
        table: format!("{schema}.{name}").into(),
        version: None,
    };
    let found = queries::table(lease.client()?, &schema, &name).await;
    let found = found.map_err(|error| pool.origin().failure(&subject, error))?;
    let facts = Arc::clone(&lease.connection()?.facts);
    lease.release();
    let Some(queries::TableRow {
        oid,
        kind,
        comment,
        rows,
        blocks,
        columns,
        types,
        primary_key,
        statistics,
    }) = found
    else {
        return Ok(None);
    };
    let Some(relation) = Relation::of(kind) else {
        return Ok(None);
    };
    let mapping = Mapping::new(&types, pool.config());
    let mapped: Vec<_> = columns
        .iter()
        .map(|column| mapping.column(column.oid, column.modifier))
        .collect();
    let fields: Vec<_> = columns
        .iter()
        .zip(&mapped)
        .map(|(column, mapped)| field(column, mapped))
        .collect();
    let statistics = columns.iter().map(|column| statistics.get(&column.name).copied());
    Ok(Some(Described {
        statistics: statistics.collect(),
        version: version(oid, kind, &columns, &types, &mapped),
        schema_name: schema,
        name,
        relation,
        comment,
        schema: Arc::new(Schema::new(fields)),
        columns: mapped,
        primary_key,
        // A negative estimate says that nobody has counted.
        rows: (rows >= 0.0).then_some(rows as u64),
        blocks: u64::try_from(blocks).unwrap_or_default(),
        facts,
    }))
}

/// Every column may be NULL: a NOT NULL that is dropped between plan and run must not make a predicate constant.
fn field(column: &ColumnRow, mapped: &Mapped) -> Field {
    let metadata = column
        .comment
        .iter()
        .map(|comment| (COMMENT_KEY.to_owned(), comment.clone()));
    Field::new(&column.name, mapped.data_type.clone(), true)
        .with_metadata(metadata.collect::<HashMap<_, _>>())
}

/// A fingerprint of what a plan depends on: which table it is, its columns, and how they are read. The rows are those of
/// the moment: the server keeps no others.
fn version(oid: u32, kind: i8, columns: &[ColumnRow], types: &Types, mapped: &[Mapped]) -> Version {
    let mut hash = Fingerprint::default();
    hash.add(&format!("{oid}/{kind}"));
    for (column, mapped) in columns.iter().zip(mapped) {
        hash.add(&format!(
            "{}/{}/{}/{}/{}/{:?}",
            column.name, column.number, column.oid, column.modifier, mapped.data_type, mapped.cast
        ));
        if let Some(row) = types.get(&column.oid) {
            hash.add(&format!("{:?}", row.attributes));
        }
    }
    Version::new(format!("c{:016x}", hash.0))
}

/// FNV-1a: the same in every build, which the hashers of the standard library need not be.
struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0xFF]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// What the config may say of schemas.
///
/// # Errors
/// [`Error::Invalid`] for a name that no server can have.
pub(super) fn check_names(config: &Config) -> Result<()> {
    let bad = |name: &String| name.is_empty() || name.contains('\0');
    match config.schemas.iter().chain(&config.schemas_hidden).any(bad) {
        true => Err(invalid("schemas", "an empty name or one with a NUL")),
        false => Ok(()),
    }
}
