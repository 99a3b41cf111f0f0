//! A schema registry for tests, over HTTP as Confluent's speaks it: `GET /subjects`, `GET /schemas/ids/{id}`,
//! `GET /subjects/{subject}/versions/{version}`, with its error codes and Basic authentication. It is no copy of that product: what a reader of
//! records asks is there, and what a test needs to do to it. Its task ends with the value.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The user that it lets in.
pub const USER: (&str, &str) = ("reader", "a password of the tests");

/// How it answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// With 503 to everything.
    Down,
    /// With the 404 of a proxy that knows no registry.
    Astray,
    /// Not at all, with the connection open.
    Silent,
}

#[derive(Debug, Default)]
struct Inner {
    mood: Mood,
    schemas: BTreeMap<i32, Value>,
    subjects: BTreeMap<(String, i32), i32>,
    asked: Vec<String>,
}

/// The registry.
#[derive(Debug)]
pub struct Registry {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    inner: Arc<Mutex<Inner>>,
    task: JoinHandle<()>,
}

impl Registry {
    /// Starts a registry without schemas.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> Result<Self> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", socket.local_addr()?);
        let inner: Arc<Mutex<Inner>> = Arc::default();
        let shared = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { drop(serve(stream, &shared).await) });
            }
        });
        Ok(Self { url, inner, task })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a schema under an id and as a version of a subject. `references` are as the registry takes them.
    pub fn register(&self, id: i32, subject: &str, version: i32, schema: &str, references: Value) {
        let mut inner = self.inner();
        let told = json!({"subject": subject, "version": version, "id": id, "schema": schema, "references": references});
        inner.schemas.insert(id, told);
        inner.subjects.insert((subject.to_owned(), version), id);
    }

    /// From now on it answers like this.
    pub fn set(&self, mood: Mood) {
        self.inner().mood = mood;
    }

    /// The paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.inner().asked.clone()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, inner: &Mutex<Inner>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut user) = (String::new(), String::new());
        if stream.read_line(&mut first).await? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("authorization")
            {
                user = value.trim().to_owned();
            }
        }
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let Some((status, body)) = answer(&path, &user, inner) else {
            return std::future::pending().await;
        };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.flush().await?;
    }
}

fn answer(path: &str, user: &str, inner: &Mutex<Inner>) -> Option<(&'static str, Value)> {
    let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
    inner.asked.push(path.to_owned());
    match inner.mood {
        Mood::Well => {}
        Mood::Down => {
            return Some((
                "503 Service Unavailable",
                json!({"error_code": 50302, "message": "down"}),
            ));
        }
        Mood::Astray => return Some(("404 Not Found", json!("no such page"))),
        Mood::Silent => return None,
    }
    let (name, password) = USER;
    let known = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    if user != format!("Basic {known}") {
        return Some((
            "401 Unauthorized",
            json!({"error_code": 401, "message": "Unauthorized"}),
        ));
    }
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let found = match parts.as_slice() {
        ["subjects"] => {
            let names: Vec<&String> = inner.subjects.keys().map(|(name, _)| name).collect();
            Some(json!(names))
        }
        ["schemas", "ids", id] => id
            .parse()
            .ok()
            .and_then(|id: i32| inner.schemas.get(&id))
            .map(|told| {
                // As the product: the id's answer has no subject.
                json!({"schema": told["schema"], "references": told["references"]})
            }),
        ["subjects", subject, "versions", version] => version
            .parse()
            .ok()
            .and_then(|version| inner.subjects.get(&((*subject).to_owned(), version)))
            .and_then(|id| inner.schemas.get(id))
            .cloned(),
        _ => {
            return Some((
                "404 Not Found",
                json!({"error_code": 404, "message": "HTTP 404 Not Found"}),
            ));
        }
    };
    Some(match found {
        Some(found) => ("200 OK", found),
        None => (
            "404 Not Found",
            json!({"error_code": 40403, "message": "Schema not found"}),
        ),
    })
}
