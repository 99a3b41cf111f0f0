use arrow::array::{Array, AsArray};
use arrow::datatypes::{Decimal128Type, TimeUnit, TimestampMicrosecondType, i256};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::json;

use super::*;

/// The value as Arrow prints it.
fn read(value: &Value, data_type: &DataType) -> Result<String, String> {
    let array = typed(value, data_type)?;
    assert_eq!(array.data_type(), data_type);
    assert_eq!(array.len(), 1);
    let options = FormatOptions::default().with_null("NULL");
    let formatter = ArrayFormatter::try_new(&array, &options).unwrap();
    Ok(formatter.value(0).to_string())
}

#[test]
fn values_keep_what_was_written() {
    let utc: Arc<str> = "UTC".into();
    let zurich: Arc<str> = "+01:00".into();
    for (value, data_type, expected) in [
        (json!(true), DataType::Boolean, "true"),
        (json!(-128), DataType::Int8, "-128"),
        (json!(3.0), DataType::Int32, "3"),
        (
            json!(9_007_199_254_740_993_i64),
            DataType::Int64,
            "9007199254740993",
        ),
        (
            json!("9223372036854775807"),
            DataType::Int64,
            "9223372036854775807",
        ),
        (json!(u64::MAX), DataType::UInt64, "18446744073709551615"),
        (json!(0.1), DataType::Float64, "0.1"),
        (json!(0.1), DataType::Float32, "0.1"),
        (json!("-Infinity"), DataType::Float64, "-inf"),
        (json!(901.5), DataType::Decimal128(15, 2), "901.50"),
        (json!("-0.05"), DataType::Decimal128(15, 2), "-0.05"),
        (json!("1e3"), DataType::Decimal128(15, 2), "1000.00"),
        (json!(12), DataType::Decimal256(40, 3), "12.000"),
        (json!("0"), DataType::Decimal128(15, 2), "0.00"),
        (json!(""), DataType::Utf8, ""),
        (json!("AQL/"), DataType::Binary, "0102ff"),
        (json!("AQI"), DataType::FixedSizeBinary(2), "0102"),
        (json!("1998-09-02"), DataType::Date32, "1998-09-02"),
        (json!("1969-12-31"), DataType::Date64, "1969-12-31T00:00:00"),
        (
            json!("13:45:30.25"),
            DataType::Time64(TimeUnit::Microsecond),
            "13:45:30.250",
        ),
        (json!("13:45"), DataType::Time32(TimeUnit::Second), "13:45:00"),
        (
            json!("1998-09-02T13:45:30.000001"),
            DataType::Timestamp(TimeUnit::Microsecond, None),
            "1998-09-02T13:45:30.000001",
        ),
        (
            json!("1998-09-02"),
            DataType::Timestamp(TimeUnit::Second, None),
            "1998-09-02T00:00:00",
        ),
        (
            json!("1998-09-02T13:45:30+02:00"),
            DataType::Timestamp(TimeUnit::Millisecond, Some(utc)),
            "1998-09-02T11:45:30Z",
        ),
        (
            json!("1998-09-02 13:45"),
            DataType::Timestamp(TimeUnit::Second, Some(zurich)),
            "1998-09-02T13:45:00+01:00",
        ),
        (json!(null), DataType::Int32, "NULL"),
    ] {
        assert_eq!(
            read(&value, &data_type).as_deref(),
            Ok(expected),
            "{value} as {data_type}"
        );
    }
}

#[test]
fn what_would_change_is_refused() {
    let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
    for (value, data_type) in [
        (json!(1), DataType::Boolean),
        (json!(128), DataType::Int8),
        (json!(-1), DataType::UInt64),
        (json!(1.5), DataType::Int64),
        (json!(1e19), DataType::Int64),
        (json!(9_007_199_254_740_993.5), DataType::Int64),
        (json!("1.0"), DataType::Int64),
        (json!("abc"), DataType::Float64),
        (json!(1e300), DataType::Float32),
        (json!("0.001"), DataType::Decimal128(15, 2)),
        (json!("1e14"), DataType::Decimal128(15, 2)),
        (json!(0.1234567890123456), DataType::Decimal128(38, 20)),
        (json!("--1"), DataType::Decimal128(15, 2)),
        (json!("."), DataType::Decimal128(15, 2)),
        (json!("1e999999999999"), DataType::Decimal128(15, 2)),
        (json!(5), DataType::Utf8),
        (json!("!"), DataType::Binary),
        (json!("AQL/"), DataType::FixedSizeBinary(2)),
        (json!("1998-02-30"), DataType::Date32),
        (json!(19_980_902), DataType::Date32),
        (json!("1998-09-02T13:45:30.0000001"), naive.clone()),
        (json!("1998-09-02T13:45:30Z"), naive.clone()),
        (json!("soon"), naive),
        (
            json!("1500-01-01T00:00:00"),
            DataType::Timestamp(TimeUnit::Nanosecond, None),
        ),
        (json!([1]), DataType::Int64),
        (
            json!(1),
            DataType::List(Arc::new(arrow::datatypes::Field::new(
                "item",
                DataType::Int64,
                true,
            ))),
        ),
    ] {
        let outcome = typed(&value, &data_type);
        assert!(outcome.is_err(), "{value} as {data_type}: {outcome:?}");
    }
}

#[test]
fn the_widest_values_fit() {
    let nines = "9".repeat(76);
    let wide = typed(&json!(format!("-{nines}")), &DataType::Decimal256(76, 0)).unwrap();
    let expected = i256::from_string(&format!("-{nines}")).unwrap();
    assert_eq!(
        wide.as_primitive::<arrow::datatypes::Decimal256Type>().value(0),
        expected
    );
    let narrow = typed(&json!("9".repeat(38)), &DataType::Decimal128(38, 0)).unwrap();
    assert_eq!(
        narrow.as_primitive::<Decimal128Type>().value(0),
        10_i128.pow(38) - 1
    );
    let early = typed(
        &json!("0001-01-01T00:00:00"),
        &DataType::Timestamp(TimeUnit::Microsecond, None),
    )
    .unwrap();
    assert_eq!(
        early.as_primitive::<TimestampMicrosecondType>().value(0),
        -62_135_596_800_000_000
    );
}

#[test]
fn a_place_without_a_type_takes_what_json_says() {
    let kind = |value: Value| natural(&value).map(|array| array.data_type().clone());
    assert_eq!(kind(json!(1)), Some(DataType::Int64));
    assert_eq!(kind(json!(u64::MAX)), Some(DataType::UInt64));
    assert_eq!(kind(json!(1.5)), Some(DataType::Float64));
    assert_eq!(kind(json!("x")), Some(DataType::Utf8));
    assert_eq!(kind(json!(true)), Some(DataType::Boolean));
    assert_eq!(kind(json!([])), None);
}
