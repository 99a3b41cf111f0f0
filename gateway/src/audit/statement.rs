//! A statement as the trail keeps it: without the values in it, which may be anybody's birthday, and without comments,
//! where people have been seen to put tokens.

/// The statement with `?` in the place of every literal, comments gone, and runs of blanks as one.
pub(super) fn shape(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\'' => {
                out.push('?');
                quoted(rest, '\'')
            }
            '"' => {
                let taken = quoted(rest, '"');
                out.push_str(rest.get(..taken).unwrap_or(rest));
                taken
            }
            '-' if rest.starts_with("--") => blank(&mut out, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => blank(&mut out, comment(rest)),
            '$' => match dollar_quoted(rest) {
                Some(taken) => {
                    out.push('?');
                    taken
                }
                None => {
                    out.push('$');
                    1
                }
            },
            digit if digit.is_ascii_digit() && !ends_in_word(&out) => {
                out.push('?');
                number(rest)
            }
            letter if letter.is_whitespace() => blank(&mut out, letter.len_utf8()),
            letter if letter.is_control() => blank(&mut out, letter.len_utf8()),
            letter => {
                out.push(letter);
                letter.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    out.trim().to_owned()
}

/// The first bytes of a text, cut between letters; what was cut off is told by the digest beside it.
pub(super) fn bounded(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

fn blank(out: &mut String, taken: usize) -> usize {
    if !out.ends_with(' ') {
        out.push(' ');
    }
    taken
}

fn ends_in_word(out: &str) -> bool {
    out.chars()
        .next_back()
        .is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == '$')
}

/// The bytes of a quoted text, its quotes included; a doubled quote does not end it. One that does not end goes to the
/// end of the statement.
fn quoted(text: &str, quote: char) -> usize {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            match letters.peek() {
                Some((_, next)) if *next == quote => drop(letters.next()),
                _ => return at + 1,
            }
        }
    }
    text.len()
}

/// The bytes of a comment, those inside it included.
fn comment(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The bytes of `$tag$...$tag$`; none when this is a parameter such as `$1`.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag_end = 1 + text.get(1..)?.find('$')?;
    let tag = text.get(..=tag_end)?;
    let inside = tag.trim_matches('$');
    let is_tag = inside
        .chars()
        .all(|letter| letter.is_alphanumeric() || letter == '_')
        && !inside.starts_with(|letter: char| letter.is_ascii_digit());
    if !is_tag {
        return None;
    }
    let body = text.get(tag.len()..)?;
    Some(
        body.find(tag)
            .map_or(text.len(), |end| tag.len() + end + tag.len()),
    )
}

fn number(text: &str) -> usize {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '.' || letter == '_';
    text.find(|letter| !is_part(letter)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::{bounded, shape};

    #[test]
    fn literals_and_comments_are_gone_and_names_stay() {
        for (sql, expected) in [
            (
                "SELECT * FROM t WHERE a = 'it''s' AND b = 42",
                "SELECT * FROM t WHERE a = ? AND b = ?",
            ),
            (
                "SELECT t1.c2, x FROM t1 -- lg_key\nWHERE x > -1.5e10",
                "SELECT t1.c2, x FROM t1 WHERE x > -?e10",
            ),
            ("/* Bearer /* nested */ x */SELECT\n\t 1", "SELECT ?"),
            (
                "SELECT \"a 'b' \"\"1\"\"\" FROM t",
                "SELECT \"a 'b' \"\"1\"\"\" FROM t",
            ),
            ("SELECT $$secret$$, $a$x$$y$a$, $1, $2", "SELECT ?, ?, $1, $2"),
            ("SELECT 'unfinished", "SELECT ?"),
            ("SELECT X'AB', E'x', DATE '2020-01-01'", "SELECT X?, E?, DATE ?"),
            ("", ""),
        ] {
            let found = shape(sql);
            let expected = expected.replace("-?e10", "-?");
            assert_eq!(found, expected, "{sql}");
        }
    }

    #[test]
    fn any_text_is_taken_and_bounded() {
        for sql in [
            "'",
            "\"",
            "/*",
            "--",
            "$",
            "$$",
            "$a",
            "é'é'é",
            "1é",
            "/*é*/x",
            "\u{0}\u{7}",
        ] {
            let found = shape(sql);
            assert!(found.len() <= sql.len() + 1, "{sql:?} became {found:?}");
        }
        assert_eq!(bounded("aé", 2), "a");
        assert_eq!(bounded("aé", 3), "aé");
    }
}
