//! SQL of pipelines: conditions on the columns of a batch, and models over tables of the lake.
//!
//! It runs under the service's own identity, so it sees exactly the tables that it is given, and nothing else exists for it: no files, no
//! functions that read any, no statement but one query.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{CatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::DFSchema;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_plan::{PhysicalExpr, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as Sql;
use futures::TryStreamExt;

use crate::error::{Error, Result};

/// Memory of one model's query.
const MEMORY: usize = 512 << 20;
/// Partitions of one model's query.
const PARTITIONS: usize = 2;

fn session() -> Result<SessionContext> {
    let config = SessionConfig::new()
        .with_target_partitions(PARTITIONS)
        .with_default_catalog_and_schema("lake", "none")
        .set_bool("datafusion.catalog.information_schema", false);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(MEMORY)))
        .build_arc()
        .map_err(|error| Error::sql("the engine", error))?;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// Conditions on the columns of a batch.
#[derive(Debug)]
pub(crate) struct Conditions {
    conditions: Vec<(String, Arc<dyn PhysicalExpr>)>,
}

impl Conditions {
    /// Conditions over `schema`.
    ///
    /// # Errors
    /// [`Error::Sql`] for a text that is no condition on these columns.
    pub(crate) fn of(schema: &SchemaRef, texts: &[&str]) -> Result<Self> {
        let context = session()?;
        let named =
            DFSchema::try_from(Arc::clone(schema)).map_err(|error| Error::sql("the columns", error))?;
        let mut conditions = Vec::new();
        for text in texts {
            let failed = |error| Error::sql(text, error);
            let parsed = context.parse_sql_expr(text, &named).map_err(failed)?;
            let physical = context.create_physical_expr(parsed, &named).map_err(failed)?;
            let kind = physical.data_type(schema).map_err(failed)?;
            if kind != arrow::datatypes::DataType::Boolean {
                let message = format!("a condition is true or false, this is {kind}");
                return Err(failed(datafusion::error::DataFusionError::Plan(message)));
            }
            conditions.push(((*text).to_owned(), physical));
        }
        Ok(Self { conditions })
    }

    /// What each condition says of each row.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Result<Vec<BooleanArray>> {
        let each = self.conditions.iter().map(|(text, condition)| {
            let failed = |error| Error::sql(text, error);
            let value = condition.evaluate(batch).map_err(failed)?;
            let array = match value {
                ColumnarValue::Array(array) => array,
                scalar @ ColumnarValue::Scalar(_) => scalar.into_array(batch.num_rows()).map_err(failed)?,
            };
            Ok(array.as_boolean().clone())
        });
        each.collect()
    }
}

/// A table for a model, under `schema.name`, with the stores that its scan names.
pub(crate) struct Given {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) provider: Arc<dyn TableProvider>,
    pub(crate) stores: Vec<(
        datafusion::execution::object_store::ObjectStoreUrl,
        Arc<dyn object_store::ObjectStore>,
    )>,
    /// A condition that every row which the model sees of it meets.
    pub(crate) only: Option<datafusion::logical_expr::Expr>,
}

/// Runs one query over the given tables and gives all of its rows.
///
/// # Errors
/// [`Error::Sql`] for a text that is no query on these tables, or a failing run.
pub(crate) async fn query(text: &str, tables: Vec<Given>) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let failed = |error| Error::sql(text, error);
    let context = session()?;
    let catalog = Arc::new(datafusion::catalog::MemoryCatalogProvider::new());
    for given in tables {
        for (url, store) in &given.stores {
            context
                .runtime_env()
                .register_object_store(url.as_ref(), Arc::clone(store));
        }
        let schema = match catalog.schema(&given.schema) {
            Some(schema) => schema,
            None => {
                let schema: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
                catalog
                    .register_schema(&given.schema, Arc::clone(&schema))
                    .map_err(failed)?;
                schema
            }
        };
        let provider = match given.only {
            None => given.provider,
            Some(only) => context
                .read_table(given.provider)
                .and_then(|rows| rows.filter(only))
                .map_err(failed)?
                .into_view(),
        };
        schema.register_table(given.name, provider).map_err(failed)?;
    }
    context.register_catalog("lake", catalog);
    let state = context.state();
    let dialect = state.config_options().sql_parser.dialect;
    let statement = state.sql_to_statement(text, &dialect).map_err(failed)?;
    if !matches!(&statement, Statement::Statement(inner) if matches!(inner.as_ref(), Sql::Query(_))) {
        let message = "a model is one query".to_owned();
        return Err(failed(datafusion::error::DataFusionError::Plan(message)));
    }
    let plan = state.statement_to_plan(statement).await.map_err(failed)?;
    let physical = state.create_physical_plan(&plan).await.map_err(failed)?;
    let schema = physical.schema();
    let stream = execute_stream(physical, context.task_ctx()).map_err(failed)?;
    let batches = stream.try_collect().await.map_err(failed)?;
    Ok((schema, batches))
}
