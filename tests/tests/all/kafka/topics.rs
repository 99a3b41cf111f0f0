//! What happens to topics, brokers and processes, and what is read all the same.

use std::fs;
use std::time::{Duration, Instant};

use rdkafka::producer::Producer as _;
use tests::dock::{ARRIVAL, output, run};
use tests::kafka::{USER, produce};
use tests::{Dock, Kafka};

use super::{House, event, pipeline, records};

fn events(name: &str, range: std::ops::Range<usize>) -> Vec<String> {
    range
        .map(|record| event(&format!("{name}-{record}"), "view"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_not_there_are_waited_for() {
    let mut kafka = Kafka::start().expect("a broker");
    kafka.create("patience", 1, &[]).await.expect("a topic");
    kafka.kill();
    let source = "topics = [\"patience\"]\ndiscover = \"1s\"\ntimeout = \"1s\"";
    let house = House::new(&[("patience", pipeline("patience", &kafka.address, source))]);
    let dock = Dock::start(&house.config, None).expect("a service that starts without brokers");
    house.await_log("kafka waits").await;
    let probe = reqwest::get(format!("{}/readyz", dock.url))
        .await
        .expect("an answer");
    assert!(probe.status().is_success(), "a source that waits mends itself");
    kafka.up().expect("a broker");
    kafka
        .produce("patience", &records(0, &events("p", 0..5)))
        .await
        .expect("records");
    house.settled(5, 5, 0).await;
    kafka.kill();
    dock.await_metric("lakegate_ingest_source_reading{pipeline=\"patience\"}", |value| {
        value == 0.0
    })
    .await;
    let status = run(&house.config, &["status"]);
    assert!(status.contains("cannot be read"), "{status}");
    kafka.up().expect("a broker");
    kafka
        .produce("patience", &records(0, &events("p", 5..9)))
        .await
        .expect("records");
    house.settled(9, 9, 0).await;
    dock.await_metric("lakegate_ingest_source_reading{pipeline=\"patience\"}", |value| {
        value == 1.0
    })
    .await;
    dock.await_metric(
        "lakegate_ingest_source_lag{pipeline=\"patience\",shard=\"patience/0\"}",
        |lag| lag == 0.0,
    )
    .await;
    // Tools that watch lag see the same.
    let deadline = Instant::now() + ARRIVAL;
    while kafka.shown("lakegate-patience", "patience", 0).expect("a group") != Some(9) {
        assert!(Instant::now() < deadline, "the group is not shown");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_again_is_another_one() {
    let kafka = Kafka::shared();
    kafka.create("again", 1, &[]).await.expect("a topic");
    let source = "topics = [\"again\"]\ndiscover = \"1s\"";
    let house = House::new(&[("again", pipeline("again", &kafka.address, source))]);
    kafka
        .produce("again", &records(0, &events("one", 0..5)))
        .await
        .expect("records");
    let dock = Dock::start(&house.config, None).expect("a service");
    house.settled(5, 5, 0).await;
    // While it is read: it comes back shorter.
    kafka.delete("again").await.expect("no topic");
    dock.await_metric("lakegate_ingest_source_reading{pipeline=\"again\"}", |value| {
        value == 0.0
    })
    .await;
    kafka.create("again", 1, &[]).await.expect("a topic");
    kafka
        .produce("again", &records(0, &events("two", 0..3)))
        .await
        .expect("records");
    house.settled(8, 8, 0).await;
    drop(dock);
    // While nobody reads: it comes back longer, and only the record before tells.
    kafka.delete("again").await.expect("no topic");
    let deadline = Instant::now() + ARRIVAL;
    while let Err(error) = kafka.create("again", 1, &[]).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    kafka
        .produce("again", &records(0, &events("three", 0..7)))
        .await
        .expect("records");
    let dock = Dock::start(&house.config, None).expect("a service");
    house.settled(15, 15, 0).await;
    dock.await_metric(
        "lakegate_ingest_source_restarts_total{pipeline=\"again\"}",
        |value| value == 1.0,
    )
    .await;
    let judged = house.judged("again").await;
    assert_eq!(
        (&judged["bronze"]["rows"], &judged["bronze"]["records"]),
        (&15.into(), &15.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_understood_and_told() {
    let kafka = Kafka::shared();
    kafka.create("gaps", 1, &[]).await.expect("a topic");
    let house = House::new(&[(
        "gaps",
        pipeline("gaps", &kafka.address, "topics = [\"gaps\"]\ndiscover = \"1s\""),
    )]);
    let of_transactions = kafka.producer(Some("gaps")).expect("a producer");
    let within = Duration::from_secs(30);
    for (round, commits) in [true, false, true].into_iter().enumerate() {
        of_transactions.begin_transaction().expect("a transaction");
        let values = events(&format!("t{round}"), 0..4);
        produce(&of_transactions, "gaps", &records(0, &values))
            .await
            .expect("records");
        match commits {
            true => of_transactions.commit_transaction(within).expect("a commit"),
            false => of_transactions.abort_transaction(within).expect("an end"),
        }
    }
    let dock = Dock::start(&house.config, None).expect("a service");
    // Of 15 offsets 8 are records of committed transactions.
    house.settled(8, 8, 0).await;
    dock.await_metric(
        "lakegate_ingest_source_skipped_total{cause=\"gap\",pipeline=\"gaps\"}",
        |gap| gap == 6.0,
    )
    .await;
    // The marker at the end is no lag, though nothing is read of it.
    dock.await_metric(
        "lakegate_ingest_source_lag{pipeline=\"gaps\",shard=\"gaps/0\"}",
        |lag| lag == 0.0,
    )
    .await;
    drop(dock);
    kafka
        .produce("gaps", &records(0, &events("late", 0..5)))
        .await
        .expect("records");
    kafka.expire("gaps", 0, 17).await.expect("no records");
    let dock = Dock::start(&house.config, None).expect("a service");
    house.settled(11, 11, 0).await;
    dock.await_metric(
        "lakegate_ingest_source_skipped_total{cause=\"expired\",pipeline=\"gaps\"}",
        |lost| lost == 3.0,
    )
    .await;
    house.await_log("records expired before they were read").await;
    // Partitions that come later are read from their beginning.
    kafka.grow("gaps", 3).await.expect("partitions");
    kafka
        .produce("gaps", &records(2, &events("grown", 0..4)))
        .await
        .expect("records");
    house.settled(15, 15, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_committed_waits_within_its_bound() {
    let kafka = Kafka::shared();
    kafka.create("locked", 1, &[]).await.expect("a topic");
    let source = "topics = [\"locked\"]\nmemory_bytes = 4194304";
    let house = House::new(&[("locked", pipeline("locked", &kafka.address, source))]);
    let dock = Dock::start(&house.config, None).expect("a service");
    kafka
        .produce("locked", &records(0, &events("l", 0..5)))
        .await
        .expect("records");
    house.settled(5, 5, 0).await;
    // Somebody holds the catalog, and 20 MB come meanwhile.
    let catalog = rusqlite::Connection::open(house.path().join("catalog.sqlite")).expect("a catalog");
    catalog.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let large: Vec<String> = (0..20_000)
        .map(|record| format!("{{\"id\":\"m-{record}\",\"kind\":\"view\",\"more\":\"{record:01000}\"}}"))
        .collect();
    kafka
        .produce("locked", &records(0, &large))
        .await
        .expect("records");
    dock.await_metric("lakegate_ingest_source_reading{pipeline=\"locked\"}", |value| {
        value == 0.0
    })
    .await;
    dock.await_metric(
        "lakegate_ingest_source_waiting_bytes{pipeline=\"locked\"}",
        |bytes| bytes <= 4_194_304.0,
    )
    .await;
    catalog.execute_batch("ROLLBACK").expect("no lock");
    house.settled(20_005, 20_005, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_unpacked_is_not_stepped_over() {
    let kafka = Kafka::shared();
    // The broker packs again what comes; the client of this build has no zstd.
    kafka
        .create("packed", 1, &[("compression.type", "zstd")])
        .await
        .expect("a topic");
    let house = House::new(&[(
        "packed",
        pipeline("packed", &kafka.address, "topics = [\"packed\"]"),
    )]);
    kafka
        .produce("packed", &records(0, &events("p", 0..5)))
        .await
        .expect("records");
    let dock = Dock::start(&house.config, None).expect("a service");
    house.await_log("kafka waits").await;
    dock.await_metric("lakegate_ingest_source_reading{pipeline=\"packed\"}", |value| {
        value == 0.0
    })
    .await;
    let status = house.status();
    assert_eq!(
        (&status["received"], &status["behind"]),
        (&0.into(), &5.into()),
        "{status}"
    );
    assert!(dock.log().contains("ompress"), "{}", dock.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_begins_where_it_is_told() {
    let kafka = Kafka::shared();
    kafka.create("begin", 1, &[]).await.expect("a topic");
    let mut first = events("b", 0..4);
    let mut timed = records(0, &first);
    for (record, produced) in (0_i64..).zip(&mut timed) {
        produced.timestamp = Some(1_767_323_045_000 + record * 1_000);
    }
    kafka.produce("begin", &timed).await.expect("records");
    let latest = House::new(&[(
        "begin",
        pipeline(
            "begin",
            &kafka.address,
            "topics = [\"begin\"]\nstart = \"latest\"",
        ),
    )]);
    // It dies when it has begun and has read nothing: what comes next is not lost.
    let mut dock = Dock::start(&latest.config, Some("kafka-started"));
    let deadline = Instant::now() + ARRIVAL;
    while dock.as_mut().is_some_and(|dock| !dock.died()) {
        assert!(Instant::now() < deadline, "it does not begin");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first = events("b", 4..6);
    kafka
        .produce("begin", &records(0, &first))
        .await
        .expect("records");
    let _dock = Dock::start(&latest.config, None).expect("a service");
    latest.settled(2, 2, 0).await;
    let source = "topics = [\"begin\"]\nstart = \"2026-01-02T03:04:07Z\"";
    let since = House::new(&[("begin", pipeline("begin", &kafka.address, source))]);
    let _other = Dock::start(&since.config, None).expect("a service");
    since.settled(4, 4, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_the_later_one_reads() {
    let kafka = Kafka::shared();
    kafka.create("zombie", 2, &[]).await.expect("a topic");
    let house = House::new(&[(
        "zombie",
        pipeline("zombie", &kafka.address, "topics = [\"zombie\"]"),
    )]);
    let first = Dock::start(&house.config, None).expect("a service");
    kafka
        .produce("zombie", &records(0, &events("z", 0..5)))
        .await
        .expect("records");
    house.settled(5, 5, 0).await;
    // The first has no time while the second takes over and reads what comes; then it wakes with the same records on their way.
    first.signal("-STOP");
    kafka
        .produce("zombie", &records(0, &events("z", 5..9)))
        .await
        .expect("records");
    // The index of published records is one process's own.
    let other = house.path().join("other.toml");
    let text = fs::read_to_string(&house.config).expect("a config");
    fs::write(&other, format!("state = \"other\"\n{text}")).expect("a config");
    let second = Dock::start(&other, None).expect("a service");
    house.settled(9, 9, 0).await;
    first.signal("-CONT");
    kafka
        .produce("zombie", &records(1, &events("z", 9..20)))
        .await
        .expect("records");
    house.settled(20, 20, 0).await;
    first
        .await_metric("lakegate_ingest_source_reading{pipeline=\"zombie\"}", |value| {
            value == 0.0
        })
        .await;
    house.await_log("was taken over").await;
    let probe = reqwest::get(format!("{}/readyz", first.url))
        .await
        .expect("an answer");
    assert_eq!(probe.status().as_u16(), 503);
    let page = reqwest::get(format!("{}/readyz", second.url))
        .await
        .expect("an answer");
    assert!(page.status().is_success());
    let judged = house.judged("zombie").await;
    assert_eq!(
        (&judged["bronze"]["rows"], &judged["bronze"]["records"]),
        (&20.into(), &20.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_key_at_fault_and_plan_changes_nothing() {
    let kafka = Kafka::shared();
    kafka.create("asked", 3, &[]).await.expect("a topic");
    let house = House::new(&[]);
    let secret = house.path().join("password");
    let text = |address: &str, source: &str| pipeline("asked", address, source);
    let topics = "topics = [\"asked\"]\ntimeout = \"2s\"";
    house.write("asked", &text(&kafka.address, topics));
    let told = run(&house.config, &["check"]);
    assert!(
        told.contains("asked: kafka: ok, 1 topics, 3 partitions, shown as group lakegate-asked"),
        "{told}"
    );
    let plan = run(&house.config, &["plan"]);
    assert!(plan.contains("+ bronze.asked (22 columns)"), "{plan}");
    assert!(
        plan.contains("kafka asked: 3 partitions begin at earliest"),
        "{plan}"
    );
    assert!(!house.path().join("catalog.sqlite").exists());
    let guarded = |password: &str| {
        fs::write(&secret, password).expect("a secret");
        format!(
            "{topics}\n[source.sasl]\nusername = \"{}\"\npassword = \"file:{}\"",
            USER.0,
            secret.display()
        )
    };
    house.write("asked", &text(&kafka.guarded, &guarded(USER.1)));
    assert!(run(&house.config, &["check"]).contains("asked: kafka: ok"));
    let wrong = text(&kafka.guarded, &guarded("wrong"));
    let cases = faults(&kafka.address, topics, wrong);
    for (pipeline, expected) in cases {
        house.write("asked", &pipeline);
        let ended = output(&house.config, &["check"]);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(
            !ended.status.success() && said.contains(expected),
            "{expected}: {said}"
        );
        assert!(!said.contains("wrong"), "{said}");
    }
    assert!(output(&house.config, &["check", "--offline"]).status.success());
}

/// Pipelines that cannot work, and the key that each is told.
fn faults(address: &str, topics: &str, wrong: String) -> [(String, &'static str); 8] {
    let text = |address: &str, source: &str| pipeline("asked", address, source);
    let nowhere = "127.0.0.1:1";
    [
        (text(nowhere, topics), "source.brokers: 127.0.0.1:1 do not answer"),
        (
            text(address, "topics = [\"nothing\"]"),
            "source.topics: the topic nothing cannot be read",
        ),
        (
            text(address, "pattern = \"nothing.*\""),
            "source.pattern: no topic matches",
        ),
        (
            text(address, "topics = [\"a\"]\npattern = \"a\""),
            "source.topics: either topics or pattern",
        ),
        (
            text("localhost", topics),
            "source.brokers: \"localhost\" is no HOST:PORT",
        ),
        (wrong, "source.sasl: "),
        (
            text(address, &format!("{topics}\n[source.tls]")),
            "source.tls: the Kafka client of this build has no TLS",
        ),
        (
            text(
                address,
                &format!("{topics}\nformat = \"avro\"\n[source.registry]\nurl = \"http://127.0.0.1:1\""),
            ),
            "source.registry.url: ",
        ),
    ]
}
