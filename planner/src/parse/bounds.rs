//! Bounds on the text and its tokens. They hold before the parser builds a tree, because a tree that is too deep can
//! end the process where no error can be caught: the parser's own limit counts nesting and not left-deep operator
//! chains (apache/datafusion#22229).

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::config::Config;
use crate::error::{Error, Result};

/// Refuses a text longer than `statement_bytes_max`.
pub(super) fn check_length(sql: &str, config: &Config) -> Result<()> {
    if sql.len() as u64 > config.statement_bytes_max.as_u64() {
        return Err(Error::TooMuch {
            what: "length of the statement",
            limit: config.statement_bytes_max.to_string(),
        });
    }
    Ok(())
}

/// Refuses too many tokens, parentheses nested too deeply, and operator chains too long.
pub(super) fn check_tokens(tokens: &[TokenWithSpan], config: &Config) -> Result<()> {
    if tokens.len() > config.tokens_max {
        return Err(Error::TooMuch {
            what: "number of tokens in the statement",
            limit: config.tokens_max.to_string(),
        });
    }
    let mut chains: Vec<usize> = vec![0];
    let mut prefixes = 0_usize;
    for token in tokens {
        prefixes = match &token.token {
            Token::Whitespace(_) => prefixes,
            other if is_prefix(other) => prefixes + 1,
            _ => 0,
        };
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => chains.push(0),
            Token::RParen | Token::RBracket | Token::RBrace if chains.len() > 1 => {
                chains.pop();
            }
            // The parser's own limit does not see the nesting of CASE.
            Token::Word(word) if word.keyword == Keyword::CASE => chains.push(0),
            Token::Word(word) if word.keyword == Keyword::END && chains.len() > 1 => {
                chains.pop();
            }
            Token::Comma | Token::SemiColon => reset(&mut chains),
            other if is_operator(other) => count(&mut chains, config)?,
            _ => {}
        }
        if chains.len() + prefixes > config.depth_max {
            return Err(Error::TooMuch {
                what: "nesting of the statement",
                limit: config.depth_max.to_string(),
            });
        }
    }
    Ok(())
}

fn reset(chains: &mut [usize]) {
    if let Some(chain) = chains.last_mut() {
        *chain = 0;
    }
}

fn count(chains: &mut [usize], config: &Config) -> Result<()> {
    if let Some(chain) = chains.last_mut() {
        *chain += 1;
        if *chain > config.chain_max {
            return Err(Error::TooMuch {
                what: "number of operators in a row",
                limit: config.chain_max.to_string(),
            });
        }
    }
    Ok(())
}

/// Tokens that make a tree one level deeper each time they are repeated in a row.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::JOIN
                | Keyword::COLLATE
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::BETWEEN
        ),
        Token::Comma
        | Token::Period
        | Token::Whitespace(_)
        | Token::EOF
        | Token::Number(..)
        | Token::Placeholder(_)
        | Token::SingleQuotedString(_) => false,
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat => true,
        Token::Eq | Token::DoubleEq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq => true,
        Token::DoubleColon | Token::Caret | Token::Ampersand | Token::Pipe | Token::Tilde => true,
        Token::Arrow | Token::LongArrow | Token::ExclamationMark => true,
        _ => false,
    }
}

/// Tokens of which a run nests: `NOT NOT TRUE`, `- - 1`.
fn is_prefix(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword == Keyword::NOT && word.quote_style.is_none(),
        Token::Minus | Token::Plus | Token::Tilde | Token::ExclamationMark => true,
        _ => false,
    }
}

/// Writes `?` markers as `$1`, `$2`, ... in order of appearance.
///
/// # Errors
/// `Invalid` when a statement mixes both styles or names a parameter by a word or by zero.
pub(super) fn number_parameters(tokens: &mut [TokenWithSpan]) -> Result<()> {
    let mut marks = 0_usize;
    let mut numbered = false;
    for token in tokens {
        let Token::Placeholder(name) = &mut token.token else {
            continue;
        };
        if name == "?" {
            marks += 1;
            *name = format!("${marks}");
        } else if name
            .strip_prefix('$')
            .and_then(|digits| digits.parse::<u16>().ok())
            .is_some_and(|number| number > 0)
        {
            numbered = true;
        } else {
            return Err(Error::invalid(format!(
                "parameter '{name}' is not of the form ? or $1"
            )));
        }
    }
    if marks > 0 && numbered {
        return Err(Error::invalid(
            "a statement takes either ? or $1 parameters, not both",
        ));
    }
    Ok(())
}
