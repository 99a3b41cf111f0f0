//! The section `[limits]`: what the gateway admits. The bounds of one statement are in `[planner]`.

use super::fault::Fault;
use bytesize::ByteSize;
use serde::Deserialize;
use std::time::Duration;

/// A clock that far ahead would not add up.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Bounds of connections, calls and waits. Whatever goes beyond one is refused with its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How many connections each listener has open at a time; a full one leaves the probes of another reachable.
    pub connections_max: usize,
    /// How many calls of one connection run at a time.
    pub connection_calls_max: u32,
    /// How many queries run at a time.
    pub queries_max: usize,
    /// How many of them may be of one principal.
    pub principal_queries_max: usize,
    /// How many queries may wait for a place; the next one is refused at once.
    pub queue_max: usize,
    /// How long a query waits for a place before it is refused.
    #[serde(with = "humantime_serde")]
    pub queue_timeout: Duration,
    /// The largest Flight message or REST body that is read.
    pub request_bytes_max: ByteSize,
    /// The most bytes of headers in a call over HTTP/2; over HTTP/1.1 64 KiB at least.
    pub header_bytes_max: ByteSize,
    /// How long a client may take to send the headers, and to shake hands for TLS.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a ticket or a cursor is good; a prepared handle is good for a day, or for this where it is longer.
    #[serde(with = "humantime_serde")]
    pub ticket_lifetime: Duration,
    /// How often a quiet connection is asked whether it is still there.
    #[serde(with = "humantime_serde")]
    pub keep_alive: Duration,
    /// How often a stream without rows says that it is still running.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// How many rows a preview gives at most.
    pub preview_rows_max: u64,
    /// How long running calls may go on after the order to stop.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connection_calls_max: 256,
            queries_max: 64,
            principal_queries_max: 32,
            queue_max: 1_024,
            queue_timeout: Duration::from_secs(30),
            request_bytes_max: ByteSize::mib(64),
            header_bytes_max: ByteSize::kib(16),
            header_timeout: Duration::from_secs(10),
            ticket_lifetime: Duration::from_secs(60 * 60),
            keep_alive: Duration::from_secs(20),
            heartbeat: Duration::from_secs(10),
            preview_rows_max: 1_000,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Checks that each bound leaves room to work.
    ///
    /// # Errors
    /// A [`Fault`] with the key.
    pub fn validate(&self) -> Result<(), Fault> {
        let at_least = |key: &str, value: u64, least: u64| {
            if value >= least {
                return Ok(());
            }
            Err(Fault::at(
                format!("limits.{key}"),
                format!("must be at least {least}"),
            ))
        };
        let lasting = |key: &str, value: Duration| {
            if (Duration::from_secs(1)..=YEAR).contains(&value) {
                return Ok(());
            }
            Err(Fault::at(
                format!("limits.{key}"),
                "must be between 1s and 365 days",
            ))
        };
        at_least("connections_max", self.connections_max as u64, 1)?;
        at_least("connection_calls_max", u64::from(self.connection_calls_max), 1)?;
        at_least("queries_max", self.queries_max as u64, 1)?;
        at_least("principal_queries_max", self.principal_queries_max as u64, 1)?;
        at_least("request_bytes_max", self.request_bytes_max.as_u64(), 64 << 10)?;
        // A bearer token may have 6 KiB.
        at_least("header_bytes_max", self.header_bytes_max.as_u64(), 8 << 10)?;
        at_least("preview_rows_max", self.preview_rows_max, 1)?;
        lasting("header_timeout", self.header_timeout)?;
        lasting("ticket_lifetime", self.ticket_lifetime)?;
        lasting("keep_alive", self.keep_alive)?;
        lasting("heartbeat", self.heartbeat)
    }
}
