//! Batches as Arrow IPC messages whose body still lies in the arrays' own buffers: nothing is copied until the kernel
//! takes the bytes. Both protocols write what is made here.
//!
//! Invariants:
//! - The pieces of a message, one after the other, are exactly what the header describes: every buffer starts at a
//!   multiple of [`ALIGNMENT`] and the body's length is one too (Arrow columnar format, "Encapsulated message format").
//! - A column of a slice carries only the slice's bytes.
//! - Types that never leave the gateway (views, dictionaries; see `edge.rs`) take the slow path of the arrow crate.

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, RecordBatch};
use arrow::buffer::{BooleanBuffer, Buffer, OffsetBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::ipc;
use arrow::ipc::writer::{CompressionContext, DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use bytes::Bytes;
use flatbuffers::FlatBufferBuilder;

/// Every buffer of a body starts at a multiple of this, in bytes: a reader can then use it where it lies.
const ALIGNMENT: usize = 64;
const PADDING: [u8; ALIGNMENT] = [0; ALIGNMENT];

/// One message.
#[derive(Debug)]
pub(crate) struct Message {
    /// The flatbuffer that describes the body.
    pub(crate) header: Bytes,
    /// The body in pieces; together `body_bytes` long.
    pub(crate) body: Vec<Bytes>,
    /// Length of the body.
    pub(crate) body_bytes: usize,
}

/// The message of a batch.
///
/// # Errors
/// What the arrow crate says of a type that it cannot write.
pub(crate) fn message(batch: &RecordBatch) -> Result<Message, ArrowError> {
    let mut body = Body::default();
    for column in batch.columns() {
        if !body.column(column) {
            return copied(batch);
        }
    }
    Ok(body.finish(batch.num_rows()))
}

/// The message by the arrow crate, which copies the body.
fn copied(batch: &RecordBatch) -> Result<Message, ArrowError> {
    let options = IpcWriteOptions::default();
    // Without dictionaries there is nothing to track from one message to the next.
    let mut tracker = DictionaryTracker::new(false);
    let mut compression = CompressionContext::default();
    let (_, encoded) = IpcDataGenerator::default().encode(batch, &mut tracker, &options, &mut compression)?;
    Ok(Message {
        header: encoded.ipc_message.into(),
        body_bytes: encoded.arrow_data.len(),
        body: vec![encoded.arrow_data.into()],
    })
}

/// Bytes that a slice's message would hold, which is what a reader of the batch takes. An estimate for types of the
/// slow path.
pub(crate) fn body_bytes(batch: &RecordBatch) -> Result<usize, ArrowError> {
    let mut body = Body::default();
    let mut others = 0;
    for column in batch.columns() {
        if !body.column(column) {
            others += column.to_data().get_slice_memory_size()?;
        }
    }
    Ok(body.bytes + others)
}

/// A body as it grows, with what its header will say of it.
#[derive(Default)]
struct Body {
    nodes: Vec<ipc::FieldNode>,
    buffers: Vec<ipc::Buffer>,
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Body {
    /// Adds a column and what is nested in it, depth first; `false` when its type takes the slow path.
    fn column(&mut self, array: &ArrayRef) -> bool {
        if matches!(array.data_type(), DataType::Null) {
            self.nodes.push(node(array.len(), array.len()));
            return true;
        }
        self.nodes.push(node(array.len(), array.null_count()));
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => self.bits(nulls.inner()),
            // "If the null count is zero, the validity bitmap may be omitted" (columnar format, "Validity bitmaps").
            None => self.buffer(&Buffer::from(&[])),
        }
        match array.data_type() {
            DataType::Boolean => self.bits(array.as_boolean().values()),
            DataType::Utf8 => self.bytes_of(
                array.as_string::<i32>().offsets(),
                array.as_string::<i32>().values(),
            ),
            DataType::LargeUtf8 => {
                self.bytes_of(
                    array.as_string::<i64>().offsets(),
                    array.as_string::<i64>().values(),
                );
            }
            DataType::Binary => self.bytes_of(
                array.as_binary::<i32>().offsets(),
                array.as_binary::<i32>().values(),
            ),
            DataType::LargeBinary => {
                self.bytes_of(
                    array.as_binary::<i64>().offsets(),
                    array.as_binary::<i64>().values(),
                );
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                return self.items(list.offsets(), list.values());
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                return self.items(list.offsets(), list.values());
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
                return self.items(map.offsets(), &entries);
            }
            DataType::FixedSizeList(_, _) => {
                // The values of a sliced list are sliced with it.
                return self.column(array.as_fixed_size_list().values());
            }
            DataType::Struct(_) => {
                return array
                    .as_struct()
                    .columns()
                    .iter()
                    .all(|column| self.column(column));
            }
            DataType::FixedSizeBinary(width) => self.fixed(array, usize::try_from(*width).unwrap_or(0)),
            other => match other.primitive_width() {
                Some(width) => self.fixed(array, width),
                None => return false,
            },
        }
        true
    }

    /// Values of `width` bytes each.
    fn fixed(&mut self, array: &ArrayRef, width: usize) {
        let data = array.to_data();
        match data.buffers().first() {
            Some(values) => {
                let values = values.slice_with_length(data.offset() * width, data.len() * width);
                self.buffer(&values);
            }
            None => self.buffer(&Buffer::from(&[])),
        }
    }

    fn bits(&mut self, bits: &BooleanBuffer) {
        self.buffer(&bits.sliced());
    }

    fn bytes_of<O: OffsetSizeTrait>(&mut self, offsets: &OffsetBuffer<O>, values: &Buffer) {
        let (from, to) = self.offsets(offsets);
        self.buffer(&values.slice_with_length(from, to - from));
    }

    fn items<O: OffsetSizeTrait>(&mut self, offsets: &OffsetBuffer<O>, values: &ArrayRef) -> bool {
        let (from, to) = self.offsets(offsets);
        self.column(&values.slice(from, to - from))
    }

    /// Offsets that begin at zero, and the range of values that they are about.
    fn offsets<O: OffsetSizeTrait>(&mut self, offsets: &OffsetBuffer<O>) -> (usize, usize) {
        let first = offsets.first().copied().unwrap_or_default();
        let last = offsets.last().copied().unwrap_or_default();
        if first == O::zero() {
            self.buffer(offsets.inner().inner());
        } else {
            let moved: Vec<O> = offsets.iter().map(|offset| *offset - first).collect();
            self.buffer(&Buffer::from_vec(moved));
        }
        (first.as_usize(), last.as_usize())
    }

    fn buffer(&mut self, buffer: &Buffer) {
        let length = buffer.len();
        self.buffers
            .push(ipc::Buffer::new(long(self.bytes), long(length)));
        if length == 0 {
            return;
        }
        self.pieces.push(Bytes::from_owner(Owned(buffer.clone())));
        self.bytes += length;
        let padding = length.next_multiple_of(ALIGNMENT) - length;
        if padding > 0 {
            self.pieces.push(Bytes::from_static(&PADDING[..padding]));
            self.bytes += padding;
        }
    }

    fn finish(self, rows: usize) -> Message {
        let mut builder = FlatBufferBuilder::new();
        let buffers = builder.create_vector(&self.buffers);
        let nodes = builder.create_vector(&self.nodes);
        let mut batch = ipc::RecordBatchBuilder::new(&mut builder);
        batch.add_length(long(rows));
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        let batch = batch.finish().as_union_value();
        let mut message = ipc::MessageBuilder::new(&mut builder);
        message.add_version(ipc::MetadataVersion::V5);
        message.add_header_type(ipc::MessageHeader::RecordBatch);
        message.add_bodyLength(long(self.bytes));
        message.add_header(batch);
        let message = message.finish();
        builder.finish(message, None);
        Message {
            header: Bytes::copy_from_slice(builder.finished_data()),
            body: self.pieces,
            body_bytes: self.bytes,
        }
    }
}

/// Lets the network hold an array's buffer for as long as it sends it.
struct Owned(Buffer);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

fn node(length: usize, nulls: usize) -> ipc::FieldNode {
    ipc::FieldNode::new(long(length), long(nulls))
}

/// Lengths of things in memory always fit.
fn long(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
