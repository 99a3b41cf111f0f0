//! What delete files say, kept in one bounded memory.
//!
//! Invariants:
//! - Delete files never change, so nothing grows old. A mask is named by its data file and all that deletes from it.
//! - The weight of an entry counts the heap behind it.

use super::equality::KeySet;
use super::mask::Mask;
use super::positions::PositionFile;
use crate::iceberg::weight;
use crate::{Error, Result};
use moka::future::Cache;
use std::future::Future;
use std::sync::Arc;

/// What an entry is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A position delete file, by its location.
    Positions(String),
    /// An equality delete file, by its table, its location and the types of its columns.
    Equality(Arc<str>, String, String),
    /// A data file, by its table, its location and the locations of its deletes.
    Mask(Arc<str>, Arc<str>, Vec<String>),
}

impl Key {
    fn bytes(&self) -> usize {
        let held = match self {
            Self::Positions(location) => location.len(),
            Self::Equality(_, location, types) => location.len() + types.len(),
            Self::Mask(_, location, deletes) => {
                location.len() + deletes.iter().map(|one| one.len() + 24).sum::<usize>()
            }
        };
        held + 160
    }
}

/// What is kept.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Positions(Arc<PositionFile>),
    Equality(Arc<KeySet>),
    Mask(Arc<Mask>),
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Positions(file) => file.bytes(),
            Self::Equality(keys) => keys.bytes(),
            Self::Mask(mask) => mask.bytes(),
        }
    }
}

/// The memory of one source.
#[derive(Clone, Debug)]
pub(in crate::iceberg) struct DeleteCache {
    cache: Cache<Key, Entry>,
    bytes_max: u64,
}

impl DeleteCache {
    /// A memory with room for `bytes_max`.
    pub(in crate::iceberg) fn new(bytes_max: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|key: &Key, entry: &Entry| weight::bytes(key.bytes().saturating_add(entry.bytes())))
            .build();
        Self { cache, bytes_max }
    }

    /// The room, in bytes.
    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// From memory, or by one read that all who wait share. A failure is not kept.
    pub(super) async fn get(&self, key: Key, read: impl Future<Output = Result<Entry>>) -> Result<Entry> {
        let known = self.cache.try_get_with(key, read).await;
        known.map_err(|failure| Error::shared(&failure))
    }
}
