//! The gateway: a quickstart over the bench's lake, as a user starts it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::process::Command;

use crate::flight::{Ask, Export, Flight, Login, connect};
use crate::place::Place;
use crate::process::Process;
use crate::system::cores;

/// Settings that differ from the defaults. All clients of the bench are one user, whose share would else be half of the
/// places; and answers that were made in the round before would not be measured.
pub const SETTINGS: [(&str, &str); 2] = [
    ("LAKEGATE__LIMITS__PRINCIPAL_QUERIES_MAX", "64"),
    ("LAKEGATE__PLANNER__CACHE__BYTES", "0"),
];

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    /// `grpc://HOST:PORT`.
    pub flight: String,
    /// `http://HOST:PORT`.
    pub rest: String,
    /// Who asks.
    pub login: Login,
}

impl Gateway {
    /// Starts a gateway; the first start of a scale makes the lake.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(place: &Place) -> Result<Self> {
        Self::start_with(place, &[]).await
    }

    /// As [`Gateway::start`], with the cache of rows as it is by default.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn keeping(place: &Place) -> Result<Self> {
        Self::launch(place, &[], &SETTINGS[..1]).await
    }

    /// As [`Gateway::start`], with other policies than those of the quickstart.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn with_policies(place: &Place, policies: &Path) -> Result<Self> {
        let file = policies.to_str().context("a UTF-8 path")?;
        let mut settings = SETTINGS.to_vec();
        settings.push(("LAKEGATE__POLICIES__FILE", file));
        Self::launch(place, &[], &settings).await
    }

    /// As [`Gateway::start`], with further flags.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_with(place: &Place, flags: &[&str]) -> Result<Self> {
        Self::launch(place, flags, &SETTINGS).await
    }

    async fn launch(place: &Place, flags: &[&str], settings: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(&place.gateway);
        let free = "127.0.0.1:0";
        command
            .arg("quickstart")
            .arg("--dir")
            .arg(place.lake())
            .args(["--scale", &place.scale.to_string()]);
        command
            .args([
                "--flight", free, "--rest", free, "--ingest", free, "--admin", free,
            ])
            .args(flags)
            .envs(settings.iter().copied());
        let mut process = Process::start("gateway", command, &place.logs(), true)?;
        let (flight, rest) = process.await_line(ready).await?;
        let login = login(place, "admin")?;
        Ok(Self {
            process,
            flight,
            rest,
            login,
        })
    }

    /// The process's number.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> Result<u32> {
        self.process.id()
    }

    /// A connection that is logged in.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn connect(&self) -> Result<Flight> {
        connect(&self.flight, Some(&self.login)).await
    }

    /// An export of `sql`, all endpoints over as many connections as there are processors.
    ///
    /// # Errors
    /// When a connection is refused.
    pub async fn export(&self, name: &str, sql: &str) -> Result<Export> {
        let ask = Ask::Statement(sql.to_owned());
        Export::open(
            name,
            self.id()?,
            (&self.flight, Some(&self.login)),
            streams(),
            ask,
        )
        .await
    }

    /// An export of `sql` as one stream, whose ticket is the statement.
    ///
    /// # Errors
    /// When the connection is refused.
    pub async fn stream(&self, name: &str, sql: &str) -> Result<Export> {
        let ask = Ask::Tickets(vec![sql.to_owned().into()]);
        Export::open(name, self.id()?, (&self.flight, Some(&self.login)), 1, ask).await
    }

    /// Ends the gateway.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

/// A user of the lake.
///
/// # Errors
/// When there is none of this name.
pub fn login(place: &Place, user: &str) -> Result<Login> {
    let path = place.lake().join("credentials.json");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let users: Vec<Value> = serde_json::from_str(&text)?;
    let found = users.iter().find(|known| known["user"] == user);
    let password = found.and_then(|known| known["password"].as_str());
    Ok(Login {
        user: user.to_owned(),
        password: password.with_context(|| format!("no user {user}"))?.to_owned(),
    })
}

/// Streams of a parallel export.
pub fn streams() -> usize {
    cores().max(2)
}

/// The addresses in `ready flight=grpc://HOST:PORT rest=http://HOST:PORT`.
fn ready(line: &str) -> Option<(String, String)> {
    let words = line.strip_prefix("ready ")?;
    let word = |key: &str| {
        words
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key))
            .map(str::to_owned)
    };
    Some((word("flight=")?, word("rest=")?))
}
