//! A store that counts what is asked of it and keeps the requests under way within a bound.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The requests of one source: how many may be under way, and how many there were.
#[derive(Debug)]
pub(in crate::iceberg) struct Budget {
    places: Arc<Semaphore>,
    requests: AtomicU64,
    failures: AtomicU64,
    bytes: AtomicU64,
}

/// What a source has asked of its stores since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::iceberg) struct Asked {
    /// Requests sent, those that were sent again counted once.
    pub(in crate::iceberg) requests: u64,
    /// Requests that failed for good.
    pub(in crate::iceberg) failures: u64,
    /// Bytes of the answers.
    pub(in crate::iceberg) bytes: u64,
}

impl Budget {
    /// A budget of `requests_max` requests under way.
    pub(super) fn new(requests_max: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(requests_max)),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// What has been asked so far.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        place.map_err(|closed| object_store::Error::Generic {
            store: "budget",
            source: Box::new(closed),
        })
    }

    fn counted<T>(&self, answer: Result<T>) -> Result<T> {
        if answer.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}

/// The store.
#[derive(Debug)]
pub(super) struct Metered {
    inner: Arc<dyn ObjectStore>,
    budget: Arc<Budget>,
}

impl Metered {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, budget: Arc<Budget>) -> Self {
        Self { inner, budget }
    }
}

impl fmt::Display for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Metered {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let _place = self.budget.place().await?;
        self.budget
            .counted(self.inner.put_opts(location, payload, options).await)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let _place = self.budget.place().await?;
        self.budget
            .counted(self.inner.put_multipart_opts(location, options).await)
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let place = self.budget.place().await?;
        let got = self
            .budget
            .counted(self.inner.get_opts(location, options).await)?;
        let GetResultPayload::Stream(body) = got.payload else {
            return Ok(got);
        };
        let budget = Arc::clone(&self.budget);
        // The place is kept until the body is read or dropped.
        let body = body.inspect(move |part: &Result<Bytes>| {
            let _kept = &place;
            match part {
                Ok(part) => {
                    let bytes = u64::try_from(part.len()).unwrap_or(u64::MAX);
                    budget.bytes.fetch_add(bytes, Ordering::Relaxed)
                }
                Err(_) => budget.failures.fetch_add(1, Ordering::Relaxed),
            };
        });
        Ok(GetResult {
            payload: GetResultPayload::Stream(body.boxed()),
            ..got
        })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let budget = Arc::clone(&self.budget);
        budget.requests.fetch_add(1, Ordering::Relaxed);
        let failed = move |error| {
            budget.failures.fetch_add(1, Ordering::Relaxed);
            error
        };
        self.inner.list(prefix).map_err(failed).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let _place = self.budget.place().await?;
        self.budget.counted(self.inner.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let _place = self.budget.place().await?;
        self.budget.counted(self.inner.copy_opts(from, to, options).await)
    }
}
