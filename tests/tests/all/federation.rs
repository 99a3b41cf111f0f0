//! One SQL over Iceberg and a real Postgres server: what goes down gives what the engine gives.
//!
//! The sample lake's small tables are copied into Postgres, so that each statement can be asked twice, once of each
//! catalog, and must give the same rows.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use tests::{Flight, Gateway, Postgres};

/// The tables in Postgres, with their columns there.
const TABLES: [(&str, &str); 5] = [
    (
        "region",
        "r_regionkey bigint PRIMARY KEY, r_name text, r_comment text",
    ),
    (
        "nation",
        "n_nationkey bigint PRIMARY KEY, n_name text, n_regionkey bigint, n_comment text",
    ),
    (
        "supplier",
        "s_suppkey bigint PRIMARY KEY, s_name text, s_address text, s_nationkey bigint, s_phone text, \
         s_acctbal numeric(15,2), s_comment text",
    ),
    (
        "customer",
        "c_custkey bigint PRIMARY KEY, c_name text, c_address text, c_nationkey bigint, c_phone text, \
         c_acctbal numeric(15,2), c_mktsegment text, c_comment text",
    ),
    (
        "orders",
        "o_orderkey bigint PRIMARY KEY, o_custkey bigint, o_orderstatus text, o_totalprice numeric(15,2), \
         o_orderdate date, o_orderpriority text, o_clerk text, o_shippriority int, o_comment text",
    ),
];

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

/// How many random statements are asked.
const RANDOM: usize = 150;

struct House {
    gateway: Gateway,
    postgres: Postgres,
}

impl House {
    async fn open() -> Result<Self> {
        let postgres = Postgres::start()?;
        let gateway = Gateway::quickstart_with(
            0.01,
            &[
                ("planner.sources.pg.kind", "postgres"),
                ("planner.sources.pg.url", &postgres.url),
                ("planner.sources.pg.tls", "disable"),
            ],
        )?;
        let mut flight = gateway.flight("admin").await.map_err(refused)?;
        for (table, columns) in TABLES {
            let answer = flight
                .query(&format!("SELECT * FROM lake.gold.{table}"))
                .await
                .map_err(refused)?;
            let mut lines = String::new();
            for row in answer.rows() {
                let cells: Vec<String> = row
                    .iter()
                    .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")))
                    .collect();
                writeln!(lines, "{}", cells.join(","))?;
            }
            postgres.run(&format!("CREATE TABLE {table} ({columns})"), "")?;
            postgres.run(&format!("COPY {table} FROM STDIN (FORMAT csv)"), &lines)?;
        }
        postgres.run("ANALYZE", "")?;
        Ok(Self { gateway, postgres })
    }

    async fn flight(&self) -> Flight {
        self.gateway.flight("admin").await.expect("a connection")
    }
}

fn refused(refusal: tests::Refusal) -> anyhow::Error {
    anyhow::anyhow!("{refusal:?}")
}

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
    let house = House::open().await.expect("a lake and a server");
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
    let house = House::open().await.expect("a lake and a server");
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
async fn random_statements_give_the_same_rows_pushed_and_not() {
    let house = House::open().await.expect("a lake and a server");
    let mut flight = house.flight().await;
    let seed = match std::env::var("LAKEGATE_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock")
            .as_nanos() as u64,
    };
    eprintln!("seed {seed} (LAKEGATE_SEED repeats it)");
    let mut random = Random(seed);
    for number in 0..RANDOM {
        let sql = random.statement();
        let (mut pushed, mut kept) = both(&mut flight, &sql).await;
        pushed.sort();
        kept.sort();
        assert_eq!(pushed, kept, "seed {seed}, statement {number}: {sql}");
    }
}

#[tokio::test]
async fn a_source_that_is_down_fails_its_own_queries_by_name() {
    let mut house = House::open().await.expect("a lake and a server");
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
}

/// Makes statements (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }

    /// A predicate over customers; some go down and some do not.
    fn about_customers(&mut self) -> String {
        match self.below(9) {
            0 => format!(
                "c_acctbal {} {}",
                self.of(&["<", "<=", ">", ">=", "=", "<>"]),
                self.below(9_000)
            ),
            1 => format!(
                "c_mktsegment = '{}'",
                self.of(&["BUILDING", "MACHINERY", "o''clock", "\\", "$1"])
            ),
            2 => format!(
                "c_mktsegment IN ('{}', 'AUTOMOBILE')",
                self.of(&["FURNITURE", "none"])
            ),
            3 => format!("c_custkey BETWEEN {} AND {}", self.below(500), self.below(1_500)),
            4 => format!("c_name LIKE '%{}'", self.below(10)),
            5 => format!("c_nationkey % {} = 0", self.below(5) + 1),
            6 => "c_phone IS NOT NULL".to_owned(),
            7 => format!("NOT (c_nationkey = {})", self.below(25)),
            _ => format!("(c_acctbal < 0 OR c_custkey > {})", self.below(1_500)),
        }
    }

    fn about_nations(&mut self) -> String {
        match self.below(4) {
            0 => format!("n.n_regionkey = {}", self.below(6)),
            1 => format!(
                "n.n_name {} '{}'",
                self.of(&["=", "<>", "<", ">="]),
                self.of(&["FRANCE", "KENYA", ""])
            ),
            2 => format!("n.n_nationkey > {}", self.below(25)),
            _ => "n.n_comment IS NULL".to_owned(),
        }
    }

    /// `customer` and `nation`, joined in one of many ways, filtered, and then listed or grouped.
    fn statement(&mut self) -> String {
        let join = self.of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let more = match self.below(3) {
            0 => format!(" AND {}", self.about_nations()),
            1 => format!(" AND c.c_acctbal > {}", self.below(10_000)),
            _ => String::new(),
        };
        let inner = self.about_customers();
        let from = format!(
            "(SELECT * FROM {{p}}customer WHERE {inner}) c {join} {{p}}nation n ON c.c_nationkey = n.n_nationkey{more}"
        );
        let filter = match self.below(2) {
            0 => format!(" WHERE {}", self.about_nations()),
            _ => String::new(),
        };
        match self.below(5) {
            0 => format!("SELECT c_custkey, n_name FROM {from}{filter}"),
            1 => format!(
                "SELECT n_name, count(*), count(c_custkey), sum(c_acctbal), min(c_name), max(c_acctbal) FROM {from}{filter} GROUP BY 1"
            ),
            2 => format!("SELECT DISTINCT c_mktsegment, n_regionkey FROM {from}{filter}"),
            3 => format!(
                "SELECT c_custkey, n_nationkey FROM {from}{filter} ORDER BY 1 {} NULLS {}, 2 NULLS FIRST LIMIT {}",
                self.of(&["ASC", "DESC"]),
                self.of(&["FIRST", "LAST"]),
                self.below(20) + 1
            ),
            _ => format!("SELECT count(*), sum(n_nationkey + 0), max(n_name) FROM {from}{filter}"),
        }
    }
}
