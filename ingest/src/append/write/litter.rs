//! The list of files that an append has begun, and their removal unless it ends well.

use std::sync::{Mutex, PoisonError};

use iceberg::io::FileIO;
use tokio::runtime::Handle;

/// Every file that was begun. Lanes add before they create, so no file is missed.
#[derive(Debug, Default)]
pub(crate) struct Litter(Mutex<Vec<String>>);

impl Litter {
    /// Notes a file that is about to be created. The path is made from its number, which no other file of the append has.
    pub(crate) fn add(&self, path: impl FnOnce(usize) -> String) -> String {
        // A poisoned list is still a list of paths.
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = path(paths.len());
        paths.push(path.clone());
        path
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Removes the litter when it is dropped, also by a panic, unless told to keep it. Must be dropped on a blocking thread.
pub(super) struct Sweep<'a> {
    litter: &'a Litter,
    io: &'a FileIO,
    runtime: &'a Handle,
    keep: bool,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(litter: &'a Litter, io: &'a FileIO, runtime: &'a Handle) -> Self {
        Self {
            litter,
            io,
            runtime,
            keep: false,
        }
    }

    /// The files have an owner now.
    pub(super) fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        for path in self.litter.take() {
            if let Err(error) = self.runtime.block_on(self.io.delete(&path)) {
                tracing::warn!(path, %error, "an orphan file stays");
            }
        }
    }
}
