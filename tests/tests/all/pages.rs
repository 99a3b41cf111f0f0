//! Pages of a dataset, one after the other, are all of its rows, each once: also of a table without a key whose columns
//! have no order that a caller could ask for.

use serde_json::Value;
use tests::lake::key;
use tests::{Lake, Postgres};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_is_read_page_by_page() {
    let server = Postgres::start().expect("a server");
    let statements = "CREATE TABLE bags (things text[], counts int[], size float8); \
         INSERT INTO bags SELECT CASE WHEN i % 3 = 0 THEN NULL ELSE array_fill('x'::text, ARRAY[i % 5]) END, \
         ARRAY[i % 4, NULL], CASE WHEN i % 7 = 0 THEN 'NaN'::float8 ELSE i % 2 END FROM generate_series(1, 50) AS i;";
    server.run(statements, "").expect("a table");
    let lake = Lake::create().await.expect("a lake");
    lake.set_policies("[[allow]]\nname = \"all\"\nroles = [\"admin\"]\ntables = [\"*.*.*\"]\n")
        .expect("policies");
    let settings = [
        ("planner.sources.pg.kind", "postgres"),
        ("planner.sources.pg.url", server.url.as_str()),
        ("planner.sources.pg.tls", "disable"),
    ];
    let gateway = lake.gateway_with(&[&key(1)], &settings).expect("a gateway");
    let rest = gateway.rest("admin");
    let page = async |more: &str| -> Value {
        let path = format!("/v1/datasets/pg.public.bags/query?limit=7{more}");
        let answer = rest.get(&path).await;
        let text = answer.text().await.expect("a body");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    };
    let mut rows: Vec<String> = Vec::new();
    let mut next = page("").await;
    loop {
        let shown = next["rows"].as_array().unwrap_or_else(|| panic!("{next}"));
        rows.extend(shown.iter().map(Value::to_string));
        let Some(cursor) = next["next_cursor"].as_str() else {
            assert_eq!(next["truncated"], Value::Bool(false), "{next}");
            break;
        };
        next = page(&format!("&cursor={cursor}")).await;
    }
    let answer = rest.get("/v1/datasets/pg.public.bags/query").await;
    let whole: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
    let mut wanted: Vec<String> = whole["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(Value::to_string)
        .collect();
    wanted.sort();
    rows.sort();
    assert_eq!(wanted.len(), 50);
    assert_eq!(rows, wanted);
}
