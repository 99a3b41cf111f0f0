//! Who asks, and what may be seen: the leaf of the house that knows neither SQL nor Arrow.
//!
//! Map:
//! * who asks: [`identity`] turns [`Credentials`] into a [`Principal`]; nothing else can make one.
//! * what is allowed: [`document`] is the policy file as written, [`PolicySet`] the checked snapshot of it,
//!   [`PolicyStore`] the place it comes from. Grants are decided by casbin (`grants.rs`); row filters and masks are
//!   documents beside it, written in the language of [`expression`].
//! * what ends an answer half-way: a [`Fence`], asked before each batch.
//! * what the rules mean: [`review`] explains, compares and tests documents.
//! * what leaves the house and comes back: [`Seal`] closes tokens, tickets and handles so that only we read them.
//!
//! Invariants:
//! * [`PolicySet::decide`] is total and pure. What no rule allows is denied.
//! * A snapshot never changes; a new document is a new snapshot with a new epoch.
//! * A secret is never printed, neither by Debug nor in an error.
//! * Every way in which sealed bytes can be damaged gives one and the same error, and so does every wrong pair of
//!   user and password.

mod clock;
mod config;
mod decide;
mod decision;
pub mod document;
mod error;
pub mod expression;
mod fence;
mod grants;
pub mod identity;
mod principal;
pub mod review;
mod seal;
mod secret;
pub mod store;
mod table_name;

pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use decide::PolicySet;
pub use decision::{Allowance, Column, Decision, Mask, MaskKey, Rows, Unit};
pub use document::Privilege;
pub use error::{Error, ErrorKind, Result};
pub use fence::Fence;
pub use identity::{
    Authenticated, Authenticator, Credentials, Identity, Pepper, Secrets, Shown, hash_password,
};
pub use principal::{Attribute, Attributes, Principal, Scope, Scopes};
pub use seal::Seal;
pub use secret::Secret;
pub use store::{FileStore, PolicyStore};
pub use table_name::TableName;
