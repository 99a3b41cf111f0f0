//! One connection of the shell to a gateway, over Flight SQL.

use super::keeping::Keeping;
use super::target::Target;
use crate::cli::Failure;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use arrow_flight::{FlightEndpoint, FlightInfo, HandshakeRequest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use http::HeaderValue;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tonic::IntoRequest as _;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// The largest message that is taken. Gateways send batches of a few MiB; one huge value makes a larger one.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// How many parts of a result are asked for ahead of the one that is read.
const PARTS_AHEAD: usize = 4;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A gateway that has let us in.
#[derive(Debug)]
pub(super) struct Connection {
    client: FlightSqlServiceClient<Keeping>,
    channel: Keeping,
    target: Target,
}

/// The answer to a statement. Dropping it stops the statement.
pub(super) struct Answer {
    pub(super) schema: SchemaRef,
    pub(super) rows: BoxStream<'static, Result<RecordBatch, Failure>>,
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// `Connect`, or the gateway's refusal.
    pub(super) async fn open(target: Target) -> Result<Self, Failure> {
        let failed = |source| Failure::Connect {
            url: target.url.clone(),
            source,
        };
        let endpoint = Endpoint::from_shared(target.uri.clone())
            .map_err(failed)?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20);
        let endpoint = match target.uri.starts_with("https") {
            true => endpoint.tls_config(tls(&target)?).map_err(failed)?,
            false => endpoint,
        };
        let channel: Channel = endpoint.connect().await.map_err(failed)?;
        let channel = Keeping::new(channel);
        let inner = FlightServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let client = FlightSqlServiceClient::new_from_inner(inner);
        let mut connection = Self {
            client,
            channel,
            target,
        };
        connection.log_in().await?;
        Ok(connection)
    }

    /// Who we are to the gateway.
    pub(super) fn user(&self) -> &str {
        &self.target.user
    }

    /// Where the gateway is.
    pub(super) fn url(&self) -> &str {
        &self.target.url
    }

    /// The handshake by hand: arrow-flight's own turns the gateway's refusal into a sentence of its own.
    async fn log_in(&mut self) -> Result<(), Failure> {
        let pair = format!("{}:{}", self.target.user, self.target.password.expose());
        let mut basic =
            HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).map_err(|error| {
                Failure::Protocol {
                    problem: error.to_string(),
                }
            })?;
        basic.set_sensitive(true);
        // If the gateway answers without a token, the password goes on standing for us.
        self.channel.authorize(basic);
        let hello = stream::iter([HandshakeRequest::default()]);
        let answer = self.client.inner_mut().handshake(hello).await?;
        answer
            .into_inner()
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        Ok(())
    }

    /// Runs a statement. If the token has ended since the login, logs in again once.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub(super) async fn query(&mut self, sql: &str) -> Result<Answer, Failure> {
        let info = match self
            .client
            .execute(sql.to_owned(), None)
            .await
            .map_err(Failure::from)
        {
            Err(failure) if failure.is_unauthenticated() => {
                self.log_in().await?;
                self.client.execute(sql.to_owned(), None).await?
            }
            other => other?,
        };
        self.answer(info).await
    }

    /// The tables that the patterns fit, with their columns on request.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub(super) async fn tables(&mut self, request: CommandGetTables) -> Result<Answer, Failure> {
        let info = match self
            .client
            .get_tables(request.clone())
            .await
            .map_err(Failure::from)
        {
            Err(failure) if failure.is_unauthenticated() => {
                self.log_in().await?;
                self.client.get_tables(request).await?
            }
            other => other?,
        };
        self.answer(info).await
    }

    /// The schemas of all catalogs.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub(super) async fn schemas(&mut self) -> Result<Answer, Failure> {
        let request = CommandGetDbSchemas {
            catalog: None,
            db_schema_filter_pattern: None,
        };
        let info = match self
            .client
            .get_db_schemas(request.clone())
            .await
            .map_err(Failure::from)
        {
            Err(failure) if failure.is_unauthenticated() => {
                self.log_in().await?;
                self.client.get_db_schemas(request).await?
            }
            other => other?,
        };
        self.answer(info).await
    }

    /// Reads all parts of a result, one after the other in their order, a few asked for ahead.
    async fn answer(&self, info: FlightInfo) -> Result<Answer, Failure> {
        let client = self.client.clone();
        let told = match info.schema.is_empty() {
            true => None,
            false => Some(info.clone().try_decode_schema().map_err(unreadable)?),
        };
        let mut parts = stream::iter(info.endpoint)
            .map(move |endpoint| fetch(client.clone(), endpoint))
            .buffered(PARTS_AHEAD)
            .boxed();
        if let Some(schema) = told {
            return Ok(Answer {
                schema: Arc::new(schema),
                rows: parts.try_flatten().boxed(),
            });
        }
        // The schema was not told ahead; the first part begins with it.
        let Some(first) = parts.try_next().await? else {
            return Ok(Answer {
                schema: Arc::new(Schema::empty()),
                rows: stream::empty().boxed(),
            });
        };
        let mut first = first.peekable();
        let schema = match std::pin::Pin::new(&mut first).peek().await {
            Some(Ok(batch)) => batch.schema(),
            Some(Err(_)) | None => Arc::new(Schema::empty()),
        };
        Ok(Answer {
            schema,
            rows: first.chain(parts.try_flatten()).boxed(),
        })
    }
}

type Part = BoxStream<'static, Result<RecordBatch, Failure>>;

async fn fetch(
    mut client: FlightSqlServiceClient<Keeping>,
    endpoint: FlightEndpoint,
) -> Result<Part, Failure> {
    let ticket = endpoint.ticket.ok_or_else(|| Failure::Protocol {
        problem: "a part of the result has no ticket".to_owned(),
    })?;
    let rows = client.do_get(ticket.into_request()).await?;
    Ok(rows.map_err(Failure::from).boxed())
}

fn tls(target: &Target) -> Result<ClientTlsConfig, Failure> {
    let config = ClientTlsConfig::new();
    let Some(file) = &target.authority else {
        return Ok(config.with_native_roots());
    };
    let pem = fs::read(file).map_err(|source| Failure::io(format!("reading {}", file.display()), source))?;
    Ok(config.ca_certificate(Certificate::from_pem(pem)))
}

fn unreadable(source: arrow::error::ArrowError) -> Failure {
    Failure::Answer {
        what: "the schema of the answer cannot be read".to_owned(),
        source,
    }
}
