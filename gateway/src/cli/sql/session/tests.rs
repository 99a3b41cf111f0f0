use super::{Answer, Format, Settings, Shown, described, pattern, show, summary};
use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{IpcMessage, SchemaAsIpc};
use futures::stream::{self, StreamExt as _};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn batch(rows: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

async fn shown(format: Format, rows_max: Option<usize>) -> (Shown, usize, usize) {
    let fetched = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&fetched);
    let rows = stream::iter(0..5).map(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(batch(10))
    });
    let answer = Answer {
        schema: batch(0).schema(),
        rows: rows.boxed(),
    };
    let settings = Settings {
        format,
        rows_max,
        timing: false,
        to_terminal: false,
    };
    let mut out = Vec::new();
    let shown = show(answer, &settings, &mut out).await.unwrap();
    let lines = String::from_utf8(out).unwrap().lines().count();
    (shown, lines, fetched.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_table_stops_fetching_at_its_cap_and_the_other_forms_do_not() {
    let (some, lines, fetched) = shown(Format::Table, Some(15)).await;
    assert_eq!((some.rows, some.more, lines, fetched), (15, true, 17, 2));
    let (exact, _, fetched) = shown(Format::Table, Some(50)).await;
    assert_eq!((exact.rows, exact.more, fetched), (50, false, 5));
    let (all, lines, _) = shown(Format::Table, None).await;
    assert_eq!((all.rows, all.more, lines), (50, false, 52));
    let (csv, lines, _) = shown(Format::Csv, Some(15)).await;
    assert_eq!((csv.rows, csv.more, lines), (50, false, 51));
}

#[test]
fn the_last_line_counts_and_tells_the_time() {
    let of = |rows, more| Shown {
        columns: 1,
        rows,
        more,
    };
    assert_eq!(summary(&of(1, false), None), "(1 row)\n");
    let none = Shown {
        columns: 0,
        ..of(0, false)
    };
    assert_eq!(summary(&none, None), "(done)\n");
    assert_eq!(
        summary(&of(0, false), Some(Duration::from_micros(1_250))),
        "(0 rows) in 1.2 ms\n"
    );
    assert_eq!(
        summary(&of(9, true), None),
        "(first 9 rows, there are more: --rows-max 0 shows all)\n"
    );
}

#[test]
fn a_name_as_a_pattern_fits_itself_only() {
    assert_eq!(pattern("order_items"), "order\\_items");
    assert_eq!(pattern("100%\\"), "100\\%\\\\");
}

#[test]
fn a_described_table_shows_types_nulls_and_comments() {
    let remark = HashMap::from([("ARROW:FLIGHT:SQL:REMARKS".to_owned(), "the key".to_owned())]);
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false).with_metadata(remark),
        Field::new("name", DataType::Utf8, true),
    ]);
    let options = IpcWriteOptions::default();
    let message = IpcMessage::try_from(SchemaAsIpc::new(&schema, &options)).unwrap();
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let tables = RecordBatch::try_from_iter([
        ("catalog_name", text("lake")),
        ("db_schema_name", text("gold")),
        ("table_name", text("orders")),
        (
            "table_schema",
            Arc::new(BinaryArray::from(vec![message.0.as_ref()])) as ArrayRef,
        ),
    ])
    .unwrap();
    let (title, columns) = described(&tables, 0).unwrap();
    assert_eq!(title, "lake.gold.orders");
    let shown = arrow::util::pretty::pretty_format_batches(&[columns])
        .unwrap()
        .to_string();
    assert!(
        shown.contains("| id     | BIGINT") && shown.contains("| no       | the key |"),
        "{shown}"
    );
    assert!(
        shown.contains("| name   | VARCHAR") && shown.contains("| yes      |"),
        "{shown}"
    );
}
