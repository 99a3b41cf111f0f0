//! The gateway: listeners, identity of the caller, session, tickets and encodings around the planner.
//!
//! `serve.rs` builds the house from a [`config::Config`] and shows every room in one function. A call comes in by
//! `flight.rs` or `rest.rs`, is proven by `auth.rs`, gets its session in `session.rs`, and asks the planner's engine;
//! `status.rs` alone turns failures into answers.
//!
//! Invariants
//! * This crate alone knows the wire: tonic, axum, Flight and JSON.
//! * Nothing is kept between two calls that another gateway lacks, except caches that may be lost: tickets, handles and
//!   sessions travel with the client, sealed.

mod admin;
pub mod admission;
pub mod app;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod config;
pub mod edge;
pub mod error;
pub mod flight;
mod ipc;
mod listen;
mod metrics;
mod peer;
mod policy_source;
pub mod reload;
mod rest;
pub mod running;
pub mod serve;
pub mod session;
pub mod status;
mod telemetry;
pub mod ticket;
