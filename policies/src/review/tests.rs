use super::{Direction, Expectations, Somebody, difference, explain};
use crate::decide::PolicySet;
use crate::table_name::TableName;
use std::path::Path;

const EXAMPLE: &str = include_str!("../../../deploy/policies/example.toml");

fn set(text: &str) -> PolicySet {
    PolicySet::parse(text, Path::new("policies.toml")).unwrap()
}

fn viewer() -> Somebody {
    Somebody {
        subject: "ada".to_owned(),
        roles: ["data_viewer".to_owned()].into(),
    }
}

#[test]
fn the_example_explains_what_a_viewer_sees() {
    let customer = TableName::new("lake", "gold", "customer");
    let found = explain(&set(EXAMPLE), &viewer(), &customer, None);
    assert_eq!(
        found.answers,
        [
            "lake.gold.customer: rows where (\"c_mktsegment\" = 'BUILDING')",
            "lake.gold.customer.c_acctbal: absent, by `viewers do not know of balances`",
            "lake.gold.customer.c_phone: masked, 0 first and 4 last characters, by `viewers see the end of a telephone number`",
        ]
    );
    let counting: Vec<&str> = found
        .reasons
        .iter()
        .filter(|reason| reason.counts)
        .map(|reason| reason.rule.as_str())
        .collect();
    assert_eq!(
        counting,
        [
            "gold is for all who read",
            "viewers see customers of one segment",
            "viewers see the end of a telephone number",
            "viewers do not know of balances"
        ]
    );
    let bronze = explain(
        &set(EXAMPLE),
        &viewer(),
        &TableName::new("lake", "bronze", "x"),
        None,
    );
    assert_eq!(bronze.answers, ["lake.bronze.x: not found"]);
}

#[test]
fn a_change_is_told_as_wider_or_narrower() {
    let open = EXAMPLE.replace("kind = \"deny\"", "kind = \"null\"");
    let changes = difference(&set(EXAMPLE), &set(&open));
    let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["widened   data_viewer  lake.gold.customer.c_acctbal  absent became masked, null"]
    );
    assert!(difference(&set(EXAMPLE), &set(EXAMPLE)).is_empty());
    let closed = EXAMPLE.replace("on = [\"lake.silver\"]", "on = [\"lake.brass\"]");
    let changes = difference(&set(EXAMPLE), &set(&closed));
    let of = |direction| {
        changes
            .iter()
            .filter(|change| change.direction == direction)
            .count()
    };
    assert_eq!(
        (of(Direction::Widened), of(Direction::Narrowed)),
        (1, 1),
        "{changes:?}"
    );
}

#[test]
fn expectations_are_met_or_told() {
    let text = r#"
[[test]]
name = "viewers"
roles = ["data_viewer"]
table = "lake.gold.customer"
rows = "c_mktsegment = 'BUILDING'"
columns = { c_phone = "masked", c_acctbal = "absent", c_name = "plain" }

[[test]]
name = "bronze"
roles = ["data_viewer", "data_scientist"]
table = "lake.bronze.events"
rows = "not found"

[[test]]
name = "sandbox"
subject = "ada"
roles = ["data_scientist"]
table = "lake.sandbox_ada.x"
rows = "all"
"#;
    let tests = Expectations::parse(text, Path::new("tests.toml")).unwrap();
    assert!(
        tests.failures(&set(EXAMPLE)).is_empty(),
        "{:?}",
        tests.failures(&set(EXAMPLE))
    );
    let open = EXAMPLE.replace("c_mktsegment = 'BUILDING'", "TRUE");
    let failures = tests.failures(&set(&open));
    assert_eq!(failures.len(), 1);
    assert_eq!(
        failures[0].1,
        "rows: expected c_mktsegment = 'BUILDING', found all"
    );
}
