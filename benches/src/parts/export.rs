//! (a) A whole table out of the lake: `SELECT * FROM lineitem`, through the gateway and through everybody else.
//!
//! The rows of each are digested before the clock and compared with those of bare DataFusion on the same files. The floor
//! and the C++ server stream batches from memory, and roapi by default does too; the gateway, roapi on disk and Sail decode
//! Parquet meanwhile.

mod compare;
mod servers;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Found, Run};
use crate::digest::Digest;
use crate::engines::Engine as _;
use crate::flight::Digested;
use crate::measure::{Series, Subject, rounds};
use crate::noise::Watch;
use crate::peers::datafusion::InProcess;
use crate::probe;
use crate::table::Rows;
use servers::Servers;

/// The table that is exported.
const TABLE: &str = "lineitem";
/// The statement of every peer that has the table under its name.
const SQL: &str = "SELECT * FROM lineitem";

/// What became of one exporter.
#[derive(Debug, Clone)]
struct Outcome {
    series: Series,
    rows: Rows,
}

/// All exporters by their names.
type Outcomes = BTreeMap<String, Outcome>;

/// Runs the part.
///
/// # Errors
/// When the gateway, the floor or the reference cannot be had; a peer that cannot is a failed row.
pub async fn run(run: &Run) -> Result<Found> {
    let (expected, schema) = {
        let mut reference = InProcess::open(&run.place).await?;
        let first = reference.answer(&format!("{SQL} LIMIT 1")).await?;
        let schema = first.first().context("the table has no rows")?.schema();
        (reference.digest(SQL).await?, schema)
    };
    let mut servers = Servers::start(run).await?;
    let mut outcomes = Outcomes::new();
    let mut entrants = Vec::new();
    for (name, entrant) in servers.entrants(run, &schema).await? {
        let entrant = match entrant {
            Ok(entrant) => entrant,
            Err(error) => {
                outcomes.insert(name.to_owned(), Outcome::failed(name, &error));
                continue;
            }
        };
        entrants.push(entrant);
    }
    let mut verdicts = BTreeMap::new();
    for entrant in &mut entrants {
        eprintln!("bench: (a) comparing the rows of {}", entrant.name());
        verdicts.insert(
            entrant.name().to_owned(),
            compared(expected, entrant.as_mut()).await,
        );
    }

    let watch = Watch::start()?;
    let loopback = tokio::task::spawn_blocking(probe::loopback_bytes_per_second).await??;
    let mut subjects: Vec<Box<dyn Subject + '_>> = entrants
        .iter_mut()
        .map(|entrant| Box::new(entrant.as_mut()) as Box<dyn Subject + '_>)
        .collect();
    subjects.push(Box::new(servers.decode()));
    eprintln!("bench: (a) {} rounds of {} subjects", run.rounds, subjects.len());
    let series = rounds(&mut subjects, run.rounds).await;
    drop(subjects);
    let noise = watch.end()?;

    for series in series {
        // The decoder counts its rows and gives none.
        let rows = verdicts.remove(&series.name).unwrap_or(Rows::None);
        outcomes.insert(series.name.clone(), Outcome { series, rows });
    }
    drop(entrants);
    servers.stop().await?;
    Ok(Found {
        rows: compare::table(&outcomes),
        notes: compare::notes(&outcomes, expected, loopback),
        samples: json!(
            outcomes
                .values()
                .map(|outcome| &outcome.series)
                .collect::<Vec<_>>()
        ),
        noise,
    })
}

impl Outcome {
    fn failed(name: &str, error: &anyhow::Error) -> Self {
        let failure = Some(format!("{error:#}"));
        Self {
            series: Series {
                name: name.to_owned(),
                failure,
                ..Series::default()
            },
            rows: Rows::None,
        }
    }
}

/// How the rows of an exporter compare with the expected ones.
async fn compared(expected: Digest, entrant: &mut dyn Digested) -> Rows {
    match entrant.digest().await {
        Ok(found) if found == expected && found.rows == 0 => Rows::Vacuous,
        Ok(found) if found == expected => Rows::Same(found.rows),
        Ok(found) if found.rows == expected.rows => {
            Rows::Different("same number of rows, other values".to_owned())
        }
        Ok(found) => Rows::Different(format!("{} rows, expected {}", found.rows, expected.rows)),
        Err(error) => Rows::Different(format!("{error:#}")),
    }
}
