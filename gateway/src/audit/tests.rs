use super::record::Who;
use super::{Audit, Filter, Outcome, Read, SigningKey, Start, Verified, search, verify};
use crate::config::{Statements, Trail};
use crate::error::Error;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytesize::ByteSize;
use policies::Secret;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn key(byte: u8) -> SigningKey {
    SigningKey::new(&Secret::new(BASE64_STANDARD.encode([byte; 32]))).unwrap()
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
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    super::journal::files(folder).unwrap()
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

fn checked(folder: &Path) -> Result<Verified, String> {
    verify(folder, &key(1).verifying())
}

async fn some_requests(audit: &Audit, names: &[&str]) {
    for name in names {
        let entry = audit.begin(start(name)).await.unwrap();
        entry.statement("SELECT 'hunter2' -- lg_secret").await.unwrap();
        let read = Read {
            tables: BTreeMap::from([("lake.gold.events".to_owned(), vec!["id".to_owned()])]),
            policies: vec!["viewers read gold".to_owned()],
            epoch: "e1".to_owned(),
            ..Read::default()
        };
        entry.read(read).await.unwrap();
        entry.sent(10, 1_000);
        entry.conclude(Outcome::ok());
    }
    audit.flushed().await;
}

#[tokio::test]
async fn a_request_has_its_records_and_they_are_found_by_what_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&config(dir.path()), key(1)).unwrap();
    some_requests(&audit, &["r1", "r2"]).await;
    let refused = audit.begin(start("r3")).await.unwrap();
    refused.conclude(Outcome::failed("LG2001"));
    refused.conclude(Outcome::ok());
    drop(refused);
    drop(audit.begin(start("r4")).await.unwrap());
    let open = audit.begin(start("r5")).await.unwrap();
    audit.flushed().await;
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
    assert_eq!(first["policies"][0], "viewers read gold");
    let text = fs::read_to_string(&files(dir.path())[0]).unwrap();
    assert!(!text.contains("hunter2") && !text.contains("lg_secret"), "{text}");
    let whole = checked(dir.path()).unwrap();
    assert_eq!((whole.first, whole.open, whole.signed), (1, 1, whole.last));
    drop(open);
}

#[tokio::test]
async fn any_change_to_any_line_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&config(dir.path()), key(1)).unwrap();
    some_requests(&audit, &["r1", "r2", "r3"]).await;
    drop(audit);
    let file = files(dir.path())[0].clone();
    let good = fs::read(&file).unwrap();
    checked(dir.path()).unwrap();
    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    let mut damaged: Vec<Vec<u8>> = Vec::new();
    // Every byte of the file, changed.
    for position in 0..good.len() {
        let mut bytes = good.clone();
        bytes[position] ^= 1;
        damaged.push(bytes);
    }
    for index in 0..lines.len() {
        let without = lines
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != index)
            .map(|(_, line)| *line);
        damaged.push(without.flatten().copied().collect());
        let mut doubled = lines.clone();
        doubled.insert(index, lines[index]);
        damaged.push(doubled.concat());
        let mut moved = lines.clone();
        moved.swap(index, (index + 1) % lines.len());
        damaged.push(moved.concat());
        damaged.push(lines[..index].concat());
    }
    for bytes in damaged {
        fs::write(&file, &bytes).unwrap();
        if let Ok(whole) = checked(dir.path()) {
            panic!("{whole:?} for {}", String::from_utf8_lossy(&bytes));
        }
    }
    fs::write(&file, &good).unwrap();
    checked(dir.path()).unwrap();
    let other = verify(dir.path(), &key(2).verifying()).unwrap_err();
    assert!(other.contains("not signed with this key"), "{other}");
    let head = dir.path().join("head");
    let signed = fs::read(&head).unwrap();
    // A chain written anew from the start, as whoever has the files and not the key can do it.
    fs::remove_dir_all(dir.path()).unwrap();
    let forger = Audit::open(&config(dir.path()), key(2)).unwrap();
    some_requests(&forger, &["r1"]).await;
    drop(forger);
    assert!(checked(dir.path()).is_err());
    fs::write(&head, &signed).unwrap();
    assert!(checked(dir.path()).is_err());
    fs::remove_file(&head).unwrap();
    assert!(checked(dir.path()).unwrap_err().contains("there is no head"));
}

#[tokio::test]
async fn files_are_begun_anew_and_hold_together() {
    let dir = tempfile::tempdir().unwrap();
    let small = Trail {
        file_bytes_max: ByteSize::kib(4),
        ..config(dir.path())
    };
    let audit = Audit::open(&small, key(1)).unwrap();
    let long = audit.begin(start("long")).await.unwrap();
    let names: Vec<String> = (0..40).map(|index| format!("r{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    some_requests(&audit, &names).await;
    long.conclude(Outcome::ok());
    drop(long);
    audit.flushed().await;
    drop(audit);
    let written = files(dir.path());
    assert!(written.len() > 3, "{written:?}");
    let whole = checked(dir.path()).unwrap();
    assert_eq!((whole.first, whole.open), (1, 0));
    assert_eq!(found(dir.path(), &Filter::default()).len(), 41);
    // A file that is missing in the middle is found; those at the start may have been moved away.
    let kept = fs::read(&written[1]).unwrap();
    fs::remove_file(&written[1]).unwrap();
    assert!(checked(dir.path()).unwrap_err().contains("are missing"));
    fs::write(&written[1], kept).unwrap();
    fs::remove_file(&written[0]).unwrap();
    assert!(checked(dir.path()).unwrap().first > 1);
    fs::remove_file(written.last().unwrap()).unwrap();
    assert!(checked(dir.path()).unwrap_err().contains("missing at the end"));
}

#[tokio::test]
async fn a_start_whose_process_died_is_closed_as_lost_and_a_torn_line_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&config(dir.path()), key(1)).unwrap();
    some_requests(&audit, &["r1"]).await;
    let open = audit.begin(start("dead")).await.unwrap();
    audit.flushed().await;
    // As a death would leave it: what is on disk now, and half a line more.
    let copy = tempfile::tempdir().unwrap();
    for name in [
        "head",
        files(dir.path())[0].file_name().unwrap().to_str().unwrap(),
    ] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let file = files(copy.path())[0].clone();
    let mut bytes = fs::read(&file).unwrap();
    bytes.extend_from_slice(b"{\"seq\":99,\"at\"");
    fs::write(&file, bytes).unwrap();
    drop((open, audit));

    let again = Audit::open(&config(copy.path()), key(1)).unwrap();
    some_requests(&again, &["r2"]).await;
    let lost = Filter {
        outcome: Some("lost".to_owned()),
        ..Filter::default()
    };
    let lost = found(copy.path(), &lost);
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0]["request"], "dead");
    assert_eq!(checked(copy.path()).unwrap().open, 0);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"kind\":\"torn\",\"bytes\":14"), "{text}");
    // Two processes do not write one folder.
    let second = Audit::open(&config(copy.path()), key(1))
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(second.contains("another process writes it"), "{second}");
    drop(again);
    // A trail that was changed is not gone on with.
    let changed = fs::read_to_string(&file)
        .unwrap()
        .replace("\"request\":\"r1\"", "\"request\":\"rx\"");
    fs::write(&file, changed).unwrap();
    let refused = Audit::open(&config(copy.path()), key(1))
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("was changed"), "{refused}");
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
    let first = audit.begin(start("r1")).await.unwrap();
    let second = audit.begin(start("r2")).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(audit.begin(start("r3")).await, Err(Error::Audit)));
    }
    drop(first);
    audit.flushed().await;
    let third = audit.begin(start("r4")).await.unwrap();
    drop((second, third));
    audit.flushed().await;
    let names: Vec<String> = found(dir.path(), &Filter::default())
        .iter()
        .map(|request| request["request"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["r1", "r2", "r4"]);
    assert_eq!(checked(dir.path()).unwrap().open, 0);
}

#[tokio::test]
async fn a_trail_that_is_off_costs_nothing_and_says_nothing() {
    let audit = Audit::off();
    let entry = audit.begin(start("r1")).await.unwrap();
    entry.statement("SELECT 1").await.unwrap();
    entry.read(Read::default()).await.unwrap();
    drop(entry);
    audit.flushed().await;
}

#[test]
fn nothing_that_was_shown_is_in_a_record() {
    let _type_check: fn(&policies::Principal, &policies::Shown) -> Who = Who::new;
    assert_eq!(Trail::default().statements, Statements::Shape);
}
