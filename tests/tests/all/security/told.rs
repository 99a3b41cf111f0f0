//! `EXPLAIN POLICY`: who asks is told what rules make of the query's tables, and nothing of what is not there for them.

use tests::lake::key;

use super::world::World;

const ASKED: &str = "EXPLAIN POLICY SELECT p.id FROM lake.gold.people p JOIN lake.gold.open o ON p.id = o.id";

#[tokio::test(flavor = "multi_thread")]
async fn each_is_told_what_the_rules_make_of_a_query() {
    let world = World::make(0).await;
    let mut viewer = world.gateway.flight("viewer").await.expect("a connection");
    let told = viewer.query(ASKED).await.expect("an answer").rows();
    let open = "lake.gold.open";
    let people = "lake.gold.people";
    let grant = "viewers read gold";
    let none = "NULL";
    assert_eq!(
        told,
        [
            [open, none, "readable", grant, "role viewer"],
            [open, none, "all rows", none, "no filter narrows them for you"],
            [people, none, "readable", grant, "role viewer"],
            [
                people,
                none,
                "rows that it chooses",
                "viewers see the EU",
                "is for `viewer`"
            ],
            [people, "note", "masked, null", "no note", "is for `viewer`"],
            [
                people,
                "phone",
                "masked, 0 first and 4 last characters",
                "the end of a telephone number",
                "is for `viewer`",
            ],
        ]
    );
    let mut admin = world.gateway.flight("admin").await.expect("a connection");
    let told = admin.query(ASKED).await.expect("an answer").rows();
    let all = [people, none, "all rows", none, "no filter narrows them for you"];
    assert!(told.iter().any(|row| row == &all), "{told:?}");
    // What does not exist for somebody is not explained to them either.
    for sql in [
        "EXPLAIN POLICY SELECT * FROM lake.silver.vault",
        "EXPLAIN POLICY SELECT ssn FROM lake.gold.people",
    ] {
        let refused = viewer.query(sql).await.expect_err(sql);
        assert!(refused.to_string().contains("not found"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_attributes_that_a_filter_looks_at_are_named() {
    let lake = tests::Lake::create().await.expect("a lake");
    lake.append(ingest::Zone::Gold, "events", 0..10)
        .await
        .expect("rows");
    let document = r#"
[[grant]]
name = "all"
roles = ["admin", "viewer"]
privileges = ["select", "explain.full"]
on = ["lake.gold"]

[[filter]]
name = "by level"
on = ["lake.gold.events"]
where = "id < principal.level"
"#;
    lake.set_policies(document).expect("policies");
    let gateway = lake.gateway(&[&key(1)]).expect("a gateway");
    let mut viewer = gateway.flight("viewer").await.expect("a connection");
    let told = viewer
        .query("EXPLAIN POLICY SELECT * FROM events")
        .await
        .expect("an answer")
        .rows();
    let last = told.last().expect("a row");
    // Whoever may see whole plans is told the condition too.
    assert_eq!(last[2..4], ["rows where id < principal.level", "by level"]);
    assert_eq!(last[4], "is for everybody and looks at your `level`");
}
