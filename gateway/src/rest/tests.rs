//! The router over a gateway without sources: everything that a call can get wrong before a table is read, and rows that
//! need no table.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Builder;
use http::{HeaderMap, Request, StatusCode};
use policies::{Secret, hash_password};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::app::App;
use crate::config::{Config, Environment};
use crate::rest::{openapi, router};
use crate::serve::build;

const PASSWORD: &str = "correct horse";

/// A gateway without sources; the folder holds its documents.
async fn gateway() -> (Arc<App>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.toml");
    let hash = hash_password(&Secret::new(PASSWORD)).unwrap();
    let user = format!("[[user]]\nname = \"ann\"\npassword_hash = \"{hash}\"\nroles = [\"admin\"]\n");
    std::fs::write(&users, user).unwrap();
    let policies = folder.path().join("policies.toml");
    std::fs::write(&policies, "").unwrap();
    let mut config = Config::default();
    config.identity.users = users;
    config.policies.file = policies;
    config.planner.threads = 1;
    config.limits.request_bytes_max = bytesize::ByteSize::kib(64);
    config.seal.keys = vec!["env:KEY".parse().unwrap()];
    let environment: Environment = [("KEY".to_owned(), STANDARD.encode([7_u8; 32]))]
        .into_iter()
        .collect();
    (build(config, &environment).await.unwrap(), folder)
}

fn known() -> Builder {
    let pair = STANDARD.encode(format!("ann:{PASSWORD}"));
    Request::builder().header(AUTHORIZATION, format!("Basic {pair}"))
}

fn sql(body: &Value) -> Request<Body> {
    let request = known()
        .method("POST")
        .uri("/v1/sql")
        .header(CONTENT_TYPE, "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (
        parts.status,
        parts.headers,
        to_bytes(body, usize::MAX).await.unwrap().to_vec(),
    )
}

/// The problem that a call gets, after what every problem must have.
async fn problem(router: &Router, request: Request<Body>) -> (HeaderMap, Value) {
    let (status, headers, body) = ask(router, request).await;
    assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["status"], status.as_u16());
    assert_eq!(
        problem["type"],
        format!("urn:lakegate:error:{}", problem["code"].as_str().unwrap())
    );
    assert_eq!(problem["request_id"], headers["x-request-id"].to_str().unwrap());
    (headers, problem)
}

#[tokio::test]
async fn without_credentials_only_the_open_pages_answer() {
    let (app, _folder) = gateway().await;
    let router = router(app);
    let bare = |uri: &str| Request::builder().uri(uri).body(Body::empty()).unwrap();
    for uri in ["/health", "/openapi.json", "/docs/", "/docs/swagger-ui.css"] {
        let (status, headers, _) = ask(&router, bare(uri)).await;
        assert_eq!(status, StatusCode::OK, "{uri}");
        assert!(headers.contains_key("x-request-id"));
    }
    for uri in [
        "/",
        "/v1/datasets",
        "/v1/datasets/lake.gold.t",
        "/v1/sql",
        "/nowhere",
        "/docs/../v1/datasets",
    ] {
        let (headers, problem) = problem(&router, bare(uri)).await;
        let code = problem["code"].as_str().unwrap();
        if uri.starts_with("/docs") {
            assert_eq!(code, "LG2011");
            continue;
        }
        assert_eq!((problem["status"].as_u64(), code), (Some(401), "LG2001"), "{uri}");
        let schemes: Vec<&str> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok()?.split(' ').next())
            .collect();
        assert_eq!(schemes, ["Basic", "Bearer"]);
    }
    let wrong = Request::builder()
        .uri("/v1/datasets")
        .header(AUTHORIZATION, "Basic YW5uOndyb25n");
    assert_eq!(
        problem(&router, wrong.body(Body::empty()).unwrap()).await.1["status"],
        401
    );
}

#[tokio::test]
async fn what_http_refuses_is_a_problem_too() {
    let (app, _folder) = gateway().await;
    let router = router(app);
    let (_, missing) = problem(&router, known().uri("/v1/nowhere").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (missing["status"].as_u64(), missing["code"].as_str()),
        (Some(404), Some("LG2011"))
    );
    let (headers, method) = problem(&router, known().uri("/v1/sql").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (method["status"].as_u64(), method["code"].as_str()),
        (Some(405), Some("LG2007"))
    );
    assert_eq!(headers[ALLOW], "POST");
    let open = Request::builder()
        .method("DELETE")
        .uri("/health")
        .body(Body::empty())
        .unwrap();
    assert_eq!(problem(&router, open).await.1["status"], 405);
    let text = known()
        .method("POST")
        .uri("/v1/sql")
        .header(CONTENT_TYPE, "text/plain");
    let (_, media) = problem(&router, text.body(Body::from("SELECT 1")).unwrap()).await;
    assert_eq!(
        (media["status"].as_u64(), media["code"].as_str()),
        (Some(415), Some("LG2007"))
    );
    let (_, large) = problem(&router, sql(&json!({"sql": " ".repeat(70_000)}))).await;
    assert_eq!(
        (large["status"].as_u64(), large["code"].as_str()),
        (Some(413), Some("LG2009"))
    );
    let broken = known()
        .method("POST")
        .uri("/v1/sql")
        .header(CONTENT_TYPE, "application/json");
    let (_, broken) = problem(&router, broken.body(Body::from("{\n\"sql\" 1}")).unwrap()).await;
    assert_eq!(
        (broken["line"].as_u64(), broken["column"].as_u64()),
        (Some(2), Some(7))
    );
    let (_, unknown) = problem(&router, sql(&json!({"query": "SELECT 1"}))).await;
    assert!(
        unknown["detail"]
            .as_str()
            .unwrap()
            .contains("unknown field `query`")
    );
    let mut image = sql(&json!({"sql": "SELECT 1"}));
    image.headers_mut().insert(ACCEPT, "image/png".parse().unwrap());
    assert_eq!(problem(&router, image).await.1["status"], 406);
    let typo = known()
        .uri("/v1/datasets?catalogue=lake")
        .body(Body::empty())
        .unwrap();
    assert!(
        problem(&router, typo).await.1["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean 'catalog'?")
    );
}

#[tokio::test]
async fn statements_are_refused_with_a_place_and_a_reason() {
    let (app, _folder) = gateway().await;
    let router = router(app);
    for (body, status, code) in [
        (json!({"sql": "SELEC 1"}), 400, "LG1001"),
        (json!({"sql": "SELECT 1; SELECT 2"}), 400, "LG1002"),
        (json!({"sql": "CREATE TABLE t (a INT)"}), 501, "LG1003"),
        (json!({"sql": "SELECT a"}), 400, "LG1004"),
        (json!({"sql": "SELECT * FROM nowhere"}), 404, "LG1005"),
        (json!({"sql": "SET schema = 'gold'"}), 400, "LG1004"),
        (json!({"sql": "USE gold"}), 400, "LG1004"),
        (
            json!({"sql": "SELECT 1", "time_zone": "Mars/Crater"}),
            400,
            "LG1006",
        ),
        (json!({"sql": "SELECT $1"}), 400, "LG1007"),
        (json!({"sql": "SELECT 1", "params": [1]}), 400, "LG1007"),
        (
            json!({"sql": "SELECT 1 / column1 FROM (VALUES (0)) AS t"}),
            400,
            "LG1008",
        ),
    ] {
        let (_, problem) = problem(&router, sql(&body)).await;
        assert_eq!(
            (problem["status"].as_u64(), problem["code"].as_str()),
            (Some(status), Some(code)),
            "{problem}"
        );
    }
    let (_, syntax) = problem(&router, sql(&json!({"sql": "SELECT 1\nFRM t"}))).await;
    assert_eq!(syntax["line"], 2);
    let (_, set) = problem(&router, sql(&json!({"sql": "SET schema = 'gold'"}))).await;
    assert!(set["hint"].as_str().unwrap().contains("pass catalog, schema"));
}

#[tokio::test]
async fn a_dataset_that_is_not_there_is_not_found_on_every_path() {
    let (app, _folder) = gateway().await;
    let router = router(app);
    for path in ["", "/schema", "/preview", "/query"] {
        let uri = format!("/v1/datasets/lake.gold.secret{path}");
        let (_, problem) = problem(&router, known().uri(&uri).body(Body::empty()).unwrap()).await;
        assert_eq!(
            (problem["status"].as_u64(), problem["code"].as_str()),
            (Some(404), Some("LG1005")),
            "{uri}"
        );
    }
    let (_, bad) = problem(
        &router,
        known().uri("/v1/datasets/lake.gold").body(Body::empty()).unwrap(),
    )
    .await;
    assert_eq!(bad["code"], "LG2006");
    let (status, _, body) = ask(&router, known().uri("/v1/datasets").body(Body::empty()).unwrap()).await;
    let listing: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (status, &listing["datasets"], &listing["next_cursor"]),
        (StatusCode::OK, &json!([]), &Value::Null)
    );
}

#[tokio::test]
async fn a_cursor_that_is_not_ours_gives_the_one_answer() {
    let (app, _folder) = gateway().await;
    let router = router(app);
    for cursor in [
        "",
        "abc",
        "!!!",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        for path in ["/v1/datasets", "/v1/datasets/lake.gold.t/query"] {
            let uri = format!("{path}?cursor={cursor}");
            let (_, problem) = problem(&router, known().uri(&uri).body(Body::empty()).unwrap()).await;
            assert_eq!(problem["code"], "LG2004", "{uri}");
            assert_eq!(problem["detail"], "the ticket or handle is not valid");
        }
    }
}

#[tokio::test]
async fn rows_come_in_the_format_asked_for() {
    let (app, _folder) = gateway().await;
    let router = router(app);
    let body = json!({"sql": "SELECT column1 AS a, $1 AS b FROM (VALUES (1), (2)) AS t ORDER BY 1", "params": ["x"]});
    let (status, headers, rows) = ask(&router, sql(&body)).await;
    assert_eq!(
        (status, headers[CONTENT_TYPE].to_str().unwrap()),
        (StatusCode::OK, "application/json")
    );
    let answer: Value = serde_json::from_slice(&rows).unwrap();
    assert_eq!(answer["rows"], json!([{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]));
    assert_eq!(answer["request_id"], headers["x-request-id"].to_str().unwrap());
    for (format, expected) in [
        ("text/csv", "a,b\r\n1,x\r\n2,x\r\n"),
        (
            "application/x-ndjson",
            "{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"x\"}\n",
        ),
    ] {
        let mut request = sql(&body);
        request.headers_mut().insert(ACCEPT, format.parse().unwrap());
        let (_, headers, rows) = ask(&router, request).await;
        assert!(headers[CONTENT_TYPE].to_str().unwrap().starts_with(format));
        assert_eq!(String::from_utf8(rows).unwrap(), expected);
    }
    let limited = json!({"sql": "SELECT * FROM (VALUES (1), (2), (3)) AS t", "limit": 1});
    let answer: Value = serde_json::from_slice(&ask(&router, sql(&limited)).await.2).unwrap();
    assert_eq!(answer["row_count"], 1);
    let nothing = json!({"sql": "SELECT 1 AS a", "limit": 0});
    let answer: Value = serde_json::from_slice(&ask(&router, sql(&nothing)).await.2).unwrap();
    assert_eq!(
        (&answer["rows"], &answer["schema"][0]["name"]),
        (&json!([]), &json!("a"))
    );
}

#[tokio::test]
async fn an_answer_that_fails_half_way_is_broken_off() {
    let (app, _folder) = gateway().await;
    let router = router(app);
    // The last of many rows fails, long after the head has gone out.
    let statement = "SELECT 10 / (199999 - (a.v * 200 + b.v)) AS x \
        FROM (SELECT unnest(range(0, 1000)) AS v) AS a CROSS JOIN (SELECT unnest(range(0, 200)) AS v) AS b";
    let response = router.oneshot(sql(&json!({"sql": statement}))).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut stream = response.into_body().into_data_stream();
    let (mut text, mut broken) = (Vec::new(), false);
    while let Some(chunk) = futures::StreamExt::next(&mut stream).await {
        match chunk {
            Ok(chunk) => text.extend_from_slice(&chunk),
            Err(_) => broken = true,
        }
    }
    assert!(broken);
    let answer: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        (answer["error"]["code"].as_str(), answer.get("row_count")),
        (Some("LG1008"), None)
    );
}

#[tokio::test]
async fn a_request_keeps_its_name_and_gives_its_place_back() {
    let (app, _folder) = gateway().await;
    let router = router(Arc::clone(&app));
    let request = || {
        let mut request = sql(&json!({"sql": "SELECT 1"}));
        request
            .headers_mut()
            .insert("x-request-id", "mine-1".parse().unwrap());
        request
    };
    let response = router.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine-1");
    assert!(
        app.running.cancel("ann", "mine-1"),
        "it runs while its body is open"
    );
    drop(response);
    assert!(!app.running.cancel("ann", "mine-1"));
    let places = app.config.limits.principal_queries_max;
    let mut open = Vec::new();
    for _ in 0..places {
        open.push(
            router
                .clone()
                .oneshot(sql(&json!({"sql": "SELECT 1"})))
                .await
                .unwrap(),
        );
    }
    let (headers, busy) = problem(&router, request()).await;
    assert_eq!(
        (busy["code"].as_str(), headers["retry-after"].to_str().ok()),
        (Some("LG2010"), Some("1"))
    );
    drop(open);
    assert_eq!(ask(&router, request()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_description_names_every_route() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let paths: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
            methods
                .into_iter()
                .filter(|method| ["get", "post"].contains(&method.as_str()))
                .map(move |m| format!("{m} {path}"))
        })
        .collect();
    let expected = [
        "get /health",
        "get /v1/datasets",
        "get /v1/datasets/{id}",
        "get /v1/datasets/{id}/preview",
        "get /v1/datasets/{id}/query",
        "get /v1/datasets/{id}/schema",
        "post /v1/datasets/{id}/query",
        "post /v1/sql",
    ];
    assert_eq!(paths, expected.map(str::to_owned).into());
    assert!(document["components"]["securitySchemes"].get("basic").is_some());
    assert!(document["components"]["securitySchemes"].get("bearer").is_some());
    dangling(&document, &document);
}

/// Every reference in the description leads somewhere.
fn dangling(node: &Value, document: &Value) {
    match node {
        Value::Object(map) => {
            if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                let pointer = target.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{target}");
            }
            map.values().for_each(|value| dangling(value, document));
        }
        Value::Array(list) => list.iter().for_each(|value| dangling(value, document)),
        _ => {}
    }
}

/// The codes that a source file names.
fn codes(text: &str) -> BTreeSet<String> {
    let found = text
        .match_indices("LG")
        .filter_map(|(place, _)| text.get(place..place + 6));
    found
        .filter(|code| code[2..].bytes().all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_page_of_errors_has_every_code_and_no_other() {
    let sources = [
        include_str!("../../../planner/src/error.rs"),
        include_str!("../status.rs"),
        include_str!("../../../ingest/src/door/problem.rs"),
    ];
    let known: BTreeSet<String> = sources.iter().flat_map(|text| codes(text)).collect();
    let page = include_str!("../../../deploy/errors.md");
    let headings: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let described: BTreeSet<String> = headings.iter().map(|heading| heading[..6].to_owned()).collect();
    assert_eq!(described, known);
    assert_eq!(described.len(), headings.len(), "a code has one paragraph");
    assert_eq!(
        page.matches("**Do:**").count(),
        headings.len(),
        "each says what to do"
    );
}
