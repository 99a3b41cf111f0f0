//! A policy that changes counts at once, for what runs too.

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use ingest::Zone;
use tests::lake::key;
use tests::{Flight, Lake};

const OPEN: &str =
    "[[allow]]\nname = \"viewers read gold\"\nroles = [\"viewer\"]\ntables = [\"lake.gold.*\"]\n";
const FILTERED: &str = "[[filter]]\nname = \"few\"\non = [\"lake.gold.events\"]\nwhere = \"id < 5\"\n";

/// Whether the statement gives this; not while the policies change under it.
async fn gives(flight: &mut Flight, sql: &str, cell: &str) -> bool {
    match flight.query(sql).await {
        Ok(answer) => answer.cell() == cell,
        Err(refusal) => {
            assert!(refusal.message.contains("LG1018"), "{refusal:?}");
            false
        }
    }
}

async fn wait_for(what: &str, mut seen: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !seen().await {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_document_counts_without_a_signal_and_a_bad_one_does_not() {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..10).await.expect("rows");
    lake.set_policies(OPEN).expect("policies");
    let gateway = lake
        .gateway_with(&[&key(1)], &[("policies.poll", "200ms")])
        .expect("a gateway");
    let mut viewer = gateway.flight("viewer").await.expect("a connection");
    let count = "SELECT count(*) FROM lake.gold.events";
    assert_eq!(viewer.query(count).await.expect("an answer").cell(), "10");
    lake.set_policies(&format!("{OPEN}{FILTERED}")).expect("policies");
    wait_for("the filter", async || gives(&mut viewer, count, "5").await).await;
    // A mask that means nothing for its column closes the table, and tells so in the log alone.
    let unfit = "[[mask]]\nname = \"m\"\non = [\"lake.gold.events.id\"]\nkind = \"hash\"\n";
    lake.set_policies(&format!("{OPEN}{unfit}")).expect("policies");
    wait_for("the fault", async || gateway.log().contains("policies.mask_key")).await;
    assert_eq!(viewer.query(count).await.expect("the old policies").cell(), "5");
    lake.set_policies("").expect("policies");
    wait_for("the end", async || viewer.query(count).await.is_err()).await;
    assert!(!gateway.log().contains("panicked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_stream_ends_when_what_it_shows_is_taken_away() {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..300_000).await.expect("rows");
    lake.append(Zone::Gold, "others", 0..300_000).await.expect("rows");
    lake.set_policies(OPEN).expect("policies");
    let settings = [("policies.poll", "200ms"), ("planner.batch_rows", "500")];
    let gateway = lake.gateway_with(&[&key(1)], &settings).expect("a gateway");
    let mut viewer = gateway.flight("viewer").await.expect("a connection");
    let mut streams = Vec::new();
    for table in ["events", "others"] {
        let sql = format!(
            "SELECT a.id, a.name, b.name AS n FROM lake.gold.{table} a JOIN lake.gold.{table} b ON a.id % 50 = b.id % 50"
        );
        let info = viewer.plan(&sql).await.expect("a plan");
        let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
        let mut stream = viewer.open(ticket).await.expect("a stream");
        stream.try_next().await.expect("rows").expect("a batch");
        streams.push(stream);
    }
    lake.set_policies(&format!("{OPEN}{FILTERED}")).expect("policies");
    let mut probe = gateway.flight("viewer").await.expect("a connection");
    let count = "SELECT count(*) FROM lake.gold.events";
    wait_for("the filter", async || gives(&mut probe, count, "5").await).await;
    let ended = loop {
        match streams[0].try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    assert!(
        ended.as_ref().is_some_and(|error| error.contains("LG1018")),
        "{ended:?}"
    );
    // The other table is shown as before, and its stream goes on.
    for _ in 0..50 {
        streams[1].try_next().await.expect("rows").expect("a batch");
    }
}
