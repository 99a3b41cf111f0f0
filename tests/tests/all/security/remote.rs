//! The same secured table in a Postgres server: nothing of what is hidden comes through a statement that goes down to it.

use tests::Postgres;

use super::statements::FAMILIES;
use super::wire::{Caller, Door};
use super::world::World;

/// What only a source that runs statements can be asked.
const MORE: [&str; 14] = [
    "SELECT count(*) FROM pg.public.people AS t WHERE t.region = 'us'",
    "SELECT t.region, count(*), max(t.salary) FROM pg.public.people AS t GROUP BY 1 ORDER BY 1",
    "SELECT count(*) FROM pg.public.people AS a JOIN pg.public.people AS b ON a.id = b.id",
    "SELECT t.id FROM pg.public.people AS t ORDER BY t.salary DESC NULLS LAST, t.id LIMIT 3",
    "SELECT o.id FROM lake.gold.open AS o JOIN pg.public.people AS t ON o.id = t.id ORDER BY 1",
    "SELECT count(*) FROM lake.gold.people AS l JOIN pg.public.people AS r ON l.phone = r.phone",
    "SELECT t.id FROM pg.public.people AS t UNION ALL SELECT u.salary FROM pg.public.people AS u ORDER BY 1",
    "SELECT * FROM pg.public.everybody",
    "SELECT count(*) FROM pg.public.everybody",
    "SELECT * FROM pg.pg_catalog.pg_stats",
    "SELECT * FROM pg.information_schema.columns ORDER BY 1, 2, 3, 5",
    "SELECT * FROM pg.information_schema.tables ORDER BY 1, 2, 3",
    "EXPLAIN SELECT t.id FROM pg.public.people AS t WHERE t.region = 'us' AND t.salary > 5",
    "EXPLAIN VERBOSE SELECT count(*) FROM pg.public.people AS t",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_secured_table_of_postgres_tells_nothing_of_what_is_hidden() {
    nothing_is_told("prefer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_of_which_nothing_is_handed_down() {
    nothing_is_told("off").await;
}

async fn nothing_is_told(pushdown: &str) {
    let servers = [0, 1].map(|_| Postgres::start().expect("a server"));
    let (one, other) = (
        World::beside(0, &servers[0], pushdown).await,
        World::beside(1, &servers[1], pushdown).await,
    );
    let mut first = Caller::connect(&one.gateway, "viewer").await;
    let mut second = Caller::connect(&other.gateway, "viewer").await;
    let attacks = FAMILIES.iter().flat_map(|(_, statements)| *statements);
    let attacks = attacks
        .filter(|statement| statement.contains("{t}"))
        .map(|statement| statement.replace("{t}", "pg.public.people"));
    let mut failures = Vec::new();
    let mut cases = 0;
    for sql in attacks.chain(MORE.map(str::to_owned)) {
        for door in [Door::Statement, Door::Json] {
            let (left, right) = tokio::join!(first.ask(door, &sql), second.ask(door, &sql));
            let is_told = left.holds_canary() || right.holds_canary();
            let differs = left.said != right.said && !sql.contains("ANALYZE");
            if is_told || differs || left.said.contains("LG1099") {
                failures.push(format!("{door:?}: {sql}\n{}\n{}", left.said, right.said));
            }
            cases += 1;
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {cases}: {:#?}",
        failures.len(),
        &failures[..failures.len().min(4)]
    );
    // The predicate of the policy is right there too, and so are the masks.
    let told =
        "SELECT count(*), min(t.region), max(t.region), count(t.note), max(length(t.phone)) FROM {t} AS t";
    for door in Door::ALL {
        let [lake, server] = ["lake.gold.people", "pg.public.people"].map(|name| told.replace("{t}", name));
        let (lake, server) = (first.ask(door, &lake).await, first.ask(door, &server).await);
        let (lake, server) = (without_report(&lake.said), without_report(&server.said));
        assert!(lake.contains("100"), "{lake}");
        assert_eq!(lake, server, "{door:?}");
    }
}

/// The rows alone.
fn without_report(said: &str) -> String {
    let rows = said
        .find("\"rows\":[")
        .or_else(|| said.find("\n+"))
        .unwrap_or_default();
    let end = said.find(",\"row_count\"").unwrap_or(said.len());
    said[rows..end.max(rows)].to_owned()
}
