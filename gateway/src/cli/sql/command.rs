//! The backslash commands of the shell.

use super::Failure;

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `\d`: the tables.
    Tables,
    /// `\d NAME`: the columns of a table.
    Table(Name),
    /// `\dn`: the schemas.
    Schemas,
    /// `\timing`, `\timing on`, `\timing off`.
    Timing(Option<bool>),
    /// `\q`.
    Quit,
    /// `\?`.
    Help,
}

/// What `\?` prints.
pub(super) const HELP: &str = "\
SQL ends with a semicolon and may go over several lines.
  \\d             list the tables
  \\d TABLE       list the columns of a table, as table, schema.table or catalog.schema.table
  \\dn            list the schemas
  \\timing [on|off]
                 show how long a statement took
  \\?             this help
  \\q             leave, as Ctrl-D does
Ctrl-C stops the running statement, or drops what is typed.
";

/// A table's name with as many parts as were given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) catalog: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) table: String,
}

/// Reads a line that begins with a backslash.
pub(super) fn parse(line: &str) -> Result<Command, Failure> {
    let fault = |problem: String| Err(Failure::Command { problem });
    let line = line.trim().trim_end_matches(';');
    let (word, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (word, argument.trim()) {
        ("\\d" | "\\dt", "") => Ok(Command::Tables),
        ("\\d", name) => parse_name(name).map(Command::Table),
        ("\\dn", "") => Ok(Command::Schemas),
        ("\\timing", "") => Ok(Command::Timing(None)),
        ("\\timing", "on") => Ok(Command::Timing(Some(true))),
        ("\\timing", "off") => Ok(Command::Timing(Some(false))),
        ("\\q", "") => Ok(Command::Quit),
        ("\\?" | "\\h", "") => Ok(Command::Help),
        ("\\dt" | "\\dn" | "\\timing" | "\\q" | "\\?" | "\\h", argument) => fault(format!(
            "{word} does not take `{argument}`; \\? shows the commands"
        )),
        _ => fault(format!("there is no command {word}; \\? shows the commands")),
    }
}

/// Reads a name as SQL does: letters outside of double quotes become small.
fn parse_name(text: &str) -> Result<Name, Failure> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(part) = parts.last_mut() else { break };
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => part.push('"'),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            letter if quoted => part.push(letter),
            letter => part.extend(letter.to_lowercase()),
        }
    }
    if quoted || parts.iter().any(String::is_empty) {
        return Err(Failure::Command {
            problem: format!("`{text}` is not a table name"),
        });
    }
    let mut parts = parts.into_iter().rev();
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(table), schema, catalog, None) => Ok(Name {
            catalog,
            schema,
            table,
        }),
        _ => Err(Failure::Command {
            problem: format!("`{text}` has more than three parts"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Name, parse};

    fn name(catalog: Option<&str>, schema: Option<&str>, table: &str) -> Command {
        let owned = |part: Option<&str>| part.map(str::to_owned);
        Command::Table(Name {
            catalog: owned(catalog),
            schema: owned(schema),
            table: table.to_owned(),
        })
    }

    #[test]
    fn commands_are_read() {
        let cases = [
            ("\\d", Command::Tables),
            ("\\d;", Command::Tables),
            ("\\d  Orders ", name(None, None, "orders")),
            ("\\d gold.orders;", name(None, Some("gold"), "orders")),
            (
                "\\d lake.gold.\"My.Orders\"",
                name(Some("lake"), Some("gold"), "My.Orders"),
            ),
            ("\\d \"say \"\"hi\"\"\"", name(None, None, "say \"hi\"")),
            ("\\dn", Command::Schemas),
            ("\\timing", Command::Timing(None)),
            ("\\timing off", Command::Timing(Some(false))),
            ("\\q", Command::Quit),
            ("\\?", Command::Help),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_command_is_told() {
        let cases = [
            ("\\x", "there is no command \\x; \\? shows the commands"),
            ("\\q now", "\\q does not take `now`; \\? shows the commands"),
            (
                "\\timing maybe",
                "\\timing does not take `maybe`; \\? shows the commands",
            ),
            ("\\d a.b.c.d", "`a.b.c.d` has more than three parts"),
            ("\\d a..b", "`a..b` is not a table name"),
            ("\\d \"a", "`\"a` is not a table name"),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line).unwrap_err().to_string(), expected, "{line}");
        }
    }
}
