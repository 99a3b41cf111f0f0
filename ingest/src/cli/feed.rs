//! `replay` and `backfill`: records into bronze without a caller, each batch once by a name of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use super::{print, system};
use crate::bronze::{self, Bronze, NotStored, Stored, Upload};
use crate::commit::snapshot::live_files;
use crate::digest;
use crate::error::{Error, Result};
use crate::intake::{self, Record, body};
use crate::pipeline::{Format, Pipeline};
use crate::read;
use crate::rejects;
use crate::service::Rooms;
use crate::settings::Settings;

/// Groups of rejects that are on their way at a time.
const GROUPS: usize = 64;

async fn bronze(rooms: &Rooms, pipeline: &Pipeline) -> Result<(Bronze, tokio::task::JoinHandle<Result<()>>)> {
    let (committed, _) = watch::channel(0);
    bronze::start(bronze::Parts {
        pipeline: pipeline.clone(),
        // Nobody waits for a history that stays short here; the loads are large.
        interval: std::time::Duration::from_millis(1),
        keys_max: usize::MAX,
        // A name that is made of what a batch holds is good as long as the table knows it.
        remembered_ms: i64::MAX,
        kernel: rooms.kernel.clone(),
        appender: rooms.appender.clone(),
        metrics: rooms.metrics.clone(),
        committed,
    })
    .await
}

async fn store(bronze: &Bronze, upload: Upload) -> Result<Stored> {
    bronze.store(upload).await.map_err(|error| match error {
        NotStored::Failed(cause) => Arc::into_inner(cause).unwrap_or(Error::Cancelled {
            table: "bronze".to_owned(),
        }),
        NotStored::OtherBody | NotStored::TooManyKeys(_) | NotStored::Closed => Error::Storage {
            action: "store",
            path: "bronze".to_owned(),
            source: Box::new(error),
        },
    })
}

/// Refuses a pipeline whose silver is the state of another table: a record from elsewhere has no place in its order of changes.
fn takes_records(pipeline: &Pipeline) -> Result<()> {
    let source = &pipeline.document().source;
    match source.postgres() {
        None => Ok(()),
        Some(_) => Err(Error::NotFor {
            pipeline: pipeline.name().to_owned(),
            source_kind: source.described(),
            problem: "correct the row there, and its change comes by itself",
        }),
    }
}

/// The rejects of one batch of bronze under one rule. All of them were committed at once, so a group never changes.
type Group = (String, String);

/// Sends rejects through their pipeline again, each of them once for ever: a group is named by where it comes from. What is rejected again is
/// a reject of a new batch.
pub(super) async fn replay(settings: &Settings, pipeline: &Pipeline, rule: Option<&str>) -> Result<()> {
    super::telemetry("warn");
    takes_records(pipeline)?;
    let rooms = Rooms::open(settings).await?;
    let groups = groups(&rooms, pipeline, rule).await?;
    let (bronze, task) = bronze(&rooms, pipeline).await?;
    let (mut sent, mut again) = (0, 0);
    let stored = futures::stream::iter(groups.into_iter().map(|(group, payloads)| {
        let upload = of_group(&group, payloads);
        store(&bronze, upload)
    }));
    // Several at a time, since they become one snapshot.
    let stored: Vec<Stored> = stored.buffered(GROUPS).try_collect().await?;
    for stored in stored {
        *if stored.replayed { &mut again } else { &mut sent } += stored.records;
    }
    drop(bronze);
    ended(task).await?;
    print(&format!(
        "{}: {sent} records sent again, {again} had been\n",
        pipeline.name()
    ))
}

/// The rejects of a pipeline, by group and by the place in bronze.
async fn groups(
    rooms: &Rooms,
    pipeline: &Pipeline,
    rule: Option<&str>,
) -> Result<BTreeMap<Group, BTreeMap<String, Bytes>>> {
    let contract = rejects::contract()?;
    let table = rooms.appender.ensure(&contract).await?;
    let files = live_files(&table)
        .await
        .map_err(|error| crate::commit::failed("read", table.identifier(), error))?;
    let mut groups: BTreeMap<Group, BTreeMap<String, Bytes>> = BTreeMap::new();
    for file in files {
        for batch in read::file(&table, &file, None).await? {
            let text = |name: &str| {
                let column = batch.column_by_name(name);
                let column = column.and_then(|column| column.as_string_opt::<i32>());
                column.ok_or_else(|| Error::Contract {
                    table: contract.to_string(),
                    problem: format!("its files do not have the column {name}"),
                })
            };
            let (of, broke, payload) = (text("pipeline")?, text("rule")?, text("payload")?);
            let (brought, id) = (text("batch_id")?, text("ingest_id")?);
            for row in 0..batch.num_rows() {
                let wanted =
                    of.value(row) == pipeline.name() && rule.is_none_or(|rule| rule == broke.value(row));
                if wanted && payload.is_valid(row) {
                    groups
                        .entry((brought.value(row).to_owned(), broke.value(row).to_owned()))
                        .or_default()
                        .insert(
                            id.value(row).to_owned(),
                            Bytes::copy_from_slice(payload.value(row).as_bytes()),
                        );
                }
            }
        }
    }
    Ok(groups)
}

fn of_group((brought, broke): &Group, payloads: BTreeMap<String, Bytes>) -> Upload {
    let bytes: Vec<&[u8]> = payloads.values().map(Bytes::as_ref).collect();
    let sha256 = digest::hex(&digest::parts(&bytes));
    let name: [&[u8]; 4] = [b"replay\0", brought.as_bytes(), b"\0", broke.as_bytes()];
    let records = (1..).zip(payloads.into_values()).map(|(place, payload)| Record {
        payload,
        place,
        problem: None,
    });
    Upload {
        batch: digest::hex(&digest::parts(&name)[..16]),
        keyed: Some(sha256),
        format: Format::Ndjson,
        records: records.collect(),
        landing: None,
        headers: "{\"subject\":\"replay\"}".to_owned(),
    }
}

/// Loads every file of a folder. A file is named by its content, so that a run that was broken off goes on where it ended.
pub(super) async fn backfill(settings: &Settings, pipeline: &Pipeline, folder: &Path) -> Result<()> {
    super::telemetry("warn");
    takes_records(pipeline)?;
    let rooms = Rooms::open(settings).await?;
    let files = files(folder)?;
    let bar = ProgressBar::new(files.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg:40} {bar:32} {pos}/{len} files {eta}") {
        bar.set_style(style);
    }
    let (bronze, task) = bronze(&rooms, pipeline).await?;
    let (mut sent, mut again) = (0, 0);
    for (path, format, encoding) in files {
        bar.set_message(
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
        );
        let bytes = tokio::fs::read(&path)
            .await
            .map_err(|error| system("read", &path, error))?;
        let bytes = Bytes::from(bytes);
        let sha256 = digest::hex(&digest::sha256(&bytes));
        let bounds = settings.body;
        let cut = tokio::task::spawn_blocking(move || {
            body::unpack(bytes, encoding, &bounds)
                .and_then(|unpacked| intake::records(unpacked, format, &bounds))
        });
        let cut = cut.await.map_err(|_| Error::Crashed {
            part: "reader",
            table: path.display().to_string(),
        })?;
        let records = cut.map_err(|refused| Error::Storage {
            action: "read",
            path: path.display().to_string(),
            source: Box::new(refused),
        })?;
        let stored = store(
            &bronze,
            Upload {
                batch: digest::hex(&digest::parts(&[b"backfill\0", sha256.as_bytes()])[..16]),
                keyed: Some(sha256),
                format,
                records,
                landing: Some(path.display().to_string()),
                headers: "{\"subject\":\"backfill\"}".to_owned(),
            },
        )
        .await?;
        if stored.replayed {
            again += stored.records;
        } else {
            sent += stored.records;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    drop(bronze);
    ended(task).await?;
    print(&format!(
        "{}: {sent} records loaded, {again} had been\n",
        pipeline.name()
    ))
}

async fn ended(task: tokio::task::JoinHandle<Result<()>>) -> Result<()> {
    task.await.unwrap_or_else(|_| {
        Err(Error::Crashed {
            part: "bronze",
            table: "the pipeline".to_owned(),
        })
    })
}

/// The files of a folder that say what they are, sorted by name.
fn files(folder: &Path) -> Result<Vec<(PathBuf, Format, Option<&'static str>)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| system("read", folder, error))? {
        let path = entry.map_err(|error| system("read", folder, error))?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().to_ascii_lowercase())
            .unwrap_or_default();
        let (plain, encoding) = match (name.strip_suffix(".gz"), name.strip_suffix(".zst")) {
            (Some(plain), _) => (plain, Some("gzip")),
            (_, Some(plain)) => (plain, Some("zstd")),
            (None, None) => (name.as_str(), None),
        };
        let format = match plain.rsplit_once('.').map(|(_, end)| end) {
            Some("ndjson" | "jsonl") => Format::Ndjson,
            Some("json") => Format::Json,
            Some("csv") => Format::Csv,
            Some("parquet") => Format::Parquet,
            Some("avro") => Format::Avro,
            _ => continue,
        };
        found.push((path, format, encoding));
    }
    found.sort();
    Ok(found)
}
