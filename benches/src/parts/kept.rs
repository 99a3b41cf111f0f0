//! (f) Answers out of the cache of rows: the same statement again and again, at 1 and 16 clients with a connection each.
//!
//! The floors are what the protocols cost without an answer: `GET /health` of the same process for REST, two bare tonic
//! unary calls for the two calls of Flight SQL; and for the rate a Redis that gives the same bytes, which is what a cache of
//! one's own would be. Processor time is that of the servers, a call.

use anyhow::{Context as _, Result, bail};
use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use arrow_flight::FlightDescriptor;
use arrow_flight::flight_service_client::FlightServiceClient;
use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use tokio::process::Command;
use tonic::transport::Channel;

use super::{Found, Run};
use crate::flight::{Flight, Login, channel, query};
use crate::load::{Caller, Callers, closed};
use crate::measure::{Cpu, median};
use crate::noise::Watch;
use crate::peers::floor::Floor;
use crate::peers::gateway::Gateway;
use crate::process::Process;
use crate::system::{cpu_seconds, own_cpu_seconds};
use crate::table::{Bound, Of, Row, Rows};

/// Clients of the runs.
const CLIENTS: [usize; 2] = [1, 16];
/// Answers by their size, in kB, and the rows that make it.
const SIZES: [(&str, u64); 2] = [("4 KB", 128), ("64 KB", 2_048)];

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Kind {
    /// `POST /v1/sql`, Arrow.
    Rest,
    /// GetFlightInfo and DoGet.
    FlightSql,
    /// `GET /health`.
    Health,
    /// Two unary calls of the floor.
    Unary,
    /// `GET` of a Redis.
    Redis,
}

const KINDS: [Kind; 5] = [
    Kind::Rest,
    Kind::FlightSql,
    Kind::Health,
    Kind::Unary,
    Kind::Redis,
];

/// Everybody who is asked, and what for.
struct Target {
    gateway: Gateway,
    floor: Floor,
    redis: (Process, String),
    sql: String,
    rows: u64,
}

/// The rounds of one kind of call.
#[derive(Debug, Clone, Serialize)]
struct Rounds {
    kind: Kind,
    clients: usize,
    size: &'static str,
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// Processor microseconds of the server, a call.
    cost: Vec<f64>,
    calls: u64,
}

/// Runs the part.
///
/// # Errors
/// When a server cannot be had, or an answer is not that of the first time.
pub async fn run(run: &Run) -> Result<Found> {
    let watch = Watch::start()?;
    let mut found = Found::default();
    let mut target = Target {
        gateway: Gateway::keeping(&run.place).await?,
        floor: Floor::bare(&run.place).await?,
        redis: redis_server(run).await?,
        sql: String::new(),
        rows: 0,
    };
    let mut samples = Vec::new();
    for (size, rows) in SIZES {
        target.rows = rows;
        target.sql = format!(
            "SELECT o_orderkey, o_custkey, o_totalprice FROM orders ORDER BY o_orderkey LIMIT {rows}"
        );
        let kept = query(&mut target.gateway.connect().await?, &target.sql).await?;
        put(&target.redis.1, &kept).await?;
        for clients in CLIENTS {
            eprintln!("bench: (f) {size}, {clients} clients");
            let mut rounds = Vec::new();
            for kind in KINDS {
                rounds.push(Rounds {
                    kind,
                    clients,
                    size,
                    rate: Vec::new(),
                    p50: Vec::new(),
                    p99: Vec::new(),
                    cost: Vec::new(),
                    calls: 0,
                });
            }
            measure(run, &target, &mut rounds).await?;
            found.rows.extend(lines(&rounds));
            samples.append(&mut rounds);
        }
    }
    found.noise = watch.end()?;
    found.samples = json!(samples);
    target.floor.stop().await?;
    target.gateway.stop().await?;
    target.redis.0.stop().await?;
    Ok(found)
}

async fn measure(run: &Run, target: &Target, rounds: &mut [Rounds]) -> Result<()> {
    let window = Duration::from_millis(if run.quick { 300 } else { 1_500 });
    let mut callers: Vec<Callers> = Vec::new();
    for rounds in rounds.iter() {
        let mut opened: Callers = Vec::new();
        for _ in 0..rounds.clients {
            opened.push(caller(target, rounds.kind).await?);
        }
        closed(&mut opened, window / 4).await?;
        callers.push(opened);
    }
    for round in 0..run.rounds {
        for turn in 0..rounds.len() {
            let at = if round % 2 == 0 {
                turn
            } else {
                rounds.len() - 1 - turn
            };
            let server = match rounds[at].kind {
                Kind::Rest | Kind::FlightSql | Kind::Health => target.gateway.id()?,
                Kind::Unary => target.floor.id()?,
                Kind::Redis => target.redis.0.id()?,
            };
            let before = (cpu_seconds(server)?, own_cpu_seconds());
            let load = closed(&mut callers[at], window).await?;
            let cpu = Cpu {
                server: cpu_seconds(server)? - before.0,
                client: own_cpu_seconds() - before.1,
            };
            let rounds = &mut rounds[at];
            rounds.rate.push(load.rate());
            rounds.p50.extend(load.percentile(0.5));
            rounds.p99.extend(load.percentile(0.99));
            rounds.cost.push(cpu.server * 1e6 / load.calls().max(1) as f64);
            rounds.calls += load.calls();
        }
    }
    Ok(())
}

/// Costs and rates of the kept answers against the floors.
fn lines(rounds: &[Rounds]) -> Vec<Row> {
    type Figure = fn(&Rounds) -> &Vec<f64>;
    let of = |kind: Kind| rounds.iter().find(|rounds| rounds.kind == kind);
    let line = |ours: Kind, peer: Kind, what: &str, unit: &'static str, figure: Figure| {
        let (ours, theirs) = (of(ours)?, of(peer)?);
        let peer_name = match peer {
            Kind::Health => "GET /health",
            Kind::Unary => "two bare tonic unary calls",
            Kind::Redis => "Redis GET of the same bytes",
            Kind::Rest | Kind::FlightSql => "",
        };
        let protocol = if ours.kind == Kind::Rest {
            "REST"
        } else {
            "Flight SQL"
        };
        let name = format!(
            "kept answer of {}, {protocol}, {} clients, {what}",
            ours.size, ours.clients
        );
        let mut row = Row::new('f', name, unit, peer_name);
        row.ours = median(figure(ours).iter().copied());
        row.peer = median(figure(theirs).iter().copied());
        row.rows = Rows::Checked(ours.calls);
        Some(row)
    };
    let Some((clients, size)) = rounds.first().map(|rounds| (rounds.clients, rounds.size)) else {
        return Vec::new();
    };
    let cost: Figure = |rounds| &rounds.cost;
    let rate: Figure = |rounds| &rounds.rate;
    let (usual, worst): (Figure, Figure) = (|rounds| &rounds.p50, |rounds| &rounds.p99);
    let mut rows = Vec::new();
    let is_busy = clients == CLIENTS[1];
    let is_small = size == SIZES[0].0;
    for (kind, floor, goal, most) in [
        (Kind::Rest, Kind::Health, 11, 2.5),
        (Kind::FlightSql, Kind::Unary, 12, 3.0),
    ] {
        let line_of = line(kind, floor, "processor time a call", "us", cost);
        rows.extend(line_of.map(|row| match is_busy && is_small {
            true => row.with_goal(goal, Of::Ratio, Bound::AtMost(most)),
            false => row,
        }));
        rows.extend(line(kind, Kind::Redis, "p50", "ms", usual));
        rows.extend(line(kind, Kind::Redis, "p99", "ms", worst));
        let least = if is_small { 0.3 } else { 0.5 };
        let line_of = line(kind, Kind::Redis, "rate", "answers/s", rate);
        rows.extend(line_of.map(|row| match is_busy && kind == Kind::Rest {
            true => row.with_goal(13, Of::Ratio, Bound::AtLeast(least)),
            false => row,
        }));
    }
    rows
}

async fn caller(target: &Target, kind: Kind) -> Result<Box<dyn Caller>> {
    Ok(match kind {
        Kind::Rest => Box::new(Rest {
            http: reqwest::Client::new(),
            url: format!("{}/v1/sql", target.gateway.rest),
            login: target.gateway.login.clone(),
            sql: target.sql.clone(),
        }),
        Kind::Health => Box::new(Health {
            http: reqwest::Client::new(),
            url: format!("{}/health", target.gateway.rest),
        }),
        Kind::FlightSql => Box::new(FlightSql {
            client: target.gateway.connect().await?,
            sql: target.sql.clone(),
            rows: target.rows,
        }),
        Kind::Unary => Box::new(Unary(FlightServiceClient::new(
            channel(&target.floor.address).await?,
        ))),
        Kind::Redis => Box::new(Get(connection(&target.redis.1).await?)),
    })
}

/// A Redis on a free port, in memory alone.
async fn redis_server(run: &Run) -> Result<(Process, String)> {
    let address = crate::process::free_address()?;
    let port = address.port().to_string();
    let mut command = Command::new("redis-server");
    command.args([
        "--bind",
        "127.0.0.1",
        "--port",
        &port,
        "--save",
        "",
        "--appendonly",
        "no",
    ]);
    let process = Process::start("redis", command, &run.place.logs(), false)
        .context("redis-server is a package of the distribution; tests/install installs it")?;
    let url = format!("redis://127.0.0.1:{port}/0");
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while connection(&url).await.is_err() {
        process.id()?;
        if std::time::Instant::now() > deadline {
            bail!("redis-server does not answer");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((process, url))
}

async fn connection(url: &str) -> Result<MultiplexedConnection> {
    Ok(redis::Client::open(url)?
        .get_multiplexed_async_connection()
        .await?)
}

/// Puts the bytes that REST sends for these rows.
async fn put(url: &str, rows: &[RecordBatch]) -> Result<()> {
    let schema = rows.first().context("an answer without rows")?.schema();
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    for batch in rows {
        writer.write(batch)?;
    }
    let bytes = writer.into_inner()?;
    let mut set = redis::cmd("SET");
    set.arg("rows").arg(bytes);
    let mut connection = connection(url).await?;
    set.query_async::<()>(&mut connection).await?;
    Ok(())
}

struct Rest {
    http: reqwest::Client,
    url: String,
    login: Login,
    sql: String,
}

#[async_trait]
impl Caller for Rest {
    async fn call(&mut self) -> Result<()> {
        let request = self
            .http
            .post(&self.url)
            .basic_auth(&self.login.user, Some(&self.login.password))
            .header("accept", "application/vnd.apache.arrow.stream")
            .json(&json!({ "sql": self.sql }));
        let response = request.send().await?.error_for_status()?;
        let status = response.headers().get("cache-status").cloned();
        if status.as_ref().map(|status| status.as_bytes()) != Some(b"lakegate; hit") {
            bail!("an answer that was not kept: {status:?}");
        }
        response.bytes().await?;
        Ok(())
    }
}

struct Health {
    http: reqwest::Client,
    url: String,
}

#[async_trait]
impl Caller for Health {
    async fn call(&mut self) -> Result<()> {
        let response = self.http.get(&self.url).send().await?.error_for_status()?;
        response.bytes().await?;
        Ok(())
    }
}

struct FlightSql {
    client: Flight,
    sql: String,
    rows: u64,
}

#[async_trait]
impl Caller for FlightSql {
    async fn call(&mut self) -> Result<()> {
        let rows = query(&mut self.client, &self.sql).await?;
        let rows: usize = rows.iter().map(RecordBatch::num_rows).sum();
        match rows as u64 == self.rows {
            true => Ok(()),
            false => bail!("asked for {} rows, got {rows}", self.rows),
        }
    }
}

struct Unary(FlightServiceClient<Channel>);

#[async_trait]
impl Caller for Unary {
    async fn call(&mut self) -> Result<()> {
        for _ in 0..2 {
            let descriptor = FlightDescriptor::new_cmd("SELECT 1");
            self.0.get_flight_info(descriptor).await?;
        }
        Ok(())
    }
}

struct Get(MultiplexedConnection);

#[async_trait]
impl Caller for Get {
    async fn call(&mut self) -> Result<()> {
        let mut get = redis::cmd("GET");
        get.arg("rows");
        let bytes: Vec<u8> = get.query_async(&mut self.0).await?;
        match bytes.is_empty() {
            true => bail!("no rows in Redis"),
            false => Ok(()),
        }
    }
}
