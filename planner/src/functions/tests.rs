#![expect(
    clippy::disallowed_methods,
    reason = "the session under test is asked as the engine itself asks it, with statements of ours"
)]

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, Date32Array, Int64Array, IntervalMonthDayNanoArray, StringArray};
use arrow::datatypes::IntervalMonthDayNano;
use datafusion::logical_expr::ColumnarValue;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use super::measure::{self, Arguments, Measure};
use super::{BYTES_MAX, STEPS_MAX};
use crate::config::Config;
use crate::error::Error;
use crate::session::Sessions;

fn numbers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn bytes(measure: Measure, args: &[ArrayRef]) -> u128 {
    let rows = args.iter().map(|array| array.len()).max().unwrap();
    let values: Vec<ColumnarValue> = args.iter().cloned().map(ColumnarValue::Array).collect();
    measure(&Arguments::of(&values, rows).unwrap()).unwrap().bytes
}

#[test]
fn ranges_are_measured_by_their_elements() {
    let of = |args: &[ArrayRef]| bytes(measure::ranges, args);
    assert_eq!(of(&[numbers(&[10])]), 88);
    assert_eq!(of(&[numbers(&[5, 0]), numbers(&[10, 1])]), (6 + 2) * 8);
    assert_eq!(of(&[numbers(&[0]), numbers(&[100]), numbers(&[10])]), 88);
    assert_eq!(of(&[numbers(&[100]), numbers(&[0]), numbers(&[-10])]), 88);
    assert!(of(&[numbers(&[i64::MIN]), numbers(&[i64::MAX])]) > BYTES_MAX);
    assert!(of(&[numbers(&[0]), numbers(&[10_000_000_000]), numbers(&[0])]) > BYTES_MAX);
}

#[test]
fn ranges_of_days_are_measured_by_their_step() {
    let of = |args: &[ArrayRef]| bytes(measure::ranges, args);
    let day = |days| Arc::new(Date32Array::from(vec![days])) as ArrayRef;
    let step = |months, days, nanoseconds| {
        Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano {
            months,
            days,
            nanoseconds,
        }])) as ArrayRef
    };
    assert_eq!(of(&[day(0), day(10), step(0, 1, 0)]), 88);
    assert!(of(&[day(0), day(365), step(1, 0, 0)]) < 20 * 8);
    assert!(of(&[day(0), day(36_500), step(0, 0, 1)]) > BYTES_MAX);
}

#[test]
fn texts_are_measured_by_what_they_become() {
    assert_eq!(
        bytes(
            measure::repeated,
            &[texts(&["ab", ""]), numbers(&[3, 1_000_000_000])]
        ),
        6
    );
    assert!(bytes(measure::repeated, &[texts(&["ab"]), numbers(&[i64::MAX])]) > BYTES_MAX);
    assert_eq!(bytes(measure::repeated, &[texts(&["ab"]), numbers(&[-1])]), 0);
    assert_eq!(bytes(measure::padded, &[texts(&["a"]), numbers(&[10])]), 40);
    assert_eq!(
        bytes(
            measure::replaced,
            &[texts(&["aaaa"]), texts(&["a"]), texts(&["bbb"])]
        ),
        16
    );
    assert_eq!(
        bytes(measure::items_repeated, &[numbers(&[7]), numbers(&[4])]),
        32
    );
    assert_eq!(bytes(measure::resized, &[numbers(&[0]), numbers(&[4])]), 64);
    assert_eq!(
        bytes(measure::joined, &[texts(&["ab", "c"]), texts(&["d", "ef"])]),
        6
    );
}

#[test]
fn one_value_for_all_rows_counts_in_each() {
    let long = ColumnarValue::Scalar(ScalarValue::from("x".repeat(1_000)));
    let column = ColumnarValue::Array(texts(&["a"; 8]));
    let args = Arguments::of(&[long.clone(), column], 8).unwrap();
    assert_eq!(measure::joined(&args).unwrap().bytes, 8 * 1_001);
    let alone = Arguments::of(&[long.clone(), long], 8).unwrap();
    assert_eq!(measure::joined(&alone).unwrap().bytes, 2_000);
}

#[test]
fn long_work_is_measured_by_its_steps() {
    let steps = |measure: Measure, args: &[&str]| {
        let values: Vec<ColumnarValue> = args
            .iter()
            .map(|text| ColumnarValue::Scalar(ScalarValue::from(*text)))
            .collect();
        measure(&Arguments::of(&values, 1).unwrap()).unwrap().steps
    };
    assert_eq!(steps(measure::compared, &["abc", "de"]), 12);
    let long = "x".repeat(100_000);
    assert!(steps(measure::compared, &[&long, &long]) > STEPS_MAX);
    assert!(steps(measure::searched, &[&long, "(a{100}){100}b"]) > STEPS_MAX);
    assert!(steps(measure::searched, &[&long, "^a.*b$"]) < STEPS_MAX);
}

async fn refused(sql: &str) -> Error {
    let sessions = Sessions::open(&Config::default()).unwrap();
    let session = SessionContext::new_with_state(sessions.bare().clone());
    match session.sql(sql).await {
        Ok(frame) => frame
            .collect()
            .await
            .map(|batches| batches.len())
            .unwrap_err()
            .into(),
        Err(error) => error.into(),
    }
}

#[tokio::test]
async fn the_calls_of_a_statement_share_what_they_may_make() {
    let one = "SELECT length(repeat('x', 200000000))";
    let sessions = Sessions::open(&Config::default()).unwrap();
    let session = SessionContext::new_with_state(sessions.bare().clone());
    assert!(session.sql(one).await.unwrap().collect().await.is_ok());
    let many: Vec<String> = (0..100)
        .map(|at| format!("length(repeat('x', 20000000 + {at}))"))
        .collect();
    let error = refused(&format!("SELECT {}", many.join(", "))).await;
    assert!(matches!(error, Error::TooMuch { .. }), "{error:?}");
}
