//! What a death, a full disk and a forger do to the trail.

use std::fs;

use serde_json::Value;
use tests::dock::run;
use tests::{Gateway, Launch};

use super::{COUNT, House, MANY};

#[tokio::test]
async fn a_killed_gateway_leaves_the_start_and_the_next_one_closes_it() {
    let house = House::with(&[]).await;
    let mut gateway = house.gateway();
    let mut flight = gateway.flight("viewer").await.expect("a connection");
    let _running = flight.begin(MANY).await.expect("a stream");
    gateway.signal("KILL").await;
    gateway.await_end().expect("an end");
    let open = house.search(&["--outcome", "open"]).await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0]["method"], "DoGet");
    assert!(
        open[0]["tables"][0]["table"] == "lake.gold.events",
        "what it read was written before: {open:?}"
    );
    assert!(house.verified().await.contains("1 request without an end"));

    let next = house.gateway();
    let lost = house.search(&["--outcome", "lost"]).await;
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0]["request"], open[0]["request"]);
    assert!(house.verified().await.contains("no request without an end"));
    drop(next);
}

#[tokio::test]
async fn a_changed_line_is_found_by_verify_and_stops_the_next_start() {
    let house = House::with(&[]).await;
    let gateway = house.gateway();
    gateway.rest("viewer").query(COUNT).await.expect("an answer");
    house.await_requests(&["--outcome", "ok"], 1).await;
    let second = house
        .launch(&["serve"])
        .with_setting("listen.admin", "127.0.0.1:0")
        .run()
        .await
        .expect("an end");
    assert!(second.stderr.contains("another process writes it"), "{second:?}");
    drop(gateway);
    let public = {
        let said = house.verified().await;
        said.trim().rsplit(' ').next().expect("a key").to_owned()
    };
    let folder = house.folder();
    let file = fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .expect("a file");
    let good = fs::read_to_string(&file).expect("text");
    fs::write(&file, good.replacen("\"viewer\"", "\"admins\"", 1)).expect("a file");
    let ended = house.run(&["audit", "verify"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(".jsonl, line ") && ended.stderr.contains("was changed"),
        "{ended:?}"
    );
    // An auditor needs the folder and the public key alone.
    let folder = folder.to_str().expect("UTF-8");
    let auditor = Launch::new(["audit", "verify", "--folder", folder, "--public-key", &public]);
    assert_eq!(auditor.run().await.expect("an end").code, Some(1));
    let start = house.launch(&["serve"]).run().await.expect("an end");
    assert_eq!(start.code, Some(1));
    assert!(
        start.stderr.contains("audit.folder") && start.stderr.contains("was changed"),
        "{start:?}"
    );
    fs::write(&file, good).expect("a file");
    assert_eq!(auditor.run().await.expect("an end").code, Some(0));
    drop(house.gateway());
}

#[tokio::test]
async fn a_full_disk_refuses_calls_and_loses_no_record() {
    let house = House::with(&[("audit.wait_max", "300ms")]).await;
    // No file may grow beyond 64 KiB; the signal that tells so is ignored, so that writing fails as on a full disk.
    let launch = house
        .launch(&["serve"])
        .under_shell("trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"");
    let gateway = house.started(launch);
    let rest = gateway.rest("viewer");
    let mut answered = 0;
    let refusal = loop {
        match rest.query(COUNT).await {
            Ok(_) => answered += 1,
            Err(refusal) => break refusal,
        }
        assert!(answered < 1_000, "the disk is not full");
    };
    assert!(
        refusal.code == "503" && refusal.message.contains("(LG2016)"),
        "{refusal:?}"
    );
    assert!(answered > 10, "{answered}");
    let flight = gateway
        .flight("admin")
        .await
        .map(drop)
        .expect_err("no room for its start");
    assert!(
        flight.message.contains("currently unavailable") && flight.message.contains("(LG2016)"),
        "{flight:?}"
    );
    let ready = reqwest::get(format!("http://{}/readyz", house.admin))
        .await
        .expect("an answer");
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.expect("text").contains("FAIL audit"));
    let log = gateway.log();
    assert!(log.contains("the audit trail cannot be written"), "{log}");
    drop(gateway);
    let started = house.search(&["--user", "viewer"]).await;
    let read = started
        .iter()
        .filter(|request| request["tables"].is_array())
        .count();
    assert!(read >= answered, "{read} of {answered} answers are in the trail");
    house.verified().await;
    // With room again, the trail goes on.
    let next = house.gateway();
    next.rest("viewer").query(COUNT).await.expect("an answer");
    assert!(house.verified().await.contains("no request without an end"));
}

#[tokio::test]
async fn an_orderly_stop_leaves_nothing_open() {
    let house = House::with(&[]).await;
    let mut gateway = house.gateway();
    gateway.rest("viewer").query(COUNT).await.expect("an answer");
    gateway.signal("TERM").await;
    assert_eq!(gateway.await_end().expect("an end"), Some(0));
    assert!(house.text().contains("\"kind\":\"close\""));
    assert!(house.verified().await.contains("no request without an end"));
}

#[tokio::test]
async fn a_trail_whose_end_was_cut_off_is_told_and_not_gone_on_with() {
    let house = House::with(&[]).await;
    let gateway = house.gateway();
    gateway.rest("viewer").query(COUNT).await.expect("an answer");
    house.await_requests(&["--outcome", "ok"], 1).await;
    drop(gateway);
    let file = house.folder().join("audit-00000000000000000001.jsonl");
    let whole = fs::read_to_string(&file).expect("text");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    // Whoever did it would have the call not seen: its end is gone, and then all of it.
    for kept in [lines.len() - 1, 2] {
        fs::write(&file, lines[..kept].concat()).expect("a file");
        let ended = house.run(&["audit", "verify", "--json"]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(report["ok"], false);
        assert_eq!(report["broken"]["record"], kept + 1, "{report}");
        assert!(ended.stderr.contains("missing at the end"), "{ended:?}");
        let start = house.launch(&["serve"]).run().await.expect("an end");
        assert_eq!(start.code, Some(1));
        assert!(
            start.stderr.contains("were signed and are not there"),
            "{start:?}"
        );
    }
    fs::write(&file, whole).expect("a file");
    drop(house.gateway());
}

#[tokio::test]
async fn the_quickstart_keeps_a_trail_in_its_folder() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("q");
    let mut gateway = Gateway::quickstart_in(&folder, 0.01).expect("a gateway");
    let mut flight = gateway.flight("viewer").await.expect("a connection");
    flight
        .query("SELECT c_name FROM lake.gold.customer WHERE c_custkey = 1234")
        .await
        .expect("an answer");
    drop(flight);
    gateway.signal("TERM").await;
    assert_eq!(gateway.await_end().expect("an end"), Some(0));
    let config = folder.join("gateway.toml");
    let config = config.to_str().expect("UTF-8");
    let ended = Launch::new(["audit", "verify", "--config", config])
        .run()
        .await
        .expect("an end");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let found = Launch::new([
        "audit", "search", "--user", "viewer", "--column", "c_name", "--config", config,
    ])
    .run()
    .await
    .expect("an end");
    assert!(found.stdout.contains("WHERE c_custkey = ?"), "{found:?}");
    assert!(!found.stdout.contains("1234"), "{found:?}");

    // The trail as a table: the shipped pipeline takes each record once, and finds nothing wrong with any.
    let pipeline = include_str!("../../../../deploy/pipelines/audit.toml");
    fs::write(folder.join("pipelines/audit.toml"), pipeline).expect("a pipeline");
    let trail = folder.join("audit");
    let words = ["backfill", "audit", trail.to_str().expect("UTF-8")];
    let ingest = folder.join("ingest.toml");
    let last = ended
        .stdout
        .split(',')
        .next()
        .and_then(|said| said.rsplit(' ').next())
        .expect("a number");
    assert_eq!(
        run(&ingest, &words),
        format!("audit: {last} records loaded, 0 had been\n")
    );
    assert_eq!(
        run(&ingest, &words),
        format!("audit: 0 records loaded, {last} had been\n")
    );
    assert_eq!(
        run(&ingest, &["run", "--pipeline", "audit"]),
        format!("audit: {last} records, {last} published, 0 rejected, 0 duplicate, 0 models\n")
    );
}
