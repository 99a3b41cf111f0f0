//! Every message is read back by the arrow crate, which knows nothing of how it was made.

use super::*;
use arrow::array::{
    BinaryArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray, FixedSizeListArray, Float64Array,
    Int32Array, Int64Array, LargeStringArray, ListArray, MapArray, NullArray, StringArray, StringViewArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Field, Fields, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use proptest::prelude::*;
use std::sync::Arc;

/// A message in the bytes of an IPC stream: the schema by the arrow crate, then ours.
fn read_back(batch: &RecordBatch) -> RecordBatch {
    let mut bytes = Vec::new();
    drop(StreamWriter::try_new(&mut bytes, batch.schema_ref()).unwrap());
    let message = message(batch).unwrap();
    let pieces: usize = message.body.iter().map(Bytes::len).sum();
    assert_eq!(pieces, message.body_bytes);
    assert_eq!(message.body_bytes % 8, 0);
    let padded = message.header.len().next_multiple_of(8);
    bytes.extend(u32::MAX.to_le_bytes());
    bytes.extend(u32::try_from(padded).unwrap().to_le_bytes());
    bytes.extend(&message.header);
    bytes.extend(vec![0; padded - message.header.len()]);
    for piece in &message.body {
        bytes.extend(piece);
    }
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let mut batches = StreamReader::try_new(bytes.as_slice(), None).unwrap();
    let read = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    read
}

fn offsets(lengths: impl Iterator<Item = usize>) -> OffsetBuffer<i32> {
    OffsetBuffer::from_lengths(lengths)
}

/// A column of each type, of `rows` rows, whose values and NULLs follow from `seed`.
fn batch(rows: usize, seed: u64) -> RecordBatch {
    let number = |row: usize, salt: u64| {
        let mixed = (row as u64 + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(seed.wrapping_mul(salt + 7));
        mixed ^ (mixed >> 29)
    };
    let holds = |row: usize, salt: u64| !number(row, salt).is_multiple_of(4);
    let text = |row: usize, salt: u64| "aé€𝄞b".repeat((number(row, salt) % 5) as usize);
    let nulls = |salt: u64| NullBuffer::from((0..rows).map(|row| holds(row, salt)).collect::<Vec<_>>());
    let lengths = |salt: u64| (0..rows).map(move |row| (number(row, salt) % 4) as usize);
    let items: usize = lengths(8).sum();
    let integers: ArrayRef = Arc::new(
        (0..items)
            .map(|row| holds(row, 3).then_some(row as i32))
            .collect::<Int32Array>(),
    );
    let texts: ArrayRef = Arc::new((0..items).map(|row| Some(text(row, 5))).collect::<StringArray>());
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let pair = Fields::from(vec![
        Field::new("key", DataType::Int32, true),
        Field::new("value", DataType::Utf8, true),
    ]);
    let entries = StructArray::new(
        pair.clone(),
        vec![Arc::clone(&integers), Arc::clone(&texts)],
        None,
    );
    let row_texts: ArrayRef = Arc::new(
        (0..rows)
            .map(|row| holds(row, 1).then(|| text(row, 1)))
            .collect::<StringArray>(),
    );
    let row_booleans: ArrayRef = Arc::new(
        (0..rows)
            .map(|row| holds(row, 9).then_some(number(row, 2) % 2 == 0))
            .collect::<BooleanArray>(),
    );
    let members = Fields::from(vec![
        Field::new("t", DataType::Utf8, true),
        Field::new("b", DataType::Boolean, true),
    ]);
    let triples: ArrayRef = Arc::new((0..rows * 3).map(|row| row as i64).collect::<Int64Array>());
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..rows).map(|row| row as i64).collect::<Int64Array>()),
        Arc::new(
            (0..rows)
                .map(|row| holds(row, 2).then_some(row as f64 / 3.0))
                .collect::<Float64Array>(),
        ),
        Arc::clone(&row_booleans),
        Arc::clone(&row_texts),
        Arc::new(
            (0..rows)
                .map(|row| Some(text(row, 4)))
                .collect::<LargeStringArray>(),
        ),
        Arc::new(
            (0..rows)
                .map(|row| holds(row, 6).then(|| text(row, 6).into_bytes()))
                .collect::<BinaryArray>(),
        ),
        Arc::new(
            (0..rows)
                .map(|row| i128::from(number(row, 7)))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(38, 4)
                .unwrap(),
        ),
        Arc::new(
            TimestampMicrosecondArray::from_iter_values((0..rows).map(|row| row as i64)).with_timezone("UTC"),
        ),
        Arc::new(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                (0..rows).map(|row| holds(row, 1).then(|| number(row, 1).to_le_bytes())),
                8,
            )
            .unwrap(),
        ),
        Arc::new(ListArray::new(
            Arc::clone(&item),
            offsets(lengths(8)),
            Arc::clone(&integers),
            Some(nulls(3)),
        )),
        Arc::new(MapArray::new(
            Arc::new(Field::new("entries", DataType::Struct(pair), false)),
            offsets(lengths(8)),
            entries,
            Some(nulls(4)),
            false,
        )),
        Arc::new(StructArray::new(
            members,
            vec![row_texts, row_booleans],
            Some(nulls(5)),
        )),
        Arc::new(FixedSizeListArray::new(
            Arc::new(Field::new("item", DataType::Int64, true)),
            3,
            triples,
            Some(nulls(6)),
        )),
        Arc::new(NullArray::new(rows)),
    ];
    let fields: Fields = columns
        .iter()
        .enumerate()
        .map(|(at, column)| Field::new(format!("c{at}"), column.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_read(rows in 0..200_usize, seed: u64, from in 0..200_usize, length in 0..200_usize) {
        let batch = batch(rows, seed);
        prop_assert_eq!(&read_back(&batch), &batch);
        let from = from.min(rows);
        let part = batch.slice(from, length.min(rows - from));
        prop_assert_eq!(&read_back(&part), &part);
        // A slice of a slice: offsets add up.
        let inner = part.slice(part.num_rows() / 3, part.num_rows() / 2);
        prop_assert_eq!(&read_back(&inner), &inner);
    }
}

#[test]
fn a_slice_carries_its_own_bytes_only() {
    let whole = batch(10_000, 1);
    let part = whole.slice(5_000, 10);
    assert!(message(&part).unwrap().body_bytes < message(&whole).unwrap().body_bytes / 100);
    assert_eq!(body_bytes(&part).unwrap(), message(&part).unwrap().body_bytes);
}

#[test]
fn nothing_is_copied() {
    let values = Int64Array::from_iter_values(0..1_000);
    let address = values.values().as_ptr() as usize;
    let schema = Arc::new(Schema::new(vec![Field::new("v", DataType::Int64, false)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(values)]).unwrap();
    assert_eq!(message(&batch).unwrap().body[0].as_ptr() as usize, address);
}

#[test]
fn a_type_of_the_slow_path_is_written_too() {
    let views: ArrayRef = Arc::new(StringViewArray::from_iter_values([
        "a",
        "a text too long to lie in its view",
    ]));
    let schema = Arc::new(Schema::new(vec![Field::new("v", DataType::Utf8View, false)]));
    let batch = RecordBatch::try_new(schema, vec![views]).unwrap();
    assert_eq!(read_back(&batch), batch);
}
