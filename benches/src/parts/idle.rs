//! (d) What a connection costs while nobody asks: the growth of the server's memory over 1,000 of them, each of which has
//! logged in and is otherwise as a client opens it. The floor is a bare tonic server whose connections made one call.
//!
//! Every round starts both servers afresh, since an allocator keeps what earlier connections have used.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use arrow_flight::FlightDescriptor;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tonic::transport::Channel;

use super::{Found, Run};
use crate::flight::{Flight, channel};
use crate::measure::median;
use crate::noise::Watch;
use crate::peers::floor::Floor;
use crate::peers::gateway::Gateway;
use crate::system::pss_bytes;
use crate::table::{Bound, Of, Row};

/// Connections that are held open.
const CONNECTIONS: usize = 1_000;
/// Connections that are opened before the first reading, so that pools and caches have their first size.
const WARM: usize = 16;
/// Connections that are opened at a time.
const OPENING: usize = 16;
/// How long a server's memory may take to come to rest.
const REST: Duration = Duration::from_secs(20);

/// Runs the part.
///
/// # Errors
/// When a server cannot be had or does not take 1,000 connections.
pub async fn run(run: &Run) -> Result<Found> {
    let mut found = Found::default();
    let watch = Watch::start()?;
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for round in 0..run.rounds {
        eprintln!("bench: (d) round {}", round + 1);
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                ours.push(gateway(run).await?);
            } else {
                floors.push(floor(run).await?);
            }
        }
    }
    found.noise = watch.end()?;
    let mut row = Row::new(
        'd',
        "memory of an idle session, 1000 of them",
        "kB",
        "bare tonic connection",
    );
    row.ours = median(ours.iter().copied());
    row.peer = median(floors.iter().copied());
    found.rows.push(row.with_goal(14, Of::Ours, Bound::AtMost(32.0)));
    for (name, figures) in [("gateway", ours), ("bare tonic", floors)] {
        found
            .notes
            .push(format!("{name}: kB a connection in each round: {figures:.1?}"));
    }
    Ok(found)
}

/// Kilobytes (1,000 bytes) of a session of the gateway.
async fn gateway(run: &Run) -> Result<f64> {
    let gateway = Gateway::start(&run.place).await?;
    let server = gateway.id()?;
    let open = |count| {
        let gateway = &gateway;
        stream::iter(0..count)
            .map(move |_| gateway.connect())
            .buffer_unordered(OPENING)
            .try_collect::<Vec<Flight>>()
    };
    let warm = open(WARM).await?;
    let before = rested(server).await?;
    let held = open(CONNECTIONS).await?;
    let after = rested(server).await?;
    drop((warm, held));
    gateway.stop().await?;
    Ok(each(before, after))
}

/// Kilobytes of a connection of the floor.
async fn floor(run: &Run) -> Result<f64> {
    let floor = Floor::bare(&run.place).await?;
    let server = floor.id()?;
    let open = |count| {
        let address = &floor.address;
        let one = move |_| async move {
            let mut client = FlightServiceClient::new(channel(address).await?);
            client.get_flight_info(FlightDescriptor::new_cmd("")).await?;
            anyhow::Ok(client)
        };
        stream::iter(0..count)
            .map(one)
            .buffer_unordered(OPENING)
            .try_collect::<Vec<FlightServiceClient<Channel>>>()
    };
    let warm = open(WARM).await?;
    let before = rested(server).await?;
    let held = open(CONNECTIONS).await?;
    let after = rested(server).await?;
    drop((warm, held));
    floor.stop().await?;
    Ok(each(before, after))
}

fn each(before: u64, after: u64) -> f64 {
    (after as f64 - before as f64) / CONNECTIONS as f64 / 1000.0
}

/// The server's memory once it changes no more: five readings within one part in two hundred.
async fn rested(server: u32) -> Result<u64> {
    let deadline = Instant::now() + REST;
    let mut readings: Vec<u64> = Vec::new();
    loop {
        readings.push(pss_bytes(server)?);
        if let Some(last) = readings.last_chunk::<5>() {
            let least = last.iter().copied().min().unwrap_or_default();
            let most = last.iter().copied().max().unwrap_or_default();
            if most - least <= most / 200 {
                return Ok(most);
            }
        }
        if Instant::now() > deadline {
            bail!("the server's memory does not come to rest: {readings:?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
