//! The engine's session for one statement: the only place where a DataFusion session comes to be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use connectors::QueryScope;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SessionStateBuilder, TaskContext};
use datafusion::prelude::SessionConfig;

use crate::arithmetic::{self, CheckedArithmetic};
use crate::comparisons::Times;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::functions::{self, MeasuredFunctions};
use crate::memory::QueryPool;
use crate::pushdown;
use crate::request::Session;
use crate::resolve::Resolution;
use crate::stores::SourceStores;

/// Time zones that are kept ready.
const ZONES_MAX: usize = 64;

/// What every session starts from: the functions, the rules and the shared runtime.
#[derive(Debug)]
pub(crate) struct Sessions {
    base: SessionState,
    /// The same for each time zone seen: functions such as `now()` take their zone when a state is built.
    zones: Mutex<HashMap<String, SessionState>>,
    runtime: Arc<RuntimeEnv>,
    memory: Arc<dyn MemoryPool>,
    query_bytes_max: usize,
}

impl Sessions {
    pub(crate) fn open(config: &Config) -> Result<Self> {
        let bytes = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        // Greedy and not fair: a wide plan has some ninety consumers, and the fair pool starves each of them.
        let memory: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(bytes(config.memory_max)));
        let mode = match &config.spill_dir {
            Some(dir) => DiskManagerMode::Directories(vec![dir.clone()]),
            None => DiskManagerMode::OsTmpDirectory,
        };
        let disk = DiskManagerBuilder::default()
            .with_mode(mode)
            .with_max_temp_directory_size(config.spill_max.as_u64());
        let runtime = RuntimeEnvBuilder::new()
            .with_object_store_registry(Arc::new(SourceStores::default()))
            .with_disk_manager_builder(disk)
            .with_memory_pool(Arc::clone(&memory))
            .build_arc()?;
        let mut builder = SessionStateBuilder::new()
            .with_config(engine_config(config))
            .with_runtime_env(Arc::clone(&runtime))
            .with_default_features()
            .with_table_factories(Default::default())
            .with_physical_optimizer_rules(pushdown::rules())
            .with_analyzer_rule(Arc::new(CheckedArithmetic))
            .with_analyzer_rule(Arc::new(MeasuredFunctions));
        // Before the engine's own: the first that has something to say is heard.
        builder
            .expr_planners()
            .get_or_insert_default()
            .insert(0, Arc::new(Times));
        let mut base = builder.build();
        functions::bound(&mut base)?;
        arithmetic::bound(&mut base)?;
        Ok(Self {
            base,
            zones: Mutex::default(),
            runtime,
            memory,
            query_bytes_max: bytes(config.query_memory_max),
        })
    }

    /// The session of one statement, which knows only the tables of `resolution`. With `partitions`, the plan is cut
    /// into that many parts, the same ones on every machine. With `at`, `now()` is that time (microseconds since 1970).
    pub(crate) fn state(
        &self,
        session: &Session,
        resolution: &Resolution,
        partitions: Option<usize>,
        at: Option<i64>,
    ) -> Result<SessionState> {
        for (url, store) in &resolution.stores {
            self.runtime
                .register_object_store(url.as_ref(), Arc::clone(store));
        }
        let mut state = self.in_zone(&session.time_zone);
        state.register_catalog_list(Arc::clone(&resolution.catalogs));
        let options = state.config_mut().options_mut();
        options.catalog.default_catalog.clone_from(&session.catalog);
        options.catalog.default_schema.clone_from(&session.schema);
        if let Some(count) = partitions {
            options.execution.target_partitions = count;
            options.execution.enable_file_stream_work_stealing = false;
            options.optimizer.enable_round_robin_repartition = false;
            options.optimizer.repartition_file_scans = false;
        }
        state.mark_start_execution();
        if let Some(at) = at.and_then(chrono::DateTime::from_timestamp_micros) {
            state.execution_props_mut().query_execution_start_time = Some(at);
        }
        Ok(state)
    }

    fn in_zone(&self, time_zone: &str) -> SessionState {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = zones.get(time_zone) {
            return state.clone();
        }
        let mut config = self.base.config().clone();
        config.options_mut().execution.time_zone = Some(time_zone.to_owned());
        let state = SessionStateBuilder::new_from_existing(self.base.clone())
            .with_config(config)
            .build();
        if zones.len() < ZONES_MAX {
            zones.insert(time_zone.to_owned(), state.clone());
        }
        state
    }

    /// The context that a plan runs in, with a memory bound of its own, and what its sources share in `scope`.
    pub(crate) fn task(&self, state: &SessionState, scope: &Arc<QueryScope>) -> Result<Arc<TaskContext>> {
        let pool = QueryPool::new(Arc::clone(&self.memory), self.query_bytes_max);
        let runtime = RuntimeEnvBuilder::from_runtime_env(&self.runtime)
            .with_memory_pool(Arc::new(pool))
            .build_arc()?;
        let task = TaskContext::from(state).with_runtime(runtime);
        let config = task.session_config().clone().with_extension(Arc::clone(scope));
        Ok(Arc::new(task.with_session_config(config)))
    }

    /// A state without tables, for work on the text alone.
    pub(crate) fn bare(&self) -> &SessionState {
        &self.base
    }
}

/// Checks a time zone by asking the engine's own parser.
pub(crate) fn check_time_zone(name: &str) -> Result<()> {
    name.parse::<arrow::array::timezone::Tz>()
        .map(|_| ())
        .map_err(|_| Error::Setting {
            key: "timezone".to_owned(),
            problem: "takes an IANA name such as Europe/Zurich, or an offset such as +02:00".to_owned(),
        })
}

fn engine_config(config: &Config) -> SessionConfig {
    let threads = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let mut engine = SessionConfig::new()
        .with_target_partitions(threads)
        .with_batch_size(config.batch_rows)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let options = engine.options_mut();
    options.sql_parser.parse_float_as_decimal = false;
    options.sql_parser.recursion_limit = config.depth_max;
    options.execution.collect_statistics = true;
    // Both sides of a UNION may have comments and ids of their own: the engine would call that a defect of its planner.
    options.execution.skip_physical_aggregate_schema_check = true;
    options.execution.parquet.enable_page_index = true;
    options.execution.spill_compression = datafusion::common::config::SpillCompression::Lz4Frame;
    engine
}
