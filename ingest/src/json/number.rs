//! Numbers in one exact form.

use std::borrow::Cow;

/// Digits of an exponent that is still worked out; beyond, the number stands as written, which is exact as well.
const EXPONENT_MAX: i64 = 1_000_000;

/// A JSON number without needless zeros, sign or exponent: `1.50`, `15e-1` and `1.5` are one. Integers stay integers; very large and very small
/// ones get one digit before the point and an exponent.
pub fn canonical(text: &str) -> Cow<'_, str> {
    let plain = !text.contains(['.', 'e', 'E']) && text != "-0";
    // The usual case: an integer of ordinary length is its own form.
    if plain && text.len() <= 21 {
        return Cow::Borrowed(text);
    }
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => match exponent.parse::<i64>() {
            Ok(exponent) if exponent.abs() <= EXPONENT_MAX => (mantissa, exponent),
            _ => return Cow::Borrowed(text),
        },
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    if trimmed.is_empty() {
        return Cow::Borrowed("0");
    }
    // The value is 0.trimmed times ten to the power of `point`.
    let leading = digits.len() - significant.len();
    let point = whole.len() as i64 - leading as i64 + exponent;
    let sign = if negative { "-" } else { "" };
    Cow::Owned(format!("{sign}{}", placed(trimmed, point)))
}

/// Digits with their point at `point`, as a plain decimal within 21 places and with an exponent beyond.
fn placed(digits: &str, point: i64) -> String {
    let length = digits.len() as i64;
    if !(-5..=21).contains(&point) {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        return format!("{first}{dot}{rest}e{:+}", point - 1);
    }
    if point >= length {
        return format!("{digits}{}", "0".repeat((point - length) as usize));
    }
    if point > 0 {
        let (whole, fraction) = digits.split_at(point as usize);
        return format!("{whole}.{fraction}");
    }
    format!("0.{}{digits}", "0".repeat(point.unsigned_abs() as usize))
}
