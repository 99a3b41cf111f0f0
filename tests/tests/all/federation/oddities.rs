//! Odd strings, odd names, edge numbers and NULLs: every statement is asked twice of one Postgres, with everything handed
//! down that can be and with nothing, and must give the same. No statement breaks, and none becomes another one.
//!
//! `LAKEGATE_SEED` repeats a run, `LAKEGATE_STATEMENTS` asks for more (`make test-deep`).

use std::collections::BTreeSet;

use crate::random::Random;
use tests::{Flight, Gateway, Postgres};

/// Statements, unless the environment says otherwise.
const STATEMENTS: usize = 300;

/// Texts that break a statement which is put together carelessly.
const TEXTS: [&str; 24] = [
    "",
    " ",
    "'",
    "''",
    "\\",
    "\\'",
    "'; DROP TABLE \"odd\"; --",
    "$1",
    "$$",
    "$a$ x $a$",
    "?",
    "--",
    "/*",
    "*/",
    "\"",
    "%",
    "_",
    "\\%",
    "\u{2028}",
    "\u{feff}",
    "a\nb\t\r",
    "ä\u{0308}",
    "E'\\x41'",
    "😀 NULL",
];

/// Names that are legal, and what would become of them without their quotes.
const NAMES: [&str; 9] = [
    "select",
    "Mixed Case",
    "with \"quotes\"",
    "back\\slash",
    "$1",
    "semi;colon -- comment",
    "dot.ted",
    "ünï\u{2028}code",
    // 63 bytes, the longest that a name may be.
    "x23456789012345678901234567890123456789012345678901234567890123",
];

/// Literals of the numbers' edges, as both sides read them.
const INTEGERS: [&str; 8] = [
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "2147483647",
    "-2147483648",
    "37",
];

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn named(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table `odd` with a row for each text and more, and a table of each odd name with columns of odd names.
fn tables() -> String {
    let mut statements = String::from(
        "CREATE TABLE odd (id int PRIMARY KEY, t text, v varchar(80), b bigint, i int, d double precision, n numeric(20, 4), \
         day date, at timestamp, is_it boolean);",
    );
    let doubles = [
        "0",
        "'-0'",
        "1.5",
        "'NaN'",
        "'Infinity'",
        "'-Infinity'",
        "1e-300",
        "NULL",
    ];
    for (id, text) in TEXTS.iter().enumerate() {
        let escaped = text.replace('\\', "\\\\").replace('\'', "''");
        let text = format!(
            "E'{}'",
            escaped
                .replace('\n', "\\n")
                .replace('\t', "\\t")
                .replace('\r', "\\r")
        );
        let or_null = |every: usize, value: String| if id % every == 0 { "NULL".to_owned() } else { value };
        statements += &format!(
            "INSERT INTO odd VALUES ({id}, {}, {text}, {}, {}, {}, {}, {}, {}, {});",
            or_null(7, text.clone()),
            or_null(5, INTEGERS[id % 5].to_owned()),
            or_null(
                4,
                ["0", "1", "-1", "2147483647", "-2147483648", "37"][id % 6].to_owned()
            ),
            doubles[id % doubles.len()],
            or_null(
                6,
                ["0", "-0.0001", "9999999999999999.9999", "-1", "37.5"][id % 5].to_owned()
            ),
            or_null(8, format!("DATE '2024-02-29' + {}", id * 400)),
            or_null(
                9,
                format!("TIMESTAMP '2024-02-29 23:59:59.999999' - INTERVAL '{id} days'")
            ),
            ["true", "false", "NULL"][id % 3],
        );
    }
    let columns: Vec<String> = NAMES.iter().map(|name| format!("{} text", named(name))).collect();
    for name in NAMES {
        let values: Vec<String> = NAMES
            .iter()
            .map(|column| quoted(&format!("{name}/{column}")))
            .collect();
        statements += &format!(
            "CREATE TABLE {} ({}); INSERT INTO {} VALUES ({});",
            named(name),
            columns.join(", "),
            named(name),
            values.join(", ")
        );
    }
    statements
}

fn gateway(server: &Postgres) -> Gateway {
    let settings = [
        ("planner.sources.pg.kind", "postgres"),
        ("planner.sources.pg.url", server.url.as_str()),
        ("planner.sources.pg.tls", "disable"),
        ("planner.cache.unversioned_ttl", "0s"),
    ];
    Gateway::quickstart_with(0.01, &settings).expect("a gateway")
}

/// The rows of a statement, sorted, or its error.
async fn rows(flight: &mut Flight, sql: &str) -> Result<Vec<Vec<String>>, String> {
    match flight.query(sql).await {
        Ok(answer) => {
            let mut rows = answer.rows();
            rows.sort();
            Ok(rows)
        }
        Err(refusal) => Err(refusal.message),
    }
}

#[tokio::test]
async fn odd_values_and_names_mean_the_same_handed_down_and_not() {
    let server = Postgres::start().expect("a Postgres");
    server.run(&tables(), "").expect("tables");
    let gateway = gateway(&server);
    let mut pushed = gateway.flight("admin").await.expect("a connection");
    let mut kept = gateway.flight("admin").await.expect("a connection");
    kept.set("SET lakegate.pushdown = 'off'").await.expect("a rule");
    let mut random = Random::new();
    let seed = random.0;
    let count =
        std::env::var("LAKEGATE_STATEMENTS").map_or(STATEMENTS, |count| count.parse().expect("a number"));
    let (mut answered, mut empty) = (0, 0);
    for number in 0..count {
        let sql = random.odd_statement();
        let (one, other) = tokio::join!(rows(&mut pushed, &sql), rows(&mut kept, &sql));
        assert_eq!(one, other, "seed {seed}, statement {number}: {sql}");
        match one {
            Ok(rows) if rows.is_empty() => empty += 1,
            Ok(_) => answered += 1,
            // The generator makes no statement that fails.
            Err(problem) => panic!("seed {seed}, statement {number}: {sql}: {problem}"),
        }
    }
    assert!(
        answered > count / 3,
        "{answered} answered, {empty} empty, seed {seed}"
    );
}

#[tokio::test]
async fn every_odd_text_is_found_by_itself_alone_and_every_odd_name_is_read() {
    let server = Postgres::start().expect("a Postgres");
    server.run(&tables(), "").expect("tables");
    let gateway = gateway(&server);
    let mut flight = gateway.flight("admin").await.expect("a connection");
    flight
        .set("SET lakegate.pushdown = 'require'")
        .await
        .expect("a rule");
    for (id, text) in TEXTS.iter().enumerate() {
        let sql = format!("SELECT id FROM pg.public.odd WHERE v = {}", quoted(text));
        let found = rows(&mut flight, &sql)
            .await
            .unwrap_or_else(|problem| panic!("{sql}: {problem}"));
        assert_eq!(found, [[id.to_string()]], "{sql}");
    }
    for name in NAMES {
        for column in NAMES {
            let sql = format!(
                "SELECT {} AS found FROM pg.public.{} WHERE {} = {}",
                named(column),
                named(name),
                named(column),
                quoted(&format!("{name}/{column}"))
            );
            let found = rows(&mut flight, &sql)
                .await
                .unwrap_or_else(|problem| panic!("{sql}: {problem}"));
            assert_eq!(found, [[format!("{name}/{column}")]], "{sql}");
        }
    }
    // What cannot be in a text of Postgres is in none, and is not sent there.
    flight
        .set("SET lakegate.pushdown = 'prefer'")
        .await
        .expect("a rule");
    let found = rows(&mut flight, "SELECT id FROM pg.public.odd WHERE v = 'a\0b'").await;
    assert!(found.is_ok_and(|rows| rows.is_empty()), "a text with a NUL");
    let tables: BTreeSet<Vec<String>> = rows(&mut flight, "SELECT count(*) FROM pg.public.odd")
        .await
        .expect("the table is still there")
        .into_iter()
        .collect();
    assert_eq!(tables, [vec![TEXTS.len().to_string()]].into());
}

impl Random {
    fn odd_text(&mut self) -> String {
        quoted(self.of(&TEXTS))
    }

    fn odd_predicate(&mut self, depth: u64) -> String {
        if depth > 0 && self.below(3) == 0 {
            let (one, two) = (self.odd_predicate(depth - 1), self.odd_predicate(depth - 1));
            return match self.below(3) {
                0 => format!("NOT ({one})"),
                1 => format!("({one} AND {two})"),
                _ => format!("({one} OR {two})"),
            };
        }
        match self.below(5) {
            0 | 1 => self.about_texts(),
            2 => self.about_numbers(),
            3 => self.about_times(),
            _ => self.about_nulls(),
        }
    }

    fn compared(&mut self) -> &'static str {
        self.of(&["=", "<>", "<", "<=", ">", ">="])
    }

    fn about_texts(&mut self) -> String {
        let (one, two) = (self.odd_text(), self.odd_text());
        match self.below(5) {
            0 | 1 => format!("{} {} {one}", self.of(&["o.t", "o.v"]), self.compared()),
            2 => format!("o.t IN ({one}, {two}, {})", self.odd_text()),
            3 => {
                let pattern = quoted(self.of(&["%", "_", "%'%", "a%", "%$%", "", "%\\%%", "\u{2028}"]));
                format!("o.v {}LIKE {pattern}", self.of(&["", "NOT "]))
            }
            _ => format!("o.id IN (SELECT p.id FROM pg.public.odd p WHERE p.t >= {one})"),
        }
    }

    fn about_numbers(&mut self) -> String {
        let doubles = [
            "0.0",
            "1.5",
            "CAST('NaN' AS DOUBLE)",
            "-1.0",
            "CAST('Infinity' AS DOUBLE)",
        ];
        let decimals = ["0", "37.5", "-0.0001", "0.00001", "9999999999999999.9999"];
        let (compared, integer) = (self.compared(), self.of(&INTEGERS));
        match self.below(5) {
            0 => format!("o.{} {compared} {integer}", self.of(&["b", "i"])),
            1 => format!("o.d {compared} {}", self.of(&doubles)),
            2 => format!("o.n {compared} {}", self.of(&decimals)),
            3 => format!("o.b BETWEEN {integer} AND {}", self.of(&INTEGERS)),
            _ => format!("o.i = o.{}", self.of(&["i", "b", "id"])),
        }
    }

    fn about_times(&mut self) -> String {
        let compared = self.compared();
        match self.below(2) {
            0 => {
                let days = ["2024-02-29", "2030-01-01", "1970-01-01"];
                format!("o.day {compared} DATE '{}'", self.of(&days))
            }
            _ => {
                let times = ["2024-02-29 23:59:59.999999", "2024-02-20 00:00:00"];
                format!("o.at {compared} TIMESTAMP '{}'", self.of(&times))
            }
        }
    }

    fn about_nulls(&mut self) -> String {
        let not = self.of(&["", "NOT "]);
        match self.below(3) {
            0 => format!("o.is_it IS {not}{}", self.of(&["TRUE", "FALSE", "NULL"])),
            1 => format!(
                "o.{} IS {not}NULL",
                self.of(&["t", "b", "i", "d", "n", "day", "at"])
            ),
            _ => format!("o.t IS {not}DISTINCT FROM {}", self.odd_text()),
        }
    }

    fn odd_statement(&mut self) -> String {
        let filter = self.odd_predicate(2);
        let from = "pg.public.odd o";
        let column = self.of(&["t", "v", "b", "i", "n", "day", "at", "is_it"]);
        match self.below(9) {
            0 | 1 => format!("SELECT o.* FROM {from} WHERE {filter}"),
            2 => format!("SELECT o.{column} AS k, count(*) AS c, count(o.b) AS n FROM {from} WHERE {filter} GROUP BY 1"),
            3 => format!(
                "SELECT count(*) AS c, min(o.{column}) AS lo, max(o.{column}) AS hi, sum(o.i) AS s, avg(o.n) AS a FROM {from} WHERE {filter}"
            )
            .replace("min(o.is_it)", "min(o.id)")
            .replace("max(o.is_it)", "max(o.id)"),
            4 => format!("SELECT DISTINCT o.{column} AS k FROM {from} WHERE {filter}"),
            5 => format!(
                "SELECT o.id, o.{column} AS k FROM {from} WHERE {filter} ORDER BY 2 {} NULLS {}, 1 LIMIT {}",
                self.of(&["ASC", "DESC"]),
                self.of(&["FIRST", "LAST"]),
                self.below(9) + 1
            ),
            6 => format!(
                "SELECT o.id, p.id AS other FROM {from} {} JOIN pg.public.odd p ON o.{column} = p.{column} AND p.v >= {} WHERE {filter}",
                self.of(&["INNER", "LEFT", "FULL"]),
                self.odd_text()
            ),
            7 => format!(
                "SELECT o.id FROM {from} WHERE {}EXISTS (SELECT 1 FROM pg.public.odd p WHERE p.{column} = o.{column} AND p.id <> o.id) AND {filter}",
                self.of(&["", "NOT "])
            ),
            _ => format!(
                "SELECT k, c FROM (SELECT o.{column} AS k, count(*) AS c FROM {from} WHERE {filter} GROUP BY 1) g WHERE c >= 1 \
                 UNION ALL SELECT o.{column}, o.id FROM {from} WHERE {}",
                self.odd_predicate(1)
            ),
        }
    }
}
