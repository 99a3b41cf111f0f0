//! A statement through each door, and every byte of the answer.

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, FlightInfo};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::TryStreamExt as _;
use prost::Message as _;
use serde_json::{Value, json};
use tests::flight::refusal;
use tests::{Flight, Gateway, Refusal};
use tonic::Request;

use super::world::CANARY;

/// A way for a statement to go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Statement,
    Prepared,
    Rest,
    /// As one JSON document, which has the report of the query.
    Json,
}

impl Door {
    pub(super) const ALL: [Self; 4] = [Self::Statement, Self::Prepared, Self::Rest, Self::Json];
}

/// Everything that came back for one statement.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// What a person would compare: code, message, schema, rows, without what differs by design from call to call.
    pub(super) said: String,
    /// Every byte as it came.
    pub(super) bytes: Vec<u8>,
}

impl Reply {
    /// Whether a token of what is hidden is in any byte, as it is or encoded.
    pub(super) fn holds_canary(&self) -> bool {
        let hexadecimal: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![
            CANARY.as_bytes().to_vec(),
            CANARY.to_lowercase().into_bytes(),
            hexadecimal.to_uppercase().into_bytes(),
            hexadecimal.into_bytes(),
            CANARY.chars().rev().collect::<String>().into_bytes(),
        ];
        // Base64 of the token at each of the three places of a group, without the letters that depend on its neighbours.
        for shift in 0..3 {
            let padded = format!("{}{CANARY}", "\0".repeat(shift));
            let encoded = BASE64_STANDARD.encode(padded);
            let (first, last) = ([0, 2, 3][shift], encoded.trim_end_matches('=').len() - 1);
            forms.push(encoded.as_bytes()[first..last].to_vec());
        }
        forms.iter().any(|form| {
            self.bytes
                .windows(form.len())
                .any(|window| window == form.as_slice())
        })
    }

    fn refused(refusal: &Refusal) -> Self {
        let said = without_ids(&format!("{} {}", refusal.code, refusal.message));
        Self {
            bytes: refusal.message.clone().into_bytes(),
            said,
        }
    }
}

/// A connection of one user through every door.
pub(super) struct Caller {
    flight: Flight,
    token: String,
    http: reqwest::Client,
    rest: String,
    user: String,
    password: String,
}

impl Caller {
    pub(super) async fn connect(gateway: &Gateway, user: &str) -> Self {
        let mut flight = gateway.flight(user).await.expect("a connection");
        let token = flight.client().token().expect("a token").clone();
        Self {
            flight,
            token,
            http: reqwest::Client::new(),
            rest: gateway.rest.clone(),
            user: user.to_owned(),
            password: gateway.password(user).to_owned(),
        }
    }

    pub(super) async fn ask(&mut self, door: Door, sql: &str) -> Reply {
        let outcome = match door {
            Door::Statement => self.statement(sql).await,
            Door::Prepared => self.prepared(sql).await,
            Door::Rest => return self.over_rest(sql, "application/x-ndjson").await,
            Door::Json => return self.over_rest(sql, "application/json").await,
        };
        outcome.unwrap_or_else(|refusal| Reply::refused(&refusal))
    }

    async fn statement(&mut self, sql: &str) -> Result<Reply, Refusal> {
        let info = self.flight.plan(sql).await?;
        self.fetch(info, Vec::new()).await
    }

    async fn prepared(&mut self, sql: &str) -> Result<Reply, Refusal> {
        let client = self.flight.client();
        let mut statement = client.prepare(sql.to_owned(), None).await.map_err(refusal)?;
        let seen = format!(
            "{:?} {:?}",
            statement.dataset_schema().map_err(refusal)?,
            statement.parameter_schema().map_err(refusal)?
        );
        let info = statement.execute().await.map_err(refusal)?;
        self.fetch(info, seen.into_bytes()).await
    }

    async fn fetch(&mut self, info: FlightInfo, mut bytes: Vec<u8>) -> Result<Reply, Refusal> {
        let mut said = format!(
            "{} endpoints, {} records, {} bytes, schema {:?}",
            info.endpoint.len(),
            info.total_records,
            info.total_bytes,
            info.schema
        );
        bytes.extend(info.schema.to_vec());
        bytes.extend(info.app_metadata.to_vec());
        if let Ok(report) = serde_json::from_slice(&info.app_metadata) {
            said += &format!("\n{}", of_no_moment(report));
        }
        for endpoint in &info.endpoint {
            let mut request = Request::new(endpoint.ticket.clone().expect("a ticket"));
            let bearer = format!("Bearer {}", self.token).parse().expect("a header");
            request.metadata_mut().insert("authorization", bearer);
            let answer = self.flight.client().inner_mut().do_get(request).await;
            let answer = answer.map_err(|status| refusal(FlightError::Tonic(Box::new(status))))?;
            bytes.extend(format!("{:?}", answer.metadata()).into_bytes());
            let mut messages: Vec<FlightData> = Vec::new();
            let mut stream = answer.into_inner();
            let outcome = loop {
                match stream.message().await {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break Ok(()),
                    Err(status) => break Err(refusal(FlightError::Tonic(Box::new(status)))),
                }
            };
            for message in &messages {
                bytes.extend(message.encode_to_vec());
            }
            if let Err(refusal) = outcome {
                bytes.extend(refusal.message.as_bytes());
                said += &without_ids(&format!("\n{} {}", refusal.code, refusal.message));
                continue;
            }
            let messages = futures::stream::iter(messages.into_iter().map(Ok));
            let batches: Vec<RecordBatch> = FlightRecordBatchStream::new_from_flight_data(messages)
                .try_collect()
                .await
                .map_err(refusal)?;
            said += &format!("\n{}", pretty_format_batches(&batches).expect("rows"));
        }
        Ok(Reply { said, bytes })
    }

    async fn over_rest(&mut self, sql: &str, format: &str) -> Reply {
        let answer = self
            .http
            .post(format!("{}/v1/sql", self.rest))
            .basic_auth(&self.user, Some(&self.password))
            .header("accept", format)
            .json(&json!({ "sql": sql }))
            .send()
            .await
            .expect("an answer");
        let status = answer.status();
        let mut headers = String::new();
        for (name, value) in answer.headers() {
            let by_call = ["age", "date", "x-request-id", "traceparent", "server-timing"];
            if !by_call.contains(&name.as_str()) {
                headers += &format!("{name}: {value:?}\n");
            }
        }
        let body = answer.bytes().await.expect("a body");
        let text = match serde_json::from_slice(&body) {
            Ok(document) => of_no_moment(document).to_string(),
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        Reply {
            said: format!("{status}\n{headers}{}", without_ids(&text)),
            bytes: [headers.into_bytes(), body.to_vec()].concat(),
        }
    }
}

/// A document without what differs from call to call, and from lake to lake by the numbers of their snapshots.
fn of_no_moment(mut document: Value) -> Value {
    match &mut document {
        Value::Object(members) => {
            let by_call = [
                "age",
                "freshness",
                "seconds",
                "bytes",
                "request",
                "request_id",
                "next_cursor",
            ];
            members.retain(|name, _| !by_call.contains(&name.as_str()));
            for member in members.values_mut() {
                *member = of_no_moment(member.take());
            }
        }
        Value::Array(members) => {
            for member in members {
                *member = of_no_moment(member.take());
            }
        }
        _ => {}
    }
    document
}

/// A text without the ids of requests, which differ from call to call, and without the metadata of a status.
fn without_ids(text: &str) -> String {
    let text = match text.find(", metadata: MetadataMap") {
        Some(end) => &text[..end],
        None => text,
    };
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("request_id\":\"") {
        let (before, from) = rest.split_at(at + "request_id\":\"".len());
        kept += before;
        rest = from.find('"').map_or("", |end| &from[end..]);
    }
    kept + rest
}
