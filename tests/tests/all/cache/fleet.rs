//! Two gateways and one Redis.

use std::collections::BTreeSet;
use std::time::Duration;

use tests::{Gateway, Lake, Redis};

use super::*;

/// How long an answer may take on a loaded machine that waits for nobody.
const PATIENCE: Duration = Duration::from_secs(60);

fn gateway(lake: &Lake, redis: &Redis) -> Gateway {
    gateway_with(lake, redis, &[])
}

fn gateway_with(lake: &Lake, redis: &Redis, more: &[(&str, &str)]) -> Gateway {
    let mut settings = vec![
        ("fleet.redis", "env:LAKEGATE_TEST_REDIS"),
        // A machine under a test's load may be slow; whoever asks a Redis that is gone is refused at once.
        ("planner.cache.redis_timeout", "5s"),
    ];
    settings.extend(more);
    let environment = [("LAKEGATE_TEST_REDIS", redis.url.as_str())];
    lake.gateway_in(&[&key(1)], &settings, &environment)
        .expect("a gateway")
}

/// Asks until Redis has an answer more than before: rows go there without being waited for.
async fn until_kept(redis: &Redis, before: usize) {
    let heads = || redis.keys().iter().filter(|key| key.ends_with('}')).count();
    while heads() <= before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_rows_of_one_gateway_answer_on_another() {
    let lake = lake_of_ten().await;
    let redis = Redis::start().expect("a Redis");
    let (first, second) = (gateway(&lake, &redis), gateway(&lake, &redis));
    let made = ask(&first.rest("admin"), NAMES, json!({})).await;
    assert_eq!(status_of(&made), "miss");
    until_kept(&redis, 0).await;
    let given = ask(&second.rest("viewer"), NAMES, json!({})).await;
    assert_eq!(status_of(&given), "hit");
    assert_eq!(given["rows"], made["rows"]);
    assert_eq!(outcome(&second, "far").await, 1.0);
    // Now it has them itself.
    assert_eq!(status(&second.rest("admin"), NAMES).await, "hit");
    assert_eq!(outcome(&second, "near").await, 1.0);
    // An answer without rows is one.
    let none = "SELECT name FROM lake.gold.events WHERE id < 0";
    assert_eq!(status(&first.rest("admin"), none).await, "miss");
    until_kept(&redis, 1).await;
    let given = ask(&second.rest("admin"), none, json!({})).await;
    assert_eq!((status_of(&given).as_str(), &given["rows"]), ("hit", &json!([])));
    // Nothing of the rows can be read there.
    for name in redis.keys() {
        let value = redis.get(&name);
        assert!(!String::from_utf8_lossy(&value).contains("row 3"), "{name}");
    }
}

#[tokio::test]
async fn rows_that_will_not_be_kept_hold_nobody_up() {
    let lake = lake_of_ten().await;
    lake.append(Zone::Gold, "many", 0..2_000).await.expect("rows");
    let redis = Redis::start().expect("a Redis");
    let settings = [
        ("planner.cache.result_bytes_max", "4 KiB"),
        // Longer than anybody would wait here: the claim is taken back, and does not run out.
        ("planner.cache.wait_max", "1h"),
    ];
    let (first, second) = (
        gateway_with(&lake, &redis, &settings),
        gateway_with(&lake, &redis, &settings),
    );
    let many = "SELECT id FROM lake.gold.many";
    for gateway in [&first, &second, &first] {
        let rest = gateway.rest("admin");
        let answered = tokio::time::timeout(PATIENCE, status(&rest, many)).await;
        assert_eq!(answered.expect("an answer before the claim runs out"), "miss");
    }
    assert!(
        redis.keys().iter().all(|key| !key.ends_with('}')),
        "nothing is kept"
    );
}

#[tokio::test]
async fn what_somebody_else_put_into_redis_is_not_believed() {
    let lake = lake_of_ten().await;
    let redis = Redis::start().expect("a Redis");
    let first = gateway(&lake, &redis);
    let other = "SELECT name FROM lake.gold.events WHERE id > 5 ORDER BY id";
    for (before, sql) in [NAMES, other].into_iter().enumerate() {
        assert_eq!(status(&first.rest("admin"), sql).await, "miss");
        until_kept(&redis, before).await;
    }
    let names: BTreeSet<String> = redis
        .keys()
        .into_iter()
        .filter(|key| !key.ends_with("making"))
        .collect();
    let values: Vec<(String, Vec<u8>)> = names.iter().map(|name| (name.clone(), redis.get(name))).collect();
    let heads: Vec<&(String, Vec<u8>)> = values.iter().filter(|(name, _)| name.ends_with('}')).collect();
    let chunks: Vec<&(String, Vec<u8>)> = values.iter().filter(|(name, _)| name.ends_with(":0")).collect();
    assert_eq!((heads.len(), chunks.len()), (2, 2), "{names:?}");
    type Swap<'a> = (&'a str, &'a [u8]);
    let flipped: Vec<u8> = chunks[0].1.iter().map(|byte| byte ^ 1).collect();
    let harms: [(&str, Vec<Swap<'_>>); 4] = [
        (
            "the answers change places",
            vec![
                (&heads[0].0, &heads[1].1),
                (&heads[1].0, &heads[0].1),
                (&chunks[0].0, &chunks[1].1),
                (&chunks[1].0, &chunks[0].1),
            ],
        ),
        (
            "their chunks change places",
            vec![(&chunks[0].0, &chunks[1].1), (&chunks[1].0, &chunks[0].1)],
        ),
        ("a chunk is damaged", vec![(&chunks[0].0, &flipped)]),
        (
            "a head is no head",
            vec![(&heads[0].0, b"{}"), (&heads[1].0, b"")],
        ),
    ];
    for (harm, swaps) in harms {
        for (name, value) in &values {
            redis.set(name, value);
        }
        for (name, value) in swaps {
            redis.set(name, value);
        }
        let fresh = gateway(&lake, &redis);
        for (sql, wanted) in [(NAMES, "row 0"), (other, "row 6")] {
            let answer = ask(&fresh.rest("admin"), sql, json!({})).await;
            assert_eq!(answer["rows"][0]["name"], wanted, "{harm}: {sql}");
        }
        assert!(outcome(&fresh, "redis_failure").await > 0.0, "{harm}");
    }
}

#[tokio::test]
async fn a_gateway_goes_on_without_redis() {
    let lake = lake_of_ten().await;
    let mut redis = Redis::start().expect("a Redis");
    let gateway = gateway(&lake, &redis);
    let rest = gateway.rest("admin");
    assert_eq!(status(&rest, NAMES).await, "miss");
    redis.stop();
    assert_eq!(status(&rest, NAMES).await, "hit", "its own rows are there");
    assert_eq!(status(&rest, "SELECT id FROM lake.gold.events").await, "miss");
    assert_eq!(status(&rest, "SELECT id FROM lake.gold.events").await, "hit");
    redis.restart().expect("a Redis");
    // It is left alone for a moment, and then has rows again.
    let mut asked = 0;
    while redis.keys().is_empty() {
        asked += 1;
        status(&rest, &format!("SELECT id + {asked} AS x FROM lake.gold.events")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
