//! The report of a query says nothing of a secured table but that it was read.

use serde_json::{Value, json};
use tests::Postgres;

use super::world::World;

/// A predicate that passes the barrier, one that does not, and tables that hide something and nothing.
const ASKED: &str = "SELECT t.id FROM {t} AS t JOIN lake.gold.open AS o ON o.id = t.id \
                     WHERE t.salary > 1010 AND 1000 / t.salary >= 0 AND t.phone LIKE '%1' ORDER BY 1";

/// How often the table is read, of which the report says nothing more.
fn silent(report: &Value, table: &str) -> usize {
    let sources = report["sources"].as_array().expect("sources");
    let reads: Vec<&Value> = sources
        .iter()
        .flat_map(|source| source["reads"].as_array().into_iter().flatten())
        .filter(|read| read["tables"] == table)
        .collect();
    for read in &reads {
        assert_eq!(read["pushed"], json!([]), "{report:#}");
        for key in [
            "statement",
            "rows",
            "bytes",
            "seconds",
            "estimated_rows",
            "partitions",
            "keys",
        ] {
            assert!(read.get(key).is_none(), "{key}: {report:#}");
        }
    }
    let told = report.to_string();
    for word in ["region", "SELECT", "salary >"] {
        assert!(!told.contains(word), "{word}: {report:#}");
    }
    reads.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_shows_no_statement_no_predicate_and_no_count_of_a_secured_table() {
    let server = Postgres::start().expect("a server");
    let world = World::beside(0, &server, "prefer").await;
    let mut viewer = world.gateway.flight("viewer").await.expect("a connection");
    for (name, table) in [
        ("lake.gold.people", "gold.people"),
        ("pg.public.people", "public.people"),
    ] {
        let sql = ASKED.replace("{t}", name);
        let info = viewer.plan(&sql).await.expect("a plan");
        // A lake is not planned to its operators before it runs.
        silent(
            &serde_json::from_slice(&info.app_metadata).expect("a report"),
            table,
        );
        let rest = world.gateway.rest("viewer");
        let answer = rest.ask(&json!({ "sql": sql })).await.expect("an answer");
        assert_eq!(silent(&answer["report"], table), 1);
        for explain in ["EXPLAIN (FEDERATION)", "EXPLAIN (FEDERATION, ANALYZE)"] {
            let told = viewer
                .query(&format!("{explain} {sql}"))
                .await
                .expect("rows")
                .rows();
            let of_table: Vec<&Vec<String>> = told.iter().filter(|row| row[2] == table).collect();
            assert!(!of_table.is_empty(), "{told:?}");
            for row in &of_table {
                let is_bare = match row[1].as_str() {
                    "read" => row[3] == "behind a policy",
                    "freshness" => true,
                    _ => false,
                };
                assert!(is_bare, "{told:?}");
            }
            assert!(!format!("{told:?}").contains("region"), "{told:?}");
        }
        for explain in ["EXPLAIN", "EXPLAIN VERBOSE", "EXPLAIN ANALYZE"] {
            let told = viewer
                .query(&format!("{explain} {sql}"))
                .await
                .expect("rows")
                .rows();
            let text = format!("{told:?}");
            assert!(text.contains("PolicyScan"), "{text}");
            for word in [
                "region",
                "RemoteExec",
                "DataSourceExec",
                "parquet",
                "eu",
                "metrics",
                "sql=",
            ] {
                assert!(!text.contains(word), "{explain}, {word}: {text}");
            }
        }
    }
}
