//! `make bench`: the gateway against its floor and its peers, on the same data and in the same run, as one table of ratios.
//!
//! `place` says where things are, `data` makes the same files for all, `peers` starts everybody, `parts` are the
//! comparisons, `measure` and `load` hold the clock, `noise` says whether the machine was ours, `table` and `report` say what
//! came out.
//!
//! Invariants: rows are compared before times; both sides of a ratio are measured in this run; a failed peer is a failed
//! row and not a missing one; the exit code is 0 only when every row stands.

mod answer;
mod data;
mod digest;
mod engines;
mod flight;
mod floor_server;
mod load;
mod measure;
mod noise;
mod parts;
mod peers;
mod place;
mod probe;
mod process;
mod python;
mod random;
mod report;
mod rest;
mod system;
mod table;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::parts::{Found, Run, export, federation, idle, kept, point, policies, tpch};
use crate::peers::gateway::Gateway;
use crate::place::Place;
use crate::python::Python;
use crate::report::Report;

/// The allocator of the gateway, so that the bare engine in this process and the floor have no other one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure the gateway against the floor and the peers
///
/// (a) exports of lineitem, (b) the 22 TPC-H queries, (c) orders by their key under load, (d) memory of idle sessions,
/// (e) one SQL over Postgres and the lake, (f) answers out of the cache, (g) queries and decisions under policies.
/// The table goes to the standard output, and with every sample to benches/results. How to read it: benches/results/README.md.
#[derive(Debug, Parser)]
#[command(
    name = "bench",
    args_conflicts_with_subcommands = true,
    after_help = "\
Exit codes: 0 every row stands, met or not; 1 a row failed or gave other rows than its peer; 2 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// The parts to run
    #[arg(long, value_name = "PARTS", value_delimiter = ',', default_value = "a,b,c,d,e,f,g", value_parser = ["a", "b", "c", "d", "e", "f", "g"])]
    only: Vec<String>,
    /// The TPC-H scale; the data of a scale is made once and kept
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    scale: f64,
    /// Rounds of every comparison, forwards and backwards in turn; medians over fewer than 5 are for debugging
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Scale 0.1, one round, short loads: does everything run?
    #[arg(long)]
    quick: bool,
    /// What random keys come from; printed, and a new one in each run
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The report's name after the date; without it scale and processors
    #[arg(long, value_name = "WORD")]
    label: Option<String>,
    /// Print the table and write no report
    #[arg(long)]
    no_report: bool,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serve rows from memory and nothing else (the bench starts itself this way)
    #[command(hide = true)]
    Floor {
        /// The Flight server to fetch the rows from
        #[arg(long)]
        source: Option<String>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.role {
        Some(Role::Floor { source }) => floor_server::serve(source).await.map(|()| true),
        None => bench(arguments).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the parts; whether every row stands.
async fn bench(arguments: Arguments) -> Result<bool> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let place = Place::find(if arguments.quick { 0.1 } else { arguments.scale })?;
    let run = Run {
        python: Python::prepare(&place).await?,
        rounds: if arguments.quick {
            1
        } else {
            usize::from(arguments.rounds)
        },
        quick: arguments.quick,
        seed: arguments.seed.unwrap_or(clock),
        place,
    };
    prepare(&run).await?;
    let mut report = Report {
        command: command(),
        label: arguments.label,
        parts: Vec::new(),
    };
    for letter in ['a', 'b', 'c', 'd', 'e', 'f', 'g'] {
        if arguments.only.iter().any(|asked| asked.starts_with(letter)) {
            let found = one(letter, &run)
                .await
                .with_context(|| format!("part ({letter})"))?;
            report.parts.push((letter, found));
        }
    }
    let rows = report.rows();
    println!("{}", table::aligned(&rows));
    println!(
        "scale {}, {} rounds, seed {}, {}",
        run.place.scale,
        run.rounds,
        run.seed,
        report.verdict()
    );
    for failure in rows.iter().filter_map(report::failure) {
        println!("failed: {failure}");
    }
    if !arguments.no_report {
        let path = report.write(&run)?;
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        println!("written to benches/results/{name}");
    }
    Ok(!rows.iter().any(table::Row::is_wrong))
}

/// Makes the lake where it is not there yet, and the peers' view of its files.
async fn prepare(run: &Run) -> Result<()> {
    eprintln!("bench: the lake at scale {}", run.place.scale);
    Gateway::start(&run.place).await?.stop().await?;
    data::link_parquet(&run.place).await
}

async fn one(part: char, run: &Run) -> Result<Found> {
    match part {
        'a' => export::run(run).await,
        'b' => tpch::run(run).await,
        'c' => point::run(run).await,
        'e' => federation::run(run).await,
        'f' => kept::run(run).await,
        'g' => policies::run(run).await,
        _ => idle::run(run).await,
    }
}

/// The command line without the folder that the program lies in.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("bench {}", arguments.join(" ")).trim_end().to_owned()
}
