//! Threads that plan and execute, apart from the threads that serve sockets, so that a heavy query never delays another
//! client's bytes. Their stacks are large because a deep plan recurses where no limit can catch it.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::error::{Error, Result};

/// The planning and execution threads. Clones share them; the last one to go stops them without waiting.
#[derive(Clone, Debug)]
pub struct CpuRuntime {
    handle: Handle,
    _owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner(Option<Runtime>);

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // May be dropped inside a task of another runtime, where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}

impl CpuRuntime {
    /// Starts the threads.
    ///
    /// # Errors
    /// `Internal` when the system refuses threads.
    pub fn start(config: &Config) -> Result<Self> {
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let stack = usize::try_from(config.thread_stack.as_u64()).unwrap_or(usize::MAX);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("lakegate-cpu")
            .thread_stack_size(stack)
            .enable_all()
            .build()
            .map_err(|error| Error::Internal {
                message: format!("threads: {error}"),
            })?;
        Ok(Self {
            handle: runtime.handle().clone(),
            _owner: Arc::new(Owner(Some(runtime))),
        })
    }

    /// Runs `work` on these threads; dropping the returned future stops it.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let mut task = StopOnDrop(self.handle.spawn(work));
        match (&mut task.0).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_cancelled() => Err(Error::Cancelled),
            Err(error) => Err(Error::Internal {
                message: format!("a query task failed: {error}"),
            }),
        }
    }

    /// Starts `work` on these threads, which nobody waits for; it ends by itself, or with the threads.
    pub(crate) fn start_apart(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(work);
    }

    /// Starts `work` on these threads; it ends when the returned guard is dropped.
    pub(crate) fn start_task(&self, work: impl Future<Output = ()> + Send + 'static) -> StopOnDrop<()> {
        StopOnDrop(self.handle.spawn(work))
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
pub(crate) struct StopOnDrop<T>(JoinHandle<T>);

impl<T> Drop for StopOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
