//! Reads back what ingest wrote: the files that snapshots added, batch by batch, through the Parquet crate and the table's own storage.

use arrow::array::RecordBatch;
use iceberg::spec::{DataFile, SnapshotRef, TableMetadata};
use iceberg::table::Table;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::commit::{failed, history};
use crate::error::{Error, Result};

/// Rows of a batch.
const ROWS: usize = 8_192;

/// The snapshots of the main branch after `after`, oldest first; all of them for none. No answer when `after` is not in the history: it was
/// rolled back or has expired.
pub(crate) fn since(metadata: &TableMetadata, after: Option<i64>) -> Option<Vec<SnapshotRef>> {
    let mut found = Vec::new();
    let mut met = after.is_none();
    for snapshot in history(metadata) {
        if Some(snapshot.snapshot_id()) == after {
            met = true;
            break;
        }
        found.push(std::sync::Arc::clone(snapshot));
    }
    found.reverse();
    met.then_some(found)
}

/// The rows of one file of `table`; of all columns or those named, as far as the file has them.
pub(crate) async fn file(
    table: &Table,
    file: &DataFile,
    columns: Option<&[String]>,
) -> Result<Vec<RecordBatch>> {
    let input = table.file_io().new_input(file.file_path());
    let bytes = match input {
        Ok(input) => input.read().await,
        Err(error) => Err(error),
    };
    let bytes = bytes.map_err(|error| failed("read", table.identifier(), error))?;
    let name = table.identifier().to_string();
    let columns: Option<Vec<String>> = columns.map(<[String]>::to_vec);
    let read = tokio::task::spawn_blocking(move || {
        let parquet = |error| Error::parquet(&name, error);
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .map_err(parquet)?
            .with_batch_size(ROWS);
        let builder = match &columns {
            None => builder,
            Some(columns) => {
                let schema = builder.parquet_schema();
                let mask = ProjectionMask::columns(schema, columns.iter().map(String::as_str));
                builder.with_projection(mask)
            }
        };
        let reader = builder.build().map_err(parquet)?;
        reader
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| Error::arrow(&name, error))
    });
    read.await.map_err(|_| Error::Crashed {
        part: "reader",
        table: table.identifier().to_string(),
    })?
}
