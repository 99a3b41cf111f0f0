use super::PolicySet;
use crate::decision::{Allowance, Decision};
use crate::principal::Principal;
use crate::table_name::TableName;
use proptest::prelude::{Strategy, prop_assert, proptest};
use std::fmt::Write as _;
use std::path::Path;

const DOCUMENT: &str = r#"
[[allow]]
name = "admins read everything"
roles = ["admin"]
tables = ["lake.*.*"]

[[allow]]
name = "analysts read gold"
roles = ["analyst", "admin"]
tables = ["lake.gold.*", "lake.silver.orders"]
"#;

fn set(text: &str) -> PolicySet {
    PolicySet::parse(text, Path::new("policies.toml")).unwrap()
}

fn principal(roles: &[&str]) -> Principal {
    Principal::new("ada", roles.iter().map(|role| (*role).to_owned()).collect())
}

fn table(name: &str) -> TableName {
    let parts: Vec<_> = name.split('.').collect();
    TableName::new(parts[0], parts[1], parts[2])
}

#[test]
fn what_no_rule_allows_is_denied() {
    let set = set(DOCUMENT);
    let allow = |rule: &str| {
        Decision::Allow(Allowance {
            rule: rule.to_owned(),
        })
    };
    let cases = [
        (&["admin"][..], "lake.bronze.raw", allow("admins read everything")),
        (&["admin"], "lake.gold.orders", allow("admins read everything")),
        (&["admin"], "sea.gold.orders", Decision::Deny),
        (&["analyst"], "lake.gold.orders", allow("analysts read gold")),
        (&["analyst"], "lake.silver.orders", allow("analysts read gold")),
        (&["analyst"], "lake.silver.parts", Decision::Deny),
        (&["ANALYST"], "lake.gold.orders", Decision::Deny),
        (&["guest"], "lake.gold.orders", Decision::Deny),
        (&[], "lake.gold.orders", Decision::Deny),
    ];
    for (roles, name, expected) in cases {
        let found = set.decide(&principal(roles), &table(name));
        assert_eq!(found, expected, "{roles:?} {name}");
        assert_eq!(found.is_allowed(), expected != Decision::Deny);
    }
}

#[test]
fn an_empty_document_denies_everything() {
    let set = set("");
    assert_eq!(
        set.decide(&principal(&["admin"]), &table("a.b.c")),
        Decision::Deny
    );
    assert!(!set.reaches_catalog(&principal(&["admin"]), "a"));
}

#[test]
fn a_schema_is_reached_where_any_of_its_tables_could_be() {
    let set = set(DOCUMENT);
    let analyst = principal(&["analyst"]);
    assert!(set.reaches_schema(&analyst, "lake", "gold"));
    assert!(set.reaches_schema(&analyst, "lake", "silver"));
    assert!(!set.reaches_schema(&analyst, "lake", "bronze"));
    assert!(set.reaches_catalog(&analyst, "lake"));
    assert!(!set.reaches_catalog(&analyst, "sea"));
    assert!(!set.reaches_catalog(&principal(&[]), "lake"));
}

#[test]
fn the_epoch_follows_the_text() {
    assert_eq!(set(DOCUMENT).epoch(), set(DOCUMENT).epoch());
    assert_ne!(set(DOCUMENT).epoch(), set("").epoch());
    assert_eq!(set("").epoch().len(), 32);
}

/// A rule as (roles, patterns) over a small alphabet, so that rules, principals and tables meet often.
fn rules() -> impl Strategy<Value = Vec<(Vec<String>, Vec<String>)>> {
    let part = "[ab*]";
    let pattern = (part, part, part).prop_map(|(a, b, c)| format!("{a}.{b}.{c}"));
    let rule = (
        proptest::collection::vec("[rst]", 1..3),
        proptest::collection::vec(pattern, 1..3),
    );
    proptest::collection::vec(rule, 1..6)
}

fn written(rules: &[(Vec<String>, Vec<String>)]) -> String {
    let mut text = String::new();
    for (index, (roles, tables)) in rules.iter().enumerate() {
        writeln!(
            text,
            "[[allow]]\nname = \"{index}\"\nroles = {roles:?}\ntables = {tables:?}"
        )
        .unwrap();
    }
    text
}

proptest! {
    #[test]
    fn taking_a_rule_away_never_widens(
        rules in rules(),
        taken in 0_usize..6,
        roles in proptest::collection::vec("[rst]", 0..3),
        name in "[ab]\\.[ab]\\.[ab]",
    ) {
        let mut fewer = rules.clone();
        fewer.remove(taken % rules.len());
        let (all, fewer) = (set(&written(&rules)), set(&written(&fewer)));
        let principal = Principal::new("p", roles.into_iter().collect());
        let table = table(&name);
        let allowed = all.decide(&principal, &table).is_allowed();
        prop_assert!(allowed || !fewer.decide(&principal, &table).is_allowed());
        // What is allowed lies in a schema and a catalog that are reached.
        prop_assert!(!allowed || all.reaches_schema(&principal, &table.catalog, &table.schema));
        prop_assert!(!allowed || all.reaches_catalog(&principal, &table.catalog));
    }
}
