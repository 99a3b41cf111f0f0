//! A Postgres database beside the sample lake: `--postgres URL` as the catalog `pg`.
//!
//! Invariant: a password in the URL goes into a file of mode 0600 in the quickstart's folder, and nowhere else; neither the
//! config nor a message repeats it.

use std::fmt;

use super::folder::Folder;

/// The catalog's name.
pub(super) const CATALOG: &str = "pg";
/// The file of the password.
pub(super) const PASSWORD: &str = "postgres.password";

/// A database as the command line names it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Database {
    /// `postgres://USER@HOST:PORT/DATABASE`
    pub(super) url: String,
    /// What stood between the user and the host.
    pub(super) password: Option<String>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Takes a URL apart.
///
/// # Errors
/// What is missing. The text never comes back: it may hold a password.
pub(super) fn parse(text: &str) -> Result<Database, String> {
    let wanted = || "not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned();
    let rest = text
        .strip_prefix("postgres://")
        .or_else(|| text.strip_prefix("postgresql://"))
        .ok_or_else(wanted)?;
    // A password may hold an at sign; a host may not.
    let end = rest.find('/').unwrap_or(rest.len());
    let at = rest[..end].rfind('@').ok_or_else(wanted)?;
    let (user, place) = (&rest[..at], &rest[at + 1..]);
    let (user, password) = match user.split_once(':') {
        Some((user, password)) => (user, Some(decoded(password).ok_or_else(wanted)?)),
        None => (user, None),
    };
    if user.is_empty() || place.is_empty() {
        return Err(wanted());
    }
    Ok(Database {
        url: format!("postgres://{user}@{place}"),
        password: password.filter(|password| !password.is_empty()),
    })
}

/// A part of a URL without its percent signs.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

impl Database {
    /// The section of the config.
    pub(super) fn section(&self, folder: &Folder) -> String {
        let url = toml::Value::from(self.url.as_str());
        let mut text = format!("\n[planner.sources.{CATALOG}]\nkind = \"postgres\"\nurl = {url}\n");
        if self.password.is_some() {
            let path = format!("file:{}", folder.path(PASSWORD).display());
            text += &format!("password = {}\n", toml::Value::from(path));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_of_the_url_and_not_shown() {
        let database = parse("postgres://ada:p%40ss:w0rd@db.example:5433/sales").unwrap();
        assert_eq!(database.url, "postgres://ada@db.example:5433/sales");
        assert_eq!(database.password.as_deref(), Some("p@ss:w0rd"));
        assert!(!format!("{database:?}").contains("w0rd"));
        let plain = parse("postgresql://ada@%2Frun%2Fpg/sales").unwrap();
        assert_eq!(
            (plain.url.as_str(), plain.password),
            ("postgres://ada@%2Frun%2Fpg/sales", None)
        );
        for bad in [
            "mysql://a@h/d",
            "postgres://h/d",
            "postgres://:secret@h/d",
            "postgres://u:%ZZ@h",
            "postgres://u:secret@",
        ] {
            let problem = parse(bad).unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
