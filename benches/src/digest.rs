//! A large result in sixteen bytes, so that two servers' answers can be compared without keeping either.
//!
//! Invariants: the order of rows, their cut into batches and the physical type of a column (a text as view, a whole number
//! of another width) change nothing; a value, a swap of two values between rows, a missing or a doubled row does.

use anyhow::{Context as _, Result, bail};
use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};

use crate::random::mixed;

/// What takes in batches.
pub trait Sink: Default + Send + 'static {
    /// Takes a batch.
    ///
    /// # Errors
    /// When the batch is not what it should be.
    fn take(&mut self, batch: RecordBatch) -> Result<()>;
    /// Takes what another sink of the same answer took.
    fn join(&mut self, other: Self);
}

/// Counts rows and lets them go.
#[derive(Debug, Default, Clone, Copy)]
pub struct Count(pub u64);

impl Sink for Count {
    fn take(&mut self, batch: RecordBatch) -> Result<()> {
        self.0 += batch.num_rows() as u64;
        Ok(())
    }

    fn join(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sink for Vec<RecordBatch> {
    fn take(&mut self, batch: RecordBatch) -> Result<()> {
        self.push(batch);
        Ok(())
    }

    fn join(&mut self, other: Self) {
        self.extend(other);
    }
}

/// The digest of some rows. `bytes` is their size as plain Arrow columns and is no part of what is compared.
#[derive(Debug, Default, Clone, Copy)]
pub struct Digest {
    /// How many rows there are.
    pub rows: u64,
    /// How many bytes they have as Arrow columns of plain types.
    pub bytes: u64,
    sum: u64,
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        (self.rows, self.sum) == (other.rows, other.sum)
    }
}

impl Sink for Digest {
    fn take(&mut self, batch: RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let mut columns: Vec<(&str, &ArrayRef)> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .zip(batch.columns())
            .collect();
        columns.sort_by_key(|(name, _)| *name);
        let mut rows = vec![0_u64; batch.num_rows()];
        for (name, column) in columns {
            let hashes = column_hashes(column).with_context(|| format!("column {name}"))?;
            let salt = text_hash(name.as_bytes());
            for (row, hash) in rows.iter_mut().zip(hashes) {
                *row = mixed(row.wrapping_add(salt) ^ mixed(hash));
            }
            self.bytes += plain_bytes(column)?;
        }
        self.rows += rows.len() as u64;
        self.sum = rows
            .iter()
            .fold(self.sum, |sum, row| sum.wrapping_add(mixed(*row)));
        Ok(())
    }

    fn join(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// The bytes of a column in its plain type.
fn plain_bytes(column: &ArrayRef) -> Result<u64> {
    let plain = match column.data_type() {
        DataType::Utf8View | DataType::LargeUtf8 => cast(column, &DataType::Utf8)?,
        _ => ArrayRef::clone(column),
    };
    Ok(plain.to_data().get_slice_memory_size()? as u64)
}

/// A number for each value.
fn column_hashes(column: &ArrayRef) -> Result<Vec<u64>> {
    const NULL: u64 = 0x6E75_6C6C;
    Ok(match column.data_type() {
        kind if kind.is_integer() || *kind == DataType::Date32 => {
            // Dates are days, which are whole numbers of 32 bits.
            let days = if *kind == DataType::Date32 {
                cast(column, &DataType::Int32)?
            } else {
                ArrayRef::clone(column)
            };
            let whole = cast(&days, &DataType::Int64)?;
            let whole = whole.as_primitive::<Int64Type>();
            whole
                .iter()
                .map(|value| value.map_or(NULL, |value| value as u64))
                .collect()
        }
        DataType::Decimal128(_, _) => {
            let wide = cast(column, &DataType::Decimal128(38, 6))?;
            let wide = wide.as_primitive::<Decimal128Type>();
            wide.iter()
                .map(|value| value.map_or(NULL, |value| (value as u64) ^ mixed((value >> 64) as u64)))
                .collect()
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let text = cast(column, &DataType::LargeUtf8)?;
            let text = text.as_string::<i64>();
            text.iter()
                .map(|value| value.map_or(NULL, |value| text_hash(value.as_bytes())))
                .collect()
        }
        other => bail!("type {other} has no digest"),
    })
}

fn text_hash(text: &[u8]) -> u64 {
    let mut hash = mixed(text.len() as u64);
    for chunk in text.chunks(8) {
        let mut word = [0_u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mixed(hash ^ u64::from_le_bytes(word));
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, Int64Array, StringArray, StringViewArray};
    use std::sync::Arc;

    fn digest(batches: &[(ArrayRef, ArrayRef)]) -> Digest {
        let mut digest = Digest::default();
        for (keys, texts) in batches {
            let columns = [("key", ArrayRef::clone(keys)), ("text", ArrayRef::clone(texts))];
            digest.take(RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        }
        digest
    }

    #[test]
    fn only_values_matter() {
        let keys = |keys: &[i64]| Arc::new(Int64Array::from(keys.to_vec())) as ArrayRef;
        let texts = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let one = digest(&[(keys(&[1, 2, 3]), texts(&["a", "b", "a long text of many words"]))]);
        let narrow = Arc::new(Int32Array::from(vec![3, 1])) as ArrayRef;
        let view = Arc::new(StringViewArray::from(vec!["a long text of many words", "a"])) as ArrayRef;
        assert!(one == digest(&[(keys(&[2]), texts(&["b"])), (narrow, view)]));
        for (other_keys, other_texts) in [
            (vec![1, 3, 2], vec!["a", "b", "a long text of many words"]),
            (vec![1, 2, 3], vec!["b", "a", "a long text of many words"]),
            (vec![1, 2, 3], vec!["a", "b", "a long text of many wordt"]),
            (
                vec![1, 2, 3, 3],
                vec!["a", "b", "a long text of many words", "a long text of many words"],
            ),
            (vec![1, 2], vec!["a", "b"]),
        ] {
            assert!(
                one != digest(&[(keys(&other_keys), texts(&other_texts))]),
                "{other_keys:?}"
            );
        }
    }
}
