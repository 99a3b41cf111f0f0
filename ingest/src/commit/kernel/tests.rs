use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use connectors::iceberg::JdbcCatalog;
use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, PrimitiveType, Struct};
use iceberg::{Catalog, TableRequirement, TableUpdate};

use super::*;
use crate::commit::facts::POSITIONS_KEY;
use crate::commit::history;
use crate::commit::snapshot::{added_files, live_files};
use crate::contract::{Column, Contract};
use crate::lake;
use crate::zone::Zone;

mod storms;

/// What the catalog does to the next publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    None,
    /// Does it and loses the answer.
    LoseAnswer,
    /// Does it, loses the answer, and does not answer the next question either.
    LoseSight,
    /// Loses the request, says nothing certain.
    LoseRequest,
    /// Another writer of the same epoch commits first.
    Overtake,
    /// Fails before it is asked.
    Fail,
}

/// A catalog with faults.
#[derive(Debug)]
struct Faulty {
    inner: Arc<JdbcCatalog>,
    faults: Mutex<VecDeque<Fault>>,
    blind: AtomicBool,
}

fn lost() -> iceberg::Error {
    iceberg::Error::new(iceberg::ErrorKind::Unexpected, "connection reset")
}

#[async_trait]
impl Tables for Faulty {
    async fn load(&self, table: &TableIdent) -> iceberg::Result<Table> {
        if self.blind.swap(false, Ordering::Relaxed) {
            return Err(lost());
        }
        self.inner.load_table(table).await
    }

    async fn publish(
        &self,
        table: &TableIdent,
        requirements: &[TableRequirement],
        updates: Vec<TableUpdate>,
    ) -> Publication {
        let fault = self.faults.lock().unwrap().pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::None => self.inner.publish(table, requirements, updates).await,
            Fault::Fail => Publication::Failed(lost()),
            Fault::LoseRequest => Publication::Unknown(lost()),
            Fault::LoseAnswer | Fault::LoseSight => {
                self.blind.store(fault == Fault::LoseSight, Ordering::Relaxed);
                let done = self.inner.publish(table, requirements, updates).await;
                assert!(matches!(done, Publication::Done(_)), "{done:?}");
                Publication::Unknown(lost())
            }
            Fault::Overtake => {
                let rival = Kernel::new(Arc::<JdbcCatalog>::clone(&self.inner) as Arc<dyn Tables>, 1, 100);
                let base = rival.load(table).await.unwrap();
                let epoch = facts::epoch(base.metadata());
                rival
                    .commit(&Commit::append(
                        &base,
                        epoch,
                        Token::unique(),
                        vec![file(&base, 1)],
                    ))
                    .await
                    .unwrap();
                self.inner.publish(table, requirements, updates).await
            }
        }
    }
}

fn file(table: &Table, rows: u64) -> DataFile {
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(format!(
            "{}/data/{}.parquet",
            table.metadata().location(),
            uuid::Uuid::now_v7()
        ))
        .file_format(DataFileFormat::Parquet)
        .record_count(rows)
        .file_size_in_bytes(100)
        .equality_ids(None)
        .key_metadata(None)
        .partition(Struct::empty())
        .partition_spec_id(0)
        .build()
        .unwrap()
}

struct Bench {
    _folder: tempfile::TempDir,
    catalog: Arc<JdbcCatalog>,
    table: TableIdent,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = lake::open(
            &folder.path().join("catalog.sqlite"),
            &folder.path().join("warehouse"),
        )
        .await
        .unwrap();
        lake::ensure_zones(catalog.as_ref()).await.unwrap();
        let columns = vec![Column::required("id", PrimitiveType::Long, "")];
        let contract = Contract::new(Zone::Bronze, "events", "", columns).unwrap();
        catalog
            .create_table(&contract.zone().namespace(), contract.creation().unwrap())
            .await
            .unwrap();
        Self {
            _folder: folder,
            catalog,
            table: contract.ident(),
        }
    }

    fn kernel(&self, faults: &[Fault]) -> Kernel {
        let tables = Faulty {
            inner: Arc::clone(&self.catalog),
            faults: Mutex::new(faults.iter().copied().collect()),
            blind: AtomicBool::new(false),
        };
        Kernel::new(Arc::new(tables), 5, 100)
    }

    async fn load(&self) -> Table {
        self.catalog.load_table(&self.table).await.unwrap()
    }

    fn metadata_files(&self) -> usize {
        let folder = self._folder.path().join("warehouse/bronze/events/metadata");
        std::fs::read_dir(folder)
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_string_lossy().ends_with(".avro")
            })
            .count()
    }
}

fn step(from: Option<&str>, to: &str) -> Advance {
    Advance {
        source: "s".to_owned(),
        from: from.map(str::to_owned),
        to: to.to_owned(),
    }
}

fn counter(table: &Table, key: &str) -> u64 {
    facts::number(table.metadata().current_snapshot().unwrap(), key)
}

#[tokio::test]
async fn a_commit_is_its_own_snapshot_and_happens_once() {
    let bench = Bench::new().await;
    let kernel = bench.kernel(&[]);
    let epoch = kernel.claim(&bench.table).await.unwrap();
    assert_eq!(epoch, 1);
    let base = bench.load().await;
    let commit = Commit::append(
        &base,
        epoch,
        Token::unique(),
        vec![file(&base, 3), file(&base, 4)],
    )
    .with_fact("ingest.x", 1)
    .with_advance(step(None, "10"));
    let receipt = kernel.commit(&commit).await.unwrap();
    assert_eq!(
        (receipt.snapshot_id, receipt.rows, receipt.files, receipt.fresh),
        (commit.snapshot_id, 7, 2, true)
    );
    assert!(!kernel.commit(&commit).await.unwrap().fresh);
    let table = bench.load().await;
    assert_eq!(
        (
            counter(&table, "total-records"),
            counter(&table, "total-data-files")
        ),
        (7, 2)
    );
    assert_eq!(facts::newest(table.metadata(), "ingest.x"), Some("1"));
    assert_eq!(
        facts::newest(table.metadata(), POSITIONS_KEY),
        Some("{\"s\":\"10\"}")
    );
    let snapshot = table.metadata().current_snapshot().unwrap();
    assert_eq!(added_files(&table, snapshot).await.unwrap().len(), 2);
    assert_eq!(live_files(&table).await.unwrap().len(), 2);
}

#[tokio::test]
async fn positions_are_contiguous_and_every_snapshot_carries_them() {
    let bench = Bench::new().await;
    let kernel = bench.kernel(&[]);
    let epoch = kernel.claim(&bench.table).await.unwrap();
    let base = bench.load().await;
    let append = |from, to| {
        Commit::append(&base, epoch, Token::unique(), vec![file(&base, 1)]).with_advance(step(from, to))
    };
    for wrong in [append(Some("5"), "10")] {
        let error = kernel.commit(&wrong).await.unwrap_err();
        assert!(matches!(&error, Error::Gap { recorded: None, .. }), "{error}");
    }
    kernel.commit(&append(None, "10")).await.unwrap();
    let error = kernel.commit(&append(None, "11")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "bronze.events has read s up to 10, the rows begin at its beginning"
    );
    assert!(kernel.commit(&append(Some("9"), "11")).await.is_err());
    // A snapshot that moves nothing still knows.
    kernel
        .commit(&Commit::append(&base, epoch, Token::unique(), vec![]))
        .await
        .unwrap();
    let table = bench.load().await;
    assert_eq!(
        facts::fact(table.metadata().current_snapshot().unwrap(), POSITIONS_KEY),
        Some("{\"s\":\"10\"}")
    );
    kernel.commit(&append(Some("10"), "12")).await.unwrap();
    assert_eq!(counter(&bench.load().await, "total-records"), 2);
}

#[tokio::test]
async fn a_zombie_is_refused_for_ever() {
    let bench = Bench::new().await;
    let kernel = bench.kernel(&[]);
    let old = kernel.claim(&bench.table).await.unwrap();
    let base = bench.load().await;
    let ready = Commit::append(&base, old, Token::unique(), vec![file(&base, 1)]);
    let new = kernel.claim(&bench.table).await.unwrap();
    assert!(new > old);
    let error = kernel.commit(&ready).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Fenced {
                epoch: 1,
                recorded: 2,
                ..
            }
        ),
        "{error}"
    );
    kernel
        .commit(&Commit::append(&base, new, Token::unique(), vec![file(&base, 1)]))
        .await
        .unwrap();
    assert!(kernel.commit(&ready).await.is_err());
    assert_eq!(counter(&bench.load().await, "total-records"), 1);
}

#[tokio::test]
async fn every_fault_ends_in_one_snapshot_or_none() {
    for (fault, known) in [
        (Fault::None, true),
        (Fault::LoseAnswer, true),
        (Fault::LoseRequest, false),
        (Fault::Overtake, true),
        (Fault::Fail, false),
    ] {
        let bench = Bench::new().await;
        let kernel = bench.kernel(&[Fault::None, fault]);
        let epoch = kernel.claim(&bench.table).await.unwrap();
        let base = bench.load().await;
        let commit =
            Commit::append(&base, epoch, Token::unique(), vec![file(&base, 5)]).with_advance(step(None, "1"));
        let outcome = kernel.commit(&commit).await;
        assert_eq!(outcome.is_ok(), known, "{fault:?} {outcome:?}");
        // Whatever the first answer was, asking again gives the same one snapshot.
        let receipt = kernel.commit(&commit).await.unwrap();
        assert_eq!(receipt.snapshot_id, commit.snapshot_id);
        let table = bench.load().await;
        let ours = history(table.metadata())
            .filter(|snapshot| snapshot.snapshot_id() == commit.snapshot_id)
            .count();
        assert_eq!(ours, 1, "{fault:?}");
        let rows = if fault == Fault::Overtake { 6 } else { 5 };
        assert_eq!(counter(&table, "total-records"), rows, "{fault:?}");
    }
}

/// Whoever removes the files of a commit that was not published must not take one for it whose answer came late.
#[tokio::test]
async fn a_snapshot_that_is_found_late_is_known_as_ones_own() {
    let bench = Bench::new().await;
    let kernel = bench.kernel(&[Fault::None, Fault::LoseSight]);
    let epoch = kernel.claim(&bench.table).await.unwrap();
    let base = bench.load().await;
    let commit = |rows| Commit::append(&base, epoch, Token::new("once").unwrap(), vec![file(&base, rows)]);
    let first = commit(3);
    let receipt = kernel.commit_known(&first).await.unwrap();
    assert!(first.made(&receipt), "{receipt:?}");
    let again = commit(4);
    let receipt = kernel.commit_known(&again).await.unwrap();
    assert!(first.made(&receipt) && !again.made(&receipt), "{receipt:?}");
    assert_eq!(counter(&bench.load().await, "total-records"), 3);
}

#[tokio::test]
async fn metadata_of_a_lost_race_is_removed_and_of_an_unknown_outcome_kept() {
    let bench = Bench::new().await;
    let kernel = bench.kernel(&[Fault::None, Fault::Fail, Fault::LoseRequest]);
    let epoch = kernel.claim(&bench.table).await.unwrap();
    let base = bench.load().await;
    let commit = Commit::append(&base, epoch, Token::unique(), vec![file(&base, 1)]);
    let before = bench.metadata_files();
    assert!(matches!(kernel.commit(&commit).await, Err(Error::Catalog { .. })));
    assert_eq!(bench.metadata_files(), before);
    assert!(matches!(kernel.commit(&commit).await, Err(Error::Unknown { .. })));
    assert_eq!(bench.metadata_files(), before + 2);
}

#[tokio::test]
async fn a_replacement_keeps_the_rows() {
    let bench = Bench::new().await;
    let kernel = bench.kernel(&[]);
    let epoch = kernel.claim(&bench.table).await.unwrap();
    let base = bench.load().await;
    let (one, two, three) = (file(&base, 3), file(&base, 4), file(&base, 5));
    for file in [&one, &two, &three] {
        kernel
            .commit(&Commit::append(&base, epoch, Token::unique(), vec![file.clone()]))
            .await
            .unwrap();
    }
    let replace = |remove: &[&DataFile], add| {
        let remove = remove.iter().map(|file| file.file_path().to_owned()).collect();
        Commit::new(&base, epoch, Token::unique(), Change::Replace { remove, add })
    };
    let short = kernel
        .commit(&replace(&[&one, &two], vec![file(&base, 6)]))
        .await
        .unwrap_err();
    assert!(
        matches!(
            short,
            Error::Count {
                found: 6,
                expected: 7,
                ..
            }
        ),
        "{short}"
    );
    let merged = file(&base, 7);
    kernel
        .commit(&replace(&[&one, &two], vec![merged.clone()]))
        .await
        .unwrap();
    let gone = kernel
        .commit(&replace(&[&one], vec![file(&base, 3)]))
        .await
        .unwrap_err();
    assert!(matches!(gone, Error::Gone { .. }), "{gone}");
    let table = bench.load().await;
    let mut live: Vec<u64> = live_files(&table)
        .await
        .unwrap()
        .iter()
        .map(DataFile::record_count)
        .collect();
    live.sort_unstable();
    assert_eq!(live, [5, 7]);
    assert_eq!(
        (
            counter(&table, "total-records"),
            counter(&table, "deleted-records")
        ),
        (12, 7)
    );
    // Nothing is new in a replacement for who reads on from snapshot to snapshot.
    assert!(
        added_files(&table, table.metadata().current_snapshot().unwrap())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_overwrite_takes_out_what_was_there() {
    let bench = Bench::new().await;
    let kernel = bench.kernel(&[]);
    let epoch = kernel.claim(&bench.table).await.unwrap();
    let base = bench.load().await;
    for rows in [3, 4] {
        let file = file(&base, rows);
        kernel
            .commit(&Commit::append(&base, epoch, Token::unique(), vec![file]))
            .await
            .unwrap();
    }
    let all = Change::Overwrite {
        remove: Removal::All,
        add: vec![file(&base, 2)],
    };
    kernel
        .commit(&Commit::new(&base, epoch, Token::unique(), all))
        .await
        .unwrap();
    // Dead entries must not come back to life.
    kernel
        .commit(&Commit::append(
            &base,
            epoch,
            Token::unique(),
            vec![file(&base, 1)],
        ))
        .await
        .unwrap();
    let table = bench.load().await;
    assert_eq!(
        live_files(&table)
            .await
            .unwrap()
            .iter()
            .map(DataFile::record_count)
            .sum::<u64>(),
        3
    );
    assert_eq!(
        (
            counter(&table, "total-records"),
            counter(&table, "total-data-files")
        ),
        (3, 2)
    );
}
