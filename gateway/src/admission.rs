//! Places for queries. A query takes a place before it is run and keeps it while its stream lives; who finds none waits
//! in a bounded queue for a bounded time, and who finds the queue full is told so at once.

mod rate;

pub(crate) use rate::RateLimit;
pub use rate::Room;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::error::{Error, Result};

/// The places of this process.
#[derive(Debug)]
pub struct Admission {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    wait_max: Duration,
    running: Arc<Mutex<HashMap<String, usize>>>,
    principal_max: usize,
}

/// A place; free again when dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
    running: Arc<Mutex<HashMap<String, usize>>>,
    subject: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.subject) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.subject);
            }
        }
    }
}

impl Admission {
    /// Places as the limits say.
    pub fn new(limits: &Limits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.queries_max.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            waiting_max: limits.queue_max,
            wait_max: limits.queue_timeout,
            running: Arc::default(),
            principal_max: limits.principal_queries_max,
        }
    }

    /// A place for a query of `subject`.
    ///
    /// # Errors
    /// `Busy` when the queue is full, the wait too long, or the subject has its share.
    pub async fn enter(&self, subject: &str) -> Result<Place> {
        let permit = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let count = running.entry(subject.to_owned()).or_default();
        if *count >= self.principal_max {
            return Err(Error::Busy {
                what: "running for this user",
            });
        }
        *count += 1;
        drop(running);
        Ok(Place {
            _permit: permit,
            running: Arc::clone(&self.running),
            subject: subject.to_owned(),
        })
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit> {
        let _queued = Queued::enter(&self.waiting, self.waiting_max)?;
        match tokio::time::timeout(self.wait_max, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Error::Stopping),
            Err(_) => Err(Error::Busy { what: "running" }),
        }
    }

    /// How many wait now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A place in the queue, given back also when the caller goes away.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn enter(waiting: &'a AtomicUsize, most: usize) -> Result<Self> {
        if waiting.fetch_add(1, Ordering::Relaxed) >= most {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Busy { what: "waiting" });
        }
        Ok(Self(waiting))
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
