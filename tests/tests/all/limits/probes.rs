//! Limits of calls and of statements, looked at with the clients of the harness.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::decode::FlightRecordBatchStream;
use futures::{FutureExt as _, StreamExt as _};
use tests::{Answer, Flight, Refusal};

use super::Needs::{AnyLake, ItsOwn};
use super::Proof::{Alone, First, Shows};
use super::{Case, Look, NOISE_ROWS, Place, Proof, ROWS};

const SPILL: &[(&str, &str)] = &[("planner.threads", "1"), ("planner.query_memory_max", "24 MiB")];
const RUNNING: &str = "lakegate_queries{state=\"running\"}";

/// Ten thousand million rows.
const ENDLESS: &str = "SELECT a.id, b.name FROM lake.gold.events a, lake.gold.events b";
/// As long before the first row.
const LATE: &str =
    "SELECT sum(a.id * b.id + c.id) FROM lake.gold.events a, lake.gold.events b, lake.gold.events c";
/// Needs about ten mebibytes that cannot be spilled.
const JOIN: &str = "SELECT count(*) FROM lake.gold.events a JOIN lake.gold.events b ON a.name = b.name";
/// Sorts about a hundred mebibytes.
const SORT: &str = "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY b.name || a.name DESC) n \
                    FROM lake.gold.events a, (SELECT name FROM lake.gold.events LIMIT 10) b)";

/// A case of a gateway that only reads.
fn case(
    key: &'static str,
    value: &'static str,
    around: &'static [(&'static str, &'static str)],
    proof: Proof,
    look: Look,
) -> Case {
    Case {
        key,
        value,
        around,
        needs: AnyLake,
        proof,
        look,
    }
}

pub(super) fn admission() -> Vec<Case> {
    vec![
        case(
            "limits.queries_max",
            "1",
            &[("limits.queue_max", "0")],
            Shows("waiting"),
            |place| beside_another(place, "viewer").boxed(),
        ),
        case(
            "limits.principal_queries_max",
            "1",
            &[],
            Shows("running for this user"),
            |place| beside_another(place, "admin").boxed(),
        ),
        case(
            "limits.queue_max",
            "0",
            &[("limits.queries_max", "1"), ("limits.queue_timeout", "1s")],
            Shows("too many queries are waiting"),
            |place| beside_another(place, "viewer").boxed(),
        ),
        case(
            "limits.queue_timeout",
            "1ms",
            &[("limits.queries_max", "1")],
            First("are running"),
            |place| beside_another(place, "viewer").boxed(),
        ),
        case("limits.request_bytes_max", "64 KiB", &[], Shows("413"), |place| {
            large_body(place).boxed()
        }),
        case(
            "limits.header_bytes_max",
            "8 KiB",
            &[],
            Shows("refused"),
            |place| large_header(place).boxed(),
        ),
        case("limits.ticket_lifetime", "1s", &[], First("expired"), |place| {
            old_ticket(place).boxed()
        }),
        case("limits.heartbeat", "1s", &[], First("0 rows"), |place| {
            first_batch(place).boxed()
        }),
        case("limits.preview_rows_max", "3", &[], Shows(": 3 rows"), |place| {
            preview(place).boxed()
        }),
        Case {
            needs: ItsOwn,
            ..case("limits.drain_timeout", "1ms", &[], First("ended"), |place| {
                told_to_stop(place).boxed()
            })
        },
    ]
}

pub(super) fn statements() -> Vec<Case> {
    vec![
        case(
            "planner.statement_bytes_max",
            "64 B",
            &[],
            Shows("length of the statement"),
            |place| {
                ask(
                    place,
                    "SELECT 'seventy bytes are more than sixty-four bytes, as every one knows'",
                )
                .boxed()
            },
        ),
        case(
            "planner.tokens_max",
            "8",
            &[],
            Shows("number of tokens"),
            |place| ask(place, "SELECT 1, 2, 3, 4, 5").boxed(),
        ),
        case("planner.depth_max", "10", &[], Shows("nesting"), |place| {
            ask(place, "SELECT ((((((((((((1))))))))))))").boxed()
        }),
        case(
            "planner.chain_max",
            "3",
            &[],
            Shows("operators in a row"),
            |place| ask(place, "SELECT 1 + 1 + 1 + 1 + 1").boxed(),
        ),
        case(
            "planner.parameter_rows_max",
            "2",
            &[],
            Shows("rows of parameters"),
            |place| parameters(place).boxed(),
        ),
        case("planner.query_timeout", "1s", &[], First("deadline"), |place| {
            ask(place, LATE).boxed()
        }),
        case("planner.memory_max", "2 MiB", &[], Shows("memory"), |place| {
            ask(place, JOIN).boxed()
        }),
        case(
            "planner.query_memory_max",
            "2 MiB",
            &[],
            Shows("memory"),
            |place| ask(place, JOIN).boxed(),
        ),
    ]
}

pub(super) fn resources() -> Vec<Case> {
    vec![
        // On a machine with five processors the default shows the same.
        case("planner.threads", "5", &[], Alone("5 threads"), |place| {
            threads(place).boxed()
        }),
        case(
            "planner.thread_stack",
            "48 MiB",
            &[("planner.threads", "4")],
            Shows("a stack of 48 MiB"),
            |place| stacks(place).boxed(),
        ),
        case("planner.batch_rows", "100", &[], Shows("100 rows"), |place| {
            largest_batch(place).boxed()
        }),
        case("planner.endpoint_rows", "10000", &[], Shows("several"), |place| {
            endpoints(place).boxed()
        }),
        case(
            "planner.endpoints_max",
            "2",
            &[("planner.endpoint_rows", "10000")],
            Shows("2 endpoints"),
            |place| endpoints(place).boxed(),
        ),
        case(
            "planner.stream_batches_max",
            "100000",
            &[],
            First("all made"),
            |place| made_ahead(place).boxed(),
        ),
        Case {
            needs: ItsOwn,
            ..case(
                "planner.spill_dir",
                "LAKE/spill",
                SPILL,
                Shows("spilled here"),
                |place| spilled(place).boxed(),
            )
        },
        case("planner.spill_max", "1 KiB", SPILL, Shows("memory"), |place| {
            ask(place, SORT).boxed()
        }),
        case(
            "planner.plan_cache_entries",
            "0",
            &[],
            Shows("0 plans"),
            |place| plans(place).boxed(),
        ),
    ]
}

fn shown(answer: Result<Answer, Refusal>) -> String {
    match answer {
        Ok(answer) => format!("answered {:?}", answer.rows()),
        Err(refusal) => format!("refused {}: {}", refusal.code, refusal.message),
    }
}

async fn admin(place: &Place) -> Flight {
    place.gateway.flight("admin").await.expect("a connection")
}

async fn open(flight: &mut Flight, sql: &str) -> FlightRecordBatchStream {
    let mut info = flight.plan(sql).await.expect("a plan");
    let ticket = info.endpoint.remove(0).ticket.expect("a ticket");
    flight.open(ticket).await.expect("a stream")
}

async fn ask(place: &Place, sql: &str) -> String {
    shown(admin(place).await.query(sql).await)
}

/// What `user` gets while a query of the admin runs.
async fn beside_another(place: &Place, user: &str) -> String {
    let mut first = admin(place).await;
    let mut stream = open(&mut first, ENDLESS).await;
    stream.next().await.expect("a batch").expect("rows");
    let mut second = place.gateway.flight(user).await.expect("a connection");
    let said = shown(second.query("SELECT 1").await);
    drop(stream);
    said
}

async fn large_body(place: &Place) -> String {
    let sql = format!("SELECT length('{}')", "x".repeat(100_000));
    shown(place.gateway.rest("admin").query(&sql).await)
}

async fn large_header(place: &Place) -> String {
    let mut flight = admin(place).await;
    flight.client().set_header("x-large", "x".repeat(12 << 10));
    shown(flight.query("SELECT 1").await)
}

/// Asks with one ticket until it is refused.
async fn old_ticket(place: &Place) -> String {
    let mut flight = admin(place).await;
    let info = flight.plan("SELECT 1").await.expect("a plan");
    loop {
        if let Err(refusal) = flight.fetch(info.clone()).await {
            return refusal.message;
        }
    }
}

async fn first_batch(place: &Place) -> String {
    let mut flight = admin(place).await;
    let mut stream = open(&mut flight, LATE).await;
    let batch = stream.next().await.expect("a message").expect("a batch");
    format!("{} rows", batch.num_rows())
}

/// How many rows a preview has that does not say how many.
async fn preview(place: &Place) -> String {
    let url = format!("{}/v1/datasets/lake.gold.events/preview", place.gateway.rest);
    let call = reqwest::Client::new()
        .get(url)
        .basic_auth("admin", Some(place.gateway.password("admin")))
        .header("accept", "application/x-ndjson");
    let response = call.send().await.expect("a response");
    assert_eq!(response.status(), 200);
    let text = response.text().await.expect("a body");
    let rows = text.lines().filter(|line| line.contains("\"id\""));
    format!("by itself: {} rows", rows.count())
}

/// Reads rows that have no end until the process has ended.
async fn told_to_stop(place: &Place) -> String {
    let mut flight = admin(place).await;
    let mut stream = open(&mut flight, ENDLESS).await;
    stream.next().await.expect("a batch").expect("rows");
    place.gateway.signal("TERM").await;
    while let Some(Ok(_)) = stream.next().await {}
    "ended".to_owned()
}

async fn parameters(place: &Place) -> String {
    let mut flight = admin(place).await;
    let prepared = flight.client().prepare("SELECT ? + 1".to_owned(), None).await;
    let mut prepared = prepared.expect("a handle");
    let values: [(&str, ArrayRef); 1] = [("1", Arc::new(Int64Array::from(vec![1, 2, 3])))];
    prepared
        .set_parameters(RecordBatch::try_from_iter(values).expect("a batch"))
        .expect("parameters");
    match prepared.execute().await.map_err(tests::flight::refusal) {
        Ok(info) => shown(flight.fetch(info).await),
        Err(refusal) => shown(Err(refusal)),
    }
}

/// Threads of the engine, as the system lists them, once there are five; no query has run here, so none of them is a
/// blocking one. A thread takes its name when it first runs.
async fn threads(place: &Place) -> String {
    let folder = format!("/proc/{}/task", place.gateway.process_id());
    let named = |entry: std::io::Result<fs::DirEntry>| {
        fs::read_to_string(entry.ok()?.path().join("comm"))
            .ok()
            .filter(|name| name.trim() == "lakegate-cpu")
    };
    loop {
        let tasks = fs::read_dir(&folder).expect("a running process");
        match tasks.filter_map(named).count() {
            0..5 => tokio::task::yield_now().await,
            found => return format!("{found} threads"),
        }
    }
}

/// Whether the process has memory set aside that is as large as a stack of 48 MiB.
async fn stacks(place: &Place) -> String {
    let path = format!("/proc/{}/maps", place.gateway.process_id());
    let maps = fs::read_to_string(path).expect("a running process");
    let size = |line: &str| {
        let (from, to) = line.split_whitespace().next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        number(to)?.checked_sub(number(from)?)
    };
    // The guard page may be within the stack or beside it.
    let is_stack = |bytes: u64| bytes.abs_diff(48 << 20) <= 64 << 10;
    match maps.lines().filter_map(size).any(is_stack) {
        true => "a stack of 48 MiB".to_owned(),
        false => "no such stack".to_owned(),
    }
}

async fn largest_batch(place: &Place) -> String {
    let answer = admin(place)
        .await
        .query("SELECT id, name FROM lake.gold.events")
        .await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.len() as i64, ROWS);
    let largest = answer.batches.iter().map(RecordBatch::num_rows).max();
    format!("{} rows", largest.unwrap_or_default())
}

async fn endpoints(place: &Place) -> String {
    let mut flight = admin(place).await;
    let info = flight.plan("SELECT id, name FROM lake.gold.noise").await;
    let info = info.expect("a plan");
    let count = info.endpoint.len();
    let rows = flight.fetch(info).await.expect("an answer").len();
    assert_eq!(rows as i64, NOISE_ROWS);
    match count {
        1 => "1 endpoint".to_owned(),
        more => format!("several: {more} endpoints"),
    }
}

/// Waits until the engine has made all rows of a stream of some 40 MB that nobody reads.
async fn made_ahead(place: &Place) -> String {
    let sql = "SELECT a.name, b.name FROM lake.gold.events a, (SELECT name FROM lake.gold.events LIMIT 10) b";
    let mut flight = admin(place).await;
    let stream = open(&mut flight, sql).await;
    while place.gateway.metric(RUNNING).await != Some(0.0) {
        tokio::task::yield_now().await;
    }
    drop(stream);
    "all made".to_owned()
}

async fn spilled(place: &Place) -> String {
    let sorted = ask(place, SORT).await;
    let rows = (ROWS * 10).to_string();
    assert!(sorted.contains(&rows), "{sorted}");
    let folder = place.lake.folder().join("spill");
    let entries = fs::read_dir(folder).map_or(0, Iterator::count);
    match entries {
        0 => "nothing here".to_owned(),
        _ => "spilled here".to_owned(),
    }
}

async fn plans(place: &Place) -> String {
    for _ in 0..2 {
        ask(place, "SELECT count(*) FROM lake.gold.events").await;
    }
    let kept = place.gateway.metric("lakegate_kept_plans").await;
    format!("{} plans", kept.expect("a gauge"))
}
