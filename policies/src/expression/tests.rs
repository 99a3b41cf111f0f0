use super::{Comparison, Expression, Function, Literal, Members, Type, parse};
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

fn printed(text: &str) -> String {
    parse(text).unwrap().to_string()
}

#[test]
fn what_is_written_means_what_it_says() {
    for (text, meant) in [
        (
            "a = 1 or b = 2 and c = 3",
            "((\"a\" = 1) OR ((\"b\" = 2) AND (\"c\" = 3)))",
        ),
        ("not a = 'x'", "(NOT (\"a\" = 'x'))"),
        (
            "a between 1 and 2 and b",
            "(((\"a\" >= 1) AND (\"a\" <= 2)) AND \"b\")",
        ),
        ("a not between 1 and 2", "((\"a\" < 1) OR (\"a\" > 2))"),
        (
            "\"O'Hara \"\"x\"\"\" like '%it''s_'",
            "(\"O'Hara \"\"x\"\"\" LIKE '%it''s_')",
        ),
        ("a not in ('x', 'y')", "(\"a\" NOT IN ('x', 'y'))"),
        ("a in principal.regions", "(\"a\" IN principal.regions)"),
        ("a in m(principal.subject)", "(\"a\" IN \"m\"(principal.subject))"),
        ("principal.level >= 3", "(principal.level >= 3)"),
        ("principal is not null", "(\"principal\" IS NOT NULL)"),
        ("d >= date '2020-02-29'", "(\"d\" >= DATE '2020-02-29')"),
        (
            "t < timestamp '2020-01-01 00:00:00.5'",
            "(\"t\" < TIMESTAMP '2020-01-01 00:00:00.5')",
        ),
        ("try_cast(a as int) = -5", "(try_cast(\"a\" AS int) = -5)"),
        (
            "case when a then 1 else b end = 1",
            "(CASE WHEN \"a\" THEN 1 ELSE \"b\" END = 1)",
        ),
        (
            "substr(lower(a), 1, 2) != 'ab'",
            "(substr(lower(\"a\"), 1, 2) <> 'ab')",
        ),
        ("((((a))))", "\"a\""),
        ("true", "TRUE"),
    ] {
        assert_eq!(printed(text), meant, "{text}");
        assert_eq!(printed(meant), meant);
    }
}

#[test]
fn what_could_fail_or_reach_out_cannot_be_written() {
    let deep = format!("{}a{}", "(".repeat(40), ")".repeat(40));
    let long = vec!["a"; 400].join(" AND ");
    for text in [
        "",
        "a =",
        "a = 1 b",
        "1 / a = 1",
        "a + 1 = 2",
        "a || 'x' = 'y'",
        "cast(a as int) = 1",
        "random() = 1",
        "now() > d",
        "(select 1)",
        "a in (select b from c)",
        "a in (b)",
        "a like b",
        "a like '\\%'",
        "a = 'x",
        "a; drop",
        "exists (a)",
        "substr(a, b)",
        "substr(a, 0)",
        "substr(a, 1, -1)",
        "lower(a, b)",
        "d = date '2021-02-29'",
        "d = date 'x'",
        "t = timestamp '2020-01-01 25:00:00'",
        "a = 1.2.3",
        "a = \u{1f600}",
        "\"\" = 1",
        deep.as_str(),
        long.as_str(),
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_type_is_found_or_the_fault_is_told() {
    let columns = |name: &str| match name {
        "n" => Some(Type::Integer),
        "p" => Some(Type::Decimal),
        "s" => Some(Type::Text),
        "d" => Some(Type::Date),
        "b" => Some(Type::Boolean),
        _ => None,
    };
    let of = |text: &str| parse(text).unwrap().type_of(&columns);
    for (text, found) in [
        ("n = 1 AND s = 'x' AND d > DATE '2020-01-01'", Type::Boolean),
        ("coalesce(s, 'none')", Type::Text),
        ("case when b then n else 0 end", Type::Integer),
        ("n = principal.level", Type::Boolean),
        ("p BETWEEN 1.5 AND 2", Type::Boolean),
        ("NULL", Type::Unknown),
    ] {
        assert_eq!(of(text), Ok(found), "{text}");
    }
    for (text, fault) in [
        ("n = 'x'", "puts int and text together"),
        ("n = p", "puts int and decimal together"),
        ("s > 1", "puts text and number together"),
        ("n AND b", "puts int and boolean together"),
        ("n LIKE 'x'", "puts int and text together"),
        ("n IN (1, 'x')", "puts int and text together"),
        ("gone = 1", "there is no column `gone`"),
        ("case when b then n else s end", "puts int and text together"),
    ] {
        let error = of(text).unwrap_err().to_string();
        assert!(error.contains(fault), "{text}: {error}");
    }
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<i32>().prop_map(|number| Literal::Number(number.to_string())),
        "[ -~]{0,6}".prop_map(Literal::Text),
        Just(Literal::Date("2020-02-29".to_owned())),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        literal().prop_map(Expression::Literal),
        Just(Expression::Literal(Literal::Null)),
        any::<bool>().prop_map(Expression::truth),
        "[a-z \"A-Z.]{1,5}".prop_map(Expression::Column),
        "[a-z]{1,5}".prop_map(Expression::Attribute),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let comparison = prop_oneof![
            Just(Comparison::Equal),
            Just(Comparison::NotEqual),
            Just(Comparison::LessOrEqual),
            Just(Comparison::Greater)
        ];
        let list = prop_oneof![
            proptest::collection::vec(literal(), 0..3).prop_map(Members::Values),
            "[a-z]{1,4}".prop_map(Members::Attribute),
            ("[a-z ]{1,4}", "[a-z]{1,4}").prop_map(|(name, key)| Members::Mapping { name, key }),
        ];
        prop_oneof![
            inner.clone().prop_map(|value| Expression::Not(Box::new(value))),
            two.clone()
                .prop_map(|(one, two)| Expression::And(Box::new(one), Box::new(two))),
            two.prop_map(|(one, two)| Expression::Or(Box::new(one), Box::new(two))),
            (comparison, inner.clone(), inner.clone()).prop_map(|(how, one, two)| Expression::Compare(
                how,
                Box::new(one),
                Box::new(two)
            )),
            (inner.clone(), list, any::<bool>()).prop_map(|(value, list, negated)| Expression::In {
                value: Box::new(value),
                list,
                negated
            }),
            (inner.clone(), "[a-z%_']{0,5}", any::<bool>()).prop_map(|(value, pattern, negated)| {
                Expression::Like {
                    value: Box::new(value),
                    pattern,
                    negated,
                }
            }),
            (inner.clone(), inner.clone(), proptest::option::of(inner.clone())).prop_map(
                |(condition, result, otherwise)| Expression::Case {
                    branches: vec![(condition, result)],
                    otherwise: otherwise.map(Box::new)
                }
            ),
            (inner.clone(), inner.clone())
                .prop_map(|(one, two)| Expression::Call(Function::Concat, vec![one, two])),
            inner
                .clone()
                .prop_map(|value| Expression::TryCast(Box::new(value), Type::Date)),
            (inner, any::<bool>()).prop_map(|(value, negated)| Expression::IsNull {
                value: Box::new(value),
                negated
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_itself(expression in expression()) {
        prop_assert_eq!(parse(&expression.to_string()).unwrap(), expression);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "[ -~\u{e4}\u{1f600}]{0,60}") {
        if let Ok(expression) = parse(&text) {
            prop_assert_eq!(parse(&expression.to_string()).unwrap(), expression);
        }
    }
}
