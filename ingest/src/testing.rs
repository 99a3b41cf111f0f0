//! What the tests of this crate share: a catalog on a temporary folder, and a reader that does not trust the writer.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use iceberg::io::LocalFsStorageFactory;
use iceberg::memory::{MEMORY_CATALOG_WAREHOUSE, MemoryCatalogBuilder};
use iceberg::spec::DataFile;
use iceberg::{Catalog, CatalogBuilder, TableIdent};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::zone::Zone;

/// A catalog in memory whose files lie below `warehouse`, with all zones.
pub(crate) async fn catalog(warehouse: &Path) -> Arc<dyn Catalog> {
    let properties = HashMap::from([(
        MEMORY_CATALOG_WAREHOUSE.to_owned(),
        warehouse.display().to_string(),
    )]);
    let builder = MemoryCatalogBuilder::default().with_storage_factory(Arc::new(LocalFsStorageFactory));
    let catalog = builder.load("test", properties).await.unwrap();
    for zone in Zone::ALL {
        catalog
            .create_namespace(&zone.namespace(), HashMap::new())
            .await
            .unwrap();
    }
    Arc::new(catalog)
}

/// The live data files of the current snapshot, as the manifests name them.
pub(crate) async fn files(catalog: &dyn Catalog, table: &TableIdent) -> Vec<DataFile> {
    let table = catalog.load_table(table).await.unwrap();
    let Some(snapshot) = table.metadata().current_snapshot() else {
        return Vec::new();
    };
    let list = table.manifest_list_reader(snapshot).load().await.unwrap();
    let mut files = Vec::new();
    for manifest in list.entries() {
        let manifest = manifest.load_manifest(table.file_io()).await.unwrap();
        files.extend(
            manifest
                .entries()
                .iter()
                .filter(|entry| entry.is_alive())
                .map(|entry| entry.data_file().clone()),
        );
    }
    files
}

/// All batches of one data file, read by the Parquet crate alone.
pub(crate) fn read(file: &DataFile) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file.file_path()).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

/// All batches of a table.
pub(crate) async fn rows(catalog: &dyn Catalog, table: &TableIdent) -> Vec<RecordBatch> {
    files(catalog, table).await.iter().flat_map(read).collect()
}

/// The Parquet files that lie below a folder, referenced or not.
pub(crate) fn parquet_files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            if path.is_dir() {
                parquet_files(&path)
            } else {
                usize::from(path.extension().is_some_and(|end| end == "parquet"))
            }
        })
        .sum()
}
