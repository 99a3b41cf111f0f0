//! Table metadata, manifest lists and manifests, read through the warehouse and kept in one bounded memory.
//!
//! Invariants:
//! - All three are immutable once written, so their full location is the key and nothing ever grows old.
//! - The weight of an entry counts the heap behind it, so that the bound is a bound of memory.
//! - Concurrent readers of one file wait for one read.

use super::warehouse::Warehouse;
use super::weight;
use crate::{Error, Result};
use bytes::Bytes;
use iceberg::spec::{FormatVersion, Manifest, ManifestList, TableMetadata};
use moka::future::Cache;
use serde::Deserialize as _;
use serde_json::Value;
use std::borrow::Cow;
use std::future::Future;
use std::io::Read as _;
use std::sync::Arc;

/// One immutable thing in memory.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Metadata(Arc<TableMetadata>, u32),
    List(Arc<ManifestList>, u32),
    Manifest(Arc<Manifest>, u32),
}

impl Entry {
    fn weight(&self) -> u32 {
        match self {
            Self::Metadata(_, weight) | Self::List(_, weight) | Self::Manifest(_, weight) => *weight,
        }
    }
}

/// The metadata files of one table.
#[derive(Clone, Debug)]
pub(super) struct MetadataStore {
    warehouse: Warehouse,
    cache: Known,
}

/// The memory of one source for metadata files.
pub(super) type Known = Cache<String, Entry>;

/// A memory with room for `bytes_max`.
pub(super) fn known(bytes_max: u64) -> Known {
    Cache::builder()
        .max_capacity(bytes_max)
        .weigher(|key: &String, entry: &Entry| entry.weight().saturating_add(weight::bytes(key.len() + 96)))
        .build()
}

impl MetadataStore {
    /// The metadata files of one table, kept in the memory of its source.
    pub(super) fn new(warehouse: Warehouse, cache: Known) -> Self {
        Self { warehouse, cache }
    }

    /// The metadata of `table` that lies at `location`.
    pub(super) async fn metadata(&self, table: &str, location: &str) -> Result<Arc<TableMetadata>> {
        let read = async {
            let bytes = self.warehouse.read(table, location).await?;
            let text = self.plain(table, location, bytes).await?;
            let metadata = parse(table, location, &text)?;
            let weight = weight::metadata(u64::try_from(text.len()).unwrap_or(u64::MAX));
            Ok(Entry::Metadata(Arc::new(metadata), weight))
        };
        match self.get(table, location, read).await? {
            Entry::Metadata(metadata, _) => Ok(metadata),
            Entry::List(..) | Entry::Manifest(..) => Err(confused(table, location)),
        }
    }

    /// The text of a metadata file, which may be compressed; within the bound of the config either way.
    async fn plain(&self, table: &str, location: &str, bytes: Bytes) -> Result<Bytes> {
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return Ok(bytes);
        }
        let most = self.warehouse.file_bytes_max.saturating_add(1);
        let mut text = Vec::new();
        let read = flate2::read::MultiGzDecoder::new(bytes.as_ref())
            .take(most)
            .read_to_end(&mut text);
        read.map_err(|cause| corrupt(table, location, cause))?;
        let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.warehouse.check_size(table, location, size)?;
        Ok(text.into())
    }

    /// The manifest list of a snapshot.
    pub(super) async fn list(
        &self,
        table: &str,
        location: &str,
        version: FormatVersion,
    ) -> Result<Arc<ManifestList>> {
        let read = async {
            let bytes = self.warehouse.read(table, location).await?;
            let list = ManifestList::parse_with_version(&bytes, version)
                .map_err(|cause| corrupt(table, location, cause))?;
            let weight = weight::list(&list);
            Ok(Entry::List(Arc::new(list), weight))
        };
        match self.get(table, location, read).await? {
            Entry::List(list, _) => Ok(list),
            Entry::Metadata(..) | Entry::Manifest(..) => Err(confused(table, location)),
        }
    }

    /// One manifest.
    pub(super) async fn manifest(&self, table: &str, location: &str) -> Result<Arc<Manifest>> {
        let read = async {
            let bytes = self.warehouse.read(table, location).await?;
            let manifest =
                Manifest::parse_avro(&as_second(&bytes)).map_err(|cause| corrupt(table, location, cause))?;
            let weight = weight::manifest(&manifest);
            Ok(Entry::Manifest(Arc::new(manifest), weight))
        };
        match self.get(table, location, read).await? {
            Entry::Manifest(manifest, _) => Ok(manifest),
            Entry::Metadata(..) | Entry::List(..) => Err(confused(table, location)),
        }
    }

    /// From memory, or by one read that all who wait share. A failure is not kept.
    async fn get(
        &self,
        table: &str,
        location: &str,
        read: impl Future<Output = Result<Entry>>,
    ) -> Result<Entry> {
        // The path is part of no other table's files, and a refused path must not be answered from memory either.
        self.warehouse.path(table, location)?;
        let known = self.cache.try_get_with_by_ref(location, read).await;
        known.map_err(|failure| Error::shared(&failure))
    }
}

/// Table metadata from its text. What would be read wrong without a word is refused.
fn parse(table: &str, location: &str, text: &[u8]) -> Result<TableMetadata> {
    let metadata: TableMetadata =
        serde_json::from_slice(text).map_err(|cause| corrupt(table, location, cause))?;
    if metadata.format_version() == FormatVersion::V3 {
        let text = serde_json::from_slice(text).map_err(|cause| corrupt(table, location, cause))?;
        check_defaults(table, &text, &metadata)?;
    }
    Ok(metadata)
}

/// As [`parse`], of metadata that came as a part of something else.
pub(super) fn from_part(table: &str, location: &str, part: &Value) -> Result<TableMetadata> {
    let metadata = TableMetadata::deserialize(part).map_err(|cause| corrupt(table, location, cause))?;
    if metadata.format_version() == FormatVersion::V3 {
        check_defaults(table, part, &metadata)?;
    }
    Ok(metadata)
}

/// A manifest of format version 1 under the name of version 2, whose fields it has or may leave out.
///
/// Iceberg's own reader of version 1 asks for a snapshot id in each entry, which Spark's `add_files` leaves to be
/// inherited, and gives each entry the sequence number 0 where the specification has it inherited too: rows added to a
/// table of version 2 would then be deleted by keys that are older than they.
fn as_second(bytes: &[u8]) -> Cow<'_, [u8]> {
    match version_place(bytes) {
        Some(place) if bytes[place] == b'1' => {
            let mut second = bytes.to_vec();
            second[place] = b'2';
            Cow::Owned(second)
        }
        _ => Cow::Borrowed(bytes),
    }
}

/// Where the one digit of `format-version` stands in the header of an Avro file: magic, then blocks of pairs of a key
/// and a value, each with its length before it.
fn version_place(bytes: &[u8]) -> Option<usize> {
    let mut at = 4;
    loop {
        let count = number(bytes, &mut at)?;
        if count == 0 {
            return None;
        }
        if count < 0 {
            // A block with a negative count tells its size too.
            number(bytes, &mut at)?;
        }
        for _ in 0..count.unsigned_abs() {
            let key = text(bytes, &mut at)?;
            let start = at;
            let value = text(bytes, &mut at)?;
            if key == b"format-version" {
                return (value.len() == 1).then_some(start + 1);
            }
        }
    }
}

fn text<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let length = usize::try_from(number(bytes, at)?).ok()?;
    let end = at.checked_add(length)?;
    let text = bytes.get(*at..end)?;
    *at = end;
    Some(text)
}

/// A number in Avro's form: seven bits a byte, the lowest first, zigzag.
fn number(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let half = i64::try_from(value >> 1).ok()?;
            return Some(if value & 1 == 0 { half } else { -half - 1 });
        }
    }
    None
}

/// Refuses a default that Iceberg's own reader has left out without a word, as it does with those it cannot read.
fn check_defaults(table: &str, text: &Value, metadata: &TableMetadata) -> Result<()> {
    let unsupported = |feature: String| Error::Unsupported {
        table: table.to_owned(),
        feature,
    };
    for schema in text["schemas"].as_array().into_iter().flatten() {
        let id = schema["schema-id"].as_i64().and_then(|id| i32::try_from(id).ok());
        let read = id.and_then(|id| metadata.schema_by_id(id));
        for (field, name) in with_default(schema) {
            let field = i32::try_from(field).ok();
            let field = field.and_then(|field| read.and_then(|schema| schema.field_by_id(field)));
            if field.is_none_or(|field| field.initial_default.is_none()) {
                return Err(unsupported(format!("the default value of column {name}")));
            }
        }
    }
    Ok(())
}

/// The ids and names of all fields below a piece of a schema that have an initial default.
fn with_default(of: &Value) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    let mut open = vec![of];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(all) => open.extend(all),
            Value::Object(all) => {
                if let (Some(id), Some(default)) = (value["id"].as_i64(), all.get("initial-default"))
                    && !default.is_null()
                {
                    let name = value["name"].as_str().unwrap_or_default();
                    found.push((id, name.to_owned()));
                }
                open.extend(all.values());
            }
            _ => {}
        }
    }
    found
}

fn confused(table: &str, location: &str) -> Error {
    corrupt(
        table,
        location,
        std::io::Error::other("one file is named as two kinds of metadata"),
    )
}

fn corrupt(table: &str, location: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Corrupt {
        table: table.to_owned(),
        path: shown(location),
        cause: Box::new(cause),
    }
}

/// A location for people: the folder and the file. Where the warehouse lies on the server is nobody's business.
pub(super) fn shown(location: &str) -> String {
    let mut parts: Vec<&str> = location.rsplit('/').take(2).collect();
    parts.reverse();
    parts.join("/")
}
