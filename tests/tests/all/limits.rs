//! Every limit of `deploy/config/gateway.toml` is read: a gateway with another value of the key, and one without, differ in
//! what a client sees.
//!
//! A limit of time shows by the order of two gateways that are asked at once, never by a clock. A key that is new in
//! the file fails here until it has a case.

mod probes;
mod sockets;
mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use ingest::Zone;
use tests::house::root;
use tests::lake::key;
use tests::{Gateway, Lake};

/// Rows of the table `lake.gold.events` of every lake here: about two mebibytes.
const ROWS: i64 = 100_000;

/// Rows of the table `lake.gold.noise` of the lake that cases share, in four files of more than a mebibyte each: a
/// smaller one is not worth a part of its own.
const NOISE_ROWS: i64 = 40_000;

/// How long a case may take that shows nothing; for a limit that is not read and would have ended what has no end.
const DEADLINE: Duration = Duration::from_secs(120);

/// A gateway over a lake.
struct Place {
    gateway: Gateway,
    lake: Arc<Lake>,
    chosen: Vec<(&'static str, String)>,
}

impl Place {
    /// The keys that this gateway has beside those of its lake.
    fn settings(&self) -> Vec<(&str, &str)> {
        self.chosen
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect()
    }
}

/// What the two gateways must show.
#[derive(Debug, Clone, Copy)]
enum Proof {
    /// The one with the value shows this text, the other another one.
    Shows(&'static str),
    /// The same, and the one with the value is the first to show anything.
    First(&'static str),
    /// The one with the value shows this text; the other may, too, on a machine that is made for it.
    Alone(&'static str),
}

/// Which lake a case needs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Needs {
    /// It only reads.
    AnyLake,
    /// It damages or locks the lake, or ends the gateway.
    ItsOwn,
}

/// What a client sees at a gateway.
type Look = for<'a> fn(&'a Place) -> BoxFuture<'a, String>;

/// One limit: its key, a value that is not the default, other keys for both gateways, and how to look.
struct Case {
    key: &'static str,
    value: &'static str,
    around: &'static [(&'static str, &'static str)],
    needs: Needs,
    proof: Proof,
    look: Look,
}

async fn lake() -> Arc<Lake> {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..ROWS).await.expect("rows");
    Arc::new(lake)
}

/// 256 letters that cannot be packed, the same ones for each number (SplitMix64).
fn noise(id: i64) -> String {
    let mut state = id.unsigned_abs();
    let word = |_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016x}", mixed ^ (mixed >> 31))
    };
    (0..16).map(word).collect()
}

async fn place(lake: &Arc<Lake>, settings: &[(&'static str, &str)]) -> Place {
    let lake = Arc::clone(lake);
    let folder = lake.folder().to_str().expect("UTF-8").to_owned();
    let chosen: Vec<(&'static str, String)> = settings
        .iter()
        .map(|(key, value)| (*key, value.replace("LAKE", &folder)))
        .collect();
    let settings: Vec<(&str, &str)> = chosen.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let gateway = lake.gateway_with(&[&key(1)], &settings).expect("a gateway");
    Place {
        gateway,
        lake,
        chosen,
    }
}

impl Case {
    /// Nothing when the limit is read; otherwise what was seen instead.
    async fn fault(&self, shared: &Arc<Lake>) -> Option<String> {
        let (ours, theirs) = match self.needs {
            Needs::AnyLake => (Arc::clone(shared), Arc::clone(shared)),
            Needs::ItsOwn => (lake().await, lake().await),
        };
        let mut settings = self.around.to_vec();
        let plain = place(&theirs, &settings).await;
        settings.push((self.key, self.value));
        let changed = place(&ours, &settings).await;
        let (expected, seen) = match self.proof {
            Proof::Shows(expected) => {
                let other = (self.look)(&plain).await;
                if other.contains(expected) {
                    return Some(format!("{}: without it, too: {other}", self.key));
                }
                (expected, (self.look)(&changed).await)
            }
            Proof::First(expected) => tokio::select! {
                biased;
                other = (self.look)(&plain) => return Some(format!("{}: late, after: {other}", self.key)),
                seen = (self.look)(&changed) => (expected, seen),
            },
            Proof::Alone(expected) => (expected, (self.look)(&changed).await),
        };
        let is_read = seen.contains(expected);
        (!is_read).then(|| {
            format!(
                "{} = {}: expected `{expected}`, seen: {seen}",
                self.key, self.value
            )
        })
    }
}

fn cases() -> Vec<Case> {
    [
        sockets::cases(),
        probes::admission(),
        probes::statements(),
        probes::resources(),
        sources::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Only the cases whose key contains `LAKEGATE_LIMIT`, when it is set.
fn wanted(case: &Case) -> bool {
    std::env::var("LAKEGATE_LIMIT").map_or(true, |part| case.key.contains(&part))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_of_the_config_is_read() {
    let shared = lake().await;
    for file in 0..4 {
        let ids = file * NOISE_ROWS / 4..(file + 1) * NOISE_ROWS / 4;
        let appended = shared.append_named(Zone::Gold, "noise", ids, noise).await;
        appended.expect("rows");
    }
    let mut faults = Vec::new();
    for case in cases().iter().filter(|case| wanted(case)) {
        // One probe that panics must not hide the next.
        let looked = AssertUnwindSafe(case.fault(&shared)).catch_unwind();
        faults.extend(match tokio::time::timeout(DEADLINE, looked).await {
            Ok(Ok(fault)) => fault,
            Ok(Err(_)) => Some(format!("{}: panicked, see above", case.key)),
            Err(_) => Some(format!("{}: shows nothing", case.key)),
        });
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Keys of a source that say what it is and bound nothing.
const NO_LIMITS: [&str; 8] = [
    "kind",
    "catalog",
    "catalog_name",
    "warehouse",
    "password",
    "moved_from",
    "locations",
    "files_within",
];

/// Limits that no caller can see from outside, which tests beside the code prove, what needs a source that runs statements,
/// a catalog behind HTTP or a store of objects, which `federation`, `catalogs` and `objects` ask, and the cache of rows,
/// which `cache` asks.
const BESIDE_THE_CODE: [&str; 8] = [
    "planner.cache.",
    "planner.sources.lake.bloom_cache_bytes",
    "planner.sources.lake.delete_cache_bytes",
    "planner.sources.lake.rest.",
    "planner.sources.lake.storage.",
    "planner.sources.pg.",
    "planner.statement_readers",
    "planner.shadow_",
];

#[test]
fn every_limit_of_the_config_has_a_case() {
    let text = fs::read_to_string(root().join("deploy/config/gateway.toml")).expect("the reference config");
    let mut section = String::new();
    let mut documented = BTreeSet::new();
    for line in text.lines() {
        let line = match line.strip_prefix('#') {
            Some(line) if line.starts_with(' ') => continue,
            Some(example) => example,
            None => line,
        };
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((name, _)) = line.split_once(" = ") {
            let is_limit = section == "limits" || section.split('.').next() == Some("planner");
            let key = format!("{section}.{name}");
            let is_elsewhere = BESIDE_THE_CODE.iter().any(|start| key.starts_with(start));
            if is_limit && !is_elsewhere && !NO_LIMITS.contains(&name) {
                documented.insert(key);
            }
        }
    }
    assert!(documented.len() > 30, "{documented:?}");
    let covered: BTreeSet<String> = cases().iter().map(|case| case.key.to_owned()).collect();
    assert_eq!(
        documented, covered,
        "left: the reference file, right: the cases here"
    );
}
