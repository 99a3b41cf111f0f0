//! Text to expression, by descent with one word of look-ahead.
//!
//! Invariant: bounded before it recurses; a text past the bounds below is refused.

use super::tokens::{Token, tokens};
use super::{Comparison, Expression, Function, Literal, Members, Type};

/// Bytes of an expression.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Depth of parentheses, CASE, NOT and functions.
const DEPTH_MAX: usize = 32;
/// Operators of one kind in a row.
const CHAIN_MAX: usize = 256;
/// Bytes of a pattern of LIKE.
const PATTERN_BYTES_MAX: usize = 256;

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expression, character {position}: {reason}")]
pub struct Fault {
    /// Where, counted from one.
    pub position: usize,
    /// What is wrong.
    pub reason: String,
}

/// Reads an expression.
///
/// # Errors
/// A [`Fault`] with the place at fault.
pub fn parse(text: &str) -> Result<Expression, Fault> {
    let mut reader = Reader::new(text)?;
    let expression = reader.either(0)?;
    match reader.next() {
        (Token::End, _) => Ok(expression),
        (_, position) => Err(fault(position, "nothing more was expected")),
    }
}

pub(super) fn fault(position: usize, reason: impl Into<String>) -> Fault {
    Fault {
        position,
        reason: reason.into(),
    }
}

struct Reader {
    tokens: Vec<(Token, usize)>,
    at: usize,
}

impl Reader {
    fn new(text: &str) -> Result<Self, Fault> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(fault(1, format!("it is longer than {TEXT_BYTES_MAX} bytes")));
        }
        Ok(Self {
            tokens: tokens(text)?,
            at: 0,
        })
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |token| &token.0)
    }

    fn position(&self) -> usize {
        self.tokens
            .get(self.at)
            .or(self.tokens.last())
            .map_or(1, |token| token.1)
    }

    fn next(&mut self) -> (Token, usize) {
        let found = (self.peek().clone(), self.position());
        self.at += 1;
        found
    }

    /// Takes the word if it comes next; letter case does not matter.
    fn word(&mut self, wanted: &str) -> bool {
        let is_next = matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(is_next);
        is_next
    }

    fn symbol(&mut self, wanted: &str) -> bool {
        let is_next = matches!(self.peek(), Token::Symbol(symbol) if *symbol == wanted);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, wanted: &str) -> Result<(), Fault> {
        if self.symbol(wanted) || self.word(wanted) {
            return Ok(());
        }
        Err(fault(self.position(), format!("`{wanted}` was expected")))
    }

    fn either(&mut self, depth: usize) -> Result<Expression, Fault> {
        if depth > DEPTH_MAX {
            return Err(fault(
                self.position(),
                format!("it is nested deeper than {DEPTH_MAX}"),
            ));
        }
        let mut found = self.both(depth)?;
        for count in 1.. {
            if !self.word("OR") {
                break;
            }
            self.bounded(count)?;
            found = Expression::Or(Box::new(found), Box::new(self.both(depth)?));
        }
        Ok(found)
    }

    fn both(&mut self, depth: usize) -> Result<Expression, Fault> {
        let mut found = self.negation(depth)?;
        for count in 1.. {
            if !self.word("AND") {
                break;
            }
            self.bounded(count)?;
            found = Expression::And(Box::new(found), Box::new(self.negation(depth)?));
        }
        Ok(found)
    }

    fn bounded(&self, count: usize) -> Result<(), Fault> {
        match count > CHAIN_MAX {
            true => Err(fault(
                self.position(),
                format!("there are more than {CHAIN_MAX} in a row"),
            )),
            false => Ok(()),
        }
    }

    fn negation(&mut self, depth: usize) -> Result<Expression, Fault> {
        if !self.word("NOT") {
            return self.predicate(depth);
        }
        if depth > DEPTH_MAX {
            return Err(fault(
                self.position(),
                format!("it is nested deeper than {DEPTH_MAX}"),
            ));
        }
        Ok(Expression::Not(Box::new(self.negation(depth + 1)?)))
    }

    fn predicate(&mut self, depth: usize) -> Result<Expression, Fault> {
        let value = self.operand(depth)?;
        let comparison = [
            ("=", Comparison::Equal),
            ("<>", Comparison::NotEqual),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            ("<", Comparison::Less),
            (">=", Comparison::GreaterOrEqual),
            (">", Comparison::Greater),
        ];
        for (symbol, how) in comparison {
            if self.symbol(symbol) {
                let other = self.operand(depth)?;
                return Ok(Expression::Compare(how, Box::new(value), Box::new(other)));
            }
        }
        if self.word("IS") {
            let negated = self.word("NOT");
            self.expect("NULL")?;
            let value = Box::new(value);
            return Ok(Expression::IsNull { value, negated });
        }
        let negated = self.word("NOT");
        if self.word("IN") {
            let list = self.members()?;
            let value = Box::new(value);
            return Ok(Expression::In { value, list, negated });
        }
        if self.word("LIKE") {
            let pattern = self.pattern()?;
            let value = Box::new(value);
            return Ok(Expression::Like {
                value,
                pattern,
                negated,
            });
        }
        if self.word("BETWEEN") {
            return self.between(value, negated, depth);
        }
        match negated {
            true => Err(fault(self.position(), "IN, LIKE or BETWEEN was expected")),
            false => Ok(value),
        }
    }

    fn between(&mut self, value: Expression, negated: bool, depth: usize) -> Result<Expression, Fault> {
        let low = self.operand(depth)?;
        self.expect("AND")?;
        let high = self.operand(depth)?;
        let compare =
            |how, bound| Box::new(Expression::Compare(how, Box::new(value.clone()), Box::new(bound)));
        Ok(match negated {
            false => Expression::And(
                compare(Comparison::GreaterOrEqual, low),
                compare(Comparison::LessOrEqual, high),
            ),
            true => Expression::Or(compare(Comparison::Less, low), compare(Comparison::Greater, high)),
        })
    }

    fn pattern(&mut self) -> Result<String, Fault> {
        match self.next() {
            (Token::Text(pattern), at) if pattern.len() > PATTERN_BYTES_MAX => Err(fault(
                at,
                format!("the pattern is longer than {PATTERN_BYTES_MAX} bytes"),
            )),
            (Token::Text(pattern), at) if pattern.contains('\\') => Err(fault(
                at,
                "a pattern has no backslash; `%` and `_` cannot be escaped",
            )),
            (Token::Text(pattern), _) => Ok(pattern),
            (_, at) => Err(fault(at, "a text was expected")),
        }
    }

    fn members(&mut self) -> Result<Members, Fault> {
        if self.symbol("(") {
            let mut values = Vec::new();
            if self.symbol(")") {
                return Ok(Members::Values(values));
            }
            loop {
                let at = self.position();
                match self.operand(0)? {
                    Expression::Literal(Literal::Null) | Expression::Literal(Literal::Boolean(_)) => {
                        return Err(fault(at, "a list holds numbers, texts, dates or times"));
                    }
                    Expression::Literal(value) => values.push(value),
                    _ => return Err(fault(at, "a value was expected")),
                }
                if !self.symbol(",") {
                    break;
                }
            }
            self.expect(")")?;
            return Ok(Members::Values(values));
        }
        let (token, at) = self.next();
        match token {
            Token::Word(word) if word.eq_ignore_ascii_case("principal") => {
                Ok(Members::Attribute(self.attribute()?))
            }
            Token::Word(name) | Token::Name(name) => {
                self.expect("(")?;
                self.expect("principal")?;
                let key = self.attribute()?;
                self.expect(")")?;
                Ok(Members::Mapping { name, key })
            }
            _ => Err(fault(at, "a list, an attribute or a mapping was expected")),
        }
    }

    /// `.NAME` behind `principal`.
    fn attribute(&mut self) -> Result<String, Fault> {
        self.expect(".")?;
        match self.next() {
            (Token::Word(name), _) if name.bytes().all(is_plain) => Ok(name),
            (_, at) => Err(fault(at, "the name of an attribute was expected")),
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Expression, Fault> {
        let (token, at) = self.next();
        match token {
            Token::Symbol("(") => {
                let inner = self.either(depth + 1)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Number(digits) => Ok(Expression::Literal(Literal::Number(digits))),
            Token::Text(text) => Ok(Expression::Literal(Literal::Text(text))),
            Token::Name(name) => Ok(Expression::Column(name)),
            Token::Word(word) => self.spoken(word, at, depth),
            Token::Symbol(_) | Token::End => Err(fault(at, "a value was expected")),
        }
    }

    /// What begins with a word.
    fn spoken(&mut self, word: String, at: usize, depth: usize) -> Result<Expression, Fault> {
        let upper = word.to_ascii_uppercase();
        match upper.as_str() {
            "NULL" => return Ok(Expression::Literal(Literal::Null)),
            "TRUE" => return Ok(Expression::truth(true)),
            "FALSE" => return Ok(Expression::truth(false)),
            "PRINCIPAL" if *self.peek() == Token::Symbol(".") => {
                return Ok(Expression::Attribute(self.attribute()?));
            }
            "CASE" => return self.case(depth),
            "TRY_CAST" if *self.peek() == Token::Symbol("(") => return self.try_cast(depth),
            "AND" | "OR" | "NOT" | "IN" | "IS" | "LIKE" | "BETWEEN" | "WHEN" | "THEN" | "ELSE" | "END"
            | "AS" => {
                return Err(fault(
                    at,
                    "a value was expected; a column of this name is written in quotes",
                ));
            }
            _ => {}
        }
        if let Token::Text(text) = self.peek().clone() {
            let value = match upper.as_str() {
                "DATE" => Literal::Date(day(&text, at)?),
                "TIMESTAMP" => Literal::Timestamp(time(&text, at)?),
                _ => return Err(fault(at, "a text was not expected here")),
            };
            self.at += 1;
            return Ok(Expression::Literal(value));
        }
        if self.symbol("(") {
            return self.call(&word, at, depth);
        }
        Ok(Expression::Column(word))
    }

    fn call(&mut self, word: &str, at: usize, depth: usize) -> Result<Expression, Fault> {
        let function = Function::ALL
            .into_iter()
            .find(|function| word.eq_ignore_ascii_case(function.name()))
            .ok_or_else(|| fault(at, format!("there is no function `{word}`")))?;
        let mut arguments = Vec::new();
        loop {
            arguments.push(self.either(depth + 1)?);
            if !self.symbol(",") {
                break;
            }
            self.bounded(arguments.len())?;
        }
        self.expect(")")?;
        let is_whole = |argument: Option<&Expression>, least: u32| match argument {
            None => true,
            Some(Expression::Literal(Literal::Number(digits))) => digits
                .parse::<u32>()
                .is_ok_and(|number| (least..=65_536).contains(&number)),
            Some(_) => false,
        };
        let fits = match function {
            Function::Lower | Function::Upper => arguments.len() == 1,
            Function::Substr => {
                (2..=3).contains(&arguments.len())
                    && is_whole(arguments.get(1), 1)
                    && is_whole(arguments.get(2), 0)
            }
            Function::Concat | Function::Coalesce => arguments.len() >= 2,
        };
        match fits {
            true => Ok(Expression::Call(function, arguments)),
            false => Err(fault(
                at,
                format!("`{}` does not take these arguments", function.name()),
            )),
        }
    }

    fn case(&mut self, depth: usize) -> Result<Expression, Fault> {
        let mut branches = Vec::new();
        while self.word("WHEN") {
            let condition = self.either(depth + 1)?;
            self.expect("THEN")?;
            branches.push((condition, self.either(depth + 1)?));
            self.bounded(branches.len())?;
        }
        if branches.is_empty() {
            return Err(fault(self.position(), "`WHEN` was expected"));
        }
        let otherwise = match self.word("ELSE") {
            true => Some(Box::new(self.either(depth + 1)?)),
            false => None,
        };
        self.expect("END")?;
        Ok(Expression::Case { branches, otherwise })
    }

    fn try_cast(&mut self, depth: usize) -> Result<Expression, Fault> {
        self.expect("(")?;
        let value = self.either(depth + 1)?;
        self.expect("AS")?;
        let (token, at) = self.next();
        let to = match token {
            Token::Word(word) => Type::named(&word),
            _ => None,
        };
        let to = to.ok_or_else(|| {
            fault(
                at,
                "a type was expected: boolean, int, float, text, date or timestamp",
            )
        })?;
        self.expect(")")?;
        Ok(Expression::TryCast(Box::new(value), to))
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A day that the calendar has.
fn day(text: &str, at: usize) -> Result<String, Fault> {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |index: usize, length: usize| {
        parts
            .get(index)
            .filter(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|part| part.parse::<u32>().ok())
    };
    let days = |year: u32, month: u32| match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    };
    match (number(0, 4), number(1, 2), number(2, 2)) {
        (Some(year), Some(month), Some(day))
            if parts.len() == 3 && (1..=12).contains(&month) && (1..=days(year, month)).contains(&day) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(fault(at, "a date is written as 'YYYY-MM-DD'")),
    }
}

/// A time of day behind a day.
fn time(text: &str, at: usize) -> Result<String, Fault> {
    let wrong = || {
        fault(
            at,
            "a time is written as 'YYYY-MM-DD HH:MM:SS' with up to six digits more",
        )
    };
    let (date, clock) = text.split_once(' ').ok_or_else(wrong)?;
    day(date, at)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let parts: Vec<&str> = clock.split(':').collect();
    let bounds = [24, 60, 60];
    let fits = parts.len() == 3
        && parts.iter().zip(bounds).all(|(part, bound)| {
            part.len() == 2
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && part.parse::<u32>().is_ok_and(|number| number < bound)
        });
    let is_fraction = (1..=6).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match fits && is_fraction {
        true => Ok(text.to_owned()),
        false => Err(wrong()),
    }
}
