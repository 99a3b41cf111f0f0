use super::*;
use arrow::array::{Date32Array, IntervalMonthDayNanoArray, StringArray};
use arrow::datatypes::IntervalMonthDayNano;

fn numbers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn ranges_are_measured_by_their_elements() {
    assert_eq!(ranges(&[numbers(&[10])]), Some(88));
    assert_eq!(ranges(&[numbers(&[5, 0]), numbers(&[10, 1])]), Some((6 + 2) * 8));
    assert_eq!(
        ranges(&[numbers(&[0]), numbers(&[100]), numbers(&[10])]),
        Some(88)
    );
    assert_eq!(
        ranges(&[numbers(&[100]), numbers(&[0]), numbers(&[-10])]),
        Some(88)
    );
    assert!(ranges(&[numbers(&[i64::MIN]), numbers(&[i64::MAX])]).unwrap() > CALL_BYTES_MAX);
    assert!(ranges(&[numbers(&[0]), numbers(&[10_000_000_000]), numbers(&[0])]).unwrap() > CALL_BYTES_MAX);
}

#[test]
fn ranges_of_days_are_measured_by_their_step() {
    let day = |days| Arc::new(Date32Array::from(vec![days])) as ArrayRef;
    let step = |months, days, nanoseconds| {
        Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano {
            months,
            days,
            nanoseconds,
        }])) as ArrayRef
    };
    assert_eq!(ranges(&[day(0), day(10), step(0, 1, 0)]), Some(88));
    assert!(ranges(&[day(0), day(365), step(1, 0, 0)]).unwrap() < 20 * 8);
    assert!(ranges(&[day(0), day(36_500), step(0, 0, 1)]).unwrap() > CALL_BYTES_MAX);
}

#[test]
fn texts_are_measured_by_what_they_become() {
    assert_eq!(
        repeated(&[texts(&["ab", ""]), numbers(&[3, 1_000_000_000])]),
        Some(6)
    );
    assert!(repeated(&[texts(&["ab"]), numbers(&[i64::MAX])]).unwrap() > CALL_BYTES_MAX);
    assert_eq!(repeated(&[texts(&["ab"]), numbers(&[-1])]), Some(0));
    assert_eq!(padded(&[texts(&["a"]), numbers(&[10])]), Some(40));
    assert_eq!(
        replaced(&[texts(&["aaaa"]), texts(&["a"]), texts(&["bbb"])]),
        Some(16)
    );
    assert_eq!(items_repeated(&[numbers(&[7]), numbers(&[4])]), Some(32));
    assert_eq!(resized(&[numbers(&[0]), numbers(&[4])]), Some(64));
}
