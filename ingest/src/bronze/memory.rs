//! The keys of uploads that a bronze table remembers, read from the summaries of its snapshots when the table is taken over.
//!
//! The table is the memory: what is here can be lost at any time. While the table's epoch is ours nobody else adds to it.

use std::collections::{HashMap, VecDeque};

use iceberg::spec::TableMetadata;

use super::{Stored, Upload};
use crate::commit::facts::fact;
use crate::commit::history;

/// The key of the summary with the keyed uploads of a snapshot: `batch:body-sha256:records`, separated by commas.
pub const KEYED_KEY: &str = "ingest.keyed";
/// How long the key of a caller is remembered.
pub const REMEMBERED_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// What is known of an upload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It has no key, or one that was never seen.
    New,
    /// The same body was stored under the key.
    Stored(Stored),
    /// Another body was stored under the key.
    OtherBody,
    /// No room for one more key.
    Full,
}

#[derive(Debug, Clone)]
struct Entry {
    body_sha256: String,
    stored: Stored,
    at_ms: i64,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Memory {
    entries: HashMap<String, Entry>,
    /// In the order in which they are forgotten.
    order: VecDeque<(i64, String)>,
    max: usize,
    remembered_ms: i64,
}

impl Memory {
    /// What a table remembers of the last `remembered_ms`.
    pub(super) fn of(metadata: &TableMetadata, max: usize, remembered_ms: i64) -> Self {
        let mut memory = Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            max,
            remembered_ms,
        };
        let oldest = now_ms().saturating_sub(remembered_ms);
        let mut recent: Vec<_> = history(metadata)
            .take_while(|snapshot| snapshot.timestamp_ms() >= oldest)
            .collect();
        recent.reverse();
        for snapshot in recent {
            let Some(text) = fact(snapshot, KEYED_KEY) else {
                continue;
            };
            for (batch, body_sha256, records) in parsed(text) {
                let stored = Stored {
                    batch: batch.to_owned(),
                    records,
                    snapshot_id: snapshot.snapshot_id(),
                    replayed: false,
                };
                memory.add(body_sha256.to_owned(), stored, snapshot.timestamp_ms());
            }
        }
        memory
    }

    /// What is known of an upload.
    pub(super) fn look(&mut self, upload: &Upload) -> Found {
        let Some(body_sha256) = &upload.keyed else {
            return Found::New;
        };
        self.forget();
        match self.entries.get(&upload.batch) {
            Some(entry) if entry.body_sha256 == *body_sha256 => Found::Stored(Stored {
                replayed: true,
                ..entry.stored.clone()
            }),
            Some(_) => Found::OtherBody,
            None if self.entries.len() >= self.max => Found::Full,
            None => Found::New,
        }
    }

    /// Keeps what an upload has become.
    pub(super) fn remember(&mut self, upload: &Upload, snapshot_id: i64) -> Stored {
        let stored = Stored {
            batch: upload.batch.clone(),
            records: upload.records.len() as u64,
            snapshot_id,
            replayed: false,
        };
        if let Some(body_sha256) = &upload.keyed {
            self.add(body_sha256.clone(), stored.clone(), now_ms());
        }
        stored
    }

    fn add(&mut self, body_sha256: String, stored: Stored, at_ms: i64) {
        self.order.push_back((at_ms, stored.batch.clone()));
        let entry = Entry {
            body_sha256,
            stored,
            at_ms,
        };
        self.entries.insert(entry.stored.batch.clone(), entry);
    }

    fn forget(&mut self) {
        let oldest = now_ms().saturating_sub(self.remembered_ms);
        while let Some((_, batch)) = self.order.pop_front_if(|(at_ms, _)| *at_ms < oldest) {
            if self.entries.get(&batch).is_some_and(|entry| entry.at_ms < oldest) {
                self.entries.remove(&batch);
            }
        }
    }
}

/// The keyed ones of some uploads, for the summary; none without a key.
pub(super) fn printed(uploads: &[Upload]) -> Option<String> {
    let keyed: Vec<String> = uploads
        .iter()
        .filter_map(|upload| {
            let body = upload.keyed.as_ref()?;
            Some(format!("{}:{body}:{}", upload.batch, upload.records.len()))
        })
        .collect();
    (!keyed.is_empty()).then(|| keyed.join(","))
}

fn parsed(text: &str) -> impl Iterator<Item = (&str, &str, u64)> {
    text.split(',').filter_map(|entry| {
        let mut parts = entry.split(':');
        Some((parts.next()?, parts.next()?, parts.next()?.parse().ok()?))
    })
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
