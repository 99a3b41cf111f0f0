//! Literals that touch what follows them. The parser takes `1_000` for the number 1 with the alias `_000`, and the second of
//! two texts beside each other, which the standard reads as one, for an alias of the first.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result};

/// Refuses a number that runs into a word, and two texts beside each other.
///
/// # Errors
/// `Syntax` with the place.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut last: Option<&TokenWithSpan> = None;
    let mut is_apart = false;
    for token in tokens {
        if matches!(token.token, Token::Whitespace(_)) {
            is_apart = true;
            continue;
        }
        let problem = match (last.map(|last| &last.token), &token.token) {
            (Some(Token::Number(..)), Token::Word(word)) if !is_apart && word.quote_style.is_none() => {
                Some("a number runs into a word; numbers have no separators")
            }
            (Some(Token::SingleQuotedString(_)), Token::SingleQuotedString(_)) => {
                Some("two texts beside each other; write || between them, or AS before a name")
            }
            _ => None,
        };
        if let Some(message) = problem {
            return Err(Error::Syntax {
                line: token.span.start.line,
                column: token.span.start.column,
                message: message.to_owned(),
            });
        }
        last = Some(token);
        is_apart = false;
    }
    Ok(())
}
