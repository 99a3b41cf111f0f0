//! Which form an answer takes: the format by `?format=` or by `Accept` (RFC 9110, 12.5.1), and the few choices that a
//! caller has within a format.

use http::HeaderMap;
use http::header::ACCEPT;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::error::{Error, Result};
use crate::rest::arguments::Arguments;

/// A format of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// One object with the columns and the rows.
    Json,
    /// A line for each row.
    Ndjson,
    /// A header line and a line for each row (RFC 4180).
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

/// All formats of rows, the preferred one first.
pub(super) const ROWS: [Format; 4] = [Format::Json, Format::Ndjson, Format::Csv, Format::Arrow];
/// The formats of a schema.
pub(super) const SCHEMA: [Format; 2] = [Format::Json, Format::Arrow];
/// The one format of a listing.
pub(super) const LISTING: [Format; 1] = [Format::Json];

impl Format {
    /// The media type that the answer names.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
        }
    }

    /// The names under which a caller may ask for the format; the first is the usual one.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Json => &["application/json"],
            Self::Ndjson => &["application/x-ndjson", "application/ndjson", "application/jsonl"],
            Self::Csv => &["text/csv"],
            Self::Arrow => &["application/vnd.apache.arrow.stream"],
        }
    }
}

/// The form of one answer with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The format.
    pub(super) format: Format,
    /// JSON and NDJSON rows as arrays of values instead of objects.
    pub(super) arrays: bool,
    /// JSON and NDJSON decimals as strings instead of numbers.
    pub(super) decimals_as_text: bool,
    /// CSV texts that a spreadsheet would run are made harmless.
    pub(super) safe: bool,
}

/// Rows in JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RowForm {
    /// `{"name": value, ..}`; a name that occurs twice gets a number.
    Objects,
    /// `[value, ..]` in the order of the columns.
    Arrays,
}

/// Decimals in JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum DecimalForm {
    /// Exact JSON numbers.
    Number,
    /// Strings, for readers that take every number for a double.
    String,
}

/// The form of the answer.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ShapeArguments {
    /// The format; without it the `Accept` header decides.
    #[param(inline)]
    pub(super) format: Option<Format>,
    /// Rows of JSON and NDJSON as objects (the default) or as arrays.
    #[param(inline)]
    pub(super) rows: Option<RowForm>,
    /// Decimals of JSON and NDJSON as exact numbers (the default) or as strings.
    #[param(inline)]
    pub(super) decimals: Option<DecimalForm>,
    /// `1` or `true`: CSV texts that begin with `=`, `+`, `-`, `@`, tab or a line break get a single quote in front, so that no
    /// spreadsheet runs them.
    #[param(inline, example = "1")]
    pub(super) safe: Option<u8>,
}

impl ShapeArguments {
    fn take(arguments: &mut Arguments) -> Result<Self> {
        let words = ROWS.map(Format::word);
        Ok(Self {
            format: arguments.choice("format", &words)?.map(|index| ROWS[index]),
            rows: arguments.choice("rows", &["objects", "arrays"])?.map(|index| {
                if index == 0 {
                    RowForm::Objects
                } else {
                    RowForm::Arrays
                }
            }),
            decimals: arguments.choice("decimals", &["number", "string"])?.map(|index| {
                if index == 0 {
                    DecimalForm::Number
                } else {
                    DecimalForm::String
                }
            }),
            safe: arguments
                .choice("safe", &["0", "1", "false", "true"])?
                .map(|index| u8::from(index % 2 == 1)),
        })
    }
}

/// The form that the caller asks for; takes its part out of `arguments`.
///
/// # Errors
/// `Malformed` for an argument that cannot be read, `NotAcceptable` when no format will do.
pub(super) fn shape(headers: &HeaderMap, arguments: &mut Arguments) -> Result<Shape> {
    let asked = ShapeArguments::take(arguments)?;
    let format = match asked.format {
        Some(format) => format,
        None => agree(headers, &ROWS)?,
    };
    Ok(Shape {
        format,
        arrays: matches!(asked.rows, Some(RowForm::Arrays)),
        decimals_as_text: matches!(asked.decimals, Some(DecimalForm::String)),
        safe: asked.safe == Some(1),
    })
}

/// The format of an answer that is a schema or a listing; takes `format` out of `arguments`.
///
/// # Errors
/// As [`shape`].
pub(super) fn format(headers: &HeaderMap, arguments: &mut Arguments, offers: &[Format]) -> Result<Format> {
    let words: Vec<&str> = offers.iter().map(|format| format.word()).collect();
    match arguments.choice("format", &words)? {
        Some(index) => Ok(offers[index]),
        None => agree(headers, offers),
    }
}

fn agree(headers: &HeaderMap, offers: &[Format]) -> Result<Format> {
    let values: Vec<&str> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    negotiate(&values.join(","), offers).ok_or(Error::NotAcceptable {
        accepted: match offers.len() {
            1 => "there is application/json",
            2 => "there are application/json and application/vnd.apache.arrow.stream",
            _ => {
                "there are application/json, application/x-ndjson, text/csv and \
                 application/vnd.apache.arrow.stream"
            }
        },
    })
}

/// One element of an `Accept` header.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// Thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// An element that cannot be read says nothing.
    fn read(element: &'a str) -> Option<Self> {
        let mut parts = element.split(';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        let mut quality = 1000;
        for parameter in parts {
            let Some((name, value)) = parameter.split_once('=') else {
                continue;
            };
            if name.trim().eq_ignore_ascii_case("q") {
                let number: f32 = value.trim().parse().ok()?;
                // Between 0 and 1000 after the clamp; NaN becomes 0.
                quality = (number.clamp(0.0, 1.0) * 1000.0) as u16;
            }
        }
        Some(Self {
            kind,
            subtype,
            quality,
        })
    }

    /// How exactly the range names one of `names`; none when it does not.
    fn precision(&self, names: &[&str]) -> Option<u8> {
        let fits = |name: &&str| {
            let (kind, subtype) = name.split_once('/').unwrap_or((name, ""));
            match (self.kind, self.subtype) {
                ("*", "*") => Some(0),
                (asked, "*") if asked.eq_ignore_ascii_case(kind) => Some(1),
                (asked, sub) if asked.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => {
                    Some(2)
                }
                _ => None,
            }
        };
        names.iter().filter_map(fits).max()
    }
}

/// The offer that an `Accept` header likes best. The most exact range decides the quality of an offer; among equals the
/// more exactly named wins, then the one named first, then the one offered first. An empty header accepts everything.
fn negotiate(accept: &str, offers: &[Format]) -> Option<Format> {
    let ranges: Vec<Range<'_>> = accept.split(',').filter_map(Range::read).collect();
    if accept.trim().is_empty() {
        return offers.first().copied();
    }
    let rated = offers.iter().enumerate().filter_map(|(offered, format)| {
        let fitting = ranges.iter().enumerate().filter_map(|(place, range)| {
            Some((
                range.precision(format.names())?,
                std::cmp::Reverse(place),
                range.quality,
            ))
        });
        let (precision, place, quality) = fitting.max()?;
        (quality > 0).then_some(((quality, precision, place, std::cmp::Reverse(offered)), *format))
    });
    rated.max_by_key(|(rank, _)| *rank).map(|(_, format)| format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_liked_format_is_chosen() {
        let arrow = "application/vnd.apache.arrow.stream";
        for (accept, expected) in [
            ("", Some(Format::Json)),
            ("*/*", Some(Format::Json)),
            ("application/*", Some(Format::Json)),
            ("text/*", Some(Format::Csv)),
            ("text/csv", Some(Format::Csv)),
            ("TEXT/CSV; charset=utf-8", Some(Format::Csv)),
            ("application/x-ndjson", Some(Format::Ndjson)),
            ("application/jsonl", Some(Format::Ndjson)),
            (arrow, Some(Format::Arrow)),
            ("text/csv, */*", Some(Format::Csv)),
            ("*/*, text/csv", Some(Format::Csv)),
            ("text/csv, application/json", Some(Format::Csv)),
            ("application/json;q=0.5, text/csv;q=0.7", Some(Format::Csv)),
            ("text/csv;q=0.7, application/json", Some(Format::Json)),
            ("*/*;q=0.1, text/csv;q=0", Some(Format::Json)),
            ("application/json;q=0, */*", Some(Format::Ndjson)),
            ("application/json;q=0, application/*", Some(Format::Ndjson)),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Some(Format::Json),
            ),
            ("image/png", None),
            ("text/csv;q=0", None),
            ("nonsense", None),
        ] {
            assert_eq!(negotiate(accept, &ROWS), expected, "{accept}");
        }
        assert_eq!(negotiate("text/csv", &SCHEMA), None);
        assert_eq!(negotiate(arrow, &SCHEMA), Some(Format::Arrow));
    }

    #[test]
    fn the_argument_outweighs_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, "application/json".parse().unwrap());
        let mut arguments = Arguments::read("format=csv&safe=1");
        let shape = shape(&headers, &mut arguments).unwrap();
        assert_eq!((shape.format, shape.safe), (Format::Csv, true));
        assert!(super::shape(&headers, &mut Arguments::read("format=xml")).is_err());
    }
}
