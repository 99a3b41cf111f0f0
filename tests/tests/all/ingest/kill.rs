//! Kills of the real service at named points of the protocol, with a client that retries by its key. The judge is the lake: every record that
//! was acknowledged is there, and none is there twice.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ingest::fault::points_of;
use tempfile::TempDir;
use tests::Dock;
use tests::dock::{column, run};

/// Kills in one run of the tests.
const KILLS: usize = 20;
/// Uploads between two kills.
const UPLOADS: usize = 3;
/// How long the way to a point may take, on a loaded machine.
const MEETING: Duration = Duration::from_secs(60);
/// Records of an upload; one of them is bad.
const RECORDS: usize = 10;

fn body(upload: usize) -> String {
    let mut lines = String::new();
    for record in 0..RECORDS {
        let kind = if record == 7 { "wave" } else { "view" };
        lines += &format!(
            "{{\"event_id\":\"u{upload}-{record}\",\"ts\":\"2026-01-0{}T09:00:00Z\",\"user_id\":{upload},\"kind\":\"{kind}\"}}\n",
            1 + upload % 9
        );
    }
    lines
}

/// Posts one upload until it is acknowledged; a service that died on the way is started again without a point.
async fn post(service: &mut Option<Dock>, config: &Path, upload: usize) {
    let client = reqwest::Client::new();
    loop {
        if service.as_mut().is_none_or(Dock::died) {
            *service = Dock::start(config, None);
        }
        let Some(running) = service.as_ref() else { continue };
        let sent = client
            .post(format!("{}/v1/ingest/events", running.url))
            .basic_auth("writer", Some(PASSWORD))
            .header("Idempotency-Key", format!("upload-{upload}"))
            .header("Content-Type", "application/x-ndjson")
            .timeout(Duration::from_secs(60))
            .body(body(upload))
            .send()
            .await;
        match sent {
            Ok(response) if response.status().is_success() => return,
            Ok(response) => assert_eq!(
                response.status().as_u16(),
                503,
                "only a lost commit may be refused"
            ),
            Err(_) => {}
        }
    }
}

const PASSWORD: &str = "a password of the tests";

pub(super) fn lake(folder: &Path) -> PathBuf {
    fs::create_dir(folder.join("pipelines")).expect("a folder");
    let pipeline = include_str!("../../../../deploy/pipelines/events.toml")
        .replace("interval = \"2s\"", "interval = \"100ms\"");
    fs::write(folder.join("pipelines/events.toml"), pipeline).expect("a pipeline");
    let hash = policies::hash_password(&policies::Secret::new(PASSWORD)).expect("a hash");
    fs::write(
        folder.join("users.toml"),
        format!("[[user]]\nname = \"writer\"\npassword_hash = \"{hash}\"\nroles = [\"writer\"]\n"),
    )
    .expect("users");
    let config = folder.join("ingest.toml");
    fs::write(
        &config,
        "[listen]\nhttp = \"127.0.0.1:0\"\n[writers]\nroles = [\"writer\"]\n",
    )
    .expect("a config");
    config
}

#[tokio::test]
async fn no_kill_loses_a_record_or_doubles_one() {
    let folder = TempDir::with_prefix("lakegate-kill-").expect("a folder");
    let config = lake(folder.path());
    assert!(run(&config, &["plan"]).contains("+ bronze.events"));
    let points: Vec<&str> = points_of("upload").collect();
    let (mut upload, mut met) = (0, BTreeSet::new());
    for kill in 0..KILLS {
        let point = points[kill % points.len()];
        // A point on the way may be met before the service says that it is ready: what waited from the last time is taken up at once.
        let mut service = Dock::start(&config, Some(point));
        for _ in 0..UPLOADS {
            post(&mut service, &config, upload).await;
            upload += 1;
        }
        // One that is armed still has not come to its point: it does, as records are on their way.
        let deadline = Instant::now() + MEETING;
        while let Some(running) = service.as_mut().filter(|running| running.armed)
            && !running.died()
        {
            assert!(Instant::now() < deadline, "{point} is not met");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        met.insert(point);
    }
    assert_eq!(met.len(), points.len());
    run(&config, &["run"]);
    let status: serde_json::Value =
        serde_json::from_str(run(&config, &["status", "--json"]).trim()).expect("JSON");
    let records = (upload * RECORDS) as u64;
    assert_eq!(status["received"], records, "{status}");
    assert_eq!(status["published"], (upload * (RECORDS - 1)) as u64, "{status}");
    assert_eq!(status["rejected"], upload as u64, "{status}");
    assert_eq!(
        (&status["duplicate"], &status["pending"]),
        (&0.into(), &0.into()),
        "{status}"
    );
    judged_by_the_gateway(folder.path(), upload).await;
}

/// What the tables themselves hold, read by the gateway's own reader.
async fn judged_by_the_gateway(folder: &Path, uploads: usize) {
    let rows = async |schema: &str, name: &str, of: &str| column(folder, schema, name, of).await;
    let bronze = rows("bronze", "events", "payload").await;
    let distinct: BTreeSet<&String> = bronze.iter().collect();
    assert_eq!(
        (bronze.len(), distinct.len()),
        (uploads * RECORDS, uploads * RECORDS)
    );
    let silver = rows("silver", "events", "event_id").await;
    let distinct: BTreeSet<&String> = silver.iter().collect();
    assert_eq!(
        (silver.len(), distinct.len()),
        (uploads * (RECORDS - 1), uploads * (RECORDS - 1))
    );
    assert_eq!(rows("system", "rejects", "payload").await.len(), uploads);
    let counted: u64 = rows("gold", "events_by_kind", "events")
        .await
        .iter()
        .map(|text| text.parse::<u64>().expect("a number"))
        .sum();
    assert_eq!(counted, (uploads * (RECORDS - 1)) as u64);
}
