//! After the engine's own rules: the largest parts of a plan that one source can do whole become statements of that
//! source. `federate` finds them node by node with `compose`, `remote` is what stands in their place, `stops` says what
//! stays here and why, `bind` has the keys of a join reach the statements of its other side.
//!
//! Invariants:
//! - The plan has passed the policy step and the second check before it comes here, and what is put in is made of its own
//!   nodes alone: no table and no column comes in.
//! - A part goes down only when the source computes exactly what the engine would. Whatever is in doubt stays here.
//! - A node that is not known here is a wall: it is never taken into a statement, and nothing is taken through it. So is
//!   the barrier of a row policy.
//! - The order of a result is always made here.

mod bind;
mod compose;
mod federate;
mod remote;
mod stops;

pub(crate) use bind::{binding, bound};
pub(crate) use federate::federated;
pub(crate) use remote::RemotePlanner;
pub(crate) use stops::{FILTER, Notes, Stop, Withheld};
