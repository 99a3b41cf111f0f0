//! What is in the trail of a call, and what is not.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::lake::key;
use tests::{Flight, Rest};

use super::{COUNT, House, MANY};

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
    let stream = flight.begin(MANY).await.expect("a stream");
    drop(stream);
    unanswered(&house).await;
    counted(&house).await;
    read(&house).await;
    printed(&house).await;
    let records = gateway.metric("lakegate_audit{what=\"records\"}").await;
    assert!(records.expect("a gauge") > 10.0);
}

/// The calls that got no answer, or not all of it.
async fn unanswered(house: &House) {
    let left = house.await_requests(&["--outcome", "cancelled"], 1).await;
    assert_eq!(left[0]["method"], "DoGet");
    assert!(left[0]["rows"].as_u64().expect("a number") > 0);
    let refused = house.await_requests(&["--code", "LG2001"], 2).await;
    assert!(
        refused
            .iter()
            .all(|request| request["who"].is_null() && request["outcome"] == "failed")
    );
    // One gave a name and one a token, of which nothing is kept.
    let claims: Vec<&Value> = refused.iter().map(|request| &request["claims"]).collect();
    assert!(
        claims.contains(&&"viewer".into()) && claims.contains(&&Value::Null),
        "{claims:?}"
    );
    assert!(refused.iter().all(|request| request["address"] == "127.0.0.1"));
    let unknown = house.await_requests(&["--code", "LG1005"], 1).await;
    assert_eq!(unknown[0]["who"]["subject"], "viewer");
    assert_eq!(unknown[0]["statement"], "SELECT * FROM lake.gold.nothing");
}

/// The one of the admin over REST.
async fn counted(house: &House) {
    let by_admin = house
        .await_requests(&["--user", "admin", "--table", "lake.gold.events"], 1)
        .await;
    let one = &by_admin[0];
    assert_eq!(
        house
            .search(&["--user", "admin", "--table", "lake.gold"])
            .await
            .len(),
        1
    );
    assert_eq!(house.search(&["--table", "lake.gold.event"]).await.len(), 0);
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
    let read = &one["tables"][0];
    assert_eq!(read["rules"], serde_json::json!(["admins read everything"]));
    assert_eq!(
        read["columns"],
        serde_json::json!([]),
        "rows are counted and no value is looked at"
    );
    assert!(read["version"].is_string(), "{one}");
    assert!(one["micros"].as_u64().expect("a number") > 0);
}

/// The one of the viewer over Flight.
async fn read(house: &House) {
    let read = house
        .await_requests(&["--column", "name", "--outcome", "ok"], 2)
        .await;
    let read: Vec<&Value> = read
        .iter()
        .filter(|request| request["method"] == "DoGet")
        .collect();
    assert_eq!(read[0]["who"]["shown"], "session");
    assert_eq!(read[0]["tables"][0]["columns"], serde_json::json!(["id", "name"]));
    assert_eq!(
        read[0]["tables"][0]["rules"],
        serde_json::json!(["viewers read gold"])
    );
    assert_eq!((&read[0]["rows"], &read[0]["outcome"]), (&1.into(), &"ok".into()));
    assert!(read[0]["bytes"].as_u64().expect("a number") > 0);
    assert_eq!(
        read[0]["statement"],
        "SELECT name FROM lake.gold.events WHERE id = ?"
    );
}

/// What the commands print of all of them.
async fn printed(house: &House) {
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
    assert!(house.verified().await.contains("no request without an end"));
    let as_json = house.run(&["audit", "verify", "--json"]).await;
    let report: Value = serde_json::from_str(&as_json.stdout).expect("JSON");
    assert_eq!(
        (&report["ok"], &report["trail"]["first"]),
        (&true.into(), &1.into())
    );
    // For a person: one line each, with who, how it ended and what was read.
    let shown = house
        .run(&["audit", "search", "--user", "admin", "--since", "1h"])
        .await
        .stdout;
    assert_eq!(shown.lines().count(), 1, "{shown}");
    for part in [
        "admin",
        "POST /v1/sql",
        "ok",
        "1 rows",
        "lake.gold.events",
        "SELECT count(*)",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    assert_eq!(house.search(&["--until", "2020-01-01"]).await, [Value::Null; 0]);
    for wrong in [["--outcome", "good"], ["--since", "yesterday"]] {
        let ended = house.run(&[&["audit", "search"], &wrong[..]].concat()).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
}

#[tokio::test]
async fn what_a_metadata_call_or_a_preparation_asked_for_is_in_the_trail() {
    let house = House::with(&[]).await;
    let gateway = house.gateway();
    let mut flight = gateway.flight("viewer").await.expect("a connection");
    let info = flight.client().get_catalogs().await.expect("a plan");
    flight.fetch(info).await.expect("an answer");
    let mut prepared = flight
        .client()
        .prepare(
            "SELECT name FROM lake.gold.events WHERE id IN (SELECT max(id) FROM lake.gold.events)".to_owned(),
            None,
        )
        .await
        .expect("a handle");
    let info = prepared.execute().await.expect("a plan");
    flight.fetch(info).await.expect("an answer");
    prepared.close().await.expect("closed");
    flight.set("SET schema = 'gold'").await.expect("a setting");
    let listed = gateway.rest("viewer").get("/v1/datasets").await;
    assert!(listed.status().is_success());
    let all = house.await_requests(&["--request", "no such request"], 0).await;
    assert!(all.is_empty());
    let made = house.await_requests(&["--table", "lake.gold.events"], 3).await;
    let told: Vec<(&str, &Value)> = made
        .iter()
        .map(|request| {
            (
                request["method"].as_str().expect("a name"),
                &request["tables"][0]["columns"],
            )
        })
        .collect();
    let columns = serde_json::json!(["id", "name"]);
    assert_eq!(
        told,
        [
            ("DoAction", &columns),
            ("GetFlightInfo", &columns),
            ("DoGet", &columns)
        ]
    );
    assert_eq!(made[0]["command"], "CreatePreparedStatement");
    let all = house.search(&[]).await;
    let commands: BTreeSet<&str> = all
        .iter()
        .filter_map(|request| request["command"].as_str())
        .collect();
    for command in [
        "CommandGetCatalogs",
        "CreatePreparedStatement",
        "ClosePreparedStatement",
    ] {
        assert!(commands.contains(command), "{commands:?}");
    }
    let listing = all.iter().find(|request| request["method"] == "GET /v1/datasets");
    assert_eq!(listing.expect("the listing")["outcome"], "ok");
    let catalogs = all
        .iter()
        .find(|request| request["method"] == "DoGet" && request["command"] == "CommandGetCatalogs");
    assert_eq!(catalogs.expect("the catalogs")["rows"], 1);
}

/// What is counted is what the statement looks at, whatever a policy looks at beside it.
#[tokio::test]
async fn rules_that_filter_and_mask_are_named_and_their_columns_are_not_told() {
    let house = House::with(&[]).await;
    house
        .lake
        .set_policies(
            "[[allow]]\nname = \"viewers read gold\"\nroles = [\"viewer\"]\ntables = [\"lake.gold.*\"]\n\
             [[filter]]\nname = \"small numbers\"\nroles = [\"viewer\"]\non = [\"lake.gold.events\"]\nwhere = \"id < 5\"\n",
        )
        .expect("a document");
    let gateway = house.gateway();
    let mut flight = gateway.flight("viewer").await.expect("a connection");
    let answer = flight
        .query("SELECT name FROM lake.gold.events")
        .await
        .expect("an answer");
    assert_eq!(answer.len(), 5);
    let made = house
        .await_requests(&["--table", "lake.gold.events", "--outcome", "ok"], 2)
        .await;
    for request in made {
        let read = &request["tables"][0];
        assert_eq!(read["columns"], serde_json::json!(["name"]));
        assert_eq!(
            read["rules"],
            serde_json::json!(["viewers read gold", "small numbers"])
        );
        assert!(read["guard"].is_string());
    }
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
    house.await_requests(&["--table", "lake.gold.events"], 2).await;
    let texts = format!("{}{}", house.text(), gateway.log());
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
