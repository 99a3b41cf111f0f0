use std::io::Cursor;
use std::sync::Arc;

use ::arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, ListArray,
    MapArray, StringArray, StructArray, TimestampMicrosecondArray,
};
use ::arrow::buffer::OffsetBuffer;
use ::arrow::datatypes::{DataType, Field, Int64Type, Schema};
use ::arrow::ipc::reader::StreamReader;
use serde_json::{Value, json};

use super::*;

fn shape(format: Format) -> Shape {
    Shape {
        format,
        arrays: false,
        decimals_as_text: false,
        safe: false,
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn types() -> RecordBatch {
    let decimals = Decimal128Array::from(vec![Some(-5), None])
        .with_precision_and_scale(38, 2)
        .unwrap();
    let stamps = TimestampMicrosecondArray::from(vec![Some(904_743_930_250_000), None]);
    let zoned = stamps.clone().with_timezone("+00:00");
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    batch(vec![
        ("long", Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
        ("decimal", Arc::new(decimals)),
        (
            "float",
            Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(0.1)])),
        ),
        ("date", Arc::new(Date32Array::from(vec![Some(10_471), None]))),
        ("stamp", Arc::new(stamps)),
        ("zoned", Arc::new(zoned)),
        (
            "bytes",
            Arc::new(BinaryArray::from(vec![Some(&[1_u8, 2, 255][..]), None])),
        ),
        (
            "text",
            Arc::new(StringArray::from(vec![Some("say \"hi\", ok"), Some("")])),
        ),
        ("list", Arc::new(lists)),
    ])
}

fn whole(shape: Shape, batches: &[RecordBatch], end: &End<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = encoder(shape, &batches[0].schema());
    encoder.head(&mut out).unwrap();
    for batch in batches {
        encoder.rows(batch, &mut out).unwrap();
    }
    encoder.tail(end, &mut out).unwrap();
    out
}

fn end() -> End<'static> {
    End {
        rows: 2,
        truncated: None,
        next_cursor: None,
        request_id: "r1",
        report: None,
    }
}

fn text(shape: Shape, batches: &[RecordBatch]) -> String {
    String::from_utf8(whole(shape, batches, &end())).unwrap()
}

#[test]
fn json_has_the_columns_the_rows_and_an_end() {
    let body = text(shape(Format::Json), &[types()]);
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        answer["schema"][1],
        json!({"name": "decimal", "type": "DECIMAL(38,2)", "nullable": true})
    );
    assert_eq!(
        answer["rows"][0],
        json!({
            "long": i64::MAX,
            "decimal": -0.05,
            "float": "NaN",
            "date": "1998-09-02",
            "stamp": "1998-09-02T13:45:30.250",
            "zoned": "1998-09-02T13:45:30.250Z",
            "bytes": "AQL/",
            "text": "say \"hi\", ok",
            "list": [1, null],
        })
    );
    assert_eq!(answer["rows"][1]["decimal"], Value::Null);
    assert_eq!(
        (&answer["row_count"], &answer["request_id"]),
        (&json!(2), &json!("r1"))
    );
    assert_eq!(answer.get("next_cursor"), None);
    assert!(body.contains("\"decimal\":-0.05,"), "decimals keep their digits");
}

#[test]
fn json_takes_its_other_forms() {
    let arrays = Shape {
        arrays: true,
        decimals_as_text: true,
        ..shape(Format::Ndjson)
    };
    let lines = text(arrays, &[types()]);
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first[0], &first[1]), (&json!(i64::MAX), &json!("-0.05")));
    assert_eq!(lines.lines().count(), 2);
    let page = End {
        truncated: Some(true),
        next_cursor: Some("abc"),
        ..end()
    };
    let answer: Value = serde_json::from_slice(&whole(shape(Format::Json), &[types()], &page)).unwrap();
    assert_eq!(
        (&answer["truncated"], &answer["next_cursor"]),
        (&json!(true), &json!("abc"))
    );
}

#[test]
fn rows_of_several_batches_make_one_document() {
    let small = batch(vec![("a", Arc::new(Int32Array::from(vec![1])))]);
    let answer: Value = serde_json::from_str(&text(
        shape(Format::Json),
        &[small.clone(), small.slice(0, 0), small],
    ))
    .unwrap();
    assert_eq!(answer["rows"], json!([{"a": 1}, {"a": 1}]));
    let empty = batch(vec![("a", Arc::new(Int32Array::from(Vec::<i32>::new())))]);
    let answer: Value = serde_json::from_str(&text(shape(Format::Json), &[empty])).unwrap();
    assert_eq!(answer["rows"], json!([]));
}

#[test]
fn columns_of_one_name_are_all_there() {
    let one = |value: i32| -> ArrayRef { Arc::new(Int32Array::from(vec![value])) };
    let rows = batch(vec![
        ("id", one(1)),
        ("id_2", one(2)),
        ("id", one(3)),
        ("id", one(4)),
    ]);
    assert_eq!(
        text(shape(Format::Ndjson), std::slice::from_ref(&rows)),
        "{\"id\":1,\"id_2\":2,\"id_3\":3,\"id_4\":4}\n"
    );
    assert_eq!(text(shape(Format::Csv), &[rows]), "id,id_2,id,id\r\n1,2,3,4\r\n");
}

#[test]
fn a_map_with_other_keys_than_texts_is_a_list_of_pairs() {
    let keys: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
    let fields = vec![
        Field::new("keys", DataType::Int32, false),
        Field::new("values", DataType::Utf8, true),
    ];
    let entries = StructArray::new(fields.clone().into(), vec![keys, values], None);
    let entry = Arc::new(Field::new("entries", DataType::Struct(fields.into()), false));
    let map = MapArray::new(entry, OffsetBuffer::new(vec![0, 2].into()), entries, None, false);
    let rows = batch(vec![("map", Arc::new(map))]);
    let expected = "{\"map\":[{\"key\":1,\"value\":\"x\"},{\"key\":2,\"value\":null}]}\n";
    assert_eq!(text(shape(Format::Ndjson), &[rows]), expected);
}

#[test]
fn a_failure_is_said_where_the_format_has_room() {
    let refusal = crate::rest::problem::Refusal::from(planner::Error::Evaluation {
        message: "division by zero".to_owned(),
    });
    let problem = refusal.problem("r1");
    let small = batch(vec![("a", Arc::new(Int32Array::from(vec![1])))]);
    let broken = |format: Format| {
        let mut out = Vec::new();
        let mut encoder = encoder(shape(format), &small.schema());
        encoder.head(&mut out).unwrap();
        encoder.rows(&small, &mut out).unwrap();
        encoder.failure(&problem, &mut out);
        out
    };
    let document: Value = serde_json::from_slice(&broken(Format::Json)).unwrap();
    assert_eq!(
        (document["error"]["code"].as_str(), document.get("row_count")),
        (Some("LG1008"), None)
    );
    let lines = String::from_utf8(broken(Format::Ndjson)).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["status"], json!(400));
    assert_eq!(broken(Format::Csv), b"a\r\n1\r\n");
}

#[test]
fn csv_keeps_null_and_empty_apart() {
    let body = text(shape(Format::Csv), &[types()]);
    let lines: Vec<&str> = body.split("\r\n").collect();
    assert_eq!(lines[0], "long,decimal,float,date,stamp,zoned,bytes,text,list");
    assert_eq!(
        lines[1],
        "9223372036854775807,-0.05,NaN,1998-09-02,1998-09-02T13:45:30.250,1998-09-02T13:45:30.250Z,AQL/,\
         \"say \"\"hi\"\", ok\",\"[1,null]\""
    );
    assert_eq!(lines[2], ",,0.1,,,,,\"\",");
    assert_eq!(lines[3..], [""]);
}

#[test]
fn csv_never_has_a_blank_line() {
    let rows = batch(vec![(
        "a",
        Arc::new(StringArray::from(vec![None::<&str>, Some("x")])),
    )]);
    assert_eq!(text(shape(Format::Csv), &[rows]), "a\r\n\"\"\r\nx\r\n");
}

#[test]
fn formulas_are_made_harmless_on_request_only() {
    let texts = [
        "=1+1",
        "+1",
        "-1",
        "@x",
        "\tx",
        "\rx",
        "＝1",
        "a=1",
        "'x",
        "-",
        " =1",
        "\u{feff}=1",
        "a b",
    ];
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![-1; 13]));
    let rows = batch(vec![
        ("=t", Arc::new(StringArray::from(texts.to_vec()))),
        ("n", numbers),
    ]);
    let guarded = text(
        Shape {
            safe: true,
            ..shape(Format::Csv)
        },
        std::slice::from_ref(&rows),
    );
    let expected = [
        "'=t,n",
        "'=1+1,-1",
        "'+1,-1",
        "'-1,-1",
        "'@x,-1",
        "'\tx,-1",
        "\"'\rx\",-1",
        "'＝1,-1",
        "a=1,-1",
        "'x,-1",
        "'-,-1",
        "' =1,-1",
        "'\u{feff}=1,-1",
        "a b,-1",
        "",
    ];
    assert_eq!(guarded.split("\r\n").collect::<Vec<_>>(), expected);
    assert!(text(shape(Format::Csv), &[rows]).contains("\r\n=1+1,-1\r\n"));
}

#[test]
fn arrow_reads_back_what_went_in() {
    let rows = types();
    let bytes = whole(shape(Format::Arrow), &[rows.clone(), rows.slice(1, 1)], &end());
    let read: Vec<RecordBatch> = StreamReader::try_new(Cursor::new(bytes), None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(read, [rows.clone(), rows.slice(1, 1)]);
    let bare = schema_stream(&rows.schema()).unwrap();
    let reader = StreamReader::try_new(Cursor::new(bare), None).unwrap();
    assert_eq!(reader.schema(), rows.schema());
    assert_eq!(reader.count(), 0);
}
