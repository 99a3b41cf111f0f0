//! One SQL over Iceberg and a real Postgres server: what goes down gives what the engine gives.
//!
//! The sample lake's small tables are copied into Postgres, so that each statement can be asked twice, once of each
//! catalog, and must give the same rows.

mod bind;
mod failures;
mod house;
mod keys;
mod newest;
mod oddities;
mod quickstart;
mod random;
mod report;
mod rules;

use house::House;
use tests::Flight;

/// Statements that one remote statement answers whole, up to the order of the rows. `{p}` is the catalog and schema.
const WHOLE: [&str; 13] = [
    "SELECT c_mktsegment, n_name, count(*), min(c_acctbal), max(c_name), sum(c_acctbal) \
     FROM {p}customer JOIN {p}nation ON c_nationkey = n_nationkey GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT n_name, count(c_custkey) FROM {p}nation LEFT JOIN {p}customer ON n_nationkey = c_nationkey AND c_acctbal > 9900 \
     GROUP BY n_name ORDER BY 1",
    "SELECT n_name, c_name FROM {p}nation LEFT JOIN (SELECT * FROM {p}customer WHERE c_acctbal > 9900) x \
     ON n_nationkey = c_nationkey ORDER BY 1, 2",
    "SELECT r_name, n_name FROM {p}region FULL JOIN (SELECT * FROM {p}nation WHERE n_nationkey < 3) n \
     ON r_regionkey = n_regionkey ORDER BY 1, 2",
    "SELECT r_name, n_name FROM (SELECT * FROM {p}nation WHERE n_nationkey < 3) n RIGHT JOIN {p}region \
     ON r_regionkey = n_regionkey ORDER BY 1, 2",
    "SELECT count(*) FROM {p}customer c WHERE EXISTS \
     (SELECT 1 FROM {p}orders o WHERE o.o_custkey = c.c_custkey AND o.o_totalprice > 300000)",
    "SELECT count(*) FROM {p}customer c WHERE NOT EXISTS (SELECT 1 FROM {p}orders o WHERE o.o_custkey = c.c_custkey)",
    "SELECT o_orderdate, count(*), sum(o_totalprice) FROM {p}orders \
     WHERE o_orderdate BETWEEN DATE '1995-01-01' AND DATE '1995-02-20' GROUP BY 1 ORDER BY 1",
    "SELECT DISTINCT c_mktsegment FROM {p}customer ORDER BY 1",
    "SELECT o_orderkey, o_totalprice, c_name FROM {p}orders JOIN {p}customer ON o_custkey = c_custkey \
     ORDER BY o_totalprice DESC, o_orderkey LIMIT 10",
    "SELECT c_name FROM {p}customer ORDER BY c_name LIMIT 5 OFFSET 3",
    "SELECT max(o_orderdate), min(o_orderpriority), sum(o_shippriority) FROM {p}orders",
    "SELECT count(*) FROM {p}orders JOIN {p}customer ON o_custkey = c_custkey JOIN {p}nation ON n_nationkey = c_nationkey \
     WHERE n_name = 'FRANCE'",
];

/// Statements of which the source cannot do all.
const PARTLY: [&str; 8] = [
    "SELECT count(*) FROM {p}customer WHERE c_nationkey IN (SELECT n_nationkey FROM {p}nation WHERE n_name LIKE 'A%')",
    "SELECT count(*) FROM {p}customer WHERE c_nationkey NOT IN (SELECT n_nationkey FROM {p}nation WHERE n_regionkey = 2)",
    "SELECT avg(c_acctbal) FROM {p}customer",
    "SELECT upper(c_mktsegment), count(*) FROM {p}customer WHERE c_phone LIKE '13-%' GROUP BY 1 ORDER BY 1",
    "SELECT count(DISTINCT o_orderpriority) FROM {p}orders",
    "SELECT c_custkey FROM {p}customer WHERE c_acctbal < -900 UNION ALL SELECT s_suppkey FROM {p}supplier \
     WHERE s_acctbal < -900 ORDER BY 1",
    "SELECT o_orderpriority, row_number() OVER (ORDER BY o_orderpriority) FROM {p}orders GROUP BY 1 ORDER BY 2",
    "SELECT n_name, (SELECT max(c_acctbal) FROM {p}customer WHERE c_nationkey = n_nationkey) FROM {p}nation ORDER BY 1",
];

/// The rows of a statement in both catalogs.
async fn both(flight: &mut Flight, sql: &str) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let mut rows = Vec::new();
    for catalog in ["pg.public.", "lake.gold."] {
        let asked = sql.replace("{p}", catalog);
        let answer = flight
            .query(&asked)
            .await
            .unwrap_or_else(|refusal| panic!("{asked}: {refusal:?}"));
        rows.push(answer.rows());
    }
    let lake = rows.pop().expect("two answers");
    (rows.pop().expect("two answers"), lake)
}

async fn plan(flight: &mut Flight, sql: &str) -> String {
    let asked = format!("EXPLAIN {}", sql.replace("{p}", "pg.public."));
    let rows = flight.query(&asked).await.expect("a plan").rows();
    rows.iter()
        .filter(|row| row[0] == "physical_plan")
        .map(|row| row[1].clone())
        .collect()
}

#[tokio::test]
async fn what_goes_down_gives_what_the_engine_gives() {
    let house = House::shared().await;
    let mut flight = house.flight().await;
    for sql in WHOLE {
        let (pushed, kept) = both(&mut flight, sql).await;
        assert_eq!(pushed, kept, "{sql}");
        assert!(!kept.is_empty(), "{sql} proves nothing");
        let plan = plan(&mut flight, sql).await;
        assert_eq!(plan.matches("RemoteExec").count(), 1, "{sql}\n{plan}");
        for operator in ["JoinExec", "AggregateExec", "FilterExec"] {
            assert!(!plan.contains(operator), "{sql}\n{plan}");
        }
    }
    for sql in PARTLY {
        let (pushed, kept) = both(&mut flight, sql).await;
        assert_eq!(pushed, kept, "{sql}");
        assert!(!kept.is_empty(), "{sql} proves nothing");
    }
}

#[tokio::test]
async fn a_join_of_two_sources_reads_each_where_it_is() {
    let house = House::shared().await;
    let mut flight = house.flight().await;
    let joined = |nation: &str, customer: &str| {
        format!(
            "SELECT n_name, count(*), sum(o_totalprice) FROM lake.gold.orders JOIN {customer}.customer ON o_custkey = c_custkey \
             JOIN {nation}.nation ON c_nationkey = n_nationkey WHERE c_mktsegment = 'BUILDING' GROUP BY 1 ORDER BY 1"
        )
    };
    let mixed = flight
        .query(&joined("pg.public", "pg.public"))
        .await
        .expect("an answer");
    let local = flight
        .query(&joined("lake.gold", "lake.gold"))
        .await
        .expect("an answer");
    assert_eq!(mixed.rows(), local.rows());
    assert!(!local.is_empty());
    let crossed = flight
        .query(&joined("lake.gold", "pg.public"))
        .await
        .expect("an answer");
    assert_eq!(crossed.rows(), local.rows());
    let plan = plan(&mut flight, &joined("pg.public", "pg.public")).await;
    assert!(
        plan.contains("RemoteExec") && plan.contains("DataSourceExec"),
        "{plan}"
    );
    // The filter is in the statement and its value is not in the plan.
    assert!(plan.contains("$1") && !plan.contains("BUILDING"), "{plan}");
}

#[tokio::test]
async fn a_source_that_is_down_fails_its_own_queries_by_name() {
    let mut house = House::open(&[]).await.expect("a lake and a server");
    house.postgres.stop();
    let mut flight = house.flight().await;
    let refusal = flight
        .query("SELECT count(*) FROM pg.public.nation")
        .await
        .expect_err("no server");
    assert!(format!("{refusal:?}").contains("pg"), "{refusal:?}");
    let answer = flight
        .query("SELECT count(*) FROM lake.gold.nation")
        .await
        .expect("an answer");
    assert_eq!(answer.cell(), "25");
    // The gateway is as ready as before.
    let ready = reqwest::get(format!("{}/readyz", house.gateway.admin))
        .await
        .expect("an answer");
    assert!(ready.status().is_success(), "{}", ready.status());
    let text = ready.text().await.expect("text");
    assert!(text.contains("ok lake") && text.contains("down pg: "), "{text}");
}
