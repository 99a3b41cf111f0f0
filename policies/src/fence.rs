//! What may end an answer that is already running: a credential taken back, a policy made stricter.
//!
//! An answer asks its fences before each batch. Whoever builds a fence keeps what it needs to answer from memory, so
//! that asking costs nanoseconds and never waits.

use crate::error::Result;
use std::fmt::Debug;
use std::sync::Arc;

/// Says whether a running answer may go on.
pub trait Fence: Debug + Send + Sync {
    /// Ok while it may.
    ///
    /// # Errors
    /// [`crate::Error::Revoked`] or whatever else tells the caller why the answer ends here. Once an error, always an
    /// error.
    fn check(&self) -> Result<()>;
}

/// Several fences as one: the first that stands in the way speaks.
impl Fence for Vec<Arc<dyn Fence>> {
    fn check(&self) -> Result<()> {
        self.iter().try_for_each(|fence| fence.check())
    }
}
