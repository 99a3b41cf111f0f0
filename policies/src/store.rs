//! Where the policies come from.

mod file;
mod held;

pub use file::FileStore;
pub use held::{Held, Seen};

use crate::decide::PolicySet;
use std::fmt::Debug;
use std::sync::Arc;

/// Gives the policies in force. Asking is cheap and never waits for the outside.
pub trait PolicyStore: Debug + Send + Sync {
    /// The snapshot in force now. One query asks once and keeps what it got.
    fn current(&self) -> Arc<PolicySet>;

    /// Whether it is known well enough that no newer one is in force elsewhere. If not, no table may be read.
    fn is_fresh(&self) -> bool;
}
