//! Limits that show on a connection before there is a statement, looked at with bare sockets.

use std::io;
use std::net::SocketAddr;

use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Needs::AnyLake;
use super::Proof::{First, Shows};
use super::{Case, Place};

/// What a client of HTTP/2 says first (RFC 9113, 3.4), with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const MAX_CONCURRENT_STREAMS: u16 = 3;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            key: "limits.connections_max",
            value: "2",
            around: &[],
            needs: AnyLake,
            proof: Shows("2 of 3"),
            look: |place| answered_connections(place).boxed(),
        },
        Case {
            key: "limits.connection_calls_max",
            value: "7",
            around: &[],
            needs: AnyLake,
            proof: Shows("streams 7;"),
            look: |place| settings(place).boxed(),
        },
        Case {
            key: "limits.header_timeout",
            value: "1s",
            around: &[],
            needs: AnyLake,
            proof: First("closed"),
            look: |place| half_a_header(place).boxed(),
        },
        Case {
            key: "limits.keep_alive",
            value: "1s",
            around: &[],
            needs: AnyLake,
            proof: First("ping"),
            look: |place| ping(place).boxed(),
        },
    ]
}

async fn connect(url: &str) -> TcpStream {
    let (_, address) = url.split_once("://").expect("a URL");
    let address: SocketAddr = address.parse().expect("an address");
    TcpStream::connect(address).await.expect("a connection")
}

/// How many of three connections at a time get an answer.
async fn answered_connections(place: &Place) -> String {
    let mut open = Vec::new();
    let mut answered = 0;
    for _ in 0..3 {
        let mut stream = connect(&place.gateway.rest).await;
        let mut status = [0; 12];
        let asked = stream
            .write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await;
        if asked.is_ok() && stream.read_exact(&mut status).await.is_ok() && status == *b"HTTP/1.1 200" {
            answered += 1;
        }
        open.push(stream);
    }
    format!("{answered} of {}", open.len())
}

/// Type and content of the next frame.
async fn frame(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await?;
    Ok((head[3], content))
}

/// The content of the first frame of a kind on a new connection of HTTP/2 that asks nothing.
async fn first(place: &Place, kind: u8) -> io::Result<Vec<u8>> {
    let mut stream = connect(&place.gateway.flight).await;
    stream.write_all(PREFACE).await?;
    loop {
        match frame(&mut stream).await? {
            (found, content) if found == kind => return Ok(content),
            _ => {}
        }
    }
}

/// How many calls at a time the server says that it takes.
async fn settings(place: &Place) -> String {
    let content = first(place, SETTINGS).await.expect("settings");
    let pairs = content.chunks_exact(6).map(|pair| {
        let number = u16::from_be_bytes([pair[0], pair[1]]);
        (number, u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]))
    });
    pairs
        .filter(|(number, _)| *number == MAX_CONCURRENT_STREAMS)
        .map(|(_, value)| format!("streams {value};"))
        .collect()
}

async fn ping(place: &Place) -> String {
    match first(place, PING).await {
        Ok(_) => "ping".to_owned(),
        Err(error) => format!("no ping: {error}"),
    }
}

/// Waits for the end of a connection on which the headers do not come to theirs.
async fn half_a_header(place: &Place) -> String {
    let mut stream = connect(&place.gateway.rest).await;
    stream
        .write_all(b"GET /health HTTP/1.1\r\nhost: loc")
        .await
        .expect("a write");
    let mut answer = Vec::new();
    // The end may come as a reset.
    stream.read_to_end(&mut answer).await.unwrap_or_default();
    format!("closed after {} bytes", answer.len())
}
