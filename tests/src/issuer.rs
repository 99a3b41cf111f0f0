//! A real OIDC issuer (the npm package `oidc-provider`) as a process of its own, with keys that a test can change and a
//! door that it can shut. It is installed by `tests/install`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::house::root;

/// How long a line of the process may take.
const LINE: Duration = Duration::from_secs(60);

/// The issuer; it ends with the value.
#[derive(Debug)]
pub struct Issuer {
    process: Child,
    orders: Option<ChildStdin>,
    said: Receiver<String>,
    /// The issuer's URL, as in its tokens.
    pub url: String,
}

impl Issuer {
    /// Starts one on a free port.
    pub fn start() -> Result<Self> {
        let mut process = Command::new("node")
            .arg(root().join("tests/issuer/server.mjs"))
            .arg(installed())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting node; tests/install installs it")?;
        let output = process.stdout.take().context("a piped stdout")?;
        let orders = process.stdin.take();
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        let mut issuer = Self {
            process,
            orders,
            said,
            url: String::new(),
        };
        issuer.url = issuer.line("ready ")?;
        Ok(issuer)
    }

    /// Puts a new signing key in the place of the old one.
    pub fn rotate(&mut self) {
        self.order("rotate", "rotated");
    }

    /// Answers every request with 503.
    pub fn shut(&mut self) {
        self.order("down", "down");
    }

    /// Answers as before.
    pub fn open(&mut self) {
        self.order("up", "up");
    }

    /// How often the keys were asked for.
    pub fn fetches(&mut self) -> u64 {
        self.order("count", "").parse().expect("a number")
    }

    /// An access token of the client for a resource, by the client credentials grant.
    pub async fn token(&self, client: &str, resource: &str) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", "read"),
            ("resource", resource),
        ];
        let answer = reqwest::Client::new()
            .post(format!("{}/token", self.url))
            .basic_auth(client, Some(format!("{client}-secret")))
            .form(&form)
            .send()
            .await
            .expect("an answer of the issuer");
        let answer: serde_json::Value = answer.json().await.expect("JSON");
        let token = answer["access_token"].as_str();
        token.unwrap_or_else(|| panic!("no token in {answer}")).to_owned()
    }

    fn order(&mut self, order: &str, start: &str) -> String {
        let orders = self.orders.as_mut().expect("a piped stdin");
        writeln!(orders, "{order}").expect("a running issuer");
        self.line(start).expect("an answer to an order")
    }

    /// What follows `start` in the next line that begins so; the package prints notices of its own.
    fn line(&self, start: &str) -> Result<String> {
        loop {
            let line = self.said.recv_timeout(LINE).context("the issuer says nothing")?;
            match line.strip_prefix(start) {
                Some(rest) if !line.starts_with("oidc-provider") => return Ok(rest.to_owned()),
                _ => {}
            }
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Where `tests/install` has put the package.
fn installed() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = match set("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(set("HOME").expect("a home")).join(".cache"),
    };
    cache.join("lakegate/issuer")
}
