//! Decimals from JSON, exactly.

use arrow::datatypes::i256;
use serde_json::{Number, Value};

use crate::rest::value::shown;

/// Digits that every double keeps when it is written and read again.
const DOUBLE_DIGITS: usize = 15;

/// The unscaled integer of `value` for a decimal of `precision` digits, `scale` of them behind the point.
///
/// # Errors
/// A sentence when the value is no number, has too many digits, or went through a double that may have changed it.
pub(super) fn unscaled(value: &Value, precision: u8, scale: i8) -> Result<i256, String> {
    let no = |problem: &str| format!("{} {problem}", shown(value));
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => written(number)
            .ok_or_else(|| no("has more digits than a JSON number keeps: send it as a string"))?,
        _ => return Err(no("is not a number")),
    };
    let (negative, digits, exponent) = parts(&text).ok_or_else(|| no("is not a number"))?;
    let wide = || no(&format!("does not fit into DECIMAL({precision},{scale})"));
    // Value = digits * 10^exponent; wanted is the integer of value * 10^scale.
    let shift = exponent.checked_add(i64::from(scale)).ok_or_else(wide)?;
    let integer = if digits.is_empty() {
        String::new()
    } else {
        shifted(&digits, shift, precision).ok_or_else(wide)?
    };
    if integer.is_empty() {
        return Ok(i256::ZERO);
    }
    let magnitude = i256::from_string(&integer).ok_or_else(wide)?;
    Ok(if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    })
}

/// Whether a number may have had other digits when it was written than it has now.
pub(in crate::rest) fn is_shortened(value: &Value) -> bool {
    matches!(value, Value::Number(number) if written(number).is_none())
}

/// The digits of a number as they were written, as far as that can still be known.
fn written(number: &Number) -> Option<String> {
    let text = number.to_string();
    if number.is_f64() {
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let significant = digits.trim_start_matches('0').trim_end_matches('0').len();
        if significant > DOUBLE_DIGITS {
            return None;
        }
    }
    Some(text)
}

/// Sign, significant digits without leading or trailing zeros, and the power of ten that they stand at.
fn parts(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let leading = all.trim_start_matches('0');
    let digits = leading.trim_end_matches('0');
    let dropped = i64::try_from(leading.len() - digits.len()).ok()?;
    let behind = i64::try_from(fraction.len()).ok()?;
    Some((
        mantissa.starts_with('-'),
        digits.to_owned(),
        i64::from(exponent) - behind + dropped,
    ))
}

/// `digits` with `shift` zeros after them; none when that is a fraction or longer than `precision`.
fn shifted(digits: &str, shift: i64, precision: u8) -> Option<String> {
    let zeros = usize::try_from(shift).ok()?;
    (digits.len().checked_add(zeros)? <= usize::from(precision))
        .then(|| format!("{digits}{}", "0".repeat(zeros)))
}
