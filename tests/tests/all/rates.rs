//! Requests a minute: the headers, the refusals, and one bucket for a fleet.

use arrow_flight::HandshakeRequest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ingest::Zone;
use tests::flight::RpcStatus;
use tests::gateway::free_address;
use tests::lake::key;
use tests::{Flight, Gateway, Lake, Redis, Rest};

const COUNT: &str = "SELECT count(*) FROM lake.gold.events";

async fn lake_of_ten() -> Lake {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..10).await.expect("rows");
    lake
}

/// A gateway whose callers are in a tier of ten requests a minute.
fn gateway(lake: &Lake, more: &[(&str, &str)]) -> Gateway {
    let mut settings = vec![("rates.default", "free"), ("rates.tiers.free", "10")];
    settings.extend_from_slice(more);
    lake.gateway_with(&[&key(1)], &settings).expect("a gateway")
}

/// How many of `calls` are answered, and the headers of the last answer.
async fn answered(gateway: &Gateway, user: &str, calls: usize) -> (usize, Vec<String>) {
    let rest = Rest::new(&gateway.rest, user, gateway.password(user));
    let mut count = 0;
    let mut told = Vec::new();
    for _ in 0..calls {
        let response = rest.get("/v1/datasets").await;
        count += usize::from(response.status().is_success());
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.map_or_else(String::new, |value| value.to_str().expect("ASCII").to_owned())
        };
        told = [
            "ratelimit-limit",
            "ratelimit-remaining",
            "ratelimit-reset",
            "retry-after",
        ]
        .map(header)
        .to_vec();
    }
    (count, told)
}

#[tokio::test]
async fn a_caller_is_told_what_is_left_and_refused_beyond_it() {
    let lake = lake_of_ten().await;
    let gateway = gateway(&lake, &[]);
    let (count, told) = answered(&gateway, "viewer", 1).await;
    assert_eq!(
        (count, &told[0], &told[1], told[3].as_str()),
        (1, &"10".to_owned(), &"9".to_owned(), "")
    );
    let (_, told) = answered(&gateway, "viewer", 12).await;
    assert_eq!((&told[0], &told[1]), (&"10".to_owned(), &"0".to_owned()));
    let wait: u64 = told[3].parse().expect("a number");
    assert!((1..=6).contains(&wait), "{told:?}");
    let refused = gateway
        .rest("viewer")
        .query(COUNT)
        .await
        .map(drop)
        .expect_err("no room");
    assert!(
        refused.code == "429" && refused.message.contains("(LG2017)"),
        "{refused:?}"
    );
    // The other user's are his own, over the other door as well.
    let mut admin = gateway.flight("admin").await.expect("a connection");
    let mut calls = 0;
    let refused = loop {
        match admin.query(COUNT).await {
            Ok(_) => calls += 1,
            Err(refused) => break refused,
        }
        assert!(calls < 10, "no bound");
    };
    assert_eq!(refused.code, "ResourceExhausted", "{refused:?}");
    assert!(refused.message.contains("(LG2017)"), "{refused:?}");
    // What waits is told in the details, and what is left in the metadata.
    let status = Flight::anonymous(&gateway.flight)
        .await
        .expect("a connection")
        .client()
        .inner_mut()
        .handshake(login("admin", gateway.password("admin")))
        .await
        .map(drop)
        .expect_err("no room");
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    let details = RpcStatus::of(&status);
    assert_eq!(
        details.details[0].type_url,
        "type.googleapis.com/google.rpc.RetryInfo"
    );
    assert_eq!(status.metadata().get("ratelimit-limit").expect("a limit"), "10");
    let name = "lakegate_rate_limited_total{tier=\"free\"}";
    assert!(gateway.metric(name).await.expect("a counter") >= 3.0);
}

/// A call that shows a name and a password.
fn login(user: &str, password: &str) -> tonic::Request<futures::stream::Empty<HandshakeRequest>> {
    let mut call = tonic::Request::new(futures::stream::empty());
    let basic = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let header = format!("Basic {basic}").parse().expect("ASCII");
    call.metadata_mut().insert("authorization", header);
    call
}

#[tokio::test]
async fn the_tier_is_that_of_the_name_then_of_the_roles() {
    let lake = lake_of_ten().await;
    let by_role = [
        ("rates.roles.viewer", "standard"),
        ("rates.principals.admin", "enterprise"),
    ];
    let gateway = gateway(&lake, &by_role);
    let (_, told) = answered(&gateway, "viewer", 1).await;
    assert_eq!((&told[0], &told[1]), (&"1000".to_owned(), &"999".to_owned()));
    let (_, told) = answered(&gateway, "admin", 1).await;
    assert_eq!(told[0], "10000");
    // A refused caller is told nothing of anybody's tier.
    let wrong = Rest::new(&gateway.rest, "viewer", "a wrong password")
        .get("/v1/datasets")
        .await;
    assert_eq!(wrong.status(), 401);
    assert!(wrong.headers().get("ratelimit-limit").is_none());
    // A failure is counted as well, and says so.
    let absent = gateway.rest("viewer").get("/v1/datasets/lake.gold.nothing").await;
    assert_eq!(absent.status(), 404);
    let told = absent.headers().get("ratelimit-remaining").expect("a header");
    let left: u64 = told.to_str().expect("ASCII").parse().expect("a number");
    // One comes back in 60 ms, so that it is not told how many are left, only that this one was taken.
    assert!(left < 1_000, "{left}");
}

#[tokio::test]
async fn a_tier_that_is_not_there_stops_the_start() {
    let lake = lake_of_ten().await;
    let admin = free_address().expect("an address");
    let launch = lake.launch("serve", &admin, &[&key(1)], &[("rates.roles.viewer", "gold")]);
    let ended = launch.expect("a command").run().await.expect("an end");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("rates.roles.viewer") && ended.stderr.contains("enterprise, free, standard"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn without_a_tier_nobody_is_counted() {
    let lake = lake_of_ten().await;
    let gateway = lake
        .gateway_with(&[&key(1)], &[("rates.tiers.free", "1")])
        .expect("a gateway");
    let (count, told) = answered(&gateway, "viewer", 20).await;
    assert_eq!(count, 20);
    assert!(told.iter().all(String::is_empty), "{told:?}");
}

#[tokio::test]
async fn a_fleet_shares_its_buckets_and_goes_on_without_redis() {
    let lake = lake_of_ten().await;
    let mut redis = Redis::start().expect("a server");
    let more = [
        ("fleet.redis", "env:LAKEGATE_TEST_KEY_1"),
        ("rates.gateways", "2"),
        ("rates.redis_wait_max", "2s"),
    ];
    // The URL is a secret as far as the config is concerned; the harness hands secrets over as keys.
    let start = || {
        let mut settings = vec![("rates.default", "free"), ("rates.tiers.free", "10")];
        settings.extend_from_slice(&more);
        lake.gateway_with_secrets(&[&key(1)], &[&redis.url], &settings)
            .expect("a gateway")
    };
    let (first, second) = (start(), start());
    let (of_first, _) = answered(&first, "viewer", 7).await;
    let (of_second, told) = answered(&second, "viewer", 7).await;
    // Ten in the bucket, and what a minute gives while the calls are made.
    let sum = of_first + of_second;
    assert!((10..=12).contains(&sum), "{of_first} and {of_second}");
    assert_eq!(told[0], "10");
    let kept = redis.keys();
    assert!(
        !kept.is_empty() && kept.iter().all(|key| !key.contains("viewer")),
        "{kept:?}"
    );

    redis.stop();
    // Each goes on with its half, for a caller who has asked for nothing yet.
    let (alone, told) = answered(&first, "admin", 10).await;
    assert!((5..=7).contains(&alone), "{alone}");
    assert_eq!(told[0], "5");
    let log = first.log();
    assert!(log.contains("Redis does not answer"), "{log}");
    assert!(!log.contains(&redis.url), "{log}");
    redis.restart().expect("a server");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let (_, told) = answered(&second, "admin", 1).await;
        if told[0] == "10" {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "it stays alone: {told:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(second.metric("lakegate_rates_shared").await, Some(1.0));
}
