//! A Flight SQL client as an application writes one: connect, ask, fetch every endpoint.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{FlightDescriptor, FlightInfo, Ticket};
use futures::TryStreamExt as _;
use prost::Message as _;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::answer::{Answer, Refusal};

/// A logged-in connection.
#[derive(Debug, Clone)]
pub struct Flight {
    client: FlightSqlServiceClient<Channel>,
}

impl Flight {
    /// Connects to `address` (`grpc://HOST:PORT`) and shakes hands as `user`.
    pub async fn connect(address: &str, user: &str, password: &str) -> Result<Self, Refusal> {
        let mut client = FlightSqlServiceClient::new(channel(address).await?);
        client.handshake(user, password).await.map_err(refusal)?;
        Ok(Self { client })
    }

    /// As [`Flight::connect`] for `address` (`grpc+tls://HOST:PORT`), trusting the certificate authority `ca` (PEM) alone.
    pub async fn connect_tls(address: &str, ca: &str, user: &str, password: &str) -> Result<Self, Refusal> {
        let mut flight = Self::over_tls(address, ca, None).await?;
        flight.client.handshake(user, password).await.map_err(refusal)?;
        Ok(flight)
    }

    /// Connects over TLS without credentials but for a certificate and its key (PEM), and shakes no hands.
    pub async fn over_tls(address: &str, ca: &str, own: Option<(&str, &str)>) -> Result<Self, Refusal> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        if let Some((certificate, key)) = own {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let https = address.replacen("grpc+tls://", "https://", 1);
        let endpoint = Endpoint::from_shared(https)
            .and_then(|endpoint| endpoint.tls_config(tls))
            .map_err(|error| local(&chain(&error)))?;
        let channel = endpoint
            .connect_timeout(Duration::from_secs(10))
            .connect()
            .await
            .map_err(|error| local(&chain(&error)))?;
        Ok(Self {
            client: FlightSqlServiceClient::new(channel),
        })
    }

    /// Connects with a token to be sent with every call, and shakes no hands.
    pub async fn with_token(address: &str, token: &str) -> Result<Self, Refusal> {
        let mut flight = Self::anonymous(address).await?;
        flight.client.set_token(token.to_owned());
        Ok(flight)
    }

    /// Connects without credentials; every call is refused until a token is set.
    pub async fn anonymous(address: &str) -> Result<Self, Refusal> {
        Ok(Self {
            client: FlightSqlServiceClient::new(channel(address).await?),
        })
    }

    /// The protocol's own client, for what this one has no word for.
    pub fn client(&mut self) -> &mut FlightSqlServiceClient<Channel> {
        &mut self.client
    }

    /// Runs a statement that changes the session, and goes on in the session that it answers with.
    pub async fn set(&mut self, sql: &str) -> Result<(), Refusal> {
        let command = CommandStatementQuery {
            query: sql.to_owned(),
            transaction_id: None,
        };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let mut request = tonic::Request::new(descriptor);
        if let Some(token) = self.client.token() {
            let value = format!("Bearer {token}")
                .parse()
                .map_err(|_| local("a token that is no header"))?;
            request.metadata_mut().insert("authorization", value);
        }
        let answer = self.client.inner_mut().get_flight_info(request).await;
        let answer = answer.map_err(|status| refusal(FlightError::Tonic(Box::new(status))))?;
        let header = answer
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let token = header
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(|| local("no session in the answer"))?;
        self.client.set_token(token.to_owned());
        Ok(())
    }

    /// Plans a statement: its schema and tickets, no rows.
    pub async fn plan(&mut self, sql: &str) -> Result<FlightInfo, Refusal> {
        self.client.execute(sql.to_owned(), None).await.map_err(refusal)
    }

    /// Opens the stream of one ticket.
    pub async fn open(&mut self, ticket: Ticket) -> Result<FlightRecordBatchStream, Refusal> {
        self.client.do_get(ticket).await.map_err(refusal)
    }

    /// Begins a statement of several rows: the stream of its first part, of which the first batch has come.
    pub async fn begin(&mut self, sql: &str) -> Result<FlightRecordBatchStream, Refusal> {
        let info = self.plan(sql).await?;
        let ticket = info
            .endpoint
            .into_iter()
            .next()
            .and_then(|endpoint| endpoint.ticket)
            .ok_or_else(|| local("a plan without a ticket"))?;
        let mut stream = self.open(ticket).await?;
        let first = stream.try_next().await.map_err(refusal)?;
        first
            .map(|_| stream)
            .ok_or_else(|| local("a stream without rows"))
    }

    /// Reads every endpoint of a plan, one after the other.
    pub async fn fetch(&mut self, info: FlightInfo) -> Result<Answer, Refusal> {
        let schema = announced(&info)?;
        let mut batches = Vec::new();
        for endpoint in info.endpoint {
            let ticket = endpoint
                .ticket
                .ok_or_else(|| local("an endpoint without a ticket"))?;
            let mut stream = self.open(ticket).await?;
            batches.extend(stream.by_ref_collect().await?);
            let streamed = stream
                .schema()
                .map(Arc::clone)
                .ok_or_else(|| local("a stream without a schema"))?;
            if streamed.fields() != schema.fields() {
                return Err(local(&format!("announced {schema:?}, streamed {streamed:?}")));
            }
        }
        Ok(Answer { schema, batches })
    }

    /// Runs a statement to its end.
    pub async fn query(&mut self, sql: &str) -> Result<Answer, Refusal> {
        let info = self.plan(sql).await?;
        self.fetch(info).await
    }
}

/// Reading a stream to its end without giving it up.
trait ByRefCollect {
    async fn by_ref_collect(&mut self) -> Result<Vec<RecordBatch>, Refusal>;
}

impl ByRefCollect for FlightRecordBatchStream {
    async fn by_ref_collect(&mut self) -> Result<Vec<RecordBatch>, Refusal> {
        let mut batches = Vec::new();
        while let Some(batch) = self.try_next().await.map_err(refusal)? {
            batches.push(batch);
        }
        Ok(batches)
    }
}

/// The schema that a plan announces.
pub fn announced(info: &FlightInfo) -> Result<SchemaRef, Refusal> {
    info.clone()
        .try_decode_schema()
        .map(Arc::new)
        .map_err(|error| local(&error.to_string()))
}

/// A Flight error as the caller reads it: the server's code and sentence.
pub fn refusal(error: FlightError) -> Refusal {
    match error {
        FlightError::Tonic(status) => Refusal {
            code: format!("{:?}", status.code()),
            message: status.message().to_owned(),
        },
        other => local(&other.to_string()),
    }
}

async fn channel(address: &str) -> Result<Channel, Refusal> {
    let http = address.replacen("grpc://", "http://", 1);
    let endpoint = Endpoint::from_shared(http).map_err(|error| local(&error.to_string()))?;
    endpoint
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(120))
        .connect()
        .await
        .map_err(|error| local(&error.to_string()))
}

/// A transport's error with its causes: the outermost only says that there was one.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn local(message: &str) -> Refusal {
    Refusal {
        code: "client".to_owned(),
        message: message.to_owned(),
    }
}

/// `google.rpc.Status`, which a refusal carries in its details.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    /// The gRPC code once more.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// What else is told.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Detail>,
}

/// One detail of a refusal.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Detail {
    /// What it is.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// Its message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

impl RpcStatus {
    /// The details of a status, which must have some.
    pub fn of(status: &tonic::Status) -> Self {
        prost::Message::decode(status.details()).expect("google.rpc.Status")
    }
}
