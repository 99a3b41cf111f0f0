//! What EXPLAIN may say. A plan names the files that it reads; where they lie is no business of the person who asks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;

use crate::error::Result;

/// The plan rows without the names of files.
pub(crate) fn redacted(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            Arc::new(
                texts
                    .iter()
                    .map(|text| text.map(without_files))
                    .collect::<StringArray>(),
            ) as ArrayRef
        }
        _ => Arc::clone(column),
    });
    Ok(RecordBatch::try_new(batch.schema(), columns.collect())?)
}

/// `file_groups={2 groups: [[a.parquet], [b.parquet]]}` keeps its count alone.
fn without_files(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("file_groups={") {
        let (before, from) = rest.split_at(start);
        kept.push_str(before);
        let end = from.find('}').map_or(from.len(), |end| end + 1);
        let count = from["file_groups={".len()..end]
            .split(':')
            .next()
            .unwrap_or_default()
            .trim_end_matches('}');
        kept.push_str(&format!("file_groups={{{count}}}"));
        rest = &from[end..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::without_files;

    #[test]
    fn files_are_counted_and_not_named() {
        assert_eq!(
            without_files("DataSourceExec: file_groups={2 groups: [[x/a.parquet], [b]]}, projection=[a]"),
            "DataSourceExec: file_groups={2 groups}, projection=[a]"
        );
        assert_eq!(without_files("plain"), "plain");
    }
}
