//! Text to one statement of an allowed kind, bounded before anything recursive looks at it.
//!
//! The dialect is DataFusion's generic one. `?` markers become `$1`, `$2`, ... on the token level, because the engine
//! folds several `?` into one parameter. Everything that is not a query, an EXPLAIN, a SHOW or a session setting is
//! refused here by name; `enforce.rs` refuses it again on the plan.

mod adjacent;
mod bounds;
mod distinct;
mod expansion;
mod ignored;
mod names;
mod numbers;
mod queries;
mod settings;
mod shape;
mod show;
mod spellings;
mod using;
mod versions;

use datafusion::sql::sqlparser::ast::{ObjectName, Statement, UtilityOption};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

pub(crate) use settings::known as known_setting;
pub use shape::shape;
pub(crate) use versions::{Asked, Versions};

use crate::cache::statement_digest;
use crate::config::Config;
use crate::error::{Error, Result};

/// What a statement does, as far as a protocol must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// Gives rows.
    Query,
    /// Gives a plan as rows.
    Explain,
    /// Gives what sources are asked as rows: `EXPLAIN (FEDERATION)`. With `ANALYZE` the query runs first.
    Federation { analyze: bool },
    /// Gives what the policies make of its tables as rows: `EXPLAIN POLICY`.
    Policy,
    /// Changes settings of the session; gives no rows.
    Set(Vec<(String, String)>),
}

/// A statement that passed the door.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub(crate) kind: StatementKind,
    pub(crate) body: Body,
    /// The earlier states that it reads.
    pub(crate) versions: Versions,
    /// Names the text, whatever blanks and remarks are in it.
    pub(crate) digest: [u8; 32],
}

/// What is left to do for a statement.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Plan this.
    Plan(Box<Statement>),
    /// List the columns of this table, which must exist.
    Describe(ObjectName),
    /// Show one setting of the session, or all.
    ShowSetting(Option<String>),
    /// Nothing: the kind says it all.
    Nothing,
}

/// Parses `sql` within the bounds of `config`.
///
/// # Errors
/// `TooMuch` for a text past its bounds, `Syntax` with line and column, `Statements` for none or several, `Unsupported`
/// for a statement of another kind.
pub(crate) fn parse(sql: &str, config: &Config) -> Result<Parsed> {
    let (mut statements, versions, digest) = statements(sql, config)?;
    if statements.len() != 1 {
        return Err(Error::Statements {
            found: statements.len(),
        });
    }
    let mut statement = statements.swap_remove(0);
    distinct::untangle(&mut statement);
    queries::known(&mut statement);
    versions.place(&mut statement)?;
    ignored::check(&statement)?;
    expansion::check(&statement)?;
    let (kind, mut body) = classify(statement)?;
    if let Body::Plan(statement) = &mut body {
        // After the columns have their names: those are what was typed.
        numbers::exact(statement)?;
        spellings::known(statement)?;
        using::written_out(statement)?;
    }
    Ok(Parsed {
        kind,
        body,
        versions,
        digest,
    })
}

fn statements(sql: &str, config: &Config) -> Result<(Vec<Statement>, Versions, [u8; 32])> {
    bounds::check_length(sql, config)?;
    let dialect = GenericDialect {};
    let mut tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|error| Error::Syntax {
            line: error.location.line,
            column: error.location.column,
            message: error.message,
        })?;
    bounds::check_tokens(&tokens, config)?;
    adjacent::check(&tokens)?;
    bounds::number_parameters(&mut tokens)?;
    let words = tokens
        .iter()
        .map(|token| &token.token)
        .filter(|token| !matches!(token, Token::Whitespace(_) | Token::SemiColon));
    let digest = statement_digest(words);
    let refused = writing(&tokens);
    explained_policy(&mut tokens);
    let (tokens, versions) = Versions::take(tokens)?;
    let statements = Parser::new(&dialect)
        .with_recursion_limit(config.depth_max)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|error| match error {
            ParserError::RecursionLimitExceeded => Error::TooMuch {
                what: "nesting of the statement",
                limit: config.depth_max.to_string(),
            },
            // A statement that we do not run need not be one that we can read.
            other => refused.unwrap_or_else(|| placed(syntax_error(&other), sql)),
        })?;
    Ok((statements, versions, digest))
}

/// `EXPLAIN POLICY query` as `EXPLAIN (POLICY) query`, which is a form that the parser knows. `EXPLAIN policy` alone
/// describes a table of that name.
fn explained_policy(tokens: &mut Vec<TokenWithSpan>) {
    let mut words = (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_)));
    let (Some(first), Some(second), Some(third)) = (words.next(), words.next(), words.next()) else {
        return;
    };
    let is_word = |at: usize, wanted: &str| {
        matches!(&tokens[at].token, Token::Word(word)
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
    };
    let asks = match &tokens[third].token {
        Token::LParen => true,
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE | Keyword::FROM
        ),
        _ => false,
    };
    if !(is_word(first, "explain") && is_word(second, "policy") && asks) {
        return;
    }
    let span = tokens[second].span;
    tokens.insert(second + 1, TokenWithSpan::new(Token::RParen, span));
    tokens.insert(second, TokenWithSpan::new(Token::LParen, span));
}

/// The refusal of a text that begins like a statement that writes.
fn writing(tokens: &[TokenWithSpan]) -> Option<Error> {
    let mut words = tokens.iter().filter_map(|token| match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word),
        _ => None,
    });
    let first = words.next()?;
    let writes = matches!(
        first.keyword,
        Keyword::ALTER
            | Keyword::COPY
            | Keyword::CREATE
            | Keyword::DELETE
            | Keyword::DROP
            | Keyword::GRANT
            | Keyword::INSERT
            | Keyword::LOAD
            | Keyword::MERGE
            | Keyword::REVOKE
            | Keyword::TRUNCATE
            | Keyword::UNLOAD
            | Keyword::UPDATE
            | Keyword::VACUUM
    );
    let rest = words
        .take(2)
        .take_while(|word| word.keyword != Keyword::NoKeyword)
        .map(|word| word.value.to_uppercase());
    let what: Vec<String> = std::iter::once(first.value.to_uppercase()).chain(rest).collect();
    writes.then(|| Error::Unsupported { what: what.join(" ") })
}

/// An error at the end of the text comes without a place; its place is the end.
fn placed(error: Error, sql: &str) -> Error {
    match error {
        Error::Syntax { line: 0, message, .. } => {
            let last = sql.trim_end().lines().last().unwrap_or_default();
            let line = sql.trim_end().lines().count().max(1) as u64;
            Error::Syntax {
                line,
                column: last.chars().count() as u64 + 1,
                message,
            }
        }
        other => other,
    }
}

/// What a statement does, and what is left to do for it.
fn classify(statement: Statement) -> Result<(StatementKind, Body)> {
    match statement {
        Statement::Query(mut query) => {
            names::name_columns(&mut query);
            Ok((
                StatementKind::Query,
                Body::Plan(Box::new(Statement::Query(query))),
            ))
        }
        Statement::Explain {
            options: Some(options),
            statement: inner,
            format: None,
            ..
        } if options.iter().any(|option| is_option(option, "federation")) => federation(&options, *inner),
        Statement::Explain {
            options: Some(options),
            statement: inner,
            format: None,
            ..
        } if matches!(options.as_slice(), [option] if is_option(option, "policy")) => match *inner {
            Statement::Query(mut query) => {
                names::name_columns(&mut query);
                Ok((
                    StatementKind::Policy,
                    Body::Plan(Box::new(Statement::Query(query))),
                ))
            }
            other => Err(unsupported(&other)),
        },
        // The engine's own forms of FORMAT never come through this parser in the shape that it reads.
        Statement::Explain { format: Some(_), .. } | Statement::Explain { options: Some(_), .. } => {
            Err(Error::Unsupported {
                what: "EXPLAIN with a format or options".to_owned(),
            })
        }
        Statement::Explain {
            describe_alias,
            analyze,
            verbose,
            query_plan,
            estimate,
            statement: inner,
            ..
        } => match *inner {
            Statement::Query(mut query) => {
                // Named as when it runs, so that what is described is what would run.
                names::name_columns(&mut query);
                let explained = Statement::Explain {
                    describe_alias,
                    analyze,
                    verbose,
                    query_plan,
                    estimate,
                    statement: Box::new(Statement::Query(query)),
                    format: None,
                    options: None,
                };
                Ok((StatementKind::Explain, Body::Plan(Box::new(explained))))
            }
            other => Err(unsupported(&other)),
        },
        Statement::ExplainTable { table_name, .. } => Ok((StatementKind::Query, Body::Describe(table_name))),
        Statement::Set(set) => Ok((StatementKind::Set(settings::assignments(set)?), Body::Nothing)),
        Statement::Use(target) => Ok((StatementKind::Set(settings::used(target)?), Body::Nothing)),
        Statement::ShowVariable { variable } => Ok((StatementKind::Query, show::variable(&variable)?)),
        other => match show::rewrite(&other)? {
            Some(body) => Ok((StatementKind::Query, body)),
            None => Err(unsupported(&other)),
        },
    }
}

/// `EXPLAIN (FEDERATION)`, with or without `ANALYZE`.
fn federation(options: &[UtilityOption], inner: Statement) -> Result<(StatementKind, Body)> {
    let analyze = options.iter().any(|option| is_option(option, "analyze"));
    if options.len() != 1 + usize::from(analyze) {
        return Err(Error::Unsupported {
            what: "EXPLAIN with options other than FEDERATION and ANALYZE".to_owned(),
        });
    }
    match inner {
        Statement::Query(mut query) => {
            names::name_columns(&mut query);
            Ok((
                StatementKind::Federation { analyze },
                Body::Plan(Box::new(Statement::Query(query))),
            ))
        }
        other => Err(unsupported(&other)),
    }
}

/// Whether an option of EXPLAIN is this one, without an argument.
fn is_option(option: &UtilityOption, name: &str) -> bool {
    option.arg.is_none() && option.name.quote_style.is_none() && option.name.value.eq_ignore_ascii_case(name)
}

/// Names the statement by its leading words, such as `CREATE TABLE`, and nothing of its content.
fn unsupported(statement: &Statement) -> Error {
    let text = statement.to_string();
    let words: Vec<&str> = text
        .split_whitespace()
        .take(3)
        .take_while(|word| word.len() > 1 && word.chars().all(|letter| letter.is_ascii_uppercase()))
        .collect();
    let what = if words.is_empty() {
        "this statement".to_owned()
    } else {
        words.join(" ")
    };
    Error::Unsupported { what }
}

/// The parser says where in its text only: `... at Line: 3, Column: 7`.
pub(crate) fn syntax_error(error: &ParserError) -> Error {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => "nested too deeply",
    };
    let Some((message, place)) = text.rsplit_once(" at Line: ") else {
        return Error::Syntax {
            line: 0,
            column: 0,
            message: text.to_owned(),
        };
    };
    let mut numbers = place
        .split(", Column: ")
        .map(|number| number.trim().parse().unwrap_or(0));
    Error::Syntax {
        line: numbers.next().unwrap_or(0),
        column: numbers.next().unwrap_or(0),
        message: message
            .strip_prefix("sql parser error: ")
            .unwrap_or(message)
            .to_owned(),
    }
}

/// Parses a text that this crate wrote itself.
pub(crate) fn trusted(sql: &str) -> Result<Body> {
    let statement = Parser::parse_sql(&GenericDialect {}, sql)
        .map_err(|error| syntax_error(&error))?
        .into_iter()
        .next();
    statement
        .map(|statement| Body::Plan(Box::new(statement)))
        .ok_or_else(|| Error::Internal {
            message: "empty statement of our own".to_owned(),
        })
}

/// A text literal of SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
