//! The server's `numeric`, groups of four decimal digits, as an unscaled integer.
//!
//! Invariant: the integer is the value exactly. A digit behind the scale, a value beyond the precision, NaN and the
//! infinities are values that cannot be held.

use super::{Bad, end, take};
use arrow::datatypes::i256;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITE: u16 = 0xD000;
const MINUS_INFINITE: u16 = 0xF000;

const TOO_LARGE: Bad = Bad::Value("a number beyond the precision of its decimal");
const TOO_FINE: Bad = Bad::Value("a number with more digits behind the point than its decimal");

/// An integer that can be built digit by digit.
pub(super) trait Unscaled: Sized + Copy {
    fn from_small(value: i32) -> Self;
    /// `self * factor + more`.
    fn checked_step(self, factor: Self, more: Self) -> Option<Self>;
    fn checked_power_of_ten(exponent: u32) -> Option<Self>;
    fn negated(self) -> Self;
    fn is_below(self, bound: Self) -> bool;
}

impl Unscaled for i128 {
    fn from_small(value: i32) -> Self {
        Self::from(value)
    }

    fn checked_step(self, factor: Self, more: Self) -> Option<Self> {
        self.checked_mul(factor)?.checked_add(more)
    }

    fn checked_power_of_ten(exponent: u32) -> Option<Self> {
        10_i128.checked_pow(exponent)
    }

    fn negated(self) -> Self {
        -self
    }

    fn is_below(self, bound: Self) -> bool {
        self < bound
    }
}

impl Unscaled for i256 {
    fn from_small(value: i32) -> Self {
        Self::from_i128(i128::from(value))
    }

    fn checked_step(self, factor: Self, more: Self) -> Option<Self> {
        self.checked_mul(factor)?.checked_add(more)
    }

    fn checked_power_of_ten(exponent: u32) -> Option<Self> {
        Self::from_i128(10).checked_pow(exponent)
    }

    fn negated(self) -> Self {
        self.wrapping_neg()
    }

    fn is_below(self, bound: Self) -> bool {
        self < bound
    }
}

/// The value times ten to the power of `scale`.
pub(super) fn unscaled<T: Unscaled>(mut raw: &[u8], precision: u8, scale: i8) -> Result<T, Bad> {
    let count = u16::from_be_bytes(take(&mut raw)?);
    let weight = i16::from_be_bytes(take(&mut raw)?);
    let sign = u16::from_be_bytes(take(&mut raw)?);
    // How many digits behind the point are shown says nothing about the value.
    let _shown = u16::from_be_bytes(take(&mut raw)?);
    match sign {
        POSITIVE | NEGATIVE => {}
        NAN => return Err(Bad::Value("the number NaN")),
        INFINITE | MINUS_INFINITE => return Err(Bad::Value("an infinite number")),
        _ => return Err(Bad::Shape("a numeric with an unknown sign")),
    }
    let mut value = T::from_small(0);
    let mut is_zero = true;
    // The power of ten of the unit in the last place of the group that comes next, in units of the result.
    let mut power = 4 * i32::from(weight) + i32::from(scale);
    let step = T::from_small(10_000);
    for _ in 0..count {
        let digits = i32::from(u16::from_be_bytes(take(&mut raw)?));
        if digits >= 10_000 {
            return Err(Bad::Shape("a numeric with a group of more than four digits"));
        }
        is_zero &= digits == 0;
        if power >= 0 {
            value = value.checked_step(step, T::from_small(digits)).ok_or(TOO_LARGE)?;
        } else if power > -4 {
            let cut = 10_i32.pow(power.unsigned_abs());
            if digits % cut != 0 {
                return Err(TOO_FINE);
            }
            let kept = T::from_small(10_000 / cut);
            value = value
                .checked_step(kept, T::from_small(digits / cut))
                .ok_or(TOO_LARGE)?;
        } else if digits != 0 {
            return Err(TOO_FINE);
        }
        power -= 4;
    }
    end(raw)?;
    // The unit of the last group read.
    power += 4;
    if power > 0 && !is_zero {
        let factor = T::checked_power_of_ten(power.unsigned_abs()).ok_or(TOO_LARGE)?;
        value = value.checked_step(factor, T::from_small(0)).ok_or(TOO_LARGE)?;
    }
    let bound = T::checked_power_of_ten(u32::from(precision)).ok_or(TOO_LARGE)?;
    if !value.is_below(bound) {
        return Err(TOO_LARGE);
    }
    Ok(match sign {
        NEGATIVE => value.negated(),
        _ => value,
    })
}
