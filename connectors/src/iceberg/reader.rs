//! Opens data files: keeps their footers in a bounded memory, and holds each against what the manifest promised.
//!
//! Invariants:
//! - A footer is read once and kept with its page index; data files never change, so none grows old.
//! - A file that is missing, cut short, or holds another number of rows than its manifest says is an error that names
//!   it, because counts are answered from the manifest.

use super::files::PlannedFile;
use super::naming::{self, Constant, Naming};
use super::warehouse::Warehouse;
use super::weight;
use crate::{Error, Result};
use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use iceberg::spec::{Literal, Transform};
use moka::future::Cache;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetObjectReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use std::ops;
use std::sync::Arc;

/// How much of a file's end is read at once in the hope that it holds the whole footer, in bytes.
const FOOTER_BYTES_HINT: usize = 256 << 10;

/// The footers of one source's data files.
pub(super) type Footers = Cache<FooterKey, Arc<ParquetMetaData>>;

/// A footer: by the path in its store, and by what was added to it where the file leaves something out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FooterKey {
    store: Arc<str>,
    path: Path,
    added: Option<Arc<str>>,
}

/// A memory for footers with room for `bytes_max`.
pub(super) fn footers(bytes_max: u64) -> Footers {
    Cache::builder()
        .max_capacity(bytes_max)
        .weigher(|key: &FooterKey, footer: &Arc<ParquetMetaData>| {
            let added = key.added.as_ref().map_or(0, |added| added.len());
            let key = key.path.as_ref().len() + added + 128;
            weight::bytes(footer.memory_size().saturating_add(key))
        })
        .build()
}

/// What the manifest promises of a file; travels with the file to its reader.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    rows: Option<u64>,
    /// The columns whose value for the whole file is in the manifest, in case the file leaves them out.
    constants: Arc<[Constant]>,
}

impl Expected {
    /// What the manifest says of `file`.
    pub(super) fn of(file: &PlannedFile) -> Self {
        let manifest = file.manifest.metadata();
        let fields = manifest.partition_spec.fields().iter().enumerate();
        let identity = fields.filter(|(_, field)| field.transform == Transform::Identity);
        let constants = identity.filter_map(|(place, field)| {
            let source = manifest.schema.field_by_id(field.source_id)?;
            let value = file.data().partition().fields().get(place)?;
            Some(Constant {
                id: field.source_id,
                of: source.field_type.as_primitive_type()?.clone(),
                value: match value {
                    Some(Literal::Primitive(value)) => Some(value.clone()),
                    _ => None,
                },
            })
        });
        Self {
            rows: Some(file.data().record_count()),
            constants: constants.collect(),
        }
    }

    /// No promise, for a file that is not one of the table's rows.
    pub(super) fn nothing() -> Self {
        Self {
            rows: None,
            constants: Arc::from([]),
        }
    }

    fn check(&self, table: &str, path: &Path, footer: &ParquetMetaData) -> Result<()> {
        let Some(rows) = self.rows else {
            return Ok(());
        };
        let held: i64 = footer.row_groups().iter().map(|group| group.num_rows()).sum();
        if u64::try_from(held) != Ok(rows) {
            let cause = format!("holds {held} rows where its manifest says {rows}");
            return Err(corrupt(table, path, cause.into()));
        }
        Ok(())
    }
}

/// Makes the readers of one table's files.
#[derive(Clone, Debug)]
pub(super) struct ReaderFactory {
    table: Arc<str>,
    warehouse: Warehouse,
    footers: Footers,
    naming: Naming,
}

impl ReaderFactory {
    /// Readers for `table`, whose files lie in `warehouse`, and name their columns by `naming` where they have no ids.
    pub(super) fn new(table: Arc<str>, warehouse: Warehouse, footers: Footers, naming: Naming) -> Self {
        Self {
            table,
            warehouse,
            footers,
            naming,
        }
    }

    /// A reader of one file.
    pub(super) fn open(
        &self,
        file: &PartitionedFile,
        partition: usize,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Reader {
        let path = file.object_meta.location.clone();
        let inner = ParquetObjectReader::new(Arc::clone(self.warehouse.store()), path.clone())
            .with_file_size(file.object_meta.size);
        Reader {
            metrics: ParquetFileMetrics::new(partition, path.as_ref(), metrics),
            size: file.object_meta.size,
            expected: file.extension::<Expected>().cloned(),
            factory: self.clone(),
            path,
            inner,
        }
    }

    /// What tells the store's files from those of another.
    pub(super) fn store_id(&self) -> &Arc<str> {
        self.warehouse.id()
    }

    /// Where the files lie.
    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        self.warehouse.store()
    }

    /// The footer of a file, held against its manifest, with the ids and values that the file leaves out.
    pub(super) async fn footer(&self, file: &PlannedFile) -> Result<Arc<ParquetMetaData>> {
        let size = file.data().file_size_in_bytes();
        let inner = ParquetObjectReader::new(Arc::clone(self.warehouse.store()), file.path.clone())
            .with_file_size(size);
        let mut reader = Reader {
            metrics: ParquetFileMetrics::new(0, file.path.as_ref(), &ExecutionPlanMetricsSet::new()),
            size,
            expected: Some(Expected::of(file)),
            factory: self.clone(),
            path: file.path.clone(),
            inner,
        };
        reader.footer().await
    }
}

impl ParquetFileReaderFactory for ReaderFactory {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::error::Result<Box<dyn AsyncFileReader + Send>> {
        Ok(Box::new(self.open(&file, partition_index, metrics)))
    }
}

/// Reads one file.
pub(super) struct Reader {
    factory: ReaderFactory,
    path: Path,
    size: u64,
    expected: Option<Expected>,
    inner: ParquetObjectReader,
    metrics: ParquetFileMetrics,
}

impl Reader {
    /// The file's footer, held against its manifest, with the ids and values that the file leaves out.
    pub(super) async fn footer(&mut self) -> Result<Arc<ParquetMetaData>> {
        let mut footer = self.read_footer().await?;
        let (factory, path) = (&self.factory, &self.path);
        let Some(expected) = &self.expected else {
            return Ok(footer);
        };
        expected.check(&factory.table, path, &footer)?;
        let mut added = String::new();
        if !naming::has_ids(&footer) {
            if factory.naming.misleads(&footer, &expected.constants) {
                return Err(Error::Unsupported {
                    table: factory.table.to_string(),
                    feature: "partitioned data files with neither field ids nor a name mapping".to_owned(),
                });
            }
            let held = Arc::clone(&footer);
            let apply = || {
                let named = factory.naming.apply(&held);
                named.map_err(|error| corrupt(&factory.table, path, Box::new(error)))
            };
            added.push_str(&factory.naming.text());
            footer = factory.derived(path, &added, apply).await?;
        }
        let missing = naming::missing(&footer, &expected.constants);
        if !missing.is_empty() {
            let (held, printed) = (Arc::clone(&footer), naming::print(&missing));
            added.push_str(&printed);
            footer = factory
                .derived(path, &added, || Ok(naming::with_values(&held, printed)))
                .await?;
        }
        Ok(footer)
    }

    /// The footer as the file has it.
    async fn read_footer(&mut self) -> Result<Arc<ParquetMetaData>> {
        let (inner, size) = (&mut self.inner, self.size);
        let (factory, path) = (&self.factory, &self.path);
        let load = async {
            let reader = ParquetMetaDataReader::new()
                .with_page_index_policy(PageIndexPolicy::Optional)
                .with_prefetch_hint(Some(FOOTER_BYTES_HINT));
            match reader.load_and_finish(inner, size).await {
                Ok(footer) => Ok(Arc::new(naming::plain(footer))),
                Err(error) => Err(explain(factory, path, size, error).await),
            }
        };
        let key = FooterKey {
            store: Arc::clone(factory.warehouse.id()),
            path: path.clone(),
            added: None,
        };
        let known = factory.footers.try_get_with_by_ref(&key, load).await;
        known.map_err(|failure| Error::shared(&failure))
    }
}

impl ReaderFactory {
    /// A footer with something added, from memory or made now.
    async fn derived(
        &self,
        path: &Path,
        added: &str,
        make: impl FnOnce() -> Result<ParquetMetaData>,
    ) -> Result<Arc<ParquetMetaData>> {
        let key = FooterKey {
            store: Arc::clone(self.warehouse.id()),
            path: path.clone(),
            added: Some(added.into()),
        };
        let known = self
            .footers
            .try_get_with_by_ref(&key, async { make().map(Arc::new) })
            .await;
        known.map_err(|failure| Error::shared(&failure))
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: ops::Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        self.metrics
            .bytes_scanned
            .add(usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
        async move {
            self.inner
                .get_bytes(range)
                .await
                .map_err(|error| external(named(&self.factory, &self.path, error)))
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<ops::Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        self.metrics
            .bytes_scanned
            .add(usize::try_from(total).unwrap_or(usize::MAX));
        async move {
            self.inner
                .get_byte_ranges(ranges)
                .await
                .map_err(|error| external(named(&self.factory, &self.path, error)))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move { self.footer().await.map_err(external) }.boxed()
    }
}

/// Why a footer could not be read: a file of another size than its manifest says is told as that.
async fn explain(factory: &ReaderFactory, path: &Path, size: u64, error: ParquetError) -> Error {
    match factory.warehouse.store().head(path).await {
        Ok(found) if found.size != size => {
            let cause = format!("has {} bytes where its manifest says {size}", found.size);
            corrupt(&factory.table, path, cause.into())
        }
        Ok(_) => named(factory, path, error),
        Err(lost) => factory.warehouse.lost(&factory.table, path.as_ref(), lost),
    }
}

/// A reader's error with the file in it.
fn named(factory: &ReaderFactory, path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<object_store::Error>() {
            Ok(lost) => factory.warehouse.lost(&factory.table, path.as_ref(), *lost),
            Err(cause) => corrupt(&factory.table, path, cause),
        },
        other => corrupt(&factory.table, path, Box::new(other)),
    }
}

/// The error of this crate in one of the Parquet reader's; anything else says that the file is damaged.
pub(super) fn found(table: &str, path: &str, error: ParquetError) -> Error {
    match error {
        ParquetError::External(cause) => own(table, path, cause),
        other => own(table, path, Box::new(other)),
    }
}

/// The error of this crate in one of the engine's; anything else says that the file is damaged.
pub(super) fn engine(table: &str, path: &str, error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(cause) => own(table, path, cause),
        other => own(table, path, Box::new(other)),
    }
}

fn own(table: &str, path: &str, cause: crate::error::Cause) -> Error {
    match cause.downcast::<Error>() {
        Ok(own) => *own,
        Err(cause) => Error::Corrupt {
            table: table.to_owned(),
            path: path.to_owned(),
            cause,
        },
    }
}

fn external(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

fn corrupt(table: &str, path: &Path, cause: crate::error::Cause) -> Error {
    Error::Corrupt {
        table: table.to_owned(),
        path: path.to_string(),
        cause,
    }
}
