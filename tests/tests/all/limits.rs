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

use futures::FutureExt as _;
use futures::future::BoxFuture;
use ingest::Zone;
use tests::house::root;
use tests::lake::key;
use tests::{Gateway, Lake};

/// Rows of the table `lake.gold.events` of every lake here: about two mebibytes.
const ROWS: i64 = 100_000;

/// A gateway over a lake.
struct Place {
    gateway: Gateway,
    lake: Arc<Lake>,
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

/// One limit: its key, a value that is not the default, other keys for both gateways, and how to look.
struct Case {
    key: &'static str,
    value: &'static str,
    around: &'static [(&'static str, &'static str)],
    needs: Needs,
    proof: Proof,
    look: for<'a> fn(&'a Place) -> BoxFuture<'a, String>,
}

async fn lake() -> Arc<Lake> {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..ROWS).await.expect("rows");
    Arc::new(lake)
}

async fn place(lake: &Arc<Lake>, settings: &[(&str, &str)]) -> Place {
    let lake = Arc::clone(lake);
    let folder = lake.folder().to_str().expect("UTF-8").to_owned();
    let settings: Vec<(&str, String)> = settings
        .iter()
        .map(|(key, value)| (*key, value.replace("LAKE", &folder)))
        .collect();
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let gateway = lake.gateway_with(&[&key(1)], &settings).expect("a gateway");
    Place { gateway, lake }
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
        probes::planner(),
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
    let mut faults = Vec::new();
    for case in cases().iter().filter(|case| wanted(case)) {
        // One probe that panics must not hide the next.
        let looked = AssertUnwindSafe(case.fault(&shared)).catch_unwind().await;
        faults.extend(looked.unwrap_or_else(|_| Some(format!("{}: panicked, see above", case.key))));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Keys of a source that say what it is and bound nothing.
const NO_LIMITS: [&str; 4] = ["kind", "catalog", "catalog_name", "warehouse"];

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
            if is_limit && !NO_LIMITS.contains(&name) {
                documented.insert(format!("{section}.{name}"));
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
