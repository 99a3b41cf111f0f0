//! Earlier states of tables: `t FOR VERSION AS OF 42`, `... AS OF 'branch or tag'` and `t FOR TIMESTAMP AS OF '...'`.
//!
//! The generic dialect has no such clause, and the engine passes over the one of other dialects. So the clause is taken
//! out on the token level: the table's name becomes a quoted name that says the clause as well, such as
//! `"t FOR VERSION AS OF 42"`, under which the resolver shows that state. Two states of one table are two tables to the
//! engine, and one to the policy.
//!
//! Invariants:
//! - Only a name that such a clause has made means another state: the same text in the client's own quotes means what the
//!   clause in the same statement means, or a table of that very name.
//! - A clause that does not stand right behind the name of a table is refused; it is never passed over.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Ident, ObjectNamePart, Statement, TableAlias, TableFactor, VisitMut as _, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result};

/// The state of a table that a statement asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The number of a snapshot, or the name of a branch or a tag.
    Version(String),
    /// The state at a time, in the client's words: what it means depends on the session's time zone.
    Time(String),
}

/// A table at an earlier state.
#[derive(Clone, Debug)]
pub(crate) struct Earlier {
    /// The last part of the table's own name.
    pub(crate) table: String,
    pub(crate) asked: Asked,
    line: u64,
    column: u64,
}

/// The earlier states that a statement reads, by the names that stand for them in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions(BTreeMap<String, Earlier>);

impl Versions {
    /// What a name stands for; none for a name of a table as it is now.
    pub(crate) fn get(&self, name: &str) -> Option<&Earlier> {
        self.0.get(name)
    }

    /// Takes the clauses out of `tokens`.
    ///
    /// # Errors
    /// `Syntax` where something else than a version or a time follows, `Unsupported` for a parameter in that place.
    pub(super) fn take(tokens: Vec<TokenWithSpan>) -> Result<(Vec<TokenWithSpan>, Self)> {
        let mut versions = BTreeMap::new();
        let mut rest = Vec::with_capacity(tokens.len());
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            let (Token::Word(word), Some(clause)) = (&token.token, Clause::behind(&tokens, at)?) else {
                rest.push(token.clone());
                continue;
            };
            let table = match word.quote_style {
                Some(_) => word.value.clone(),
                None => word.value.to_lowercase(),
            };
            let name = format!("{table} {}", clause.text);
            rest.push(TokenWithSpan::new(Token::make_word(&name, Some('"')), token.span));
            versions.entry(name).or_insert(Earlier {
                table,
                asked: clause.asked,
                line: token.span.start.line,
                column: token.span.start.column,
            });
            at = clause.end;
        }
        Ok((rest, Self(versions)))
    }

    /// Gives each table at an earlier state its own name for an alias, so that columns are named as without the clause.
    ///
    /// # Errors
    /// `Syntax` for a clause that does not stand behind the name of a table.
    pub(super) fn place(&self, statement: &mut Statement) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut seen = Vec::new();
        let placed = statement.visit(&mut Placed {
            versions: self,
            seen: &mut seen,
        });
        let misplaced = match placed {
            ControlFlow::Break(name) => Some(name),
            ControlFlow::Continue(()) => self.0.keys().find(|name| !seen.contains(name)).cloned(),
        };
        match misplaced.and_then(|name| self.0.get(&name)) {
            None => Ok(()),
            Some(earlier) => Err(Error::Syntax {
                line: earlier.line,
                column: earlier.column,
                message: "a version stands right behind the name of a table, before its alias".to_owned(),
            }),
        }
    }
}

struct Placed<'a> {
    versions: &'a Versions,
    seen: &'a mut Vec<String>,
}

impl VisitorMut for Placed<'_> {
    type Break = String;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        let TableFactor::Table {
            name, alias, args, ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        if let Some(alias) = alias
            && self.versions.get(&alias.name.value).is_some()
        {
            return ControlFlow::Break(alias.name.value.clone());
        }
        let Some(ObjectNamePart::Identifier(last)) = name.0.last() else {
            return ControlFlow::Continue(());
        };
        let Some(earlier) = self.versions.get(&last.value) else {
            return ControlFlow::Continue(());
        };
        if args.is_some() {
            return ControlFlow::Break(last.value.clone());
        }
        self.seen.push(last.value.clone());
        alias.get_or_insert_with(|| TableAlias {
            explicit: true,
            name: Ident::with_quote('"', &earlier.table),
            columns: Vec::new(),
            at: None,
        });
        ControlFlow::Continue(())
    }
}

/// A clause as it stands in the tokens.
struct Clause {
    asked: Asked,
    text: String,
    /// The place of the first token behind it.
    end: usize,
}

impl Clause {
    /// The clause that begins at `at`, if one does.
    fn behind(tokens: &[TokenWithSpan], at: usize) -> Result<Option<Self>> {
        let mut next = at;
        // Without FOR, as Spark has it, the words may also be names; then only a literal makes them a clause.
        let is_certain = keyword(tokens, &mut next, &["FOR"]).is_some();
        let Some(kind) = keyword(
            tokens,
            &mut next,
            &["VERSION", "SYSTEM_VERSION", "TIMESTAMP", "SYSTEM_TIME"],
        ) else {
            return Ok(None);
        };
        if keyword(tokens, &mut next, &["AS"]).is_none() || keyword(tokens, &mut next, &["OF"]).is_none() {
            return Ok(None);
        }
        let is_time = kind == "TIMESTAMP" || kind == "SYSTEM_TIME";
        if is_time {
            keyword(tokens, &mut next, &["TIMESTAMP", "DATE"]);
        }
        let found = significant(tokens, next);
        let (end, text) = match found.map(|place| (place + 1, &tokens[place].token)) {
            Some((end, Token::SingleQuotedString(text))) => (end, text.clone()),
            Some((end, Token::Number(number, _))) if !is_time => (end, number.clone()),
            _ if !is_certain => return Ok(None),
            Some((_, Token::Placeholder(_))) => {
                return Err(Error::Unsupported {
                    what: "a parameter as the version of a table".to_owned(),
                });
            }
            _ => return Err(expected(tokens, found.unwrap_or(next - 1), is_time)),
        };
        let (asked, text) = match is_time {
            true => (Asked::Time(text.clone()), format!("FOR TIMESTAMP AS OF {text}")),
            false => (Asked::Version(text.clone()), format!("FOR VERSION AS OF {text}")),
        };
        Ok(Some(Self { asked, text, end }))
    }
}

/// The place of the next token that is no blank and no comment.
fn significant(tokens: &[TokenWithSpan], from: usize) -> Option<usize> {
    (from..tokens.len()).find(|place| !matches!(tokens[*place].token, Token::Whitespace(_)))
}

/// Steps over one of `words`, if it comes next.
fn keyword(tokens: &[TokenWithSpan], next: &mut usize, words: &[&'static str]) -> Option<&'static str> {
    let place = significant(tokens, *next)?;
    let Token::Word(word) = &tokens[place].token else {
        return None;
    };
    let found = words.iter().find(|known| word.value.eq_ignore_ascii_case(known));
    let found = found.filter(|_| word.quote_style.is_none())?;
    *next = place + 1;
    Some(found)
}

fn expected(tokens: &[TokenWithSpan], place: usize, is_time: bool) -> Error {
    let start = tokens[place].span.start;
    let message = match is_time {
        true => "expected a time in single quotes behind AS OF",
        false => {
            "expected a snapshot's number, or the name of a branch or a tag in single quotes, behind AS OF"
        }
    };
    Error::Syntax {
        line: start.line,
        column: start.column,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Body, Parsed, parse};
    use super::Asked;
    use crate::config::Config;
    use crate::error::{Error, Result};

    fn parsed(sql: &str) -> Result<Parsed> {
        parse(sql, &Config::default())
    }

    fn text(sql: &str) -> String {
        match parsed(sql).unwrap().body {
            Body::Plan(statement) => statement.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_clause_becomes_a_name_with_the_tables_own_for_an_alias() {
        assert_eq!(
            text("SELECT T.a FROM lake.gold.T FOR VERSION AS OF 42 WHERE T.a = 1"),
            "SELECT T.a FROM lake.gold.\"t FOR VERSION AS OF 42\" AS \"t\" WHERE T.a = 1"
        );
        assert_eq!(
            text("SELECT * FROM \"T\" for /* then */ version as of 'x y' AS u, T"),
            "SELECT * FROM \"T FOR VERSION AS OF x y\" AS u, T"
        );
        for time in [
            "FOR TIMESTAMP AS OF '2024-01-01'",
            "FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01'",
            "TIMESTAMP AS OF DATE '2024-01-01'",
        ] {
            assert_eq!(
                text(&format!("SELECT * FROM t {time} u")),
                "SELECT * FROM \"t FOR TIMESTAMP AS OF 2024-01-01\" u",
                "{time}"
            );
        }
    }

    #[test]
    fn a_statement_knows_its_states() {
        let versions =
            parsed("SELECT * FROM t FOR VERSION AS OF 1 a JOIN t VERSION AS OF 'b' b ON a.x = b.x")
                .unwrap()
                .versions;
        let one = versions.get("t FOR VERSION AS OF 1").unwrap();
        assert_eq!(
            (one.table.as_str(), &one.asked),
            ("t", &Asked::Version("1".into()))
        );
        assert!(versions.get("t FOR VERSION AS OF b").is_some());
        assert!(versions.get("t").is_none());
        let inner =
            parsed("EXPLAIN SELECT * FROM (SELECT 1 FROM t FOR TIMESTAMP AS OF '2024-01-01 10:00:00')");
        assert!(
            inner
                .unwrap()
                .versions
                .get("t FOR TIMESTAMP AS OF 2024-01-01 10:00:00")
                .is_some()
        );
    }

    #[test]
    fn words_that_are_names_stay_names() {
        for sql in [
            "SELECT version AS of FROM t",
            "SELECT t.version AS of FROM t",
            "SELECT a AS version FROM t AS of",
        ] {
            assert_eq!(text(sql), sql);
        }
    }

    #[test]
    fn a_clause_elsewhere_is_refused() {
        for sql in [
            "SELECT a FOR VERSION AS OF 1 FROM t",
            "SELECT * FROM t AS u FOR VERSION AS OF 1",
            "SELECT * FROM t AS u FOR VERSION AS OF 1, \"u FOR VERSION AS OF 1\"",
            "SELECT * FROM (SELECT 1) FOR VERSION AS OF 1",
            "SELECT * FROM t FOR VERSION AS OF x",
            "SELECT * FROM t FOR VERSION AS OF",
            "SELECT * FROM t FOR TIMESTAMP AS OF 5",
            "SELECT * FROM t FOR TIMESTAMP AS OF now()",
            "SELECT * FROM t FOR VERSION BETWEEN 1 AND 2",
            "DESCRIBE t FOR VERSION AS OF 1",
        ] {
            let refused = parsed(sql);
            assert!(matches!(refused, Err(Error::Syntax { .. })), "{sql}: {refused:?}");
        }
        let refused = parsed("SELECT * FROM t FOR VERSION AS OF ?");
        assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
    }
}
