//! The run on paper: `benches/results/DATE-LABEL.md` to read, and `.json` beside it with every sample.
//!
//! Invariant: no report names a host, a user or a folder of the machine it was made on, and a report of a busy machine
//! carries that in its name.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::noise::{Noise, QUIET};
use crate::parts::{Found, Run};
use crate::peers::gateway::SETTINGS;
use crate::system::cores;
use crate::table::{Row, markdown};

/// Everything that a reader needs to judge the figures.
#[derive(Debug)]
pub struct Report {
    /// The command line, without the program's folder.
    pub command: String,
    /// A word for the file's name instead of the usual one.
    pub label: Option<String>,
    /// The parts that ran, by their letters.
    pub parts: Vec<(char, Found)>,
}

impl Report {
    /// All lines of the table.
    pub fn rows(&self) -> Vec<Row> {
        self.parts
            .iter()
            .flat_map(|(_, found)| found.rows.clone())
            .collect()
    }

    /// What others did to the machine while any part ran.
    pub fn noise(&self) -> Noise {
        self.parts
            .iter()
            .fold(Noise::default(), |noise, (_, found)| noise.or_worse(found.noise))
    }

    /// One sentence on how quiet the machine was.
    pub fn verdict(&self) -> String {
        let noise = self.noise();
        let shares = format!("others used up to {:.0} % of the machine", noise.others * 100.0);
        let stolen = format!("its host kept up to {:.0} % of it", noise.stolen * 100.0);
        match noise.is_quiet() {
            true => format!("quiet: {shares}, {stolen}"),
            false => format!(
                "NOISY, not to be published: {shares}, {stolen}; the limit is {:.0} %",
                QUIET * 100.0
            ),
        }
    }

    /// Writes both files and gives the path of the readable one.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, run: &Run) -> Result<PathBuf> {
        let date = chrono::Utc::now().format("%Y-%m-%d").to_string();
        let noisy = if self.noise().is_quiet() { "" } else { "-noisy" };
        let parts: String = self.parts.iter().map(|(part, _)| *part).collect();
        let usual = match parts.as_str() {
            "abcd" => format!("sf{}-{}cores", run.place.scale, cores()),
            some => format!("sf{}-{}cores-{some}", run.place.scale, cores()),
        };
        let label = self.label.clone().unwrap_or(usual);
        let folder = run.place.results();
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{date}-{label}{noisy}.md"));
        fs::write(&path, self.text(run, &date)?).with_context(|| path.display().to_string())?;
        let json = serde_json::to_string_pretty(&self.json(run, &date))?;
        fs::write(path.with_extension("json"), json + "\n")?;
        Ok(path)
    }

    fn facts(&self, run: &Run, date: &str) -> Vec<(&'static str, String)> {
        let versions = [
            format!("arrow {}", arrow::ARROW_VERSION),
            format!("datafusion {}", datafusion::DATAFUSION_VERSION),
        ];
        let settings: Vec<String> = SETTINGS
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        vec![
            ("date", date.to_owned()),
            ("command", self.command.clone()),
            ("commit", run.place.commit()),
            ("scale", run.place.scale.to_string()),
            ("rounds", run.rounds.to_string()),
            ("quick", run.quick.to_string()),
            ("seed", run.seed.to_string()),
            ("cores", cores().to_string()),
            ("machine", self.verdict()),
            (
                "versions",
                versions
                    .iter()
                    .chain(&run.python.packages)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            (
                "gateway settings that differ from the defaults",
                settings.join(", "),
            ),
        ]
    }

    fn text(&self, run: &Run, date: &str) -> Result<String> {
        let mut text = format!("# Bench of {date}\n\n");
        for (name, value) in self.facts(run, date) {
            writeln!(text, "- {name}: {value}")?;
        }
        writeln!(text, "\n{}", markdown(&self.rows()))?;
        writeln!(text, "How to read it: [README.md](README.md).\n")?;
        for (part, found) in self.parts.iter().filter(|(_, found)| !found.notes.is_empty()) {
            writeln!(text, "## Beside ({part})\n")?;
            for note in &found.notes {
                writeln!(text, "- {note}")?;
            }
            text.push('\n');
        }
        let failures: Vec<String> = self.rows().iter().filter_map(failure).collect();
        if !failures.is_empty() {
            writeln!(text, "## What failed\n")?;
            for failure in failures {
                writeln!(text, "- {failure}")?;
            }
        }
        Ok(text.trim_end().to_owned() + "\n")
    }

    fn json(&self, run: &Run, date: &str) -> Value {
        let facts: serde_json::Map<String, Value> = self
            .facts(run, date)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let rows: Vec<Value> = self
            .rows()
            .iter()
            .map(|row| json!({ "row": row, "ratio": row.ratio(), "met": row.is_met() }))
            .collect();
        let parts: serde_json::Map<String, Value> = self
            .parts
            .iter()
            .map(|(part, found)| (part.to_string(), json!(found)))
            .collect();
        json!({ "run": facts, "rows": rows, "parts": parts })
    }
}

/// What is wrong with a line, in full.
pub fn failure(row: &Row) -> Option<String> {
    let reason = match (&row.failure, &row.rows) {
        (Some(failure), _) => failure,
        (None, crate::table::Rows::Different(how)) => how,
        _ => return None,
    };
    let reason = reason.lines().next().unwrap_or_default();
    Some(format!(
        "({}) {} against {}: {reason}",
        row.part, row.name, row.peer_name
    ))
}
