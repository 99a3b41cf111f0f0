//! Statements that cannot be answered, through both doors; after each one `SELECT 1` is.

use tests::{Flight, Gateway, Refusal, Rest};

/// A statement, the gRPC code it gets, the HTTP status it gets, and what its message names (any letter case).
struct Case {
    name: &'static str,
    sql: String,
    grpc: &'static str,
    http: &'static str,
    names: &'static [&'static str],
}

fn case(
    name: &'static str,
    sql: impl Into<String>,
    (grpc, http): (&'static str, &'static str),
    names: &'static [&'static str],
) -> Case {
    Case {
        name,
        sql: sql.into(),
        grpc,
        http,
        names,
    }
}

const INVALID: (&str, &str) = ("InvalidArgument", "400");
const ABSENT: (&str, &str) = ("NotFound", "404");
/// A statement past a bound: no later try will pass, so it is not a matter of waiting (429).
const TOO_LARGE: (&str, &str) = ("ResourceExhausted", "413");
const UNSUPPORTED: (&str, &str) = ("Unimplemented", "501");

fn names_and_syntax() -> Vec<Case> {
    vec![
        case(
            "unknown table",
            "SELECT * FROM lake.gold.lineitm",
            ABSENT,
            &["lineitm", "lineitem"],
        ),
        case(
            "unknown schema",
            "SELECT * FROM lake.golden.orders",
            ABSENT,
            &["golden"],
        ),
        case(
            "unknown catalog",
            "SELECT * FROM pond.gold.orders",
            ABSENT,
            &["pond"],
        ),
        case(
            "unknown column",
            "SELECT n_nam FROM lake.gold.nation",
            INVALID,
            &["n_nam", "n_name"],
        ),
        case("unknown function", "SELECT sbustr('a', 1)", INVALID, &["sbustr"]),
        case("syntax", "SELECT 1,\n  (2 FROM x", INVALID, &["line 2", "column"]),
        case("empty", "", INVALID, &["statement"]),
        case("a comment only", "-- nothing", INVALID, &["statement"]),
        case(
            "two statements",
            "SELECT 1; SELECT 2",
            INVALID,
            &["one statement"],
        ),
        case("an open string", "SELECT 'abc", INVALID, &["line 1"]),
    ]
}

fn forbidden_statements() -> Vec<Case> {
    let outside = |sql: &'static str, names| case(sql, sql, UNSUPPORTED, names);
    vec![
        outside("COPY lake.gold.nation TO '/tmp/lakegate-copy.csv'", &["copy"]),
        outside(
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'file:///etc/passwd'",
            &["create external table"],
        ),
        outside("CREATE TABLE t (a INT)", &["create table"]),
        outside("CREATE VIEW v AS SELECT 1", &["create view"]),
        outside("DROP TABLE lake.gold.nation", &["drop"]),
        outside("INSERT INTO lake.gold.region VALUES (9, 'x', 'y')", &["insert"]),
        outside("UPDATE lake.gold.region SET r_name = 'x'", &["update"]),
        outside("DELETE FROM lake.gold.region", &["delete"]),
        outside("TRUNCATE TABLE lake.gold.region", &["truncate"]),
        case(
            "SET of an unknown key",
            "SET nonsense.key = '1'",
            INVALID,
            &["nonsense.key"],
        ),
        case(
            "SET of the runtime",
            "SET datafusion.runtime.memory_limit = '1K'",
            INVALID,
            &["datafusion.runtime"],
        ),
        case(
            "a path as a table",
            "SELECT * FROM 'file:///etc/passwd'",
            ABSENT,
            &["passwd"],
        ),
        case(
            "a quoted path",
            "SELECT * FROM \"/etc/passwd\"",
            ABSENT,
            &["passwd"],
        ),
    ]
}

/// Statements that are too much: a deep parse, a long sum is fine, a long text.
fn oversized() -> Vec<Case> {
    let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let long = format!("SELECT '{}'", "x".repeat(20 << 20));
    vec![
        case("10,000-deep parentheses", deep, TOO_LARGE, &["nesting", "limit"]),
        case("20 MB of statement", long, TOO_LARGE, &["length", "limit"]),
    ]
}

/// Statements that fail while rows are made.
fn failing_rows() -> Vec<Case> {
    vec![
        case(
            "division by zero",
            "SELECT 1 / (n_nationkey - n_nationkey) FROM lake.gold.nation",
            INVALID,
            &["zero"],
        ),
        case(
            "a bad cast",
            "SELECT CAST(n_name AS INT) FROM lake.gold.nation",
            INVALID,
            &["cast"],
        ),
        case(
            "overflow",
            "SELECT CAST(9223372036854775807 + n_nationkey AS TINYINT) FROM lake.gold.nation",
            INVALID,
            &[],
        ),
    ]
}

fn check(
    door: &str,
    case: &Case,
    code: &str,
    asked: Result<tests::Answer, Refusal>,
    wrong: &mut Vec<String>,
) {
    match asked {
        Ok(answer) => wrong.push(format!(
            "{door}: {}: answered with {} rows",
            case.name,
            answer.len()
        )),
        Err(refusal) => {
            let message = refusal.message.to_lowercase();
            if refusal.code != code || case.names.iter().any(|name| !message.contains(name)) {
                let cut: String = refusal.message.chars().take(400).collect();
                wrong.push(format!(
                    "{door}: {}: {} instead of {code}, naming {:?}: {cut}",
                    case.name, refusal.code, case.names
                ));
            }
        }
    }
}

async fn alive(door: &str, name: &str, asked: Result<tests::Answer, Refusal>, wrong: &mut Vec<String>) {
    match asked {
        Ok(answer) if answer.cell() == "1" => {}
        other => wrong.push(format!("{door}: SELECT 1 after {name}: {other:?}")),
    }
}

async fn run(cases: Vec<Case>) {
    let gateway = Gateway::shared();
    let mut flight: Flight = gateway.flight("admin").await.expect("a connection");
    let rest: Rest = gateway.rest("admin");
    let mut wrong = Vec::new();
    for case in &cases {
        check(
            "flight",
            case,
            case.grpc,
            flight.query(&case.sql).await,
            &mut wrong,
        );
        alive("flight", case.name, flight.query("SELECT 1").await, &mut wrong).await;
        check("rest", case, case.http, rest.query(&case.sql).await, &mut wrong);
        alive("rest", case.name, rest.query("SELECT 1").await, &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_wrong_name_or_syntax_is_named_with_its_place() {
    run(names_and_syntax()).await;
}

#[tokio::test]
async fn statements_beyond_queries_are_refused_by_name() {
    run(forbidden_statements()).await;
    assert!(
        !std::path::Path::new("/tmp/lakegate-copy.csv").exists(),
        "COPY has written a file"
    );
}

#[tokio::test]
async fn oversized_statements_are_refused_whole() {
    run(oversized()).await;
}

#[tokio::test]
async fn errors_among_the_rows_reach_the_client() {
    run(failing_rows()).await;
}

#[tokio::test]
async fn a_sum_of_two_thousand_terms_is_answered() {
    let gateway = Gateway::shared();
    let sql = format!("SELECT {}", vec!["1"; 2_000].join("+"));
    let mut flight = gateway.flight("admin").await.expect("a connection");
    assert_eq!(flight.query(&sql).await.expect("an answer").cell(), "2000");
    assert_eq!(
        gateway.rest("admin").query(&sql).await.expect("an answer").cell(),
        "2000"
    );
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_words() {
    let gateway = Gateway::shared();
    let wrong = Flight::connect(&gateway.flight, "admin", "guess")
        .await
        .expect_err("refused");
    let unknown = Flight::connect(&gateway.flight, "nobody", "guess")
        .await
        .expect_err("refused");
    assert_eq!(wrong, unknown, "an answer must not tell which users exist");
    let wrong = Rest::new(&gateway.rest, "admin", "guess")
        .query("SELECT 1")
        .await
        .expect_err("refused");
    let unknown = Rest::new(&gateway.rest, "nobody", "guess")
        .query("SELECT 1")
        .await
        .expect_err("refused");
    assert_eq!(wrong.code, "401");
    assert_eq!(unknown.code, "401");
    let mut anonymous = Flight::anonymous(&gateway.flight).await.expect("a channel");
    assert_eq!(
        anonymous.query("SELECT 1").await.expect_err("refused").code,
        "Unauthenticated"
    );
}
