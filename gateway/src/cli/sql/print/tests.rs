use super::{Format, Sink};
use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray};
use arrow::datatypes::Int32Type;
use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

fn batch() -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(300)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("wide 日本"), None]));
    RecordBatch::try_from_iter([("n", numbers), ("text", texts)]).unwrap()
}

fn printed(format: Format, width: Option<usize>, batches: &[RecordBatch]) -> String {
    let mut out = Vec::new();
    let mut sink = Sink::begin(format, &batches[0].schema(), width, &mut out).unwrap();
    for batch in batches {
        sink.rows(batch).unwrap();
    }
    sink.end().unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table_aligns_numbers_to_the_right_and_counts_wide_letters() {
    let expected = " n    | text\n------+-----------\n    1 | a\n NULL | wide 日本\n  300 | NULL\n";
    assert_eq!(printed(Format::Table, None, &[batch()]), expected);
    assert_eq!(printed(Format::Table, Some(80), &[batch()]), expected);
}

#[test]
fn a_result_without_rows_shows_its_columns() {
    let none = batch().slice(0, 0);
    assert_eq!(
        printed(Format::Table, None, std::slice::from_ref(&none)),
        " n | text\n---+------\n"
    );
    assert_eq!(
        printed(Format::Csv, None, std::slice::from_ref(&none)),
        "n,text\n"
    );
    assert_eq!(printed(Format::Json, None, &[none]), "");
}

#[test]
fn a_narrow_terminal_cuts_the_widest_column_and_then_goes_down() {
    let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(50)]));
    let short: ArrayRef = Arc::new(StringArray::from(vec!["yes"]));
    let batch = RecordBatch::try_from_iter([("long", long), ("short", short)]).unwrap();
    let cut = printed(Format::Table, Some(30), std::slice::from_ref(&batch));
    let expected = format!(
        " long{} | short\n{}+-------\n {}… | yes\n",
        " ".repeat(15),
        "-".repeat(21),
        "x".repeat(18)
    );
    assert_eq!(cut, expected);
    assert!(cut.lines().all(|line| line.chars().count() <= 30));
    let down = printed(Format::Table, Some(15), &[batch]);
    assert_eq!(
        down,
        format!("-[ row 1 ]-\nlong  | {}\nshort | yes\n", "x".repeat(50))
    );
}

#[test]
fn rows_after_the_first_page_are_cut_to_its_widths() {
    let numbers = |from: i64, to: i64| {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    };
    let text = printed(
        Format::Table,
        None,
        &[numbers(0, 1_000), numbers(123_456, 123_457)],
    );
    assert_eq!(text.lines().count(), 2 + 1_001);
    assert_eq!(text.lines().last(), Some(" 12…"));
}

#[test]
fn data_cannot_drive_the_terminal() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a\u{1b}[31m\nb"]));
    let batch = RecordBatch::try_from_iter([("x\ty", text)]).unwrap();
    let shown = printed(Format::Table, None, &[batch]);
    assert!(
        shown.contains("a\\u{1b}[31m\\nb") && shown.contains("x\\ty"),
        "{shown}"
    );
    assert!(!shown.contains('\u{1b}'));
}

#[test]
fn csv_and_json_and_arrow_carry_all_rows() {
    assert_eq!(
        printed(Format::Csv, None, &[batch(), batch()]).lines().count(),
        1 + 6
    );
    assert!(printed(Format::Csv, None, &[batch()]).starts_with("n,text\n1,a\n,wide 日本\n"));
    assert_eq!(
        printed(Format::Json, None, &[batch()]).lines().next(),
        Some("{\"n\":1,\"text\":\"a\"}")
    );
    let mut out = Vec::new();
    let mut sink = Sink::begin(Format::Arrow, &batch().schema(), None, &mut out).unwrap();
    sink.rows(&batch()).unwrap();
    sink.end().unwrap();
    let read: Vec<_> = StreamReader::try_new(out.as_slice(), None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(read, [batch()]);
}

#[test]
fn csv_writes_nested_values_as_text() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let batch = RecordBatch::try_from_iter([("l", Arc::new(lists) as ArrayRef)]).unwrap();
    assert_eq!(printed(Format::Csv, None, &[batch]), "l\n\"[1, null]\"\n\"\"\n");
}
