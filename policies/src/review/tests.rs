use super::{Direction, Expectations, Somebody, difference, explain, findings};
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

#[test]
fn the_example_has_nothing_to_say_of_itself() {
    let told: Vec<String> = findings(&set(EXAMPLE)).iter().map(ToString::to_string).collect();
    assert_eq!(told, Vec::<String>::new());
}

/// Rules of which most do nothing.
const IDLE: &str = r#"
[[grant]]
name = "gold"
roles = ["reader", "auditor", "stranger"]
privileges = ["select"]
on = ["lake.gold"]

[[grant]]
name = "silver"
roles = ["reader"]
privileges = ["select"]
on = ["lake.silver.t"]

[[grant]]
name = "no silver"
roles = ["reader"]
privileges = ["select"]
on = ["lake.silver"]
effect = "deny"

[[grant]]
name = "metadata"
roles = ["reader"]
privileges = ["metadata"]
on = ["lake.gold.t"]

[[filter]]
name = "one"
roles = ["reader"]
on = ["lake.gold.t"]
where = "segment = 'A'"

[[filter]]
name = "two"
roles = ["reader"]
on = ["lake.gold.t"]
kind = "restrictive"
where = "segment IN ('B', 'C')"

[[filter]]
name = "every row"
roles = ["auditor"]
on = ["lake.gold.t"]
where = "TRUE"

[[filter]]
name = "some rows"
roles = ["auditor"]
on = ["lake.gold.t"]
where = "x > 1"

[[filter]]
name = "apart"
roles = ["auditor"]
on = ["lake.gold.u"]
where = "a = 'x' AND a = 'y'"

[[filter]]
name = "not for readers of bronze"
roles = ["reader"]
on = ["lake.bronze.t"]
where = "TRUE"

[[mask]]
name = "strong"
roles = ["reader", "auditor"]
on = ["lake.gold.t.c"]
kind = "null"
priority = 2

[[mask]]
name = "weak"
roles = ["reader"]
on = ["lake.gold.t.c"]
kind = "partial"
last = 4
priority = 1
"#;

#[test]
fn rules_that_do_nothing_and_readers_who_see_nothing_are_told() {
    let told: Vec<String> = findings(&set(IDLE)).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "filter 'apart': its condition is never true",
            "filter 'not for readers of bronze': never counts: nobody of whom it speaks may read a table that it names",
            "filter 'some rows': never counts: `every row` shows its readers every row",
            "grant 'silver': gives nothing: other grants take all of it away",
            "mask 'weak': never counts: `strong` has the higher priority",
            "role 'auditor': may read lake.gold.u and sees no row of it: what `apart` shows, the conditions beside it exclude",
            "role 'reader': may read lake.gold.t and sees no row of it: what `one` shows, the conditions beside it exclude",
            "role 'reader': may read lake.gold.u and sees no row of it: no permissive filter speaks of this role",
            "role 'reader': may read the metadata of lake.gold.t, which tells of rows and columns that are hidden from it",
            "role 'stranger': may read lake.gold.t and sees no row of it: no permissive filter speaks of this role",
            "role 'stranger': may read lake.gold.u and sees no row of it: no permissive filter speaks of this role",
        ]
    );
}
