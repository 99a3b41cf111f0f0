//! What the catalog tells.

use crate::postgres::fixture::{Database, ask, context, open, table, try_ask};
use crate::{Connector, Error, ErrorKind, KeyRule, TableKind, Version};

const SETUP: &str = "
CREATE SCHEMA \"odd \"\"name\"\"\"; CREATE SCHEMA hidden; CREATE SCHEMA empty;
CREATE TABLE \"odd \"\"name\"\"\".\"T x\" (\"a\"\"b\" int, \"Ünï\" text);
INSERT INTO \"odd \"\"name\"\"\".\"T x\" VALUES (1, 'q');
CREATE TABLE hidden.t (a int);
CREATE TABLE customer (id int, region text, name text, PRIMARY KEY (region, id));
COMMENT ON TABLE customer IS 'who buys'; COMMENT ON COLUMN customer.name IS 'as spoken';
CREATE TABLE orders (n int, c_region text, c_id int,
  CONSTRAINT of_customer FOREIGN KEY (c_region, c_id) REFERENCES customer (region, id) ON DELETE CASCADE ON UPDATE SET NULL);
CREATE VIEW v AS SELECT 1 AS one; CREATE MATERIALIZED VIEW m AS SELECT 2 AS two;
CREATE TABLE parts (a int) PARTITION BY RANGE (a);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
INSERT INTO parts VALUES (3), (4);
CREATE EXTENSION IF NOT EXISTS file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE f (line text) SERVER files OPTIONS (program 'echo hello');
CREATE TEMPORARY TABLE gone (a int);
CREATE TABLE nothing ()";

#[tokio::test]
async fn everything_that_the_role_may_read_is_there() {
    let db = Database::new().await;
    db.run(SETUP).await;
    let mut config = db.config();
    config.schemas_hidden = vec!["hidden".to_owned()];
    let source = open(&config);
    assert_eq!(
        source.schemas().await.unwrap(),
        ["empty", "odd \"name\"", "public"]
    );
    let listed = source.tables().await.unwrap();
    let printed: Vec<String> = listed
        .iter()
        .map(|t| format!("{}.{} {:?}", t.schema, t.name, t.kind))
        .collect();
    assert_eq!(
        printed,
        [
            "odd \"name\".T x Table",
            "public.customer Table",
            "public.f Table",
            "public.m View",
            "public.nothing Table",
            "public.orders Table",
            "public.part_1 Table",
            "public.parts Table",
            "public.v View",
        ]
    );
    assert!(listed.iter().any(|t| t.kind == TableKind::View));
    assert!(source.table("hidden", "t", None).await.unwrap().is_none());
    assert!(
        source
            .table("pg_catalog", "pg_class", None)
            .await
            .unwrap()
            .is_none()
    );
    assert!(source.table("public", "no\0such", None).await.unwrap().is_none());
    assert!(source.table("public", "nope", None).await.unwrap().is_none());
    let context = context(&source, &["parts", "v", "m", "f"]).await;
    assert_eq!(ask(&context, "SELECT sum(a) FROM parts").await, "7");
    db.run("INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES")
        .await;
    let nothing = table(&source, "nothing").await;
    context.register_table("nothing", nothing.provider).unwrap();
    assert_eq!(ask(&context, "SELECT count(*) FROM nothing").await, "2");
    assert_eq!(
        ask(&context, "SELECT one, two, line FROM v, m, f").await,
        "1|2|hello"
    );
    let odd = source.table("odd \"name\"", "T x", None).await.unwrap().unwrap();
    context.register_table("odd", odd.provider).unwrap();
    assert_eq!(
        ask(
            &context,
            "SELECT \"a\"\"b\", \"Ünï\" FROM odd WHERE \"a\"\"b\" = 1"
        )
        .await,
        "1|q"
    );
}

#[tokio::test]
async fn comments_and_keys_are_told() {
    let db = Database::new().await;
    db.run(SETUP).await;
    let source = db.source();
    let customer = table(&source, "customer").await;
    assert_eq!(customer.comment.as_deref(), Some("who buys"));
    assert_eq!(customer.primary_key, ["id", "region"]);
    let name = customer.schema.field_with_name("name").unwrap();
    assert_eq!(name.metadata()[crate::iceberg::COMMENT_KEY], "as spoken");
    let keys = source.foreign_keys().await.unwrap();
    let [key] = keys.as_slice() else {
        panic!("{keys:?}")
    };
    assert_eq!(
        (key.name.as_str(), key.table.1.as_str()),
        ("of_customer", "orders")
    );
    assert_eq!(key.columns, ["c_region", "c_id"]);
    assert_eq!(key.referenced, ("public".to_owned(), "customer".to_owned()));
    assert_eq!(key.referenced_columns, ["region", "id"]);
    assert_eq!(
        (key.on_update, key.on_delete),
        (KeyRule::SetNull, KeyRule::Cascade)
    );
}

#[tokio::test]
async fn a_role_sees_what_it_may_select() {
    let db = Database::new().await;
    let role = format!("reader_{}", db.name);
    db.run(&format!(
        "CREATE ROLE {role} LOGIN; CREATE SCHEMA closed; CREATE TABLE closed.t (a int); GRANT SELECT ON closed.t TO {role};
         CREATE TABLE whole (a int, b int); GRANT SELECT ON whole TO {role};
         CREATE TABLE part (a int PRIMARY KEY, secret text); GRANT SELECT (a) ON part TO {role};
         CREATE TABLE none (a int)"
    ))
    .await;
    let mut config = db.config();
    config.user = Some(role.clone());
    let source = open(&config);
    assert_eq!(source.schemas().await.unwrap(), ["public"]);
    let names: Vec<String> = source
        .tables()
        .await
        .unwrap()
        .into_iter()
        .map(|t| t.name)
        .collect();
    assert_eq!(names, ["part", "whole"]);
    assert!(source.table("closed", "t", None).await.unwrap().is_none());
    assert!(source.table("public", "none", None).await.unwrap().is_none());
    assert_eq!(table(&source, "part").await.schema.fields().len(), 1);
    let context = context(&source, &["part", "whole"]).await;
    assert_eq!(ask(&context, "SELECT count(*), count(a) FROM part").await, "0|0");
    db.run(&format!("REVOKE SELECT ON whole FROM {role}")).await;
    let error = try_ask(&context, "SELECT * FROM whole").await.unwrap_err();
    let found = Error::find(&error).unwrap();
    assert_eq!(found.kind(), ErrorKind::Refused);
    assert_eq!(
        found.to_string(),
        "source pg refused the query: its role may not read this (SQLSTATE 42501)"
    );
    db.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_version_is_of_the_columns_and_a_change_is_told() {
    let db = Database::new().await;
    db.run("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x')")
        .await;
    let mut config = db.config();
    config.catalog_ttl_ms = 0;
    let source = open(&config);
    let first = table(&source, "t").await;
    db.run("INSERT INTO t VALUES (2, 'y')").await;
    let at = |version: Version| {
        let source = &source;
        async move { source.table("public", "t", Some(&version)).await }
    };
    assert_eq!(
        at(first.version.clone()).await.unwrap().unwrap().version,
        first.version
    );
    assert_eq!(
        table(&open(&db.config()), "t").await.version,
        first.version,
        "every gateway says the same"
    );
    for change in [
        "ALTER TABLE t ADD COLUMN c int",
        "ALTER TABLE t ALTER COLUMN c TYPE int8",
        "ALTER TABLE t RENAME COLUMN c TO d",
        "ALTER TABLE t DROP COLUMN d",
    ] {
        let before = table(&open(&db.config()), "t").await.version;
        db.run(change).await;
        let error = at(before.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::VersionGone, "{change}");
        assert_ne!(table(&open(&db.config()), "t").await.version, before, "{change}");
    }
    db.run("DROP TABLE t; CREATE TABLE t (a int, b text)").await;
    assert!(at(first.version).await.is_err(), "another table of the same name");
}

#[tokio::test]
async fn the_listing_is_believed_for_its_time() {
    let db = Database::new().await;
    let kept = db.source();
    let mut config = db.config();
    config.catalog_ttl_ms = 0;
    let fresh = open(&config);
    assert!(kept.tables().await.unwrap().is_empty() && fresh.tables().await.unwrap().is_empty());
    db.run("CREATE TABLE t (a int)").await;
    assert!(kept.tables().await.unwrap().is_empty());
    assert_eq!(fresh.tables().await.unwrap().len(), 1);
    assert_eq!(
        table(&kept, "t").await.schema.fields().len(),
        1,
        "a table is found before it is listed"
    );
    db.run("ALTER TABLE t ADD b int").await;
    assert_eq!(table(&kept, "t").await.schema.fields().len(), 1);
    assert_eq!(table(&fresh, "t").await.schema.fields().len(), 2);
}
