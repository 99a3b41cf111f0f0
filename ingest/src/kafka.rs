//! Topics of Kafka into bronze, exactly once.
//!
//! The positions of the partitions are in the bronze table: a commit holds records and the offsets behind them, or neither. The consumer
//! group is only shown the same offsets afterwards. Partitions are assigned by this process to itself, all of them: a table has one writer,
//! and which one is decided by the table's epoch and not by a group of consumers, so there is nothing to rebalance. A second process of the
//! same pipeline takes the table over, and the first one is refused at its next commit and stops.
//!
//! [`client`] speaks to the brokers and [`ears`] hear them, [`start`] finds where to begin, [`session`] reads and commits, [`rows`] makes the rows of bronze, [`avro`]
//! and [`registry`] read Avro.

use tokio_util::sync::CancellationToken;

use crate::bronze::writer::Writer;
use crate::error::Result;
use crate::intake::Bounds;
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::pipeline::kafka::Kafka;
use crate::source::{self, Board, Ended, Pause};

mod avro;
mod client;
mod ears;
pub(crate) mod inspect;
mod position;
mod registry;
mod rows;
mod session;
mod start;

use client::Client;
use registry::Registry;
use session::Session;

/// What a source needs.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) pipeline: Pipeline,
    pub(crate) kafka: Kafka,
    pub(crate) writer: Writer,
    pub(crate) metrics: Metrics,
    pub(crate) bounds: Bounds,
    pub(crate) board: Board,
}

/// Reads until `stop`, whatever fails meanwhile; ends before only when the table is somebody else's.
pub(crate) async fn run(parts: Parts, stop: CancellationToken) {
    let mut pause = Pause::default();
    let mut registry = None;
    loop {
        let outcome = attempt(&parts, &mut registry, &stop).await;
        if outcome.is_err() {
            // Its password may be another one by now.
            registry = None;
        }
        let Some(wait) = source::after(&parts.board, &mut pause, outcome) else {
            return;
        };
        if !source::rest(&stop, wait).await {
            return;
        }
    }
}

async fn attempt(parts: &Parts, registry: &mut Option<Registry>, stop: &CancellationToken) -> Result<Ended> {
    let name = parts.pipeline.name();
    if let (Some(config), None) = (&parts.kafka.registry, &registry) {
        *registry = Some(Registry::open(name, config)?);
    }
    let client = Client::open(name, &parts.kafka)?;
    let ended = Session::run(parts, &client, registry, stop).await;
    client.close().await;
    ended
}
