//! Limits of an Iceberg source, looked at from outside: its files are damaged, copied or counted behind the gateway's back.

use std::fs;
use std::path::PathBuf;

use futures::FutureExt as _;
use futures::future::join_all;
use rusqlite::Connection;
use tests::house::files;
use tests::lake::key;

use super::Needs::{AnyLake, ItsOwn};
use super::Proof::{First, Shows};
use super::{Case, Place};

const COUNT: &str = "SELECT count(*) FROM lake.gold.events";
const LISTING: &str = "SELECT count(*) FROM lake.information_schema.tables";
const SUM: &str = "SELECT sum(id) FROM lake.gold.events";

/// Listings at a time.
const AT_A_TIME: usize = 8;
/// How often they are asked before it is sure that they share one connection.
const ROUNDS: usize = 5;

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
            &[],
            ItsOwn,
            Shows("1 open"),
            |place| connections(place).boxed(),
        ),
        case(
            "planner.sources.lake.busy_timeout_ms",
            "1",
            &[],
            ItsOwn,
            First("FAIL planner.sources.lake: "),
            |place| locked(place).boxed(),
        ),
        case(
            "planner.sources.lake.metadata_cache_bytes",
            "0",
            &[("planner.cache.bytes", "0")],
            ItsOwn,
            Shows("refused"),
            |place| without_metadata(place).boxed(),
        ),
        case(
            "planner.sources.lake.footer_cache_bytes",
            "0",
            &[("planner.cache.bytes", "0")],
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

/// What `check` says of the lake while another program has the catalog file for itself. The file is a copy that no
/// gateway has opened yet: one that has been is in WAL mode, where nobody waits for a reader or makes one wait.
async fn locked(place: &Place) -> String {
    let folder = place.lake.folder();
    let copy = folder.join("copy.db");
    let copy = copy.to_str().expect("UTF-8");
    let original = Connection::open(folder.join("catalog.db")).expect("the catalog");
    original.execute("VACUUM INTO ?1", [copy]).expect("a copy");
    let held = Connection::open(copy).expect("the copy");
    held.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let launch = place
        .lake
        .launch("check", "127.0.0.1:0", &[&key(1)], &place.settings());
    let launch = launch.expect("a command");
    let ended = launch
        .with_setting("planner.sources.lake.catalog", copy)
        .run()
        .await
        .expect("an end");
    drop(held);
    ended.stdout
}

/// How many connections to the catalog file the gateway has opened after some listings at a time; it keeps them. The
/// catalog has so many tables that a listing takes its while, and two of them meet.
async fn connections(place: &Place) -> String {
    let catalog = Connection::open(place.lake.folder().join("catalog.db")).expect("the catalog");
    let filled = catalog.execute(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 50000) \
         INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, iceberg_type) \
         SELECT 'lakegate', 'gold', 'many_' || n, 'TABLE' FROM number",
        [],
    );
    filled.expect("rows");
    let open = || {
        let folder = format!("/proc/{}/fd", place.gateway.process_id());
        let links = fs::read_dir(folder).expect("a running process");
        let named = |entry: std::io::Result<fs::DirEntry>| fs::read_link(entry.ok()?.path()).ok();
        links
            .filter_map(named)
            .filter(|link| link.ends_with("catalog.db"))
            .count()
    };
    let mut most = open();
    for _ in 0..ROUNDS {
        let asked = join_all((0..AT_A_TIME).map(|_| ask(place, LISTING))).await;
        assert!(asked.iter().all(|said| said == "answered 50001"), "{asked:?}");
        most = most.max(open());
        if most > 1 {
            break;
        }
    }
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
