//! What a session demands of its sources: met, or refused before a row comes, by the name of what is in the way.

use serde_json::json;

use super::House;

/// A filter that the source has no sure form of.
const DRAGS: &str = "SELECT count(*) FROM pg.public.customer WHERE upper(c_name) = 'X'";

#[tokio::test]
async fn a_required_pushdown_is_met_or_refused_by_the_operator_in_the_way() {
    let house = House::shared().await;
    let mut flight = house.flight().await;
    flight.query(DRAGS).await.expect("an answer without the demand");
    flight
        .set("SET lakegate.pushdown = 'require'")
        .await
        .expect("a session");
    let refusal = flight.query(DRAGS).await.expect_err("a refusal");
    assert_eq!(refusal.code, "InvalidArgument");
    for part in ["pg", "filter: upper(", "(LG1019)", "EXPLAIN (FEDERATION)"] {
        assert!(refusal.message.contains(part), "{part}: {refusal}");
    }
    assert!(!refusal.message.contains("'X'"), "{refusal}");
    for whole in [
        "SELECT count(*) FROM pg.public.customer WHERE c_custkey > 5",
        "SELECT upper(c_name) FROM pg.public.customer WHERE c_custkey = 5",
        "SELECT n_name, count(*) FROM pg.public.customer JOIN pg.public.nation ON c_nationkey = n_nationkey GROUP BY 1",
        // Each source does its own part; the join of both is made here whatever is asked.
        "SELECT count(*) FROM lake.gold.orders JOIN pg.public.customer ON o_custkey = c_custkey WHERE c_custkey < 50",
        "SELECT count(*) FROM lake.gold.customer WHERE upper(c_name) = 'X'",
    ] {
        flight
            .query(whole)
            .await
            .unwrap_or_else(|refusal| panic!("{whole}: {refusal}"));
    }
    // An aggregate over what is made here drags as much as a filter; the lowest operator is named.
    let refusal = flight
        .query("SELECT upper(c_mktsegment), count(*) FROM pg.public.customer GROUP BY 1")
        .await
        .expect_err("a refusal");
    assert!(refusal.message.contains("upper("), "{refusal}");
    // Whoever asks why is told, and the demand can be taken back.
    let told = flight
        .query(&format!("EXPLAIN (FEDERATION) {DRAGS}"))
        .await
        .expect("rows")
        .rows();
    assert!(told.iter().any(|row| row[1] == "residual"), "{told:#?}");
    flight
        .set("SET lakegate.pushdown = 'prefer'")
        .await
        .expect("a session");
    flight.query(DRAGS).await.expect("an answer");
    let refusal = flight
        .set("SET lakegate.pushdown = 'always'")
        .await
        .expect_err("a refusal");
    assert!(refusal.message.contains("(LG1006)"), "{refusal}");
}

#[tokio::test]
async fn more_rows_than_allowed_are_refused_before_the_run_or_at_the_first_too_many() {
    let house = House::shared().await;
    let rest = house.gateway.rest("admin");
    let ask = |sql: &str| {
        let body = json!({"sql": sql, "settings": {"lakegate.max_rows_from_source": "200"}});
        let rest = rest.clone();
        async move { rest.ask(&body).await }
    };
    let refusal = ask(DRAGS).await.expect_err("a refusal");
    assert_eq!(refusal.code, "413");
    for part in [
        "about 1500 rows would come from source pg",
        "filter: upper(",
        "(LG1020)",
    ] {
        assert!(refusal.message.contains(part), "{part}: {refusal}");
    }
    let refusal = ask("SELECT * FROM lake.gold.customer")
        .await
        .expect_err("a refusal");
    assert!(
        refusal.message.contains("1500 rows would come from source lake"),
        "{refusal}"
    );
    for within in [
        "SELECT count(*) FROM pg.public.customer",
        "SELECT * FROM pg.public.customer LIMIT 200",
        "SELECT * FROM pg.public.customer ORDER BY c_acctbal LIMIT 200",
    ] {
        ask(within)
            .await
            .unwrap_or_else(|refusal| panic!("{within}: {refusal}"));
    }
    // The server expects a handful of these rows, and all of them come.
    house
        .postgres
        .run(
            "CREATE SCHEMA misjudged; CREATE TABLE misjudged.pairs AS SELECT n AS a, n AS b FROM generate_series(1, 5000) n; \
             ANALYZE misjudged.pairs",
            "",
        )
        .expect("a table");
    let sql = "SELECT a FROM pg.misjudged.pairs WHERE a = b";
    let refusal = ask(sql).await.expect_err("a refusal");
    assert!(
        refusal.message.contains("more rows came from source pg") && refusal.message.contains("(LG1020)"),
        "{refusal}"
    );
    let all = rest
        .ask(&json!({ "sql": sql }))
        .await
        .expect("an answer without the demand");
    assert_eq!(all["row_count"], 5_000);
}

#[tokio::test]
async fn a_table_that_is_too_old_is_refused_by_name() {
    let house = House::shared().await;
    let mut flight = house.flight().await;
    // Whatever the lake's newest commit is, it is older than this.
    flight
        .set("SET lakegate.max_staleness = '1us'")
        .await
        .expect("a session");
    let refusal = flight
        .query("SELECT count(*) FROM lake.gold.nation")
        .await
        .expect_err("a refusal");
    assert_eq!(refusal.code, "Unavailable");
    assert!(
        refusal.message.contains("lake.gold.nation") && refusal.message.contains("(LG1021)"),
        "{refusal}"
    );
    flight
        .set("SET lakegate.max_staleness = '100 days'")
        .await
        .expect("a session");
    flight
        .query("SELECT count(*) FROM lake.gold.nation")
        .await
        .expect("an answer");
    // A database shows the state of the moment.
    flight
        .set("SET lakegate.max_staleness = '1m'")
        .await
        .expect("a session");
    flight
        .query("SELECT count(*) FROM pg.public.nation")
        .await
        .expect("an answer");
    let shown = flight
        .query("SHOW lakegate.max_staleness")
        .await
        .expect("rows")
        .rows();
    assert_eq!(shown, [["lakegate.max_staleness", "1m"]]);
}
