//! Kills of the real service at named points while a topic fills, and of the broker between them. The judges are two readers that know nothing
//! of us: every record that the broker took is there, and none is there twice. `LAKEGATE_SEED` repeats a run, `LAKEGATE_KILLS` asks for more.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

use tests::dock::ARRIVAL;
use tests::{Dock, Kafka};

use super::{House, event, pipeline, records};
use crate::security::Random;
use ingest::fault::points_of;

/// Kills in one run of the tests.
const KILLS: usize = 20;
/// Records between two kills, for each partition; one of them is bad.
const RECORDS: usize = 6;

/// The points of a run: each of them, then some again, in an order of the seed.
fn points(random: &mut Random, kills: usize) -> Vec<&'static str> {
    let mut points: Vec<&str> = points_of("kafka").collect::<Vec<_>>().into_iter().cycle().take(kills).collect();
    for place in (1..points.len()).rev() {
        points.swap(place, random.below(place as u64 + 1) as usize);
    }
    points
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_loses_a_record_or_doubles_one() {
    let mut random = Random::new();
    writeln!(std::io::stderr(), "seed {} (LAKEGATE_SEED repeats it)", random.0)
        .expect("a standard error output");
    let kills = std::env::var("LAKEGATE_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    let mut kafka = Kafka::start().expect("a broker");
    let mut partitions = 2;
    kafka.create("kills", partitions, &[]).await.expect("a topic");
    let house = House::new(&[(
        "kills",
        pipeline("kills", &kafka.address, "topics = [\"kills\"]\ndiscover = \"1s\""),
    )]);
    let mut produced = 0;
    let mut met = BTreeSet::new();
    for (kill, point) in points(&mut random, kills).into_iter().enumerate() {
        if point == "kafka-started" && kill > 0 {
            // It is passed where a partition is read for the first time.
            partitions += 1;
            kafka
                .grow("kills", partitions as usize)
                .await
                .expect("a partition");
        }
        // It may be met before the service says that it is ready: what waited from the last time is taken up at once.
        let mut dock = Dock::start(&house.config, Some(point));
        if kill % 7 == 3 {
            kafka.kill();
            kafka.up().expect("the broker again");
        }
        for partition in 0..partitions {
            let values: Vec<String> = (0..RECORDS)
                .map(|record| {
                    let kind = if record == 3 { "wave" } else { "view" };
                    event(&format!("{kill}-{partition}-{record}"), kind)
                })
                .collect();
            let placed = kafka.produce("kills", &records(partition, &values)).await;
            produced += placed.expect("records").len();
        }
        let deadline = Instant::now() + ARRIVAL;
        while let Some(running) = dock.as_mut()
            && !running.died()
        {
            assert!(
                Instant::now() < deadline,
                "{point} is not met:\n{}",
                running.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        met.insert(point);
    }
    assert_eq!(met.len(), points_of("kafka").count().min(kills));
    let _running = Dock::start(&house.config, None).expect("a service");
    let bad = (produced / RECORDS) as u64;
    let produced = produced as u64;
    let status = house.settled(produced, produced - bad, bad).await;
    assert_eq!(status["behind"], 0, "{status}");
    let judged = house.judged("kills").await;
    for (table, rows) in [("bronze", produced), ("silver", produced - bad), ("rejects", bad)] {
        assert_eq!(judged[table]["rows"], rows, "{table}: {judged}");
        assert_eq!(judged[table]["records"], rows, "{table}: {judged}");
    }
}
