//! The Flight SQL client of the bench: the one driver that asks every server, ours and the others'.
//!
//! Every batch is decoded, as an application would; nothing is kept but what the sink wants.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use arrow::array::RecordBatch;
use arrow_flight::Ticket;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use tonic::transport::{Channel, Endpoint};

use crate::digest::{Count, Digest, Sink};
use crate::measure::Subject;

/// A connection.
pub type Flight = FlightSqlServiceClient<Channel>;

/// A user and the password.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// A TCP connection of its own to `address` (`grpc://HOST:PORT`).
///
/// # Errors
/// When nobody listens there.
pub async fn channel(address: &str) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(address.replacen("grpc://", "http://", 1))?
        .connect_timeout(Duration::from_secs(10))
        .tcp_nodelay(true);
    endpoint
        .connect()
        .await
        .with_context(|| format!("connect to {address}"))
}

/// A connection that is logged in, or one without credentials.
///
/// # Errors
/// When nobody listens there, or the login is refused.
pub async fn connect(address: &str, login: Option<&Login>) -> Result<Flight> {
    let inner = FlightServiceClient::new(channel(address).await?).max_decoding_message_size(usize::MAX);
    let mut client = Flight::new_from_inner(inner);
    if let Some(login) = login {
        client.handshake(&login.user, &login.password).await?;
    }
    Ok(client)
}

/// The tickets of a statement's result.
///
/// # Errors
/// What the server says is wrong.
pub async fn tickets(client: &mut Flight, sql: &str) -> Result<Vec<Ticket>> {
    let info = client.execute(sql.to_owned(), None).await?;
    let tickets = info
        .endpoint
        .into_iter()
        .map(|endpoint| endpoint.ticket.context("an endpoint without a ticket"));
    tickets.collect()
}

/// Reads the stream of one ticket into `sink`.
///
/// # Errors
/// What the server or the sink says is wrong.
pub async fn read<S: Sink>(client: &mut Flight, ticket: Ticket, sink: &mut S) -> Result<()> {
    let mut stream: FlightRecordBatchStream = client.do_get(ticket).await?;
    while let Some(batch) = stream.try_next().await? {
        sink.take(batch)?;
    }
    Ok(())
}

/// Runs a statement and reads all of its rows, one endpoint after the other.
///
/// # Errors
/// What the server says is wrong.
pub async fn query(client: &mut Flight, sql: &str) -> Result<Vec<RecordBatch>> {
    let mut rows = Vec::new();
    for ticket in tickets(client, sql).await? {
        read(client, ticket, &mut rows).await?;
    }
    Ok(rows)
}

/// What an export asks for.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A statement: planned in the time, then fetched endpoint by endpoint.
    Statement(String),
    /// Tickets known before: nothing but streams.
    Tickets(Vec<Bytes>),
}

/// An export of a whole table over as many connections as it was given, each with one stream at a time.
#[derive(Debug)]
pub struct Export {
    name: String,
    server: u32,
    connections: Vec<Flight>,
    ask: Ask,
}

impl Export {
    /// Connects `streams` times to `address`.
    ///
    /// # Errors
    /// When a connection cannot be had.
    pub async fn open(
        name: &str,
        server: u32,
        (address, login): (&str, Option<&Login>),
        streams: usize,
        ask: Ask,
    ) -> Result<Self> {
        let mut connections = Vec::with_capacity(streams);
        for _ in 0..streams {
            connections.push(connect(address, login).await?);
        }
        Ok(Self {
            name: name.to_owned(),
            server,
            connections,
            ask,
        })
    }

    /// Fetches everything.
    async fn fetch<S: Sink>(&mut self) -> Result<S> {
        let tickets = match &self.ask {
            Ask::Tickets(tickets) => tickets.iter().map(|ticket| Ticket::new(ticket.clone())).collect(),
            Ask::Statement(sql) => {
                tickets(self.connections.first_mut().context("a connection")?, sql).await?
            }
        };
        let waiting = Arc::new(Mutex::new(tickets));
        let mut readers = tokio::task::JoinSet::new();
        for client in &self.connections {
            let (mut client, waiting) = (client.clone(), Arc::clone(&waiting));
            readers.spawn(async move {
                let mut sink = S::default();
                let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop());
                while let Some(ticket) = next() {
                    read(&mut client, ticket, &mut sink).await?;
                }
                anyhow::Ok(sink)
            });
        }
        let mut all = S::default();
        while let Some(read) = readers.join_next().await {
            all.join(read??);
        }
        Ok(all)
    }
}

#[async_trait]
impl Subject for Export {
    fn name(&self) -> &str {
        &self.name
    }

    fn server(&self) -> Option<u32> {
        Some(self.server)
    }

    async fn run(&mut self) -> Result<u64> {
        let Count(rows) = self.fetch().await?;
        if rows == 0 {
            bail!("no rows");
        }
        Ok(rows)
    }
}

#[async_trait]
impl Digested for Export {
    async fn digest(&mut self) -> Result<Digest> {
        self.fetch().await
    }
}

/// An export that can tell what it gives, apart from the clock.
#[async_trait]
pub trait Digested: Subject {
    /// The digest of everything that [`Subject::run`] fetches.
    async fn digest(&mut self) -> Result<Digest>;
}
