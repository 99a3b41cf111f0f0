//! Random statements, each asked of Postgres and of the lake: no difference, and the seed is printed.
//!
//! `LAKEGATE_SEED` repeats a run, `LAKEGATE_STATEMENTS` asks for more of them (`make test-deep`).

use super::{House, both};
use crate::random::Random;

/// How many random statements are asked, unless the environment says otherwise.
const RANDOM: usize = 500;

#[tokio::test]
async fn random_statements_give_the_same_rows_pushed_and_not() {
    let house = House::shared().await;
    let mut flight = house.flight().await;
    let mut random = Random::new();
    let seed = random.0;
    eprintln!("seed {seed} (LAKEGATE_SEED repeats it)");
    let count = std::env::var("LAKEGATE_STATEMENTS").map_or(RANDOM, |count| count.parse().expect("a number"));
    for number in 0..count {
        let sql = random.statement();
        let (mut pushed, mut kept) = both(&mut flight, &sql).await;
        pushed.sort();
        kept.sort();
        assert_eq!(pushed, kept, "seed {seed}, statement {number}: {sql}");
    }
}

impl Random {
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
