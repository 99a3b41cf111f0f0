//! Every type with NULL, its extremes and odd values, through both protocols.

use crate::Error;
use crate::postgres::fixture::{Database, ask, context, open, table, try_ask};
use crate::postgres::{Unconstrained, Unrepresentable};

/// Values of one type as the engine prints them, and the Arrow type. Each value is an SQL literal or expression.
pub(super) async fn read(database: &Database, of: &str, values: &[&str]) -> (String, Vec<String>) {
    read_with(database, &database.source(), of, values).await
}

async fn read_with(
    database: &Database,
    source: &crate::postgres::Postgres,
    of: &str,
    values: &[&str],
) -> (String, Vec<String>) {
    database
        .run(&format!("DROP TABLE IF EXISTS v; CREATE TABLE v (n int, x {of})"))
        .await;
    for (place, value) in values.iter().enumerate() {
        database
            .run(&format!("INSERT INTO v VALUES ({place}, {value})"))
            .await;
    }
    database.run("ANALYZE v").await;
    let fresh = open(source.pool.config());
    let found = table(&fresh, "v").await;
    let data_type = found.schema.field(1).data_type().to_string();
    let context = context(&fresh, &["v"]).await;
    let copied = ask(&context, "SELECT x FROM v ORDER BY n").await;
    let bound = ask(&context, "SELECT x FROM v WHERE n >= 0 ORDER BY n").await;
    assert_eq!(copied, bound, "{of} by COPY and by bound query");
    (data_type, copied.split('\n').map(str::to_owned).collect())
}

pub(super) async fn check(database: &Database, of: &str, arrow: &str, values: &[(&str, &str)]) {
    let (literals, expected): (Vec<_>, Vec<_>) = values.iter().copied().unzip();
    let (found_type, found) = read(database, of, &literals).await;
    assert_eq!(found_type, arrow, "{of}");
    assert_eq!(found, expected, "{of}");
}

#[tokio::test]
async fn numbers_come_as_they_are() {
    let db = Database::new().await;
    check(
        &db,
        "bool",
        "Boolean",
        &[("true", "true"), ("false", "false"), ("NULL", "")],
    )
    .await;
    let small = [("-32768", "-32768"), ("32767", "32767"), ("0", "0"), ("NULL", "")];
    check(&db, "int2", "Int16", &small).await;
    let int = [
        ("-2147483648", "-2147483648"),
        ("2147483647", "2147483647"),
        ("NULL", ""),
    ];
    check(&db, "int4", "Int32", &int).await;
    let big = [
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775807", "9223372036854775807"),
        ("NULL", ""),
    ];
    check(&db, "int8", "Int64", &big).await;
    check(
        &db,
        "oid",
        "Int64",
        &[("4294967295", "4294967295"), ("0", "0"), ("NULL", "")],
    )
    .await;
    let single = [
        ("'NaN'", "NaN"),
        ("'Infinity'", "inf"),
        ("'-Infinity'", "-inf"),
        ("'-0'", "-0.0"),
        ("1.5", "1.5"),
        ("'3.4028235e38'", "3.4028235e38"),
        ("'1.4e-45'", "1e-45"),
        ("NULL", ""),
    ];
    check(&db, "float4", "Float32", &single).await;
    let double = [
        ("'NaN'", "NaN"),
        ("'Infinity'", "inf"),
        ("'-Infinity'", "-inf"),
        ("0.1", "0.1"),
        ("'1.7976931348623157e308'", "1.7976931348623157e308"),
        ("'5e-324'", "5e-324"),
        ("NULL", ""),
    ];
    check(&db, "float8", "Float64", &double).await;
}

#[tokio::test]
async fn decimals_are_exact() {
    let db = Database::new().await;
    let money = [
        ("0", "0.00"),
        ("-0.01", "-0.01"),
        ("99999999.99", "99999999.99"),
        ("-99999999.99", "-99999999.99"),
        ("10000", "10000.00"),
        ("0.1", "0.10"),
        ("NULL", ""),
    ];
    check(&db, "numeric(10, 2)", "Decimal128(10, 2)", &money).await;
    let nines = "9".repeat(38);
    let widest = [
        (nines.as_str(), nines.as_str()),
        ("-1", "-1"),
        (
            "10000000000000000000000000000000000000",
            "10000000000000000000000000000000000000",
        ),
    ];
    check(&db, "numeric(38, 0)", "Decimal128(38, 0)", &widest).await;
    let deep = format!("0.{nines}");
    let tiny = format!("0.{}1", "0".repeat(37));
    let finest = [(deep.as_str(), deep.as_str()), (tiny.as_str(), tiny.as_str())];
    check(&db, "numeric(38, 38)", "Decimal128(38, 38)", &finest).await;
    let most = format!("{}.{}", "9".repeat(36), "25");
    check(
        &db,
        "numeric(38, 2)",
        "Decimal128(38, 2)",
        &[(most.as_str(), most.as_str())],
    )
    .await;
    let huge = format!("-{}.5", "9".repeat(75));
    check(
        &db,
        "numeric(76, 1)",
        "Decimal256(76, 1)",
        &[(huge.as_str(), huge.as_str()), ("NULL", "")],
    )
    .await;
    let beyond = format!("{}.25", "9".repeat(98));
    check(
        &db,
        "numeric(100, 2)",
        "Utf8View",
        &[(beyond.as_str(), beyond.as_str())],
    )
    .await;
    check(
        &db,
        "numeric(5, -2)",
        "Decimal128(7, 0)",
        &[("1234567", "1234600"), ("NULL", "")],
    )
    .await;
    check(&db, "numeric(2, 4)", "Decimal128(4, 4)", &[("0.0099", "0.0099")]).await;
    let plain = [
        ("1.50", "1.50"),
        ("'NaN'", "NaN"),
        ("'Infinity'", "Infinity"),
        ("NULL", ""),
    ];
    check(&db, "numeric", "Utf8View", &plain).await;
}

#[tokio::test]
async fn a_numeric_without_precision_follows_the_config() {
    let db = Database::new().await;
    let mut config = db.config();
    config.numeric = Unconstrained::Decimal { scale: 3 };
    let (arrow, values) = read_with(&db, &open(&config), "numeric", &["1.5", "-0.125", "NULL"]).await;
    assert_eq!(
        (arrow.as_str(), values.join(",").as_str()),
        ("Decimal128(38, 3)", "1.500,-0.125,")
    );
    db.run("INSERT INTO v VALUES (9, 0.0001)").await;
    let context = context(&open(&config), &["v"]).await;
    let error = try_ask(&context, "SELECT x FROM v").await.unwrap_err();
    let found = Error::find(&error).expect("an error of ours");
    assert!(
        found
            .to_string()
            .contains("digits behind the point than its decimal in column x"),
        "{found}"
    );
}

#[tokio::test]
async fn texts_come_as_they_are() {
    let db = Database::new().await;
    db.run("CREATE TYPE mood AS ENUM ('sad', 'très \"happy\"'); CREATE DOMAIN code AS varchar(9) CHECK (value <> '')")
        .await;
    let long = "x".repeat(5_000);
    let repeated = "repeat('x', 5000)".to_owned();
    let odd = [
        ("''", ""),
        ("'a''b\\c'", "a'b\\c"),
        ("E'\\u2028'", "\u{2028}"),
        ("'日本 😀'", "日本 😀"),
        ("'$1'", "$1"),
        (repeated.as_str(), long.as_str()),
        ("NULL", ""),
    ];
    for of in ["text", "varchar", "varchar(5000)"] {
        check(&db, of, "Utf8View", &odd).await;
    }
    check(&db, "char(4)", "Utf8View", &[("'ab'", "ab  "), ("NULL", "")]).await;
    check(&db, "\"char\"", "Utf8View", &[("'a'", "a"), ("NULL", "")]).await;
    check(&db, "name", "Utf8View", &[("'abc'", "abc"), ("NULL", "")]).await;
    check(
        &db,
        "mood",
        "Utf8View",
        &[("'très \"happy\"'", "très \"happy\""), ("NULL", "")],
    )
    .await;
    check(&db, "code", "Utf8View", &[("'x'", "x"), ("NULL", "")]).await;
    check(
        &db,
        "json",
        "Utf8View",
        &[("'{\"a\" : 1}'", "{\"a\" : 1}"), ("'null'", "null"), ("NULL", "")],
    )
    .await;
    check(
        &db,
        "jsonb",
        "Utf8View",
        &[("'{\"b\":1,  \"a\":[]}'", "{\"a\": [], \"b\": 1}"), ("NULL", "")],
    )
    .await;
    let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    check(
        &db,
        "uuid",
        "Utf8View",
        &[("'{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'", uuid), ("NULL", "")],
    )
    .await;
    let bytes = [("'\\x00ff10'::bytea", "00ff10"), ("''::bytea", ""), ("NULL", "")];
    check(&db, "bytea", "BinaryView", &bytes).await;
}

#[tokio::test]
async fn addresses_are_printed_as_the_server_prints_them() {
    let db = Database::new().await;
    let addresses = [
        "192.168.0.1",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "::1",
        "::",
        "2001:db8::8:800:200c:417a/64",
        "::ffff:1.2.3.4",
        "::1.2.3.4",
        "::2",
        "::1:0",
        "1:0:0:2:0:0:0:3",
        "fe80::1",
        "0:1::",
        "1:0:1:1:1:1:1:1",
        "::ffff:0:1.2.3.4",
    ];
    for of in ["inet", "cidr"] {
        let quoted: Vec<String> = addresses
            .iter()
            .map(|address| match of {
                "cidr" => format!("network('{address}'::inet)"),
                _ => format!("'{address}'"),
            })
            .collect();
        let quoted: Vec<&str> = quoted.iter().map(String::as_str).collect();
        let (arrow, found) = read(&db, of, &quoted).await;
        assert_eq!(arrow, "Utf8View");
        let expected = db
            .value("SELECT string_agg(format('%s', x), ',' ORDER BY n) FROM v")
            .await
            .unwrap();
        assert_eq!(found.join(","), expected, "{of}");
    }
    check(
        &db,
        "macaddr",
        "Utf8View",
        &[("'08:00:2b:01:02:03'", "08:00:2b:01:02:03"), ("NULL", "")],
    )
    .await;
    check(
        &db,
        "macaddr8",
        "Utf8View",
        &[("'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05")],
    )
    .await;
}

#[tokio::test]
async fn times_come_as_they_are() {
    let db = Database::new().await;
    let dates = [
        ("'1970-01-01'", "1970-01-01"),
        ("'0001-01-01'", "0001-01-01"),
        ("'9999-12-31'", "9999-12-31"),
        ("'1999-12-31'", "1999-12-31"),
        ("NULL", ""),
    ];
    check(&db, "date", "Date32", &dates).await;
    let (_, days) = read(&db, "date", &["'4713-01-01 BC'", "'5874897-12-31'"]).await;
    assert_eq!(days.len(), 2);
    let context_days = context(&db.source(), &["v"]).await;
    assert_eq!(
        ask(&context_days, "SELECT CAST(x AS INT) FROM v ORDER BY n").await,
        "-2440550\n2145042905",
        "days from 1970, of Gregorian dates before and after those that print"
    );
    let times = [
        ("'00:00'", "00:00:00"),
        ("'23:59:59.999999'", "23:59:59.999999"),
        ("NULL", ""),
    ];
    check(&db, "time", "Time64(µs)", &times).await;
    check(
        &db,
        "timetz",
        "Utf8View",
        &[("'12:30:00.5+02'", "12:30:00.5+02"), ("NULL", "")],
    )
    .await;
    let stamps = [
        ("'1970-01-01 00:00:00'", "1970-01-01T00:00:00"),
        ("'1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999"),
        ("'0001-01-01 00:00:00'", "0001-01-01T00:00:00"),
        ("'2262-04-12 00:00:00'", "2262-04-12T00:00:00"),
        ("NULL", ""),
    ];
    check(&db, "timestamp", "Timestamp(µs)", &stamps).await;
    let zoned = [
        (
            "'2024-02-29 12:00:00.000001+05:30'",
            "2024-02-29T06:30:00.000001Z",
        ),
        ("'1969-12-31 23:59:59.5-01'", "1970-01-01T00:59:59.500Z"),
        ("NULL", ""),
    ];
    check(&db, "timestamptz", "Timestamp(µs, \"UTC\")", &zoned).await;
    let intervals = [
        (
            "'1 year 2 months 3 days 04:05:06.000007'",
            "14 mons 3 days 4 hours 5 mins 6.000007000 secs",
        ),
        ("'-1 month'", "-1 mons"),
        ("'0'", "0 secs"),
        ("NULL", ""),
    ];
    check(&db, "interval", "Interval(MonthDayNano)", &intervals).await;
}

/// A type, a value that Arrow cannot hold, and what the error says.
const UNREPRESENTABLE: [(&str, &str, &str); 11] = [
    ("date", "'infinity'", "an infinite date"),
    ("date", "'-infinity'", "an infinite date"),
    ("timestamp", "'infinity'", "an infinite timestamp"),
    ("timestamptz", "'-infinity'", "an infinite timestamp"),
    (
        "timestamp",
        "'294276-12-31 23:59:59.999999'",
        "a timestamp beyond those of Arrow",
    ),
    ("time", "'24:00:00'", "the time 24:00:00"),
    (
        "interval",
        "'170000000 years 99999999:00:00'",
        "an interval of more hours",
    ),
    ("numeric(10, 2)", "'NaN'", "the number NaN"),
    ("int4[]", "'{{1,2},{3,4}}'", "an array of several dimensions"),
    ("date[]", "'{infinity}'", "an infinite date"),
    ("numeric(9, 9)", "'NaN'", "the number NaN"),
];

#[tokio::test]
async fn a_value_that_arrow_cannot_hold_is_an_error_that_names_the_column() {
    let db = Database::new().await;
    for (of, value, expected) in UNREPRESENTABLE {
        db.run(&format!(
            "DROP TABLE IF EXISTS v; CREATE TABLE v (x {of}); INSERT INTO v VALUES ({value})"
        ))
        .await;
        let context = context(&db.source(), &["v"]).await;
        let error = try_ask(&context, "SELECT x FROM v").await.unwrap_err();
        let found = Error::find(&error).expect("an error of ours").to_string();
        assert!(
            found.contains(expected) && found.contains("column x"),
            "{of} {value}: {found}"
        );
    }
}

#[tokio::test]
async fn or_it_is_null_and_then_no_predicate_goes_down() {
    let db = Database::new().await;
    let mut config = db.config();
    config.unrepresentable = Unrepresentable::Null;
    for (of, value, _) in UNREPRESENTABLE {
        db.run(&format!(
            "DROP TABLE IF EXISTS v; CREATE TABLE v (n int, x {of}); INSERT INTO v VALUES (1, {value})"
        ))
        .await;
        let context = context(&open(&config), &["v"]).await;
        let expected = if of == "date[]" { "1|[]" } else { "1|" };
        assert_eq!(
            ask(&context, "SELECT n, x FROM v").await,
            expected,
            "{of} {value}"
        );
        if of != "date[]" {
            assert_eq!(
                ask(&context, "SELECT n FROM v WHERE x IS NULL").await,
                "1",
                "{of} {value}"
            );
            assert_eq!(
                ask(&context, "SELECT n FROM v WHERE x IS NOT NULL").await,
                "",
                "{of} {value}"
            );
        }
    }
    db.run("DROP TABLE v; CREATE TABLE v (n int, x date); INSERT INTO v VALUES (1, 'infinity'), (2, '2020-01-01')")
        .await;
    let context = context(&open(&config), &["v"]).await;
    assert_eq!(
        ask(&context, "SELECT n FROM v WHERE x > DATE '2000-01-01'").await,
        "2"
    );
}
