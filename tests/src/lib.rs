//! The harness of the tests over the wire.
//!
//! Invariants: every gateway is a real `lakegate` process on free ports over a folder of its own; nothing outlives
//! the test that started it; waiting is for the thing itself, with a deadline; a failing test prints the end of the
//! gateway's log.

pub mod answer;
pub mod authority;
pub mod dock;
pub mod faulty;
pub mod flight;
pub mod gateway;
pub mod house;
pub mod issuer;
pub mod kafka;
pub mod lake;
pub mod moto;
pub mod nessie;
pub mod postgres;
pub mod python;
pub mod redis;
pub mod registry;
pub mod rest;

pub use answer::{Answer, Refusal};
pub use authority::Authority;
pub use dock::Dock;
pub use faulty::{Fault, Faulty};
pub use flight::{Flight, refusal};
pub use gateway::{Ended, Gateway, Launch, binary};
pub use issuer::Issuer;
pub use kafka::Kafka;
pub use lake::Lake;
pub use moto::Moto;
pub use nessie::Nessie;
pub use postgres::Postgres;
pub use redis::Redis;
pub use registry::Registry;
pub use rest::Rest;
