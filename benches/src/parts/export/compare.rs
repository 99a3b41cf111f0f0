//! The lines of part (a): who is set against whom, and by which goal.

use super::servers::{
    ALL, ECHO_ALL, ECHO_ONE, FLOOR_ALL, FLOOR_KEPT, FLOOR_ONE, ONE, REST_ARROW, REST_JSON, ROAPI_DISK,
    ROAPI_MEMORY, SAIL,
};
use super::{Outcome, Outcomes};
use crate::digest::Digest;
use crate::peers::decode::Decode;
use crate::table::{Bound, Of, Row, Rows};

/// All lines of the part.
pub(super) fn table(outcomes: &Outcomes) -> Vec<Row> {
    let pair = |ours: &str, peer: &str| by_wall(outcomes, ours, peer);
    vec![
        pair(ALL, FLOOR_ALL),
        pair(ONE, FLOOR_ONE),
        pair(ONE, FLOOR_KEPT),
        pair(ALL, ECHO_ONE).with_goal(1, Of::Ratio, Bound::AtLeast(0.45)),
        pair(ALL, ECHO_ALL),
        pair(ALL, ROAPI_MEMORY).with_goal(1, Of::Ratio, Bound::AtLeast(1.5)),
        pair(ALL, ROAPI_DISK),
        pair(ONE, ROAPI_DISK),
        pair(ALL, SAIL),
        pair(ALL, REST_JSON).with_goal(2, Of::Ratio, Bound::AtLeast(10.0)),
        pair(ALL, REST_ARROW),
        by_core(outcomes, ALL, Decode::NAME).with_goal(3, Of::Ratio, Bound::AtLeast(0.7)),
    ]
}

/// Rows a second of the wall.
fn by_wall(outcomes: &Outcomes, ours: &str, peer: &str) -> Row {
    let mut row = both(outcomes, "rows/s", ours, peer);
    row.ours = outcomes
        .get(ours)
        .and_then(|outcome| outcome.series.rows_per_second());
    row.peer = outcomes
        .get(peer)
        .and_then(|outcome| outcome.series.rows_per_second());
    row
}

/// Rows a second of the server's processor time.
fn by_core(outcomes: &Outcomes, ours: &str, peer: &str) -> Row {
    let mut row = both(outcomes, "rows/core-s", ours, peer);
    row.ours = outcomes.get(ours).and_then(rows_per_core_second);
    row.peer = outcomes.get(peer).and_then(rows_per_core_second);
    row
}

fn rows_per_core_second(outcome: &Outcome) -> Option<f64> {
    let rows = outcome.series.samples.last()?.rows as f64;
    let server = outcome.series.cpu()?.server;
    (server > 0.0).then(|| rows / server)
}

fn both(outcomes: &Outcomes, unit: &'static str, ours: &str, peer: &str) -> Row {
    let mut row = Row::new('a', format!("export lineitem, {ours}"), unit, peer);
    let (left, right) = (outcomes.get(ours), outcomes.get(peer));
    row.ours_cpu = left.and_then(|outcome| outcome.series.cpu());
    row.peer_cpu = right.and_then(|outcome| outcome.series.cpu());
    let failures = [left, right].into_iter().map(|outcome| match outcome {
        None => Some("was not measured".to_owned()),
        Some(outcome) => outcome.series.failure.clone(),
    });
    row.failure = failures.flatten().next();
    let verdict = |outcome: Option<&Outcome>| outcome.map_or(Rows::None, |outcome| outcome.rows.clone());
    row.rows = match (verdict(left), verdict(right)) {
        (Rows::Different(how), _) => Rows::Different(format!("{ours}: {how}")),
        (_, Rows::Different(how)) => Rows::Different(format!("{peer}: {how}")),
        (Rows::Vacuous, _) | (_, Rows::Vacuous) => Rows::Vacuous,
        (same, _) => same,
    };
    row
}

/// Throughput in bytes, which is the same for all: the table's plain Arrow columns.
pub(super) fn notes(outcomes: &Outcomes, table: Digest, loopback: f64) -> Vec<String> {
    let width = table.bytes as f64 / table.rows.max(1) as f64;
    let mut notes = vec![
        format!(
            "lineitem has {} rows of {width:.0} bytes as plain Arrow columns",
            table.rows
        ),
        format!("loopback TCP, 1 stream: {:.2} GB/s", loopback / 1e9),
    ];
    for (name, outcome) in outcomes {
        if let (Some(rate), Some(cpu)) = (outcome.series.rows_per_second(), outcome.series.cpu()) {
            notes.push(format!(
                "{name}: {:.2} M rows/s, {:.2} GB/s, {:.2} server + {:.2} client core-seconds",
                rate / 1e6,
                rate * width / 1e9,
                cpu.server,
                cpu.client
            ));
        }
    }
    notes
}
