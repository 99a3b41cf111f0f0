//! Types made of others, and types that are text for want of an Arrow type.

use super::types::{check, read};
use crate::postgres::fixture::Database;

const TYPES: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN cents AS numeric(8, 2);
CREATE TYPE point3 AS (x int, \"the y\" text, z date); CREATE TYPE box3 AS (a point3, tags text[]);
CREATE TYPE loose AS (a int, b money); CREATE DOMAIN ints AS int4[]";

/// A type, its Arrow type, a value and how the engine prints it.
const ARRAYS: [(&str, &str, &str, &str); 16] = [
    ("int4[]", "List(Int32)", "'{1,NULL,-3}'", "[1, , -3]"),
    ("int4[]", "List(Int32)", "'{}'", "[]"),
    ("int4[]", "List(Int32)", "'[5:6]={7,8}'", "[7, 8]"),
    ("ints", "List(Int32)", "'{4}'", "[4]"),
    ("bool[]", "List(Boolean)", "'{t,f}'", "[true, false]"),
    ("float8[]", "List(Float64)", "'{NaN,1.5}'", "[NaN, 1.5]"),
    (
        "text[]",
        "List(Utf8)",
        "ARRAY['a,b', NULL, '', '\"']",
        "[a,b, , , \"]",
    ),
    (
        "numeric(6,1)[]",
        "List(Decimal128(6, 1))",
        "'{1.5,-2}'",
        "[1.5, -2.0]",
    ),
    ("numeric[]", "List(Utf8)", "'{1.50,NaN,NULL}'", "[1.50, NaN, ]"),
    (
        "uuid[]",
        "List(Utf8)",
        "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'",
        "[a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11]",
    ),
    (
        "timestamptz[]",
        "List(Timestamp(µs, \"UTC\"))",
        "ARRAY['2020-01-01 00:00+00'::timestamptz]",
        "[2020-01-01T00:00:00Z]",
    ),
    ("bytea[]", "List(Binary)", "ARRAY['\\x01'::bytea]", "[01]"),
    ("mood[]", "List(Utf8)", "'{ok,NULL}'", "[ok, ]"),
    ("cents[]", "List(Decimal128(8, 2))", "'{1.5}'", "[1.50]"),
    (
        "inet[]",
        "List(Utf8)",
        "'{10.0.0.1,::1/64}'",
        "[10.0.0.1, ::1/64]",
    ),
    ("jsonb[]", "List(Utf8)", "ARRAY['{}'::jsonb]", "[{}]"),
];

#[tokio::test]
async fn arrays_are_lists() {
    let db = Database::new().await;
    db.run(TYPES).await;
    for (of, arrow, value, printed) in ARRAYS {
        check(&db, of, arrow, &[(value, printed), ("NULL", "")]).await;
    }
}

#[tokio::test]
async fn composites_are_structs_and_domains_what_they_are_made_of() {
    let db = Database::new().await;
    db.run(TYPES).await;
    check(&db, "cents", "Decimal128(8, 2)", &[("1.5", "1.50"), ("NULL", "")]).await;
    let point = "Struct(\"x\": Int32, \"the y\": Utf8, \"z\": Date32)";
    let points = [
        ("ROW(1, 'a', '2020-01-01')", "{x: 1, the y: a, z: 2020-01-01}"),
        ("ROW(NULL, NULL, NULL)", "{x: , the y: , z: }"),
        ("NULL", ""),
    ];
    check(&db, "point3", point, &points).await;
    let several = [(
        "ARRAY[ROW(1,NULL,NULL)::point3, NULL]",
        "[{x: 1, the y: , z: }, ]",
    )];
    check(&db, "point3[]", &format!("List({point})"), &several).await;
    let nested = format!("Struct(\"a\": {point}, \"tags\": List(Utf8))");
    let boxes = [(
        "ROW(ROW(1,'p',NULL)::point3, '{t}')",
        "{a: {x: 1, the y: p, z: }, tags: [t]}",
    )];
    check(&db, "box3", &nested, &boxes).await;
    let loose = [
        ("ROW(1, '2'::money)", "(1,$2.00)"),
        ("ROW(NULL, NULL)", "(,)"),
        ("NULL", ""),
    ];
    check(&db, "loose", "Utf8View", &loose).await;
}

#[tokio::test]
async fn what_has_no_arrow_type_is_text_and_the_table_opens() {
    let db = Database::new().await;
    db.run("CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore")
        .await;
    for (of, value, expected) in [
        ("citext", "'Ab'", "Ab"),
        ("hstore", "'a=>1'", "\"a\"=>\"1\""),
        ("int4range", "'[1,5)'", "[1,5)"),
        ("int4multirange", "'{[1,2),[5,9)}'", "{[1,2),[5,9)}"),
        (
            "tstzrange",
            "'[2020-01-01 00:00+00,)'",
            "[\"2020-01-01 00:00:00+00\",)",
        ),
        ("money", "'12.5'", "$12.50"),
        ("point", "'(1,2)'", "(1,2)"),
        ("bit(3)", "B'101'", "101"),
        ("varbit", "B'10'", "10"),
        ("xml", "'<a/>'", "<a/>"),
        ("tsvector", "'a b'", "'a' 'b'"),
        ("pg_lsn", "'16/B374D848'", "16/B374D848"),
        ("regclass", "'pg_class'", "pg_class"),
        ("int2vector", "'1 2'", "1 2"),
        ("point[]", "ARRAY['(1,2)'::point]", "[(1,2)]"),
        ("int4range[]", "ARRAY['[1,5)'::int4range]", "[[1,5)]"),
    ] {
        let (_, found) = read(&db, of, &[value, "NULL"]).await;
        assert_eq!(found, [expected, ""], "{of}");
    }
}
