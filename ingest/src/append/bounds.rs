//! Bounds of one column chunk as Iceberg datums, cut as Iceberg's default `truncate(16)` says.
//!
//! A cut lower bound is a prefix, so it is not larger; a cut upper bound is a prefix whose last character was raised, so it is not smaller.
//! Parquet's own cutting has the same property, hence a bound need not be exact to be taken.

use iceberg::spec::{Datum, PrimitiveType};
use parquet::file::statistics::Statistics;

/// Characters of a string bound, bytes of a binary bound.
const LENGTH: usize = 16;

/// A value that no value of the chunk is smaller than.
pub(super) fn lower(kind: &PrimitiveType, statistics: &Statistics) -> Option<Datum> {
    let raw = raw(kind, statistics, false)?;
    let cut = match kind {
        PrimitiveType::String => prefix(std::str::from_utf8(&raw).ok()?).as_bytes().to_vec(),
        PrimitiveType::Binary => raw.iter().copied().take(LENGTH).collect(),
        _ => raw,
    };
    datum(kind, &cut)
}

/// A value that no value of the chunk is larger than. None if no cut value is large enough.
pub(super) fn upper(kind: &PrimitiveType, statistics: &Statistics) -> Option<Datum> {
    let raw = raw(kind, statistics, true)?;
    let cut = match kind {
        PrimitiveType::String => raise_text(std::str::from_utf8(&raw).ok()?)?.into_bytes(),
        PrimitiveType::Binary => raise_bytes(&raw)?,
        _ => raw,
    };
    datum(kind, &cut)
}

fn datum(kind: &PrimitiveType, bytes: &[u8]) -> Option<Datum> {
    let datum = Datum::try_from_bytes(bytes, kind.clone()).ok()?;
    (!datum.is_nan()).then_some(datum)
}

/// The minimum or maximum in Iceberg's single-value form: little endian numbers, big endian decimals, plain bytes.
fn raw(kind: &PrimitiveType, statistics: &Statistics, max: bool) -> Option<Vec<u8>> {
    let decimal = matches!(kind, PrimitiveType::Decimal { .. });
    let bytes = match statistics {
        Statistics::Boolean(found) => vec![u8::from(*if max { found.max_opt() } else { found.min_opt() }?)],
        Statistics::Int32(found) => {
            let value = *if max { found.max_opt() } else { found.min_opt() }?;
            if decimal {
                value.to_be_bytes().to_vec()
            } else {
                value.to_le_bytes().to_vec()
            }
        }
        Statistics::Int64(found) => {
            let value = *if max { found.max_opt() } else { found.min_opt() }?;
            if decimal {
                value.to_be_bytes().to_vec()
            } else {
                value.to_le_bytes().to_vec()
            }
        }
        Statistics::Float(found) => (*if max { found.max_opt() } else { found.min_opt() }?)
            .to_le_bytes()
            .to_vec(),
        Statistics::Double(found) => (*if max { found.max_opt() } else { found.min_opt() }?)
            .to_le_bytes()
            .to_vec(),
        Statistics::ByteArray(found) => (if max { found.max_opt() } else { found.min_opt() }?)
            .data()
            .to_vec(),
        Statistics::FixedLenByteArray(found) => (if max { found.max_opt() } else { found.min_opt() }?)
            .data()
            .to_vec(),
        // Never written by us; its order is not the order of its bytes.
        Statistics::Int96(_) => return None,
    };
    Some(bytes)
}

fn prefix(text: &str) -> &str {
    text.char_indices()
        .nth(LENGTH)
        .map_or(text, |(end, _)| &text[..end])
}

fn raise_text(text: &str) -> Option<String> {
    let cut = prefix(text);
    if cut.len() == text.len() {
        return Some(text.to_owned());
    }
    let mut characters: Vec<char> = cut.chars().collect();
    while let Some(last) = characters.pop() {
        // A range of characters steps over the gap of the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

fn raise_bytes(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() <= LENGTH {
        return Some(bytes.to_vec());
    }
    let mut cut = bytes[..LENGTH].to_vec();
    while let Some(last) = cut.pop() {
        if let Some(next) = last.checked_add(1) {
            cut.push(next);
            return Some(cut);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_upper_bound_is_never_smaller() {
        let cases = [
            ("short", Some("short")),
            ("exactly sixteen!", Some("exactly sixteen!")),
            ("exactly sixteen!x", Some("exactly sixteen\"")),
            ("ééééééééééééééééé", Some("éééééééééééééééê")),
            ("aaaaaaaaaaaaaaa\u{d7ff}z", Some("aaaaaaaaaaaaaaa\u{e000}")),
            ("aaaaaaaaaaaaaaa\u{10ffff}z", Some("aaaaaaaaaaaaaab")),
        ];
        for (text, expected) in cases {
            let raised = raise_text(text);
            assert_eq!(raised.as_deref(), expected);
            assert!(raised.unwrap().as_str() >= text);
        }
        assert_eq!(raise_text(&"\u{10ffff}".repeat(17)), None);
        assert_eq!(raise_bytes(&[0xff; 17]), None);
        assert_eq!(
            raise_bytes(&[1; 17]).unwrap(),
            [[1; 15].as_slice(), &[2]].concat()
        );
    }

    #[test]
    fn a_cut_lower_bound_is_never_larger() {
        assert_eq!(prefix("exactly sixteen!x"), "exactly sixteen!");
        assert_eq!(prefix("é"), "é");
    }
}
