//! Rows in the memory of this process: least recently used first to go, and no tenant fills more than its share.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::Kept;
use super::config::CacheConfig;
use super::key::Digest;

/// What an entry takes beside its rows.
const ENTRY_BYTES: u64 = 512;

/// Rows by their digest.
pub(super) struct Near {
    entries: Cache<Digest, Entry>,
    shares: Arc<Shares>,
    /// Bytes of one tenant.
    share: u64,
    turn: AtomicU64,
}

#[derive(Clone)]
struct Entry {
    kept: Arc<Kept>,
    /// Its place in the order of arrival.
    turn: u64,
}

impl Entry {
    fn bytes(&self) -> u64 {
        self.kept.bytes + ENTRY_BYTES
    }
}

impl Near {
    pub(super) fn new(config: &CacheConfig) -> Self {
        let shares = Arc::new(Shares::default());
        let told = Arc::clone(&shares);
        let bytes = config.bytes.as_u64();
        let entries = Cache::builder()
            .max_capacity(bytes)
            // Whatever is put is there for those who wait for it, however seldom it was asked for.
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, entry: &Entry| u32::try_from(entry.bytes()).unwrap_or(u32::MAX))
            .eviction_listener(move |_, entry: Entry, _| told.gone(&entry))
            .build();
        Self {
            entries,
            shares,
            share: (bytes as f64 * config.tenant_share) as u64,
            turn: AtomicU64::new(0),
        }
    }

    /// The most bytes of rows that an answer may have.
    pub(super) fn answer_max(&self) -> u64 {
        self.share.saturating_sub(ENTRY_BYTES)
    }

    /// The rows, unless their time is over.
    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<Kept>> {
        let entry = self.entries.get(digest)?;
        if entry.kept.is_over() {
            self.entries.invalidate(digest);
            return None;
        }
        Some(entry.kept)
    }

    /// Keeps rows; the oldest of the same tenant go where its share is full.
    pub(super) fn put(&self, digest: Digest, kept: &Arc<Kept>) {
        let entry = Entry {
            kept: Arc::clone(kept),
            turn: self.turn.fetch_add(1, Ordering::Relaxed),
        };
        let gone = self.shares.came(digest, &entry, self.share);
        for digest in gone {
            self.entries.invalidate(&digest);
        }
        self.entries.insert(digest, entry);
    }

    /// Entries and their bytes.
    pub(super) fn held(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near")
            .field("entries", &self.entries.entry_count())
            .finish_non_exhaustive()
    }
}

/// What each tenant holds.
#[derive(Default)]
struct Shares(Mutex<HashMap<String, Holding>>);

#[derive(Default)]
struct Holding {
    bytes: u64,
    /// Entries in the order in which they came, with their bytes.
    order: BTreeMap<u64, (Digest, u64)>,
}

impl Shares {
    /// Takes note of an entry, and names those that must go for it: the oldest of its tenant.
    fn came(&self, digest: Digest, entry: &Entry, most: u64) -> Vec<Digest> {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let holding = tenants.entry(entry.kept.tenant.clone()).or_default();
        let mut gone = Vec::new();
        while holding.bytes + entry.bytes() > most
            && let Some((_, (oldest, bytes))) = holding.order.pop_first()
        {
            holding.bytes -= bytes;
            // The entry that is being replaced goes by that.
            if oldest != digest {
                gone.push(oldest);
            }
        }
        holding.bytes += entry.bytes();
        holding.order.insert(entry.turn, (digest, entry.bytes()));
        gone
    }

    /// An entry has left the memory, for whatever reason.
    fn gone(&self, entry: &Entry) {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(holding) = tenants.get_mut(&entry.kept.tenant) else {
            return;
        };
        if let Some((_, bytes)) = holding.order.remove(&entry.turn) {
            holding.bytes -= bytes;
        }
        if holding.order.is_empty() {
            tenants.remove(&entry.kept.tenant);
        }
    }
}
