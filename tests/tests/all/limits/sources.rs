//! Limits of an Iceberg source, looked at from outside: its files are damaged or locked behind the gateway's back.

use std::fs;
use std::path::PathBuf;

use futures::FutureExt as _;
use futures::future::join_all;
use rusqlite::Connection;
use tests::house::files;

use super::Needs::{AnyLake, ItsOwn};
use super::Proof::{First, Shows};
use super::{Case, Place};

const COUNT: &str = "SELECT count(*) FROM lake.gold.events";
const SUM: &str = "SELECT sum(id) FROM lake.gold.events";

pub(super) fn cases() -> Vec<Case> {
    let case = |key, value, around, needs, proof, look| Case {
        key,
        value,
        around,
        needs,
        proof,
        look,
    };
    vec![
        case(
            "planner.sources.lake.connections_max",
            "1",
            &[("planner.sources.lake.busy_timeout_ms", "2000")],
            ItsOwn,
            Shows("1 open"),
            |place| connections(place).boxed(),
        ),
        case(
            "planner.sources.lake.busy_timeout_ms",
            "1",
            &[],
            ItsOwn,
            First("refused"),
            |place| locked(place).boxed(),
        ),
        case(
            "planner.sources.lake.metadata_cache_bytes",
            "0",
            &[],
            ItsOwn,
            Shows("refused"),
            |place| without_metadata(place).boxed(),
        ),
        case(
            "planner.sources.lake.footer_cache_bytes",
            "0",
            &[],
            ItsOwn,
            Shows("refused"),
            |place| without_footers(place).boxed(),
        ),
        case(
            "planner.sources.lake.metadata_file_bytes_max",
            "100",
            &[],
            AnyLake,
            Shows("refused"),
            |place| ask(place, COUNT).boxed(),
        ),
    ]
}

async fn ask(place: &Place, sql: &str) -> String {
    match place.gateway.rest("admin").query(sql).await {
        Ok(answer) => format!("answered {}", answer.cell()),
        Err(refusal) => format!("refused {}: {}", refusal.code, refusal.message),
    }
}

/// The catalog file, locked against readers until dropped.
fn lock(place: &Place) -> Connection {
    let connection = Connection::open(place.lake.folder().join("catalog.db")).expect("the catalog");
    let begun = connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;");
    begun.expect("a lock");
    connection
}

async fn locked(place: &Place) -> String {
    let held = lock(place);
    let said = ask(place, COUNT).await;
    drop(held);
    said
}

/// How many connections to the catalog file the gateway has open after four statements at a time; they all wait while
/// the file is locked, until each that may has opened one or has given up.
async fn connections(place: &Place) -> String {
    let open = || {
        let folder = format!("/proc/{}/fd", place.gateway.process_id());
        let links = fs::read_dir(folder).expect("a running process");
        let named = |entry: std::io::Result<fs::DirEntry>| fs::read_link(entry.ok()?.path()).ok();
        links
            .filter_map(named)
            .filter(|link| link.ends_with("catalog.db"))
            .count()
    };
    let held = lock(place);
    let mut most = 0;
    let mut asked = join_all((0..4).map(|_| ask(place, COUNT))).boxed();
    while most < 4 {
        tokio::select! {
            biased;
            _ = &mut asked => break,
            () = tokio::task::yield_now() => most = most.max(open()),
        }
    }
    drop(held);
    format!("{most} open")
}

/// Asks twice; between the two the table's metadata vanishes from the disk.
async fn without_metadata(place: &Place) -> String {
    assert_eq!(ask(place, SUM).await, "answered 4999950000");
    let found = files(&warehouse(place), "avro");
    assert!(!found.is_empty());
    for path in found {
        fs::remove_file(path).expect("a file");
    }
    ask(place, SUM).await
}

/// Asks twice; between the two the footers of the data files are overwritten.
async fn without_footers(place: &Place) -> String {
    assert_eq!(ask(place, SUM).await, "answered 4999950000");
    let found = files(&warehouse(place), "parquet");
    assert!(!found.is_empty());
    for path in found {
        let mut bytes = fs::read(&path).expect("a file");
        // The end of a Parquet file: metadata, its length in four bytes, `PAR1`.
        let end = bytes.len() - 8;
        let length = u32::from_le_bytes(bytes[end..end + 4].try_into().expect("four bytes"));
        let start = end - usize::try_from(length).expect("a length");
        bytes[start..].fill(0);
        fs::write(&path, bytes).expect("a file");
    }
    ask(place, SUM).await
}

fn warehouse(place: &Place) -> PathBuf {
    place.lake.folder().join("warehouse")
}
