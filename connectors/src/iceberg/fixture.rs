//! A real lake in a temporary folder, written with Iceberg's own writers, for the tests of this crate.

pub(super) mod deletes;

use super::{Config, Iceberg, JdbcCatalog, create_catalog};
use crate::{Connector, SourceTable, Version};
use ::iceberg::arrow::{RecordBatchPartitionSplitter, schema_to_arrow_schema};
use ::iceberg::spec::{
    DataFile, DataFileFormat, FormatVersion, ManifestWriter, NestedField, NestedFieldRef, PartitionKey,
    PrimitiveType, Schema, TableMetadataBuilder, Transform, Type, UnboundPartitionSpec,
};
use ::iceberg::table::Table;
use ::iceberg::transaction::{ApplyTransactionAction, Transaction};
use ::iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use ::iceberg::writer::file_writer::ParquetWriterBuilder;
use ::iceberg::writer::file_writer::location_generator::{
    DefaultFileNameGenerator, DefaultLocationGenerator,
};
use ::iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use ::iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use ::iceberg::{Catalog, MetadataLocation, NamespaceIdent, TableCreation, TableIdent};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::error::Result;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use parquet::file::properties::WriterProperties;
use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// The one schema of a test lake.
pub(super) const SCHEMA: &str = "gold";

/// A lake that goes when dropped.
pub(super) struct Lake {
    pub(super) dir: tempfile::TempDir,
    pub(super) config: Config,
    pub(super) catalog: Arc<JdbcCatalog>,
    pub(super) source: Iceberg,
    /// How many rows a row group of a new file has.
    pub(super) group_rows: usize,
}

pub(super) fn column(id: i32, name: &str, of: PrimitiveType) -> NestedFieldRef {
    NestedField::optional(id, name, Type::Primitive(of)).into()
}

pub(super) fn schema(fields: impl IntoIterator<Item = NestedFieldRef>) -> Schema {
    Schema::builder().with_fields(fields).build().unwrap()
}

pub(super) fn ident(table: &str) -> TableIdent {
    TableIdent::from_strs([SCHEMA, table]).unwrap()
}

impl Lake {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("warehouse");
        let config = Config::new(dir.path().join("catalog.db"), root.to_str().unwrap());
        let catalog = create_catalog(&config).await.unwrap();
        catalog
            .create_namespace(&NamespaceIdent::new(SCHEMA.into()), HashMap::new())
            .await
            .unwrap();
        let source = Iceberg::open("lake", &config, tokio::runtime::Handle::current())
            .await
            .unwrap();
        Self {
            dir,
            config,
            catalog,
            source,
            group_rows: 500,
        }
    }

    pub(super) async fn create(&self, table: &str, schema: Schema) -> Table {
        self.create_partitioned(table, schema, &[]).await
    }

    pub(super) async fn create_partitioned(
        &self,
        table: &str,
        schema: Schema,
        by: &[(i32, Transform)],
    ) -> Table {
        self.create_version(table, schema, by, FormatVersion::V2).await
    }

    pub(super) async fn create_version(
        &self,
        table: &str,
        schema: Schema,
        by: &[(i32, Transform)],
        version: FormatVersion,
    ) -> Table {
        let mut spec = UnboundPartitionSpec::builder();
        for (place, (id, transform)) in by.iter().enumerate() {
            spec = spec
                .add_partition_field(*id, format!("p{id}_{place}"), *transform)
                .unwrap();
        }
        let creation = TableCreation::builder()
            .name(table.to_owned())
            .schema(schema.clone())
            .partition_spec(spec.build())
            .format_version(version)
            .build();
        let namespace = NamespaceIdent::new(SCHEMA.into());
        let created = self.catalog.create_table(&namespace, creation).await.unwrap();
        if created.metadata().current_schema().as_struct() == schema.as_struct() {
            return created;
        }
        // A catalog numbers nested fields its own way; tests mean the ids they write.
        self.change(table, |metadata| {
            metadata
                .add_schema(schema)
                .unwrap()
                .set_current_schema(-1)
                .unwrap()
        })
        .await;
        self.load(table).await
    }

    pub(super) async fn load(&self, table: &str) -> Table {
        self.catalog.load_table(&ident(table)).await.unwrap()
    }

    /// Appends the rows of a query as one snapshot; columns are taken by place.
    pub(super) async fn append(&self, table: &str, sql: &str) {
        let files = self.write(table, sql).await;
        self.commit(table, files).await;
    }

    pub(super) async fn commit(&self, table: &str, files: Vec<DataFile>) {
        let loaded = self.load(table).await;
        let transaction = Transaction::new(&loaded);
        let transaction = transaction
            .fast_append()
            .add_data_files(files)
            .apply(transaction)
            .unwrap();
        transaction.commit(self.catalog.as_ref()).await.unwrap();
    }

    /// Writes the rows of a query as data files without committing them.
    pub(super) async fn write(&self, table: &str, sql: &str) -> Vec<DataFile> {
        let loaded = self.load(table).await;
        let metadata = loaded.metadata();
        let target = Arc::new(schema_to_arrow_schema(metadata.current_schema()).unwrap());
        let rows = answer(&SessionContext::new(), sql).await;
        let mut files = Vec::new();
        for batch in rows.into_iter().filter(|batch| batch.num_rows() > 0) {
            let columns = batch.columns().iter().zip(target.fields());
            let columns =
                columns.map(|(array, field)| arrow::compute::cast(array, field.data_type()).unwrap());
            let batch = RecordBatch::try_new(Arc::clone(&target), columns.collect()).unwrap();
            let spec = Arc::clone(metadata.default_partition_spec());
            let schema = Arc::clone(metadata.current_schema());
            if spec.is_unpartitioned() {
                let nothing = ::iceberg::spec::Struct::empty();
                let key = PartitionKey::new(spec.as_ref().clone(), schema, nothing);
                files.extend(self.write_file(&loaded, Some(key), batch).await);
                continue;
            }
            let splitter = RecordBatchPartitionSplitter::try_new_with_computed_values(schema, spec).unwrap();
            for (key, part) in splitter.split(&batch).unwrap() {
                files.extend(self.write_file(&loaded, Some(key), part).await);
            }
        }
        files
    }

    async fn write_file(
        &self,
        table: &Table,
        key: Option<PartitionKey>,
        batch: RecordBatch,
    ) -> Vec<DataFile> {
        // Small row groups, so that pruning inside files has something to do.
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(self.group_rows))
            .set_data_page_row_count_limit(self.group_rows.div_ceil(5))
            .set_write_batch_size(self.group_rows.div_ceil(10))
            .set_column_bloom_filter_enabled("key".into(), true)
            .set_column_bloom_filter_ndv("key".into(), 500)
            .build();
        let parquet = ParquetWriterBuilder::new(properties, Arc::clone(table.metadata().current_schema()));
        let places = DefaultLocationGenerator::new(table.metadata()).unwrap();
        let names =
            DefaultFileNameGenerator::new(uuid::Uuid::new_v4().to_string(), None, DataFileFormat::Parquet);
        let rolling = RollingFileWriterBuilder::new_with_default_file_size(
            parquet,
            table.file_io().clone(),
            places,
            names,
        );
        let mut writer = DataFileWriterBuilder::new(rolling).build(key).await.unwrap();
        writer.write(batch).await.unwrap();
        writer.close().await.unwrap()
    }

    /// Changes a table's metadata in any way and commits it.
    pub(super) async fn change(
        &self,
        table: &str,
        change: impl FnOnce(TableMetadataBuilder) -> TableMetadataBuilder,
    ) {
        let loaded = self.load(table).await;
        let old = loaded.metadata_location().unwrap().to_owned();
        let metadata = change(loaded.metadata().clone().into_builder(Some(old.clone())))
            .build()
            .unwrap()
            .metadata;
        let new = MetadataLocation::from_str(&old).unwrap().with_next_version();
        metadata.write_to(loaded.file_io(), &new).await.unwrap();
        assert!(
            self.catalog
                .point(&ident(table), &old, &new.to_string())
                .await
                .unwrap()
        );
    }

    /// Gives a table other columns.
    pub(super) async fn evolve(&self, table: &str, fields: impl IntoIterator<Item = NestedFieldRef>) {
        let schema = schema(fields);
        self.change(table, |metadata| {
            metadata
                .add_schema(schema)
                .unwrap()
                .set_current_schema(-1)
                .unwrap()
        })
        .await;
    }

    /// Commits a snapshot of exactly one manifest, which `fill` writes; the flag asks for one of deletes.
    pub(super) async fn replace_snapshot(
        &self,
        table: &str,
        deletes: bool,
        fill: impl FnOnce(&mut ManifestWriter),
    ) {
        self.commit_manifest(table, false, deletes, fill).await;
    }

    /// The data files on disk, sorted.
    pub(super) fn data_files(&self, table: &str) -> Vec<PathBuf> {
        let mut open = vec![
            self.dir
                .path()
                .join("warehouse")
                .join(SCHEMA)
                .join(table)
                .join("data"),
        ];
        let mut found = Vec::new();
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path)
                } else {
                    found.push(path)
                }
            }
        }
        found.sort();
        found
    }

    /// The location of the only data file that the table's writer has written.
    pub(super) fn location(&self, table: &str) -> String {
        let files = self.data_files(table);
        assert_eq!(files.len(), 1);
        files[0].to_str().unwrap().to_owned()
    }

    pub(super) async fn table(&self, table: &str, at: Option<&Version>) -> SourceTable {
        self.source.table(SCHEMA, table, at).await.unwrap().unwrap()
    }

    /// A session in which the tables are known by their names.
    pub(super) async fn session(&self, tables: &[&str]) -> SessionContext {
        let mut config = SessionConfig::new().with_target_partitions(4);
        // Rows that are filtered inside the scan are where pruning could lose some.
        config.options_mut().execution.parquet.pushdown_filters = true;
        let context = SessionContext::new_with_config(config);
        for name in tables {
            register(&context, name, &self.table(name, None).await);
        }
        context
    }

    /// The printed answer of a query over `table`.
    pub(super) async fn ask(&self, table: &str, sql: &str) -> String {
        let context = self.session(&[table]).await;
        printed(&answer(&context, sql).await)
    }

    /// The error of a query over `table`.
    pub(super) async fn refusal(&self, table: &str, sql: &str) -> datafusion::error::DataFusionError {
        let context = self.session(&[table]).await;
        query(&context, sql).await.unwrap().collect().await.unwrap_err()
    }
}

/// Plans a query of a test.
#[expect(
    clippy::disallowed_methods,
    reason = "this crate's tests ask the engine itself, there is no planner here"
)]
pub(super) async fn query(context: &SessionContext, sql: &str) -> Result<DataFrame> {
    context.sql(sql).await
}

/// The rows of a query that must succeed.
pub(super) async fn answer(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    query(context, sql).await.unwrap().collect().await.unwrap()
}

pub(super) fn register(context: &SessionContext, name: &str, table: &SourceTable) {
    for (url, store) in &table.object_stores {
        context
            .runtime_env()
            .register_object_store(url.as_ref(), Arc::clone(store));
    }
    context.register_table(name, Arc::clone(&table.provider)).unwrap();
}

/// The cells of an answer, one row a line.
pub(super) fn printed(batches: &[RecordBatch]) -> String {
    let table = pretty_format_batches(batches).unwrap().to_string();
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(1);
    let cells = |line: &str| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect::<Vec<_>>()
    };
    rows.map(|line| cells(line).join(","))
        .collect::<Vec<_>>()
        .join("\n")
}
