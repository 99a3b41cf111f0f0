//! Joins across sources: the keys of one side reach the other's statement, and the rows are those of the join without.

use serde_json::{Value, json};
use tests::Rest;

use super::House;

async fn asked(rest: &Rest, sql: &str) -> (Vec<Value>, Value) {
    let answer = rest
        .ask(&json!({ "sql": sql }))
        .await
        .unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
    let rows = answer["rows"].as_array().expect("rows").clone();
    let sources = answer["report"]["sources"].as_array().expect("sources");
    let pg = sources.iter().find(|source| source["source"] == "pg");
    (rows, pg.cloned().unwrap_or_default())
}

/// Joins of a few rows of the lake to a table of the server, which has 1500 rows; `{p}` is where that table is.
const JOINS: [(&str, u64); 6] = [
    (
        "SELECT o_orderkey, c_name FROM lake.gold.orders JOIN {p}customer ON o_custkey = c_custkey \
         WHERE o_orderkey < 100 ORDER BY 1",
        100,
    ),
    (
        "SELECT c_mktsegment, sum(o_totalprice) FROM lake.gold.orders JOIN {p}customer ON o_custkey = c_custkey \
         WHERE o_orderkey < 100 AND c_acctbal > 0 GROUP BY 1 ORDER BY 1",
        100,
    ),
    (
        "SELECT n_name, count(*) FROM (SELECT * FROM lake.gold.nation WHERE n_nationkey = 3) n \
         JOIN {p}customer ON n_nationkey = c_nationkey GROUP BY 1",
        200,
    ),
    // Text is compared by its bytes.
    (
        "SELECT c.c_custkey FROM lake.gold.customer l JOIN {p}customer c ON l.c_name = c.c_name \
         WHERE l.c_custkey < 20 ORDER BY 1",
        20,
    ),
    (
        "SELECT c_custkey FROM {p}customer WHERE c_custkey IN \
         (SELECT o_custkey FROM lake.gold.orders WHERE o_orderkey < 40) ORDER BY 1",
        40,
    ),
    // The rows without a partner must come, and no others of the server need to.
    (
        "SELECT o_orderkey, c_name FROM lake.gold.orders LEFT JOIN {p}customer ON o_custkey = c_custkey AND c_acctbal > 5000 \
         WHERE o_orderkey < 100 ORDER BY 1",
        400,
    ),
];

#[tokio::test]
async fn a_join_reads_the_rows_that_its_keys_need() {
    let house = House::shared().await;
    let rest = house.gateway.rest("admin");
    for (join, most) in JOINS {
        let (rows, pg) = asked(&rest, &join.replace("{p}", "pg.public.")).await;
        let (own, _) = asked(&rest, &join.replace("{p}", "lake.gold.")).await;
        assert_eq!(rows, own, "{join}");
        assert!(!rows.is_empty(), "{join} proves nothing");
        let came = pg["rows"].as_u64().expect("rows");
        assert!(came <= most, "{came} rows came for {join}\n{pg:#}");
    }
}

#[tokio::test]
async fn a_null_that_somebody_looks_for_comes_over() {
    let house = House::shared().await;
    let table = "CREATE SCHEMA holes; CREATE TABLE holes.seen AS SELECT n::bigint AS n FROM generate_series(1, 500) n; \
                 INSERT INTO holes.seen VALUES (NULL); ANALYZE holes.seen";
    house.postgres.run(table, "").expect("a table");
    let rest = house.gateway.rest("admin");
    let few = "SELECT n_nationkey FROM lake.gold.nation WHERE n_nationkey";
    for (sql, count) in [
        // One NULL among them, and nothing is known not to be there.
        (format!("{few} NOT IN (SELECT n FROM pg.holes.seen)"), 0),
        (format!("{few} NOT IN (SELECT n FROM pg.holes.seen WHERE n IS NOT NULL)"), 1),
        (format!("{few} IN (SELECT n FROM pg.holes.seen)"), 24),
        ("SELECT n_nationkey FROM lake.gold.nation WHERE NOT EXISTS (SELECT 1 FROM pg.holes.seen WHERE n = n_nationkey)".to_owned(), 1),
        (
            format!(
                "SELECT x.n_nationkey FROM ({few} NOT IN (SELECT n FROM pg.holes.seen)) x \
                 JOIN lake.gold.region ON x.n_nationkey = r_regionkey"
            ),
            0,
        ),
    ] {
        let (rows, _) = asked(&rest, &sql).await;
        assert_eq!(rows.len(), count, "{sql}");
    }
}

#[tokio::test]
async fn without_keys_the_same_rows_come_out_of_more() {
    let settings = [("planner.sources.pg.bind_keys_max", "0")];
    let house = House::open(&settings).await.expect("a lake and a server");
    let rest = house.gateway.rest("admin");
    // Of the keys nothing goes down, and their bounds are those of nearly all customers.
    let join = "SELECT o_orderkey, c_name FROM lake.gold.orders JOIN {p}customer ON o_custkey = c_custkey \
                WHERE o_orderkey < 1000 ORDER BY 1";
    let (rows, pg) = asked(&rest, &join.replace("{p}", "pg.public.")).await;
    let (own, _) = asked(&rest, &join.replace("{p}", "lake.gold.")).await;
    assert_eq!(rows, own);
    assert!(pg["rows"].as_u64().expect("rows") > 1_000, "{pg:#}");
    assert_eq!(pg["reads"][0]["keys"], 0, "{pg:#}");
}

#[tokio::test]
async fn a_large_table_cut_into_parts_is_asked_once_for_few_keys() {
    let settings = [("planner.sources.pg.parallel_rows", "1000")];
    let house = House::open(&settings).await.expect("a lake and a server");
    let rest = house.gateway.rest("admin");
    let join = "SELECT c.c_custkey, o_orderkey FROM lake.gold.customer c JOIN pg.public.orders o ON c.c_custkey = o.o_custkey \
                WHERE c.c_custkey < 30 ORDER BY 1, 2";
    let (rows, pg) = asked(&rest, join).await;
    let (own, _) = asked(&rest, &join.replace("pg.public", "lake.gold")).await;
    assert_eq!(rows, own);
    assert!(!rows.is_empty());
    let read = &pg["reads"][0];
    assert!(read["partitions"].as_u64().expect("parts") > 1, "{pg:#}");
    assert_eq!(read["rows"].as_u64(), Some(rows.len() as u64), "{pg:#}");
    assert_eq!(read["takes_keys"], true, "{pg:#}");
}
