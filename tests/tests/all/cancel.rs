//! Dropping a client's stream stops the query, as the admin listener tells it.

use futures::StreamExt as _;
use tests::{Flight, Gateway};

/// Four billion pairs at scale 0.01: far more than any test waits for.
const ENDLESS: &str = "SELECT a.l_orderkey, b.l_comment FROM lake.gold.lineitem a, lake.gold.lineitem b";

/// The gauge of queries whose rows are still being made.
const RUNNING: &str = "lakegate_queries{state=\"running\"}";

async fn start_endless(flight: &mut Flight) -> impl Drop + use<> {
    let mut info = flight.plan(ENDLESS).await.expect("a plan");
    let ticket = info.endpoint.remove(0).ticket.expect("a ticket");
    let mut stream = flight.open(ticket).await.expect("a stream");
    stream.next().await.expect("a first batch").expect("rows");
    Open(stream)
}

/// A stream that is being read; dropping it is what a client that closes its cursor does.
struct Open(#[expect(dead_code, reason = "held open")] arrow_flight::decode::FlightRecordBatchStream);

impl Drop for Open {
    fn drop(&mut self) {}
}

#[tokio::test]
async fn a_dropped_flight_stream_stops_its_query() {
    let gateway = Gateway::quickstart(0.01).expect("a gateway");
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let first = start_endless(&mut flight).await;
    let second = start_endless(&mut flight).await;
    gateway.await_metric(RUNNING, 2.0).await;
    drop(first);
    gateway.await_metric(RUNNING, 1.0).await;
    drop(second);
    gateway.await_metric(RUNNING, 0.0).await;
    assert_eq!(flight.query("SELECT 1").await.expect("an answer").cell(), "1");
}

#[tokio::test]
async fn a_lost_connection_stops_its_query() {
    let gateway = Gateway::quickstart(0.01).expect("a gateway");
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let stream = start_endless(&mut flight).await;
    gateway.await_metric(RUNNING, 1.0).await;
    drop(flight);
    drop(stream);
    gateway.await_metric(RUNNING, 0.0).await;
}

#[tokio::test]
async fn a_dropped_rest_response_stops_its_query() {
    let gateway = Gateway::quickstart(0.01).expect("a gateway");
    let mut response = reqwest::Client::new()
        .post(format!("{}/v1/sql", gateway.rest))
        .basic_auth("admin", Some(gateway.password("admin")))
        .header("accept", "application/x-ndjson")
        .json(&serde_json::json!({ "sql": ENDLESS }))
        .send()
        .await
        .expect("a response");
    assert_eq!(response.status(), 200);
    response.chunk().await.expect("a first chunk").expect("rows");
    gateway.await_metric(RUNNING, 1.0).await;
    drop(response);
    gateway.await_metric(RUNNING, 0.0).await;
}

/// As endless, and nobody sees a row: the operators have to give way by themselves.
const SILENT: &str = "SELECT sum(a.l_orderkey + b.l_partkey) FROM lake.gold.lineitem a, lake.gold.lineitem b, lake.gold.lineitem c";

#[tokio::test]
async fn a_query_that_gives_no_rows_is_stopped_too() {
    let gateway = Gateway::quickstart(0.01).expect("a gateway");
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let mut info = flight.plan(SILENT).await.expect("a plan");
    let ticket = info.endpoint.remove(0).ticket.expect("a ticket");
    let stream = flight.open(ticket).await.expect("a stream");
    gateway.await_metric(RUNNING, 1.0).await;
    drop(stream);
    gateway.await_metric(RUNNING, 0.0).await;
}
