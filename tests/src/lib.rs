//! The harness of the tests over the wire.
//!
//! Invariants: every gateway is a real `lakegate` process on free ports over a folder of its own; nothing outlives
//! the test that started it; waiting is for the thing itself, with a deadline; a failing test prints the end of the
//! gateway's log.

pub mod answer;
pub mod authority;
pub mod flight;
pub mod gateway;
pub mod house;
pub mod issuer;
pub mod lake;
pub mod postgres;
pub mod redis;
pub mod rest;

pub use answer::{Answer, Refusal};
pub use authority::Authority;
pub use flight::Flight;
pub use gateway::{Ended, Gateway, Launch};
pub use issuer::Issuer;
pub use lake::Lake;
pub use postgres::Postgres;
pub use redis::Redis;
pub use rest::Rest;
