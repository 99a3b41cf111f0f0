//! Scans in several partitions, each fetchable alone.

use crate::iceberg::fixture::{Lake, column, query, register, schema};
use ::iceberg::spec::PrimitiveType;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream_partitioned};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use std::sync::Arc;

/// Rows that do not compress, so that the table is worth several partitions.
const ROWS: &str =
    "SELECT value, md5(value::varchar) || md5((value * 7)::varchar) || md5((value * 13)::varchar)
                    FROM generate_series(1, 60000)";

async fn lake() -> Lake {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([
            column(1, "a", PrimitiveType::Long),
            column(2, "s", PrimitiveType::String),
        ]),
    )
    .await;
    lake.append("t", ROWS).await;
    lake
}

async fn plan(lake: &Lake, target: usize, stealing: bool) -> (SessionContext, Arc<dyn ExecutionPlan>) {
    let mut config = SessionConfig::new().with_target_partitions(target);
    config.options_mut().execution.enable_file_stream_work_stealing = stealing;
    let context = SessionContext::new_with_config(config);
    register(&context, "t", &lake.table("t", None).await);
    let plan = query(&context, "SELECT a, s FROM t")
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    (context, plan)
}

fn shown(plan: &Arc<dyn ExecutionPlan>) -> String {
    datafusion::physical_plan::displayable(plan.as_ref())
        .indent(true)
        .to_string()
}

#[tokio::test]
async fn the_same_snapshot_and_target_give_the_same_partitions() {
    let lake = lake().await;
    let (_, first) = plan(&lake, 3, true).await;
    let again = crate::iceberg::Iceberg::open("lake", &lake.config, tokio::runtime::Handle::current())
        .await
        .unwrap();
    let other = Lake {
        source: again,
        ..lake
    };
    let (_, second) = plan(&other, 3, true).await;
    assert_eq!(shown(&first), shown(&second));
    assert_eq!(
        first.output_partitioning().partition_count(),
        3,
        "{}",
        shown(&first)
    );
}

#[tokio::test]
async fn a_partition_executed_alone_reads_its_own_rows_and_all_together_read_all() {
    let lake = lake().await;
    let mut all = Vec::new();
    for index in 0..3 {
        // A process of its own for each partition.
        let (context, plan) = plan(&lake, 3, false).await;
        let batches: Vec<_> = plan
            .execute(index, context.task_ctx())
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        let rows: Vec<i64> = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect();
        assert!(
            (10_000..30_000).contains(&rows.len()),
            "partition {index} has {} rows",
            rows.len()
        );
        all.extend(rows);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=60_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn all_partitions_together_with_work_stealing_read_all() {
    let lake = lake().await;
    let (context, plan) = plan(&lake, 4, true).await;
    let streams = execute_stream_partitioned(plan, context.task_ctx()).unwrap();
    let mut rows = 0;
    for stream in streams {
        rows += stream
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
            .iter()
            .map(|batch| batch.num_rows())
            .sum::<usize>();
    }
    assert_eq!(rows, 60_000);
}

#[tokio::test]
async fn a_small_table_is_one_partition() {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([
            column(1, "a", PrimitiveType::Long),
            column(2, "s", PrimitiveType::String),
        ]),
    )
    .await;
    lake.append("t", "VALUES (1, 'x')").await;
    lake.append("t", "VALUES (2, 'y')").await;
    let (_, plan) = plan(&lake, 8, true).await;
    assert_eq!(
        plan.output_partitioning().partition_count(),
        1,
        "{}",
        shown(&plan)
    );
}
