//! `lakegate policies publish|history|show`: the documents of a fleet, in the table that its gateways read.
//!
//! Invariant: a document that is none is not published, and one that somebody else published meanwhile is not overwritten.

use std::path::Path;

use ::policies::review::{difference, findings};
use ::policies::{PolicySet, Secret};
use planner::database::{Newest, Versions};

use super::super::{Failure, runtime};
use super::{NO_KEY, open, print, text};
use crate::config::{Config, Environment, Fault};
use crate::error::Error;

/// What is asked of a publication.
pub(super) struct Wanted {
    /// What the change is for.
    pub(super) note: String,
    /// The version that must be the newest.
    pub(super) replaces: Option<i64>,
    /// Whether nothing is published.
    pub(super) is_dry: bool,
}

pub(super) fn publish(
    document: &Path,
    config: &Path,
    wanted: Wanted,
    environment: &Environment,
) -> Result<(), Failure> {
    let config = Config::load(config, environment)?;
    let text = text(document)?;
    // As the gateways will read it: with their key, or without one.
    let set = PolicySet::parse_with_key(&text, document, config.policies.key()?.as_ref())?;
    runtime()?.block_on(async {
        let versions = table(&config, environment)?;
        if !wanted.is_dry {
            versions.create().await.map_err(failed)?;
        }
        let newest = versions.newest(None).await.map_err(failed)?;
        let (replaced, old) = match newest {
            Newest::Version { number, text } => (number, text),
            Newest::Nothing | Newest::Same => (0, String::new()),
        };
        if let Some(expected) = wanted.replaces.filter(|expected| *expected != replaced) {
            return Err(overtaken(expected, Some(replaced)));
        }
        if old == text {
            return print(&[format!("ok   version {replaced} is this document already")]);
        }
        let key = Secret::new(NO_KEY);
        let before = PolicySet::parse_with_key(&old, Path::new("the newest version"), Some(&key));
        let mut lines: Vec<String> = findings(&set)
            .iter()
            .map(|finding| format!("warn {finding}"))
            .collect();
        match before {
            Ok(before) => lines.extend(
                difference(&before, &open(document)?)
                    .iter()
                    .map(ToString::to_string),
            ),
            Err(error) => lines.push(format!(
                "warn version {replaced} is no document, and is not compared: {error}"
            )),
        }
        print(&lines)?;
        if wanted.is_dry {
            return print(&[format!(
                "     nothing published; it would be version {}",
                replaced + 1
            )]);
        }
        let published = versions
            .publish(text, wanted.note, replaced)
            .await
            .map_err(failed)?;
        match published {
            Some(number) => print(&[format!("ok   version {number}, epoch {}", set.epoch())]),
            None => Err(overtaken(replaced, None)),
        }
    })
}

pub(super) fn history(config: &Path, environment: &Environment) -> Result<(), Failure> {
    let config = Config::load(config, environment)?;
    let published = runtime()?.block_on(async {
        let versions = table(&config, environment)?;
        versions.history().await.map_err(failed)
    })?;
    let lines: Vec<String> = published
        .iter()
        .map(|version| {
            format!(
                "{:>6}  {}  {}  {} characters  {}",
                version.number, version.at, version.by, version.length, version.note
            )
        })
        .collect();
    print(&lines)
}

pub(super) fn show(version: Option<i64>, config: &Path, environment: &Environment) -> Result<(), Failure> {
    let config = Config::load(config, environment)?;
    let found = runtime()?.block_on(async {
        let versions = table(&config, environment)?;
        match version {
            Some(number) => versions.text(number).await.map_err(failed),
            None => match versions.newest(None).await.map_err(failed)? {
                Newest::Version { text, .. } => Ok(Some(text)),
                Newest::Nothing | Newest::Same => Ok(None),
            },
        }
    })?;
    match (found, version) {
        (Some(text), _) => print(&[text.trim_end().to_owned()]),
        (None, Some(number)) => {
            Err(Fault::at("fleet.policies", format!("there is no version {number}")).into())
        }
        (None, None) => Err(Fault::at("fleet.policies", "no policies are published there").into()),
    }
}

fn table(config: &Config, environment: &Environment) -> Result<Versions, Failure> {
    match &config.fleet.policies {
        Some(database) => Ok(database.open(environment)?),
        None => Err(Fault::at("fleet.policies", "the config names no database of policies").into()),
    }
}

fn overtaken(expected: i64, found: Option<i64>) -> Failure {
    let found = found.map_or_else(
        || "another one was published meanwhile".to_owned(),
        |found| format!("the newest version is {found}"),
    );
    Fault::at(
        "fleet.policies",
        format!("version {expected} was to be replaced, and {found}"),
    )
    .into()
}

/// What a database says, in the words of the gateway.
fn failed(error: impl Into<planner::Error>) -> Failure {
    Error::from(error.into()).into()
}
