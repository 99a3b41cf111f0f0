//! Rows in the Redis of a fleet: Arrow IPC, compressed, cut into chunks, each sealed.
//!
//! An answer is a head, which says how many chunks there are, and the chunks. Each is sealed with the name of the answer,
//! the moment it was made and its own number inside, so that nobody who can write to Redis can give one answer for
//! another or put two together. Names are digests.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use policies::Seal;
use redis::Pipeline;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::config::{CacheConfig, FleetCache};
use super::key::Digest;
use super::{Kept, now};
use crate::error::Result;
use crate::fleet::{FleetRedis, Words};

/// Bytes of a chunk. A value as large as an answer would hold up everybody else's calls.
const CHUNK: usize = 512 << 10;
/// How often the rows of another gateway are asked for.
const ASKED: Duration = Duration::from_millis(20);
/// What is sealed is for this and nothing else.
const PURPOSE: &str = "result";

/// A Redis server.
pub(super) struct Far(Arc<Store>);

/// What a look into Redis gave.
pub(super) enum Sight {
    /// The rows.
    Kept(Kept),
    /// Nothing. With a claim the others wait for the one who holds it.
    Nothing(Option<Claim>),
}

/// The word that this gateway makes rows now. It is taken back when they are there, or when there will be none.
pub(super) struct Claim {
    store: Arc<Store>,
    digest: Digest,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let (store, digest) = (Arc::clone(&self.store), self.digest);
        self.store.io.spawn(async move {
            let mut release = redis::pipe();
            release.del(claim_name(&digest)).ignore();
            store.ask::<()>(&release).await;
        });
    }
}

struct Store {
    redis: FleetRedis,
    seal: Arc<Seal>,
    /// The threads that wait for sockets.
    io: Handle,
    ttl: Duration,
    /// How long a gateway that makes rows is waited for.
    claim: Duration,
    bytes_max: u64,
    /// Values that did not open.
    unreadable: AtomicU64,
}

/// What the first value of an answer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    made: i64,
    until: Option<i64>,
    chunks: u32,
    /// Of all chunks together.
    bytes: u64,
}

impl Far {
    /// A server that is connected to when it is first asked. The calling runtime is the one that waits for sockets.
    pub(super) fn open(config: &CacheConfig, fleet: FleetCache) -> Result<Self> {
        let words = Words {
            shared: "kept rows are those of the fleet",
            alone: "kept rows are those of this gateway",
        };
        Ok(Self(Arc::new(Store {
            redis: FleetRedis::open(&fleet.url, config.redis_timeout, words)?,
            seal: fleet.seal,
            io: Handle::current(),
            ttl: config.redis_ttl,
            claim: config.wait_max,
            bytes_max: config.result_bytes_max.as_u64(),
            unreadable: AtomicU64::new(0),
        })))
    }

    /// Calls that failed, and values that did not open.
    pub(super) fn failures(&self) -> u64 {
        self.0.redis.failures() + self.0.unreadable.load(Ordering::Relaxed)
    }

    /// The rows, if they are there, or come before `limit` from a gateway that makes them now. Without them the caller
    /// is the one who makes them.
    pub(super) async fn find(&self, digest: &Digest, tenant: &str, limit: tokio::time::Instant) -> Sight {
        let (store, digest, tenant) = (Arc::clone(&self.0), *digest, tenant.to_owned());
        let work = async move {
            loop {
                if let Some(kept) = store.get(&digest, &tenant).await {
                    return Sight::Kept(kept);
                }
                match store.claim(&digest).await {
                    Some(true) => return Sight::Nothing(Some(Claim { store, digest })),
                    Some(false) if tokio::time::Instant::now() < limit => {}
                    Some(false) | None => return Sight::Nothing(None),
                }
                tokio::time::sleep(ASKED).await;
            }
        };
        self.0.io.spawn(work).await.unwrap_or(Sight::Nothing(None))
    }

    /// Keeps rows, without being waited for.
    pub(super) fn put(&self, digest: Digest, kept: Arc<Kept>, claim: Option<Claim>) {
        let store = Arc::clone(&self.0);
        self.0.io.spawn(async move {
            match encoded(&kept) {
                Ok(bytes) => store.put(&digest, &kept, &bytes).await,
                Err(error) => tracing::warn!(error = %error, "rows could not be written for Redis"),
            }
            drop(claim);
        });
    }
}

impl Store {
    async fn get(&self, digest: &Digest, tenant: &str) -> Option<Kept> {
        let mut get = redis::pipe();
        get.get(name(digest));
        let (sealed,): (Option<Vec<u8>>,) = self.ask(&get).await?;
        let head: Head = self.opened(sealed?, &head_place(digest), |plain| {
            serde_json::from_slice(plain).ok()
        })?;
        if head.bytes > self.bytes_max.saturating_mul(2) || head.until.is_some_and(|until| until <= now()) {
            return None;
        }
        let mut get = redis::pipe();
        for index in 0..head.chunks {
            get.get(chunk_name(digest, index));
        }
        let chunks: Vec<Option<Vec<u8>>> = match head.chunks {
            0 => Vec::new(),
            _ => self.ask(&get).await?,
        };
        let mut bytes = Vec::new();
        for (index, sealed) in (0..).zip(chunks) {
            let place = chunk_place(digest, &head, index);
            bytes.extend(self.opened(sealed?, &place, |plain| Some(plain.to_vec()))?);
        }
        let kept = decoded(&bytes, &head, tenant);
        if kept.is_none() {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
        }
        kept
    }

    /// Whether this gateway makes the rows now; none while Redis does not answer.
    async fn claim(&self, digest: &Digest) -> Option<bool> {
        let mut claim = redis::pipe();
        let time = u64::try_from(self.claim.as_millis()).unwrap_or(u64::MAX).max(1);
        claim
            .cmd("SET")
            .arg(claim_name(digest))
            .arg(1)
            .arg("NX")
            .arg("PX")
            .arg(time);
        let (set,): (Option<String>,) = self.ask(&claim).await?;
        Some(set.is_some())
    }

    async fn put(&self, digest: &Digest, kept: &Kept, bytes: &[u8]) {
        let chunks: Vec<&[u8]> = bytes.chunks(CHUNK).collect();
        let head = Head {
            made: kept.made,
            until: kept.until,
            chunks: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
            bytes: bytes.len() as u64,
        };
        let left = kept
            .until
            .map(|until| u64::try_from((until - now()) / 1_000).unwrap_or(0));
        let ttl = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        let ttl = left.map_or(ttl, |left| left.min(ttl));
        if ttl == 0 {
            return;
        }
        // The head comes last: who finds it finds the chunks.
        for (index, chunk) in (0..).zip(chunks) {
            let place = chunk_place(digest, &head, index);
            if self
                .set(chunk_name(digest, index), &place, chunk, ttl)
                .await
                .is_none()
            {
                return;
            }
        }
        let Ok(plain) = serde_json::to_vec(&head) else {
            return;
        };
        self.set(name(digest), &head_place(digest), &plain, ttl).await;
    }

    async fn set(&self, name: String, place: &[u8], plain: &[u8], ttl: u64) -> Option<()> {
        let sealed = self.seal.seal(PURPOSE, &[place, plain].concat()).ok()?;
        let mut set = redis::pipe();
        set.pset_ex(name, sealed, ttl).ignore();
        self.ask(&set).await
    }

    /// What a value holds, if it is ours and stands where it was put.
    fn opened<T>(&self, sealed: Vec<u8>, place: &[u8], read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let plain = self.seal.open(PURPOSE, &sealed).ok();
        let read = plain
            .as_deref()
            .and_then(|plain| plain.strip_prefix(place))
            .and_then(read);
        if read.is_none() {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("a value in Redis is not what a gateway of this fleet has put there");
        }
        read
    }

    async fn ask<T: redis::FromRedisValue>(&self, calls: &Pipeline) -> Option<T> {
        self.redis
            .ask(|mut connection| async move { calls.query_async(&mut connection).await })
            .await
    }
}

fn name(digest: &Digest) -> String {
    format!("lakegate:result:{{{digest}}}")
}

fn chunk_name(digest: &Digest, index: u32) -> String {
    format!("{}:{index}", name(digest))
}

fn claim_name(digest: &Digest) -> String {
    format!("{}:making", name(digest))
}

fn head_place(digest: &Digest) -> Vec<u8> {
    [digest.0.as_slice(), b"head"].concat()
}

fn chunk_place(digest: &Digest, head: &Head, index: u32) -> Vec<u8> {
    let (made, chunks, index) = (
        head.made.to_le_bytes(),
        head.chunks.to_le_bytes(),
        index.to_le_bytes(),
    );
    [digest.0.as_slice(), &made, &chunks, &index].concat()
}

fn encoded(kept: &Kept) -> Result<Vec<u8>> {
    let Some(first) = kept.batches.first() else {
        return Ok(Vec::new());
    };
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), first.schema_ref(), options)?;
    for batch in &kept.batches {
        writer.write(batch)?;
    }
    Ok(writer.into_inner()?)
}

fn decoded(bytes: &[u8], head: &Head, tenant: &str) -> Option<Kept> {
    if bytes.len() as u64 != head.bytes {
        return None;
    }
    let batches = match bytes.is_empty() {
        true => Vec::new(),
        false => StreamReader::try_new(bytes, None)
            .ok()?
            .collect::<Result<Vec<_>, _>>()
            .ok()?,
    };
    let memory = batches.iter().map(|batch| batch.get_array_memory_size() as u64);
    Some(Kept {
        bytes: memory.sum(),
        made: head.made,
        until: head.until,
        tenant: tenant.to_owned(),
        batches,
    })
}

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Far")
            .field("redis", &self.0.redis)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").finish_non_exhaustive()
    }
}
