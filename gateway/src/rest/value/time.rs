//! Dates, times and timestamps from ISO 8601 texts, exactly.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    ArrayRef, Time32MillisecondArray, Time32SecondArray, Time64MicrosecondArray, Time64NanosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::datatypes::TimeUnit;
use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike, Utc};
use serde_json::Value;

use crate::rest::value::shown;

/// Days of the first of January 1970 in chrono's count.
const EPOCH_DAY: i32 = 719_163;

fn text<'a>(value: &'a Value, wanted: &str) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| no(value, wanted))
}

fn no(value: &Value, wanted: &str) -> String {
    format!("{} is not {wanted}", shown(value))
}

/// Days since 1970-01-01.
pub(super) fn date(value: &Value) -> Result<i32, String> {
    let wanted = "a date such as \"1998-09-02\"";
    let date = NaiveDate::parse_from_str(text(value, wanted)?, "%Y-%m-%d").map_err(|_| no(value, wanted))?;
    Ok(date.num_days_from_ce() - EPOCH_DAY)
}

/// A time of day in seconds or milliseconds.
pub(super) fn seconds_of_day(value: &Value, unit: TimeUnit) -> Result<ArrayRef, String> {
    let (seconds, nanoseconds) = time(value)?;
    let count = scaled(value, seconds, nanoseconds, unit)?;
    // A day has less than 2^31 milliseconds.
    let count = i32::try_from(count).map_err(|_| no(value, "a time of this column's precision"))?;
    Ok(match unit {
        TimeUnit::Second => Arc::new(Time32SecondArray::from(vec![count])),
        _ => Arc::new(Time32MillisecondArray::from(vec![count])),
    })
}

/// A time of day in microseconds or nanoseconds.
pub(super) fn nanoseconds_of_day(value: &Value, unit: TimeUnit) -> Result<ArrayRef, String> {
    let (seconds, nanoseconds) = time(value)?;
    let count = scaled(value, seconds, nanoseconds, unit)?;
    Ok(match unit {
        TimeUnit::Nanosecond => Arc::new(Time64NanosecondArray::from(vec![count])),
        _ => Arc::new(Time64MicrosecondArray::from(vec![count])),
    })
}

fn time(value: &Value) -> Result<(i64, u32), String> {
    let wanted = "a time such as \"13:45:30.25\"";
    let text = text(value, wanted)?;
    let read = ["%H:%M:%S%.f", "%H:%M"]
        .iter()
        .find_map(|form| NaiveTime::parse_from_str(text, form).ok());
    let time = read
        .filter(|time| time.nanosecond() < 1_000_000_000)
        .ok_or_else(|| no(value, wanted))?;
    Ok((time.num_seconds_from_midnight().into(), time.nanosecond()))
}

/// An instant for a column with a time zone, or a date and time without one for a column that has none. In the first
/// case a text without an offset means the column's own zone; in the second an offset is refused, because the column
/// could not keep it.
pub(super) fn timestamp(value: &Value, unit: TimeUnit, zone: Option<&Arc<str>>) -> Result<ArrayRef, String> {
    let (seconds, nanoseconds) = match zone {
        Some(zone) => instant(value, zone)?,
        None => local(value)?,
    };
    let count = scaled(value, seconds, nanoseconds, unit)?;
    let zone = zone.map(Arc::clone);
    Ok(match unit {
        TimeUnit::Second => Arc::new(TimestampSecondArray::from(vec![count]).with_timezone_opt(zone)),
        TimeUnit::Millisecond => {
            Arc::new(TimestampMillisecondArray::from(vec![count]).with_timezone_opt(zone))
        }
        TimeUnit::Microsecond => {
            Arc::new(TimestampMicrosecondArray::from(vec![count]).with_timezone_opt(zone))
        }
        TimeUnit::Nanosecond => Arc::new(TimestampNanosecondArray::from(vec![count]).with_timezone_opt(zone)),
    })
}

fn local(value: &Value) -> Result<(i64, u32), String> {
    let wanted = "a timestamp without an offset, such as \"1998-09-02T13:45:30\"";
    let read = naive(text(value, wanted)?).ok_or_else(|| no(value, wanted))?;
    Ok((read.and_utc().timestamp(), read.nanosecond()))
}

fn instant(value: &Value, zone: &str) -> Result<(i64, u32), String> {
    let wanted = "a timestamp such as \"1998-09-02T13:45:30Z\"";
    let text = text(value, wanted)?;
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok((instant.timestamp(), instant.timestamp_subsec_nanos()));
    }
    let zone: Tz = zone.parse().map_err(|_| no(value, wanted))?;
    let read = naive(text).ok_or_else(|| no(value, wanted))?;
    match zone.from_local_datetime(&read) {
        LocalResult::Single(instant) => {
            let instant = instant.with_timezone(&Utc);
            Ok((instant.timestamp(), instant.timestamp_subsec_nanos()))
        }
        // The hour that daylight saving repeats or leaves out.
        _ => Err(no(
            value,
            "one instant in the column's time zone: give the offset",
        )),
    }
}

fn naive(text: &str) -> Option<NaiveDateTime> {
    let forms = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
    ];
    let read = forms
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let read = read.or_else(|| {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    });
    // Leap seconds have no place in a timestamp.
    read.filter(|read| read.nanosecond() < 1_000_000_000)
}

/// Seconds and nanoseconds as a count of `unit`.
fn scaled(value: &Value, seconds: i64, nanoseconds: u32, unit: TimeUnit) -> Result<i64, String> {
    let (in_second, in_nanosecond) = match unit {
        TimeUnit::Second => (1, 1_000_000_000),
        TimeUnit::Millisecond => (1_000, 1_000_000),
        TimeUnit::Microsecond => (1_000_000, 1_000),
        TimeUnit::Nanosecond => (1_000_000_000, 1),
    };
    let nanoseconds = i64::from(nanoseconds);
    if nanoseconds % in_nanosecond != 0 {
        return Err(no(
            value,
            "of the column's precision: it has more digits behind the second",
        ));
    }
    let whole = seconds.checked_mul(in_second);
    let count = whole.and_then(|whole| whole.checked_add(nanoseconds / in_nanosecond));
    count.ok_or_else(|| no(value, "in the range of the column"))
}
