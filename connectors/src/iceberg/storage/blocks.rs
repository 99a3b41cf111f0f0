//! Blocks of remote files kept on local disk.
//!
//! A file is read in blocks of one size; those that are on disk are not asked for again. What is known of a file is its
//! version as the store tells it (its entity tag, else its size and time): blocks are kept under store, path and version,
//! and a block that is asked for later is asked for on the condition that the version is still the same.
//!
//! Invariants:
//! - A block that cannot be read back as it was written is as good as none.
//! - The disk takes no more than the config says, but for blocks that are being removed.
//! - The folder belongs to one process, and what it held before is removed when it is opened: the list is in memory.
//! - A disk that is full or broken costs speed and no answer.

use super::config::Config;
use crate::{Error, Result};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use moka::future::Cache;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

type Stored<T> = object_store::Result<T>;

/// Files whose version is remembered.
const VERSIONS_MAX: u64 = 200_000;
/// Blocks that one request asks for at most.
const RUN_MAX: u64 = 16;
/// Ranges of one call that are read at a time.
const RANGES_AT_ONCE: usize = 8;

/// The cache of one source. Clones share everything.
#[derive(Clone, Debug)]
pub(in crate::iceberg) struct Blocks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    block_bytes: u64,
    /// Held as long as the folder is ours.
    _lock: File,
    next: AtomicU64,
    index: Cache<Key, Kind>,
    versions: Cache<Arc<str>, Arc<ObjectMeta>>,
    hits: AtomicU64,
    misses: AtomicU64,
    has_warned: AtomicBool,
}

/// A block: the file by store, path and version, and the block's number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    file: Arc<str>,
    number: u64,
}

/// A block on disk.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: u64,
    bytes: u32,
    check: u64,
}

/// What a cache has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::iceberg) struct Kept {
    /// Blocks that were on disk when they were wanted.
    pub(in crate::iceberg) hits: u64,
    /// Blocks that were not.
    pub(in crate::iceberg) misses: u64,
    /// Bytes on disk now.
    pub(in crate::iceberg) bytes: u64,
}

impl Blocks {
    /// The cache in `folder`, which is made where it is missing and emptied where it is not.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the folder cannot be used, holds files of others or is another process's.
    pub(super) fn open(folder: &std::path::Path, config: &Config) -> Result<Self> {
        let wrong = |problem: String| Error::Invalid {
            key: "storage.cache_dir".to_owned(),
            problem: format!("{}: {problem}", folder.display()),
        };
        let failed = |error: std::io::Error| wrong(error.to_string());
        std::fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        lock.try_lock()
            .map_err(|_| wrong("is in use by another process or source".to_owned()))?;
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            match name.to_string_lossy().as_ref() {
                "lock" => {}
                name if name.ends_with(".block") => std::fs::remove_file(entry.path()).map_err(failed)?,
                other => return Err(wrong(format!("holds {other}, which is no block of a cache"))),
            }
        }
        let home = folder.to_owned();
        let index = Cache::builder()
            .max_capacity(config.cache_bytes_max)
            .weigher(|_: &Key, block: &Kind| block.bytes)
            .async_eviction_listener(move |_, block: Kind, _| {
                let path = path(&home, block.name);
                async move {
                    if let Err(error) = tokio::fs::remove_file(&path).await {
                        tracing::debug!(%error, path = %path.display(), "a block was gone already");
                    }
                }
                .boxed()
            })
            .build();
        Ok(Self {
            inner: Arc::new(Inner {
                folder: folder.to_owned(),
                block_bytes: config.cache_block_bytes,
                _lock: lock,
                next: AtomicU64::new(0),
                index,
                versions: Cache::new(VERSIONS_MAX),
                hits: AtomicU64::new(0),
                misses: AtomicU64::new(0),
                has_warned: AtomicBool::new(false),
            }),
        })
    }

    /// `store` with this cache before it; `id` tells its files from those of other stores.
    pub(super) fn over(&self, id: &str, store: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        Arc::new(Cached {
            blocks: Arc::clone(&self.inner),
            id: id.to_owned(),
            inner: store,
        })
    }

    /// What the cache has done so far.
    pub(in crate::iceberg) fn kept(&self) -> Kept {
        Kept {
            hits: self.inner.hits.load(Ordering::Relaxed),
            misses: self.inner.misses.load(Ordering::Relaxed),
            bytes: self.inner.index.weighted_size(),
        }
    }
}

fn path(folder: &std::path::Path, name: u64) -> PathBuf {
    folder.join(format!("{name:016x}.block"))
}

fn check(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

impl Inner {
    /// A block from disk, if it is there as it was written.
    async fn get(&self, key: &Key) -> Option<Bytes> {
        let block = self.index.get(key).await?;
        match tokio::fs::read(path(&self.folder, block.name)).await {
            Ok(bytes) if bytes.len() as u64 == u64::from(block.bytes) && check(&bytes) == block.check => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                Some(bytes.into())
            }
            _ => {
                self.index.invalidate(key).await;
                None
            }
        }
    }

    async fn put(&self, key: Key, bytes: &Bytes) {
        let Ok(size) = u32::try_from(bytes.len()) else {
            return;
        };
        let name = self.next.fetch_add(1, Ordering::Relaxed);
        let path = path(&self.folder, name);
        match tokio::fs::write(&path, bytes).await {
            Ok(()) => {
                let block = Kind {
                    name,
                    bytes: size,
                    check: check(bytes),
                };
                self.index.insert(key, block).await;
            }
            Err(error) => {
                if !self.has_warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, path = %path.display(), "blocks cannot be kept on disk");
                }
                drop(tokio::fs::remove_file(&path).await);
            }
        }
    }
}

/// A store with the cache before it.
#[derive(Debug)]
struct Cached {
    blocks: Arc<Inner>,
    id: String,
    inner: Arc<dyn ObjectStore>,
}

impl fmt::Display for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

impl Cached {
    fn name(&self, location: &Path) -> Arc<str> {
        format!("{} {location}", self.id).into()
    }

    /// What a block of `location` at the version of `meta` is kept under.
    fn file(&self, location: &Path, meta: &ObjectMeta) -> Arc<str> {
        let tag = meta.e_tag.as_deref().unwrap_or_default();
        let time = meta.last_modified.timestamp_millis();
        format!("{} {location} {tag} {} {time}", self.id, meta.size).into()
    }

    /// The bytes of a range, and what is known of the file.
    async fn read(&self, location: &Path, range: Range<u64>) -> Stored<(Bytes, Arc<ObjectMeta>)> {
        let name = self.name(location);
        // Once more when the file has changed since its version was learnt.
        for _ in 0..2 {
            let known = self.blocks.versions.get(&name).await;
            match self.read_at(location, &range, known).await {
                Err(object_store::Error::Precondition { .. }) => {
                    self.blocks.versions.invalidate(&name).await;
                }
                other => return other,
            }
        }
        self.read_at(location, &range, None).await
    }

    async fn read_at(
        &self,
        location: &Path,
        range: &Range<u64>,
        known: Option<Arc<ObjectMeta>>,
    ) -> Stored<(Bytes, Arc<ObjectMeta>)> {
        let size = self.blocks.block_bytes;
        let (first, last) = (
            range.start / size,
            range.end.saturating_sub(1).max(range.start) / size,
        );
        let mut meta = known;
        let mut parts = BytesMut::new();
        let mut number = first;
        while number <= last {
            if let Some(known) = &meta {
                // What was asked for may go past the end of the file.
                if number * size >= known.size {
                    break;
                }
                let file = self.file(location, known);
                if let Some(block) = self.blocks.get(&Key { file, number }).await {
                    parts.extend_from_slice(&block);
                    number += 1;
                    continue;
                }
            }
            let end = self.run(location, meta.as_ref(), number, last).await;
            let (bytes, found) = self.fetch(location, number..end, meta.as_ref()).await?;
            parts.extend_from_slice(&bytes);
            // At its end a file has less than was asked for; what follows is not there.
            let is_whole = bytes.len() as u64 == (end - number) * size;
            meta = Some(found);
            number = end;
            if !is_whole {
                break;
            }
        }
        let meta = meta.ok_or_else(|| failed("nothing was read"))?;
        let start = usize::try_from(range.start - first * size).unwrap_or(usize::MAX);
        let end = range.end.min(meta.size).saturating_sub(first * size);
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        if start >= end || end > parts.len() {
            return Err(failed("the range is not in the file"));
        }
        Ok((parts.freeze().slice(start..end), meta))
    }

    /// Where the blocks from `number` on that are not on disk end.
    async fn run(&self, location: &Path, meta: Option<&Arc<ObjectMeta>>, number: u64, last: u64) -> u64 {
        let mut end = number + 1;
        while end <= last && end - number < RUN_MAX {
            if let Some(meta) = meta {
                let file = self.file(location, meta);
                if self.blocks.index.contains_key(&Key { file, number: end }) {
                    break;
                }
            }
            end += 1;
        }
        end
    }

    /// Asks the store for blocks and keeps them.
    async fn fetch(
        &self,
        location: &Path,
        blocks: Range<u64>,
        known: Option<&Arc<ObjectMeta>>,
    ) -> Stored<(Bytes, Arc<ObjectMeta>)> {
        let size = self.blocks.block_bytes;
        let mut end = blocks.end * size;
        if let Some(known) = known {
            end = end.min(known.size);
            if blocks.start * size >= end {
                return Err(failed("the range is not in the file"));
            }
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(blocks.start * size..end)),
            if_match: known.and_then(|known| known.e_tag.clone()),
            ..GetOptions::default()
        };
        let got = self.inner.get_opts(location, options).await?;
        let meta = Arc::new(got.meta.clone());
        let bytes = got.bytes().await?;
        let expected = end.min(meta.size) - blocks.start * size;
        if bytes.len() as u64 != expected {
            return Err(failed("the store gave less than it said"));
        }
        self.blocks
            .misses
            .fetch_add(blocks.end - blocks.start, Ordering::Relaxed);
        if let Some(known) = known.filter(|known| self.file(location, known) != self.file(location, &meta)) {
            // A store without conditions has given another version than the one before.
            self.blocks.versions.invalidate(&self.name(location)).await;
            return Err(object_store::Error::Precondition {
                path: location.to_string(),
                source: format!("was {:?} and is {:?}", known.e_tag, meta.e_tag).into(),
            });
        }
        self.blocks
            .versions
            .insert(self.name(location), Arc::clone(&meta))
            .await;
        let file = self.file(location, &meta);
        let step = usize::try_from(size).unwrap_or(usize::MAX);
        for (number, start) in (blocks.start..).zip((0..bytes.len()).step_by(step)) {
            let part = bytes.slice(start..bytes.len().min(start + step));
            let file = Arc::clone(&file);
            self.blocks.put(Key { file, number }, &part).await;
        }
        Ok((bytes, meta))
    }
}

fn failed(problem: &'static str) -> object_store::Error {
    object_store::Error::Generic {
        store: "block cache",
        source: problem.into(),
    }
}

/// The range that a plain read asks for; none for a read with conditions, or of what is no range of bytes.
fn plain(options: &GetOptions) -> Option<Range<u64>> {
    let is_plain = options.if_match.is_none()
        && options.if_none_match.is_none()
        && options.if_modified_since.is_none()
        && options.if_unmodified_since.is_none()
        && options.version.is_none()
        && !options.head;
    match &options.range {
        Some(GetRange::Bounded(range)) if is_plain && range.start < range.end => Some(range.clone()),
        _ => None,
    }
}

#[async_trait]
impl ObjectStore for Cached {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Stored<GetResult> {
        let Some(range) = plain(&options) else {
            return self.inner.get_opts(location, options).await;
        };
        let (bytes, meta) = self.read(location, range.clone()).await?;
        let end = range.start + bytes.len() as u64;
        Ok(GetResult {
            payload: GetResultPayload::Stream(futures::stream::once(async move { Ok(bytes) }).boxed()),
            meta: ObjectMeta {
                location: location.clone(),
                ..meta.as_ref().clone()
            },
            range: range.start..end,
            attributes: Default::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Stored<Vec<Bytes>> {
        let ranges = ranges.to_vec();
        futures::stream::iter(ranges)
            .map(|range| async move {
                match range.is_empty() {
                    true => Ok(Bytes::new()),
                    false => self.read(location, range).await.map(|(bytes, _)| bytes),
                }
            })
            .buffered(RANGES_AT_ONCE)
            .try_collect()
            .await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Stored<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Stored<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Stored<Path>>) -> BoxStream<'static, Stored<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Stored<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Stored<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Stored<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests;
