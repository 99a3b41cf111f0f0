//! The audit trail over the wire: what is in it, what is not, and what a death or a full disk does to it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use futures::TryStreamExt as _;
use ingest::Zone;
use serde_json::Value;
use tests::gateway::free_address;
use tests::lake::{USERS, key};
use tests::{Ended, Flight, Gateway, Lake, Launch, Rest};

const COUNT: &str = "SELECT count(*) FROM lake.gold.events";

/// An answer of ten million rows, which nobody reads in an instant.
const MANY: &str = "SELECT a.id FROM lake.gold.events a, lake.gold.events b, lake.gold.events c, lake.gold.events d, \
                    lake.gold.events e, lake.gold.events f, lake.gold.events g";

struct House {
    lake: Lake,
    config: PathBuf,
    admin: String,
    settings: Vec<(String, String)>,
}

impl House {
    async fn with(settings: &[(&str, &str)]) -> Self {
        let lake = Lake::create().await.expect("a lake");
        lake.append(Zone::Gold, "events", 0..10).await.expect("rows");
        let admin = free_address().expect("an address");
        let folder = lake.folder().join("audit");
        let more = format!(
            "[audit]\nfolder = \"{}\"\nkey = \"env:LAKEGATE_TEST_AUDIT\"\n",
            folder.display()
        );
        let config = lake.config(&admin, 1, &more).expect("a config");
        Self {
            lake,
            config,
            admin,
            settings: settings
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn folder(&self) -> PathBuf {
        self.lake.folder().join("audit")
    }

    fn launch(&self, words: &[&str]) -> Launch {
        let config = self.config.to_str().expect("UTF-8");
        let mut launch = Launch::new(words.iter().copied().chain(["--config", config]))
            .with_environment("LAKEGATE_TEST_KEY_0", &key(1))
            .with_environment("LAKEGATE_TEST_AUDIT", &key(7));
        for (key, value) in &self.settings {
            launch = launch.with_setting(key, value);
        }
        launch
    }

    fn gateway(&self) -> Gateway {
        self.started(self.launch(&["serve"]))
    }

    fn started(&self, launch: Launch) -> Gateway {
        Gateway::start(&launch, &self.admin)
            .expect("a gateway")
            .with_users(USERS)
    }

    async fn run(&self, words: &[&str]) -> Ended {
        self.launch(words).run().await.expect("an end")
    }

    async fn search(&self, words: &[&str]) -> Vec<Value> {
        let ended = self.run(&[&["audit", "search"], words].concat()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let parse = |line: &str| serde_json::from_str(line).expect("JSON");
        ended.stdout.lines().map(parse).collect()
    }

    /// Searches until there are as many requests as wanted.
    async fn await_requests(&self, words: &[&str], wanted: usize) -> Vec<Value> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let found = self.search(words).await;
            if found.len() == wanted {
                return found;
            }
            assert!(std::time::Instant::now() < deadline, "{words:?}: {found:#?}");
        }
    }

    async fn verified(&self) -> String {
        let ended = self.run(&["audit", "verify"]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }

    /// All that is in the folder.
    fn text(&self) -> String {
        let entries = fs::read_dir(self.folder()).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths
            .map(|path| fs::read_to_string(path).expect("text"))
            .collect()
    }
}

#[tokio::test]
async fn every_request_is_in_the_trail_with_what_it_read_and_how_it_ended() {
    let house = House::with(&[]).await;
    let gateway = house.gateway();
    let mut flight = gateway.flight("viewer").await.expect("a connection");
    flight
        .query("SELECT name FROM lake.gold.events WHERE id = 3")
        .await
        .expect("an answer");
    flight.client().get_catalogs().await.expect("a plan");
    gateway.rest("admin").query(COUNT).await.expect("an answer");
    let absent = gateway
        .rest("viewer")
        .query("SELECT * FROM lake.gold.nothing")
        .await;
    absent.map(drop).expect_err("an unknown table");
    let wrong = Rest::new(&gateway.rest, "viewer", "a wrong password")
        .query(COUNT)
        .await;
    wrong.map(drop).expect_err("a wrong password");
    let forged = Flight::with_token(&gateway.flight, "no.such.token")
        .await
        .expect("a connection")
        .query(COUNT)
        .await;
    forged.map(drop).expect_err("a forged token");
    // One that its caller leaves.
    let info = flight.plan(MANY).await.expect("a plan");
    let ticket = info
        .endpoint
        .into_iter()
        .next()
        .and_then(|endpoint| endpoint.ticket);
    let mut stream = flight.open(ticket.expect("a ticket")).await.expect("a stream");
    stream.try_next().await.expect("rows").expect("a batch");
    drop(stream);

    let left = house.await_requests(&["--outcome", "cancelled"], 1).await;
    assert_eq!(left[0]["method"], "DoGet");
    assert!(left[0]["rows"].as_u64().expect("a number") > 0);
    let refused = house.await_requests(&["--code", "LG2001"], 2).await;
    assert!(
        refused
            .iter()
            .all(|request| request["who"].is_null() && request["outcome"] == "failed")
    );
    assert!(refused.iter().all(|request| request["address"] == "127.0.0.1"));
    let unknown = house.await_requests(&["--code", "LG1005"], 1).await;
    assert_eq!(unknown[0]["who"]["subject"], "viewer");
    assert_eq!(unknown[0]["statement"], "SELECT * FROM lake.gold.nothing");
    let by_admin = house
        .await_requests(&["--subject", "admin", "--table", "lake.gold.events"], 1)
        .await;
    let one = &by_admin[0];
    assert_eq!(
        (&one["outcome"], &one["rows"], &one["protocol"]),
        (&"ok".into(), &1.into(), &"rest".into())
    );
    assert_eq!(one["method"], "POST /v1/sql");
    assert_eq!(one["who"]["shown"], "password");
    assert!(
        one["epoch"].as_str().is_some_and(|epoch| !epoch.is_empty()),
        "{one}"
    );
    assert!(!one["policies"].as_array().expect("a list").is_empty(), "{one}");
    assert!(one["micros"].as_u64().expect("a number") > 0);
    let read = house
        .await_requests(&["--column", "name", "--outcome", "ok"], 1)
        .await;
    assert_eq!(read[0]["who"]["shown"], "session");
    assert_eq!(
        read[0]["tables"]["lake.gold.events"],
        serde_json::json!(["id", "name"])
    );
    assert_eq!(
        read[0]["statement"],
        "SELECT name FROM lake.gold.events WHERE id = ?"
    );
    let methods: BTreeSet<String> = house
        .search(&[])
        .await
        .iter()
        .map(|request| request["method"].as_str().expect("a name").to_owned())
        .collect();
    for method in ["Handshake", "GetFlightInfo", "DoGet", "POST /v1/sql"] {
        assert!(methods.contains(method), "{methods:?}");
    }
    assert_eq!(house.search(&["--outcome", "open"]).await, [Value::Null; 0]);
    assert!(house.verified().await.contains("0 requests open"));
}

#[tokio::test]
async fn nothing_secret_is_in_the_trail_or_the_log() {
    let house = House::with(&[]).await;
    let gateway = house.gateway();
    let token = "canary-token-4711";
    let answer = Rest::with_token(&gateway.rest, token).query(COUNT).await;
    answer.map(drop).expect_err("no token of ours");
    let mut flight = gateway.flight("viewer").await.expect("a connection");
    let sql = format!(
        "SELECT 'canary-literal' /* Bearer canary-comment */, id FROM lake.gold.events -- lg_{token}"
    );
    flight.query(&sql).await.expect("an answer");
    house.await_requests(&["--table", "lake.gold.events"], 1).await;
    let texts = house.text() + &gateway.log();
    for canary in [
        token,
        "canary-literal",
        "canary-comment",
        gateway.password("viewer"),
        &key(1),
        &key(7),
    ] {
        assert!(!texts.contains(canary), "{canary} is in the trail or the log");
    }
}

#[tokio::test]
async fn a_killed_gateway_leaves_the_start_and_the_next_one_closes_it() {
    let house = House::with(&[]).await;
    let mut gateway = house.gateway();
    let mut flight = gateway.flight("viewer").await.expect("a connection");
    let info = flight.plan(MANY).await.expect("a plan");
    let ticket = info
        .endpoint
        .into_iter()
        .next()
        .and_then(|endpoint| endpoint.ticket);
    let mut stream = flight.open(ticket.expect("a ticket")).await.expect("a stream");
    stream.try_next().await.expect("rows").expect("a batch");
    gateway.signal("KILL").await;
    gateway.await_end().expect("an end");
    let open = house.search(&["--outcome", "open"]).await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0]["method"], "DoGet");
    assert!(
        open[0]["tables"]["lake.gold.events"].is_array(),
        "what it read was written before: {open:?}"
    );
    assert!(house.verified().await.contains("1 requests open"));

    let next = house.gateway();
    let lost = house.search(&["--outcome", "lost"]).await;
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0]["request"], open[0]["request"]);
    assert!(house.verified().await.contains("0 requests open"));
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
    let log = gateway.log();
    assert!(log.contains("the audit trail cannot be written"), "{log}");
    drop(gateway);
    let started = house.search(&["--subject", "viewer"]).await;
    let read = started
        .iter()
        .filter(|request| request["tables"].is_object())
        .count();
    assert!(read >= answered, "{read} of {answered} answers are in the trail");
    house.verified().await;
    // With room again, the trail goes on.
    let next = house.gateway();
    next.rest("viewer").query(COUNT).await.expect("an answer");
    assert!(house.verified().await.contains("0 requests open"));
}

/// A process that is not the gateway's can be told from the outside whether it lives.
#[tokio::test]
async fn an_orderly_stop_leaves_nothing_open() {
    let house = House::with(&[]).await;
    let mut gateway = house.gateway();
    gateway.rest("viewer").query(COUNT).await.expect("an answer");
    let status = Command::new("kill")
        .args(["-TERM", &gateway.process_id().to_string()])
        .status()
        .expect("kill");
    assert!(status.success());
    assert_eq!(gateway.await_end().expect("an end"), Some(0));
    assert!(house.text().contains("\"kind\":\"close\""));
    assert!(house.verified().await.contains("0 requests open"));
}
