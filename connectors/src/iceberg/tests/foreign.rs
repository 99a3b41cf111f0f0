//! Tables that other writers made, read as those writers read them. `tests-data` says how they were made.

use crate::Connector;
use crate::iceberg::fixture::{answer, printed, register};
use crate::iceberg::{Config, Iceberg};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::collections::BTreeMap;
use std::path::Path;
use tokio::runtime::Handle;

/// Opens a lake of `tests-data` that was written below `/lake`; its catalog is copied, as opening one writes.
async fn open(name: &str) -> (tempfile::TempDir, Iceberg, BTreeMap<String, Vec<String>>) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests-data")
        .join(name);
    let dir = tempfile::tempdir().unwrap();
    let catalog = dir.path().join("catalog.db");
    std::fs::copy(data.join("catalog.db"), &catalog).unwrap();
    let mut config = Config::new(catalog, data.join("warehouse").to_str().unwrap());
    config.catalog_name = "lake".to_owned();
    config.moved_from = Some("/lake/warehouse".to_owned());
    let answers = std::fs::read_to_string(data.join("answers.json")).unwrap();
    (
        dir,
        Iceberg::open("lake", &config, Handle::current()).await.unwrap(),
        serde_json::from_str(&answers).unwrap(),
    )
}

#[tokio::test]
async fn tables_of_spark_are_read_as_spark_reads_them() {
    let (_dir, lake, mut answers) = open("spark").await;
    for (table, sql) in [
        ("positions", "SELECT id, k, s FROM t ORDER BY id"),
        ("vectors", "SELECT id, s FROM t ORDER BY id"),
        (
            "evolved",
            "SELECT id, b, p['y'], p['z'], p['n'], l[1]['v'], l[1]['w'], m['k']['q'] FROM t ORDER BY id",
        ),
        (
            "parts",
            "SELECT id, d, arrow_cast(t, 'Int64'), s FROM t ORDER BY id",
        ),
        ("hive", "SELECT id, text, p FROM t ORDER BY id"),
    ] {
        let wanted = answers.remove(table).unwrap();
        for pushdown in [false, true] {
            let mut config = SessionConfig::new();
            config.options_mut().execution.parquet.pushdown_filters = pushdown;
            let context = SessionContext::new_with_config(config);
            register(
                &context,
                "t",
                &lake.table("s", table, None).await.unwrap().unwrap(),
            );
            let rows = printed(&answer(&context, sql).await);
            assert_eq!(rows.lines().collect::<Vec<_>>(), wanted, "{table}");
            // Each row by its number: pruned by partitions, files, row groups and pages, and none lost.
            for row in &wanted {
                let id = row.split(',').next().unwrap();
                let one = sql.replace("ORDER BY", &format!("WHERE id = {id} ORDER BY"));
                assert_eq!(printed(&answer(&context, &one).await), *row, "{table}");
            }
            let count = printed(&answer(&context, "SELECT count(*), max(id) FROM t").await);
            let last = wanted.last().unwrap().split(',').next().unwrap();
            assert_eq!(count, format!("{},{last}", wanted.len()), "{table}");
        }
    }
    assert!(answers.is_empty(), "not asked: {answers:?}");
}

#[tokio::test]
async fn tables_of_pyiceberg_are_read_as_pyiceberg_reads_them() {
    let (_dir, lake, mut answers) = open("pyiceberg").await;
    for (table, sql, predicates) in [
        (
            "types",
            "SELECT * FROM t ORDER BY id",
            vec![
                "c1",
                "c2 = -7",
                "c3 > 1",
                "c4 < 0",
                "c5 = 123.456",
                "c6 < DATE '1970-01-01'",
                "c7 > arrow_cast('01:00:00', 'Time64(Microsecond)')",
                "c8 < TIMESTAMP '1970-01-01'",
                "c9 >= TIMESTAMP '2024-02-29 12:00:00Z'",
                "c10 = 'é'",
                "c11 = X'00ff'",
                "c13 IS NOT NULL",
            ],
        ),
        (
            "added",
            "SELECT id, text, n, more FROM t ORDER BY id",
            vec!["id = 1", "text = 's1'", "n = 10"],
        ),
    ] {
        let wanted = answers.remove(table).unwrap();
        let context = SessionContext::new();
        register(
            &context,
            "t",
            &lake.table("s", table, None).await.unwrap().unwrap(),
        );
        let rows = printed(&answer(&context, sql).await);
        assert_eq!(rows.lines().collect::<Vec<_>>(), wanted, "{table}");
        for predicate in predicates {
            let one = format!("SELECT count(*) FROM t WHERE {predicate}");
            assert_eq!(printed(&answer(&context, &one).await), "1", "{table} {predicate}");
        }
    }
    assert!(answers.is_empty(), "not asked: {answers:?}");
}
