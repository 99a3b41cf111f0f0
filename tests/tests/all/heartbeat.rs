//! A stream on which nothing moves yet says that it is still running: proxies close what is silent.

use futures::StreamExt as _;
use ingest::Zone;
use tests::Lake;
use tests::lake::key;

/// A hundred thousand million triples before the one row: no machine is so fast that a second passes unnoticed.
const LATE: &str =
    "SELECT sum(a.id * b.id + c.id) FROM lake.gold.events a, lake.gold.events b, lake.gold.events c";

#[tokio::test]
async fn an_empty_batch_comes_before_the_first_row_of_a_slow_statement() {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..5_000).await.expect("rows");
    let gateway = lake
        .gateway_with(&[&key(1)], &[("limits.heartbeat", "1s")])
        .expect("a gateway");
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let mut info = flight.plan(LATE).await.expect("a plan");
    let ticket = info.endpoint.remove(0).ticket.expect("a ticket");
    let mut stream = flight.open(ticket).await.expect("a stream");
    for _ in 0..2 {
        let beat = stream.next().await.expect("a message").expect("a batch");
        assert_eq!(beat.num_rows(), 0);
        let announced = tests::flight::announced(&info).expect("a schema");
        assert_eq!(beat.schema().fields(), announced.fields());
    }
    drop(stream);
    gateway
        .await_metric("lakegate_queries{state=\"running\"}", 0.0)
        .await;
}
