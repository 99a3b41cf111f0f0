//! The connections of one source.
//!
//! Invariants:
//! - A connection belongs to one [`Lease`] until its statement is over; nobody else can send on it meanwhile.
//! - A lease that is dropped before its statement is over cancels it at the server and closes the connection: a late
//!   cancel can so never meet another's statement.
//! - There are at most `pool_max` connections, counting those that are being closed; waiting for one has a deadline.
//! - A connection is given back in the state it was opened in: whatever was set inside a transaction is rolled back.

use super::breaker::{Breaker, Retries};
use super::config::{Address, Config};
use super::failure::{Origin, Subject};
use super::session::{self, Facts};
use super::tls::Tls;
use crate::{Error, Result};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at};
use tokio_postgres::{CancelToken, Client};

/// How long the goodbye of a connection may take before it is cut.
const GOODBYE: Duration = Duration::from_secs(2);

/// Numbers the pools of this process.
static POOLS: AtomicU64 = AtomicU64::new(0);

/// The connections of one source. Clones share them.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    id: u64,
    origin: Origin,
    config: Config,
    address: Address,
    tls: Tls,
    io: Handle,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    breaker: Breaker,
    retries: Retries,
    /// How often the server was found to have other tables than the catalog says.
    changes: AtomicU64,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// An open connection.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) cancel: CancelToken,
    pub(super) driver: JoinHandle<()>,
    pub(super) facts: Arc<Facts>,
}

impl Pool {
    /// A pool without connections.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming a bad key.
    pub(super) fn new(name: &str, config: &Config, io: Handle) -> Result<Self> {
        let address = config.address()?;
        Ok(Self(Arc::new(Inner {
            id: POOLS.fetch_add(1, Ordering::Relaxed),
            origin: Origin {
                source: name.into(),
                address: address.printed().into(),
            },
            tls: Tls::new(config, &address)?,
            address,
            config: config.clone(),
            io,
            permits: Arc::new(Semaphore::new(config.pool_max)),
            idle: Mutex::default(),
            breaker: Breaker::new(
                Duration::from_millis(config.breaker_open_ms_max),
                config.connect_timeout(),
            ),
            retries: Retries::default(),
            changes: AtomicU64::new(0),
        })))
    }

    /// The number of this pool in the process.
    pub(super) fn id(&self) -> u64 {
        self.0.id
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.0.origin
    }

    pub(super) fn config(&self) -> &Config {
        &self.0.config
    }

    /// How often the server was found to have other tables than the catalog says; what was told before is not believed
    /// any more.
    pub(super) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Relaxed)
    }

    /// The server has other tables than the catalog says.
    pub(super) fn note_change(&self) {
        self.0.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs `work` on the runtime that waits for sockets; it is stopped when the returned task is dropped.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Task<T> {
        Task(self.0.io.spawn(work))
    }

    /// A connection, given back before or made now. Must run on the runtime that waits for sockets.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when none becomes free in time or the server does not answer.
    pub(super) async fn lease(&self, deadline: Option<Instant>) -> Result<Lease> {
        let patience = Duration::from_millis(self.0.config.pool_wait_ms);
        let until = Instant::now() + patience;
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        let permit = timeout_at(until.into(), Arc::clone(&self.0.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(self.0.origin.unavailable(format!(
                "none of its {} connections became free in {} ms",
                self.0.config.pool_max,
                patience.as_millis()
            )));
        };
        self.fill(permit).await
    }

    /// As [`Pool::lease`], but none when all connections are in use.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server does not answer.
    pub(super) async fn lease_now(&self) -> Result<Option<Lease>> {
        match Arc::clone(&self.0.permits).try_acquire_owned() {
            Ok(permit) => self.fill(permit).await.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn fill(&self, permit: OwnedSemaphorePermit) -> Result<Lease> {
        let connection = match self.reuse() {
            Some(connection) => connection,
            None => self.open().await?,
        };
        Ok(Lease {
            held: Some((connection, permit)),
            pool: self.clone(),
        })
    }

    /// The connection that was used last, so that the others grow old and go.
    fn reuse(&self) -> Option<Connection> {
        let oldest = Duration::from_millis(self.0.config.idle_timeout_ms);
        let mut idle = lock(&self.0.idle);
        idle.retain(|one| one.since.elapsed() < oldest && !one.connection.client.is_closed());
        idle.pop().map(|one| one.connection)
    }

    /// The server has answered, on whatever connection.
    pub(super) fn answered(&self) {
        self.0.breaker.succeeded();
    }

    /// Second tries at this source.
    pub(super) fn retries(&self) -> &Retries {
        &self.0.retries
    }

    /// Forgets the connections that nobody uses: the server may have gone with all of them.
    pub(super) fn forget(&self) {
        lock(&self.0.idle).clear();
    }

    async fn open(&self) -> Result<Connection> {
        let inner = &self.0;
        if !inner.breaker.may_try(Instant::now()) {
            return Err(inner.origin.unavailable("it did not answer a moment ago"));
        }
        let opened = timeout(
            inner.config.connect_timeout(),
            session::open(&inner.config, &inner.address, &inner.tls, &inner.origin),
        );
        let opened = match opened.await {
            Ok(opened) => opened,
            Err(_) => Err(inner.origin.unavailable(format!(
                "it did not answer within {} ms",
                inner.config.connect_timeout_ms
            ))),
        };
        match opened {
            Err(Error::Unavailable { .. }) => inner.breaker.failed(Instant::now()),
            _ => inner.breaker.succeeded(),
        }
        opened
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("source", &self.0.origin.source)
            .field("address", &self.0.origin.address)
            .field("free", &self.0.permits.available_permits())
            .finish_non_exhaustive()
    }
}

/// A connection that one statement owns.
pub(super) struct Lease {
    /// Only taken by the two ways to end a lease.
    held: Option<(Connection, OwnedSemaphorePermit)>,
    pool: Pool,
}

impl Lease {
    /// The connection.
    ///
    /// # Errors
    /// [`Error::Internal`] after the lease has ended, which cannot be.
    pub(super) fn connection(&self) -> Result<&Connection> {
        match &self.held {
            Some((connection, _)) => Ok(connection),
            None => Err(Error::Internal {
                doing: "using a connection that was given back",
                cause: "the lease has ended".into(),
            }),
        }
    }

    pub(super) fn client(&self) -> Result<&Client> {
        self.connection().map(|connection| &connection.client)
    }

    /// Gives the connection back after its statement is over.
    pub(super) fn release(mut self) {
        let Some((connection, permit)) = self.held.take() else {
            return;
        };
        let pool = self.pool.clone();
        self.pool.0.io.spawn(async move {
            let clean = timeout(GOODBYE, connection.client.batch_execute("ROLLBACK")).await;
            if matches!(clean, Ok(Ok(()))) {
                let since = Instant::now();
                lock(&pool.0.idle).push(Idle { connection, since });
            } else {
                close(connection).await;
            }
            drop(permit);
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((connection, permit)) = self.held.take() else {
            return;
        };
        let tls = self.pool.0.tls.clone();
        self.pool.0.io.spawn(async move {
            // Whether it was heard does not matter: the connection is closed in any case.
            let heard = timeout(GOODBYE, session::cancel(&connection.cancel, &tls)).await;
            tracing::debug!(
                heard = matches!(heard, Ok(Ok(()))),
                "cancelled a remote statement"
            );
            close(connection).await;
            drop(permit);
        });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// Says goodbye, and cuts the connection when the server does not listen.
async fn close(connection: Connection) {
    let Connection {
        client, mut driver, ..
    } = connection;
    drop(client);
    if timeout(GOODBYE, &mut driver).await.is_err() {
        driver.abort();
    }
}

/// Work on the runtime that waits for sockets.
#[derive(Debug)]
pub(super) struct Task<T>(JoinHandle<Result<T>>);

impl<T> Task<T> {
    /// What the work came to.
    ///
    /// # Errors
    /// Those of the work, or [`Error::Internal`] when it broke.
    pub(super) async fn done(mut self) -> Result<T> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(error) => Err(Error::Internal {
                doing: "talking to a Postgres server",
                cause: Box::new(error),
            }),
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A subject for statements that concern no table.
pub(super) fn no_subject() -> Subject {
    Subject::default()
}
