//! The attack report: every form of every statement through every door against both worlds.

use super::statements::{FAMILIES, forms};
use super::tell;
use super::wire::{Caller, Door};
use super::world::World;

/// What was asked, and what went wrong.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    canaries: Vec<String>,
    differences: Vec<String>,
    deaths: Vec<String>,
    defects: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_learns_anything_of_what_is_hidden() {
    let (mut one, mut other) = (World::make(0).await, World::make(1).await);
    let mut first = Caller::connect(&one.gateway, "viewer").await;
    let mut second = Caller::connect(&other.gateway, "viewer").await;
    let mut control = [
        Caller::connect(&one.gateway, "admin").await,
        Caller::connect(&other.gateway, "admin").await,
    ];
    let mut tally = Tally::default();
    for (family, statements) in FAMILIES {
        for statement in statements {
            for sql in forms(statement) {
                for door in Door::ALL {
                    let (left, right) = tokio::join!(first.ask(door, &sql), second.ask(door, &sql));
                    tally.cases += 1;
                    let case = format!("{family}, {door:?}: {sql}");
                    if left.holds_canary() || right.holds_canary() {
                        tally.canaries.push(format!("{case}\n{}", left.said));
                    }
                    let is_of_the_moment = sql.contains("ANALYZE");
                    if left.said != right.said && !is_of_the_moment {
                        tally
                            .differences
                            .push(format!("{case}\n{}\n{}", left.said, right.said));
                    }
                    if left.said.contains("LG1099") || left.said.contains("LG2099") {
                        tally.defects.push(format!("{case}\n{}", left.said));
                    }
                }
            }
            for (world, caller) in [&mut one, &mut other].into_iter().zip(&mut control) {
                let reply = caller
                    .ask(Door::Statement, "SELECT count(*) FROM lake.gold.open")
                    .await;
                if !world.gateway.is_running() || !reply.said.contains("| 200 ") {
                    tally
                        .deaths
                        .push(format!("{family}: {statement}\n{}", reply.said));
                }
            }
        }
    }
    tell(&format!(
        "attack report: {} families, {} cases; canary {} failures, two worlds {} failures, alive {} failures, defects {}",
        FAMILIES.len(),
        tally.cases,
        tally.canaries.len(),
        tally.differences.len(),
        tally.deaths.len(),
        tally.defects.len()
    ));
    let failures = [&tally.canaries, &tally.differences, &tally.deaths, &tally.defects];
    for (oracle, failures) in ["canary", "two worlds", "alive", "defect"]
        .into_iter()
        .zip(failures)
    {
        let shown: Vec<&String> = failures.iter().take(5).collect();
        assert!(failures.is_empty(), "{oracle}: {shown:#?}");
    }
    assert!(tally.cases >= 2_000, "{} cases", tally.cases);
}

/// Rows that were made for somebody who sees more are nothing to who sees less: each statement is asked by the admin, then
/// by the viewer, twice, so that the second answer is a kept one where anything is kept.
#[tokio::test(flavor = "multi_thread")]
async fn rows_kept_for_others_tell_nothing() {
    let (one, other) = (World::keeping(0).await, World::keeping(1).await);
    let mut viewers = [
        Caller::connect(&one.gateway, "viewer").await,
        Caller::connect(&other.gateway, "viewer").await,
    ];
    let mut admins = [
        Caller::connect(&one.gateway, "admin").await,
        Caller::connect(&other.gateway, "admin").await,
    ];
    let (mut cases, mut hits, mut failures) = (0, 0, Vec::new());
    for (family, statements) in FAMILIES {
        for sql in statements
            .iter()
            .filter_map(|statement| forms(statement).into_iter().next())
        {
            for door in [Door::Rest, Door::Statement] {
                for admin in &mut admins {
                    admin.ask(door, &sql).await;
                }
                for _ in 0..2 {
                    let [first, second] = &mut viewers;
                    let (left, right) = tokio::join!(first.ask(door, &sql), second.ask(door, &sql));
                    cases += 1;
                    hits += usize::from(left.said.contains("lakegate; hit"));
                    let is_told = left.holds_canary() || right.holds_canary();
                    let differs = left.said != right.said && !sql.contains("ANALYZE");
                    if is_told || differs {
                        failures.push(format!(
                            "{family}, {door:?}: {sql}\n{}\n{}",
                            left.said, right.said
                        ));
                    }
                }
            }
        }
    }
    tell(&format!(
        "kept rows: {cases} cases, {hits} told as kept; canary and two worlds {} failures",
        failures.len()
    ));
    assert!(failures.is_empty(), "{:#?}", &failures[..failures.len().min(4)]);
    assert!(hits > 50, "{hits} of {cases}");
}

/// The oracles can fail: what the admin may see differs between the worlds and is full of tokens.
#[tokio::test(flavor = "multi_thread")]
async fn the_oracles_see_what_an_admin_sees() {
    let (one, other) = (World::make(0).await, World::make(1).await);
    let mut first = Caller::connect(&one.gateway, "admin").await;
    let mut second = Caller::connect(&other.gateway, "admin").await;
    for door in Door::ALL {
        for sql in [
            "SELECT * FROM people",
            "SELECT * FROM silver.vault",
            "SELECT max(note) FROM people",
        ] {
            let (left, right) = (first.ask(door, sql).await, second.ask(door, sql).await);
            assert!(left.holds_canary() && right.holds_canary(), "{door:?} {sql}");
            assert_ne!(left.said, right.said, "{door:?} {sql}");
        }
        let failing = "SELECT id FROM people WHERE 1 / (salary - 100000) >= 0";
        assert!(first.ask(door, failing).await.said.contains("LG1008"), "{door:?}");
    }
}
