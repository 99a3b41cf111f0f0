//! A value that makes an expression fail is told alike, whether a source or the engine ran the expression.

use super::House;

const TABLES: &str = "CREATE TABLE large (name text, n bigint, d numeric(38,0));
INSERT INTO large VALUES ('a', 1, 90000000000000000000000000000000000000), ('b', 2, 90000000000000000000000000000000000000);
CREATE VIEW failing AS SELECT n, 1 / (n - 1) AS q FROM large";

#[tokio::test]
async fn what_fails_at_a_source_is_told_as_what_fails_here() {
    let house = House::open(&[]).await.expect("a lake and a server");
    house.postgres.run(TABLES, "").expect("tables");
    let mut flight = house.flight().await;
    for sql in [
        // The source makes this sum.
        "SELECT sum(d) FROM pg.public.large",
        // A filter without a remote form: the engine makes this one.
        "SELECT sum(d) FROM pg.public.large WHERE upper(name) <> 'X'",
    ] {
        let refusal = flight.query(sql).await.expect_err("a sum beyond its type");
        assert!(refusal.message.contains("(LG1016)"), "{sql}: {refusal}");
        assert!(!refusal.message.contains("18000000"), "{sql}: {refusal}");
    }
    let refusal = flight
        .query("SELECT q FROM pg.public.failing")
        .await
        .expect_err("a division by zero");
    assert!(refusal.message.contains("division by zero"), "{refusal}");
    assert!(refusal.message.contains("(LG1008)"), "{refusal}");
}
