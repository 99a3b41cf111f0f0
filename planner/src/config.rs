//! Bounds of planning and execution, and the sources.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use connectors::SourceConfig;
use serde::{Deserialize, Serialize};

use crate::cache::CacheConfig;
use crate::error::{Error, Result};

/// Waits end within this: a clock that far ahead would not add up.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Configuration of the planner.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest statement, in bytes of UTF-8.
    pub statement_bytes_max: ByteSize,
    /// Most tokens in a statement.
    pub tokens_max: usize,
    /// Deepest nesting of parentheses, subqueries and expressions.
    pub depth_max: usize,
    /// Most operators in a row without parentheses, such as `a OR b OR c`.
    pub chain_max: usize,
    /// Most rows of parameters in one call.
    pub parameter_rows_max: usize,
    /// Longest run of one query.
    #[serde(with = "humantime_serde")]
    pub query_timeout: Duration,
    /// Memory of all queries together.
    pub memory_max: ByteSize,
    /// Memory of one query.
    pub query_memory_max: ByteSize,
    /// Threads that plan and execute; 0 means one for each processor.
    pub threads: usize,
    /// Stack of each such thread. Virtual memory; only what a deep plan touches becomes real.
    pub thread_stack: ByteSize,
    /// Rows in a batch between operators.
    pub batch_rows: usize,
    /// Rows that make a result worth one more endpoint.
    pub endpoint_rows: u64,
    /// Most endpoints of one result.
    pub endpoints_max: usize,
    /// Batches that may wait between the engine and the encoder of a stream.
    pub stream_batches_max: usize,
    /// Where large sorts and aggregates spill; the system's temporary folder when empty.
    pub spill_dir: Option<PathBuf>,
    /// Most bytes of spill files.
    pub spill_max: ByteSize,
    /// Plans that are kept for statements seen before.
    pub plan_cache_entries: u64,
    /// How rows of answers are kept.
    pub cache: CacheConfig,
    /// Roles that see the text of the statements which their queries send to a source; `*` is everybody.
    pub statement_readers: Vec<String>,
    /// The share of the queries that are made again without handing anything down, to compare; 0 to 1.
    pub shadow_rate: f64,
    /// The most rows that one source gives to such a second run.
    pub shadow_rows_max: u64,
    /// The sources, by catalog name.
    pub sources: BTreeMap<String, SourceConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            statement_bytes_max: ByteSize::mib(1),
            tokens_max: 200_000,
            depth_max: 200,
            chain_max: 10_000,
            parameter_rows_max: 10_000,
            query_timeout: Duration::from_secs(3600),
            memory_max: ByteSize::gib(4),
            query_memory_max: ByteSize::gib(2),
            threads: 0,
            thread_stack: ByteSize::mib(256),
            batch_rows: 8192,
            endpoint_rows: 250_000,
            endpoints_max: 16,
            stream_batches_max: 4,
            spill_dir: None,
            spill_max: ByteSize::gib(20),
            plan_cache_entries: 1_000,
            cache: CacheConfig::default(),
            statement_readers: vec!["*".to_owned()],
            shadow_rate: 0.0,
            shadow_rows_max: 1_000_000,
            sources: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Checks that each bound leaves room to work and means what it says, those of the sources included.
    ///
    /// # Errors
    /// `Setting` naming the first key at fault, without the name of the section.
    pub fn validate(&self) -> Result<()> {
        let within = |key: &str, value: u64, least: u64, most: u64| match value {
            value if (least..=most).contains(&value) => Ok(()),
            _ if most == u64::MAX => Err(fault(key, format!("must be at least {least}"))),
            _ => Err(fault(key, format!("must be between {least} and {most}"))),
        };
        let bytes = |key: &str, value: ByteSize, least: ByteSize| match value >= least {
            true => Ok(()),
            false => Err(fault(key, format!("must be at least {least}"))),
        };
        bytes("statement_bytes_max", self.statement_bytes_max, ByteSize::b(1))?;
        within("tokens_max", self.tokens_max as u64, 1, u64::MAX)?;
        // Below, the parser refuses `SELECT 1`.
        within("depth_max", self.depth_max as u64, 10, 10_000)?;
        within("chain_max", self.chain_max as u64, 1, 100_000)?;
        within("parameter_rows_max", self.parameter_rows_max as u64, 1, u64::MAX)?;
        if !(Duration::from_millis(1)..=YEAR).contains(&self.query_timeout) {
            return Err(fault("query_timeout", "must be between 1ms and 365 days"));
        }
        bytes("memory_max", self.memory_max, ByteSize::mib(1))?;
        bytes("query_memory_max", self.query_memory_max, ByteSize::mib(1))?;
        within("threads", self.threads as u64, 0, 4_096)?;
        bytes("thread_stack", self.thread_stack, ByteSize::mib(2))?;
        within("batch_rows", self.batch_rows as u64, 1, 1 << 20)?;
        within("endpoint_rows", self.endpoint_rows, 1, u64::MAX)?;
        within("endpoints_max", self.endpoints_max as u64, 1, 10_000)?;
        within("stream_batches_max", self.stream_batches_max as u64, 1, 1 << 20)?;
        if self.spill_dir.as_ref().is_some_and(|dir| !dir.is_absolute()) {
            return Err(fault("spill_dir", "must be an absolute path"));
        }
        if !(0.0..=1.0).contains(&self.shadow_rate) {
            return Err(fault("shadow_rate", "must be 0 to 1"));
        }
        within("shadow_rows_max", self.shadow_rows_max, 1, u64::MAX)?;
        self.cache.validate()?;
        for (name, source) in &self.sources {
            source.validate().map_err(|error| match error {
                connectors::Error::Invalid { key, problem } => {
                    fault(&format!("sources.{name}.{key}"), problem)
                }
                other => fault(&format!("sources.{name}"), other.to_string()),
            })?;
        }
        Ok(())
    }
}

fn fault(key: &str, problem: impl Into<String>) -> Error {
    Error::Setting {
        key: key.to_owned(),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_that_leaves_no_room_is_named() {
        Config::default().validate().unwrap();
        type Break = fn(&mut Config);
        let cases: [(&str, Break); 15] = [
            ("statement_bytes_max", |config| {
                config.statement_bytes_max = ByteSize::b(0)
            }),
            ("tokens_max", |config| config.tokens_max = 0),
            ("depth_max", |config| config.depth_max = 9),
            ("chain_max", |config| config.chain_max = 0),
            ("parameter_rows_max", |config| config.parameter_rows_max = 0),
            ("query_timeout", |config| config.query_timeout = Duration::ZERO),
            ("memory_max", |config| config.memory_max = ByteSize::kib(1)),
            ("query_memory_max", |config| {
                config.query_memory_max = ByteSize::kib(1)
            }),
            ("threads", |config| config.threads = 1 << 20),
            ("thread_stack", |config| config.thread_stack = ByteSize::kib(64)),
            ("batch_rows", |config| config.batch_rows = 0),
            ("endpoint_rows", |config| config.endpoint_rows = 0),
            ("endpoints_max", |config| config.endpoints_max = 0),
            ("stream_batches_max", |config| config.stream_batches_max = 0),
            ("spill_dir", |config| config.spill_dir = Some("here".into())),
        ];
        for (key, change) in cases {
            let mut config = Config::default();
            change(&mut config);
            match config.validate() {
                Err(Error::Setting { key: found, .. }) => assert_eq!(found, key),
                other => unreachable!("{key}: {other:?}"),
            }
        }
    }
}
