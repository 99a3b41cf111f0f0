mod broken;

use super::verify::Broken;
use super::{Audit, Entry, Filter, Outcome, SigningKey, Start, Verified, search, verify};
use crate::config::{Oldest, Statements, Trail, WhenFull};
use crate::error::Error;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytesize::ByteSize;
use planner::{ErrorKind, Reads, TableRead};
use policies::Secret;
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

fn key(byte: u8) -> SigningKey {
    SigningKey::new(&Secret::new(BASE64_STANDARD.encode([byte; 32]))).unwrap()
}

/// Bytes as they are on disk now.
fn copied(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn config(folder: &Path) -> Trail {
    Trail {
        folder: Some(folder.to_owned()),
        ..Trail::default()
    }
}

fn start(request: &str) -> Start {
    Start {
        request: request.to_owned(),
        protocol: "rest",
        method: "POST /v1/sql".to_owned(),
        address: None,
        who: None,
        claims: None,
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    super::folder::files(folder).unwrap()
}

fn found(folder: &Path, filter: &Filter) -> Vec<Map<String, Value>> {
    let mut found = Vec::new();
    search(folder, filter, |request| {
        found.push(request.clone());
        Ok(())
    })
    .unwrap();
    found
}

fn checked(folder: &Path) -> Result<Verified, Broken> {
    verify(folder, &key(1).verifying())
}

/// A request whose start is on file.
async fn begun(audit: &Audit, start: Start) -> crate::error::Result<Arc<Entry>> {
    let entry = audit.begin(start).await?;
    entry.settled().await?;
    Ok(entry)
}

async fn some_requests(audit: &Audit, names: &[&str]) {
    for name in names {
        let entry = begun(audit, start(name)).await.unwrap();
        entry.statement("SELECT 'hunter2' -- lg_secret").await.unwrap();
        let reads = Reads {
            epoch: "e1".to_owned(),
            tables: vec![TableRead {
                table: "lake.gold.events".to_owned(),
                columns: vec!["id".to_owned()],
                version: None,
                rules: vec!["viewers read gold".to_owned()],
                guard: None,
            }],
        };
        entry.read(&reads).await.unwrap();
        entry.sent(10, 1_000);
        entry.conclude(Outcome::ok());
    }
    audit.flushed(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_request_has_its_records_and_they_are_found_by_what_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&config(dir.path()), key(1)).unwrap();
    some_requests(&audit, &["r1", "r2"]).await;
    let refused = begun(&audit, start("r3")).await.unwrap();
    refused.conclude(Outcome::failed(ErrorKind::Unauthenticated, "LG2001"));
    refused.conclude(Outcome::ok());
    drop(refused);
    drop(begun(&audit, start("r4")).await.unwrap());
    let open = begun(&audit, start("r5")).await.unwrap();
    audit.flushed(Duration::from_secs(30)).await;
    let by = |change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        let names = found(dir.path(), &filter);
        names
            .iter()
            .map(|request| request["request"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(by(|_| {}), ["r1", "r2", "r3", "r4", "r5"]);
    assert_eq!(
        by(|filter| filter.table = Some("lake.gold.events".to_owned())),
        ["r1", "r2"]
    );
    assert_eq!(by(|filter| filter.column = Some("name".to_owned())), [""; 0]);
    assert_eq!(by(|filter| filter.code = Some("LG2001".to_owned())), ["r3"]);
    assert_eq!(by(|filter| filter.outcome = Some("cancelled".to_owned())), ["r4"]);
    assert_eq!(by(|filter| filter.outcome = Some("open".to_owned())), ["r5"]);
    assert_eq!(by(|filter| filter.until = Some("2000-01-01".to_owned())), [""; 0]);
    let first = &found(dir.path(), &Filter::default())[0];
    assert_eq!(first["statement"], "SELECT ?");
    assert_eq!(
        (&first["rows"], &first["bytes"], &first["outcome"]),
        (&10.into(), &1_000.into(), &"ok".into())
    );
    assert_eq!(first["tables"][0]["rules"][0], "viewers read gold");
    assert_eq!(first["epoch"], "e1");
    let text = fs::read_to_string(&files(dir.path())[0]).unwrap();
    assert!(!text.contains("hunter2") && !text.contains("lg_secret"), "{text}");
    let whole = checked(dir.path()).unwrap();
    assert_eq!((whole.first, whole.open.len(), whole.signed), (1, 1, whole.last));
    drop(open);
}

#[tokio::test]
async fn files_are_begun_anew_and_hold_together() {
    let dir = tempfile::tempdir().unwrap();
    let small = Trail {
        file_bytes_max: ByteSize::kib(4),
        ..config(dir.path())
    };
    let audit = Audit::open(&small, key(1)).unwrap();
    let long = begun(&audit, start("long")).await.unwrap();
    let names: Vec<String> = (0..40).map(|index| format!("r{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    some_requests(&audit, &names).await;
    long.conclude(Outcome::ok());
    drop(long);
    audit.flushed(Duration::from_secs(30)).await;
    drop(audit);
    let written = files(dir.path());
    assert!(written.len() > 3, "{written:?}");
    let whole = checked(dir.path()).unwrap();
    assert_eq!((whole.first, whole.open.len()), (1, 0));
    assert_eq!(found(dir.path(), &Filter::default()).len(), 41);
    // A file that is missing in the middle is found; those at the start may have been moved away.
    let kept = fs::read(&written[1]).unwrap();
    fs::remove_file(&written[1]).unwrap();
    assert!(checked(dir.path()).unwrap_err().problem.contains("are missing"));
    fs::write(&written[1], kept).unwrap();
    fs::remove_file(&written[0]).unwrap();
    assert!(checked(dir.path()).unwrap().first > 1);
    fs::remove_file(written.last().unwrap()).unwrap();
    assert!(
        checked(dir.path())
            .unwrap_err()
            .problem
            .contains("missing at the end")
    );
}

#[tokio::test]
async fn a_trail_without_room_refuses_and_drops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let narrow = Trail {
        requests_max: 2,
        wait_max: Duration::from_millis(20),
        ..config(dir.path())
    };
    let audit = Audit::open(&narrow, key(1)).unwrap();
    let first = begun(&audit, start("r1")).await.unwrap();
    let second = begun(&audit, start("r2")).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(begun(&audit, start("r3")).await, Err(Error::Audit)));
    }
    drop(first);
    audit.flushed(Duration::from_secs(30)).await;
    let third = begun(&audit, start("r4")).await.unwrap();
    drop((second, third));
    audit.flushed(Duration::from_secs(30)).await;
    let names: Vec<String> = found(dir.path(), &Filter::default())
        .iter()
        .map(|request| request["request"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["r1", "r2", "r4"]);
    assert_eq!(checked(dir.path()).unwrap().open.len(), 0);
}

#[tokio::test]
async fn a_trail_that_is_off_costs_nothing_and_says_nothing() {
    let audit = Audit::off();
    let entry = begun(&audit, start("r1")).await.unwrap();
    entry.statement("SELECT 1").await.unwrap();
    entry.read(&Reads::default()).await.unwrap();
    drop(entry);
    audit.flushed(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn the_files_stay_within_their_bound() {
    let dir = tempfile::tempdir().unwrap();
    let bounded = Trail {
        file_bytes_max: ByteSize::kib(4),
        folder_bytes_max: ByteSize::kib(12),
        oldest: Oldest::Remove,
        wait_max: Duration::from_millis(100),
        ..config(dir.path())
    };
    let audit = Audit::open(&bounded, key(1)).unwrap();
    let names: Vec<String> = (0..60).map(|index| format!("r{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        some_requests(&audit, &[name]).await;
        assert!(super::folder::bytes(dir.path()).unwrap() <= 12 << 10);
    }
    drop(audit);
    assert!(checked(dir.path()).unwrap().first > 1);

    // Where the oldest must stay, nothing is taken any more until somebody has moved it away.
    let other = tempfile::tempdir().unwrap();
    let kept = Trail {
        folder: Some(other.path().to_owned()),
        oldest: Oldest::Keep,
        ..bounded
    };
    let audit = Audit::open(&kept, key(1)).unwrap();
    let mut taken = 0;
    while begun(&audit, start("r")).await.is_ok() {
        taken += 1;
        assert!(taken < 1_000);
    }
    assert!(taken > 10 && super::folder::bytes(other.path()).unwrap() <= 12 << 10);
    assert!(audit.counts().unwrap().is_failing());
    fs::remove_file(&files(other.path())[0]).unwrap();
    // It is tried again within a moment; a caller waits that long.
    while begun(&audit, start("after")).await.is_err() {}
    audit.flushed(Duration::from_secs(30)).await;
    drop(audit);
    checked(other.path()).unwrap();
    // The one that was refused is there as well: its record came when there was room.
    let after = Filter {
        request: Some("after".to_owned()),
        ..Filter::default()
    };
    assert!(!found(other.path(), &after).is_empty());
}

#[tokio::test]
async fn a_caller_of_a_trail_that_blocks_waits_and_is_not_refused() {
    let dir = tempfile::tempdir().unwrap();
    let blocking = Trail {
        requests_max: 1,
        wait_max: Duration::from_millis(1),
        when_full: WhenFull::Block,
        ..config(dir.path())
    };
    let audit = Audit::open(&blocking, key(1)).unwrap();
    let first = begun(&audit, start("r1")).await.unwrap();
    let second = tokio::spawn({
        let audit = audit.clone();
        async move { begun(&audit, start("r2")).await.map(drop) }
    });
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    drop(first);
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_panic_is_no_departure_of_the_caller() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&config(dir.path()), key(1)).unwrap();
    let entry = begun(&audit, start("r1")).await.unwrap();
    let ended = tokio::spawn(async move {
        let _entry = entry;
        panic!("a defect");
    });
    assert!(ended.await.unwrap_err().is_panic());
    audit.flushed(Duration::from_secs(30)).await;
    let found = found(dir.path(), &Filter::default());
    assert_eq!(
        (&found[0]["outcome"], &found[0]["code"]),
        (&"failed".into(), &"LG2099".into())
    );
}

#[tokio::test]
async fn a_statement_is_kept_as_the_config_says() {
    let sql = "SELECT 'hunter2', id FROM t WHERE a = 'hunter2' AND b = 7 -- hunter2";
    let mut digests = Vec::new();
    for (kept, expected) in [
        (Statements::None, None),
        (
            Statements::Redacted,
            Some("SELECT ?, id FROM t WHERE a = ? AND b = ?"),
        ),
        (Statements::Text, Some(sql)),
        (
            Statements::Hashed,
            Some("SELECT #, id FROM t WHERE a = # AND b = #"),
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let config = Trail {
            statements: kept,
            ..config(dir.path())
        };
        let audit = Audit::open(&config, key(1)).unwrap();
        begun(&audit, start("r1"))
            .await
            .unwrap()
            .statement(sql)
            .await
            .unwrap();
        audit.flushed(Duration::from_secs(30)).await;
        let found = found(dir.path(), &Filter::default());
        digests.push(found[0]["digest"].as_str().unwrap().to_owned());
        let statement = found[0].get("statement").and_then(Value::as_str);
        if kept == Statements::Hashed {
            let marks: Vec<&str> = statement
                .unwrap()
                .split('#')
                .skip(1)
                .map(|mark| &mark[..16])
                .collect();
            assert_eq!((marks[0], marks.len()), (marks[1], 3));
            assert_ne!(marks[0], marks[2]);
            let bare = marks
                .iter()
                .fold(statement.unwrap().to_owned(), |text, mark| text.replace(mark, ""));
            assert_eq!(Some(bare.as_str()), expected);
        } else {
            assert_eq!(statement, expected);
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "equal statements have one digest");
    assert_eq!(Trail::default().statements, Statements::Redacted);
}

#[test]
fn the_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("audit");
    fs::create_dir(&folder).unwrap();
    // A file of an earlier version, or of a careless hand.
    fs::write(folder.join("head"), "").unwrap();
    fs::set_permissions(folder.join("head"), fs::Permissions::from_mode(0o644)).unwrap();
    drop(Audit::open(&config(&folder), key(1)).unwrap());
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}
