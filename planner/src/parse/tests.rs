use super::*;

fn kind(sql: &str) -> Result<StatementKind> {
    parse(sql, &Config::default()).map(|parsed| parsed.kind)
}

#[test]
fn one_query_passes_and_none_or_two_do_not() {
    assert_eq!(kind("SELECT 1;").unwrap(), StatementKind::Query);
    assert!(matches!(kind(""), Err(Error::Statements { found: 0 })));
    assert!(matches!(kind(" ; ; "), Err(Error::Statements { found: 0 })));
    assert!(matches!(
        kind("SELECT 1; SELECT 2"),
        Err(Error::Statements { found: 2 })
    ));
}

#[test]
fn a_syntax_error_says_where() {
    match kind("SELECT 1\nFRM t") {
        Err(Error::Syntax { line, column, .. }) => assert_eq!((line, column), (2, 5)),
        other => panic!("{other:?}"),
    }
    match kind("SELECT 1,\n 2 +") {
        Err(Error::Syntax { line, column, .. }) => assert_eq!((line, column), (2, 5)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn statements_that_write_or_reach_files_are_refused_by_name() {
    for (sql, name) in [
        ("CREATE TABLE t (a int)", "CREATE TABLE"),
        ("DROP TABLE t", "DROP TABLE"),
        ("INSERT INTO t VALUES (1)", "INSERT INTO"),
        ("DELETE FROM t", "DELETE FROM"),
        ("UPDATE t SET a = 1", "UPDATE"),
        ("COPY t TO 'x.csv'", "COPY"),
        ("EXPLAIN INSERT INTO t VALUES (1)", "INSERT INTO"),
        ("BEGIN", "BEGIN"),
    ] {
        match kind(sql) {
            Err(Error::Unsupported { what }) => assert!(what.starts_with(name), "{sql}: {what}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
    match kind("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'file:///etc/passwd'") {
        Err(Error::Unsupported { what }) => assert_eq!(what, "CREATE EXTERNAL TABLE"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn settings_are_an_allow_list() {
    assert_eq!(
        kind("SET catalog = lake").unwrap(),
        StatementKind::Set(vec![("catalog".into(), "lake".into())])
    );
    assert_eq!(
        kind("SET TIME ZONE 'UTC'").unwrap(),
        StatementKind::Set(vec![("timezone".into(), "UTC".into())])
    );
    assert_eq!(
        kind("USE lake.gold").unwrap(),
        StatementKind::Set(vec![
            ("catalog".into(), "lake".into()),
            ("schema".into(), "gold".into())
        ])
    );
    match kind("SET datafusion.runtime.memory_limit = '100G'") {
        Err(Error::Setting { key, .. }) => assert_eq!(key, "datafusion.runtime.memory_limit"),
        other => panic!("{other:?}"),
    }
    match kind("SET shema = x") {
        Err(Error::Setting { problem, .. }) => assert!(problem.contains("'schema'")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn explain_policy_is_a_kind_of_its_own_and_a_table_may_have_its_name() {
    for sql in [
        "EXPLAIN POLICY SELECT 1",
        "explain policy\n(SELECT 1)",
        "EXPLAIN (POLICY) WITH x AS (SELECT 1) SELECT * FROM x",
        "EXPLAIN POLICY VALUES (1)",
    ] {
        assert_eq!(kind(sql).unwrap(), StatementKind::Policy, "{sql}");
    }
    for sql in ["EXPLAIN policy", "EXPLAIN SELECT 1 AS policy"] {
        assert_ne!(kind(sql).unwrap(), StatementKind::Policy, "{sql}");
    }
    for sql in [
        "EXPLAIN POLICY DELETE FROM t",
        "EXPLAIN (POLICY, ANALYZE) SELECT 1",
        "EXPLAIN (POLICY) DELETE FROM t",
    ] {
        assert!(kind(sql).is_err(), "{sql}");
    }
}

#[test]
fn explain_federation_is_a_kind_of_its_own() {
    for (sql, analyze) in [
        ("EXPLAIN (FEDERATION) SELECT 1", false),
        ("explain (federation, analyze) SELECT 1", true),
    ] {
        assert_eq!(kind(sql).unwrap(), StatementKind::Federation { analyze }, "{sql}");
    }
    for sql in [
        "EXPLAIN (FEDERATION, VERBOSE) SELECT 1",
        "EXPLAIN (FEDERATION false) SELECT 1",
        "EXPLAIN (ANALYZE) SELECT 1",
        "EXPLAIN (FEDERATION) DELETE FROM t",
    ] {
        assert!(matches!(kind(sql), Err(Error::Unsupported { .. })), "{sql}");
    }
}

#[test]
fn question_marks_are_numbered_and_styles_do_not_mix() {
    let parsed = parse("SELECT ? + ?, '?'", &Config::default()).unwrap();
    let Body::Plan(statement) = parsed.body else {
        panic!()
    };
    assert_eq!(
        statement.to_string(),
        "SELECT $1 + $2 AS \"$1 + $2\", '?' AS \"'?'\""
    );
    assert!(kind("SELECT ? + $1").is_err());
    assert!(kind("SELECT $name").is_err());
}

#[test]
fn bounds_hold_before_the_parser_recurses() {
    let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(matches!(kind(&deep), Err(Error::TooMuch { .. })));
    let chain = format!("SELECT 1{}", "+1".repeat(20_000));
    assert!(matches!(kind(&chain), Err(Error::TooMuch { .. })));
    let long = format!("SELECT '{}'", "x".repeat(20 << 20));
    assert!(matches!(kind(&long), Err(Error::TooMuch { .. })));
    let not = format!("SELECT {} true", "NOT ".repeat(5_000));
    assert!(matches!(kind(&not), Err(Error::TooMuch { .. })));
    let case = format!(
        "SELECT {} 1 {}",
        "CASE WHEN true THEN ".repeat(1_000),
        "END ".repeat(1_000)
    );
    assert!(matches!(kind(&case), Err(Error::TooMuch { .. })));
}

#[test]
fn show_becomes_a_query_of_the_information_schema() {
    for sql in [
        "SHOW TABLES",
        "SHOW TABLES IN gold LIKE 'l%'",
        "SHOW SCHEMAS",
        "SHOW CATALOGS",
        "SHOW VIEWS",
    ] {
        let parsed = parse(sql, &Config::default()).unwrap();
        assert!(matches!(parsed.body, Body::Plan(_)), "{sql}");
    }
    assert!(matches!(
        parse("SHOW timezone", &Config::default()).unwrap().body,
        Body::ShowSetting(Some(_))
    ));
    assert!(matches!(
        parse("DESCRIBE lake.gold.lineitem", &Config::default())
            .unwrap()
            .body,
        Body::Describe(_)
    ));
    assert!(matches!(
        parse("SHOW COLUMNS FROM lineitem", &Config::default())
            .unwrap()
            .body,
        Body::Describe(_)
    ));
}

#[test]
fn a_clause_that_the_engine_would_pass_over_is_refused_by_name() {
    for (sql, named) in [
        ("SELECT * FROM t TABLESAMPLE (10 PERCENT)", "TABLESAMPLE"),
        ("SELECT * FROM t FOR UPDATE", "FOR UPDATE"),
        ("SELECT * FROM (SELECT * FROM t FOR SHARE) AS u", "FOR SHARE"),
        ("SELECT a FROM t PREWHERE a > 1", "PREWHERE"),
        ("SELECT a FROM t LIMIT 1 BY a", "LIMIT BY"),
        (
            "SELECT * FROM t WHERE a IN (SELECT b FROM u TABLESAMPLE (1 ROWS))",
            "TABLESAMPLE",
        ),
        ("EXPLAIN SELECT * FROM t FOR UPDATE", "FOR UPDATE"),
        ("TABLE t", "TABLE"),
        ("SELECT a SIMILAR TO 'A%' FROM t", "SIMILAR TO"),
        ("SELECT a, count(*) FROM t GROUP BY a WITH ROLLUP", "WITH ROLLUP"),
        ("SELECT a, count(*) FROM t GROUP BY a WITH CUBE", "WITH CUBE"),
        (
            "SELECT a, count(*) FROM t GROUP BY ALL WITH TOTALS",
            "WITH TOTALS",
        ),
        ("SELECT count(DISTINCT *) FROM t", "DISTINCT *"),
        ("SELECT count(DISTINCT t.*) FROM t", "DISTINCT *"),
        (
            "SELECT sum(a) OVER (ROWS BETWEEN 1 PRECEDING AND 18446744073709551615 FOLLOWING) FROM t",
            "window frame",
        ),
    ] {
        match parse(sql, &Config::default()) {
            Err(Error::Unsupported { what }) => assert!(what.contains(named), "{sql}: {what}"),
            // A form that the parser does not read is refused as well.
            Err(Error::Syntax { .. }) => {}
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn a_statement_that_grows_when_it_is_expanded_is_refused() {
    let chain = |links: usize| {
        let tables: Vec<String> = (1..=links)
            .map(|link| format!("c{link} AS (SELECT * FROM c{0} AS a, c{0} AS b)", link - 1))
            .collect();
        format!(
            "WITH c0 AS (SELECT * FROM t), {} SELECT * FROM c{links}",
            tables.join(", ")
        )
    };
    assert!(parse(&chain(5), &Config::default()).is_ok());
    assert!(matches!(
        parse(&chain(24), &Config::default()),
        Err(Error::TooMuch { .. })
    ));
    let inner = format!("SELECT * FROM ({}) AS x", chain(24));
    assert!(matches!(
        parse(&inner, &Config::default()),
        Err(Error::TooMuch { .. })
    ));
    let many = format!("SELECT * FROM t{}", " UNION ALL SELECT * FROM t".repeat(1_000));
    assert!(parse(&many, &Config::default()).is_ok());
    let deep = (0..40).fold("SELECT 1".to_owned(), |inner, _| {
        format!("WITH a AS ({inner}) SELECT * FROM a")
    });
    assert!(matches!(
        parse(&deep, &Config::default()),
        Err(Error::TooMuch { .. })
    ));
}
