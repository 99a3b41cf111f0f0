//! Where the policies come from.

mod file;

pub use file::FileStore;

use crate::decide::PolicySet;
use std::fmt::Debug;
use std::sync::Arc;

/// Gives the policies in force. Asking is cheap and never waits for the outside.
pub trait PolicyStore: Debug + Send + Sync {
    /// The snapshot in force now. One query asks once and keeps what it got.
    fn current(&self) -> Arc<PolicySet>;
}
