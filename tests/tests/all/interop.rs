//! Who reads whose tables: writer x feature x reader. Tables of Spark, PyIceberg and our own are read through the gateway, by
//! PyIceberg and by DuckDB, and the rows are compared; the table of the outcome is printed.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::house::root;
use tests::{Gateway, python};

/// Where the lakes of `connectors/tests-data` were when they were written.
const WRITTEN_AT: &str = "/lake/warehouse";

/// The tables of `connectors/tests-data`: lake, table, what is special about it.
const FIXTURES: [(&str, &str, &str); 7] = [
    ("spark", "positions", "position deletes, v2"),
    ("spark", "vectors", "deletion vectors, v3"),
    ("spark", "evolved", "nested evolution"),
    ("spark", "parts", "partition evolution"),
    ("spark", "hive", "add_files of Hive"),
    ("pyiceberg", "types", "all types"),
    ("pyiceberg", "added", "add_files, name mapping"),
];

/// What others cannot read, so that it is no failure of ours: reader and feature.
const NOT_THEIRS: [(&str, &str); 3] = [
    // A lake that has been moved: it looks for these files where they were.
    ("duckdb", "deletion vectors, v3"),
    ("duckdb", "add_files of Hive"),
    ("duckdb", "add_files, name mapping"),
];

fn fixture(lake: &str) -> PathBuf {
    root().join("connectors").join("tests-data").join(lake)
}

/// The settings of a source over a lake of `connectors/tests-data`; its catalog is copied, as opening one writes.
fn source(lake: &str, folder: &Path) -> Vec<(String, String)> {
    let catalog = folder.join(format!("{lake}.db"));
    fs::copy(fixture(lake).join("catalog.db"), &catalog).expect("a catalog");
    let keys = [
        ("kind", "iceberg".to_owned()),
        ("catalog", catalog.display().to_string()),
        ("catalog_name", "lake".to_owned()),
        ("warehouse", fixture(lake).join("warehouse").display().to_string()),
        ("moved_from", WRITTEN_AT.to_owned()),
    ];
    keys.into_iter()
        .map(|(key, value)| (format!("planner.sources.{lake}.{key}"), value))
        .collect()
}

/// The folder of a table of ours, from the catalog of the quickstart.
fn folder_of(gateway: &Gateway, table: &str) -> String {
    gateway
        .directory
        .join("warehouse")
        .join("gold")
        .join(table)
        .display()
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reader_agrees_on_the_tables_of_every_writer() {
    let own = TempDir::with_prefix("lakegate-interop-").expect("a folder");
    let theirs = own.path().join("theirs");
    fs::create_dir(&theirs).expect("a warehouse");
    let catalog = own.path().join("theirs.db").display().to_string();
    let properties = json!({
        "type": "sql", "uri": format!("sqlite:///{catalog}"), "warehouse": format!("file://{}", theirs.display()),
    });
    python::run("pyiceberg_lake.py", &["write", &properties.to_string()])
        .await
        .expect("a lake");
    let mut settings = [source("spark", own.path()), source("pyiceberg", own.path())].concat();
    for (key, value) in [
        ("kind", "iceberg"),
        ("catalog", catalog.as_str()),
        ("warehouse", &theirs.display().to_string()),
    ] {
        settings.push((format!("planner.sources.theirs.{key}"), value.to_owned()));
    }
    let named: Vec<(&str, &str)> = settings
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let gateway = Gateway::quickstart_with(0.01, &named).expect("a gateway");
    let mut tables: Vec<Value> = FIXTURES
        .iter()
        .map(|(lake, table, feature)| {
            let warehouse = fixture(lake).join("warehouse");
            json!({
                "writer": lake, "feature": feature, "sql": format!("{lake}.s.{table}"),
                "folder": warehouse.join("s").join(table), "moved": [WRITTEN_AT, warehouse],
            })
        })
        .collect();
    tables.push(json!({
        "writer": "pyiceberg", "feature": "snapshots, rewritten deletes", "sql": "theirs.gold.events",
        "folder": theirs.join("gold").join("events"), "moved": null,
    }));
    for (table, feature) in [
        ("nation", "one file"),
        ("orders", "month partitions"),
        ("lineitem", "decimals, dates"),
    ] {
        tables.push(json!({
            "writer": "lakegate", "feature": feature, "sql": format!("lake.gold.{table}"),
            "folder": folder_of(&gateway, table), "moved": null,
        }));
    }
    let door = json!({"flight": gateway.flight, "user": "admin", "password": gateway.password("admin")});
    let said = python::run(
        "interop.py",
        &[&door.to_string(), &Value::from(tables).to_string()],
    )
    .await
    .expect("verdicts");
    let said = said.as_array().expect("a list");
    let (page, wrong) = matrix(said);
    // Past the harness, which keeps what is printed to itself.
    std::io::stderr().write_all(page.as_bytes()).expect("a page");
    assert!(wrong.is_empty(), "{page}\n{}", wrong.join("\n"));
}

/// The matrix as text, and what is wrong with it.
fn matrix(said: &[Value]) -> (String, Vec<String>) {
    let readers = ["lakegate", "pyiceberg", "duckdb"];
    let mut page = String::from("\ninterop: writer x feature x reader (rows compared)\n");
    let mut notes = String::new();
    let mut wrong = Vec::new();
    writeln!(
        page,
        "{:<10} {:<38} {:>6}  {:<10} {:<10} {:<10}",
        "writer", "feature", "rows", readers[0], readers[1], readers[2]
    )
    .expect("a line");
    for line in said {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let (writer, feature) = (text("writer"), text("feature"));
        write!(page, "{writer:<10} {feature:<38} {:>6} ", line["rows"]).expect("a line");
        for reader in readers {
            let verdict = line["verdicts"][reader].as_str().unwrap_or_default();
            let is_theirs = NOT_THEIRS.contains(&(reader, feature.as_str()));
            let short = match verdict {
                "equal" => "equal",
                _ if is_theirs => "not read",
                _ => "WRONG",
            };
            write!(page, " {short:<10}").expect("a cell");
            if verdict != "equal" {
                writeln!(notes, "  {reader}, {writer}, {feature}: {verdict}").expect("a note");
            }
            if short == "WRONG" {
                wrong.push(format!("{reader} of {writer} with {feature}: {verdict}"));
            }
        }
        page.push('\n');
        if line["readers"].as_u64() < Some(2) || line["rows"].as_u64() < Some(1) {
            wrong.push(format!("{writer}, {feature}: nobody to compare with, or nothing"));
        }
    }
    (page + notes.as_str(), wrong)
}
