//! The users of the sample: one for each role, with random passwords.
//!
//! `credentials.json` is written first and holds the passwords; the users file is made from it. A start that finds only the first makes the
//! second, so a kill in between costs nothing. Files that are there are kept: they may have been edited.

use aws_lc_rs::rand;
use policies::Secret;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::folder::Folder;

/// One entry of `credentials.json`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    /// The name to log in with.
    pub(super) user: String,
    /// The password in clear.
    pub(super) password: String,
    /// What the policies call it.
    pub(super) roles: Vec<String>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// The file of the accounts.
pub(super) const CREDENTIALS: &str = "credentials.json";

/// User, role, and the schemas that the role may read.
const ROLES: [(&str, &str, &[&str]); 4] = [
    ("admin", "admin", &["*.*.*"]),
    (
        "engineer",
        "data_engineer",
        &["lake.bronze.*", "lake.silver.*", "lake.gold.*", "lake.system.*"],
    ),
    ("scientist", "data_scientist", &["lake.silver.*", "lake.gold.*"]),
    ("viewer", "data_viewer", &["lake.gold.*"]),
];

/// Characters of a password. Letters and digits only, so that it needs no quoting in a shell, a URL or a string of any language.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// 24 of 62 characters are 142 bits.
const LENGTH: usize = 24;

/// Makes what is missing of accounts, users and policies, and gives the accounts.
///
/// # Errors
/// A file cannot be read or written, or `credentials.json` is not what a quickstart wrote.
pub(super) async fn ensure(folder: &Folder) -> Result<Vec<Account>> {
    let found = folder.read(CREDENTIALS)?;
    let accounts = match &found {
        Some(text) => serde_json::from_str(text).map_err(|error| Error::Credentials {
            path: folder.path(CREDENTIALS),
            line: error.line(),
        })?,
        None => ROLES
            .iter()
            .map(|(user, role, _)| account(user, role))
            .collect::<Result<Vec<_>>>()?,
    };
    if found.is_none() {
        // Entry by entry, so that the keys stand in the order in which a person reads them.
        let entries: Vec<String> = accounts
            .iter()
            .filter_map(|account| serde_json::to_string(account).ok())
            .collect();
        folder.write(CREDENTIALS, &format!("[\n  {}\n]\n", entries.join(",\n  ")))?;
    }
    if found.is_none() || folder.read("users.toml")?.is_none() {
        let hashed = accounts.clone();
        let users = tokio::task::spawn_blocking(move || users(&hashed)).await;
        let users = users.map_err(|_| Error::Crashed {
            doing: "hashing passwords",
        })??;
        folder.write("users.toml", &users)?;
    }
    if folder.read("policies.toml")?.is_none() {
        folder.write("policies.toml", &policies())?;
    }
    Ok(accounts)
}

fn account(user: &str, role: &str) -> Result<Account> {
    Ok(Account {
        user: user.to_owned(),
        password: password()?,
        roles: vec![role.to_owned()],
    })
}

/// A password of random characters, each equally likely.
fn password() -> Result<String> {
    let mut password = String::with_capacity(LENGTH);
    while password.len() < LENGTH {
        let mut byte = [0_u8; 1];
        rand::fill(&mut byte).map_err(|_| Error::Random)?;
        // 248 is the largest multiple of 62 in a byte; the rest would favour the first letters.
        if byte[0] < 248 {
            password.push(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
        }
    }
    Ok(password)
}

/// The users file. Takes as long as a password hash for each account.
fn users(accounts: &[Account]) -> Result<String> {
    let mut text = String::from("# Users of the quickstart. The passwords are in credentials.json.\n");
    for account in accounts {
        let hash = policies::hash_password(&Secret::new(account.password.clone())).map_err(Error::Users)?;
        let roles: Vec<toml::Value> = account
            .roles
            .iter()
            .map(|role| toml::Value::from(role.as_str()))
            .collect();
        let (name, hash, roles) = (
            toml::Value::from(account.user.as_str()),
            toml::Value::from(hash),
            toml::Value::from(roles),
        );
        text += &format!("\n[[user]]\nname = {name}\npassword_hash = {hash}\nroles = {roles}\n");
    }
    Ok(text)
}

fn policies() -> String {
    let mut text = String::from(
        "# Who may read what. What no rule allows is denied. Names are catalog.schema.table; `*` is any one name.\n",
    );
    for (_, role, tables) in ROLES {
        let tables: Vec<String> = tables.iter().map(|table| format!("{table:?}")).collect();
        text += &format!(
            "\n[[allow]]\nname = {role:?}\nroles = [{role:?}]\ntables = [{}]\n",
            tables.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_plain() {
        let (one, two) = (password().unwrap(), password().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), LENGTH);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[tokio::test]
    async fn accounts_are_kept_and_a_lost_users_file_is_made_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(&parent.path().join("q")).unwrap();
        let first = ensure(&folder).await.unwrap();
        assert_eq!(
            first
                .iter()
                .map(|account| account.user.as_str())
                .collect::<Vec<_>>(),
            ["admin", "engineer", "scientist", "viewer"]
        );
        std::fs::remove_file(folder.path("users.toml")).unwrap();
        let second = ensure(&folder).await.unwrap();
        assert_eq!(second[0].password, first[0].password);
        policies::identity::Users::open(&folder.path("users.toml")).unwrap();
        policies::FileStore::open(folder.path("policies.toml")).unwrap();
        for name in ["users.toml", "credentials.json", "policies.toml"] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                std::fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        assert!(!format!("{first:?}").contains(&first[0].password));
    }
}
