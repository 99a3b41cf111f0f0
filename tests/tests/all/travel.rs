//! Earlier states of a table over the wire: the same rows, the same policy and the same tickets as for a table as it is.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use ingest::Zone;
use tests::lake::key;
use tests::{Flight, Gateway, Lake};

/// A table of three snapshots with 10, 20 and 30 rows, and the numbers of the snapshots.
async fn grown(lake: &Lake, gateway: &Gateway, zone: Zone) -> Vec<String> {
    for start in [0, 10, 20] {
        lake.append(zone, "events", start..start + 10)
            .await
            .expect("rows");
    }
    let list = format!(
        "SELECT snapshot_id FROM lake.{}.\"events$snapshots\" ORDER BY committed_at",
        zone.name()
    );
    let rows = gateway.rest("admin").query(&list).await.expect("a list").rows();
    rows.into_iter().flatten().collect()
}

async fn flight(gateway: &Gateway, user: &str) -> Flight {
    gateway.flight(user).await.expect("a connection")
}

async fn cell(gateway: &Gateway, sql: &str) -> String {
    let through_rest = gateway.rest("admin").query(sql).await.expect(sql).cell();
    let through_flight = flight(gateway, "admin").await.query(sql).await.expect(sql).cell();
    assert_eq!(through_rest, through_flight, "{sql}");
    through_rest
}

#[tokio::test]
async fn a_snapshot_a_time_and_a_join_of_two_states_are_read() {
    let lake = Lake::create().await.expect("a lake");
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    let snapshots = grown(&lake, &gateway, Zone::Gold).await;
    assert_eq!(snapshots.len(), 3);
    for (snapshot, rows) in snapshots.iter().zip(["10", "20", "30"]) {
        for state in [
            format!("FOR VERSION AS OF {snapshot}"),
            format!("VERSION AS OF '{snapshot}'"),
        ] {
            let sql = format!("SELECT count(*) FROM lake.gold.events {state}");
            assert_eq!(cell(&gateway, &sql).await, rows, "{sql}");
        }
    }
    let second = format!(
        "SELECT committed_at FROM lake.gold.\"events$snapshots\" WHERE snapshot_id = {}",
        snapshots[1]
    );
    let time = cell(&gateway, &second).await;
    let sql = format!("SELECT count(*) FROM lake.gold.events FOR TIMESTAMP AS OF '{time}'");
    assert_eq!(cell(&gateway, &sql).await, "20", "{sql}");
    let added = format!(
        "SELECT count(*) FROM events n LEFT JOIN events FOR VERSION AS OF {} o ON n.id = o.id WHERE o.id IS NULL",
        snapshots[0]
    );
    assert_eq!(cell(&gateway, &added).await, "20");
    let plan = format!("EXPLAIN SELECT * FROM events FOR VERSION AS OF {}", snapshots[0]);
    let plan = gateway.rest("admin").query(&plan).await.expect("a plan").rows();
    assert!(
        plan.iter()
            .flatten()
            .any(|line| line.contains("FOR VERSION AS OF")),
        "{plan:?}"
    );
}

#[tokio::test]
async fn a_branch_in_a_ticket_stays_where_it_was() {
    let lake = Lake::create().await.expect("a lake");
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    grown(&lake, &gateway, Zone::Gold).await;
    let sql = "SELECT (SELECT count(*) FROM events FOR VERSION AS OF 'main') * 1000 + count(*) FROM events";
    let info = flight(&gateway, "admin").await.plan(sql).await.expect("a plan");
    lake.append(Zone::Gold, "events", 30..40)
        .await
        .expect("more rows");
    let other = lake.gateway(&[&key(1)]).expect("another gateway");
    let mut reader = flight(&other, "admin").await;
    assert_eq!(reader.fetch(info).await.expect("an answer").cell(), "30030");
    assert_eq!(reader.query(sql).await.expect("an answer").cell(), "40040");
}

#[tokio::test]
async fn a_prepared_statement_takes_values_beside_a_version() {
    let lake = Lake::create().await.expect("a lake");
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    let snapshots = grown(&lake, &gateway, Zone::Gold).await;
    let sql = format!(
        "SELECT count(*) FROM events FOR VERSION AS OF {} WHERE id >= ?",
        snapshots[1]
    );
    let mut client = flight(&gateway, "admin").await;
    let mut prepared = client.client().prepare(sql, None).await.expect("a handle");
    let values: [(&str, ArrayRef); 1] = [("1", Arc::new(Int64Array::from(vec![5])))];
    prepared
        .set_parameters(RecordBatch::try_from_iter(values).expect("a batch"))
        .expect("parameters");
    let info = prepared.execute().await.expect("a plan");
    assert_eq!(client.fetch(info).await.expect("an answer").cell(), "15");
}

#[tokio::test]
async fn the_policy_of_a_table_is_that_of_all_its_states() {
    let lake = Lake::create().await.expect("a lake");
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    let snapshots = grown(&lake, &gateway, Zone::Bronze).await;
    let sql =
        |table: &str, state: &str| format!("SELECT * FROM lake.bronze.{table} FOR VERSION AS OF {state}");
    let mut viewer = flight(&gateway, "viewer").await;
    for state in [snapshots[0].as_str(), "5", "'main'"] {
        let denied = viewer.query(&sql("events", state)).await.expect_err("denied");
        let absent = viewer.query(&sql("evints", state)).await.expect_err("absent");
        assert_eq!(denied.code, absent.code);
        assert_eq!(
            denied.message,
            absent.message.replace("evints", "events"),
            "{state}"
        );
    }
    // Nor does a name in quotes that only looks like a state.
    let faked = format!(
        "SELECT * FROM lake.bronze.\"events FOR VERSION AS OF {}\"",
        snapshots[0]
    );
    assert!(viewer.query(&faked).await.is_err());
    let ticket = flight(&gateway, "admin")
        .await
        .plan(&sql("events", &snapshots[0]))
        .await
        .expect("a plan");
    assert!(viewer.fetch(ticket).await.is_err(), "somebody else's ticket");
}
