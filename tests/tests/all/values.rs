//! A law of values: what a client binds as a parameter is what it gets back, through both doors, whatever the value.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tests::{Flight, Gateway};
use tokio::runtime::Runtime;

/// One value of a column and the SQL type that it is bound as.
fn value() -> impl Strategy<Value = (&'static str, ArrayRef)> {
    prop_oneof![
        any::<Option<i64>>().prop_map(|v| ("BIGINT", Arc::new(Int64Array::from(vec![v])) as ArrayRef)),
        any::<Option<bool>>().prop_map(|v| ("BOOLEAN", Arc::new(BooleanArray::from(vec![v])) as ArrayRef)),
        any::<f64>().prop_map(|v| ("DOUBLE", Arc::new(Float64Array::from(vec![v])) as ArrayRef)),
        any::<Option<String>>().prop_map(|v| ("VARCHAR", Arc::new(StringArray::from(vec![v])) as ArrayRef)),
        any::<Vec<u8>>().prop_map(|v| (
            "BYTEA",
            Arc::new(BinaryArray::from(vec![v.as_slice()])) as ArrayRef
        )),
        // The years 1 to 9999, which every client can print.
        (-719_162_i32..2_932_896).prop_map(|v| ("DATE", Arc::new(Date32Array::from(vec![v])) as ArrayRef)),
        (-(10_i128.pow(18))..10_i128.pow(18)).prop_map(|v| {
            let array = Decimal128Array::from(vec![v])
                .with_precision_and_scale(20, 4)
                .expect("in bounds");
            ("DECIMAL(20, 4)", Arc::new(array) as ArrayRef)
        }),
        // What a 64-bit count of nanoseconds reaches, the engine's own timestamp: 1678 to 2261.
        (-9_214_560_000_000_000_i64..9_183_110_400_000_000).prop_map(|v| {
            (
                "TIMESTAMP",
                Arc::new(TimestampMicrosecondArray::from(vec![v])) as ArrayRef,
            )
        }),
    ]
}

async fn echoed(flight: &mut Flight, kind: &str, sent: &ArrayRef) -> ArrayRef {
    let sql = format!("SELECT CAST(? AS {kind}) AS v");
    let mut prepared = flight.client().prepare(sql, None).await.expect("a handle");
    let batch = RecordBatch::try_from_iter([("1", Arc::clone(sent))]).expect("a batch");
    prepared.set_parameters(batch).expect("parameters");
    let info = prepared.execute().await.expect("a plan");
    let answer = flight.fetch(info).await.expect("an answer");
    Arc::clone(answer.batches[0].column(0))
}

#[test]
fn a_bound_value_comes_back_as_it_went() {
    let runtime = Runtime::new().expect("a runtime");
    let gateway = Gateway::shared();
    let flight = runtime.block_on(gateway.flight("viewer")).expect("a connection");
    let config = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&value(), |(kind, sent)| {
        let back = runtime.block_on(echoed(&mut flight.clone(), kind, &sent));
        let same = cast(&back, sent.data_type()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        // NaN differs from itself; its bits do not.
        prop_assert_eq!(same.to_data(), sent.to_data());
        Ok(())
    });
    outcome.expect("every value comes back");
}

#[test]
fn a_text_literal_comes_back_as_it_was_quoted() {
    let runtime = Runtime::new().expect("a runtime");
    let gateway = Gateway::shared();
    let flight = runtime.block_on(gateway.flight("viewer")).expect("a connection");
    let rest = gateway.rest("viewer");
    let config = Config {
        cases: 100,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&any::<String>(), |text| {
        let sql = format!("SELECT '{}' AS v", text.replace('\'', "''"));
        let by_flight = runtime.block_on(flight.clone().query(&sql)).expect("an answer");
        let by_rest = runtime.block_on(rest.query(&sql)).expect("an answer");
        prop_assert_eq!(by_flight.text(), Some(text.clone()));
        prop_assert_eq!(by_rest.text(), Some(text));
        Ok(())
    });
    outcome.expect("every text comes back");
}
