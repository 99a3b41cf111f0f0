//! `lakegate users`: the users file of a config, for installations without an issuer.
//!
//! Invariants: a password is asked for or read from the standard input and never an argument, since everybody on the
//! machine sees those; it is kept as argon2id; the file is replaced as a whole and has mode 0600.

use super::Failure;
use crate::config::{Config, Environment};
use policies::identity::{User, Users, rewrite};
use policies::{Attributes, Secret, hash_password};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

/// The shortest password that is taken from a person (NIST SP 800-63B, 5.1.1.1).
const LETTERS_MIN: usize = 8;

/// Add users, change passwords, list users
///
/// Works on the users file of the config (`identity.users`) and writes it anew, so comments in it are lost. The password is
/// asked for twice, or read as one line where the standard input is no terminal. A running gateway sees a change within
/// `identity.reread`; a changed password ends the sessions of its user and the answers that are still running.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  lakegate users add ada --role data_scientist --config gateway.toml
  lakegate users passwd ada --config gateway.toml < new-password
  lakegate users list --config gateway.toml

Exit codes: 0 success, 1 failure, 2 wrong usage.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The config file (TOML)
    #[arg(long, value_name = "FILE", global = true, default_value = "gateway.toml")]
    config: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add a user
    Add {
        /// The name to log in with: no colon
        name: String,
        /// A role that policies speak of; may be given several times
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// Whose data the user works with
        #[arg(long, value_name = "TENANT", default_value = "default")]
        tenant: String,
    },
    /// Change a user's password
    Passwd {
        /// The user
        name: String,
    },
    /// Print the users, without what would help to guess a password
    List,
}

pub(super) fn run(arguments: Arguments, environment: &Environment) -> Result<(), Failure> {
    let config = Config::load(&arguments.config, environment)?;
    let path = &config.identity.users;
    match arguments.command {
        Command::Add { name, roles, tenant } => {
            let user = User {
                name: name.clone(),
                password_hash: hash_password(&password()?)?,
                roles: roles.into_iter().collect(),
                tenant,
                attributes: Attributes::default(),
            };
            let is_new = rewrite(path, || {
                // The first user of an installation comes before its file.
                let before = match path.exists() {
                    true => Users::open(path)?,
                    false => Users::default(),
                };
                let is_new = before.get(&name).is_none();
                let added = is_new.then_some(user);
                write(path, before.iter().cloned().chain(added), is_new)
            })?;
            is_new.then_some(()).ok_or_else(|| {
                problem(format!(
                    "there is a user '{name}'; `lakegate users passwd` changes the password"
                ))
            })
        }
        Command::Passwd { name } => {
            let hash = hash_password(&password()?)?;
            let is_there = rewrite(path, || {
                let before = Users::open(path)?;
                let is_there = before.get(&name).is_some();
                let changed = before.iter().cloned().map(|user| match user.name == name {
                    true => User {
                        password_hash: hash.clone(),
                        ..user
                    },
                    false => user,
                });
                write(path, changed, is_there)
            })?;
            is_there
                .then_some(())
                .ok_or_else(|| problem(format!("there is no user '{name}' in {}", path.display())))
        }
        Command::List => {
            let line = |user: &User| {
                let roles: Vec<&str> = user.roles.iter().map(String::as_str).collect();
                format!("{}\t{}\t{}\n", user.name, user.tenant, roles.join(","))
            };
            let said: String = Users::open(path)?.iter().map(line).collect();
            let mut out = io::stdout().lock();
            out.write_all(said.as_bytes())
                .and_then(|()| out.flush())
                .map_err(|source| Failure::io("writing the answer", source))
        }
    }
}

/// The text of a file with these users, once they are checked.
fn write<T>(
    path: &std::path::Path,
    users: impl IntoIterator<Item = User>,
    outcome: T,
) -> policies::Result<(String, T)> {
    let users = Users::of(users).map_err(|reason| policies::Error::Document {
        path: path.to_owned(),
        line: None,
        reason,
    })?;
    Ok((users.to_toml()?, outcome))
}

fn password() -> Result<Secret, Failure> {
    let unread = |source| Failure::io("reading the password", source);
    let given = if io::stdin().is_terminal() {
        let first = Secret::new(rpassword::prompt_password("password: ").map_err(unread)?);
        let again = Secret::new(rpassword::prompt_password("once more: ").map_err(unread)?);
        if first.expose() != again.expose() {
            return Err(problem("the two passwords differ".to_owned()));
        }
        first
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(unread)?;
        Secret::new(line.trim_end_matches(['\r', '\n']))
    };
    if given.expose().chars().count() < LETTERS_MIN {
        return Err(problem(format!(
            "a password has at least {LETTERS_MIN} characters"
        )));
    }
    Ok(given)
}

fn problem(problem: String) -> Failure {
    Failure::Target { problem }
}
