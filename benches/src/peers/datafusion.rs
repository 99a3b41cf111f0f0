//! DataFusion of the gateway's own version inside this process, over the same Parquet files and with the settings that the
//! planner gives its sessions: what a query costs without any gateway. Same allocator, as many threads, same batches.

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::TryStreamExt as _;
use tokio::runtime::{Builder, Runtime};

use crate::digest::{Digest, Sink as _};
use crate::engines::Engine;
use crate::place::{Place, TABLES};
use crate::system::cores;

/// The stack of a thread, as the planner's threads have it.
const STACK: usize = 256 << 20;

/// A bare engine.
pub struct InProcess {
    context: SessionContext,
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropped inside another runtime, where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}

impl InProcess {
    /// Opens the Parquet files of all tables.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn open(place: &Place) -> Result<Self> {
        let mut config = SessionConfig::new()
            .with_target_partitions(cores())
            .with_batch_size(8192);
        let options = config.options_mut();
        options.sql_parser.parse_float_as_decimal = false;
        options.execution.collect_statistics = true;
        options.execution.parquet.enable_page_index = true;
        let context = SessionContext::new_with_config(config);
        for table in TABLES {
            let folder = format!("{}/", place.parquet().join(table).display());
            context
                .register_parquet(table, folder, ParquetReadOptions::default())
                .await?;
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores())
            .thread_stack_size(STACK)
            .enable_all()
            .build()?;
        Ok(Self {
            context,
            runtime: Some(runtime),
        })
    }

    /// The digest of a statement's rows, which need not fit into memory.
    ///
    /// # Errors
    /// What the engine says is wrong.
    pub async fn digest(&self, sql: &str) -> Result<Digest> {
        let (context, sql) = (self.context.clone(), sql.to_owned());
        let work = async move {
            let mut rows = context.sql(&sql).await?.execute_stream().await?;
            let mut digest = Digest::default();
            while let Some(batch) = rows.try_next().await? {
                digest.take(batch)?;
            }
            anyhow::Ok(digest)
        };
        self.runtime()?.spawn(work).await?
    }

    fn runtime(&self) -> Result<&Runtime> {
        self.runtime.as_ref().context("the engine has stopped")
    }
}

#[async_trait]
impl Engine for InProcess {
    fn name(&self) -> &str {
        "DataFusion in process"
    }

    fn server(&self) -> Option<u32> {
        None
    }

    async fn answer(&mut self, sql: &str) -> Result<Vec<RecordBatch>> {
        let (context, sql) = (self.context.clone(), sql.to_owned());
        let work = async move {
            let plan = context.sql(&sql).await?.create_physical_plan().await?;
            let stream = execute_stream(plan, context.task_ctx())?;
            anyhow::Ok(stream.try_collect::<Vec<_>>().await?)
        };
        self.runtime()?.spawn(work).await?
    }
}
