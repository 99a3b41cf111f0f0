//! A Flight server with nothing in it: no users, no SQL, no plan, rows in memory. What it costs is what tonic and
//! arrow-flight cost, and the distance to it is what the gateway adds.
//!
//! Tickets: `rows I/N` is part I of N, encoded for this request; `messages I/N` the same from messages encoded before.
//! GetFlightInfo is the bare unary call: it answers with a constant. Settings are those of tonic.

use std::net::Ipv4Addr;
use std::pin::Pin;

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::flight::{connect, read};

/// The variable with the statement whose rows the floor holds.
pub const SQL: &str = "LAKEGATE_BENCH_SQL";
/// The variable with the token that the rows are fetched with.
pub const TOKEN: &str = "LAKEGATE_BENCH_TOKEN";

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves until it is killed. Prints `ready grpc://HOST:PORT`.
///
/// # Errors
/// When the rows of `source` cannot be fetched, or nothing can be listened on.
pub async fn serve(source: Option<String>) -> Result<()> {
    let batches = match &source {
        Some(source) => fetched(source).await?,
        None => Vec::new(),
    };
    let schema = batches
        .first()
        .map_or_else(|| Schema::empty().into(), RecordBatch::schema);
    let encoded = encode(SchemaRef::clone(&schema), batches.clone())
        .try_collect()
        .await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("ready grpc://{}", listener.local_addr()?);
    let service = FlightServiceServer::new(Floor {
        schema,
        batches,
        encoded,
    });
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .add_service(service)
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

async fn fetched(source: &str) -> Result<Vec<RecordBatch>> {
    let mut client = connect(source, None).await?;
    client.set_token(std::env::var(TOKEN).context(TOKEN)?);
    let mut batches = Vec::new();
    let ticket = Ticket::new(std::env::var(SQL).context(SQL)?);
    read(&mut client, ticket, &mut batches).await?;
    Ok(batches)
}

fn encode(
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
) -> impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static {
    let builder = FlightDataEncoderBuilder::new().with_schema(schema);
    builder.build(stream::iter(batches.into_iter().map(Ok)))
}

struct Floor {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The schema's message, then those of the rows.
    encoded: Vec<FlightData>,
}

impl Floor {
    fn rows(&self, ticket: &Ticket) -> Option<Answers<FlightData>> {
        let ticket = std::str::from_utf8(&ticket.ticket).ok()?;
        let (word, part) = ticket.split_once(' ')?;
        let (index, count) = part.split_once('/')?;
        let (index, count): (usize, usize) = (index.parse().ok()?, count.parse().ok()?);
        if index >= count {
            return None;
        }
        match word {
            "rows" => {
                let part = share(&self.batches, index, count).to_vec();
                Some(
                    encode(SchemaRef::clone(&self.schema), part)
                        .map_err(Status::from)
                        .boxed(),
                )
            }
            "messages" => {
                let (head, rows) = self.encoded.split_first()?;
                let mut part = vec![Ok(head.clone())];
                part.extend(share(rows, index, count).iter().cloned().map(Ok));
                Some(stream::iter(part).boxed())
            }
            _ => None,
        }
    }
}

/// Part `index` of `count` of `all`.
fn share<T>(all: &[T], index: usize, count: usize) -> &[T] {
    &all[index * all.len() / count..(index + 1) * all.len() / count]
}

fn nothing<T>() -> Result<T, Status> {
    Err(Status::unimplemented("the floor has rows and nothing else"))
}

#[tonic::async_trait]
impl FlightService for Floor {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = Answers<FlightData>;

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Ok(Response::new(FlightInfo::new()))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let answers = self
            .rows(request.get_ref())
            .ok_or_else(|| Status::invalid_argument("no such ticket"))?;
        Ok(Response::new(answers))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        nothing()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        nothing()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        nothing()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        nothing()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        nothing()
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        nothing()
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        nothing()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        nothing()
    }
}
