//! (b) The 22 TPC-H queries: the gateway over Flight SQL, bare DataFusion of the same version in this process, and DuckDB,
//! all on the same Parquet files. Each query's three answers are compared before the clock.

use anyhow::Result;
use serde_json::json;

use super::{Found, Run};
use crate::answer::Answer;
use crate::engines::{Asked, Engine, Remote};
use crate::measure::{Cpu, Series, Subject, rounds};
use crate::noise::Watch;
use crate::peers::datafusion::InProcess;
use crate::peers::duckdb::DuckDb;
use crate::peers::gateway::Gateway;
use crate::table::{Bound, Of, Row, Rows};

/// What became of one query: the series of the gateway, of DataFusion and of DuckDB, and how the two peers' rows compare
/// with the gateway's.
struct Outcome {
    number: usize,
    series: Vec<Series>,
    rows: [Rows; 2],
}

/// Runs the part.
///
/// # Errors
/// When one of the three engines cannot be had.
pub async fn run(run: &Run) -> Result<Found> {
    let gateway = Gateway::start(&run.place).await?;
    let mut remote = Remote {
        server: gateway.id()?,
        client: gateway.connect().await?,
    };
    let mut bare = InProcess::open(&run.place).await?;
    let mut duckdb = DuckDb::start(&run.place, &run.python)?;
    let watch = Watch::start()?;
    let mut outcomes = Vec::new();
    for number in 1..=22 {
        let sql = run.place.query(number)?;
        let rows = compared(&sql, &mut remote, [&mut bare, &mut duckdb]).await;
        let engines: [&mut dyn Engine; 3] = [&mut remote, &mut bare, &mut duckdb];
        let mut subjects: Vec<Box<dyn Subject + '_>> = Vec::new();
        for engine in engines {
            subjects.push(Box::new(Asked { engine, sql: &sql }));
        }
        eprintln!("bench: (b) Q{number}");
        outcomes.push(Outcome {
            number,
            series: rounds(&mut subjects, run.rounds).await,
            rows,
        });
    }
    let noise = watch.end()?;
    duckdb.stop().await?;
    gateway.stop().await?;
    let mut rows: Vec<Row> = Vec::new();
    for (peer, goal) in [(1, Some((4, 1.10))), (2, Some((5, 1.6)))] {
        rows.extend(summary(&outcomes, peer, goal));
    }
    for outcome in &outcomes {
        rows.extend((1..=2).map(|peer| line(outcome, peer)));
    }
    let series = outcomes.into_iter().flat_map(|outcome| {
        let number = outcome.number;
        let named = move |series: Series| Series {
            name: format!("Q{number} {}", series.name),
            ..series
        };
        outcome.series.into_iter().map(named)
    });
    Ok(Found {
        rows,
        samples: json!(series.collect::<Vec<_>>()),
        notes: Vec::new(),
        noise,
    })
}

/// How the answers of both peers compare with the gateway's.
async fn compared(sql: &str, ours: &mut dyn Engine, peers: [&mut dyn Engine; 2]) -> [Rows; 2] {
    let mine = answered(ours, sql).await;
    let mut all = [Rows::None, Rows::None];
    for (rows, peer) in all.iter_mut().zip(peers) {
        *rows = difference(&mine, &answered(peer, sql).await);
    }
    all
}

/// How two answers compare.
pub(super) fn difference(mine: &Result<Answer>, theirs: &Result<Answer>) -> Rows {
    match (mine, theirs) {
        (Err(error), _) | (_, Err(error)) => Rows::Different(format!("{error:#}")),
        (Ok(mine), Ok(theirs)) => match mine.difference(theirs) {
            Some(difference) => Rows::Different(difference),
            None if mine.len() == 0 => Rows::Vacuous,
            None => Rows::Same(mine.len() as u64),
        },
    }
}

/// What an engine answers.
pub(super) async fn answered(engine: &mut dyn Engine, sql: &str) -> Result<Answer> {
    Answer::of(&engine.answer(sql).await?)
}

fn line(outcome: &Outcome, peer: usize) -> Row {
    let (ours, theirs) = (&outcome.series[0], &outcome.series[peer]);
    let mut row = Row::new(
        'b',
        format!("TPC-H Q{}", outcome.number),
        "s",
        theirs.name.clone(),
    );
    (row.ours, row.peer) = (ours.wall(), theirs.wall());
    (row.ours_cpu, row.peer_cpu) = (ours.cpu(), theirs.cpu());
    row.failure = ours.failure.clone().or_else(|| theirs.failure.clone());
    row.rows = outcome.rows[peer - 1].clone();
    row
}

/// The sum of all queries, and the geometric mean of their ratios.
fn summary(outcomes: &[Outcome], peer: usize, goal: Option<(u8, f64)>) -> Vec<Row> {
    let lines: Vec<Row> = outcomes.iter().map(|outcome| line(outcome, peer)).collect();
    let peer_name = lines
        .first()
        .map(|line| line.peer_name.clone())
        .unwrap_or_default();
    let mut total = total('b', "TPC-H, sum of 22 queries", &lines);
    if let Some((number, most)) = goal {
        total = total.with_goal(number, Of::Ratio, Bound::AtMost(most));
    }
    let mut mean = Row::new('b', "TPC-H, geometric mean of the ratios", "x", peer_name);
    let logarithms: Option<Vec<f64>> = lines.iter().map(|line| line.ratio().map(f64::ln)).collect();
    mean.ours = logarithms.map(|all| (all.iter().sum::<f64>() / all.len().max(1) as f64).exp());
    mean.peer = Some(1.0);
    mean.failure.clone_from(&total.failure);
    mean.rows = total.rows.clone();
    vec![total, mean]
}

/// The sum of all queries.
pub(super) fn total(part: char, name: &str, lines: &[Row]) -> Row {
    let peer_name = lines
        .first()
        .map(|line| line.peer_name.clone())
        .unwrap_or_default();
    let mut total = Row::new(part, name, "s", peer_name);
    total.ours = lines.iter().map(|line| line.ours).sum();
    total.peer = lines.iter().map(|line| line.peer).sum();
    total.ours_cpu = lines
        .iter()
        .map(|line| line.ours_cpu)
        .try_fold(Cpu::default(), added);
    total.peer_cpu = lines
        .iter()
        .map(|line| line.peer_cpu)
        .try_fold(Cpu::default(), added);
    total.failure = lines.iter().find_map(|line| line.failure.clone());
    total.rows = together(lines);
    total
}

fn added(sum: Cpu, more: Option<Cpu>) -> Option<Cpu> {
    more.map(|more| Cpu {
        server: sum.server + more.server,
        client: sum.client + more.client,
    })
}

/// One verdict for all queries: the first difference, or the rows of all. Empty answers are said, not hidden.
pub(super) fn together(lines: &[Row]) -> Rows {
    let mut same = 0;
    let mut is_vacuous = true;
    for line in lines {
        match &line.rows {
            Rows::Different(how) => return Rows::Different(format!("{}: {how}", line.name)),
            Rows::Same(rows) => {
                same += rows;
                is_vacuous = false;
            }
            Rows::Vacuous | Rows::Checked(_) | Rows::None => {}
        }
    }
    if is_vacuous {
        Rows::Vacuous
    } else {
        Rows::Same(same)
    }
}
