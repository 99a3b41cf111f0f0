//! Where a statement ends. The client only cuts at semicolons; what a statement means is the gateway's business.
//!
//! A semicolon within quotes, comments or a dollar-quoted text does not count, as the gateway's own parser reads them.

use std::iter::Peekable;
use std::str::CharIndices;

/// What was typed so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script<'a> {
    /// The statements that are complete, without their semicolons; empty ones are left out.
    pub(super) statements: Vec<&'a str>,
    /// What follows the last semicolon, without blanks around it. It may be the beginning of a statement.
    pub(super) rest: &'a str,
    /// Whether the rest is comment and blanks alone.
    pub(super) rest_is_empty: bool,
}

/// Cuts a text into statements.
pub(super) fn split(text: &str) -> Script<'_> {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut has_words = false;
    let mut previous = ' ';
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        match (letter, next) {
            (';', _) => {
                if has_words {
                    statements.push(text[start..at].trim());
                }
                (start, has_words) = (at + 1, false);
            }
            ('-', Some('-')) => skip_line(&mut letters),
            ('/', Some('*')) => skip_comment(&mut letters),
            ('\'', _) => {
                has_words = true;
                skip_quoted(
                    &mut letters,
                    '\'',
                    matches!(previous, 'e' | 'E') && !word_before(text, at),
                );
            }
            ('"' | '`', _) => {
                has_words = true;
                skip_quoted(&mut letters, letter, false);
            }
            ('$', _) if !is_word(previous) => {
                has_words = true;
                skip_dollar_quoted(text, at, &mut letters);
            }
            _ => has_words |= !letter.is_whitespace(),
        }
        previous = letter;
    }
    Script {
        statements,
        rest: text[start..].trim(),
        rest_is_empty: !has_words,
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether the letter before the quote at `at` is the end of a longer word, as in `typE'x'`.
fn word_before(text: &str, at: usize) -> bool {
    text[..at].chars().rev().nth(1).is_some_and(is_word)
}

fn skip_line(letters: &mut Peekable<CharIndices<'_>>) {
    for (_, letter) in letters.by_ref() {
        if letter == '\n' {
            return;
        }
    }
}

/// Skips a comment, and those within it.
fn skip_comment(letters: &mut Peekable<CharIndices<'_>>) {
    let mut depth = 1_usize;
    letters.next();
    while let Some((_, letter)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        match (letter, next) {
            ('*', Some('/')) => depth -= 1,
            ('/', Some('*')) => depth += 1,
            _ => continue,
        }
        letters.next();
        if depth == 0 {
            return;
        }
    }
}

/// Skips to the closing quote. A doubled quote closes and opens again, which comes to the same.
fn skip_quoted(letters: &mut Peekable<CharIndices<'_>>, quote: char, escapes: bool) {
    while let Some((_, letter)) = letters.next() {
        if letter == '\\' && escapes {
            letters.next();
        } else if letter == quote {
            return;
        }
    }
}

/// Skips `$tag$ ... $tag$`; a lone dollar, as in `$1`, skips nothing.
fn skip_dollar_quoted(text: &str, at: usize, letters: &mut Peekable<CharIndices<'_>>) {
    let after = &text[at + 1..];
    let Some(length) = after.find('$') else { return };
    let tag = &after[..length];
    if tag.starts_with(|letter: char| letter.is_ascii_digit()) || !tag.chars().all(is_word) {
        return;
    }
    let mark = &text[at..at + length + 2];
    let body = at + mark.len();
    let end = text[body..]
        .find(mark)
        .map_or(text.len(), |found| body + found + mark.len());
    while letters.next_if(|(position, _)| *position < end).is_some() {}
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes_and_comments() {
        let cases: [(&str, &[&str], &str, bool); 14] = [
            ("", &[], "", true),
            ("SELECT 1", &[], "SELECT 1", false),
            ("SELECT 1;", &["SELECT 1"], "", true),
            (
                "SELECT 1; SELECT 2 ;\n sel",
                &["SELECT 1", "SELECT 2"],
                "sel",
                false,
            ),
            (";;  ;", &[], "", true),
            ("SELECT ';' , 'it''s;';x", &["SELECT ';' , 'it''s;'"], "x", false),
            ("SELECT \";\", `;`;", &["SELECT \";\", `;`"], "", true),
            ("SELECT 1 -- a; b\n;", &["SELECT 1 -- a; b"], "", true),
            (
                "SELECT /* a; /* b; */ c; */ 1;",
                &["SELECT /* a; /* b; */ c; */ 1"],
                "",
                true,
            ),
            (
                "SELECT E'\\';', typE'\\';",
                &["SELECT E'\\';', typE'\\'"],
                "",
                true,
            ),
            (
                "SELECT $$a;b$$, $x$;$$;$x$;",
                &["SELECT $$a;b$$, $x$;$$;$x$"],
                "",
                true,
            ),
            ("SELECT $1; SELECT $2;", &["SELECT $1", "SELECT $2"], "", true),
            ("SELECT 'open;", &[], "SELECT 'open;", false),
            ("SELECT 1; -- done", &["SELECT 1"], "-- done", true),
        ];
        for (text, statements, rest, empty) in cases {
            let script = split(text);
            assert_eq!(script.statements, statements, "{text}");
            assert_eq!((script.rest, script.rest_is_empty), (rest, empty), "{text}");
        }
    }
}
