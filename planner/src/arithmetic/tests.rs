//! Random operands near the ends of their types, as literals and as columns: the engine gives the exact result or refuses.

#![expect(
    clippy::disallowed_methods,
    reason = "the session under test is asked as the engine itself asks it, with statements of ours"
)]

use arrow::array::{Array as _, RecordBatch};
use arrow::datatypes::{DataType, i256};
use datafusion::prelude::SessionContext;

use crate::config::Config;
use crate::error::Error;
use crate::session::Sessions;

fn session() -> SessionContext {
    let sessions = Sessions::open(&Config::default()).unwrap();
    SessionContext::new_with_state(sessions.bare().clone())
}

async fn ask(session: &SessionContext, sql: &str) -> Result<RecordBatch, Error> {
    let batches = session.sql(sql).await?.collect().await?;
    Ok(arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap())
}

/// The one value of an answer, and its type.
async fn one(session: &SessionContext, sql: &str) -> Result<(String, DataType), Error> {
    let batch = ask(session, sql).await?;
    let column = batch.column(0);
    assert_eq!(column.len(), 1, "{sql}");
    let text = arrow::util::display::array_value_to_string(column, 0).unwrap();
    Ok((text, column.data_type().clone()))
}

async fn refused(session: &SessionContext, sql: &str, operation: &str, data_type: &str) {
    match one(session, sql).await {
        Err(Error::Overflow {
            operation: found,
            data_type: of,
        }) => assert_eq!((found.as_str(), of.as_str()), (operation, data_type), "{sql}"),
        other => panic!("{sql}: {other:?}"),
    }
}

/// A small generator, so that a seed tells the whole run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

const INTEGERS: [(&str, DataType, i128, i128); 5] = [
    ("TINYINT", DataType::Int8, i8::MIN as i128, i8::MAX as i128),
    ("SMALLINT", DataType::Int16, i16::MIN as i128, i16::MAX as i128),
    ("INT", DataType::Int32, i32::MIN as i128, i32::MAX as i128),
    ("BIGINT", DataType::Int64, i64::MIN as i128, i64::MAX as i128),
    ("BIGINT UNSIGNED", DataType::UInt64, 0, u64::MAX as i128),
];

/// A value near an end of its range, near zero, or in the middle.
fn integer(random: &mut Random, least: i128, most: i128) -> i128 {
    let near = i128::from(random.below(4));
    let value = match random.below(4) {
        0 => least + near,
        1 => most - near,
        2 => near - 1,
        _ => least + (i128::from(random.next()) % (most - least + 1)),
    };
    value.clamp(least, most)
}

#[tokio::test]
async fn integers_are_exact_or_refused() {
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into();
    println!("seed {seed}");
    let mut random = Random(seed);
    let session = session();
    for _ in 0..400 {
        let (name, data_type, least, most) = &INTEGERS[random.below(5) as usize];
        let (left, right) = (
            integer(&mut random, *least, *most),
            integer(&mut random, *least, *most),
        );
        let (sign, exact) = match random.below(5) {
            0 => ("+", left + right),
            1 => ("-", left - right),
            // Two of the largest unsigned ones have more than 127 bits.
            2 => ("*", left.saturating_mul(right)),
            3 if right != 0 => ("/", left / right),
            _ if right != 0 => ("%", left % right),
            _ => continue,
        };
        for sql in forms(name, &left.to_string(), sign, &right.to_string()) {
            let answer = one(&session, &sql).await;
            match ((*least..=*most).contains(&exact), answer) {
                (true, Ok((found, of))) => assert_eq!((found, &of), (exact.to_string(), data_type), "{sql}"),
                (false, Err(Error::Overflow { operation, .. })) => assert_eq!(operation, sign, "{sql}"),
                (_, other) => panic!("{sql}: {exact} expected, not {other:?}"),
            }
        }
    }
}

/// An operator over literals, and over columns.
fn forms(data_type: &str, left: &str, sign: &str, right: &str) -> [String; 3] {
    let (left, right) = (
        format!("CAST('{left}' AS {data_type})"),
        format!("CAST('{right}' AS {data_type})"),
    );
    [
        format!("SELECT {left} {sign} {right}"),
        format!("SELECT a {sign} b FROM (VALUES ({left}, {right})) AS v (a, b)"),
        format!("SELECT a {sign} {right} FROM (VALUES ({left}), ({left})) AS v (a) LIMIT 1"),
    ]
}

/// A text of up to `digits` digits with `scale` of them behind the point, and its value without the point.
fn decimal(random: &mut Random, precision: u32, scale: u32) -> (String, i256) {
    let digits = match random.below(3) {
        0 => precision,
        _ => 1 + random.below(precision.into()) as u32,
    };
    let mut text: String = (0..digits)
        .map(|_| match random.below(2) {
            0 => '9',
            _ => char::from(b'0' + random.below(10) as u8),
        })
        .collect();
    while text.len() <= scale as usize {
        text.insert(0, '0');
    }
    let negative = random.below(2) == 0;
    let mut value = i256::from_string(&text).unwrap();
    text.insert(text.len() - scale as usize, '.');
    if negative {
        text.insert(0, '-');
        value = -value;
    }
    (text.trim_end_matches('.').to_owned(), value)
}

fn ten(power: i8) -> i256 {
    i256::from_i128(10)
        .checked_pow(u32::try_from(power).unwrap())
        .unwrap()
}

#[tokio::test]
async fn decimals_are_exact_or_refused() {
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into();
    println!("seed {seed}");
    let mut random = Random(seed);
    let session = session();
    for _ in 0..400 {
        let precision = if random.below(2) == 0 {
            38
        } else {
            1 + random.below(38) as u32
        };
        let scale = random.below(u64::from(precision.min(18)) + 1) as u32;
        let name = format!("DECIMAL({precision}, {scale})");
        let (left, a) = decimal(&mut random, precision, scale);
        let (right, b) = decimal(&mut random, precision, scale);
        let (sign, exact, of) = match random.below(3) {
            0 => ("+", a.checked_add(b), scale),
            1 => ("-", a.checked_sub(b), scale),
            _ => ("*", a.checked_mul(b), scale * 2),
        };
        let exact = exact.unwrap();
        for sql in forms(&name, &left, sign, &right) {
            match one(&session, &sql).await {
                Ok((found, DataType::Decimal128(digits, scale))) => {
                    assert_eq!(u32::try_from(scale).unwrap(), of, "{sql}");
                    let plain = i256::from_string(&found.replace('.', "")).unwrap();
                    assert_eq!(plain, exact, "{sql}: {found}");
                    let limit = ten(i8::try_from(digits).unwrap());
                    assert!(plain < limit && plain > -limit, "{sql}: {found}");
                }
                Err(Error::Overflow { operation, .. }) => {
                    assert_eq!(operation, sign, "{sql}");
                    let limit = ten(38);
                    assert!(exact >= limit || exact <= -limit, "{sql}: {exact} has its place");
                }
                other => panic!("{sql}: {exact} expected, not {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn signs_absolutes_and_times_are_exact_or_refused() {
    let session = session();
    let column = |value: &str, expr: &str| format!("SELECT {expr} FROM (VALUES ({value})) AS v (x)");
    let least = "CAST('-9223372036854775808' AS BIGINT)";
    refused(&session, &column(least, "-x"), "-", "BIGINT").await;
    refused(&session, &format!("SELECT -({least})"), "-", "BIGINT").await;
    refused(&session, &column(least, "x / -1"), "/", "BIGINT").await;
    refused(&session, &column("CAST(-128 AS TINYINT)", "-x"), "-", "TINYINT").await;
    assert!(one(&session, &column(least, "abs(x)")).await.is_err());
    assert_eq!(one(&session, &column(least, "x % -1")).await.unwrap().0, "0");
    for (value, expr) in [
        ("DATE '9999-12-31'", "x + INTERVAL '300000 years'"),
        ("DATE '2024-01-01'", "x - INTERVAL '300000 years'"),
        ("TIMESTAMP '2262-04-11 00:00:00'", "x + INTERVAL '1 year'"),
        ("INTERVAL '2147483647 months'", "x + INTERVAL '1 month'"),
        ("INTERVAL '2147483647 days'", "x + INTERVAL '1 day'"),
    ] {
        for sql in [
            column(value, expr),
            format!("SELECT {}", expr.replace('x', value)),
        ] {
            let answer = one(&session, &sql).await;
            assert!(matches!(answer, Err(Error::Overflow { .. })), "{sql}: {answer:?}");
        }
    }
    let sql = column("DATE '9999-12-31'", "CAST(x AS TIMESTAMP)");
    assert!(one(&session, &sql).await.is_err(), "{sql}");
    let sql = column("9223372036854775807", "to_timestamp(x)");
    assert!(one(&session, &sql).await.is_err(), "{sql}");
}

#[tokio::test]
async fn a_branch_that_is_not_taken_may_overflow() {
    let session = session();
    let sql = "SELECT CASE WHEN x < 0 THEN 9223372036854775807 + 1 ELSE x END FROM (VALUES (1)) AS v (x)";
    assert_eq!(one(&session, sql).await.unwrap().0, "1");
    let sql =
        "SELECT CASE WHEN x < 0 THEN x + 9223372036854775807 ELSE x END FROM (VALUES (1), (-1)) AS v (x)";
    assert_eq!(
        one(&session, &format!("{sql} ORDER BY 1 LIMIT 1"))
            .await
            .unwrap()
            .0,
        "1"
    );
}

/// The rows in one partition and in several, grouped and not, and through a state of partial sums.
fn totals(call: &str, values: &str) -> Vec<String> {
    vec![
        format!("SELECT {call} FROM (VALUES {values}) AS v (x)"),
        format!("SELECT {call} FROM (VALUES {values}) AS v (x) GROUP BY x IS NULL LIMIT 1"),
        format!("SELECT {call} OVER () FROM (VALUES {values}) AS v (x) LIMIT 1"),
        format!(
            "SELECT {call} FROM (SELECT x FROM (VALUES {values}) AS v (x) UNION ALL SELECT NULL WHERE false) AS u"
        ),
    ]
}

#[tokio::test]
async fn sums_are_exact_or_refused() {
    let session = session();
    let most = "9223372036854775807";
    for sql in totals("sum(x)", &format!("({most}), (1)")) {
        refused(&session, &sql, "sum", "BIGINT").await;
    }
    // The order of the rows decides nothing.
    for sql in totals("sum(x)", &format!("({most}), (1), (-2)")) {
        assert_eq!(
            one(&session, &sql).await.unwrap(),
            ("9223372036854775806".to_owned(), DataType::Int64),
            "{sql}"
        );
    }
    let nines = "CAST('99999999999999999999999999999999999999' AS DECIMAL(38, 0))";
    for sql in totals("sum(x)", &format!("({nines}), ({nines})")) {
        refused(&session, &sql, "sum", "DECIMAL(38,0)").await;
    }
    for sql in totals("sum(x)", &format!("({nines}), (-{nines}), (-1)")) {
        assert_eq!(one(&session, &sql).await.unwrap().0, "-1", "{sql}");
    }
    for sql in totals("avg(x)", &format!("({nines}), ({nines})")) {
        refused(&session, &sql, "avg", "DECIMAL(38,4)").await;
    }
    let many = "CAST('9999999999999999999999999999999999' AS DECIMAL(38, 0))";
    for sql in totals("avg(x)", &format!("({many}), ({many}), ({many})")) {
        assert_eq!(
            one(&session, &sql).await.unwrap().0,
            "9999999999999999999999999999999999.0000",
            "{sql}"
        );
    }
    refused(
        &session,
        &format!("SELECT sum(DISTINCT x) FROM (VALUES ({most}), (1), (1)) AS v (x)"),
        "sum",
        "BIGINT",
    )
    .await;
    refused(
        &session,
        "SELECT sum(x) FROM (VALUES (CAST('18446744073709551615' AS BIGINT UNSIGNED)), (CAST(1 AS BIGINT UNSIGNED))) AS v (x)",
        "sum",
        "BIGINT",
    )
    .await;
}

#[tokio::test]
async fn sums_and_averages_are_the_plain_ones_elsewhere() {
    let session = session();
    let values = "(1, 1), (2, 1), (NULL, 1), (4, 2), (4, 2), (NULL, 3)";
    for (call, expected) in [
        ("sum(x)", ["3", "8", ""]),
        ("sum(x) FILTER (WHERE x > 1)", ["2", "8", ""]),
        ("sum(DISTINCT x)", ["3", "4", ""]),
        ("sum(CAST(x AS DECIMAL(5, 2)))", ["3.00", "8.00", ""]),
        ("avg(CAST(x AS DECIMAL(5, 2)))", ["1.500000", "4.000000", ""]),
        (
            "avg(DISTINCT CAST(x AS DECIMAL(5, 2)))",
            ["1.500000", "4.000000", ""],
        ),
        ("sum(CAST(x AS DOUBLE))", ["3.0", "8.0", ""]),
        ("avg(x)", ["1.5", "4.0", ""]),
        ("sum(CAST(x AS DECIMAL(50, 2)))", ["3.00", "8.00", ""]),
    ] {
        for from in [
            format!("(VALUES {values}) AS v (x, g)"),
            format!("(SELECT * FROM (VALUES {values}) AS v (x, g) UNION ALL SELECT NULL, 1) AS u"),
        ] {
            let sql = format!("SELECT g, {call} FROM {from} GROUP BY g ORDER BY g");
            let batch = ask(&session, &sql).await.unwrap();
            let found: Vec<String> = (0..batch.num_rows())
                .map(|row| arrow::util::display::array_value_to_string(batch.column(1), row).unwrap())
                .collect();
            assert_eq!(found, expected, "{sql}");
        }
    }
    let sql = "SELECT sum(x) OVER (ORDER BY g ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) \
               FROM (VALUES (1, 1), (NULL, 2), (NULL, 3), (5, 4)) AS v (x, g) ORDER BY g";
    let batch = ask(&session, sql).await.unwrap();
    let found: Vec<String> = (0..4)
        .map(|row| arrow::util::display::array_value_to_string(batch.column(0), row).unwrap())
        .collect();
    assert_eq!(found, ["1", "1", "", "5"]);
}

#[tokio::test]
async fn names_and_types_of_columns_stay() {
    let session = session();
    for expr in ["x + 1", "-x", "x * (x - 1) / 2", "sum(x + 1)", "1 + 1"] {
        let sql = format!("SELECT {expr} FROM (VALUES (1)) AS v (x)");
        let frame = session.sql(&sql).await.unwrap();
        let before = frame.schema().as_arrow().clone();
        let batches = frame.collect().await.unwrap();
        assert_eq!(*batches[0].schema(), before, "{sql}");
    }
}

#[tokio::test]
async fn long_chains_are_still_planned() {
    // As every statement is: on a thread with a large stack.
    let runtime = crate::runtime::CpuRuntime::start(&Config::default()).unwrap();
    let work = async {
        let session = session();
        for (term, from) in [("1", ""), ("x", " FROM (VALUES (1)) AS v (x)")] {
            let sql = format!("SELECT {}{from}", vec![term; 2_000].join(" + "));
            assert_eq!(one(&session, &sql).await?.0, "2000");
        }
        Ok(())
    };
    runtime.run(work).await.unwrap();
}

#[tokio::test]
async fn places_beyond_the_digits_of_a_double_change_nothing() {
    let session = session();
    for (expr, expected) in [
        ("round(x, 400)", "1.25"),
        ("round(x, 308)", "1.25"),
        ("round(x * 100, 307)", "125.0"),
        ("round(x, 1)", "1.3"),
        ("trunc(x, 1)", "1.2"),
        ("trunc(x, 4294967296)", "1.25"),
        ("round(x, -400)", "0.0"),
        ("trunc(1234.5e0 * x, -2)", "1500.0"),
        ("round(x, p)", "1.25"),
        ("round(NULL::double, 2)", ""),
        ("round('NaN'::double, 400)", "NaN"),
    ] {
        let sql = format!("SELECT {expr} FROM (VALUES (1.25e0, 500)) AS v (x, p)");
        assert_eq!(one(&session, &sql).await.unwrap().0, expected, "{expr}");
    }
}
