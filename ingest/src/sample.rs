//! The sample lake of the quickstart: the zones, and TPC-H in gold, loaded so that a killed run is finished by the next one.
//!
//! Each table is one append whose token names sample, scale and table. A table with its token is complete and is skipped; a table without any
//! snapshot is what a killed run left, its stray files are removed and it is loaded anew; a table with other data is refused, never touched.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use connectors::iceberg::JdbcCatalog;
use iceberg::table::Table;
use iceberg::{Catalog, TableIdent};

use crate::append::{Appender, Batches};
use crate::commit::{Receipt, Token, failed, history, token_of};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::storage;

pub mod tpch;
use tpch::Dataset;

/// The smallest and the largest scale. Below, TPC-H's keys are no longer unique; above, a laptop is not the place.
pub const SCALE_BOUNDS: (f64, f64) = (0.001, 1000.0);

/// Bytes that scale 1 takes on disk, rounded up from the measured size, metadata included.
const BYTES_PER_SCALE: f64 = 270e6;

/// What a load made or found, table by table in load order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The table's name in gold and its snapshot.
    pub tables: Vec<(String, Receipt)>,
    /// Tables, `gold.name`, that the catalog has and that cannot be opened. They are left as they are.
    pub damaged: Vec<String>,
}

impl Loaded {
    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, receipt)| receipt.rows).sum()
    }

    /// Whether everything had been there before.
    pub fn was_complete(&self) -> bool {
        self.tables.iter().all(|(_, receipt)| !receipt.fresh)
    }
}

/// Rows of all tables at `scale`, by the rules of the benchmark.
pub fn rows(scale: f64) -> u64 {
    Dataset::ALL.into_iter().map(|dataset| dataset.rows(scale)).sum()
}

/// Bytes that a load at `scale` takes on disk, estimated from above.
pub fn bytes_needed(scale: f64) -> u64 {
    // In bounds by `check_scale`; a float beyond them saturates.
    (scale * BYTES_PER_SCALE) as u64 + (16 << 20)
}

/// Refuses a scale outside [`SCALE_BOUNDS`].
pub fn check_scale(scale: f64) -> Result<()> {
    let (min, max) = SCALE_BOUNDS;
    if (min..=max).contains(&scale) {
        Ok(())
    } else {
        Err(Error::Scale { scale, min, max })
    }
}

/// Fails with [`Error::DiskFull`] when `folder`'s file system has less room than a load at `scale` takes. Nothing is written.
pub fn check_space(folder: &Path, scale: f64) -> Result<()> {
    let needed = bytes_needed(scale);
    match storage::available(folder) {
        Some(available) if available < needed => Err(Error::DiskFull {
            path: folder.display().to_string(),
            needed: Some(needed),
            available: Some(available),
            source: None,
        }),
        // Unknown room is no reason to refuse; the writes themselves will say.
        Some(_) | None => Ok(()),
    }
}

/// Makes the zones and the eight TPC-H tables at `scale`. Only one load may run on a lake at a time; the caller holds the lock.
pub async fn load(catalog: Arc<dyn Catalog>, scale: f64, progress: &dyn Progress) -> Result<Loaded> {
    load_with(catalog, scale, progress, Config::default()).await
}

/// [`load`] with other bounds.
pub async fn load_with(
    catalog: Arc<dyn Catalog>,
    scale: f64,
    progress: &dyn Progress,
    config: Config,
) -> Result<Loaded> {
    check_scale(scale)?;
    crate::lake::ensure_zones(catalog.as_ref()).await?;
    let appender = Appender::new(Arc::clone(&catalog), config)?;
    let (mut tables, mut damaged) = (Vec::new(), Vec::new());
    for dataset in Dataset::ALL {
        let ident = dataset.contract()?.ident();
        if let Opened::Damaged = open(catalog.as_ref(), &ident).await? {
            damaged.push(ident.to_string());
            continue;
        }
        let receipt = load_table(&appender, dataset, scale, progress).await?;
        tables.push((dataset.name().to_owned(), receipt));
    }
    Ok(Loaded { tables, damaged })
}

/// What the catalog gives for a table.
enum Opened {
    /// It has none of that name.
    Absent,
    Table(Box<Table>),
    /// It has one, and its metadata cannot be read.
    Damaged,
}

async fn open(catalog: &dyn Catalog, ident: &TableIdent) -> Result<Opened> {
    let exists = catalog.table_exists(ident).await;
    if !exists.map_err(|error| failed("look for", ident, error))? {
        return Ok(Opened::Absent);
    }
    Ok(match catalog.load_table(ident).await {
        Ok(table) => Opened::Table(Box::new(table)),
        Err(error) => {
            tracing::warn!(table = %ident, %error, "a table cannot be opened");
            Opened::Damaged
        }
    })
}

/// Where the metadata of a sample table lies by the catalog, whether or not it is there; none for a lake without sample
/// tables. For a caller that wants to refuse a lake that was moved.
///
/// # Errors
/// [`Error::Lake`] when the catalog cannot be read.
pub async fn location(catalog: &JdbcCatalog) -> Result<Option<String>> {
    for dataset in Dataset::ALL {
        let ident = dataset.contract()?.ident();
        let found = catalog.location(&ident.namespace().join("."), ident.name()).await;
        let found = found.map_err(|source| Error::Lake {
            path: ident.to_string(),
            source: Box::new(source),
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The scale that the lake's sample was made with, complete or not; none for a lake without sample tables. For a caller that wants to refuse
/// another scale before it starts.
pub async fn scale_of(catalog: &dyn Catalog) -> Result<Option<f64>> {
    for dataset in Dataset::ALL {
        let ident = dataset.contract()?.ident();
        let exists = catalog.namespace_exists(ident.namespace()).await;
        if !exists.map_err(|error| failed("look for", &ident, error))? {
            return Ok(None);
        }
        let Opened::Table(table) = open(catalog, &ident).await? else {
            continue;
        };
        let scale = history(table.metadata())
            .filter_map(token_of)
            .find_map(tpch::scale_of_token);
        if scale.is_some() {
            return Ok(scale);
        }
    }
    Ok(None)
}

async fn load_table(
    appender: &Appender,
    dataset: Dataset,
    scale: f64,
    progress: &dyn Progress,
) -> Result<Receipt> {
    let contract = dataset.contract()?;
    let token = dataset.token(scale)?;
    let expected = dataset.rows(scale);
    progress.start(contract.name(), expected);
    let table = appender.ensure(&contract).await?;
    clear_remains(&table, &token).await?;
    let batches = counted(dataset.batches(scale), contract.to_string(), expected);
    let receipt = appender.append(&contract, &token, batches, progress).await?;
    progress.finish(contract.name());
    Ok(receipt)
}

/// The same batches, and an error after them if they are not as many rows as the benchmark's rules say: such a table is never published.
fn counted(batches: Batches, table: String, expected: u64) -> Batches {
    let found = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&found);
    let rows = batches.inspect(move |batch| {
        counter.fetch_add(
            batch.as_ref().map_or(0, |batch| batch.num_rows() as u64),
            Ordering::Relaxed,
        );
    });
    let verdict = std::iter::once_with(move || {
        let found = found.load(Ordering::Relaxed);
        (found != expected).then_some(Err(Error::Count {
            table,
            place: "generated",
            found,
            expected,
        }))
    });
    Box::new(rows.chain(verdict.flatten()))
}

/// Makes room for an append with `token`: removes the data files of a table that has no snapshot, leaves a table with the token, refuses any
/// other.
async fn clear_remains(table: &Table, token: &Token) -> Result<()> {
    let metadata = table.metadata();
    if metadata.current_snapshot().is_none() {
        let folder = format!("{}/data", metadata.location());
        let cleared = table.file_io().delete_prefix(&folder).await;
        return cleared.map_err(|error| storage::failed("remove", &folder, None, error));
    }
    if history(metadata).any(|snapshot| token_of(snapshot) == Some(token.as_str())) {
        return Ok(());
    }
    let found = history(metadata)
        .find_map(token_of)
        .unwrap_or("no token")
        .to_owned();
    Err(Error::Occupied {
        table: table.identifier().to_string(),
        found,
    })
}

#[cfg(test)]
mod tests;
