//! SIGHUP: users and policies read again without a restart, and nothing lost when a new one is bad.

use std::fs;

use ingest::Zone;
use tests::lake::{USERS, key, users};
use tests::{Flight, Gateway, Lake};

const COUNT: &str = "SELECT count(*) FROM lake.gold.events";

async fn lake_of_ten() -> Lake {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..10).await.expect("rows");
    lake
}

/// A gateway that reads its documents at the signal alone, so that a test can count: it looks at none sooner than a test ends.
fn gateway(lake: &Lake) -> Gateway {
    let quiet = [
        ("identity.reread", "1h"),
        ("policies.poll", "60s"),
        ("policies.staleness_max", "10m"),
    ];
    lake.gateway_with(&[&key(1)], &quiet).expect("a gateway")
}

async fn count(gateway: &Gateway, document: &str, outcome: &str) -> f64 {
    let name = reloads(document, outcome);
    gateway.metric(&name).await.expect("a counter")
}

fn reloads(document: &str, outcome: &str) -> String {
    format!("lakegate_reloads_total{{document=\"{document}\",outcome=\"{outcome}\"}}")
}

/// Sends the signal and waits until each document has been read once more, with the outcome named.
async fn reload(gateway: &Gateway, users: &str, policies: &str) {
    let mut awaited = Vec::new();
    for (document, outcome) in [("users", users), ("policies", policies)] {
        let wanted = count(gateway, document, outcome).await + 1.0;
        awaited.push((reloads(document, outcome), wanted));
    }
    gateway.signal("HUP").await;
    for (name, wanted) in awaited {
        gateway.await_metric(&name, wanted).await;
    }
}

#[tokio::test]
async fn a_new_user_comes_in_and_a_removed_one_is_out_with_all_that_he_holds() {
    let lake = lake_of_ten().await;
    let gateway = gateway(&lake);
    for document in ["users", "policies"] {
        for outcome in ["ok", "failed"] {
            assert_eq!(count(&gateway, document, outcome).await, 0.0);
        }
    }
    let mut viewer = gateway.flight("viewer").await.expect("a connection");
    let info = viewer.plan(COUNT).await.expect("a plan");
    let rest = gateway.rest("viewer");
    assert_eq!(rest.query(COUNT).await.expect("an answer").cell(), "10");
    let newcomer = ("viewer2", "a newcomer's password");
    assert!(
        Flight::connect(&gateway.flight, newcomer.0, newcomer.1)
            .await
            .is_err()
    );

    // The role of a user of the harness is his name; the newcomer gets the viewer's.
    let document = users(&[USERS[0], newcomer]).expect("a document");
    let document = document.replace("roles = [\"viewer2\"]", "roles = [\"viewer\"]");
    fs::write(lake.folder().join("users.toml"), document).expect("a file");
    reload(&gateway, "ok", "ok").await;

    let mut welcome = Flight::connect(&gateway.flight, newcomer.0, newcomer.1)
        .await
        .expect("a connection");
    assert_eq!(welcome.query(COUNT).await.expect("an answer").cell(), "10");
    let mut admin = gateway.flight("admin").await.expect("the others stay");
    assert_eq!(admin.query(COUNT).await.expect("an answer").cell(), "10");
    let login = gateway.flight("viewer").await.map(drop).expect_err("removed");
    let token = viewer.query(COUNT).await.map(drop).expect_err("his token");
    let ticket = viewer.fetch(info).await.map(drop).expect_err("his ticket");
    for refusal in [login, token, ticket] {
        assert!(refusal.message.contains("(LG2001)"), "{refusal:?}");
    }
    assert_eq!(
        rest.query(COUNT).await.map(drop).expect_err("removed").code,
        "401"
    );
}

#[tokio::test]
async fn a_new_allow_list_counts_from_the_next_statement_on() {
    let lake = lake_of_ten().await;
    lake.append(Zone::Silver, "cleaned", 0..3).await.expect("rows");
    let gateway = gateway(&lake);
    let mut viewer = gateway.flight("viewer").await.expect("a connection");
    let info = viewer.plan(COUNT).await.expect("a plan");
    let file = lake.folder().join("policies.toml");
    let document = fs::read_to_string(&file).expect("the document");
    let changed = document.replace("\"lake.gold.*\"", "\"lake.silver.*\"");
    fs::write(&file, changed).expect("a file");
    reload(&gateway, "ok", "ok").await;
    let seen = viewer.query("SELECT count(*) FROM lake.silver.cleaned").await;
    assert_eq!(seen.expect("an answer").cell(), "3");
    let absent = viewer.query("SELECT count(*) FROM lake.gold.nothing").await;
    let denied = viewer.query(COUNT).await.map(drop).expect_err("taken away");
    assert_eq!(denied.code, absent.map(drop).expect_err("absent").code);
    viewer
        .fetch(info)
        .await
        .map(drop)
        .expect_err("a ticket is no authority");
}

#[tokio::test]
async fn a_bad_document_leaves_the_old_one_in_force_and_is_told() {
    let lake = lake_of_ten().await;
    let gateway = gateway(&lake);
    let mut viewer = gateway.flight("viewer").await.expect("a connection");
    let (people, rules) = (
        lake.folder().join("users.toml"),
        lake.folder().join("policies.toml"),
    );
    let good = fs::read_to_string(&people).expect("the document");

    fs::write(&people, format!("{good}[[user]]\nnam = \"x\"\n")).expect("a file");
    reload(&gateway, "failed", "ok").await;
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("ERROR")).expect("an error");
    assert!(
        line.contains("users.toml, line ") && line.contains("unknown field `nam`"),
        "{line}"
    );
    assert_eq!(viewer.query(COUNT).await.expect("an answer").cell(), "10");
    gateway.flight("viewer").await.expect("the old users");

    fs::remove_file(&people).expect("the file");
    fs::write(
        &rules,
        "[[allow]]\nname = \"a\"\nroles = []\ntables = [\"lake.gold.*\"]\n",
    )
    .expect("a file");
    reload(&gateway, "failed", "failed").await;
    let log = gateway.log();
    assert!(log.contains("users.toml cannot be read"), "{log}");
    assert!(log.contains("policies.toml: rule `a` has no roles"), "{log}");
    assert_eq!(viewer.query(COUNT).await.expect("an answer").cell(), "10");

    fs::write(&people, good).expect("a file");
    fs::write(&rules, "").expect("a file");
    reload(&gateway, "ok", "ok").await;
    viewer
        .query(COUNT)
        .await
        .map(drop)
        .expect_err("the empty document allows nothing");
    assert_eq!(viewer.query("SELECT 1").await.expect("an answer").cell(), "1");
}
