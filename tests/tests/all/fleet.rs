//! Any gateway of a fleet serves any call: what a client holds carries all that is needed, and nothing is trusted that
//! the fleet did not seal.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, Ticket};
use ingest::Zone;
use tests::lake::key;
use tests::{Flight, Gateway, Lake, Refusal};
use tonic::transport::Channel;

const COUNT: &str = "SELECT count(*) FROM lake.gold.events";

async fn lake_of_ten() -> Lake {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..10).await.expect("rows");
    lake
}

async fn admin(gateway: &Gateway) -> Flight {
    gateway.flight("admin").await.expect("a connection")
}

fn ticket(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().expect("a ticket")
}

#[tokio::test]
async fn a_ticket_of_one_gateway_reads_its_snapshot_on_another() {
    let lake = lake_of_ten().await;
    let (first, second) = (
        lake.gateway(&[&key(1)]).expect("one"),
        lake.gateway(&[&key(1)]).expect("two"),
    );
    let info = admin(&first).await.plan(COUNT).await.expect("a plan");
    lake.append(Zone::Gold, "events", 10..25)
        .await
        .expect("more rows");
    drop(first);
    let mut other = admin(&second).await;
    assert_eq!(
        other.fetch(info).await.expect("an answer").cell(),
        "10",
        "the ticket's snapshot"
    );
    assert_eq!(
        other.query(COUNT).await.expect("an answer").cell(),
        "25",
        "the newest snapshot"
    );
}

#[tokio::test]
async fn a_new_snapshot_is_seen_by_the_next_query_of_every_gateway() {
    let lake = lake_of_ten().await;
    let (first, second) = (
        lake.gateway(&[&key(1)]).expect("one"),
        lake.gateway(&[&key(1)]).expect("two"),
    );
    let (mut one, mut two) = (admin(&first).await, admin(&second).await);
    for end in [20, 30] {
        assert_eq!(
            one.query(COUNT).await.expect("an answer").cell(),
            (end - 10).to_string()
        );
        lake.append(Zone::Gold, "events", end - 10..end)
            .await
            .expect("rows");
        assert_eq!(two.query(COUNT).await.expect("an answer").cell(), end.to_string());
        assert_eq!(
            first.rest("admin").query(COUNT).await.expect("an answer").cell(),
            end.to_string()
        );
    }
}

#[tokio::test]
async fn a_token_of_one_gateway_opens_another() {
    let lake = lake_of_ten().await;
    let (first, second) = (
        lake.gateway(&[&key(1)]).expect("one"),
        lake.gateway(&[&key(1)]).expect("two"),
    );
    let mut one = admin(&first).await;
    let token = one.client().token().cloned().expect("a token");
    let mut two = Flight::anonymous(&second.flight).await.expect("a channel");
    two.client().set_token(token);
    assert_eq!(two.query(COUNT).await.expect("an answer").cell(), "10");
}

#[tokio::test]
async fn a_prepared_statement_of_one_gateway_runs_on_another() {
    let lake = lake_of_ten().await;
    let (first, second) = (
        lake.gateway(&[&key(1)]).expect("one"),
        lake.gateway(&[&key(1)]).expect("two"),
    );
    let sql = "SELECT name FROM lake.gold.events WHERE id = ? OR id = ? ORDER BY id".to_owned();
    let mut one = admin(&first).await;
    let mut prepared = one.client().prepare(sql, None).await.expect("a handle");
    assert_eq!(prepared.parameter_schema().expect("a schema").fields().len(), 2);
    let values: [(&str, ArrayRef); 2] = [
        ("1", Arc::new(Int64Array::from(vec![3]))),
        ("2", Arc::new(Int64Array::from(vec![7]))),
    ];
    prepared
        .set_parameters(RecordBatch::try_from_iter(values).expect("a batch"))
        .expect("parameters");
    let info = prepared.execute().await.expect("a plan");
    drop(first);
    let rows = admin(&second).await.fetch(info).await.expect("an answer").rows();
    assert_eq!(rows, [["row 3"], ["row 7"]]);
}

#[tokio::test]
async fn a_ticket_is_good_for_its_principal_alone() {
    let lake = lake_of_ten().await;
    lake.append(Zone::Bronze, "raw", 0..3).await.expect("rows");
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    for sql in [COUNT, "SELECT count(*) FROM lake.bronze.raw"] {
        let info = admin(&gateway).await.plan(sql).await.expect("a plan");
        let mut viewer = gateway.flight("viewer").await.expect("a connection");
        let refusal = viewer
            .open(ticket(&info))
            .await
            .map(drop)
            .expect_err("somebody else's ticket");
        assert!(!refusal.message.contains("raw"), "{refusal:?}");
        assert_eq!(viewer.query(COUNT).await.expect("an answer").cell(), "10");
    }
}

#[tokio::test]
async fn a_gateway_with_another_key_refuses_as_it_refuses_damage() {
    let lake = lake_of_ten().await;
    let (ours, theirs) = (
        lake.gateway(&[&key(1)]).expect("ours"),
        lake.gateway(&[&key(2)]).expect("theirs"),
    );
    let info = admin(&ours).await.plan(COUNT).await.expect("a plan");
    let foreign = refused(&mut admin(&theirs).await, ticket(&info)).await;
    let mut damaged = ticket(&info);
    let mut bytes = damaged.ticket.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    damaged.ticket = bytes.into();
    assert_eq!(refused(&mut admin(&ours).await, damaged).await, foreign);
    assert_eq!(
        admin(&theirs).await.query(COUNT).await.expect("an answer").cell(),
        "10"
    );
}

#[tokio::test]
async fn a_key_ring_opens_what_its_older_key_has_sealed() {
    let lake = lake_of_ten().await;
    let old = lake.gateway(&[&key(1)]).expect("before");
    let info = admin(&old).await.plan(COUNT).await.expect("a plan");
    let token = admin(&old).await.client().token().cloned().expect("a token");
    drop(old);
    let rotated = lake.gateway(&[&key(2), &key(1)]).expect("after");
    let mut client = Flight::anonymous(&rotated.flight).await.expect("a channel");
    client.client().set_token(token);
    assert_eq!(client.fetch(info).await.expect("an answer").cell(), "10");
    let fresh = admin(&rotated).await.plan(COUNT).await.expect("a plan");
    drop(rotated);
    let later = lake.gateway(&[&key(2)]).expect("the old key is gone");
    assert_eq!(
        admin(&later).await.fetch(fresh).await.expect("an answer").cell(),
        "10"
    );
}

#[tokio::test]
async fn a_denied_table_and_an_absent_one_are_told_alike() {
    let lake = lake_of_ten().await;
    lake.append(Zone::Bronze, "raw", 0..3).await.expect("rows");
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    assert_eq!(
        admin(&gateway)
            .await
            .query("SELECT count(*) FROM lake.bronze.raw")
            .await
            .expect("rows")
            .cell(),
        "3"
    );
    let mut viewer = gateway.flight("viewer").await.expect("a connection");
    let denied = viewer
        .query("SELECT * FROM lake.bronze.raw")
        .await
        .expect_err("denied");
    let absent = viewer
        .query("SELECT * FROM lake.bronze.row")
        .await
        .expect_err("absent");
    let same = Refusal {
        message: absent.message.replace("bronze.row", "bronze.raw"),
        ..absent
    };
    assert_eq!(denied, same);
    for statement in [
        "DESCRIBE lake.bronze.raw",
        "EXPLAIN SELECT * FROM lake.bronze.raw",
    ] {
        assert_eq!(
            viewer.query(statement).await.expect_err("denied").code,
            denied.code,
            "{statement}"
        );
    }
    let listed = viewer
        .query("SELECT table_name FROM lake.information_schema.tables")
        .await
        .expect("a list")
        .rows();
    assert_eq!(listed, [["events"]]);
}

async fn refused(client: &mut Flight, ticket: Ticket) -> Refusal {
    let inner: &mut FlightSqlServiceClient<Channel> = client.client();
    match inner.do_get(ticket).await {
        Ok(_) => panic!("a stream"),
        Err(error) => tests::flight::refusal(error),
    }
}
