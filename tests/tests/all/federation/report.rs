//! The report of a query: the same in every protocol, whole, and without a value.

use serde_json::{Value, json};

use super::House;

/// A statement over both sources with a predicate that goes down, one that stays, and a value that nobody may see.
const MIXED: &str = "SELECT n_name, count(*) FROM lake.gold.orders JOIN pg.public.customer ON o_custkey = c_custkey \
  JOIN pg.public.nation ON c_nationkey = n_nationkey \
  WHERE c_mktsegment = 'BUILDING' AND upper(c_name) <> 'NOBODY' AND o_orderkey < 20000 GROUP BY 1 ORDER BY 1";

fn source<'a>(report: &'a Value, name: &str) -> &'a Value {
    let sources = report["sources"].as_array().expect("sources");
    let found = sources.iter().find(|source| source["source"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

fn is_told_before(report: &Value) {
    let pg = source(report, "pg");
    assert_eq!(pg["kind"], "postgres", "{pg:#}");
    let texts = pg["reads"].to_string();
    assert!(
        texts.contains("$1") && texts.contains("c_mktsegment = ?"),
        "{pg:#}"
    );
    let residual = pg["residual"].to_string();
    assert!(
        residual.contains("upper(") && residual.contains("no form of it"),
        "{pg:#}"
    );
    assert!(residual.contains("several sources"), "{pg:#}");
    let lake = source(report, "lake");
    assert_eq!(lake["freshness"][0]["table"], "gold.orders", "{lake:#}");
    let version = lake["freshness"][0]["version"].as_str().expect("a version");
    assert!(version.parse::<i64>().is_ok(), "{lake:#}");
    assert!(
        lake["freshness"][0]["as_of"]
            .as_str()
            .expect("a time")
            .ends_with('Z'),
        "{lake:#}"
    );
    assert!(lake["reads"].to_string().contains("o_orderkey < ?"), "{lake:#}");
    for value in ["BUILDING", "NOBODY", "20000"] {
        assert!(!report.to_string().contains(value), "{value} is in {report:#}");
    }
}

fn is_told_after(report: &Value) {
    is_told_before(report);
    for name in ["pg", "lake"] {
        let source = source(report, name);
        assert!(source["rows"].as_u64().expect("rows") > 0, "{source:#}");
        assert!(source["bytes"].as_u64().expect("bytes") > 0, "{source:#}");
    }
    let pg = source(report, "pg");
    // `xmin:xmax:` and the server's time.
    let seen = &pg["freshness"][0];
    assert!(
        seen["version"].as_str().expect("a snapshot").contains(':'),
        "{pg:#}"
    );
    assert!(seen["as_of"].as_str().expect("a time").ends_with('Z'), "{pg:#}");
}

#[tokio::test]
async fn every_protocol_and_the_log_tell_what_went_where() {
    let settings = [("telemetry.log", "warn,lakegate::query=info")];
    let house = House::open(&settings).await.expect("a lake and a server");
    let mut flight = house.flight().await;
    let info = flight.plan(MIXED).await.expect("a plan");
    let planned: Value = serde_json::from_slice(&info.app_metadata).expect("a report");
    is_told_before(&planned);
    assert!(source(&planned, "pg").get("rows").is_none(), "{planned:#}");
    let rows = flight.fetch(info).await.expect("rows").rows();
    assert!(!rows.is_empty());

    let rest = house.gateway.rest("admin");
    let answer = rest.ask(&json!({ "sql": MIXED })).await.expect("an answer");
    is_told_after(&answer["report"]);
    assert_eq!(answer["row_count"].as_u64(), Some(rows.len() as u64));

    let told = flight
        .query(&format!("EXPLAIN (FEDERATION) {MIXED}"))
        .await
        .expect("rows");
    let names: Vec<&str> = told
        .schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["source", "item", "subject", "detail"]);
    let has = |rows: &[Vec<String>], source: &str, item: &str, part: &str| {
        rows.iter()
            .any(|row| row[0] == source && row[1] == item && row.join(" ").contains(part))
    };
    let told = told.rows();
    for (source, item, part) in [
        ("pg", "statement", "$1"),
        ("pg", "pushed", "c_mktsegment = ?"),
        ("pg", "residual", "upper("),
        ("lake", "freshness", "gold.orders"),
    ] {
        assert!(
            has(&told, source, item, part),
            "{source} {item} {part}: {told:#?}"
        );
    }
    assert!(!told.iter().any(|row| row[1] == "rows"), "{told:#?}");
    let run = flight
        .query(&format!("EXPLAIN (FEDERATION, ANALYZE) {MIXED}"))
        .await
        .expect("rows")
        .rows();
    assert!(
        has(&run, "pg", "rows", "") && has(&run, "pg", "freshness", " as of "),
        "{run:#?}"
    );

    let log = house.gateway.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("lakegate::query"))
        .collect();
    let of_mixed: Vec<&&str> = lines
        .iter()
        .filter(|line| line.contains("c_mktsegment"))
        .collect();
    assert!(of_mixed.len() >= 2, "{log}");
    for line in of_mixed {
        assert!(
            line.contains("outcome=\"done\"") && line.contains("subject=\"admin\""),
            "{line}"
        );
        assert!(!line.contains("BUILDING"), "{line}");
    }
}

#[tokio::test]
async fn a_report_tells_the_rows_of_what_ran() {
    let house = House::shared().await;
    let rest = house.gateway.rest("admin");
    let sql = "SELECT * FROM pg.public.customer WHERE c_custkey <= 100";
    let answer = rest.ask(&json!({ "sql": sql })).await.expect("an answer");
    let pg = source(&answer["report"], "pg");
    assert_eq!(pg["rows"], 100, "{pg:#}");
    assert_eq!(pg["reads"][0]["rows"], 100, "{pg:#}");
    assert!(pg.get("residual").is_none(), "{pg:#}");
    // A whole join and group: one statement, one row.
    let sql = "SELECT count(*) FROM pg.public.customer JOIN pg.public.nation ON c_nationkey = n_nationkey";
    let answer = rest.ask(&json!({ "sql": sql })).await.expect("an answer");
    let pg = source(&answer["report"], "pg");
    assert_eq!(
        (&pg["rows"], pg["reads"].as_array().map(Vec::len)),
        (&json!(1), Some(1)),
        "{pg:#}"
    );
    let pushed = pg["reads"][0]["pushed"].to_string();
    assert!(
        pushed.contains("inner join: ") && pushed.contains("aggregate: count("),
        "{pg:#}"
    );
}

#[tokio::test]
async fn statements_are_shown_to_their_readers_alone() {
    let settings = [("planner.statement_readers", "[\"auditor\"]")];
    let house = House::open(&settings).await.expect("a lake and a server");
    let mut flight = house.flight().await;
    let told = flight
        .query(&format!("EXPLAIN (FEDERATION) {MIXED}"))
        .await
        .expect("rows")
        .rows();
    assert!(!told.iter().any(|row| row[1] == "statement"), "{told:#?}");
    let info = flight.plan(MIXED).await.expect("a plan");
    assert!(!String::from_utf8_lossy(&info.app_metadata).contains("SELECT"));
    let plan = flight
        .query(&format!("EXPLAIN {MIXED}"))
        .await
        .expect("a plan")
        .rows();
    let texts = format!("{plan:?}");
    assert!(
        texts.contains("RemoteExec: source=pg") && !texts.contains("SELECT"),
        "{texts}"
    );
}
