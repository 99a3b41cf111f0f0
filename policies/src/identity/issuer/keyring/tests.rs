use super::super::jwks::KeySet;
use super::super::{Algorithm, Issuer};
use super::{KeyRing, KeySource};
use crate::clock::tests::StillClock;
use crate::error::Error;
use async_trait::async_trait;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// A source of keys that a test opens and shuts.
#[derive(Debug)]
struct Tap {
    names: Mutex<Vec<String>>,
    fetches: AtomicUsize,
    is_down: Mutex<bool>,
    good_for: Mutex<Option<Duration>>,
    /// A fetch waits for a permit of this.
    gate: Semaphore,
}

#[async_trait]
impl KeySource for Tap {
    async fn fetch(&self) -> Result<(KeySet, Option<Duration>), String> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.acquire().await.unwrap());
        if *self.is_down.lock().unwrap() {
            return Err("it is down".to_owned());
        }
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = |name: &String| format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{name}","x":"{x}"}}"#);
        let keys: Vec<String> = self.names.lock().unwrap().iter().map(key).collect();
        let text = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        Ok((KeySet::parse(text.as_bytes())?, *self.good_for.lock().unwrap()))
    }
}

struct Bench {
    tap: Arc<Tap>,
    clock: Arc<StillClock>,
    ring: Arc<KeyRing>,
}

impl Bench {
    fn new(names: &[&str]) -> Self {
        let tap = Arc::new(Tap {
            names: Mutex::default(),
            fetches: AtomicUsize::new(0),
            is_down: Mutex::default(),
            good_for: Mutex::default(),
            gate: Semaphore::new(1_000_000),
        });
        let clock = Arc::new(StillClock::new());
        let issuer = Issuer::default();
        let ring = KeyRing::new("corp", &issuer, Arc::clone(&tap) as _, Arc::clone(&clock) as _);
        let bench = Self {
            tap,
            clock,
            ring: Arc::new(ring),
        };
        bench.publish(names);
        bench
    }

    fn publish(&self, names: &[&str]) {
        *self.tap.names.lock().unwrap() = names.iter().map(|name| (*name).to_owned()).collect();
    }

    fn shut(&self, is_down: bool) {
        *self.tap.is_down.lock().unwrap() = is_down;
    }

    async fn ask(&self, name: &str) -> Result<(), Error> {
        self.ring.key(Some(name), Algorithm::EdDSA).await.map(drop)
    }

    fn pass(&self, seconds: u64) {
        self.clock.pass(Duration::from_secs(seconds));
    }

    fn fetches(&self) -> usize {
        self.tap.fetches.load(Ordering::SeqCst)
    }

    /// Waits until a fetch in the background has ended.
    async fn settled(&self) {
        drop(self.ring.turn.lock().await);
    }
}

#[tokio::test]
async fn a_new_key_is_found_by_one_fetch_and_a_storm_of_unknown_ones_costs_one_in_thirty_seconds() {
    let bench = Bench::new(&["k1"]);
    bench.ask("k1").await.unwrap();
    bench.pass(30);
    bench.publish(&["k1", "k2"]);
    bench.ask("k2").await.unwrap();
    assert_eq!(bench.fetches(), 2);
    for index in 0..10_000 {
        assert!(matches!(bench.ask(&format!("x{index}")).await, Err(Error::Token)));
        if index % 1_000 == 999 {
            bench.pass(6);
        }
    }
    // Sixty seconds went by, so two more were due at the most.
    assert!((3..=4).contains(&bench.fetches()), "{}", bench.fetches());
    bench.ask("k1").await.unwrap();
}

#[tokio::test]
async fn many_callers_at_once_wait_for_one_fetch() {
    let bench = Arc::new(Bench::new(&["k1"]));
    // The gate is shut, so that all of them come while the fetch is under way.
    let shut = bench.tap.gate.acquire_many(1_000_000).await.unwrap();
    let calls: Vec<_> = (0..500)
        .map(|_| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.ask("k1").await })
        })
        .collect();
    // The caller who caused the fetch goes away; the fetch does not.
    let first = &calls[0];
    while bench.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    drop(shut);
    for call in calls.into_iter().skip(1) {
        call.await.unwrap().unwrap();
    }
    assert_eq!(bench.fetches(), 1);
}

#[tokio::test]
async fn an_outage_is_lived_through_for_a_day_and_no_longer() {
    let bench = Bench::new(&["k1"]);
    bench.ask("k1").await.unwrap();
    bench.shut(true);
    for _ in 0..24 {
        bench.pass(3_600);
        bench.ask("k1").await.unwrap();
        bench.settled().await;
        assert!(bench.ring.is_open());
    }
    bench.pass(1);
    assert!(!bench.ring.is_open());
    assert!(matches!(bench.ask("k1").await, Err(Error::Issuer { .. })));
    bench.shut(false);
    assert!(
        matches!(bench.ask("k1").await, Err(Error::Issuer { .. })),
        "the next fetch is not due yet"
    );
    bench.pass(30);
    bench.ask("k1").await.unwrap();
}

#[tokio::test]
async fn keys_are_fetched_again_in_the_background_and_a_withdrawn_one_ends() {
    let bench = Bench::new(&["k1", "k2"]);
    bench.ask("k1").await.unwrap();
    bench.pass(300);
    bench.ask("k1").await.unwrap();
    bench.settled().await;
    assert_eq!(bench.fetches(), 1, "they are good for five minutes");
    bench.publish(&["k2"]);
    bench.pass(1);
    bench.ask("k1").await.unwrap();
    bench.settled().await;
    assert_eq!(bench.fetches(), 2);
    assert!(matches!(bench.ask("k1").await, Err(Error::Token)));
    // The source may ask for more time, within bounds.
    *bench.tap.good_for.lock().unwrap() = Some(Duration::from_secs(3_600));
    bench.pass(301);
    bench.ask("k2").await.unwrap();
    bench.settled().await;
    let before = bench.fetches();
    bench.pass(3_000);
    bench.ask("k2").await.unwrap();
    bench.settled().await;
    assert_eq!(bench.fetches(), before);
}

#[tokio::test]
async fn a_first_fetch_that_fails_leaves_the_door_closed_until_the_next() {
    let bench = Bench::new(&["k1"]);
    bench.shut(true);
    bench.ring.warm().await;
    assert!(!bench.ring.is_open());
    assert!(matches!(bench.ask("k1").await, Err(Error::Issuer { .. })));
    assert_eq!(bench.fetches(), 1);
    bench.shut(false);
    bench.pass(30);
    bench.ask("k1").await.unwrap();
    assert!(bench.ring.is_open());
}
