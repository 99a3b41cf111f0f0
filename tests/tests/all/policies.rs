//! Where policies come from: a table for a fleet, a key for masks that hash, and the command line that looks after them.

use std::fs;
use std::path::PathBuf;

use ingest::Zone;
use tests::gateway::{Ended, free_address};
use tests::lake::key;
use tests::{Gateway, Lake, Launch, Postgres};

const ROWS: &str = "SELECT id, name FROM lake.gold.events ORDER BY id";

/// Everything for admins; the condition for viewers.
fn document(condition: &str) -> String {
    format!(
        r#"
[[allow]]
name = "all"
roles = ["admin", "viewer"]
tables = ["*.*.*"]

[[filter]]
name = "some"
roles = ["viewer"]
on = ["lake.gold.events"]
where = "{condition}"

[[filter]]
name = "every"
roles = ["admin"]
on = ["lake.gold.events"]
where = "TRUE"
"#
    )
}

async fn lake_of_ten() -> Lake {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..10).await.expect("rows");
    lake
}

/// The gateway's config and a published table, as somebody who may write it sees them.
struct Fleet {
    lake: Lake,
    postgres: Postgres,
    config: PathBuf,
}

impl Fleet {
    async fn start() -> Self {
        let lake = lake_of_ten().await;
        let postgres = Postgres::start().expect("a Postgres");
        let admin = free_address().expect("an address");
        let more = format!("[fleet.policies]\nurl = \"{}\"\n", postgres.url);
        let config = lake.config(&admin, 1, &more).expect("a config");
        Self {
            lake,
            postgres,
            config,
        }
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        let mut line: Vec<String> = vec!["policies".to_owned()];
        line.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        line.extend(["--config".to_owned(), self.config.display().to_string()]);
        let launch = Launch::new(line).with_environment("LAKEGATE_TEST_KEY_0", &key(1));
        launch.run().await.expect("a run")
    }

    /// Publishes a document, with more arguments.
    async fn publish(&self, document: &str, arguments: &[&str]) -> Ended {
        let file = self.lake.folder().join("published.toml");
        fs::write(&file, document).expect("a file");
        let file = file.display().to_string();
        let mut line = vec!["publish", &file];
        line.extend(arguments);
        self.run(&line).await
    }

    /// A gateway whose role may read the table and nothing more.
    fn gateway(&self) -> Gateway {
        let url = self.postgres.url.replace("owner@", "gateway@");
        let settings = [
            ("fleet.policies.url", url.as_str()),
            ("policies.poll", "100ms"),
            ("policies.staleness_max", "1s"),
        ];
        self.lake.gateway_with(&[&key(1)], &settings).expect("a gateway")
    }
}

async fn count(gateway: &Gateway, user: &str) -> Result<usize, tests::Refusal> {
    Ok(gateway.rest(user).query(ROWS).await?.len())
}

/// Asks until the viewer sees so many rows.
async fn until(gateway: &Gateway, rows: usize) {
    while count(gateway, "viewer").await.ok() != Some(rows) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_published_is_in_force_on_every_gateway_of_a_fleet() {
    let fleet = Fleet::start().await;
    let published = fleet.publish(&document("id < 3"), &["--note", "the first"]).await;
    assert_eq!(published.code, Some(0), "{published:?}");
    assert!(
        published.stdout.contains("ok   version 1, epoch "),
        "{published:?}"
    );
    let roles = "CREATE ROLE gateway LOGIN; GRANT SELECT ON lakegate_policies TO gateway";
    fleet.postgres.run(roles, "").expect("a role");
    let (first, second) = (fleet.gateway(), fleet.gateway());
    for gateway in [&first, &second] {
        assert_eq!(count(gateway, "viewer").await.expect("rows"), 3);
        assert_eq!(count(gateway, "admin").await.expect("rows"), 10);
    }

    // The next one, with its difference told, to both of them and without a signal.
    let published = fleet.publish(&document("id < 7"), &["--replaces", "1"]).await;
    assert_eq!(published.code, Some(0), "{published:?}");
    let told = "changed   viewer  lake.gold.events  rows where (\"id\" < 3) became rows where (\"id\" < 7)";
    assert!(published.stdout.contains(told), "{published:?}");
    until(&first, 7).await;
    until(&second, 7).await;

    // What is overtaken, what is none and what is tried only is not published.
    let overtaken = fleet.publish(&document("id < 9"), &["--replaces", "1"]).await;
    assert_eq!(overtaken.code, Some(1));
    assert!(
        overtaken.stderr.contains("the newest version is 2"),
        "{overtaken:?}"
    );
    assert_eq!(fleet.publish("[[allow]]\nnam = 1\n", &[]).await.code, Some(1));
    let tried = fleet.publish(&document("id < 9"), &["--dry-run"]).await;
    assert_eq!(tried.code, Some(0));
    assert!(tried.stdout.contains("it would be version 3"), "{tried:?}");
    let again = fleet.publish(&document("id < 7"), &[]).await;
    assert!(
        again.stdout.contains("version 2 is this document already"),
        "{again:?}"
    );
    let history = fleet.run(&["history"]).await;
    let versions: Vec<&str> = history
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(versions, ["2", "1"], "{history:?}");
    assert!(history.stdout.contains("the first"), "{history:?}");
    assert!(fleet.run(&["show", "1"]).await.stdout.contains("id < 3"));
    assert!(fleet.run(&["show"]).await.stdout.contains("id < 7"));
}

#[tokio::test]
async fn a_fleet_that_cannot_ask_refuses_and_a_bad_version_leaves_the_last_good_one() {
    let fleet = Fleet::start().await;
    let unpublished = fleet.lake.launch(
        "check",
        "127.0.0.1:1",
        &[&key(1)],
        &[("fleet.policies.url", &fleet.postgres.url)],
    );
    let unpublished = unpublished.expect("a launch").run().await.expect("a run");
    assert_eq!(unpublished.code, Some(1));
    assert!(
        unpublished.stdout.contains("FAIL fleet.policies"),
        "{unpublished:?}"
    );

    fleet.publish(&document("id < 3"), &[]).await;
    let roles = "CREATE ROLE gateway LOGIN; GRANT SELECT ON lakegate_policies TO gateway";
    fleet.postgres.run(roles, "").expect("a role");
    let gateway = fleet.gateway();
    assert_eq!(count(&gateway, "viewer").await.expect("rows"), 3);

    // Somebody writes by hand what is no document: it is told, and the last good one stays.
    let failed = "lakegate_reloads_total{document=\"policies\",outcome=\"failed\"}";
    let bad = "INSERT INTO lakegate_policies (version, document) VALUES (2, 'no toml')";
    fleet.postgres.run(bad, "").expect("a row");
    gateway.await_metric(failed, 1.0).await;
    assert_eq!(count(&gateway, "viewer").await.expect("rows"), 3);
    assert_eq!(fleet.publish(&document("id < 5"), &[]).await.code, Some(0));
    until(&gateway, 5).await;

    // Without an answer for longer than it may be: no table, and the probe says why.
    let hide = "ALTER TABLE lakegate_policies RENAME TO hidden";
    fleet.postgres.run(hide, "").expect("a name");
    let refusal = loop {
        match count(&gateway, "viewer").await {
            Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal.code, "503", "{refusal:?}");
    assert!(count(&gateway, "admin").await.is_err());
    let ready = reqwest::get(format!("{}/readyz", gateway.admin))
        .await
        .expect("an answer");
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.expect("a text").contains("FAIL policies"));
    fleet
        .postgres
        .run("ALTER TABLE hidden RENAME TO lakegate_policies", "")
        .expect("a name");
    until(&gateway, 5).await;

    // A database restored from yesterday is not believed.
    fleet
        .postgres
        .run("DELETE FROM lakegate_policies WHERE version > 1", "")
        .expect("fewer");
    while count(&gateway, "viewer").await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(gateway.log().contains("was it restored?"), "{}", gateway.log());
}

#[tokio::test]
async fn a_mask_that_hashes_has_the_key_of_the_config() {
    let lake = lake_of_ten().await;
    let folder = lake.folder();
    let hashing = format!(
        "{}\n[[mask]]\nname = \"names\"\nroles = [\"viewer\"]\non = [\"lake.gold.events.name\"]\nkind = \"hash\"\n",
        document("TRUE")
    );
    lake.set_policies(&hashing).expect("a document");
    let without = lake
        .launch("check", "127.0.0.1:1", &[&key(1)], &[])
        .expect("a launch");
    let without = without.run().await.expect("a run");
    assert!(
        without.stdout.contains("the config has no `policies.mask_key`"),
        "{without:?}"
    );
    let mut seen = Vec::new();
    for (name, byte) in [("one", 7), ("one", 7), ("two", 8)] {
        let file = folder.join(format!("mask-{name}.key"));
        fs::write(&file, key(byte)).expect("a key");
        let file = file.display().to_string();
        let gateway = lake
            .gateway_with(&[&key(1)], &[("policies.mask_key", &file)])
            .expect("a gateway");
        let rows = gateway.rest("viewer").query(ROWS).await.expect("rows").rows();
        assert!(
            rows.iter()
                .all(|row| row[1].len() == 64 && !row[1].contains("row")),
            "{rows:?}"
        );
        seen.push(rows);
    }
    assert_eq!(seen[0], seen[1], "one key, one hash");
    assert_ne!(seen[1], seen[2], "another key, another hash");
}

#[tokio::test]
async fn a_document_is_laid_over_the_tables_before_it_is_in_force() {
    let lake = lake_of_ten().await;
    let file = lake.folder().join("draft.toml");
    let check = async |document: &str, more: &[&str]| {
        fs::write(&file, document).expect("a file");
        let config = lake.config("127.0.0.1:1", 1, "").expect("a config");
        let mut line: Vec<String> = ["policies", "check"].map(str::to_owned).into();
        line.push(file.display().to_string());
        line.extend(["--config".to_owned(), config.display().to_string()]);
        line.extend(more.iter().map(|argument| (*argument).to_owned()));
        let launch = Launch::new(line).with_environment("LAKEGATE_TEST_KEY_0", &key(1));
        launch.run().await.expect("a run")
    };
    let good = check(&document("id < 3"), &[]).await;
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.stdout.contains("ok   1 tables looked at"), "{good:?}");
    for (condition, told) in [
        (
            "ids < 3",
            "lake.gold.events: is closed for 'viewer': there is no column `ids`",
        ),
        ("id < 'three'", "is closed for 'viewer': "),
        ("name LIKE 'row%' AND id", "is closed for 'viewer': "),
    ] {
        let bad = check(&document(condition), &[]).await;
        assert_eq!(bad.code, Some(1), "{condition}: {bad:?}");
        assert!(bad.stdout.contains(told), "{condition}: {bad:?}");
    }
    let lost = document("TRUE").replace("lake.gold.events", "lake.gold.event");
    let lost_told = "warn rule 'some': there is no table lake.gold.event now";
    let told = check(&lost, &[]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stdout.contains(lost_told), "{told:?}");
    assert_eq!(check(&lost, &["--strict"]).await.code, Some(1));
    let blind = document("name = 'a' AND name = 'b'");
    let told = check(&blind, &[]).await;
    assert!(
        told.stdout
            .contains("warn filter 'some': its condition is never true"),
        "{told:?}"
    );
}
