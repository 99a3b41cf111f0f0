//! After the engine's own rules: the largest parts of a plan that one source can do whole become statements of that
//! source. `federate` finds them, `remote` is what stands in their place.
//!
//! Invariants:
//! - The plan has passed the policy step and the second check before it comes here, and what is put in is made of its own
//!   nodes alone: no table and no column comes in.
//! - A part goes down only when the source computes exactly what the engine would. Whatever is in doubt stays here.
//! - The order of a result is always made here.

mod federate;
mod remote;

pub(crate) use federate::federated;
pub(crate) use remote::RemotePlanner;
