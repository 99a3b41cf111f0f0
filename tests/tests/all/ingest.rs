//! The way of a record, over the wire: posted to the quickstart's ingest, acknowledged when committed, found in bronze, silver, gold and the
//! system tables through the gateway.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};
use tests::gateway::Gateway;

mod commands;
mod kill;

/// How long records may take from bronze to gold: an interval of two seconds, on a loaded machine.
const ARRIVAL: Duration = Duration::from_secs(90);

/// Ten events, two of them bad.
const TEN: &str = r#"{"event_id":"e-01","ts":"2026-01-05T09:00:00Z","user_id":1,"kind":"view","amount":null}
{"event_id":"e-02","ts":"2026-01-05T09:00:10Z","user_id":1,"kind":"click","amount":null}
{"event_id":"e-03","ts":"2026-01-05T09:01:00Z","user_id":1,"kind":"buy","amount":25.5}
{"event_id":"e-04","ts":"2026-01-05T09:02:00Z","user_id":2,"kind":"view"}
{"event_id":"e-05","ts":"2026-01-05T09:03:00Z","user_id":2,"kind":"buy","amount":-3}
{"event_id":"e-06","ts":"2026-01-06T10:00:00Z","user_id":3,"kind":"view"}
{"event_id":"e-07","ts":"2026-01-06T10:00:30Z","user_id":3,"kind":"wave"}
{"event_id":"e-08","ts":"2026-01-06T10:01:00Z","user_id":3,"kind":"click"}
{"event_id":"e-09","ts":"2026-01-06T10:02:00Z","user_id":3,"kind":"buy","amount":10}
{"event_id":"e-10","ts":"2026-01-06T10:03:00Z","user_id":4,"kind":"view"}
"#;

pub(crate) struct Caller<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) user: &'a str,
}

impl Caller<'_> {
    pub(crate) fn post(
        &self,
        path: &str,
        media: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::RequestBuilder {
        reqwest::Client::new()
            .post(format!("{}{path}", self.gateway.ingest))
            .basic_auth(self.user, Some(self.gateway.password(self.user)))
            .header(CONTENT_TYPE, media)
            .body(body)
    }

    pub(crate) async fn answer(&self, request: reqwest::RequestBuilder) -> (StatusCode, Value) {
        let response = request.send().await.expect("an answer");
        let status = response.status();
        (status, response.json().await.expect("JSON"))
    }

    /// The rows of a query as JSON.
    pub(crate) async fn ask(&self, sql: &str) -> Vec<Value> {
        let response = reqwest::Client::new()
            .post(format!("{}/v1/sql", self.gateway.rest))
            .basic_auth(self.user, Some(self.gateway.password(self.user)))
            .json(&json!({ "sql": sql }))
            .send()
            .await
            .expect("an answer");
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert_eq!(status, StatusCode::OK, "{sql}: {text}");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        document["rows"].as_array().cloned().unwrap_or_default()
    }

    /// Asks until the query has exactly these rows.
    pub(crate) async fn await_rows(&self, sql: &str, expected: &[Value]) {
        let deadline = Instant::now() + ARRIVAL;
        loop {
            let rows = self.ask(sql).await;
            if rows == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{sql}: {rows:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn ten_events_arrive_and_the_two_bad_ones_are_told() {
    let gateway = Gateway::quickstart(0.01).expect("a quickstart");
    let admin = Caller {
        gateway: &gateway,
        user: "admin",
    };
    let post = || {
        admin
            .post("/v1/ingest/events", "application/x-ndjson", TEN)
            .header("Idempotency-Key", "ten")
    };
    let (status, first) = admin.answer(post()).await;
    assert_eq!(status, StatusCode::OK, "{first}");
    assert_eq!(
        (&first["records"], &first["acknowledged"], &first["replayed"]),
        (&json!(10), &json!("committed"), &json!(false))
    );
    // The acknowledgement is the snapshot: a query that comes after it sees the records.
    let bronze = admin.ask("SELECT count(*) AS n FROM lake.bronze.events").await;
    assert_eq!(bronze, [json!({"n": 10})]);
    let (status, again) = admin.answer(post()).await;
    assert_eq!(
        (status, &again["replayed"], &again["snapshot"]),
        (StatusCode::OK, &json!(true), &first["snapshot"])
    );
    let other = admin
        .post("/v1/ingest/events", "application/x-ndjson", "{}")
        .header("Idempotency-Key", "ten");
    let (status, problem) = admin.answer(other).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("LG3009"))
    );
    admin
        .await_rows(
            "SELECT rule, reason FROM system.rejects ORDER BY ingest_id",
            &[
                json!({"rule": "amount_not_negative", "reason": "amount is not 0 or more"}),
                json!({"rule": "kind_known", "reason": "kind is none of the allowed values"}),
            ],
        )
        .await;
    admin
        .await_rows(
            "SELECT CAST(day AS VARCHAR) AS day, kind, events, visitors, amount FROM gold.events_by_kind ORDER BY day, kind",
            &[
                json!({"day": "2026-01-05", "kind": "buy", "events": 1, "visitors": 1, "amount": 25.5}),
                json!({"day": "2026-01-05", "kind": "click", "events": 1, "visitors": 1, "amount": null}),
                json!({"day": "2026-01-05", "kind": "view", "events": 2, "visitors": 2, "amount": null}),
                json!({"day": "2026-01-06", "kind": "buy", "events": 1, "visitors": 1, "amount": 10.0}),
                json!({"day": "2026-01-06", "kind": "click", "events": 1, "visitors": 1, "amount": null}),
                json!({"day": "2026-01-06", "kind": "view", "events": 2, "visitors": 2, "amount": null}),
            ],
        )
        .await;
    system_tables(&admin).await;
    others_see_what_they_may(&gateway).await;
    bad_bodies_are_refused(&admin).await;
    metrics_balance(&gateway).await;
}

async fn system_tables(admin: &Caller<'_>) {
    let pipelines = admin
        .ask("SELECT pipeline, received, published, rejected, duplicate, pending, tables FROM system.pipelines")
        .await;
    assert_eq!(
        pipelines,
        [json!({
            "pipeline": "events", "received": 10, "published": 8, "rejected": 2, "duplicate": 0, "pending": 0,
            "tables": "bronze.events, gold.events_by_kind, silver.events, system.rejects"
        })]
    );
    let commits = admin
        .ask(
            "SELECT table_name, records_in, published, rejected, duplicate, gate FROM system.commits \
             WHERE table_name IN ('bronze.events', 'silver.events') ORDER BY committed_at",
        )
        .await;
    assert_eq!(
        commits,
        [
            json!({"table_name": "bronze.events", "records_in": 10, "published": null, "rejected": null, "duplicate": null, "gate": null}),
            json!({"table_name": "silver.events", "records_in": 10, "published": 8, "rejected": 2, "duplicate": 0, "gate": "passed"}),
        ]
    );
    let lineage = admin
        .ask(
            "SELECT l.table_name, l.source_table FROM system.lineage l JOIN system.commits c \
             ON c.snapshot_id = l.source_snapshot_id ORDER BY 1",
        )
        .await;
    assert_eq!(
        lineage,
        [
            json!({"table_name": "gold.events_by_kind", "source_table": "silver.events"}),
            json!({"table_name": "silver.events", "source_table": "bronze.events"}),
        ]
    );
    let quality = admin
        .ask("SELECT rule, evaluated, passed FROM system.quality WHERE table_name = 'silver.events' ORDER BY rule")
        .await;
    assert_eq!(
        quality,
        [
            json!({"rule": "amount_not_negative", "evaluated": 3, "passed": 2}),
            json!({"rule": "contract", "evaluated": 10, "passed": 10}),
            json!({"rule": "event_id_unique", "evaluated": 8, "passed": 8}),
            json!({"rule": "kind_known", "evaluated": 10, "passed": 9}),
        ]
    );
}

async fn others_see_what_they_may(gateway: &Gateway) {
    let viewer = Caller {
        gateway,
        user: "viewer",
    };
    let (status, problem) = viewer
        .answer(viewer.post("/v1/ingest/events", "application/x-ndjson", TEN))
        .await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::FORBIDDEN, &json!("LG3003"))
    );
    // The policies of the gateway hold for system tables as for others: what is not allowed is not there.
    for table in ["system.rejects", "system.commits"] {
        let (status, problem) = viewer
            .answer(
                reqwest::Client::new()
                    .post(format!("{}/v1/sql", gateway.rest))
                    .basic_auth("viewer", Some(gateway.password("viewer")))
                    .json(&json!({ "sql": format!("SELECT * FROM {table}") })),
            )
            .await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::NOT_FOUND, &json!("LG1005")),
            "{table}"
        );
    }
    let request = reqwest::Client::new()
        .post(format!("{}/v1/ingest/events", gateway.ingest))
        .body(TEN);
    let (status, _) = viewer.answer(request).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, problem) = viewer
        .answer(
            reqwest::Client::new()
                .post(format!("{}/v1/ingest/events", gateway.ingest))
                .basic_auth("admin", Some("wrong"))
                .body(TEN),
        )
        .await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNAUTHORIZED, &json!("LG3002"))
    );
}

/// Path, media type, body, and the status and code of the refusal.
const REFUSALS: [(&str, &str, &str, u16, &str); 9] = [
    ("nothing", "application/json", "{}", 404, "LG3001"),
    ("..%2Fevents", "application/json", "{}", 404, "LG3001"),
    ("%2Fetc%2Fpasswd", "application/json", "{}", 404, "LG3001"),
    ("events/other", "application/json", "{}", 404, "LG3001"),
    ("events", "application/json", " \n ", 400, "LG3004"),
    ("events?ack=maybe", "application/json", "{}", 400, "LG3004"),
    ("events", "image/png", "{}", 415, "LG3005"),
    (
        "events",
        "application/vnd.apache.parquet",
        "PAR1 no",
        422,
        "LG3007",
    ),
    ("events?format=avro", "", "Obj\u{1} no", 422, "LG3007"),
];

async fn bad_bodies_are_refused(admin: &Caller<'_>) {
    for (path, media, body, status, code) in REFUSALS {
        let (seen, problem) = admin
            .answer(admin.post(&format!("/v1/ingest/{path}"), media, body))
            .await;
        assert_eq!(
            (seen.as_u16(), &problem["code"]),
            (status, &json!(code)),
            "{path} {media}: {problem}"
        );
    }
    let packed = admin
        .post("/v1/ingest/events", "application/json", "no gzip")
        .header(CONTENT_ENCODING, "gzip");
    let (status, problem) = admin.answer(packed).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("LG3007"))
    );
    let large = admin.post("/v1/ingest/events", "application/json", vec![b' '; 65 << 20]);
    // A server that refuses by the length alone may close before the client has sent it all.
    match large.send().await {
        Ok(response) => {
            assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
            assert!(response.headers().get(RETRY_AFTER).is_none());
        }
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    // The two files that cannot be read stand in the rejects, each with its reason.
    admin
        .await_rows(
            "SELECT payload_format, rule FROM system.rejects WHERE payload_format <> 'ndjson' ORDER BY 1",
            &[
                json!({"payload_format": "avro", "rule": "contract"}),
                json!({"payload_format": "parquet", "rule": "contract"}),
            ],
        )
        .await;
}

/// in = published + rejected + duplicate + pending, in the service's own metrics.
async fn metrics_balance(gateway: &Gateway) {
    let page = reqwest::get(format!("{}/metrics", gateway.ingest))
        .await
        .expect("a page")
        .text()
        .await
        .expect("text");
    let value = |name: &str| -> f64 {
        let line = page.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0.0)
    };
    let outcome = |name: &str| {
        value(&format!(
            "lakegate_ingest_records_total{{outcome=\"{name}\",pipeline=\"events\"}}"
        ))
    };
    let pending = value("lakegate_ingest_pending_records{pipeline=\"events\"}");
    assert_eq!(outcome("in"), 12.0, "{page}");
    assert_eq!(
        outcome("in"),
        outcome("published") + outcome("rejected") + outcome("duplicate") + pending,
        "{page}"
    );
    for probe in ["livez", "readyz"] {
        let status = reqwest::get(format!("{}/{probe}", gateway.ingest))
            .await
            .expect("an answer")
            .status();
        assert_eq!(status, StatusCode::OK, "{probe}");
    }
}
