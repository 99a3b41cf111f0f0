//! `POST /v1/ingest/{dataset}`: a body in, an acknowledgement out when its snapshot is durable.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::StreamExt;
use policies::Principal;
use tokio::sync::OwnedSemaphorePermit;

use super::problem::Problem;
use super::{Door, Peer, caller};
use crate::bronze::{Bronze, Upload};
use crate::digest;
use crate::intake::{self, Record, Refused, body};
use crate::json::write::quoted;
use crate::pipeline::Format;
use crate::pipeline::document::Source;
use crate::service::Running;
use crate::storage;

/// The header that makes a retry safe.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// How long the next part of a body may take, since a body that stands still holds room.
const PART_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// What may stand behind the question mark.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// The format, where the content type does not say it.
    format: Option<Format>,
    /// When to answer; `committed` is the only one, and the default.
    ack: Option<String>,
}

/// The acknowledgement.
#[derive(Debug, serde::Serialize)]
struct Acknowledged {
    batch: String,
    records: u64,
    table: String,
    snapshot: i64,
    acknowledged: &'static str,
    replayed: bool,
}

pub(super) async fn post(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    Path(dataset): Path<String>,
    parameters: Result<Query<Parameters>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let outcome = match parameters {
        Ok(Query(parameters)) => answer(&door, peer, &dataset, &parameters, &headers, body).await,
        Err(rejection) => Err(Problem::header("query", &rejection.body_text())),
    };
    let known = door
        .service
        .get(&dataset)
        .map_or("", |running| running.pipeline.name());
    door.service
        .rooms
        .metrics
        .answered(known, outcome.as_ref().map_or_else(Problem::status, |_| 200));
    match outcome {
        Ok(acknowledged) => Json(acknowledged).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn answer(
    door: &Door,
    peer: Peer,
    dataset: &str,
    parameters: &Parameters,
    headers: &HeaderMap,
    body: Body,
) -> Result<Acknowledged, Problem> {
    let principal = caller::writer(door, peer, headers).await?;
    let running = door
        .service
        .get(dataset)
        .ok_or_else(|| Problem::no_pipeline(dataset))?;
    let bronze = bronze(running)?;
    if let Some(other) = parameters.ack.as_deref().filter(|ack| *ack != "committed") {
        let other: String = other.chars().take(32).collect();
        return Err(Problem::header(
            "ack",
            &format!("{other:?} is not offered, only committed"),
        ));
    }
    let format = format(parameters, headers, running)?;
    let key = key(headers)?;
    let (body, room) = receive(door, headers, body).await?;
    let body_sha256 = digest::hex(&digest::sha256(&body));
    let batch = batch(dataset, &principal, key.as_deref());
    let encoding = headers
        .get(CONTENT_ENCODING)
        .map(|value| value.to_str().unwrap_or("?").to_owned());
    let room = unpacked_room(door, encoding.is_some(), room)?;
    let bounds = door.settings.body;
    let sent = body.clone();
    let cut = tokio::task::spawn_blocking(move || {
        let unpacked = body::unpack(body, encoding.as_deref(), &bounds)?;
        intake::records(unpacked.clone(), format, &bounds).map(|records| (unpacked, records))
    });
    let cut = cut
        .await
        .map_err(|_| Problem::unavailable("the body could not be read"))?;
    let (records, landing) = match cut {
        Ok((unpacked, records)) => {
            let landing = land(door, dataset, format, &unpacked).await?;
            (records, landing)
        }
        Err(refused @ Refused::File { .. }) => {
            return set_aside(door, running, format, &sent, &refused, &principal).await;
        }
        Err(refused) => return Err(Problem::from(&refused)),
    };
    let stored = bronze
        .store(Upload {
            batch,
            keyed: key.is_some().then_some(body_sha256),
            format,
            records,
            landing,
            headers: kept(&principal, key.as_deref()),
        })
        .await?;
    drop(room);
    Ok(Acknowledged {
        batch: stored.batch,
        records: stored.records,
        table: format!("lake.bronze.{dataset}"),
        snapshot: stored.snapshot_id,
        acknowledged: "committed",
        replayed: stored.replayed,
    })
}

/// The way to bronze of a pipeline that takes uploads.
fn bronze(running: &Running) -> Result<&Bronze, Problem> {
    let bronze = running.bronze.as_ref();
    bronze.ok_or_else(|| {
        let source = &running.pipeline.document().source;
        Problem::no_uploads(running.pipeline.name(), source.described())
    })
}

/// The format of a body: what the call says, else what the pipeline says.
fn format(parameters: &Parameters, headers: &HeaderMap, running: &Running) -> Result<Format, Problem> {
    if let Some(format) = parameters.format {
        return Ok(format);
    }
    let given = headers
        .get(CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or("?"));
    let media = given
        .and_then(|given| given.split(';').next())
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let format = match running.pipeline.document().source {
        Source::Upload { format } => format,
        Source::Kafka(_) | Source::Postgres(_) => Format::default(),
    };
    match media.as_str() {
        // What curl sends when it is told nothing.
        "" | "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(format),
        "application/json" | "text/json" => Ok(Format::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            Ok(Format::Ndjson)
        }
        "text/csv" => Ok(Format::Csv),
        "application/vnd.apache.parquet" | "application/parquet" | "application/x-parquet" => {
            Ok(Format::Parquet)
        }
        "application/avro" | "application/vnd.apache.avro" | "avro/binary" => Ok(Format::Avro),
        other => Err(Problem::format(other)),
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(&KEY) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("").trim();
    if text.is_empty() || text.len() > KEY_BYTES_MAX {
        return Err(Problem::header(
            "Idempotency-Key",
            "must be 1 to 255 visible ASCII characters",
        ));
    }
    Ok(Some(text.to_owned()))
}

/// The name of a batch: of a key always the same for its caller and dataset.
fn batch(dataset: &str, principal: &Principal, key: Option<&str>) -> String {
    match key {
        None => uuid::Uuid::now_v7().simple().to_string(),
        Some(key) => {
            let parts = [
                dataset.as_bytes(),
                &[0],
                principal.subject().as_bytes(),
                &[0],
                key.as_bytes(),
            ];
            digest::hex(&digest::parts(&parts)[..16])
        }
    }
}

/// Reads a body into the room that is left for it.
async fn receive(
    door: &Door,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, OwnedSemaphorePermit), Problem> {
    let max = door.settings.body.body_bytes_max;
    let too_large = || {
        Problem::from(&Refused::TooLarge {
            what: "the body",
            max,
        })
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large());
    }
    let mut room = take(door, announced.unwrap_or(0).max(1))?;
    let mut held = room.num_permits() * 1024;
    let mut received = Vec::with_capacity(announced.unwrap_or(0));
    let mut stream = body.into_data_stream();
    loop {
        let part = tokio::time::timeout(PART_TIMEOUT, stream.next()).await;
        let Some(part) = part.map_err(|_| Problem::broken_off())? else {
            break;
        };
        let part = part.map_err(|_| Problem::broken_off())?;
        if received.len() + part.len() > max {
            return Err(too_large());
        }
        if received.len() + part.len() > held {
            let more = take(door, part.len().max(256 << 10))?;
            held += more.num_permits() * 1024;
            room.merge(more);
        }
        received.extend_from_slice(&part);
    }
    Ok((received.into(), room))
}

/// Room for what a packed body may become: as far as it is there, since most become less.
fn unpacked_room(
    door: &Door,
    packed: bool,
    mut room: OwnedSemaphorePermit,
) -> Result<OwnedSemaphorePermit, Problem> {
    if packed {
        let more = take(door, room.num_permits() * 1024 * 4)?;
        room.merge(more);
    }
    Ok(room)
}

fn take(door: &Door, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
    let permits = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    let taken = Arc::clone(&door.room).try_acquire_many_owned(permits);
    let total = door.settings.waiting_bytes_max;
    door.service
        .rooms
        .metrics
        .waiting(total.saturating_sub(door.room.available_permits() * 1024));
    taken.map_err(|_| Problem::full("too many bytes wait for their commit"))
}

/// Keeps a file byte for byte, for formats whose rows are not the bytes that came. Named by its content, so that a retry finds it.
async fn land(door: &Door, dataset: &str, format: Format, body: &Bytes) -> Result<Option<String>, Problem> {
    match format {
        Format::Json | Format::Ndjson => return Ok(None),
        Format::Csv | Format::Parquet | Format::Avro => {}
    }
    let folder = format!("{}/{dataset}/landing", door.landing);
    keep(&folder, format, body).await.map(Some)
}

async fn keep(folder: &str, format: Format, body: &Bytes) -> Result<String, Problem> {
    let name = digest::hex(&digest::sha256(body));
    let path = format!("{folder}/{name}.{}", format.name());
    storage::write_once(&path, body).await.map_err(|error| {
        tracing::error!(path, error = error.chain(), "a file could not be kept");
        Problem::unavailable("the file could not be kept; nothing of it was stored")
    })?;
    Ok(path)
}

/// A file that cannot be read is kept as well, and stands in bronze as one record with its problem.
async fn set_aside(
    door: &Door,
    running: &Running,
    format: Format,
    body: &Bytes,
    refused: &Refused,
    principal: &Principal,
) -> Result<Acknowledged, Problem> {
    let name = running.pipeline.name();
    let landing = keep(&format!("{}/{name}/landing", door.landing), format, body).await?;
    let upload = Upload {
        batch: uuid::Uuid::now_v7().simple().to_string(),
        keyed: None,
        format,
        records: vec![Record {
            payload: Bytes::from(landing.clone()),
            place: 1,
            problem: Some(refused.to_string()),
        }],
        landing: Some(landing.clone()),
        headers: kept(principal, None),
    };
    bronze(running)?.store(upload).await?;
    Err(Problem::set_aside(refused, &landing))
}

/// What of a request is kept beside its records.
fn kept(principal: &Principal, key: Option<&str>) -> String {
    let mut text = String::from("{\"subject\":");
    quoted(principal.subject(), &mut text);
    if let Some(key) = key {
        text.push_str(",\"idempotency_key\":");
        quoted(key, &mut text);
    }
    text.push('}');
    text
}
