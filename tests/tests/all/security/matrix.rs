//! Who sees which column of the quickstart's lake: a table of all of them, produced over the wire.
//!
//! `LAKEGATE_UPDATE=1` writes the table anew; its difference is then for a person to read.

use std::fmt::Write as _;
use std::fs;

use tests::house::root;
use tests::{Flight, Gateway};

const USERS: [&str; 4] = ["admin", "engineer", "scientist", "viewer"];

/// The rows of a table that a user sees, as a condition that the admin puts.
fn seen(user: &str, table: &str) -> &'static str {
    match (user, table) {
        ("viewer", "customer") => "c_mktsegment = 'BUILDING'",
        _ => "true",
    }
}

async fn rows(flight: &mut Flight, sql: &str) -> Option<Vec<Vec<String>>> {
    flight.query(sql).await.ok().map(|answer| answer.rows())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_principal_sees_of_each_column_what_the_matrix_says() {
    let gateway = Gateway::shared();
    let mut flights = Vec::new();
    for user in USERS {
        flights.push(gateway.flight(user).await.expect("a connection"));
    }
    let columns = "SELECT table_schema, table_name, column_name FROM lake.information_schema.columns \
                   WHERE table_schema <> 'information_schema' ORDER BY 1, 2, ordinal_position";
    let all = rows(&mut flights[0], columns).await.expect("the admin's columns");
    let mut matrix = format!("{:<36}", "column");
    for user in USERS {
        write!(matrix, " {user:<10}").expect("a text");
    }
    for names in all {
        let [schema, table, column] = names.as_slice() else {
            panic!("{names:?}");
        };
        write!(matrix, "\n{:<36}", format!("{schema}.{table}.{column}")).expect("a text");
        let told = format!(
            "SELECT count(*), count({column}), min({column}), max({column}) FROM lake.{schema}.{table}"
        );
        for (index, user) in USERS.into_iter().enumerate() {
            let own = rows(&mut flights[index], &told).await;
            let raw = format!("{told} WHERE {}", seen(user, table));
            let raw = rows(&mut flights[0], &raw).await;
            let cell = match own {
                None => "absent",
                own if own != raw => "masked",
                Some(_) if seen(user, table) != "true" => "some rows",
                Some(_) => "all",
            };
            write!(matrix, " {cell:<10}").expect("a text");
        }
    }
    let matrix: String = matrix
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    let path = root().join("tests/golden/policy_matrix.txt");
    if std::env::var_os("LAKEGATE_UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, &matrix).expect("a file");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        matrix,
        golden,
        "who sees what has changed; LAKEGATE_UPDATE=1 writes {}",
        path.display()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_users_of_the_quickstart_see_different_customers() {
    let gateway = Gateway::shared();
    let mut viewer = gateway.flight("viewer").await.expect("a connection");
    let mut admin = gateway.flight("admin").await.expect("a connection");
    let counted = "SELECT c_mktsegment, count(*) FROM lake.gold.customer GROUP BY 1 ORDER BY 1";
    let (some, all) = (
        viewer.query(counted).await.expect("an answer").rows(),
        admin.query(counted).await.expect("an answer").rows(),
    );
    assert_eq!((some.len(), all.len()), (1, 5));
    assert!(some[0][0] == "BUILDING" && all.contains(&some[0]));
    let first = "SELECT * FROM lake.gold.customer WHERE c_custkey = 1";
    let building = "SELECT min(c_custkey) FROM lake.gold.customer WHERE c_mktsegment = 'BUILDING'";
    let key = viewer.query(building).await.expect("an answer").cell();
    assert_eq!(key, admin.query(building).await.expect("an answer").cell());
    let row = first.replace("= 1", &format!("= {key}"));
    let (own, raw) = (
        viewer.query(&row).await.expect("an answer"),
        admin.query(&row).await.expect("an answer"),
    );
    let place = |answer: &tests::Answer, name: &str| answer.schema.index_of(name).ok();
    assert!(place(&own, "c_acctbal").is_none() && place(&raw, "c_acctbal").is_some());
    let phone =
        |answer: &tests::Answer| answer.rows()[0][place(answer, "c_phone").expect("a column")].clone();
    let (covered, open) = (phone(&own), phone(&raw));
    assert_eq!(covered, "*".repeat(open.len() - 4) + &open[open.len() - 4..]);
    for door in ["flight", "rest"] {
        let sql = "SELECT c_acctbal FROM lake.gold.customer";
        let refusal = match door {
            "flight" => viewer.query(sql).await.map(drop).expect_err("no such column"),
            _ => gateway
                .rest("viewer")
                .query(sql)
                .await
                .map(drop)
                .expect_err("no such column"),
        };
        assert!(
            refusal.message.contains("column 'c_acctbal' not found"),
            "{refusal:?}"
        );
    }
}
