//! Bounds of planning and execution, and the sources.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use connectors::SourceConfig;
use serde::{Deserialize, Serialize};

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
            sources: BTreeMap::new(),
        }
    }
}
