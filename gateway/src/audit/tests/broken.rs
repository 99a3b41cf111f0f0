//! Trails that were changed, cut off or left half written.

use std::fs;
use std::path::Path;

use super::{begun, checked, config, copied, files, found, key, some_requests, start};
use crate::audit::{Audit, Filter, verify};
use std::time::Duration;

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
    assert!(other.problem.contains("not signed with this key"), "{other}");
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
    let headless = checked(dir.path()).unwrap_err();
    assert!(headless.problem.contains("there is no head"), "{headless}");
}

#[tokio::test]
async fn a_start_whose_process_died_is_closed_as_lost_and_a_torn_line_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&config(dir.path()), key(1)).unwrap();
    some_requests(&audit, &["r1"]).await;
    let open = begun(&audit, start("dead")).await.unwrap();
    audit.flushed(Duration::from_secs(30)).await;
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
    assert_eq!(checked(copy.path()).unwrap().open.len(), 0);
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

/// Whoever can write the files cuts the last lines off and waits for the next start to sign what is left.
#[tokio::test]
async fn a_start_does_not_sign_a_trail_whose_end_was_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&config(dir.path()), key(1)).unwrap();
    some_requests(&audit, &["r1", "r2"]).await;
    drop(audit);
    let refused = |folder: &Path| {
        let opened = Audit::open(&config(folder), key(1));
        opened.map(drop).unwrap_err().to_string()
    };
    let whole = fs::read_to_string(&files(dir.path())[0]).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    for kept in 0..lines.len() {
        let copy = copied(dir.path());
        fs::write(&files(copy.path())[0], lines[..kept].concat()).unwrap();
        let said = refused(copy.path());
        assert!(said.contains("were signed and are not there"), "{kept}: {said}");
    }
    let copy = copied(dir.path());
    fs::remove_file(&files(copy.path())[0]).unwrap();
    assert!(refused(copy.path()).contains("are not there"));
    let copy = copied(dir.path());
    fs::remove_file(copy.path().join("head")).unwrap();
    assert!(refused(copy.path()).contains("there is no head"));
    let copy = copied(dir.path());
    let other = Audit::open(&config(copy.path()), key(2));
    let other = other.map(drop).unwrap_err().to_string();
    assert!(other.contains("not signed with this key"), "{other}");
}

/// A death between making a file and writing its first line leaves an empty one.
#[tokio::test]
async fn an_empty_file_of_a_dead_process_is_no_break() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&config(dir.path()), key(1)).unwrap();
    some_requests(&audit, &["r1"]).await;
    drop(audit);
    let last = checked(dir.path()).unwrap().last;
    fs::write(crate::audit::folder::path(dir.path(), last + 1), "{\"seq").unwrap();
    let again = Audit::open(&config(dir.path()), key(1)).unwrap();
    some_requests(&again, &["r2"]).await;
    drop(again);
    assert_eq!(files(dir.path()).len(), 1);
    assert!(checked(dir.path()).unwrap().last > last);
    assert_eq!(found(dir.path(), &Filter::default()).len(), 2);
}
