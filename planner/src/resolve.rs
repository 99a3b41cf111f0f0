//! Names to tables. The tables that a statement names are opened once, each at its pinned or newest version, and put
//! into a catalog that holds nothing else: what is not in it does not exist for the statement.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use connectors::{AsOf, Version};
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::TableReference;
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::ObjectStore;
use policies::{Principal, TableName};

use crate::catalog::{Catalog, table_name};
use crate::error::{Error, Result};
use crate::information_schema;
use crate::parse::{Asked, Versions};
use crate::request::{Pins, Session};
use crate::resolved::ResolvedTable;

/// The tables of one statement.
#[derive(Debug)]
pub(crate) struct Resolution {
    /// Holds the tables under their full names and nothing else.
    pub(crate) catalogs: Arc<dyn CatalogProviderList>,
    /// The version of each table that has versions.
    pub(crate) pins: Pins,
    /// The tables of sources, each at its state.
    pub(crate) tables: Arc<[TableState]>,
    /// Where the scans read.
    pub(crate) stores: Vec<(ObjectStoreUrl, Arc<dyn ObjectStore>)>,
    /// Whether the tables' content is a function of the pins alone.
    pub(crate) is_versioned: bool,
    /// Whether a table lists what the principal may know.
    pub(crate) is_listing: bool,
    /// What is shown of each table.
    pub(crate) rights: Rights,
}

/// A table that a statement names, at the state that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableState {
    pub(crate) catalog: String,
    /// `schema.table`
    pub(crate) name: String,
    /// The kind of its source.
    pub(crate) kind: &'static str,
    pub(crate) version: String,
    /// Whether the version says which rows it has.
    pub(crate) is_versioned: bool,
    /// When the version was committed, in microseconds since 1970 UTC.
    pub(crate) as_of: Option<i64>,
}
/// Tables by their full names, each with the fingerprint of its barrier; none where all of it is shown.
pub(crate) type Rights = BTreeMap<String, Option<String>>;

/// Opens every table in `references`.
///
/// # Errors
/// `UnknownTable` for a name that is absent or denied, `VersionGone` for a pin that is gone, or the source's failure.
pub(crate) async fn resolve(
    catalog: &Catalog,
    principal: &Principal,
    session: &Session,
    pins: &Pins,
    references: Vec<TableReference>,
    versions: &Versions,
) -> Result<Resolution> {
    let mut found: BTreeMap<TableKey, Arc<ResolvedTable>> = BTreeMap::new();
    let mut tables = Vec::new();
    let mut resolution = Resolution {
        catalogs: Arc::new(MemoryCatalogProviderList::new()),
        tables: Arc::from([]),
        pins: Pins::default(),
        stores: Vec::new(),
        is_versioned: true,
        is_listing: false,
        rights: Rights::new(),
    };
    for reference in references {
        let name = full_name(&reference, session);
        let key = (name.catalog.clone(), name.schema.clone(), name.table.clone());
        if found.contains_key(&key) {
            continue;
        }
        let table = if let Some(earlier) = versions.get(&name.table) {
            // The policy is asked about the table, whatever its state. The pin is the state's own, because a branch may
            // have moved when the ticket comes back.
            let shown = name.to_string();
            let name = table_name(&name.catalog, &name.schema, &earlier.table);
            let at = match pins.0.get(&shown) {
                Some(pin) => Version::new(pin),
                None => version(catalog, principal, session, &name, &earlier.asked).await?,
            };
            let table = catalog.table(principal, &name, Some(&at)).await?;
            resolution.pins.0.insert(shown, table.version.to_string());
            let resolved = ResolvedTable::of_source(name, &table);
            resolution.stores.extend(table.object_stores);
            resolved
        } else if name.schema == information_schema::NAME {
            resolution.is_versioned = false;
            resolution.is_listing = true;
            let provider = information_schema::table(catalog, principal, session, &name).await?;
            ResolvedTable::new(name, provider, true)
        } else {
            let at = pins.0.get(&name.to_string()).map(Version::new);
            let table = catalog.table(principal, &name, at.as_ref()).await?;
            // Such a pin holds the columns and not the rows: two reads of it may differ.
            let state = catalog.state(&name, &table.version).await?;
            resolution.is_versioned &= state.is_versioned;
            tables.push(state);
            resolution
                .pins
                .0
                .insert(name.to_string(), table.version.to_string());
            let resolved = ResolvedTable::of_source(name, &table);
            resolution.stores.extend(table.object_stores);
            resolved
        };
        let fingerprint = table.fingerprint().map(str::to_owned);
        resolution.rights.insert(table.name.to_string(), fingerprint);
        found.insert(key, Arc::new(table));
    }
    resolution.catalogs = provide(found)?;
    resolution.tables = tables.into();
    Ok(resolution)
}

/// The version that a statement asks for.
async fn version(
    catalog: &Catalog,
    principal: &Principal,
    session: &Session,
    name: &TableName,
    asked: &Asked,
) -> Result<Version> {
    if name.schema == information_schema::NAME {
        return Err(Error::Unsupported {
            what: "a version of the information schema".to_owned(),
        });
    }
    let (at, words) = match asked {
        Asked::Version(text) => (AsOf::Version(text.clone()), format!("FOR VERSION AS OF {text}")),
        Asked::Time(text) => (
            AsOf::Timestamp(instant(text, &session.time_zone)?),
            format!("FOR TIMESTAMP AS OF {text}"),
        ),
    };
    catalog.version(principal, name, &at, &words).await
}

/// Microseconds since 1970 UTC of a time as the session reads it.
fn instant(text: &str, time_zone: &str) -> Result<i64> {
    let zone: Tz = time_zone.parse()?;
    string_to_datetime(&zone, text)
        .map(|time| time.timestamp_micros())
        .map_err(|_| Error::invalid(format!("'{text}' is no time; write it as '2026-01-31 12:00:00'")))
}

/// The full name that a reference means in a session.
pub(crate) fn full_name(reference: &TableReference, session: &Session) -> TableName {
    match reference {
        TableReference::Bare { table } => table_name(&session.catalog, &session.schema, table),
        TableReference::Partial { schema, table } => table_name(&session.catalog, schema, table),
        TableReference::Full {
            catalog,
            schema,
            table,
        } => table_name(catalog, schema, table),
    }
}

type TableKey = (String, String, String);

fn provide(tables: BTreeMap<TableKey, Arc<ResolvedTable>>) -> Result<Arc<dyn CatalogProviderList>> {
    let list = MemoryCatalogProviderList::new();
    for ((catalog, schema, table), provider) in tables {
        let catalog_provider = match list.catalog(&catalog) {
            Some(known) => known,
            None => {
                let fresh: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
                list.register_catalog(catalog, Arc::clone(&fresh));
                fresh
            }
        };
        let schema_provider = match catalog_provider.schema(&schema) {
            Some(known) => known,
            None => {
                let fresh: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
                catalog_provider.register_schema(&schema, Arc::clone(&fresh))?;
                fresh
            }
        };
        schema_provider.register_table(table, provider)?;
    }
    Ok(Arc::new(list))
}
