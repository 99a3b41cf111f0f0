//! The command line of `lakegate-ingest`.
//!
//! Invariants: the exit code is 0 for success, 1 for failure and 2 for wrong usage; a failure is one line on the standard error output, with
//! its causes; what a command is asked for goes to the standard output and nothing else does.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::bronze::envelope;
use crate::contract::Contract;
use crate::door;
use crate::error::{Error, Result};
use crate::kafka::inspect;
use crate::pipeline::Pipeline;
use crate::service::{Rooms, Service};
use crate::settings::Settings;

mod feed;
mod plan;
mod status;

/// Records into zones, exactly once
///
/// Takes records to bronze as received, to silver typed and checked, to gold as models; each an Iceberg table, each commit exactly once.
#[derive(Debug, Parser)]
#[command(
    name = "lakegate-ingest",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage."
)]
struct Arguments {
    /// The config file; its pipelines folder holds the pipelines
    #[arg(long, global = true, value_name = "FILE", default_value = "ingest.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is wrong with config and pipelines, and ask their sources, without touching the lake
    Check {
        /// Ask no source
        #[arg(long)]
        offline: bool,
    },
    /// Say what serving would change in the catalog, and change nothing
    Plan,
    /// Take everything that waits in bronze to silver and gold, once, and end
    Run {
        /// Only this pipeline
        #[arg(long, value_name = "NAME")]
        pipeline: Option<String>,
    },
    /// Take uploads and run every pipeline until told to stop
    Serve,
    /// Show each pipeline: what came, what became of it, what waits
    Status {
        /// As JSON, one pipeline a line
        #[arg(long)]
        json: bool,
    },
    /// Send rejected records of a pipeline through it again, such as after its rules were corrected
    Replay {
        /// The pipeline
        pipeline: String,
        /// Only records that broke this rule
        #[arg(long, value_name = "RULE")]
        rule: Option<String>,
    },
    /// Load files of a folder into a pipeline, each once however often this is run
    Backfill {
        /// The pipeline
        pipeline: String,
        /// The folder; files are told by their endings: ndjson, json, csv, parquet, avro, and .gz or .zst behind them
        folder: PathBuf,
    },
    /// Print the JSON Schema of pipeline files
    Schema,
}

/// Runs the command line, the program's name first, and gives the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, with code 0. Nothing is left to do if they cannot be printed.
            return match error.print() {
                Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    match command(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let line = format!("lakegate-ingest: {}\n", error.chain());
            match io::stderr().write_all(line.as_bytes()) {
                Ok(()) | Err(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn command(arguments: &Arguments) -> Result<()> {
    if matches!(arguments.command, Command::Schema) {
        return print(&schema());
    }
    let settings = Settings::open(&arguments.config)?;
    let pipelines = Pipeline::folder(&settings.pipelines)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| system("start", Path::new("the runtime"), error))?;
    match &arguments.command {
        Command::Schema => Ok(()),
        Command::Check { offline } => runtime.block_on(check(&settings, &pipelines, *offline)),
        Command::Plan => runtime.block_on(plan::run(&settings, &pipelines)),
        Command::Run { pipeline } => runtime.block_on(once(&settings, &pipelines, pipeline.as_deref())),
        Command::Serve => runtime.block_on(serve(settings, pipelines)),
        Command::Status { json } => runtime.block_on(status::run(&settings, &pipelines, *json)),
        Command::Replay { pipeline, rule } => runtime.block_on(feed::replay(
            &settings,
            chosen(&pipelines, pipeline)?,
            rule.as_deref(),
        )),
        Command::Backfill { pipeline, folder } => {
            runtime.block_on(feed::backfill(&settings, chosen(&pipelines, pipeline)?, folder))
        }
    }
}

/// The JSON Schema of pipeline files, as `deploy/pipelines/schema.json` has it.
pub fn schema() -> String {
    let schema = schemars::schema_for!(crate::pipeline::Document);
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text + "\n"
}

async fn check(settings: &Settings, pipelines: &[Pipeline], offline: bool) -> Result<()> {
    for pipeline in pipelines {
        crate::silver::check(pipeline)?;
    }
    let mut text = format!(
        "config: ok, {} of {}\n",
        plural(pipelines.len()),
        settings.pipelines.display()
    );
    for pipeline in pipelines {
        text += &format!(
            "{}: ok, {} columns, {} rules, {} models\n",
            pipeline.name(),
            pipeline.document().contract.columns.len(),
            pipeline.document().quality.rules.len(),
            pipeline.document().gold.len()
        );
    }
    print(&text)?;
    for pipeline in pipelines.iter().filter(|_| !offline) {
        if let Some(kafka) = pipeline.document().source.kafka() {
            let told = inspect::check(pipeline.name(), kafka).await?;
            print(&format!("{}: {told}\n", pipeline.name()))?;
        }
    }
    Ok(())
}

fn plural(count: usize) -> String {
    if count == 1 {
        "1 pipeline".to_owned()
    } else {
        format!("{count} pipelines")
    }
}

async fn once(settings: &Settings, pipelines: &[Pipeline], only: Option<&str>) -> Result<()> {
    telemetry("warn");
    let rooms = Rooms::open(settings).await?;
    if let Some(name) = only {
        chosen(pipelines, name)?;
    }
    for pipeline in pipelines
        .iter()
        .filter(|pipeline| only.is_none_or(|name| name == pipeline.name()))
    {
        rooms.appender.ensure(&envelope::contract(pipeline)?).await?;
        let silver = rooms.silver(pipeline).await?;
        let (mut records, mut published, mut rejected, mut duplicates) = (0, 0, 0, 0);
        loop {
            let cycle = silver.cycle().await?;
            records += cycle.records;
            published += cycle.published;
            rejected += cycle.rejected;
            duplicates += cycle.duplicates;
            if !cycle.more {
                break;
            }
        }
        let models = rooms.gold(pipeline).cycle().await?;
        print(&format!(
            "{}: {records} records, {published} published, {rejected} rejected, {duplicates} duplicate, {models} models\n",
            pipeline.name()
        ))?;
    }
    Ok(())
}

async fn serve(settings: Settings, pipelines: Vec<Pipeline>) -> Result<()> {
    telemetry("info");
    let hear = |kind| signal(kind).map_err(|error| system("hear", Path::new("signals"), error));
    let mut interrupt: Signal = hear(SignalKind::interrupt())?;
    let mut terminate: Signal = hear(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let service = Service::start(&settings, pipelines, &stop).await?;
    let open = door::open(settings, service, stop.clone()).await?;
    print(&format!("ready ingest=http://{}\n", open.address))?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
    open.closed().await;
    Ok(())
}

fn chosen<'a>(pipelines: &'a [Pipeline], name: &str) -> Result<&'a Pipeline> {
    let found = pipelines.iter().find(|pipeline| pipeline.name() == name);
    found.ok_or_else(|| Error::NoPipeline {
        name: name.to_owned(),
    })
}

/// Every table that a pipeline writes, whose contract is known beforehand.
fn contracts(pipeline: &Pipeline) -> Result<Vec<Contract>> {
    Ok(vec![
        envelope::contract(pipeline)?,
        pipeline.silver().clone(),
        crate::rejects::contract()?,
    ])
}

fn telemetry(level: &str) {
    let started = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(io::stderr)
        .try_init();
    // A second start keeps the first one.
    drop(started);
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| system("write", Path::new("the standard output"), error))
}

fn system(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Storage {
        action,
        path: path.display().to_string(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }

    #[test]
    fn the_published_schema_is_that_of_the_code() {
        let published = include_str!("../../deploy/pipelines/schema.json");
        assert_eq!(
            super::schema(),
            published,
            "run `lakegate-ingest schema > deploy/pipelines/schema.json`"
        );
    }
}
