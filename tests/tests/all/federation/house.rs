//! A lake and a Postgres server with the same small tables.

use std::fmt::Write as _;
use std::sync::{Arc, Weak};

use anyhow::Result;
use tests::{Flight, Gateway, Postgres};
use tokio::sync::Mutex;

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

/// A gateway over both.
pub(super) struct House {
    pub(super) gateway: Gateway,
    pub(super) postgres: Postgres,
}

impl House {
    /// The house that tests share which change nothing in it. It ends with the last test holding it.
    pub(super) async fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<House>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(open) = shared.upgrade() {
            return open;
        }
        let opened = Arc::new(Self::open(&[]).await.expect("a lake and a server"));
        *shared = Arc::downgrade(&opened);
        opened
    }

    /// A house with further settings of the gateway.
    pub(super) async fn open(settings: &[(&str, &str)]) -> Result<Self> {
        Self::over(Postgres::start()?, settings).await
    }

    /// A house over this server.
    pub(super) async fn over(postgres: Postgres, settings: &[(&str, &str)]) -> Result<Self> {
        let mut all = vec![
            ("planner.sources.pg.kind", "postgres"),
            ("planner.sources.pg.url", &postgres.url),
            ("planner.sources.pg.tls", "disable"),
        ];
        all.extend(settings);
        let gateway = Gateway::quickstart_with(0.01, &all)?;
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

    /// A connection as the one who may read everything.
    pub(super) async fn flight(&self) -> Flight {
        self.gateway.flight("admin").await.expect("a connection")
    }
}

fn refused(refusal: tests::Refusal) -> anyhow::Error {
    anyhow::anyhow!("{refusal:?}")
}
