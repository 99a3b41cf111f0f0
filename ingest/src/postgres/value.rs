//! Values of Postgres as JSON, from the text that the server sends. Both ways by which a row comes, the copy and the log, send the same text.

use crate::json::Json;
use crate::json::write::quoted;

/// Numbers of types in `pg_type` whose text is a number, but for NaN and infinities.
const NUMBERS: [u32; 7] = [20, 21, 23, 26, 700, 701, 1700];
const BOOLEAN: u32 = 16;
const JSON: [u32; 2] = [114, 3802];
/// Levels of a JSON value that leave room for the record around it.
const DEPTH_MAX: usize = 30;

/// Appends the JSON of a value of the type numbered `kind`. A number is one, `t` and `f` are booleans, JSON is itself, everything else is the text:
/// dates, intervals, arrays, enums, bytes, and NaN.
pub(super) fn json(kind: u32, text: &str, out: &mut String) {
    let is_number = || matches!(Json::read(text, 1), Ok(Json::Number(_)));
    match kind {
        BOOLEAN if text == "t" => out.push_str("true"),
        BOOLEAN if text == "f" => out.push_str("false"),
        kind if NUMBERS.contains(&kind) && is_number() => out.push_str(text),
        // Postgres takes in the type `json` what no record may have, such as a key that stands twice: that stays a text.
        kind if JSON.contains(&kind) && Json::read(text, DEPTH_MAX).is_ok() => out.push_str(text),
        _ => quoted(text, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_json_of_their_type() {
        for (kind, text, expected) in [
            (16, "t", "true"),
            (16, "f", "false"),
            (20, "-9223372036854775808", "-9223372036854775808"),
            (701, "1e+20", "1e+20"),
            (701, "NaN", "\"NaN\""),
            (1700, "12345678901234567890.10", "12345678901234567890.10"),
            (1700, "Infinity", "\"Infinity\""),
            (25, "12", "\"12\""),
            (25, "a\"b\\\n", "\"a\\\"b\\\\\\n\""),
            (114, "{\"a\": [1]}", "{\"a\": [1]}"),
            (114, "{\"a\":1,\"a\":2}", "\"{\\\"a\\\":1,\\\"a\\\":2}\""),
            (1184, "2026-01-02 03:04:05.6+00", "\"2026-01-02 03:04:05.6+00\""),
            (1007, "{1,2}", "\"{1,2}\""),
        ] {
            let mut out = String::new();
            json(kind, text, &mut out);
            assert_eq!(out, expected, "{kind} {text}");
        }
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        let mut out = String::new();
        json(3802, &deep, &mut out);
        assert_eq!(out, format!("\"{deep}\""));
    }
}
