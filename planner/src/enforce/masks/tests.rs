use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Date32Array, Decimal128Array, Int8Array, Int64Array, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use policies::{Mask, Unit};

use super::Change;

fn changed(mask: &Mask, values: ArrayRef) -> ArrayRef {
    let change = Change::of(mask, values.data_type()).unwrap().unwrap();
    let changed = change.apply(&values).unwrap();
    assert_eq!(
        (changed.data_type(), changed.len()),
        (values.data_type(), values.len())
    );
    changed
}

fn texts(mask: &Mask, values: &[Option<&str>]) -> Vec<Option<String>> {
    let values: StringArray = values.iter().copied().collect();
    for of in [DataType::Utf8View, DataType::LargeUtf8] {
        changed(mask, cast(&values, &of).unwrap());
    }
    let changed = changed(mask, Arc::new(values));
    changed
        .as_string::<i32>()
        .iter()
        .map(|text| text.map(str::to_owned))
        .collect()
}

#[test]
fn a_partial_mask_counts_characters_and_hides_a_short_text_whole() {
    let last = Mask::Partial {
        first: 0,
        last: 4,
        with: '*',
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        texts(
            &last,
            &[
                Some("25-989-741-2988"),
                Some("2988"),
                Some("12345"),
                Some(""),
                None,
                Some("äöüßé")
            ]
        ),
        [
            some("***********2988"),
            some("****"),
            some("*2345"),
            some(""),
            None,
            some("*öüßé")
        ]
    );
    let both = Mask::Partial {
        first: 1,
        last: 1,
        with: '·',
    };
    assert_eq!(
        texts(&both, &[Some("secret"), Some("ab")]),
        [some("s····t"), some("··")]
    );
}

#[test]
fn a_bucket_is_the_multiple_below_and_never_overflows() {
    let mask = |width| Mask::Bucket { width };
    let of = |width, values: Vec<i64>| {
        let changed = changed(&mask(width), Arc::new(Int64Array::from(values)));
        let changed = changed.as_primitive::<Int64Type>();
        changed.iter().collect::<Vec<_>>()
    };
    assert_eq!(
        of(10, vec![0, 9, 10, -1, -10, 15]),
        [0, 0, 10, -10, -10, 10].map(Some)
    );
    assert_eq!(of(10, vec![i64::MIN, i64::MAX]), [None, Some(i64::MAX / 10 * 10)]);
    changed(
        &mask(u64::MAX >> 1),
        Arc::new(Int8Array::from(vec![i8::MIN, -1, 0, i8::MAX])),
    );
    changed(&mask(7), Arc::new(UInt64Array::from(vec![0, u64::MAX])));
    let decimals = |values: Vec<i128>| {
        Arc::new(
            Decimal128Array::from(values)
                .with_precision_and_scale(5, 2)
                .unwrap(),
        )
    };
    let found = changed(&mask(10), decimals(vec![1234, 99_999, -99_999, 999]));
    let found = found.as_primitive::<arrow::datatypes::Decimal128Type>();
    assert_eq!(
        found.iter().collect::<Vec<_>>(),
        [Some(1000), Some(99_000), None, Some(0)]
    );
}

#[test]
fn a_time_is_cut_to_its_unit_at_any_end_of_the_calendar() {
    let mask = |to| Mask::Truncate { to };
    let day = |text: &str| {
        let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
        cast(&text, &DataType::Date32)
            .unwrap()
            .as_primitive::<Date32Type>()
            .value(0)
    };
    for (to, expected) in [
        (Unit::Year, "1969-01-01"),
        (Unit::Quarter, "1969-04-01"),
        (Unit::Month, "1969-05-01"),
        (Unit::Day, "1969-05-17"),
        (Unit::Hour, "1969-05-17"),
    ] {
        let found = changed(&mask(to), Arc::new(Date32Array::from(vec![day("1969-05-17")])));
        assert_eq!(
            found.as_primitive::<Date32Type>().value(0),
            day(expected),
            "{to:?}"
        );
        changed(
            &mask(to),
            Arc::new(Date32Array::from(vec![i32::MIN, i32::MAX, 0])),
        );
        let extremes = TimestampMicrosecondArray::from(vec![i64::MIN, i64::MAX, 0]);
        changed(&mask(to), Arc::new(extremes.clone()));
        changed(&mask(to), Arc::new(extremes.with_timezone("+02:00")));
    }
}

#[test]
fn a_constant_is_of_the_column_or_the_mask_is_refused() {
    let mask = |text: &str| Mask::Constant(text.to_owned());
    let fits = |text: &str, of: &DataType| Change::of(&mask(text), of).is_ok();
    assert!(fits("7", &DataType::Int32) && fits("1.50", &DataType::Decimal128(5, 2)));
    assert!(fits("hidden", &DataType::Utf8View) && fits("true", &DataType::Boolean));
    assert!(fits("2020-01-01", &DataType::Date32));
    assert!(!fits("x", &DataType::Int32) && !fits("300", &DataType::Int8));
    assert!(!fits("1.555", &DataType::Decimal128(5, 2)) && !fits("x", &DataType::Boolean));
    assert!(!fits("x", &DataType::Binary));
    let found = changed(&mask("7"), Arc::new(Int64Array::from(vec![Some(1), None])));
    assert_eq!(
        found.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(7), Some(7)]
    );
    let null = changed(&Mask::Null, Arc::new(Int64Array::from(vec![1, 2])));
    assert_eq!(null.null_count(), 2);
    assert!(Change::of(&Mask::Bucket { width: 2 }, &DataType::Utf8).is_err());
    assert!(Change::of(&Mask::Truncate { to: Unit::Day }, &DataType::Int64).is_err());
}
