//! The commands of `lakegate-ingest` that need no caller: a folder is loaded once however often, and rejects are sent again once.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::dock::run;

use super::kill::lake;

fn line(event: &str, kind: &str) -> String {
    format!(
        "{{\"event_id\":\"{event}\",\"ts\":\"2026-01-05T09:00:00Z\",\"user_id\":1,\"kind\":\"{kind}\"}}\n"
    )
}

#[test]
fn files_are_loaded_once_and_rejects_are_sent_again_once() {
    let folder = TempDir::with_prefix("lakegate-commands-").expect("a folder");
    let config = lake(folder.path());
    assert!(run(&config, &["check"]).contains("events: ok, 5 columns, 3 rules, 1 models"));
    assert!(
        !folder.path().join("catalog.sqlite").exists(),
        "check touches no lake"
    );
    let files = folder.path().join("files");
    fs::create_dir(&files).expect("a folder");
    let first = [("f-1", "view"), ("f-2", "wave"), ("f-3", "view"), ("f-4", "wave")];
    let first: String = first.iter().map(|(event, kind)| line(event, kind)).collect();
    fs::write(files.join("a.ndjson"), first).expect("a file");
    fs::write(
        files.join("b.csv"),
        "event_id,ts,user_id,kind,amount\nf-5,2026-01-05T09:00:00Z,3,buy,2.5\n",
    )
    .expect("a file");
    let files = files.to_str().expect("a UTF-8 path");
    assert_eq!(
        run(&config, &["backfill", "events", files]),
        "events: 5 records loaded, 0 had been\n"
    );
    assert_eq!(
        run(&config, &["backfill", "events", files]),
        "events: 0 records loaded, 5 had been\n"
    );
    let passed = run(&config, &["run"]);
    assert_eq!(
        passed,
        "events: 5 records, 3 published, 2 rejected, 0 duplicate, 1 models\n"
    );

    let pipeline = folder.path().join("pipelines/events.toml");
    let text = fs::read_to_string(&pipeline).expect("a pipeline");
    fs::write(&pipeline, text.replace("\"buy\"]", "\"buy\", \"wave\"]")).expect("a pipeline");
    let replay = || run(&config, &["replay", "events", "--rule", "kind_known"]);
    assert_eq!(replay(), "events: 2 records sent again, 0 had been\n");
    let passed = run(&config, &["run"]);
    assert_eq!(
        passed,
        "events: 2 records, 2 published, 0 rejected, 0 duplicate, 1 models\n"
    );

    // Rejects of a later day bring nothing back of what was sent again before, whatever is still remembered of it.
    fs::remove_dir_all(folder.path().join("ingest-state")).expect("an index to lose");
    fs::write(format!("{files}/c.ndjson"), line("f-6", "shout")).expect("a file");
    run(&config, &["backfill", "events", files]);
    run(&config, &["run"]);
    assert_eq!(replay(), "events: 1 records sent again, 2 had been\n");
    run(&config, &["run"]);
    let status: Value = serde_json::from_str(run(&config, &["status", "--json"]).trim()).expect("JSON");
    let counts = ["received", "published", "rejected", "duplicate", "pending"].map(|key| &status[key]);
    assert_eq!(
        counts,
        [&json!(9), &json!(5), &json!(4), &json!(0), &json!(0)],
        "{status}"
    );
}
