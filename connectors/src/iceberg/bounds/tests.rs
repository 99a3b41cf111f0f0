use super::*;
use iceberg::spec::Datum;

fn date(text: &str) -> ScalarValue {
    let PrimitiveLiteral::Int(days) = Datum::date_from_str(text).unwrap().literal().clone() else {
        panic!()
    };
    ScalarValue::Date32(Some(days))
}

fn both(
    transform: Transform,
    value: i32,
    of: PrimitiveType,
    target: &DataType,
) -> (ScalarValue, ScalarValue) {
    let literal = PrimitiveLiteral::Int(value);
    (
        preimage(transform, &literal, &of, target, Side::Min).unwrap(),
        preimage(transform, &literal, &of, target, Side::Max).unwrap(),
    )
}

#[test]
fn a_period_covers_its_first_and_last_day() {
    let int = PrimitiveType::Int;
    assert_eq!(
        both(Transform::Year, 25, int.clone(), &DataType::Date32),
        (date("1995-01-01"), date("1995-12-31"))
    );
    assert_eq!(
        both(Transform::Month, 25 * 12 + 1, int, &DataType::Date32),
        (date("1995-02-01"), date("1995-02-28"))
    );
    assert_eq!(
        both(Transform::Day, 40, PrimitiveType::Date, &DataType::Date32),
        (date("1970-02-10"), date("1970-02-10"))
    );
}

#[test]
fn a_period_before_1970_reaches_one_period_back() {
    // 1969-12 is month -1; an old writer may have put November there.
    let (min, max) = both(Transform::Month, -1, PrimitiveType::Int, &DataType::Date32);
    assert_eq!((min, max), (date("1969-11-01"), date("1969-12-31")));
}

#[test]
fn a_day_of_instants_ends_one_microsecond_before_the_next() {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let (min, max) = both(Transform::Day, 1, PrimitiveType::Date, &micros);
    assert_eq!(min, ScalarValue::TimestampMicrosecond(Some(86_400_000_000), None));
    assert_eq!(
        max,
        ScalarValue::TimestampMicrosecond(Some(2 * 86_400_000_000 - 1), None)
    );
}

#[test]
fn a_truncated_integer_covers_its_width_and_never_overflows() {
    let (min, max) = both(Transform::Truncate(10), 20, PrimitiveType::Int, &DataType::Int32);
    assert_eq!(
        (min, max),
        (ScalarValue::Int32(Some(20)), ScalarValue::Int32(Some(29)))
    );
    let (_, max) = both(
        Transform::Truncate(10),
        i32::MAX - 3,
        PrimitiveType::Int,
        &DataType::Int32,
    );
    assert_eq!(max, ScalarValue::Int32(Some(i32::MAX)));
}

#[test]
fn a_truncated_string_has_no_upper_side() {
    let value = PrimitiveLiteral::String("ab".into());
    let side = |side| {
        preimage(
            Transform::Truncate(2),
            &value,
            &PrimitiveType::String,
            &DataType::Utf8View,
            side,
        )
    };
    assert_eq!(side(Side::Min), Some(ScalarValue::Utf8View(Some("ab".into()))));
    assert_eq!(side(Side::Max), None);
}

#[test]
fn a_bucket_says_nothing() {
    let value = PrimitiveLiteral::Int(3);
    assert_eq!(
        preimage(
            Transform::Bucket(8),
            &value,
            &PrimitiveType::Int,
            &DataType::Int32,
            Side::Min
        ),
        None
    );
}

#[test]
fn a_zero_bound_covers_both_zeros() {
    let zero = Datum::double(0.0);
    let min = bound(zero.literal(), zero.data_type(), &DataType::Float64, Side::Min).unwrap();
    let ScalarValue::Float64(Some(min)) = min else {
        panic!()
    };
    assert!(min.is_sign_negative());
}

#[test]
fn an_old_int_bound_serves_a_long_column() {
    let old = Datum::int(7);
    assert_eq!(
        bound(old.literal(), old.data_type(), &DataType::Int64, Side::Max),
        Some(ScalarValue::Int64(Some(7)))
    );
    // A date read as an integer would be a wrong bound.
    let date = Datum::date(7);
    assert_eq!(
        bound(date.literal(), date.data_type(), &DataType::Int32, Side::Max),
        None
    );
}

#[test]
fn intersecting_keeps_the_tighter_bound() {
    let int = |v| Some(ScalarValue::Int32(Some(v)));
    let left = Range {
        min: int(1),
        max: int(9),
        nulls: None,
    };
    let right = Range {
        min: int(3),
        max: None,
        nulls: Some(0),
    };
    assert_eq!(
        left.intersect(right),
        Range {
            min: int(3),
            max: int(9),
            nulls: Some(0)
        }
    );
}
