//! API keys and users by the command line, and what taking one back does to an answer that is running.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use futures::TryStreamExt as _;
use tests::flight::refusal;
use tests::{Flight, Launch, Rest};

use super::{COUNT, House, WAIT, until};

const SETTINGS: [(&str, &str); 2] = [
    ("identity.keys", "FOLDER/keys.toml"),
    ("seal.pepper", "env:LAKEGATE_TEST_PEPPER"),
];

/// An answer of ten million rows, which nobody reads in an instant.
const MANY: &str = "SELECT a.id FROM lake.gold.events a, lake.gold.events b, lake.gold.events c, lake.gold.events d, \
                    lake.gold.events e, lake.gold.events f, lake.gold.events g";

async fn house() -> House {
    House::with("", &SETTINGS).await
}

impl House {
    async fn key(&self, words: &[&str]) -> String {
        let ended = self.run(&[&["keys", "create"], words].concat(), &SETTINGS).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        ended.stdout.trim().to_owned()
    }

    async fn key_works(&self, key: &str) -> Result<String, String> {
        let answer = Rest::with_token(&self.gateway.rest, key).query(COUNT).await;
        answer
            .map(|answer| answer.cell())
            .map_err(|refusal| refusal.to_string())
    }
}

/// The id in a key.
fn id(key: &str) -> &str {
    key.split('_').nth(1).expect("an id")
}

#[tokio::test]
async fn a_key_is_made_used_listed_and_taken_back_while_the_gateway_runs() {
    let house = house().await;
    let key = house.key(&["etl", "--role", "viewer", "--expires", "90d"]).await;
    assert!(key.starts_with("lg_") && key.len() == 66, "{key}");
    // The gateway has been running; it takes the file up by itself.
    until(|| house.key_works(&key), |answer| answer.as_deref() == Ok("10"))
        .await
        .expect("it works");
    let mut flight = Flight::with_token(&house.gateway.flight, &key)
        .await
        .expect("a connection");
    assert_eq!(flight.query(COUNT).await.expect("an answer").cell(), "10");
    let second = house.key(&["etl", "--role", "viewer"]).await;
    let third = house.run(&["keys", "create", "etl"], &SETTINGS).await;
    assert_eq!(third.code, Some(1));
    assert!(
        third.stderr.contains("has 2 live keys; revoke one first"),
        "{third:?}"
    );

    let file = house.lake.folder().join("keys.toml");
    let mode = fs::metadata(&file).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let written = fs::read_to_string(&file).expect("a file");
    let listed = house.run(&["keys", "list"], &SETTINGS).await.stdout;
    for text in [&written, &listed] {
        assert!(text.contains(id(&key)) && text.contains(id(&second)), "{text}");
        for key in [&key, &second] {
            assert!(!text.contains(key.split('_').nth(2).expect("a secret")), "{text}");
        }
    }
    assert!(listed.lines().all(|line| line.ends_with("\tlive")), "{listed}");

    let revoked = house.run(&["keys", "revoke", id(&key)], &SETTINGS).await;
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    let over = until(|| house.key_works(&key), |answer| answer.is_err()).await;
    assert!(over.expect_err("revoked").contains("(LG2001)"));
    let refused = flight
        .query(COUNT)
        .await
        .map(drop)
        .expect_err("the connection is no proof");
    assert!(refused.message.contains("(LG2001)"), "{refused:?}");
    assert_eq!(house.key_works(&second).await.as_deref(), Ok("10"));
    let again = house.run(&["keys", "revoke", id(&key)], &SETTINGS).await;
    assert_eq!(again.code, Some(1));
    let log = house.gateway.log();
    assert!(!log.contains(&key) && !log.contains(&second), "{log}");
}

#[tokio::test]
async fn a_revoked_key_ends_the_answer_that_is_running() {
    let house = house().await;
    let key = house.key(&["etl", "--role", "viewer"]).await;
    let other = house.key(&["bi", "--role", "viewer"]).await;
    until(|| house.key_works(&other), |answer| answer.as_deref() == Ok("10"))
        .await
        .expect("it works");
    let mut streams = Vec::new();
    for key in [&key, &other] {
        let mut flight = Flight::with_token(&house.gateway.flight, key)
            .await
            .expect("a connection");
        let stream = flight.begin(MANY).await.expect("a stream");
        streams.push(stream);
    }
    let ended = house.run(&["keys", "revoke", id(&key)], &SETTINGS).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    until(|| house.key_works(&key), |answer| answer.is_err())
        .await
        .expect_err("revoked");
    let (mut alive, mut dead) = (streams.pop().expect("a stream"), streams.pop().expect("a stream"));
    let deadline = Instant::now() + WAIT;
    let error = loop {
        assert!(Instant::now() < deadline, "it goes on");
        match dead.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended as if it were whole"),
            Err(error) => break refusal(error),
        }
    };
    assert!(error.message.contains("revoked (LG2001)"), "{error:?}");
    for _ in 0..20 {
        alive
            .try_next()
            .await
            .expect("the other goes on")
            .expect("a batch");
    }
}

#[tokio::test]
async fn a_key_is_for_what_its_scopes_say() {
    let house = house().await;
    let crawler = house
        .key(&["crawler", "--role", "viewer", "--scope", "metadata"])
        .await;
    let reader = house
        .key(&["reader", "--role", "viewer", "--scope", "select"])
        .await;
    let status = |key: String, path: &'static str| {
        let rest = Rest::with_token(&house.gateway.rest, &key);
        async move { rest.get(path).await.status().as_u16() }
    };
    let listing = "/v1/datasets";
    until(|| status(crawler.clone(), listing), |status| *status == 200).await;
    let refused = house.key_works(&crawler).await.expect_err("no statements");
    assert!(refused.contains("'select' (LG2013)"), "{refused}");
    assert_eq!(
        status(crawler.clone(), "/v1/datasets/lake.gold.events/preview").await,
        403
    );
    assert_eq!(house.key_works(&reader).await.as_deref(), Ok("10"));
    assert_eq!(status(reader.clone(), listing).await, 403);
    assert_eq!(
        status(reader.clone(), "/v1/datasets/lake.gold.events/preview").await,
        200
    );
    let mut flight = Flight::with_token(&house.gateway.flight, &crawler)
        .await
        .expect("a connection");
    flight.client().get_catalogs().await.expect("a plan");
    let refused = flight.query(COUNT).await.map(drop).expect_err("no statements");
    assert_eq!(refused.code, "PermissionDenied", "{refused:?}");
}

#[tokio::test]
async fn users_are_added_and_change_their_passwords_while_the_gateway_runs() {
    let house = house().await;
    let with_input = |words: &str, input: &str| {
        let config = house.config.to_str().expect("UTF-8").to_owned();
        let words: Vec<&str> = words.split(' ').collect();
        House::launch(house.config.as_path(), &words)
            .under_shell(&format!("printf '%s\\n' '{input}' | \"$0\" \"$@\""))
            .with_environment("UNUSED", &config)
    };
    let run = async |launch: Launch| launch.run().await.expect("an end");
    let added = run(with_input(
        "users add grace --role viewer --tenant acme",
        "a good password",
    ))
    .await;
    assert_eq!(added.code, Some(0), "{added:?}");
    let login = |password: &'static str| async {
        let client = Flight::connect(&house.gateway.flight, "grace", password).await;
        client.map_err(|refusal| refusal.to_string())
    };
    let mut client = until(|| login("a good password"), Result::is_ok)
        .await
        .expect("in");
    assert_eq!(client.query(COUNT).await.expect("an answer").cell(), "10");
    let twice = run(with_input("users add grace", "another password")).await;
    assert!(
        twice.code == Some(1) && twice.stderr.contains("there is a user 'grace'"),
        "{twice:?}"
    );
    let short = run(with_input("users passwd grace", "short")).await;
    assert!(
        short.code == Some(1) && short.stderr.contains("at least 8"),
        "{short:?}"
    );
    let nobody = run(with_input("users passwd nobody", "a long password")).await;
    assert_eq!(nobody.code, Some(1));

    let changed = run(with_input("users passwd grace", "a better password")).await;
    assert_eq!(changed.code, Some(0), "{changed:?}");
    until(|| login("a better password"), Result::is_ok)
        .await
        .expect("in");
    let old = client.query(COUNT).await.map(drop).expect_err("the old session");
    assert!(old.message.contains("(LG2001)"), "{old:?}");
    let listed = run(with_input("users list", "")).await;
    assert!(listed.stdout.contains("grace\tacme\tviewer\n"), "{listed:?}");
    let file = house.lake.folder().join("users.toml");
    let text = fs::read_to_string(&file).expect("a file");
    assert!(!text.contains("a better password") && !listed.stdout.contains("argon2"));
    let mode = fs::metadata(&file).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}
