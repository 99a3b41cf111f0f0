//! Records of Kafka as rows of bronze: as they came, and beside that as silver reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use super::position::Shard;
use super::registry::Known;
use crate::bronze::envelope;
use crate::digest;
use crate::error::{Error, Result};
use crate::intake::{Bounds, Record};
use crate::json::write::quoted;
use crate::pipeline::kafka::Encoding;

/// Bytes that a record costs beside its own.
const OVERHEAD: usize = 256;
/// The bytes before an Avro record: a zero and the schema's id.
const PREFIX: usize = 5;

/// One record, taken from the client.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The place of its partition in the session.
    pub(crate) cursor: usize,
    pub(crate) offset: i64,
    /// Milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    /// None for a record that tells that its key is gone. One that is too large has its beginning and its problem.
    pub(crate) value: Option<Record>,
    /// A JSON list.
    pub(crate) headers: String,
}

impl Taken {
    /// A copy of a message.
    pub(crate) fn of(message: &BorrowedMessage<'_>, cursor: usize, bounds: &Bounds) -> Self {
        let value = message.payload().map(|value| {
            let place = u64::try_from(message.offset()).unwrap_or_default();
            Record::good(Bytes::copy_from_slice(value), place).bounded(bounds)
        });
        Self {
            cursor,
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value,
            headers: headers(message),
        }
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.payload.len());
        OVERHEAD + value + self.key.as_ref().map_or(0, Vec::len) + self.headers.len()
    }

    /// The id of the schema that an Avro record says it has.
    pub(crate) fn schema_id(&self) -> Option<i32> {
        let value = self.value.as_ref().filter(|value| value.problem.is_none())?;
        match value.payload.get(..PREFIX)? {
            [0, id @ ..] => Some(i32::from_be_bytes(id.try_into().ok()?)),
            _ => None,
        }
    }
}

/// The headers of a message as a JSON list of objects: they are ordered, may repeat, and may be any bytes.
fn headers(message: &BorrowedMessage<'_>) -> String {
    let mut out = String::from("[");
    for (index, header) in message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter())
        .enumerate()
    {
        if index > 0 {
            out.push(',');
        }
        out.push_str("{\"key\":");
        quoted(header.key, &mut out);
        text_or_base64("value", header.value, &mut out);
        out.push('}');
    }
    out.push(']');
    out
}

/// Appends a member of an object: the text, or under another name its base64.
fn text_or_base64(name: &str, value: Option<&[u8]>, out: &mut String) {
    let text = value.map(std::str::from_utf8);
    match (value, text) {
        (Some(bytes), Some(Err(_))) => {
            out.push_str(&format!(",\"{name}_base64\":\""));
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }
        (_, Some(Ok(text))) => {
            out.push_str(&format!(",\"{name}\":"));
            quoted(text, out);
        }
        _ => out.push_str(&format!(",\"{name}\":null")),
    }
}

/// A record as silver reads it, and as it came where that is something else.
#[derive(Debug, Default)]
struct Read<'a> {
    payload: Option<String>,
    bytes: Option<&'a [u8]>,
    problem: Option<String>,
}

fn read<'a>(format: Encoding, shard: &Shard, taken: &'a Taken, schemas: &BTreeMap<i32, Known>) -> Read<'a> {
    let Some(value) = &taken.value else {
        return match format {
            Encoding::Raw => Read {
                payload: Some(raw(shard, taken)),
                ..Read::default()
            },
            Encoding::Json | Encoding::Avro => Read::default(),
        };
    };
    let as_it_came = |problem: Option<String>| {
        let (text, bytes) = envelope::text_or_bytes(&value.payload);
        Read {
            payload: text.map(str::to_owned),
            bytes,
            problem,
        }
    };
    if value.problem.is_some() {
        return as_it_came(value.problem.clone());
    }
    let set_aside = |problem: String| Read {
        payload: None,
        bytes: Some(&value.payload),
        problem: Some(problem),
    };
    match format {
        Encoding::Json => as_it_came(None),
        Encoding::Raw => Read {
            payload: Some(raw(shard, taken)),
            bytes: Some(&value.payload),
            problem: None,
        },
        Encoding::Avro => match taken.schema_id().map(|id| (id, schemas.get(&id))) {
            None => set_aside("it does not begin with a zero byte and the id of a schema".to_owned()),
            Some((_, Some(Known::Plan(plan)))) => match plan.json(&value.payload[PREFIX..]) {
                Ok(json) => Read {
                    payload: Some(json),
                    bytes: Some(&value.payload),
                    problem: None,
                },
                Err(fault) => set_aside(format!("it is no record of its schema: {fault}")),
            },
            Some((_, Some(Known::Unusable(reason)))) => set_aside(reason.to_string()),
            Some((id, None)) => set_aside(format!("the schema {id} was not asked for")),
        },
    }
}

/// A record of any bytes as an object.
fn raw(shard: &Shard, taken: &Taken) -> String {
    let mut out = String::from("{\"topic\":");
    quoted(&shard.topic, &mut out);
    out.push_str(&format!(
        ",\"partition\":{},\"offset\":{}",
        shard.partition, taken.offset
    ));
    match taken.timestamp.and_then(DateTime::from_timestamp_millis) {
        Some(at) => out.push_str(&format!(
            ",\"timestamp\":\"{}\"",
            at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
        )),
        None => out.push_str(",\"timestamp\":null"),
    }
    text_or_base64("key", taken.key.as_deref(), &mut out);
    text_or_base64(
        "value",
        taken.value.as_ref().map(|value| value.payload.as_ref()),
        &mut out,
    );
    out.push('}');
    out
}

/// What all rows of a batch share.
pub(crate) struct Batch<'a> {
    pub(crate) pipeline: &'a str,
    pub(crate) batch: &'a str,
    pub(crate) format: Encoding,
    /// Each partition and its generation.
    pub(crate) shards: &'a [(Shard, u32)],
    /// The schemas of every id that stands before a record.
    pub(crate) schemas: &'a BTreeMap<i32, Known>,
    pub(crate) now: DateTime<Utc>,
}

/// A record with its place and what silver reads of it.
struct Row<'a> {
    taken: &'a Taken,
    shard: &'a Shard,
    generation: u32,
    read: Read<'a>,
}

impl Row<'_> {
    /// The key as a text or as bytes.
    fn key(&self) -> (Option<&str>, Option<&[u8]>) {
        let key = self.taken.key.as_deref();
        key.map_or((None, None), envelope::text_or_bytes)
    }

    fn sha256(&self) -> String {
        let value = self.taken.value.as_ref().map(|value| value.payload.as_ref());
        digest::hex(&digest::sha256(value.unwrap_or_default()))
    }
}

/// The rows of some records.
///
/// # Errors
/// A defect: the columns do not fit together.
pub(crate) fn rows(of: &Batch<'_>, records: &[Taken]) -> Result<RecordBatch> {
    let row = |taken| -> Option<Row<'_>> {
        let taken: &Taken = taken;
        let (shard, generation) = of.shards.get(taken.cursor)?;
        let read = read(of.format, shard, taken, of.schemas);
        let generation = *generation;
        Some(Row {
            taken,
            shard,
            generation,
            read,
        })
    };
    let rows: Vec<Row<'_>> = records.iter().filter_map(row).collect();
    let text = |value: &dyn Fn(&Row<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<StringArray>())
    };
    let instants = |values: &dyn Fn(&Row<'_>) -> Option<i64>| -> ArrayRef {
        let values: Vec<Option<i64>> = rows.iter().map(values).collect();
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("+00:00"))
    };
    let same = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows.len()])) };
    let bytes: BinaryArray = rows.iter().map(|row| row.read.bytes).collect();
    let key_bytes: BinaryArray = rows.iter().map(|row| row.key().1).collect();
    let partitions: Int32Array = rows.iter().map(|row| Some(row.shard.partition)).collect();
    let offsets: Int64Array = rows.iter().map(|row| Some(row.taken.offset)).collect();
    let is_avro = of.format == Encoding::Avro;
    let schema_id = |row: &Row<'_>| row.taken.schema_id().filter(|_| is_avro);
    let schema_ids: Int32Array = rows.iter().map(schema_id).collect();
    let id = |row: &Row<'_>| format!("{}/{}/{}", row.shard, row.generation, row.taken.offset);
    let op = |row: &Row<'_>| if row.taken.value.is_some() { "c" } else { "d" };
    let columns: [(&str, ArrayRef, bool); 21] = [
        (envelope::INGEST_ID, text(&|row| Some(id(row))), false),
        ("_source", same("kafka"), false),
        ("_stream", same(of.pipeline), false),
        (
            envelope::POSITION,
            text(&|row| Some(format!("{:020}", row.taken.offset))),
            false,
        ),
        (
            envelope::INGESTED_AT,
            instants(&|_| Some(of.now.timestamp_micros())),
            false,
        ),
        ("_op", text(&|row| Some(op(row).to_owned())), false),
        (envelope::BATCH, same(of.batch), false),
        ("_payload_format", same(of.format.name()), false),
        (envelope::PAYLOAD, text(&|row| row.read.payload.clone()), true),
        (envelope::PAYLOAD_BYTES, Arc::new(bytes), true),
        (envelope::PROBLEM, text(&|row| row.read.problem.clone()), true),
        ("_content_sha256", text(&|row| Some(row.sha256())), false),
        ("_headers", text(&|row| Some(row.taken.headers.clone())), false),
        ("_shard", text(&|row| Some(row.shard.to_string())), true),
        ("_topic", text(&|row| Some(row.shard.topic.clone())), true),
        ("_partition", Arc::new(partitions), true),
        ("_offset", Arc::new(offsets), true),
        // A timestamp beyond what microseconds hold is none: readers could not tell it.
        (
            "_event_time",
            instants(&|row| row.taken.timestamp?.checked_mul(1_000)),
            true,
        ),
        ("_key", text(&|row| row.key().0.map(str::to_owned)), true),
        ("_key_bytes", Arc::new(key_bytes), true),
        ("_schema_id", Arc::new(schema_ids), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns)
        .map_err(|error| Error::arrow(&format!("bronze.{}", of.pipeline), error))
}
