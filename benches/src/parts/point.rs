//! (c) One order by its key: `SELECT * FROM orders WHERE o_orderkey = ...`, ad hoc and prepared, at 1, 16 and 256 clients,
//! each with a connection of its own and random keys of a printed seed. The floor is a bare tonic unary call.
//!
//! The closed figures say what the gateway can carry; goal 15 is about what users see, so it is measured open, at 1,000
//! connections and 70 % of the capacity that the closed run found (see `load.rs`).

mod callers;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;

use super::{Found, Run};
use crate::engines::Engine as _;
use crate::load::{Callers, Load, closed, open};
use crate::measure::{Cpu, median};
use crate::noise::Watch;
use crate::peers::datafusion::InProcess;
use crate::peers::floor::Floor;
use crate::peers::gateway::Gateway;
use crate::system::{cpu_seconds, own_cpu_seconds};
use crate::table::{Bound, Of, Row, Rows};
use callers::Kind;

/// Clients of the closed runs.
const CLIENTS: [usize; 3] = [1, 16, 256];
/// Connections of the open runs.
const SESSIONS: usize = 1_000;
/// Share of the capacity that the open runs ask for.
const SHARE: f64 = 0.7;

/// What the callers ask.
#[derive(Debug)]
pub(crate) struct Target {
    gateway: Gateway,
    floor: Floor,
    keys: Arc<[i64]>,
    seed: u64,
}

impl Target {
    fn server(&self, kind: Kind) -> Result<u32> {
        match kind {
            Kind::Floor => self.floor.id(),
            Kind::AdHoc | Kind::Prepared | Kind::Tables => self.gateway.id(),
        }
    }
}

/// The rounds of one kind of call at one number of clients.
#[derive(Debug, Clone, Default, Serialize)]
struct Rounds {
    name: String,
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    cpu: Vec<Cpu>,
    calls: u64,
}

impl Rounds {
    fn take(&mut self, load: &Load, cpu: Cpu) {
        self.rate.push(load.rate());
        self.p50.extend(load.percentile(0.5));
        self.p99.extend(load.percentile(0.99));
        self.cpu.push(cpu);
        self.calls += load.calls();
    }
}

/// Runs the part.
///
/// # Errors
/// When gateway or floor cannot be had, or a call gives another row than the one that was asked for.
pub async fn run(run: &Run) -> Result<Found> {
    let keys = {
        let mut bare = InProcess::open(&run.place).await?;
        let rows = bare.answer("SELECT o_orderkey FROM orders").await?;
        callers::keys(&rows)?
    };
    let target = Target {
        gateway: Gateway::start(&run.place).await?,
        floor: Floor::bare(&run.place).await?,
        keys: keys.into(),
        seed: run.seed,
    };
    let watch = Watch::start()?;
    let mut found = Found::default();
    found.notes.push(format!(
        "keys of (c): {} orders, drawn with seed {}",
        target.keys.len(),
        run.seed
    ));
    let (mut capacities, mut samples) = ([0.0; 2], Vec::new());
    for clients in CLIENTS {
        eprintln!("bench: (c) {clients} clients");
        let kinds = [Kind::AdHoc, Kind::Prepared, Kind::Floor];
        let rounds = closed_rounds(run, &target, kinds, clients).await?;
        for (at, kind) in [(0, "ad hoc"), (1, "prepared")] {
            found.rows.extend(lines(kind, clients, &rounds[at], &rounds[2]));
        }
        for (capacity, rounds) in capacities.iter_mut().zip([&rounds[0], &rounds[2]]) {
            *capacity = rounds.rate.iter().copied().fold(*capacity, f64::max);
        }
        samples.extend(rounds);
    }
    eprintln!("bench: (c) {SESSIONS} sessions at a fixed rate");
    found
        .rows
        .extend(sessions(run, &target, capacities, &mut found.notes).await?);
    found.noise = watch.end()?;
    found.samples = json!(samples);
    target.floor.stop().await?;
    target.gateway.stop().await?;
    Ok(found)
}

/// How long callers ask in one round.
fn window(run: &Run) -> Duration {
    Duration::from_millis(if run.quick { 700 } else { 3_000 })
}

async fn closed_rounds(run: &Run, target: &Target, kinds: [Kind; 3], clients: usize) -> Result<[Rounds; 3]> {
    let mut all = kinds.map(|kind| Rounds {
        name: format!("{kind:?}, {clients} clients"),
        ..Rounds::default()
    });
    let mut callers: [Callers; 3] = [Vec::new(), Vec::new(), Vec::new()];
    for (callers, kind) in callers.iter_mut().zip(kinds) {
        *callers = callers::open(target, kind, clients).await?;
        // Connections, plans and footers are warm before the clock.
        closed(callers, window(run) / 4).await?;
    }
    for round in 0..run.rounds {
        for turn in 0..kinds.len() {
            let at = if round % 2 == 0 {
                turn
            } else {
                kinds.len() - 1 - turn
            };
            let server = target.server(kinds[at])?;
            let before = (cpu_seconds(server)?, own_cpu_seconds());
            let load = closed(&mut callers[at], window(run)).await?;
            let cpu = Cpu {
                server: cpu_seconds(server)? - before.0,
                client: own_cpu_seconds() - before.1,
            };
            all[at].take(&load, cpu);
        }
    }
    Ok(all)
}

/// Latencies and throughput of one kind of call against the floor's.
fn lines(kind: &str, clients: usize, ours: &Rounds, floor: &Rounds) -> Vec<Row> {
    let middle = |values: &Vec<f64>| median(values.iter().copied());
    let figures: [(&str, &str, fn(&Rounds) -> &Vec<f64>); 3] = [
        ("p50", "ms", |rounds| &rounds.p50),
        ("p99", "ms", |rounds| &rounds.p99),
        ("rate", "calls/s", |rounds| &rounds.rate),
    ];
    let line = |(figure, unit, of): (&str, &'static str, fn(&Rounds) -> &Vec<f64>)| {
        let name = format!("order by key, {kind}, {clients} clients, {figure}");
        let mut row = Row::new('c', name, unit, "bare tonic unary");
        (row.ours, row.peer) = (middle(of(ours)), middle(of(floor)));
        row.ours_cpu = mean(&ours.cpu);
        row.peer_cpu = mean(&floor.cpu);
        row.rows = Rows::Checked(ours.calls);
        row
    };
    figures.map(line).into()
}

fn mean(all: &[Cpu]) -> Option<Cpu> {
    let count = all.len() as f64;
    (count > 0.0).then(|| Cpu {
        server: all.iter().map(|cpu| cpu.server).sum::<f64>() / count,
        client: all.iter().map(|cpu| cpu.client).sum::<f64>() / count,
    })
}

/// Goal 15: a thousand sessions, of which as many are active as a fixed rate makes.
async fn sessions(
    run: &Run,
    target: &Target,
    capacities: [f64; 2],
    notes: &mut Vec<String>,
) -> Result<Vec<Row>> {
    let mut spreads = [Vec::new(), Vec::new()];
    for (at, kind) in [Kind::AdHoc, Kind::Floor].into_iter().enumerate() {
        let rate = capacities[at] * SHARE;
        let mut callers = callers::open(target, kind, SESSIONS).await?;
        for _ in 0..run.rounds {
            let load = open(&mut callers, rate, window(run)).await?;
            let (usual, worst) = (load.percentile(0.5), load.percentile(0.99));
            let (usual, worst) = (
                usual.context("no call was answered")?,
                worst.context("no call was answered")?,
            );
            spreads[at].push(worst / usual);
            notes.push(format!(
                "{kind:?} at {SESSIONS} sessions, {rate:.0} calls/s asked, {:.0} answered: p50 {usual:.2} ms, p99 {worst:.2} ms",
                load.rate()
            ));
        }
    }
    let mut spread = Row::new(
        'c',
        "order by key, 1000 sessions, p99 / p50, open",
        "x",
        "bare tonic unary",
    );
    spread.ours = median(spreads[0].iter().copied());
    spread.peer = median(spreads[1].iter().copied());
    spread = spread.with_goal(15, Of::Ours, Bound::AtMost(10.0));

    let mut callers = callers::open(target, Kind::Tables, SESSIONS).await?;
    let capacity = closed(&mut callers, window(run) / 2).await?.rate();
    let mut worst = Vec::new();
    for _ in 0..run.rounds {
        let load = open(&mut callers, capacity * SHARE, window(run)).await?;
        worst.extend(load.percentile(0.99));
    }
    notes.push(format!(
        "GetTables at {SESSIONS} sessions: {:.0} calls/s asked",
        capacity * SHARE
    ));
    let mut tables = Row::new('c', "GetTables, 1000 sessions, p99, open", "ms", "");
    tables.ours = median(worst);
    tables = tables.with_goal(15, Of::Ours, Bound::AtMost(250.0));
    Ok(vec![spread, tables])
}
