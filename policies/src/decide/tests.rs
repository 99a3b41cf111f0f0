use super::PolicySet;
use crate::decision::{Allowance, Column, Decision, Mask, Rows};
use crate::principal::Principal;
use crate::secret::Secret;
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

fn allowed(set: &PolicySet, roles: &[&str], name: &str) -> Allowance {
    let decision = set.decide(&principal(roles), &table(name));
    Allowance::clone(decision.allowance().expect("an allowance"))
}

#[test]
fn what_no_rule_allows_is_denied() {
    let set = set(DOCUMENT);
    let cases = [
        (&["admin"][..], "lake.bronze.raw", Some("admins read everything")),
        (&["admin"], "lake.gold.orders", Some("admins read everything")),
        (&["admin"], "sea.gold.orders", None),
        (&["analyst"], "lake.gold.orders", Some("analysts read gold")),
        (&["analyst"], "lake.silver.orders", Some("analysts read gold")),
        (&["analyst"], "lake.silver.parts", None),
        (&["ANALYST"], "lake.gold.orders", None),
        (&["guest"], "lake.gold.orders", None),
        (&[], "lake.gold.orders", None),
    ];
    for (roles, name, expected) in cases {
        let found = set.decide(&principal(roles), &table(name));
        let rule = found.allowance().map(|allowance| allowance.rules()[0].as_str());
        assert_eq!(rule, expected, "{roles:?} {name}");
        assert!(found.allowance().is_none_or(|allowance| allowance.is_plain()));
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

const SECURED: &str = r#"
row_secured = ["lake.gold.closed"]

[[grant]]
name = "gold"
roles = ["reader", "writer", "third"]
privileges = ["select"]
on = ["lake.gold"]

[[grant]]
name = "not the note"
roles = ["reader"]
privileges = ["select"]
on = ["lake.gold.orders.note"]
effect = "deny"

[[grant]]
name = "one column of silver"
roles = ["reader"]
privileges = ["select"]
on = ["lake.silver.parts.name"]

[[grant]]
name = "own"
roles = ["reader"]
privileges = ["select"]
on = ["lake.sandbox_{subject}"]

[[filter]]
name = "eu"
roles = ["reader"]
on = ["lake.gold.orders"]
where = "region = 'eu'"

[[filter]]
name = "of the subject"
roles = ["writer"]
on = ["lake.gold.orders"]
where = "owner IN owners(principal.subject) OR principal.nothing = 1"

[[filter]]
name = "no old rows"
on = ["lake.gold.orders"]
kind = "restrictive"
where = "day >= DATE '2020-01-01'"

[[mask]]
name = "phones"
roles = ["reader"]
on = ["lake.gold.orders.phone"]
kind = "partial"
last = 4

[[mask]]
name = "phones of all"
on = ["lake.gold.*.phone"]
kind = "null"
except_roles = ["writer"]
priority = -1

[[mask]]
name = "mails"
roles = ["reader"]
on = ["lake.gold.orders.mail"]
kind = "deny"

[[mapping]]
name = "owners"
rows = [["ada", 1], ["ada", 2], ["bob", 3]]
"#;

#[test]
fn filters_are_ored_when_permissive_and_anded_when_restrictive() {
    let set = set(SECURED);
    let rows = |roles: &[&str]| match allowed(&set, roles, "lake.gold.orders").rows() {
        Rows::All => "all".to_owned(),
        Rows::Only(condition) => condition.to_string(),
    };
    assert_eq!(
        rows(&["reader"]),
        "((\"region\" = 'eu') AND (\"day\" >= DATE '2020-01-01'))"
    );
    assert_eq!(
        rows(&["reader", "writer"]),
        "(((\"region\" = 'eu') OR ((\"owner\" IN (1, 2)) OR (NULL = 1))) AND (\"day\" >= DATE '2020-01-01'))"
    );
    // No permissive filter speaks of this role: no rows, whatever the restrictive one says.
    assert_eq!(rows(&["third"]), "(FALSE AND (\"day\" >= DATE '2020-01-01'))");
    let closed = allowed(&set, &["reader"], "lake.gold.closed");
    assert_eq!(
        *closed.rows(),
        Rows::Only(crate::expression::parse("FALSE").unwrap())
    );
    assert_eq!(*allowed(&set, &["third"], "lake.gold.parts").rows(), Rows::All);
}

#[test]
fn a_column_is_plain_masked_or_absent() {
    let set = set(SECURED);
    let reader = allowed(&set, &["reader"], "lake.gold.orders");
    let partial = Mask::Partial {
        first: 0,
        last: 4,
        with: '*',
    };
    assert_eq!(reader.column("region"), Column::Plain);
    assert_eq!(reader.column("note"), Column::Absent);
    assert_eq!(reader.column("mail"), Column::Absent);
    // The mask of the higher priority counts.
    assert_eq!(reader.column("phone"), Column::Masked(&partial));
    assert_eq!(reader.required().collect::<Vec<_>>(), ["mail", "note", "phone"]);
    let third = allowed(&set, &["third"], "lake.gold.orders");
    assert_eq!(third.column("phone"), Column::Masked(&Mask::Null));
    assert_eq!(third.column("note"), Column::Plain);
    assert_eq!(
        third.required().count(),
        0,
        "a rule for many tables needs no column of one"
    );
    let writer = allowed(&set, &["writer"], "lake.gold.orders");
    assert_eq!(writer.column("phone"), Column::Plain);
    let narrow = allowed(&set, &["reader"], "lake.silver.parts");
    assert_eq!(narrow.column("name"), Column::Plain);
    assert_eq!(narrow.column("price"), Column::Absent);
    assert!(!narrow.is_plain());
}

#[test]
fn equal_rights_have_equal_fingerprints_and_others_have_others() {
    let set = set(SECURED);
    let of = |roles: &[&str], name: &str| allowed(&set, roles, name).fingerprint().to_owned();
    assert_eq!(
        of(&["third"], "lake.gold.parts"),
        of(&["third", "x"], "lake.gold.parts")
    );
    let all = [
        of(&["third"], "lake.gold.orders"),
        of(&["reader"], "lake.gold.orders"),
        of(&["writer"], "lake.gold.orders"),
        of(&["reader", "writer"], "lake.gold.orders"),
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

#[test]
fn a_grant_may_name_the_one_who_asks() {
    let set = set(SECURED);
    let reader = principal(&["reader"]);
    assert!(set.decide(&reader, &table("lake.sandbox_ada.x")).is_allowed());
    assert!(!set.decide(&reader, &table("lake.sandbox_bob.x")).is_allowed());
    assert!(set.reaches_schema(&reader, "lake", "sandbox_ada"));
    assert!(!set.reaches_schema(&reader, "lake", "sandbox_bob"));
}

#[test]
fn a_metadata_table_wants_its_own_privilege_and_all_of_the_table() {
    let text = SECURED.to_owned()
        + "[[grant]]\nname = \"files\"\nroles = [\"reader\"]\nprivileges = [\"metadata\"]\non = [\"lake\"]\n";
    let (without, with) = (set(SECURED), set(&text));
    let reader = principal(&["reader"]);
    let files = table("lake.gold.parts$files");
    assert!(!without.decide(&reader, &files).is_allowed());
    assert!(with.decide(&reader, &files).is_allowed());
    // One column of the table may be read, and its files tell of all.
    assert!(
        !with
            .decide(&reader, &table("lake.silver.parts$files"))
            .is_allowed()
    );
    assert!(
        !with
            .decide(&reader, &table("lake.bronze.parts$files"))
            .is_allowed()
    );
}

#[test]
fn a_hash_wants_a_key() {
    let text = "[[mask]]\nname = \"h\"\non = [\"a.b.c.d\"]\nkind = \"hash\"\n";
    let error = PolicySet::parse(text, Path::new("x")).unwrap_err().to_string();
    assert!(error.contains("policies.mask_key"), "{error}");
    let key = Secret::new("0123456789abcdef0123456789abcdef");
    PolicySet::parse_with_key(text, Path::new("x"), Some(&key)).unwrap();
}

#[test]
fn a_document_whose_canary_dies_is_refused() {
    let canary = |expect: &str| {
        format!(
            "{DOCUMENT}\n[[canary]]\nroles = [\"analyst\"]\nprivilege = \"select\"\non = \"lake.bronze.raw\"\nexpect = \"{expect}\"\n"
        )
    };
    PolicySet::parse(&canary("deny"), Path::new("x")).unwrap();
    let error = PolicySet::parse(&canary("allow"), Path::new("x")).unwrap_err();
    assert!(error.to_string().contains("the answer is deny"), "{error}");
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
