//! The words, names, values and signs of an expression.

use super::parse::{Fault, fault};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A word without quotes.
    Word(String),
    /// A name in double quotes.
    Name(String),
    Number(String),
    Text(String),
    Symbol(&'static str),
    End,
}

/// All tokens of a text, each with its place, and the end.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Fault> {
    let mut letters = Letters {
        all: text.chars().collect(),
        at: 0,
    };
    let mut found = Vec::new();
    while let Some(letter) = letters.peek() {
        let start = letters.at + 1;
        if letter.is_whitespace() {
            letters.next();
        } else {
            found.push((token(letter, &mut letters, start)?, start));
        }
    }
    found.push((Token::End, letters.at + 1));
    Ok(found)
}

/// The characters of a text, and the place of the next.
struct Letters {
    all: Vec<char>,
    at: usize,
}

impl Letters {
    fn peek(&self) -> Option<char> {
        self.all.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        Some(letter)
    }

    fn next_if(&mut self, fits: impl Fn(char) -> bool) -> Option<char> {
        self.peek().filter(|letter| fits(*letter))?;
        self.next()
    }
}

fn token(first: char, letters: &mut Letters, at: usize) -> Result<Token, Fault> {
    match first {
        '\'' => enclosed(letters, '\'', at).map(Token::Text),
        '"' => match enclosed(letters, '"', at)? {
            name if name.is_empty() => Err(fault(at, "a name is empty")),
            name => Ok(Token::Name(name)),
        },
        '0'..='9' | '-' => number(letters, at),
        letter if letter.is_ascii_alphabetic() || letter == '_' => {
            let mut word = String::new();
            while let Some(letter) = letters.next_if(|letter| letter.is_ascii_alphanumeric() || letter == '_')
            {
                word.push(letter);
            }
            Ok(Token::Word(word))
        }
        _ => symbol(letters, at),
    }
}

fn symbol(letters: &mut Letters, at: usize) -> Result<Token, Fault> {
    let first = letters.next();
    let symbol = match (first, letters.peek()) {
        (Some('<'), Some('=')) => "<=",
        (Some('<'), Some('>')) => "<>",
        (Some('>'), Some('=')) => ">=",
        (Some('!'), Some('=')) => "!=",
        (Some('<'), _) => "<",
        (Some('>'), _) => ">",
        (Some('='), _) => "=",
        (Some('('), _) => "(",
        (Some(')'), _) => ")",
        (Some(','), _) => ",",
        (Some('.'), _) => ".",
        _ => return Err(fault(at, "a character that means nothing here")),
    };
    if symbol.len() == 2 {
        letters.next();
    }
    Ok(Token::Symbol(symbol))
}

fn number(letters: &mut Letters, at: usize) -> Result<Token, Fault> {
    let mut digits = String::new();
    if letters.next_if(|letter| letter == '-').is_some() {
        digits.push('-');
    }
    while let Some(letter) = letters.next_if(|letter| letter.is_ascii_digit() || letter == '.') {
        digits.push(letter);
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, "0"));
    let whole = whole.trim_start_matches('-');
    let is_number =
        !whole.is_empty() && !fraction.is_empty() && !fraction.contains('.') && digits.len() <= 40;
    match is_number {
        true => Ok(Token::Number(digits)),
        false => Err(fault(at, "a number is digits with at most one point among them")),
    }
}

fn enclosed(letters: &mut Letters, quote: char, at: usize) -> Result<String, Fault> {
    letters.next();
    let mut text = String::new();
    loop {
        match letters.next() {
            None => return Err(fault(at, "a quote is not closed")),
            Some(letter) if letter == quote && letters.next_if(|next| next == quote).is_some() => {
                text.push(quote)
            }
            Some(letter) if letter == quote => return Ok(text),
            Some(letter) => text.push(letter),
        }
    }
}
