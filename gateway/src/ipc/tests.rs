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

/// Makes columns of `rows` rows whose values and NULLs follow from `seed`.
#[derive(Clone, Copy)]
struct Maker {
    rows: usize,
    seed: u64,
}

impl Maker {
    fn number(self, row: usize, salt: u64) -> u64 {
        let mixed = (row as u64 + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(self.seed.wrapping_mul(salt + 7));
        mixed ^ (mixed >> 29)
    }

    fn holds(self, row: usize, salt: u64) -> bool {
        !self.number(row, salt).is_multiple_of(4)
    }

    fn text(self, row: usize, salt: u64) -> String {
        "aé€𝄞b".repeat((self.number(row, salt) % 5) as usize)
    }

    fn nulls(self, salt: u64) -> Option<NullBuffer> {
        let held: Vec<bool> = (0..self.rows).map(|row| self.holds(row, salt)).collect();
        Some(NullBuffer::from(held))
    }

    fn lengths(self) -> impl Iterator<Item = usize> {
        (0..self.rows).map(move |row| (self.number(row, 8) % 4) as usize)
    }

    fn texts(self, rows: usize) -> StringArray {
        (0..rows)
            .map(|row| self.holds(row, 1).then(|| self.text(row, 1)))
            .collect()
    }

    fn booleans(self) -> BooleanArray {
        (0..self.rows)
            .map(|row| {
                self.holds(row, 9)
                    .then_some(self.number(row, 2).is_multiple_of(2))
            })
            .collect()
    }

    fn integers(self, rows: usize) -> Int32Array {
        (0..rows)
            .map(|row| self.holds(row, 3).then_some(row as i32))
            .collect()
    }

    fn flat(self) -> Vec<ArrayRef> {
        let rows = 0..self.rows;
        let wide: LargeStringArray = rows.clone().map(|row| Some(self.text(row, 4))).collect();
        let floats: Float64Array = rows
            .clone()
            .map(|row| self.holds(row, 2).then_some(row as f64 / 3.0))
            .collect();
        let bytes: BinaryArray = rows
            .clone()
            .map(|row| self.holds(row, 6).then(|| self.text(row, 6).into_bytes()))
            .collect();
        let decimals: Decimal128Array = rows.clone().map(|row| i128::from(self.number(row, 7))).collect();
        let instants = TimestampMicrosecondArray::from_iter_values(rows.clone().map(|row| row as i64));
        let fixed = rows
            .clone()
            .map(|row| self.holds(row, 1).then(|| self.number(row, 1).to_le_bytes()));
        vec![
            Arc::new(rows.map(|row| row as i64).collect::<Int64Array>()),
            Arc::new(floats),
            Arc::new(self.booleans()),
            Arc::new(self.texts(self.rows)),
            Arc::new(wide),
            Arc::new(bytes),
            Arc::new(decimals.with_precision_and_scale(38, 4).unwrap()),
            Arc::new(instants.with_timezone("UTC")),
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed, 8).unwrap()),
            Arc::new(NullArray::new(self.rows)),
        ]
    }

    fn nested(self) -> Vec<ArrayRef> {
        let items: usize = self.lengths().sum();
        let field = |name: &str, of: DataType| Field::new(name, of, true);
        let pair = Fields::from(vec![
            field("key", DataType::Int32),
            field("value", DataType::Utf8),
        ]);
        let entries: Vec<ArrayRef> = vec![Arc::new(self.integers(items)), Arc::new(self.texts(items))];
        let entries = StructArray::new(pair.clone(), entries, None);
        let of_entries = Arc::new(Field::new("entries", DataType::Struct(pair), false));
        let members = Fields::from(vec![field("t", DataType::Utf8), field("b", DataType::Boolean)]);
        let parts: Vec<ArrayRef> = vec![Arc::new(self.texts(self.rows)), Arc::new(self.booleans())];
        let item = Arc::new(field("item", DataType::Int32));
        let triples: ArrayRef = Arc::new(self.integers(self.rows * 3));
        let integers: ArrayRef = Arc::new(self.integers(items));
        let offsets = OffsetBuffer::<i32>::from_lengths(self.lengths());
        vec![
            Arc::new(ListArray::new(
                Arc::clone(&item),
                offsets.clone(),
                integers,
                self.nulls(3),
            )),
            Arc::new(MapArray::new(of_entries, offsets, entries, self.nulls(4), false)),
            Arc::new(StructArray::new(members, parts, self.nulls(5))),
            Arc::new(FixedSizeListArray::new(item, 3, triples, self.nulls(6))),
        ]
    }
}

/// A column of each type.
fn batch(rows: usize, seed: u64) -> RecordBatch {
    let maker = Maker { rows, seed };
    let columns = [maker.flat(), maker.nested()].concat();
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
