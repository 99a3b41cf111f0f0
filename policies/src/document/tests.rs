use super::Document;
use super::pattern::TablePattern;
use crate::table_name::TableName;
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use std::path::Path;

fn fault(text: &str) -> String {
    Document::parse(text, Path::new("policies.toml"))
        .unwrap_err()
        .to_string()
}

#[test]
fn an_empty_document_is_legal() {
    let document = Document::parse("", Path::new("x")).unwrap();
    assert!(document.allows.is_empty());
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_name() {
    let in_rule = fault("[[allow]]\nname = \"a\"\nroles = [\"r\"]\ntabels = [\"a.b.c\"]\n");
    assert!(
        in_rule.starts_with("policies.toml, line 4: unknown field `tabels`"),
        "{in_rule}"
    );
    let at_top = fault("[[deny]]\nname = \"a\"\n");
    assert!(at_top.contains("unknown field `deny`"), "{at_top}");
    let missing = fault("[[allow]]\nname = \"a\"\nroles = [\"r\"]\n");
    assert!(missing.contains("missing field `tables`"), "{missing}");
}

#[test]
fn a_rule_that_can_match_nothing_is_refused() {
    let rule = |name: &str, roles: &str, tables: &str| {
        format!("[[allow]]\nname = \"{name}\"\nroles = [{roles}]\ntables = [{tables}]\n")
    };
    let cases = [
        (rule("a", "", "\"a.b.c\""), "rule `a` has no roles"),
        (rule("a", "\"r\"", ""), "rule `a` has no tables"),
        (
            rule(" ", "\"r\"", "\"a.b.c\""),
            "rule 1 of `allow` has an empty name",
        ),
        (
            rule("a", "\"r\"", "\"a.b.c\"").repeat(2),
            "two rules have the name `a`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(fault(&text), format!("policies.toml: {expected}"));
    }
}

#[test]
fn a_star_matches_one_whole_part_only() {
    let matches = |pattern: &str, (catalog, schema, table): (&str, &str, &str)| {
        let pattern: TablePattern = pattern.parse().unwrap();
        pattern.matches(&TableName::new(catalog, schema, table))
    };
    let gold = ("lake", "gold", "orders");
    for pattern in [
        "lake.gold.orders",
        "lake.gold.*",
        "*.gold.*",
        "lake.*.orders",
        "*.*.*",
    ] {
        assert!(matches(pattern, gold), "{pattern}");
    }
    for pattern in ["lake.gold.order", "lake.Gold.*", "sea.*.*", "lake.\"*\".orders"] {
        assert!(!matches(pattern, gold), "{pattern}");
    }
    assert!(matches("lake.\"eu.sales\".*", ("lake", "eu.sales", "x")));
    assert!(!matches("lake.*.x", ("lake", "eu", "sales.x")));
    assert!(matches("a.b.\"say \"\"hi\"\"\"", ("a", "b", "say \"hi\"")));
}

#[test]
fn a_bad_pattern_is_refused_with_its_reason() {
    let cases = [
        ("", "has an empty part"),
        ("lake", "has fewer than three parts"),
        ("lake.gold", "has fewer than three parts"),
        ("lake.gold.a.b", "has more than three parts"),
        ("lake..a", "has an empty part"),
        ("lake.gold.", "has an empty part"),
        ("lake.\"\".a", "has an empty part"),
        (
            "lake.go*.a",
            "has a star among letters; `*` matches one whole part",
        ),
        (
            "lake.**.a",
            "has a star among letters; `*` matches one whole part",
        ),
        ("lake.go\"ld.a", "has a quote inside a part"),
        ("lake.\"gold.a", "has a quote that is not closed"),
        ("lake.\"gold\"x.a", "has letters after a closing quote"),
    ];
    for (pattern, reason) in cases {
        let error = pattern.parse::<TablePattern>().unwrap_err();
        assert_eq!(error.to_string(), format!("table pattern `{pattern}` {reason}"));
    }
    let in_document = fault("[[allow]]\nname = \"a\"\nroles = [\"r\"]\ntables = [\"lake.go*.a\"]\n");
    assert!(
        in_document.starts_with("policies.toml, line 4: table pattern `lake.go*.a`"),
        "{in_document}"
    );
}

#[test]
fn each_mistake_in_a_rule_is_told_by_its_name() {
    let grant = "[[grant]]\nname = \"g\"\nroles = [\"r\"]\nprivileges = [\"select\"]\non = [\"a\"]\n";
    let filter =
        |condition: &str| format!("[[filter]]\nname = \"f\"\non = [\"a.b.c\"]\nwhere = \"{condition}\"\n");
    let mask = |name: &str, more: &str| format!("[[mask]]\nname = \"{name}\"\non = [\"a.b.c.d\"]\n{more}\n");
    let roles = |pairs: &[(&str, &str)]| -> String {
        let role =
            |(name, above): &(&str, &str)| format!("[[role]]\nname = \"{name}\"\ninherits = [\"{above}\"]\n");
        pairs.iter().map(role).collect()
    };
    let cases = [
        (format!("{grant}{grant}"), "two rules have the name `g`"),
        (grant.replace("\"select\"", ""), "rule `g` has no privileges"),
        (grant.replace("[\"a\"]", "[]"), "rule `g` has no objects"),
        (roles(&[("a", "b"), ("b", "a")]), "role `a` inherits itself"),
        (filter("a = 'x' AND"), "rule `f`: expression, character"),
        (filter("lower(a)"), "rule `f`: the condition is a text"),
        (filter("1 = 'x'"), "puts number and text together"),
        (filter("a IN m(principal.subject)"), "there is no mapping `m`"),
        (mask("m", "kind = \"bucket\""), "rule `m` has no `width`"),
        (
            mask("m", "kind = \"null\"\nlast = 2"),
            "has a `last`, which its kind does not take",
        ),
        (
            mask("m", "kind = \"null\"") + mask("n", "kind = \"deny\"").as_str(),
            "rules `m` and `n` mask one column with one priority",
        ),
        (mask("m", "kind = \"null\"\nroles = []"), "rule `m` has no roles"),
        (mask("m", "kind = \"nul\""), "unknown variant `nul`"),
    ];
    for (text, expected) in cases {
        let found = fault(&text);
        assert!(found.contains(expected), "{found}\n{text}");
    }
    let deep: Vec<(String, String)> = (0..11)
        .map(|n| (format!("r{n}"), format!("r{}", n + 1)))
        .collect();
    let deep: Vec<(&str, &str)> = deep
        .iter()
        .map(|(one, two)| (one.as_str(), two.as_str()))
        .collect();
    assert!(fault(&roles(&deep)).contains("inherits over more than 9 steps"));
}

#[test]
fn the_published_schema_and_example_are_those_of_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/policies");
    let written = std::fs::read_to_string(folder.join("schema.json")).unwrap_or_default();
    let schema = format!("{:#}\n", super::json_schema());
    if written != schema {
        let draft = std::env::temp_dir().join("lakegate-policies-schema.json");
        std::fs::write(&draft, &schema).unwrap();
        panic!(
            "deploy/policies/schema.json is not that of the code, which lies in {}",
            draft.display()
        );
    }
    let path = folder.join("example.toml");
    let example = std::fs::read_to_string(&path).unwrap();
    crate::PolicySet::parse(&example, &path).unwrap();
}

proptest! {
    #[test]
    fn a_printed_pattern_reads_as_itself(parts in proptest::collection::vec("[a-c.*\"]{1,4}", 3)) {
        let quote = |part: &String| format!("\"{}\"", part.replace('"', "\"\""));
        let written = parts.iter().map(quote).collect::<Vec<_>>().join(".");
        let pattern: TablePattern = written.parse().unwrap();
        prop_assert!(pattern.matches(&TableName::new(&parts[0], &parts[1], &parts[2])));
        prop_assert_eq!(pattern.to_string().parse::<TablePattern>().unwrap(), pattern);
    }
}
