//! Many commits in a row: the manifests stay few, and faults at every publication lose nothing.

use std::collections::HashMap;

use super::*;

/// What grows with the number of commits is what a commit reads and writes: manifests and the list of them. They stay bounded, and the live
/// rows stay right through every merge. (The metadata file grows until snapshots expire.)
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_commits_keep_the_manifests_few() {
    let bench = Bench::new().await;
    let kernel = Kernel::new(
        Arc::<JdbcCatalog>::clone(&bench.catalog) as Arc<dyn Tables>,
        3,
        25,
    );
    let epoch = kernel.claim(&bench.table).await.unwrap();
    let base = bench.load().await;
    let mut manifests_max = 0;
    for commit in 0..1_000_u64 {
        kernel
            .commit(&Commit::append(
                &base,
                epoch,
                Token::unique(),
                vec![file(&base, 1)],
            ))
            .await
            .unwrap();
        if commit % 50 == 49 {
            let table = bench.load().await;
            let snapshot = table.metadata().current_snapshot().unwrap();
            let list = table.manifest_list_reader(snapshot).load().await.unwrap();
            manifests_max = manifests_max.max(list.entries().len());
        }
    }
    assert!(manifests_max <= 26, "{manifests_max} manifests");
    let table = bench.load().await;
    assert_eq!(live_files(&table).await.unwrap().len(), 1_000);
    assert_eq!(counter(&table, "total-records"), 1_000);
}

/// Two writers with their own sources, faults at every publication, commits retried until they are known: each row once. The seed is printed.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_faults_loses_nothing_and_doubles_nothing() {
    for seed in 1..=8_u64 {
        println!("seed {seed}");
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let bench = Bench::new().await;
        let faults: Vec<Fault> = std::iter::once(Fault::None)
            .chain((0..200).map(|_| match next() % 8 {
                0 => Fault::LoseAnswer,
                1 => Fault::LoseRequest,
                2 => Fault::Overtake,
                3 => Fault::Fail,
                _ => Fault::None,
            }))
            .collect();
        let kernel = bench.kernel(&faults);
        let mut epoch = kernel.claim(&bench.table).await.unwrap();
        let base = bench.load().await;
        let mut positions: HashMap<&str, String> = HashMap::new();
        let mut rows = 0;
        for round in 0..20_u64 {
            if next() % 7 == 0 {
                // A restart: the writer takes the table over and goes on from what the table says.
                epoch = loop {
                    if let Ok(epoch) = kernel.claim(&bench.table).await {
                        break epoch;
                    }
                };
            }
            let source = if next() % 2 == 0 { "a" } else { "b" };
            let to = round.to_string();
            let commit = Commit::append(&base, epoch, Token::unique(), vec![file(&base, 1_000 + round)])
                .with_advance(Advance {
                    source: source.to_owned(),
                    from: positions.get(source).cloned(),
                    to: to.clone(),
                });
            while kernel.commit(&commit).await.is_err() {}
            positions.insert(source, to);
            rows += 1_000 + round;
        }
        let table = bench.load().await;
        let live = live_files(&table).await.unwrap();
        // Rivals of the faults bring files of one row.
        let ours: u64 = live
            .iter()
            .map(DataFile::record_count)
            .filter(|rows| *rows >= 1_000)
            .sum();
        assert_eq!(ours, rows, "seed {seed}");
        assert_eq!(
            counter(&table, "total-records"),
            live.iter().map(DataFile::record_count).sum::<u64>(),
            "seed {seed}"
        );
        let recorded = facts::positions(table.metadata());
        for (source, to) in positions {
            assert_eq!(recorded.get(source), Some(&to), "seed {seed}");
        }
    }
}
