//! Statements and messages that have ended engines: each is answered, refused or stopped, the process lives in bounded
//! memory, and the next statement is answered.

use std::fs;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::ipc::writer::IpcWriteOptions;
use arrow::ipc::{CompressionType, root_as_message};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult};
use arrow_flight::sql::{Any, CommandPreparedStatementQuery, ProstMessageExt as _};
use arrow_flight::{Action, FlightData, FlightDescriptor};
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tests::{Flight, Gateway, Refusal};

/// The gateway stops each statement after a second, and gives all of them 512 MiB.
const SETTINGS: [(&str, &str); 4] = [
    ("planner.query_timeout", "1s"),
    ("planner.memory_max", "512 MiB"),
    ("planner.query_memory_max", "256 MiB"),
    ("planner.spill_max", "256 MiB"),
];
/// What the process may have taken at its peak: the pool, and what lies outside of it.
const PEAK_KIB: u64 = 3 << 20;

/// The same for statements whose own text is large: what planning them takes is not counted against a query's memory yet, and
/// how far it gets before the deadline depends on the machine.
const PLANNING_PEAK_KIB: u64 = 8 << 20;

/// What a statement must come to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// A word before any row, that names a bound or what is wrong.
    Refused,
    /// Whatever, as long as it ends.
    Over,
}
use Fate::{Over, Refused};

fn growth() -> Vec<(String, Fate)> {
    let of = |sql: &str, fate| (sql.to_owned(), fate);
    vec![
        of(
            "SELECT count(*) FROM generate_series(0, 9000000000000000000)",
            Over,
        ),
        of("SELECT generate_series(0, 9000000000000000000)", Refused),
        of("SELECT range(0, 9000000000000000000)", Refused),
        of("SELECT repeat('x', 1000000000)", Refused),
        of(
            "SELECT repeat(repeat(l_comment, 1000), 1000) FROM lake.gold.lineitem",
            Refused,
        ),
        of("SELECT lpad('x', 2000000000), rpad('x', 2000000000)", Refused),
        of("SELECT array_repeat(array_repeat(1, 100000), 100000)", Refused),
        of("SELECT array_resize([1], 2000000000)", Refused),
        of(
            "WITH RECURSIVE t AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t",
            Over,
        ),
        of(
            "WITH RECURSIVE t AS (SELECT 'x' AS s UNION ALL SELECT concat(s, s) FROM t) SELECT max(length(s)) FROM t",
            Over,
        ),
        of(
            "WITH RECURSIVE t AS (SELECT [1] AS s UNION ALL SELECT array_concat(s, s) FROM t) SELECT count(*) FROM t",
            Over,
        ),
        of(
            "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
            Over,
        ),
        of(
            "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT a.n + 1 FROM t a, t b) SELECT count(*) FROM t",
            Over,
        ),
        of(
            "SELECT array_to_string(range(0, 1000000), repeat('x', 1000000))",
            Refused,
        ),
        of(
            "SELECT to_char(l_shipdate, repeat('%Y', 100000)) FROM lake.gold.lineitem",
            Over,
        ),
        of(
            "SELECT replace(repeat('a', 100000), 'a', repeat('b', 100000))",
            Refused,
        ),
        of(
            "SELECT regexp_replace(repeat('a', 100000), 'a', repeat('b', 100000), 'g')",
            Refused,
        ),
        of("SELECT repeat('x', 10000), unnest(range(0, 30000000))", Refused),
        of(
            "SELECT l_comment, unnest(range(0, 100000)) FROM lake.gold.lineitem",
            Over,
        ),
        of(
            "SELECT array_agg(value) FROM generate_series(1, 1000000000)",
            Over,
        ),
        of(
            "SELECT string_agg(repeat(l_comment, 1000), ',') FROM lake.gold.lineitem",
            Over,
        ),
    ]
}

fn work() -> Vec<(String, Fate)> {
    let of = |sql: &str, fate| (sql.to_owned(), fate);
    let li = "lake.gold.lineitem";
    vec![
        (
            format!("SELECT count(*) FROM {li} a, {li} b, {li} c, {li} d, {li} e"),
            Over,
        ),
        (
            format!("SELECT count(DISTINCT a.l_comment || b.l_comment) FROM {li} a, {li} b"),
            Over,
        ),
        (
            format!("SELECT a.l_comment FROM {li} a, {li} b ORDER BY a.l_comment || b.l_comment"),
            Over,
        ),
        (
            format!(
                "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY a.l_tax) n FROM {li} a, {li} b) t"
            ),
            Over,
        ),
        (
            format!("SELECT * FROM {li} a JOIN {li} b ON a.l_linenumber = b.l_linenumber"),
            Over,
        ),
        of(
            "SELECT levenshtein(repeat('x', 1000000), repeat('y', 1000000))",
            Refused,
        ),
        (
            format!(
                "SELECT sum(levenshtein(repeat(l_comment, 100), repeat(reverse(l_comment), 100))) FROM {li}"
            ),
            Over,
        ),
        of(
            "SELECT array_has_any(range(0, 1000000), range(1000000, 2000000))",
            Refused,
        ),
        of(
            "SELECT regexp_like(repeat('a', 1000000), '(a{500}){50}b')",
            Refused,
        ),
        of("SELECT repeat('a', 1000000) ~ '(a{500}){50}b'", Refused),
        of(
            "SELECT x ~ p FROM (SELECT repeat('a', 1000000) AS x, concat('(a{500}){50}', 'b') AS p)",
            Refused,
        ),
        of(
            "SELECT regexp_count(repeat('a', 1000000), '(a{500}){50}b')",
            Refused,
        ),
        (
            format!("SELECT count(*) FROM {li} WHERE repeat(l_comment, 10000) !~* '(a{{500}}){{50}}b'"),
            Refused,
        ),
    ]
}

/// Long texts in the statement itself, as many as its bounds let through.
fn text() -> Vec<(String, Fate)> {
    let long = "x".repeat(900_000);
    let list = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let columns = |of: &str, count: usize| {
        (0..count)
            .map(|n| format!("{of} + {n} AS c{n}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let li = "lake.gold.lineitem";
    vec![
        (format!("SELECT '{long}' || l_comment FROM {li}"), Over),
        (format!("SELECT '{long}', l_orderkey FROM {li}"), Over),
        (format!("SELECT concat('{long}', l_comment) FROM {li}"), Over),
        (
            format!("SELECT CASE WHEN l_tax > 0 THEN '{long}' ELSE l_comment END FROM {li}"),
            Over,
        ),
        (format!("SELECT 1 WHERE 7 IN ({})", list(1_000_000)), Refused),
        (
            format!("SELECT count(*) FROM {li} WHERE l_orderkey IN ({})", list(90_000)),
            Over,
        ),
        (format!("SELECT {}", vec!["true"; 100_000].join(" OR ")), Refused),
        (
            format!(
                "SELECT count(*) FROM {li} WHERE {}",
                vec!["l_tax > 1"; 2_000].join(" OR ")
            ),
            Over,
        ),
        (format!("SELECT {}", columns("1", 10_000)), Over),
        (
            format!("SELECT {} FROM {li}", columns("l_orderkey", 10_000)),
            Over,
        ),
    ]
}

/// Nesting, width and names.
fn shapes() -> Vec<(String, Fate)> {
    vec![
        (format!("SELECT {}1", "NOT ".repeat(10_000)), Refused),
        (format!("SELECT {}1", "- ".repeat(10_000)), Refused),
        (
            format!("SELECT {}1{}", "abs(".repeat(5_000), ")".repeat(5_000)),
            Refused,
        ),
        (
            format!("SELECT {}{}", "[".repeat(5_000), "]".repeat(5_000)),
            Refused,
        ),
        (
            format!(
                "SELECT {}1{}",
                "CASE WHEN true THEN ".repeat(5_000),
                " END".repeat(5_000)
            ),
            Refused,
        ),
        (
            format!(
                "{}SELECT 1{}",
                "SELECT * FROM (".repeat(1_000),
                ") t".repeat(1_000)
            ),
            Refused,
        ),
        (
            format!(
                "SELECT count(*) FROM {}",
                (0..300)
                    .map(|n| format!("lake.gold.region t{n}"))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
            Over,
        ),
        (vec!["SELECT 1"; 3_000].join(" UNION ALL "), Over),
        (format!("SELECT 1 AS \"{}\"", "n".repeat(65_536)), Over),
        ("SELECT * FROM \"lake\u{0}\".gold.region".to_owned(), Refused),
        (
            "SELECT * FROM lake.gold.\"\u{202e}noiger\u{202c}\"".to_owned(),
            Refused,
        ),
    ]
}

/// What came of a statement; rows are counted and let go.
async fn outcome(flight: &mut Flight, sql: &str) -> Result<usize, Refusal> {
    let mut rows = 0;
    for endpoint in flight.plan(sql).await?.endpoint {
        let mut stream = flight.open(endpoint.ticket.expect("a ticket")).await?;
        while let Some(batch) = stream.next().await {
            rows += batch
                .map_err(|error| Refusal {
                    code: "stream".to_owned(),
                    message: error.to_string(),
                })?
                .num_rows();
        }
    }
    Ok(rows)
}

/// The most memory that a process has had, in KiB.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    line.split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

async fn survives(statements: Vec<(String, Fate)>, peak_kib: u64) {
    let mut gateway = Gateway::quickstart_with(0.01, &SETTINGS).expect("a gateway");
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let mut faults = Vec::new();
    for (sql, fate) in statements {
        let shown: String = sql.chars().take(120).collect();
        let came = outcome(&mut flight, &sql).await;
        let stands = match (&came, fate) {
            (_, Over) => true,
            (Err(refusal), Refused) => !["Internal", "DeadlineExceeded"].contains(&refusal.code.as_str()),
            _ => false,
        };
        let is_defect = matches!(&came, Err(refusal) if refusal.message.contains("internal error"));
        if !stands || is_defect {
            faults.push(format!("{shown}: {fate:?} expected: {came:?}"));
        }
        let next = flight.query("SELECT 1").await;
        if !matches!(&next, Ok(answer) if answer.cell() == "1") {
            faults.push(format!("SELECT 1 after {shown}: {next:?}"));
            flight = gateway.flight("admin").await.expect("a new connection");
        }
        gateway
            .await_metric("lakegate_queries{state=\"running\"}", 0.0)
            .await;
    }
    assert!(gateway.is_running());
    let peak = peak(gateway.process_id());
    println!("the peak is {} MiB", peak >> 10);
    assert!(peak < peak_kib, "{peak} KiB");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn statements_that_make_much_of_little() {
    survives(growth(), PEAK_KIB).await;
}

#[tokio::test]
async fn statements_that_take_for_ever() {
    survives(work(), PEAK_KIB).await;
}

#[tokio::test]
async fn statements_that_are_long_or_wide() {
    survives(text(), PLANNING_PEAK_KIB).await;
}

#[tokio::test]
async fn statements_of_odd_shapes() {
    survives(shapes(), PEAK_KIB).await;
}

/// A handle for a statement with one parameter.
async fn handle(flight: &mut Flight) -> Vec<u8> {
    let request = ActionCreatePreparedStatementRequest {
        query: "SELECT CAST(? AS BIGINT)".to_owned(),
        transaction_id: None,
    };
    let action = Action {
        r#type: "CreatePreparedStatement".to_owned(),
        body: request.as_any().encode_to_vec().into(),
    };
    let mut results = flight.client().do_action(action).await.expect("an action");
    let result = results.message().await.expect("an answer").expect("a result");
    let any = Any::decode(result.body).expect("a message");
    let made: ActionCreatePreparedStatementResult = any.unpack().expect("a type").expect("a handle");
    made.prepared_statement_handle.to_vec()
}

/// Parameters as messages, compressed or plain.
async fn messages(compression: Option<CompressionType>) -> Vec<FlightData> {
    let column: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![7; 4_096]));
    let batch = RecordBatch::try_from_iter([("1", column)]).expect("a batch");
    let options = IpcWriteOptions::default()
        .try_with_compression(compression)
        .expect("a compression");
    FlightDataEncoderBuilder::new()
        .with_options(options)
        .build(futures::stream::iter([Ok(batch)]))
        .try_collect()
        .await
        .expect("messages")
}

#[tokio::test]
async fn a_message_that_claims_more_than_there_is() {
    let mut gateway = Gateway::quickstart_with(0.01, &SETTINGS).expect("a gateway");
    let mut flight = gateway.flight("admin").await.expect("a connection");
    for compression in [Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        for claim in [1_i64 << 45, i64::MAX, -2, 1 << 30] {
            let handle = handle(&mut flight).await;
            let mut sent = messages(compression).await;
            let last = sent.last_mut().expect("rows");
            let places: Vec<usize> = {
                let message = root_as_message(&last.data_header).expect("a message");
                let batch = message.header_as_record_batch().expect("rows");
                let buffers = batch.buffers().expect("buffers");
                let filled = buffers.iter().filter(|buffer| buffer.length() > 8);
                filled
                    .map(|buffer| usize::try_from(buffer.offset()).expect("an offset"))
                    .collect()
            };
            let mut body = last.data_body.to_vec();
            for place in places {
                body[place..place + 8].copy_from_slice(&claim.to_le_bytes());
            }
            last.data_body = body.into();
            let command = CommandPreparedStatementQuery {
                prepared_statement_handle: handle.into(),
            };
            let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
            sent[0].flight_descriptor = Some(descriptor);
            let answer = flight.client().do_put(futures::stream::iter(sent)).await;
            let refused = match answer {
                Ok(mut results) => results.message().await.is_err(),
                Err(_) => true,
            };
            assert!(refused, "{compression:?} with a claim of {claim} is taken");
            assert_eq!(flight.query("SELECT 1").await.expect("an answer").cell(), "1");
        }
    }
    assert!(gateway.is_running());
    assert!(peak(gateway.process_id()) < PEAK_KIB);
}
