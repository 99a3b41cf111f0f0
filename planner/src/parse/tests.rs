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
    assert!(kind(&not).is_err());
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
