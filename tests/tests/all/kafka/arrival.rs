//! The way of a record through the quickstart: produced to a topic, found in bronze, silver, gold and the system tables through the gateway.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::kafka::Produced;
use tests::{Gateway, Kafka};

use super::{event, pipeline};
use crate::ingest::Caller;

/// Two good records and five bad ones.
fn produced() -> Vec<Produced<'static>> {
    let (first, second) = (event("a-1", "view"), event("a-2", "wave"));
    let of = |partition: i32, value: Option<&'static [u8]>| Produced {
        partition: Some(partition),
        value,
        ..Produced::default()
    };
    let mut records = vec![
        Produced {
            key: Some(b"k-1"),
            headers: vec![("trace", Some(b"t-1")), ("trace", Some(b"\xff")), ("empty", None)],
            timestamp: Some(1_767_323_045_678),
            ..of(0, Some(first.into_bytes().leak()))
        },
        of(0, Some(second.into_bytes().leak())),
        of(0, Some(b"{\"id\":\"a-3\"")),
        Produced {
            key: Some(b"\xfe\xff"),
            ..of(0, Some(b"\xff\x00"))
        },
        Produced {
            key: Some(b"gone"),
            ..of(0, None)
        },
        of(0, Some(b"")),
    ];
    records.push(of(1, Some(event("a-4", "buy").into_bytes().leak())));
    records
}

#[tokio::test]
async fn records_of_a_topic_reach_gold_and_the_bad_ones_are_told() {
    let kafka = Kafka::shared();
    kafka.create("arrival", 2, &[]).await.expect("a topic");
    let folder = TempDir::with_prefix("lakegate-arrival-").expect("a folder");
    drop(Gateway::quickstart_in(folder.path(), 0.01).expect("a quickstart"));
    let text = pipeline("arrival", &kafka.address, "topics = [\"arrival\"]");
    fs::write(folder.path().join("pipelines/arrival.toml"), text).expect("a pipeline");
    let gateway = Gateway::quickstart_in(folder.path(), 0.01).expect("a quickstart");
    let admin = Caller {
        gateway: &gateway,
        user: "admin",
    };
    let records = produced();
    kafka.produce("arrival", &records).await.expect("records");
    admin
        .await_rows(
            "SELECT kind, records FROM gold.arrival_by_kind ORDER BY kind",
            &[
                json!({"kind": "buy", "records": 1}),
                json!({"kind": "view", "records": 1}),
            ],
        )
        .await;
    admin
        .await_rows(
            "SELECT ingest_id, rule, reason, payload FROM system.rejects WHERE pipeline = 'arrival' ORDER BY ingest_id",
            &[
                reject(1, "kind_known", "kind is none of the allowed values", json!("{\"id\":\"a-2\",\"kind\":\"wave\",\"amount\":1.5}")),
                reject(2, "contract", "it is no JSON: a comma or } is missing at byte 11", json!("{\"id\":\"a-3\"")),
                reject(3, "contract", "it is no UTF-8", Value::Null),
                reject(4, "contract", "it has no value: it tells that its key is gone", Value::Null),
                reject(5, "contract", "it is no JSON: the text ends too early at byte 0", json!("")),
            ],
        )
        .await;
    let bronze = admin
        .ask(
            "SELECT _ingest_id, _op, _key, _headers, _topic, _partition, _offset, CAST(_event_time AS VARCHAR) AS at \
             FROM lake.bronze.arrival WHERE _offset = 0 AND _partition = 0",
        )
        .await;
    assert_eq!(
        bronze,
        [json!({
            "_ingest_id": "arrival/0/1/0", "_op": "c", "_key": "k-1", "_topic": "arrival", "_partition": 0, "_offset": 0,
            "_headers": "[{\"key\":\"trace\",\"value\":\"t-1\"},{\"key\":\"trace\",\"value_base64\":\"/w==\"},{\"key\":\"empty\",\"value\":null}]",
            "at": "2026-01-02T03:04:05.678Z"
        })]
    );
    let counted = admin
        .ask("SELECT count(*) AS n, count(DISTINCT _ingest_id) AS records, count(_key_bytes) AS keys, count(payload_bytes) AS raw FROM lake.bronze.arrival")
        .await;
    assert_eq!(counted, [json!({"n": 7, "records": 7, "keys": 1, "raw": 1})]);
    let pipelines = admin
        .ask("SELECT received, published, rejected, duplicate, pending FROM system.pipelines WHERE pipeline = 'arrival'")
        .await;
    assert_eq!(
        pipelines,
        [json!({"received": 7, "published": 2, "rejected": 5, "duplicate": 0, "pending": 0})]
    );
    // It takes no uploads: its records come from elsewhere.
    let (status, problem) = admin
        .answer(admin.post("/v1/ingest/arrival", "application/json", "{}"))
        .await;
    assert_eq!((status.as_u16(), &problem["code"]), (404, &json!("LG3001")));
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("Kafka")),
        "{problem}"
    );
}

fn reject(offset: i64, rule: &str, reason: &str, payload: Value) -> Value {
    json!({"ingest_id": format!("arrival/0/1/{offset}"), "rule": rule, "reason": reason, "payload": payload})
}
