//! The two steps of decimal arithmetic that cost most, for the values that nearly all columns have: short ones.

use arrow::array::{Array as _, PrimitiveArray};
use arrow::datatypes::{Decimal128Type, DecimalType};

/// An upper bound on the size of several values: no bit is set in one of them that is not set here.
#[derive(Clone, Copy, Debug, Default)]
struct Reach(u128);

impl Reach {
    /// A negative value counts as its complement, which is less than its size by one.
    #[inline]
    fn add(&mut self, value: i128) {
        self.0 |= (value ^ (value >> 127)).cast_unsigned();
    }

    /// Whether all values surely have this many digits. `false` says nothing.
    fn is_within(self, precision: u8) -> bool {
        10_u128
            .checked_pow(u32::from(precision))
            .is_some_and(|bound| self.0 < bound - 1)
    }
}

/// The products of two columns without NULL, if each product surely has no more digits than `precision`; none says that
/// they must be computed and looked at one by one. The scale of a product is the sum of the scales, so nothing is rounded.
pub(super) fn multiplied(
    left: &PrimitiveArray<Decimal128Type>,
    right: &PrimitiveArray<Decimal128Type>,
    precision: u8,
) -> Option<PrimitiveArray<Decimal128Type>> {
    if left.null_count() > 0 || right.null_count() > 0 || left.len() != right.len() {
        return None;
    }
    let (mut is_long, mut reach) = (false, Reach::default());
    let mut short = |value: i128| {
        let short = i64::try_from(value);
        is_long |= short.is_err();
        i128::from(short.unwrap_or_default())
    };
    // A product of two 64-bit numbers always has room.
    let products: Vec<i128> = left
        .values()
        .iter()
        .zip(right.values())
        .map(|(left, right)| {
            let product = short(*left) * short(*right);
            reach.add(product);
            product
        })
        .collect();
    (!is_long && reach.is_within(precision)).then(|| PrimitiveArray::new(products.into(), None))
}

/// Whether the values of a column have no more digits than `precision`.
pub(super) fn is_within(array: &PrimitiveArray<Decimal128Type>, precision: u8) -> bool {
    let mut reach = Reach::default();
    // What stands below a NULL may make the bound too high, never too low.
    array.values().iter().for_each(|value| reach.add(*value));
    reach.is_within(precision)
        || array
            .iter()
            .flatten()
            .all(|value| Decimal128Type::is_valid_decimal_precision(value, precision))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[i128]) -> PrimitiveArray<Decimal128Type> {
        PrimitiveArray::from(values.to_vec())
    }

    #[test]
    fn a_bound_is_never_too_low() {
        for (value, digits) in [(0, 1), (9, 1), (10, 2), (99, 2), (100, 3), (10_i128.pow(37), 38)] {
            for value in [value, -value] {
                for precision in 1..=38 {
                    let fits = is_within(&column(&[1, value, -1]), precision);
                    assert_eq!(fits, precision >= digits, "{value} in {precision} digits");
                }
            }
        }
        assert!(!is_within(&column(&[i128::MIN]), 38));
        assert!(!is_within(&column(&[i128::MAX]), 38));
    }

    #[test]
    fn short_values_are_multiplied_and_others_left() {
        let (most, least) = (i128::from(i64::MAX), i128::from(i64::MIN));
        let left = column(&[0, 3, -7, most, least, least]);
        let right = column(&[5, -4, -6, 1 << 40, 1 << 40, -3]);
        let products = multiplied(&left, &right, 38).expect("short values");
        let expected: Vec<i128> = left
            .values()
            .iter()
            .zip(right.values())
            .map(|(l, r)| l * r)
            .collect();
        assert_eq!(products.values().to_vec(), expected);
        assert!(multiplied(&left, &right, 20).is_none());
        // Nearly all that the type holds: a bound that says nothing.
        assert!(multiplied(&column(&[least, most]), &column(&[least, least]), 38).is_none());
        assert!(multiplied(&column(&[most + 1]), &column(&[1]), 38).is_none());
        assert!(multiplied(&column(&[least - 1]), &column(&[1]), 38).is_none());
        let holes = PrimitiveArray::<Decimal128Type>::from(vec![Some(1), None]);
        assert!(multiplied(&holes, &column(&[1, 1]), 38).is_none());
    }
}
