//! A server in front of another one that fails as networks and busy services do, request by request.
//!
//! Invariant: what it does with a request is decided by the test alone, from the request's number and its first line.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is passed on.
    None,
    /// It is answered with this status and nothing else.
    Status(u16),
    /// It is passed on, and half of the answer's body comes back before the connection ends.
    Short,
    /// It is passed on, and the answer comes in small pieces with this time between them.
    Slow(Duration),
    /// It is never answered.
    Hang,
}

type Decide = dyn FnMut(usize, &str) -> Fault + Send;

/// The server.
#[derive(Debug)]
pub struct Faulty {
    /// `127.0.0.1:PORT`
    pub address: String,
    asked: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Faulty {
    /// A server in front of the one at `behind` (`HOST:PORT`), which does with each request what `decide` says.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(
        behind: &str,
        decide: impl FnMut(usize, &str) -> Fault + Send + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let decide: Arc<Mutex<Box<Decide>>> = Arc::new(Mutex::new(Box::new(decide)));
        let (asked, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (numbers, faults, behind) = (Arc::clone(&asked), Arc::clone(&failed), behind.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (decide, numbers, faults) =
                    (Arc::clone(&decide), Arc::clone(&numbers), Arc::clone(&faults));
                let behind = behind.clone();
                tokio::spawn(async move {
                    let decide = move |line: &str| {
                        let number = numbers.fetch_add(1, Ordering::Relaxed);
                        let fault = decide.lock().expect("no panic in a test's decision")(number, line);
                        if fault != Fault::None {
                            faults.fetch_add(1, Ordering::Relaxed);
                        }
                        fault
                    };
                    // A connection that breaks is what this server is for.
                    drop(serve(stream, &behind, decide).await);
                });
            }
        });
        Ok(Self {
            address,
            asked,
            failed,
            task,
        })
    }

    /// Requests so far, and those of them that were made to fail.
    pub fn seen(&self) -> (usize, usize) {
        (
            self.asked.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
        )
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request of a connection, after which it ends.
async fn serve(mut client: TcpStream, behind: &str, decide: impl Fn(&str) -> Fault) -> Result<()> {
    let (head, body) = message(&mut client).await?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    let fault = decide(&line);
    match fault {
        Fault::Hang => {
            // Until the other side has had enough.
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await?;
            return Ok(());
        }
        Fault::Status(status) => {
            let answer = format!("HTTP/1.1 {status} fault\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            client.write_all(answer.as_bytes()).await?;
            return Ok(());
        }
        Fault::None | Fault::Short | Fault::Slow(_) => {}
    }
    let mut server = TcpStream::connect(behind).await?;
    server.write_all(closing(&head).as_bytes()).await?;
    server.write_all(&body).await?;
    let (head, body) = answer(&mut server, line.starts_with("HEAD ")).await?;
    client.write_all(closing(&head).as_bytes()).await?;
    match fault {
        Fault::Short if !body.is_empty() => client.write_all(&body[..body.len() / 2]).await?,
        Fault::Slow(pause) => {
            for part in body.chunks(body.len().div_ceil(4).max(1)) {
                tokio::time::sleep(pause).await;
                client.write_all(part).await?;
            }
        }
        _ => client.write_all(&body).await?,
    }
    client.shutdown().await?;
    Ok(())
}

/// A head that says that its connection ends.
fn closing(head: &str) -> String {
    let kept = head
        .lines()
        .filter(|line| !line.to_lowercase().starts_with("connection:"));
    let kept = kept.filter(|line| !line.is_empty());
    let lines: String = kept.map(|line| format!("{line}\r\n")).collect();
    format!("{lines}connection: close\r\n\r\n")
}

/// A request: its head, and as much of a body as it says that it has.
async fn message(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let (head, mut body) = head(stream).await?;
    let length = length(&head).unwrap_or(0);
    let mut part = vec![0; 64 << 10];
    while body.len() < length {
        let read = stream.read(&mut part).await?;
        anyhow::ensure!(read > 0, "the connection ended");
        body.extend_from_slice(&part[..read]);
    }
    Ok((head, body))
}

/// An answer, whose body goes as far as it says, or else to the end of the connection.
async fn answer(stream: &mut TcpStream, is_head: bool) -> Result<(String, Vec<u8>)> {
    let (head, mut body) = head(stream).await?;
    if is_head {
        return Ok((head, body));
    }
    let length = length(&head);
    let mut part = vec![0; 64 << 10];
    while length.is_none_or(|length| body.len() < length) {
        match stream.read(&mut part).await? {
            0 => break,
            read => body.extend_from_slice(&part[..read]),
        }
    }
    Ok((head, body))
}

async fn head(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut part = vec![0; 16 << 10];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((String::from_utf8(bytes).context("a head of text")?, body));
        }
        let read = stream.read(&mut part).await?;
        anyhow::ensure!(read > 0, "the connection ended");
        bytes.extend_from_slice(&part[..read]);
    }
}

fn length(head: &str) -> Option<usize> {
    let is_length = |line: &&str| line.to_lowercase().starts_with("content-length:");
    head.lines()
        .find(is_length)?
        .split(':')
        .nth(1)?
        .trim()
        .parse()
        .ok()
}
