//! The engine's sentences in the words of its callers: SQL's names of types, no remarks of one programmer to another.

/// The engine's names of types, and SQL's. Longer names stand before those that they begin with.
const TYPES: [(&str, &str); 20] = [
    ("LargeUtf8", "VARCHAR"),
    ("Utf8View", "VARCHAR"),
    ("Utf8", "VARCHAR"),
    ("LargeBinary", "VARBINARY"),
    ("BinaryView", "VARBINARY"),
    ("Binary", "VARBINARY"),
    ("UInt8", "TINYINT"),
    ("UInt16", "SMALLINT"),
    ("UInt32", "INTEGER"),
    ("UInt64", "BIGINT"),
    ("Int8", "TINYINT"),
    ("Int16", "SMALLINT"),
    ("Int32", "INTEGER"),
    ("Int64", "BIGINT"),
    ("Float16", "REAL"),
    ("Float32", "REAL"),
    ("Float64", "DOUBLE"),
    ("Date32", "DATE"),
    ("Date64", "DATE"),
    ("Boolean", "BOOLEAN"),
];

/// What the engine begins a sentence with that says nothing to a caller.
const PREFIXES: [&str; 4] = [
    "Error during planning: ",
    "Internal error: ",
    "This feature is not implemented: ",
    "Execution error: ",
];

/// One line about what is wrong with a statement.
pub(super) fn told(message: &str) -> String {
    let mut line = message.lines().next().unwrap_or_default().trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| line.strip_prefix(prefix)) {
        line = rest;
    }
    if let Some(refused) = refused_call(line) {
        return refused;
    }
    // What follows such a place is the engine's tree of the statement.
    let line = match line.find("Span(") {
        Some(at) => line[..at].split(" {").next().unwrap_or_default(),
        None => line,
    };
    let line = line
        .split(" No function matches the given name")
        .next()
        .unwrap_or(line);
    in_sql(line).chars().take(500).collect()
}

/// The sentence for a function that takes no such argument. The engine lists every type that it would have taken.
fn refused_call(line: &str) -> Option<String> {
    let (name, rest) = line
        .strip_prefix("Function '")?
        .split_once("' failed to match any signature")?;
    let given = rest.split_once("(DataType: ")?.1;
    let given = given.split_once(").").map_or(given, |(given, _)| given);
    Some(format!("function '{name}' does not take {}", in_sql(given)))
}

/// A sentence with SQL's names of types. Names inside of quotes stay.
fn in_sql(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let mut quoted = None;
    let mut before = ' ';
    while let Some(letter) = rest.chars().next() {
        quoted = match quoted {
            None if matches!(letter, '"' | '\'') => Some(letter),
            Some(quote) if quote == letter => None,
            other => other,
        };
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let found = TYPES.iter().find(|(engine, _)| {
            quoted != Some('"')
                && !is_word(before)
                && rest
                    .strip_prefix(engine)
                    .is_some_and(|after| !after.chars().next().is_some_and(is_word))
        });
        let taken = match found {
            Some((engine, sql)) => {
                out.push_str(sql);
                engine.len()
            }
            None => {
                out.push(letter);
                letter.len_utf8()
            }
        };
        before = rest[..taken].chars().next_back().unwrap_or(' ');
        rest = &rest[taken..];
    }
    out
}

/// What is wrong with a regular expression, when that is what the sentence is about: the reader of patterns draws a
/// picture of several lines and says it in the last.
pub(super) fn pattern_fault(message: &str) -> Option<String> {
    if message.contains("regex parse error") {
        let fault = message
            .lines()
            .filter_map(|line| line.trim().strip_prefix("error: "))
            .next_back();
        return Some(format!(
            "invalid regular expression: {}",
            fault.unwrap_or("it cannot be read")
        ));
    }
    let is_large = message.contains("Compiled regex exceeds size limit");
    is_large.then(|| "invalid regular expression: it is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_put_into_sql() {
        for (engine, ours) in [
            (
                "Internal error: Function 'sum' failed to match any signature, errors: Error during planning: Function 'sum' \
                 requires Decimal, but received String (DataType: Utf8View).,Error during planning: Function 'sum' requires \
                 UInt64, but received String (DataType: Utf8View).",
                "function 'sum' does not take VARCHAR",
            ),
            (
                "Cannot coerce arithmetic expression Int64 + Utf8 to valid types",
                "Cannot coerce arithmetic expression BIGINT + VARCHAR to valid types",
            ),
            (
                "Function 'abs' expects Numeric but received String. No function matches the given name and argument types \
                 'abs(Utf8)'. You might need to add explicit type casts.\n\tCandidate functions: …",
                "Function 'abs' expects Numeric but received String.",
            ),
            (
                "Substring without for/from is not valid Substring { expr: Value(ValueWithSpan { value: x, span: Span(1) }) }",
                "Substring without for/from is not valid Substring",
            ),
            ("column \"Int64\" of my_Int64s", "column \"Int64\" of my_Int64s"),
        ] {
            assert_eq!(told(engine), ours);
        }
    }

    #[test]
    fn a_bad_pattern_is_told_in_a_line() {
        let drawn = "regex parse error:\n    (\n    ^\nerror: unclosed group";
        let fault = pattern_fault(drawn);
        assert_eq!(
            fault.as_deref(),
            Some("invalid regular expression: unclosed group")
        );
        assert_eq!(pattern_fault("disk full"), None);
    }
}
