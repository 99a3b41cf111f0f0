use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::*;
use crate::bronze::{Bronze, Upload};
use crate::commit::snapshot::live_files;
use crate::intake::Record;
use crate::pipeline::Format;
use crate::service::Rooms;
use crate::settings::Settings;

const EVENTS: &str = include_str!("../../../deploy/pipelines/events.toml");

/// A lake in a folder, with one pipeline and no door.
struct House {
    _folder: tempfile::TempDir,
    settings: Settings,
    rooms: Rooms,
    pipeline: Pipeline,
    bronze: Bronze,
}

impl House {
    async fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::parse("", &folder.path().join("ingest.toml")).unwrap();
        let rooms = Rooms::open(&settings).await.unwrap();
        let pipeline = Pipeline::parse(text, Path::new("p.toml")).unwrap();
        let bronze = bronze(&rooms, &pipeline).await;
        Self {
            _folder: folder,
            settings,
            rooms,
            pipeline,
            bronze,
        }
    }

    async fn send(&self, lines: &[&str]) {
        self.bronze.store(upload(lines, None)).await.unwrap();
    }

    async fn silver(&self) -> Silver {
        self.rooms.silver(&self.pipeline).await.unwrap()
    }

    async fn table(&self, name: &str) -> Table {
        let ident = iceberg::TableIdent::from_strs(name.split('.')).unwrap();
        self.rooms.kernel.load(&ident).await.unwrap()
    }

    /// Rows of some columns of a table as texts, sorted.
    async fn rows(&self, name: &str, columns: &[&str]) -> Vec<String> {
        let table = self.table(name).await;
        let mut rows = Vec::new();
        for file in live_files(&table).await.unwrap() {
            for batch in read::file(&table, &file, None).await.unwrap() {
                let columns: Vec<_> = columns
                    .iter()
                    .map(|column| batch.column_by_name(column).unwrap())
                    .collect();
                let options = arrow::util::display::FormatOptions::new().with_null("null");
                for row in 0..batch.num_rows() {
                    let texts: Vec<String> = columns
                        .iter()
                        .map(|column| {
                            let shown =
                                arrow::util::display::ArrayFormatter::try_new(column.as_ref(), &options)
                                    .unwrap();
                            shown.value(row).to_string()
                        })
                        .collect();
                    rows.push(texts.join("|"));
                }
            }
        }
        rows.sort();
        rows
    }
}

async fn bronze(rooms: &Rooms, pipeline: &Pipeline) -> Bronze {
    let (committed, _) = tokio::sync::watch::channel(0);
    let parts = crate::bronze::Parts {
        pipeline: pipeline.clone(),
        interval: std::time::Duration::from_millis(1),
        keys_max: 3,
        remembered_ms: crate::bronze::memory::REMEMBERED_MS,
        kernel: rooms.kernel.clone(),
        appender: rooms.appender.clone(),
        metrics: rooms.metrics.clone(),
        committed,
    };
    crate::bronze::start(parts).await.unwrap().0
}

fn upload(lines: &[&str], key: Option<(&str, &str)>) -> Upload {
    let records = (1..).zip(lines).map(|(place, line)| Record {
        payload: Bytes::copy_from_slice(line.as_bytes()),
        place,
        problem: None,
    });
    Upload {
        batch: key.map_or_else(
            || uuid::Uuid::now_v7().simple().to_string(),
            |(key, _)| key.to_owned(),
        ),
        keyed: key.map(|(_, body)| body.to_owned()),
        format: Format::Ndjson,
        records: records.collect(),
        landing: None,
        headers: "{}".to_owned(),
    }
}

fn event(id: &str, kind: &str, amount: &str) -> String {
    format!(
        "{{\"event_id\":\"{id}\",\"ts\":\"2026-01-05T09:00:00Z\",\"user_id\":1,\"kind\":\"{kind}\",\"amount\":{amount}}}"
    )
}

fn pipeline_with(text: &str) -> String {
    format!("{EVENTS}\n{text}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_good_arrive_the_bad_are_set_aside_and_twins_are_counted() {
    let house = House::new(EVENTS).await;
    let good = event("a", "view", "null");
    let lines = [
        good.as_str(),
        // The same record in other clothes.
        "{\"amount\":null, \"kind\":\"view\",\"user_id\":1.0,\"ts\":\"2026-01-05T09:00:00Z\",\"event_id\":\"a\"}",
        &event("b", "buy", "2.5"),
        &event("b", "buy", "3.5"),
        &event("c", "wave", "1"),
        &event("d", "buy", "-1"),
        "{broken",
        "[1]",
        "{\"event_id\":\"e\",\"ts\":\"never\",\"kind\":\"view\"}",
        "{\"event_id\":\"f\",\"kind\":\"view\"}",
        "{\"event_id\":\"g\",\"event_id\":\"h\",\"ts\":\"2026-01-05T09:00:00Z\",\"kind\":\"view\"}",
    ];
    house.send(&lines).await;
    let silver = house.silver().await;
    let cycle = silver.cycle().await.unwrap();
    assert_eq!(
        (cycle.records, cycle.published, cycle.rejected, cycle.duplicates),
        (11, 2, 8, 1)
    );
    assert_eq!(
        house.rows("silver.events", &["event_id", "amount"]).await,
        ["a|null", "b|2.5"]
    );
    assert_eq!(
        house.rows("system.rejects", &["rule", "reason"]).await,
        [
            "amount_not_negative|amount is not 0 or more",
            "contract|it is a list, not an object",
            "contract|it is no JSON: a key in quotes is missing at byte 1",
            "contract|it is no JSON: a key stands twice at byte 26",
            "contract|ts has no value",
            "contract|ts is no timestamp",
            "event_id_unique|event_id is there already",
            "kind_known|kind is none of the allowed values",
        ]
    );
    assert_eq!(house.rows("system.rejects", &["payload"]).await.len(), 8);
    assert_eq!(house.rows("bronze.events", &["payload"]).await.len(), 11);
    // Nothing new, nothing done; the same records again are all known.
    assert_eq!(silver.cycle().await.unwrap(), Cycle::default());
    house.send(&[&good, &event("b", "buy", "2.5")]).await;
    let cycle = silver.cycle().await.unwrap();
    assert_eq!((cycle.published, cycle.duplicates), (0, 2));
    let silver = house.table("silver.events").await;
    let total = |key: &str| facts::newest(silver.metadata(), key).unwrap().to_owned();
    assert_eq!(
        ["in", "published", "rejected", "duplicate"].map(|name| total(&format!("ingest.total-{name}"))),
        ["13", "2", "8", "3"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_is_made_again_from_silver() {
    let house = House::new(EVENTS).await;
    house.send(&[&event("a", "view", "1")]).await;
    house.silver().await.cycle().await.unwrap();
    let (settings, pipeline) = (house.settings.clone(), house.pipeline.clone());
    let again = || async {
        let windows =
            Windows::open(&PathBuf::from(&settings.state).with_extension("other"), 1 << 20).unwrap();
        Silver::open(
            pipeline.clone(),
            house.rooms.kernel.clone(),
            house.rooms.appender.clone(),
            &windows,
            house.rooms.metrics.clone(),
        )
        .await
        .unwrap()
    };
    house
        .send(&[
            &event("a", "view", "1"),
            &event("a", "view", "2"),
            &event("b", "view", "2"),
        ])
        .await;
    let cycle = again().await.cycle().await.unwrap();
    assert_eq!((cycle.published, cycle.rejected, cycle.duplicates), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cycle_that_was_broken_off_after_its_rejects_is_done_again_and_doubles_nothing() {
    let house = House::new(EVENTS).await;
    house.send(&[&event("a", "view", "1"), "{broken"]).await;
    let silver = house.silver().await;
    let bronze = house.table("bronze.events").await;
    let rejected = house.table("system.rejects").await;
    let range = silver
        .range(&bronze, &house.table("silver.events").await, &rejected)
        .unwrap()
        .unwrap();
    let records = silver.records(&bronze, &range.snapshots).await.unwrap();
    let outcome = silver.judged(records).await.unwrap();
    silver.set_aside(&rejected, &range, &outcome).await.unwrap();
    // Here the process dies. Meanwhile more arrives.
    house.send(&[&event("b", "view", "1"), "{broken too"]).await;
    let silver = house.silver().await;
    let first = silver.cycle().await.unwrap();
    assert_eq!(
        (first.records, first.published, first.rejected, first.more),
        (2, 1, 1, true)
    );
    let second = silver.cycle().await.unwrap();
    assert_eq!(
        (second.records, second.published, second.rejected, second.more),
        (2, 1, 1, false)
    );
    assert_eq!(
        house.rows("system.rejects", &["payload"]).await,
        ["{broken", "{broken too"]
    );
    assert_eq!(house.rows("silver.events", &["event_id"]).await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_below_the_gate_is_set_aside_as_a_whole() {
    let house = House::new(EVENTS).await;
    let mut lines: Vec<String> = (0..16).map(|id| event(&format!("g{id}"), "view", "1")).collect();
    // 0.7 of the kinds and 0.7 of the amounts are good: (1 + 1 + 0.7 + 0.7) / 4 = 0.85.
    lines.extend((0..4).map(|id| event(&format!("k{id}"), "wave", "-1")));
    lines.extend((0..4).map(|id| event(&format!("l{id}"), "wave", "-1")));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    house.send(&lines).await;
    let cycle = house.silver().await.cycle().await.unwrap();
    assert_eq!((cycle.published, cycle.rejected), (0, 24));
    assert!(cycle.score < 0.90, "{}", cycle.score);
    let reasons = house.rows("system.rejects", &["rule"]).await;
    assert_eq!(reasons.iter().filter(|rule| *rule == "gate").count(), 16);
    // What the gate stopped was not published, so it can come again.
    house.send(&lines[..8]).await;
    assert_eq!(house.silver().await.cycle().await.unwrap().published, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_table_stops_its_former_writer() {
    let house = House::new(EVENTS).await;
    house.send(&[&event("a", "view", "1")]).await;
    let old = house.silver().await;
    let new = house.silver().await;
    assert!(matches!(old.cycle().await, Err(Error::Fenced { .. })));
    assert_eq!(new.cycle().await.unwrap().published, 1);
    let rival = bronze(&house.rooms, &house.pipeline).await;
    let refused = house.bronze.store(upload(&["{}"], None)).await;
    assert!(
        matches!(refused, Err(crate::bronze::NotStored::Failed(_))),
        "{refused:?}"
    );
    assert!(house.bronze.store(upload(&["{}"], None)).await.is_err());
    rival.store(upload(&["{}"], None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_one_batch_also_for_the_next_process() {
    let house = House::new(EVENTS).await;
    let one = || upload(&["{\"a\":1}", "{\"a\":2}"], Some(("k1", "body-1")));
    let stored = house.bronze.store(one()).await.unwrap();
    assert!(!stored.replayed);
    let mut again = house.bronze.store(one()).await.unwrap();
    assert!(again.replayed && again.snapshot_id == stored.snapshot_id && again.records == 2);
    let other = house.bronze.store(upload(&["{}"], Some(("k1", "body-2")))).await;
    assert!(matches!(other, Err(crate::bronze::NotStored::OtherBody)));
    // Twins at the same time.
    let (first, second) = tokio::join!(
        house.bronze.store(upload(&["{}"], Some(("k2", "b")))),
        house.bronze.store(upload(&["{}"], Some(("k2", "b"))))
    );
    let replayed = [first.unwrap().replayed, second.unwrap().replayed];
    assert_eq!(replayed.iter().filter(|replayed| **replayed).count(), 1);
    let next = bronze(&house.rooms, &house.pipeline).await;
    again = next.store(one()).await.unwrap();
    assert!(again.replayed && again.snapshot_id == stored.snapshot_id);
    // Three keys are the bound of this test.
    next.store(upload(&["{}"], Some(("k3", "b")))).await.unwrap();
    let full = next.store(upload(&["{}"], Some(("k4", "b")))).await;
    assert!(
        matches!(full, Err(crate::bronze::NotStored::TooManyKeys(3))),
        "{full:?}"
    );
    next.store(upload(&["{}"], None)).await.unwrap();
    assert_eq!(house.rows("bronze.events", &["payload"]).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn gold_is_computed_for_the_days_that_changed() {
    let house = House::new(EVENTS).await;
    let gold = house.rooms.gold(&house.pipeline);
    assert_eq!(gold.cycle().await.unwrap_or(0), 0);
    let on = |day: u32, id: &str, amount: &str| {
        event(id, "buy", amount).replace("2026-01-05", &format!("2026-01-{day:02}"))
    };
    house.send(&[&on(5, "a", "1"), &on(6, "b", "2")]).await;
    let silver = house.silver().await;
    silver.cycle().await.unwrap();
    assert_eq!(gold.cycle().await.unwrap(), 1);
    let columns = ["day", "kind", "events", "visitors", "amount"];
    assert_eq!(
        house.rows("gold.events_by_kind", &columns).await,
        ["2026-01-05|buy|1|1|1.0", "2026-01-06|buy|1|1|2.0"]
    );
    assert_eq!(gold.cycle().await.unwrap(), 0);
    let before = live_files(&house.table("gold.events_by_kind").await)
        .await
        .unwrap();
    house.send(&[&on(6, "c", "5")]).await;
    silver.cycle().await.unwrap();
    assert_eq!(gold.cycle().await.unwrap(), 1);
    assert_eq!(
        house.rows("gold.events_by_kind", &columns).await,
        ["2026-01-05|buy|1|1|1.0", "2026-01-06|buy|2|1|7.0"]
    );
    // The file of the day that did not change is the same file.
    let after = live_files(&house.table("gold.events_by_kind").await)
        .await
        .unwrap();
    let kept = after
        .iter()
        .filter(|file| before.iter().any(|old| old.file_path() == file.file_path()))
        .count();
    assert_eq!((before.len(), after.len(), kept), (2, 2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_below_its_gate_leaves_the_old_rows() {
    let text = EVENTS.replace("amount IS NULL OR amount >= 0", "amount < 10");
    let house = House::new(&text).await;
    let gold = house.rooms.gold(&house.pipeline);
    let silver = house.silver().await;
    house.send(&[&event("a", "buy", "1")]).await;
    silver.cycle().await.unwrap();
    gold.cycle().await.unwrap();
    let rows = house.rows("gold.events_by_kind", &["amount"]).await;
    house.send(&[&event("b", "buy", "100")]).await;
    silver.cycle().await.unwrap();
    let error = gold.cycle().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "gold.events_by_kind has the score 0.5000, less than 0.99; its old rows stay"
    );
    assert_eq!(house.rows("gold.events_by_kind", &["amount"]).await, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_rule_has_its_verdict() {
    let text = pipeline_with(
        r#"
[[quality.rule]]
id = "user"
kind = "not_null"
column = "user_id"
severity = "warn"

[[quality.rule]]
id = "id_form"
kind = "regex"
column = "event_id"
pattern = "[a-z]\\d"

[[quality.rule]]
id = "sql"
kind = "sql"
expr = "kind <> 'buy' OR amount > 1"

[[quality.rule]]
id = "mean"
kind = "mean_between"
column = "amount"
max = 2.0
weight = 2.0

[[quality.rule]]
id = "rows"
kind = "row_count_between"
min = 2
"#,
    );
    let house = House::new(&text).await;
    let nobody = event("a4", "view", "null").replace("\"user_id\":1,", "");
    house
        .send(&[
            &event("a1", "buy", "5"),
            &event("a2", "buy", "1"),
            &event("b", "view", "1"),
            &nobody,
        ])
        .await;
    let cycle = house.silver().await.cycle().await.unwrap();
    assert_eq!((cycle.published, cycle.rejected), (2, 2));
    let silver = house.table("silver.events").await;
    let verdicts: Vec<quality::Verdict> =
        serde_json::from_str(facts::newest(silver.metadata(), "ingest.verdicts").unwrap()).unwrap();
    let seen: Vec<(&str, u64, u64)> = verdicts
        .iter()
        .map(|verdict| (verdict.rule.as_str(), verdict.evaluated, verdict.passed))
        .collect();
    assert_eq!(
        seen,
        [
            ("contract", 4, 4),
            ("kind_known", 4, 4),
            ("amount_not_negative", 3, 3),
            ("user", 4, 3),
            ("id_form", 4, 3),
            ("sql", 4, 3),
            ("mean", 1, 0),
            ("rows", 1, 1),
            ("event_id_unique", 2, 2),
        ]
    );
    assert_eq!(verdicts[6].measured, Some(7.0 / 3.0));
    let weights = 10.0;
    let expected = (1.0 + 1.0 + 1.0 + 0.75 * 3.0 + 0.0 + 1.0 + 1.0) / weights;
    assert!(
        (cycle.score - expected).abs() < 1e-9,
        "{} {expected}",
        cycle.score
    );
}
