//! The law of pruning over random rows, partitions and predicates: a pruned scan answers as a full one.

use crate::iceberg::fixture::{Lake, answer, column, printed, schema};
use ::iceberg::spec::{PrimitiveType, Transform};
use proptest::prelude::*;

/// A lake over all transforms, partitioned in each way, holding the same rows.
async fn random_lake(transforms: &[(i32, Transform)], rows: &[Row]) -> Lake {
    let lake = Lake::new().await;
    let fields = [
        column(1, "i", PrimitiveType::Int),
        column(2, "d", PrimitiveType::Date),
        column(3, "ts", PrimitiveType::Timestamp),
        column(4, "s", PrimitiveType::String),
        column(5, "x", PrimitiveType::Double),
        column(
            6,
            "n",
            PrimitiveType::Decimal {
                precision: 9,
                scale: 2,
            },
        ),
    ];
    lake.create_partitioned("t", schema(fields), transforms).await;
    for chunk in rows.chunks(7) {
        let values: Vec<String> = chunk.iter().map(Row::sql).collect();
        let sql = format!(
            "SELECT column1::int, column2::date, column3::timestamp, column4::varchar, column5::double, column6::decimal(9,2) \
             FROM (VALUES {})",
            values.join(", ")
        );
        lake.append("t", &sql).await;
    }
    lake
}

#[derive(Clone, Debug)]
struct Row {
    i: Option<i32>,
    day: Option<i32>,
    seconds: Option<i64>,
    s: Option<String>,
    x: Option<&'static str>,
    n: Option<i32>,
}

impl Row {
    fn sql(&self) -> String {
        let or_null = |value: Option<String>| value.unwrap_or_else(|| "NULL".to_owned());
        format!(
            "({}, {}, {}, {}, {}, {})",
            or_null(self.i.map(|v| v.to_string())),
            or_null(self.day.map(|v| format!("arrow_cast({v}, 'Date32')"))),
            or_null(self.seconds.map(|v| format!(
                "arrow_cast({}, 'Timestamp(Microsecond, None)')",
                v * 1_000_000 + 1
            ))),
            or_null(self.s.as_ref().map(|v| format!("'{v}'"))),
            or_null(self.x.map(|v| format!("'{v}'::double"))),
            or_null(self.n.map(|v| format!("{}.{:02}", v / 100, v % 100))),
        )
    }
}

fn row() -> impl Strategy<Value = Row> {
    let double = prop::sample::select(vec!["NaN", "-0.0", "0.0", "1.5", "-7.25", "inf", "-inf", "3e8"]);
    (
        prop::option::weighted(0.9, -30..30_i32),
        prop::option::weighted(0.9, -800..800_i32),
        prop::option::weighted(0.9, -400_000..400_000_i64),
        prop::option::weighted(0.9, "[a-cé]{0,4}"),
        prop::option::weighted(0.9, double),
        prop::option::weighted(0.9, 0..500_i32),
    )
        .prop_map(|(i, day, seconds, s, x, n)| Row {
            i,
            day,
            seconds,
            s,
            x,
            n,
        })
}

fn transforms() -> impl Strategy<Value = Vec<(i32, Transform)>> {
    prop::sample::select(vec![
        vec![],
        vec![(1, Transform::Identity)],
        vec![(1, Transform::Truncate(10)), (2, Transform::Year)],
        vec![(1, Transform::Bucket(3))],
        vec![(2, Transform::Month)],
        vec![(2, Transform::Day)],
        vec![(2, Transform::Identity), (4, Transform::Truncate(1))],
        vec![(3, Transform::Year)],
        vec![(3, Transform::Month)],
        vec![(3, Transform::Day)],
        vec![(3, Transform::Hour)],
        vec![(4, Transform::Identity)],
        vec![(4, Transform::Bucket(2)), (6, Transform::Truncate(50))],
        vec![(6, Transform::Identity)],
    ])
}

fn predicate() -> impl Strategy<Value = String> {
    let op = || prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let double = prop::sample::select(vec![
        "'NaN'::double",
        "0.0",
        "-0.0::double",
        "1.5",
        "-7.25",
        "'inf'::double",
    ]);
    let simple = prop_oneof![
        (op(), -32..32_i32).prop_map(|(op, v)| format!("i {op} {v}")),
        (-32..32_i32, 0..9_i32).prop_map(|(v, w)| format!("i BETWEEN {v} AND {}", v + w)),
        (-32..32_i32, -32..32_i32).prop_map(|(v, w)| format!("i IN ({v}, {w})")),
        (op(), -810..810_i32).prop_map(|(op, v)| format!("d {op} arrow_cast({v}, 'Date32')")),
        (op(), -410_000..410_000_i64).prop_map(|(op, v)| format!(
            "ts {op} arrow_cast({}, 'Timestamp(Microsecond, None)')",
            v * 1_000_000 + 1
        )),
        (op(), "[a-cé]{0,3}").prop_map(|(op, v)| format!("s {op} '{v}'")),
        "[a-cé]{1,2}".prop_map(|v| format!("s LIKE '{v}%'")),
        (op(), double).prop_map(|(op, v)| format!("x {op} {v}")),
        (op(), 0..520_i32).prop_map(|(op, v)| format!("n {op} {}.{:02}", v / 100, v % 100)),
        prop::sample::select(vec![
            "i IS NULL",
            "d IS NOT NULL",
            "ts IS NULL",
            "s IS NULL",
            "x IS NOT NULL",
            "n IS NULL"
        ])
        .prop_map(str::to_owned),
    ];
    let simple = simple.boxed();
    prop_oneof![
        simple.clone(),
        (simple.clone(), simple.clone()).prop_map(|(a, b)| format!("({a}) AND ({b})")),
        (simple.clone(), simple.clone()).prop_map(|(a, b)| format!("({a}) OR ({b})")),
        (simple.clone(), simple).prop_map(|(a, b)| format!("NOT (({a}) AND ({b}))")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48,
        failure_persistence: None, ..ProptestConfig::default() })]

    /// The law of pruning: the rows of a pruned scan are those of a full one.
    #[test]
    fn a_pruned_scan_answers_as_a_full_scan(
        by in transforms(),
        rows in prop::collection::vec(row(), 1..40),
        predicates in prop::collection::vec(predicate(), 12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let lake = random_lake(&by, &rows).await;
            let context = lake.session(&["t"]).await;
            let all = answer(&context, "SELECT * FROM t").await;
            let fields = std::sync::Arc::new(all[0].schema().as_ref().clone());
            let plain = datafusion::datasource::MemTable::try_new(fields, vec![all]).unwrap();
            context.register_table("plain", std::sync::Arc::new(plain)).unwrap();
            for predicate in predicates {
                let mut answers = Vec::new();
                for table in ["t", "plain"] {
                    let sql = format!("SELECT i, d, ts, s, x, n FROM {table} WHERE {predicate} ORDER BY 1, 2, 3, 4, 5, 6");
                    let rows = answer(&context, &sql).await;
                    answers.push(printed(&rows));
                }
                assert_eq!(answers[0], answers[1], "{predicate} over {by:?}");
                let counts = format!("SELECT count(*), count(x), min(i), max(d), min(ts), max(n), min(s), max(x) FROM {{}} WHERE {predicate}");
                let of = |table: &str| counts.replace("{}", table);
                let left = answer(&context, &of("t")).await;
                let right = answer(&context, &of("plain")).await;
                assert_eq!(printed(&left), printed(&right), "{predicate} over {by:?}");
            }
        });
    }
}
