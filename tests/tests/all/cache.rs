//! Kept rows: given again while nothing that they depend on has changed, to whoever is shown the same, and to nobody
//! else; of a fleet through Redis, which may go away and is not believed.

mod fleet;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use futures::future::join_all;
use ingest::Zone;
use serde_json::{Value, json};
use tests::lake::{POLICIES, key};
use tests::{Gateway, Lake, Postgres, Rest};

const NAMES: &str = "SELECT name FROM lake.gold.events WHERE id < 5 ORDER BY id";

async fn lake_of_ten() -> Lake {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..10).await.expect("rows");
    lake
}

async fn ask(rest: &Rest, sql: &str, settings: Value) -> Value {
    let body = json!({ "sql": sql, "settings": settings });
    rest.ask(&body).await.expect("an answer")
}

/// What the cache had of a statement.
async fn status(rest: &Rest, sql: &str) -> String {
    status_of(&ask(rest, sql, json!({})).await)
}

fn status_of(answer: &Value) -> String {
    let status = &answer["report"]["cache"]["status"];
    status.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn rows_are_given_again_until_the_table_or_the_policies_change() {
    let lake = lake_of_ten().await;
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    let rest = gateway.rest("admin");
    let first = ask(&rest, NAMES, json!({})).await;
    assert_eq!(status_of(&first), "miss");
    // Blanks, remarks and a semicolon are no part of a statement.
    let again = format!("{}; -- once more", NAMES.replace(' ', "\n"));
    let second = ask(&rest, &again, json!({})).await;
    assert_eq!(status_of(&second), "hit");
    assert_eq!(first["rows"], second["rows"]);
    assert!(second["report"]["cache"]["age"].as_f64().expect("an age") >= 0.0);
    // The other protocol has the same rows.
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let rows = flight.query(NAMES).await.expect("an answer").rows();
    assert_eq!(rows.len(), 5);
    assert_eq!(
        gateway
            .metric("lakegate_result_cache_lookups{outcome=\"near\"}")
            .await,
        Some(2.0)
    );

    lake.append(Zone::Gold, "events", 10..12).await.expect("rows");
    assert_eq!(status(&rest, NAMES).await, "miss", "another snapshot");
    assert_eq!(status(&rest, NAMES).await, "hit");
    let count = "SELECT count(*) AS n FROM lake.gold.events";
    assert_eq!(ask(&rest, count, json!({})).await["rows"], json!([{ "n": 12 }]));

    let before = rest.ask(&json!({ "sql": NAMES })).await.expect("an answer");
    lake.set_policies(&format!("{POLICIES}{FILTERS}"))
        .expect("policies");
    // The rows of the admin are the same under the new policies; that they may be is not known.
    let mut changed = before.clone();
    while status_of(&changed) == "hit" {
        tokio::task::yield_now().await;
        changed = match rest.ask(&json!({ "sql": NAMES })).await {
            Ok(answer) => answer,
            Err(_) => continue,
        };
    }
    assert_eq!(changed["rows"], before["rows"]);
}

/// Beside the policies of the lake: the viewer sees the rows below three alone.
const FILTERS: &str = r#"
[[filter]]
name = "viewers see few"
roles = ["viewer"]
on = ["lake.gold.events"]
where = "id < 3"

[[filter]]
name = "admins see all"
roles = ["admin"]
on = ["lake.gold.events"]
where = "TRUE"
"#;

#[tokio::test]
async fn rows_are_shared_by_equal_rights_and_by_no_others() {
    let lake = lake_of_ten().await;
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    let (admin, viewer) = (gateway.rest("admin"), gateway.rest("viewer"));
    assert_eq!(status(&admin, NAMES).await, "miss");
    assert_eq!(status(&viewer, NAMES).await, "hit", "both see all of the table");
    lake.set_policies(&format!("{POLICIES}{FILTERS}"))
        .expect("policies");
    let mut shown = 5;
    while shown != 3 {
        tokio::task::yield_now().await;
        // A query that runs while the policies change is refused.
        let Ok(answer) = viewer.query(NAMES).await else {
            continue;
        };
        shown = answer.rows().len();
        assert!(shown == 5 || shown == 3, "{shown}");
    }
    for _ in 0..2 {
        assert_eq!(admin.query(NAMES).await.expect("an answer").rows().len(), 5);
        assert_eq!(viewer.query(NAMES).await.expect("an answer").rows().len(), 3);
    }
    assert_eq!(status(&admin, NAMES).await, "hit");
    assert_eq!(status(&viewer, NAMES).await, "hit");
    let zoned = |zone: &str| json!({ "timezone": zone });
    let moved = ask(&viewer, NAMES, zoned("Europe/Zurich")).await;
    assert_eq!(status_of(&moved), "miss", "another session");
}

#[tokio::test]
async fn a_session_and_a_call_say_whether_kept_rows_will_do() {
    let lake = lake_of_ten().await;
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    let rest = gateway.rest("admin");
    let with = |mode: &str| ask(&rest, NAMES, json!({ "lakegate.cache": mode }));
    assert_eq!(status_of(&with("off").await), "bypass");
    assert_eq!(status_of(&with("on").await), "miss", "off keeps nothing");
    assert_eq!(status_of(&with("on").await), "hit");
    assert_eq!(status_of(&with("refresh").await), "refresh");
    assert_eq!(status_of(&with("on").await), "hit");

    let path = "/v1/datasets/lake.gold.events/query?columns=name&order=id&limit=3";
    for (control, wanted) in [
        ("", "lakegate; fwd=miss"),
        ("", "lakegate; hit"),
        ("max-age=0, no-cache", "lakegate; fwd=request"),
        ("no-store", "lakegate; fwd=bypass"),
        ("max-age=60", "lakegate; hit"),
    ] {
        let answer = rest.get_with(path, &[("cache-control", control)]).await;
        let headers = answer.headers();
        assert_eq!(headers["cache-status"], wanted, "{control}");
        assert_eq!(headers.contains_key("age"), wanted.ends_with("hit"), "{control}");
    }

    let mut flight = gateway.flight("admin").await.expect("a connection");
    flight.set("SET lakegate.cache = 'off'").await.expect("a session");
    let before = gateway
        .metric("lakegate_result_cache_lookups{outcome=\"bypass\"}")
        .await;
    flight.query(NAMES).await.expect("an answer");
    let after = gateway
        .metric("lakegate_result_cache_lookups{outcome=\"bypass\"}")
        .await;
    assert_eq!(after, before.map(|count| count + 1.0));
}

#[tokio::test]
async fn what_the_moment_or_the_caller_decides_is_not_kept() {
    let lake = lake_of_ten().await;
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    let rest = gateway.rest("admin");
    for sql in [
        "SELECT id, now() AS at FROM lake.gold.events",
        "SELECT id, random() AS r FROM lake.gold.events",
        "SELECT id FROM lake.gold.events WHERE id < (SELECT random() * 100)",
        "SELECT id FROM lake.gold.events ORDER BY random()",
        "SELECT name FROM lake.gold.events WHERE current_date > DATE '2020-01-01'",
        "SELECT table_name FROM lake.information_schema.tables",
        "SELECT e.id FROM lake.gold.events e, lake.information_schema.tables",
        "SHOW ALL",
        "SELECT 1",
        "EXPLAIN SELECT id FROM lake.gold.events",
    ] {
        for _ in 0..2 {
            assert_eq!(status(&rest, sql).await, "bypass", "{sql}");
        }
    }
}

#[tokio::test]
async fn failures_and_large_answers_are_not_kept() {
    let lake = lake_of_ten().await;
    lake.append(Zone::Gold, "many", 0..2_000).await.expect("rows");
    let settings = [("planner.cache.result_bytes_max", "4 KiB")];
    let gateway = lake.gateway_with(&[&key(1)], &settings).expect("a gateway");
    let rest = gateway.rest("admin");
    for _ in 0..2 {
        assert_eq!(status(&rest, "SELECT id FROM lake.gold.many").await, "miss");
        let failing = "SELECT 100 / (id - 5) AS x FROM lake.gold.events ORDER BY id";
        let refused = rest.query(failing).await.expect_err("a failure");
        assert!(refused.to_string().contains("LG1008"), "{refused}");
    }
    assert_eq!(status(&rest, NAMES).await, "miss");
    assert_eq!(status(&rest, NAMES).await, "hit");
    let held = gateway
        .metric("lakegate_result_cache_held{what=\"answers\"}")
        .await;
    assert_eq!(held, Some(1.0));
}

#[tokio::test]
async fn values_of_parameters_are_part_of_the_question() {
    let lake = lake_of_ten().await;
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let sql = "SELECT name FROM lake.gold.events WHERE id = ?".to_owned();
    let mut prepared = flight.client().prepare(sql, None).await.expect("a handle");
    for (ids, wanted) in [
        (vec![3], vec!["row 3"]),
        (vec![7], vec!["row 7"]),
        (vec![3, 7], vec!["row 3", "row 7"]),
        (vec![7, 3], vec!["row 7", "row 3"]),
        (vec![3], vec!["row 3"]),
    ] {
        let values: [(&str, ArrayRef); 1] = [("1", Arc::new(Int64Array::from(ids)))];
        let batch = RecordBatch::try_from_iter(values).expect("a batch");
        prepared.set_parameters(batch).expect("parameters");
        let info = prepared.execute().await.expect("a plan");
        let mut rows = gateway.flight("admin").await.expect("a connection");
        let answer = rows.fetch(info).await.expect("an answer").rows();
        assert_eq!(answer.concat(), wanted);
    }
    assert_eq!(
        gateway
            .metric("lakegate_result_cache_lookups{outcome=\"near\"}")
            .await,
        Some(1.0)
    );
}

#[tokio::test]
async fn one_of_many_makes_the_rows_of_all() {
    let lake = lake_of_ten().await;
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    let sql = "SELECT count(*) AS n FROM lake.gold.events a, lake.gold.events b, lake.gold.events c, \
               lake.gold.events d, lake.gold.events e";
    let rest = gateway.rest("admin");
    let asked = (0..8).map(|_| ask(&rest, sql, json!({})));
    for answer in join_all(asked).await {
        assert_eq!(answer["rows"], json!([{ "n": 100_000 }]));
    }
    let outcome = |name: &str| format!("lakegate_result_cache_lookups{{outcome=\"{name}\"}}");
    assert_eq!(gateway.metric(&outcome("miss")).await, Some(1.0));
    assert_eq!(gateway.metric(&outcome("near")).await, Some(7.0));
}

#[tokio::test]
async fn without_memory_nothing_is_kept() {
    let lake = lake_of_ten().await;
    let settings = [("planner.cache.bytes", "0")];
    let gateway = lake.gateway_with(&[&key(1)], &settings).expect("a gateway");
    for _ in 0..2 {
        assert_eq!(status(&gateway.rest("admin"), NAMES).await, "bypass");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_versions_are_kept_where_the_config_gives_a_time() {
    let server = Postgres::start().expect("a server");
    server
        .run("CREATE TABLE t (id int); INSERT INTO t VALUES (1);", "")
        .expect("a table");
    let lake = Lake::create().await.expect("a lake");
    lake.set_policies(&POLICIES.replace("lake.*.*", "*.*.*"))
        .expect("policies");
    let source = [
        ("planner.sources.pg.kind", "postgres"),
        ("planner.sources.pg.url", server.url.as_str()),
        ("planner.sources.pg.tls", "disable"),
    ];
    for (ttl, wanted) in [("0s", ["bypass", "bypass"]), ("1h", ["miss", "hit"])] {
        let settings = [&source[..], &[("planner.cache.unversioned_ttl", ttl)]].concat();
        let gateway = lake.gateway_with(&[&key(1)], &settings).expect("a gateway");
        for wanted in wanted {
            let found = status(&gateway.rest("admin"), "SELECT id FROM pg.public.t").await;
            assert_eq!(found, wanted, "{ttl}");
        }
    }
}

/// The count of an outcome.
async fn outcome(gateway: &Gateway, name: &str) -> f64 {
    let metric = format!("lakegate_result_cache_lookups{{outcome=\"{name}\"}}");
    gateway.metric(&metric).await.unwrap_or_default()
}
