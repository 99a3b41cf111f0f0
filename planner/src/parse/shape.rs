//! A statement without the values in it, for records that may be read by others than who asked: a literal may be
//! anybody's birthday, and people have been seen to put tokens into comments.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// The statement as this house reads it, with `mark` of each literal in its place, without comments, and with runs of
/// blanks as one. A name in double quotes is a name and stays. None for a text that has no tokens of SQL.
///
/// ```
/// let shape = planner::shape("SELECT a FROM t WHERE b = 'x' -- note", &|_| "?".to_owned());
/// assert_eq!(shape.as_deref(), Some("SELECT a FROM t WHERE b = ?"));
/// ```
pub fn shape(sql: &str, mark: &dyn Fn(&str) -> String) -> Option<String> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().ok()?;
    let mut shape = String::with_capacity(sql.len());
    for token in &tokens {
        match token {
            Token::EOF => {}
            Token::Whitespace(_) => {
                if !shape.ends_with(' ') {
                    shape.push(' ');
                }
            }
            Token::Word(word) => match word.quote_style {
                // The printer of tokens does not double what stands doubled in a name.
                Some('"') => shape.push_str(&format!("\"{}\"", word.value.replace('"', "\"\""))),
                _ => shape.push_str(&token.to_string()),
            },
            // A parameter `$1` or `?`; one with a name tells no value either.
            Token::Placeholder(_) => shape.push_str(&token.to_string()),
            other => {
                let text = other.to_string();
                // What stands for itself has no letters and no digits; whatever has some is a value.
                match text.chars().any(char::is_alphanumeric) || is_text(other) {
                    true => shape.push_str(&mark(&text)),
                    false => shape.push_str(&text),
                }
            }
        }
    }
    Some(shape.trim().to_owned())
}

/// A text may have no letters in it and is a value all the same.
fn is_text(token: &Token) -> bool {
    token.to_string().contains(['\'', '"']) || matches!(token, Token::DollarQuotedString(_) | Token::Char(_))
}

#[cfg(test)]
mod tests {
    use super::shape;

    fn plain(sql: &str) -> Option<String> {
        shape(sql, &|_| "?".to_owned())
    }

    #[test]
    fn literals_and_comments_are_gone_and_names_stay() {
        for (sql, expected) in [
            (
                "SELECT * FROM t WHERE a = 'it''s' AND b = 42",
                "SELECT * FROM t WHERE a = ? AND b = ?",
            ),
            (
                "SELECT t1.c2, x FROM t1 -- lg_key\nWHERE x > -1.5e10",
                "SELECT t1.c2, x FROM t1 WHERE x > -?",
            ),
            ("/* Bearer /* nested */ x */SELECT\n\t 1", "SELECT ?"),
            (
                "SELECT \"a 'b' \"\"1\"\"\" FROM t",
                "SELECT \"a 'b' \"\"1\"\"\" FROM t",
            ),
            ("SELECT $$secret$$, $a$x$$y$a$, $1, ?", "SELECT ?, ?, $1, ?"),
            ("SELECT E'it\\'s secret', N'x', '%'", "SELECT ?, ?, ?"),
            (
                "SELECT X'AB', U&'\\0041', DATE '2020-01-01'",
                "SELECT ?, ?, DATE ?",
            ),
            ("", ""),
        ] {
            assert_eq!(plain(sql).as_deref(), Some(expected), "{sql}");
        }
    }

    #[test]
    fn a_text_that_does_not_end_has_no_shape() {
        for sql in ["SELECT 'unfinished", "SELECT \"x", "SELECT /* 1", "SELECT $$x"] {
            assert_eq!(plain(sql), None, "{sql}");
        }
    }

    #[test]
    fn equal_literals_are_marked_alike() {
        let marked = shape("SELECT 'a', 'b', 'a'", &|literal| format!("<{}>", literal.len()));
        assert_eq!(marked.as_deref(), Some("SELECT <3>, <3>, <3>"));
    }
}
