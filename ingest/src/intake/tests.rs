use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::array::{Array, Int64Array, StringArray};

use super::*;

fn read(body: impl Into<Vec<u8>>, format: Format) -> Result<Vec<Record>, Refused> {
    records(Bytes::from(body.into()), format, &Bounds::default())
}

fn texts(records: &[Record]) -> Vec<&str> {
    records
        .iter()
        .map(|record| std::str::from_utf8(&record.payload).unwrap())
        .collect()
}

#[test]
fn a_line_is_a_record_whatever_is_in_it() {
    let records = read(
        "\u{feff}{\"a\":1}\r\n\n  {broken\n\u{0}\n{\"a\":2}",
        Format::Ndjson,
    )
    .unwrap();
    assert_eq!(texts(&records), ["{\"a\":1}", "{broken", "\u{0}", "{\"a\":2}"]);
    assert_eq!(
        records.iter().map(|record| record.place).collect::<Vec<_>>(),
        [1, 3, 4, 5]
    );
    let odd = read(b"\xff\xfe\n{}".to_vec(), Format::Ndjson).unwrap();
    assert_eq!(odd[0].payload.as_ref(), b"\xff\xfe");
    assert_eq!(read(" \n\n", Format::Ndjson), Err(Refused::Empty));
}

#[test]
fn a_list_is_cut_at_its_values_and_what_is_none_stands_alone() {
    for (body, expected) in [
        (
            r#"[{"a":"],["},2,"x,y",{"b":[1,{}]}]"#,
            vec![r#"{"a":"],["}"#, "2", r#""x,y""#, r#"{"b":[1,{}]}"#],
        ),
        ("{\"a\":1}\n{\"a\":2}", vec!["{\"a\":1}", "{\"a\":2}"]),
        ("{\"a\":1}{\"a\":2}", vec!["{\"a\":1}", "{\"a\":2}"]),
        (
            "[{\"a\":1}, nonsense, {\"a\":2}",
            vec!["{\"a\":1}", "nonsense", "{\"a\":2}"],
        ),
        ("[{\"a\":1},{\"a\":", vec!["{\"a\":1}", "{\"a\":"]),
        ("[1] tail", vec!["1", "tail"]),
        ("\"open", vec!["\"open"]),
        ("[\"\\", vec!["\"\\"]),
        ("}}", vec!["}", "}"]),
    ] {
        assert_eq!(texts(&read(body, Format::Json).unwrap()), expected, "{body}");
    }
    assert_eq!(read("[]", Format::Json), Err(Refused::Empty));
}

#[test]
fn rows_of_csv_are_objects_and_a_ragged_one_stands_alone() {
    let records = read("id,name\r\n1,\"a \"\"b\"\"\n\"\n2\n3,\n4,ok\n", Format::Csv).unwrap();
    assert_eq!(texts(&records)[0], r#"{"id":"1","name":"a \"b\"\n"}"#);
    assert!(
        records[1]
            .problem
            .as_deref()
            .unwrap()
            .contains("1 fields under 2 names")
    );
    assert_eq!(
        texts(&records)[2..],
        [r#"{"id":"3","name":null}"#, r#"{"id":"4","name":"ok"}"#]
    );
    assert_eq!(records[3].place, 6);
    assert!(matches!(read("a,a\n1,2", Format::Csv), Err(Refused::File { .. })));
    let odd = read(b"a,b\n\xff,1\n2,2".to_vec(), Format::Csv).unwrap();
    assert!(odd[0].problem.is_some() && odd[1].problem.is_none());
}

fn parquet_file() -> Vec<u8> {
    let ids: Arc<dyn Array> = Arc::new(Int64Array::from(vec![Some(1), None]));
    let names: Arc<dyn Array> = Arc::new(StringArray::from(vec!["a", "b"]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn rows_of_parquet_and_avro_are_objects() {
    let expected = [r#"{"id":1,"name":"a"}"#, r#"{"name":"b"}"#];
    assert_eq!(texts(&read(parquet_file(), Format::Parquet).unwrap()), expected);
    let ids: Arc<dyn Array> = Arc::new(Int64Array::from(vec![7]));
    let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    let mut writer =
        arrow_avro::writer::AvroWriter::new(Vec::new(), batch.schema().as_ref().clone()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        texts(&read(writer.into_inner(), Format::Avro).unwrap()),
        [r#"{"id":7}"#]
    );
}

/// Every cut and a flip of every byte: refused or read, never a crash.
#[test]
fn damaged_files_are_refused_as_a_whole() {
    let file = parquet_file();
    for end in 0..file.len() {
        assert!(
            matches!(
                read(&file[..end], Format::Parquet),
                Err(Refused::File { .. } | Refused::TooLarge { .. })
            ),
            "{end}"
        );
    }
    for at in 0..file.len() {
        let mut bytes = file.clone();
        bytes[at] ^= 0x5a;
        drop(read(bytes, Format::Parquet));
    }
    for bytes in [&b""[..], b"Obj\x01", b"{}", &file] {
        assert!(
            matches!(
                read(bytes, Format::Avro),
                Err(Refused::File { .. } | Refused::Empty)
            ),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_record_that_is_too_large_keeps_its_beginning() {
    let bounds = Bounds {
        record_bytes_max: 100_000,
        ..Bounds::default()
    };
    let body = format!("{{\"a\":1}}\n\"{}\"\n{{\"a\":2}}", "x".repeat(200_000));
    let records = records(body.into(), Format::Ndjson, &bounds).unwrap();
    assert_eq!(records.len(), 3);
    assert_eq!(records[1].payload.len(), KEPT_OF_LARGE);
    assert!(records[1].problem.as_deref().unwrap().contains("200002 bytes"));
}

fn packed(bytes: &[u8]) -> Bytes {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap().into()
}

#[test]
fn bodies_are_unpacked_within_the_bound() {
    let bounds = Bounds {
        unpacked_bytes_max: 1 << 20,
        ..Bounds::default()
    };
    let plain = b"{\"a\":1}\n".repeat(100);
    assert_eq!(
        body::unpack(packed(&plain), Some("gzip"), &bounds).unwrap(),
        plain
    );
    let zstd = zstd::bulk::compress(&plain, 3).unwrap();
    assert_eq!(body::unpack(zstd.into(), Some("ZSTD"), &bounds).unwrap(), plain);
    let bomb = packed(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 100_000);
    assert!(matches!(
        body::unpack(bomb, Some("gzip"), &bounds),
        Err(Refused::TooLarge { .. })
    ));
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    assert!(matches!(
        body::unpack(bomb.into(), Some("zstd"), &bounds),
        Err(Refused::TooLarge { .. })
    ));
    for (bytes, encoding) in [
        (Bytes::from(plain.clone()), "gzip"),
        (packed(&plain).slice(..20), "gzip"),
        (Bytes::from(plain), "br"),
    ] {
        assert!(
            matches!(
                body::unpack(bytes, Some(encoding), &bounds),
                Err(Refused::Encoding { .. })
            ),
            "{encoding}"
        );
    }
}
