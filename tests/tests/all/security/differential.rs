//! Random queries under a policy against the same queries on a copy that was filtered and masked by hand: the same rows,
//! and the same errors. `LAKEGATE_QUERIES` asks for more of them (`make test-deep`).

use super::tell;
use super::wire::{Caller, Door};
use super::world::World;
use crate::random::Random;

const QUERIES: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_query_under_a_policy_is_the_query_on_what_it_shows() {
    let world = World::make(0).await;
    let mut viewer = Caller::connect(&world.gateway, "viewer").await;
    let mut admin = Caller::connect(&world.gateway, "admin").await;
    let mut random = Random::new();
    let seed = random.0;
    let (mut answered, mut failed) = (0, 0);
    let queries = std::env::var("LAKEGATE_QUERIES").map_or(QUERIES, |count| count.parse().expect("a number"));
    for number in 0..queries {
        let sql = random.query();
        // The report names the table, and is judged elsewhere.
        let door = [Door::Statement, Door::Prepared, Door::Rest][number % 3];
        let secured = sql.replace("{t}", "lake.gold.people");
        let copied = sql.replace("{t}", "lake.gold.shown");
        let (under, on) = tokio::join!(viewer.ask(door, &secured), admin.ask(door, &copied));
        // What the schema says of NULL and of the table's name differs by design: rows and errors must not.
        let (under, on) = (rows(&under.said, door), rows(&on.said, door));
        assert_eq!(under, on, "seed {seed}, query {number}, {door:?}: {secured}");
        match under
            .iter()
            .any(|line| line.contains("(LG1008)") || line.contains("LG1008"))
        {
            true => failed += 1,
            false => answered += 1,
        }
    }
    tell(&format!(
        "differential: {queries} random queries under a policy, {answered} answered and {failed} failed alike, 0 mismatches (seed {seed})"
    ));
    assert!(
        answered > queries / 2 && failed > 0,
        "{answered} answered, {failed} failed"
    );
}

/// The rows of an answer, sorted, or its error, without the names of the tables.
fn rows(said: &str, door: Door) -> Vec<String> {
    let plain = said
        .replace("lake.gold.people", "T")
        .replace("lake.gold.shown", "T");
    let skipped = match door {
        // The first line tells the schema.
        Door::Statement | Door::Prepared => usize::from(plain.contains("endpoints,")),
        Door::Rest | Door::Json => 0,
    };
    let mut lines: Vec<String> = plain
        .lines()
        .skip(skipped)
        .filter(|line| door == Door::Rest || !line.starts_with('{'))
        .filter(|line| !line.starts_with("x-") && !line.starts_with("content-length"))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

impl Random {
    fn value(&mut self) -> String {
        let columns = [
            "id", "salary", "hired", "score", "name", "region", "phone", "note",
        ];
        match self.below(12) {
            0 => format!("{} + t.id", self.below(100)),
            1 => format!("t.salary % {}", self.below(4)),
            2 => "CAST(t.name AS INT)".to_owned(),
            3 => format!("substr(t.phone, {}, 3)", self.below(8) + 1),
            4 => "coalesce(t.note, t.name)".to_owned(),
            5 => format!("1000 / (t.salary - {})", 1_000 + self.below(900)),
            6 => "length(t.phone)".to_owned(),
            7 => "CASE WHEN t.salary > 1500 THEN t.phone ELSE t.region END".to_owned(),
            _ => format!("t.{}", self.of(&columns)),
        }
    }

    fn predicate(&mut self, depth: u64) -> String {
        if depth > 0 && self.below(3) == 0 {
            let word = self.of(&["AND", "OR"]);
            let (one, two) = (self.predicate(depth - 1), self.predicate(depth - 1));
            return format!("({one} {word} {two})");
        }
        match self.below(14) {
            0 => format!("t.id {} {}", self.of(&["<", ">=", "=", "<>"]), self.below(300)),
            1 => format!(
                "t.salary BETWEEN {} AND {}",
                self.below(1_500),
                1_000 + self.below(1_000)
            ),
            // Not the column alone: the copy has one region, and its statistics would say that none of its rows is asked for,
            // where an expression beside it fails over a row that is shown.
            2 => format!(
                "concat(t.region, '') {} '{}'",
                self.of(&["=", "<>", ">"]),
                self.of(&["eu", "us", "a"])
            ),
            3 => format!("t.name LIKE '%{}'", self.below(10)),
            4 => format!("t.phone LIKE '%{}'", self.below(10)),
            // Not `IS NULL`: the statistics of the copy's file say that all notes are, so none of its rows is looked at, and
            // an expression beside it that fails over a row is not asked there.
            5 => format!("coalesce(t.note, '') {} ''", self.of(&["=", "<>"])),
            6 => format!("CAST(t.name AS INT) > {}", self.below(40)),
            7 => format!("1 / (t.salary - {}) = 0", 1_000 + self.below(900)),
            8 => format!("t.hired > DATE '20{}-01-01'", 19 + self.below(3)),
            9 => format!("NOT t.score > {}", self.below(13)),
            10 => format!("t.salary IN ({}, {}, 100000)", 1_000 + self.below(900), 1_037),
            11 => "t.salary IS NULL".to_owned(),
            12 => "EXISTS (SELECT 1 FROM lake.gold.open o WHERE o.id = t.id)".to_owned(),
            _ => format!(
                "t.id IN (SELECT u.salary - {} FROM {{t}} u)",
                1_000 + self.below(50)
            ),
        }
    }

    fn query(&mut self) -> String {
        let filter = match self.below(4) {
            0 => String::new(),
            _ => format!(" WHERE {}", self.predicate(2)),
        };
        let (one, two) = (self.value(), self.value());
        match self.below(9) {
            0 | 1 => format!("SELECT t.id, {one} AS a, {two} AS b FROM {{t}} t{filter}"),
            2 => format!("SELECT {one} AS a, count(*) AS n FROM {{t}} t{filter} GROUP BY 1"),
            3 => format!("SELECT count(*) AS n, min({one}) AS a, max({two}) AS b FROM {{t}} t{filter}"),
            4 => format!("SELECT DISTINCT {one} AS a FROM {{t}} t{filter}"),
            5 => format!(
                "SELECT t.id, {one} AS a FROM {{t}} t{filter} ORDER BY t.id {} LIMIT {}",
                self.of(&["ASC", "DESC"]),
                self.below(20)
            ),
            6 => format!(
                "SELECT t.id, u.phone AS p FROM {{t}} t {} JOIN {{t}} u ON t.salary = u.salary{filter}",
                self.of(&["", "LEFT", "FULL"])
            ),
            7 => format!("SELECT o.name, t.phone FROM lake.gold.open o JOIN {{t}} t ON o.id = t.id{filter}"),
            _ => format!(
                "WITH w AS (SELECT {one} AS a FROM {{t}} t{filter}) SELECT a, count(*) AS n FROM w GROUP BY a"
            ),
        }
    }
}
