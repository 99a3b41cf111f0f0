//! Scans: batches, parts, one snapshot, connections and their return, cancelling.

use crate::postgres::fixture::{
    Database, ask, context, context_with, open, remote_plan, table, try_ask, until, words,
};
use crate::postgres::{Remote, RemoteExec, RemoteQuery, Transfer};
use crate::{Connector, QueryScope};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use std::sync::Arc;

#[tokio::test]
async fn batches_are_bounded_by_rows_and_by_bytes() {
    let db = Database::new().await;
    db.run("CREATE TABLE t AS SELECT i AS a, repeat('x', 100) AS b FROM generate_series(1, 10000) i")
        .await;
    let mut config = db.config();
    config.batch_bytes_max = 10_400;
    let rows = SessionConfig::new().with_batch_size(1_000);
    let narrow = context_with(&open(&config), &["t"], rows.clone()).await;
    let sizes = |batches: Vec<arrow::record_batch::RecordBatch>| {
        batches
            .iter()
            .map(arrow::record_batch::RecordBatch::num_rows)
            .collect::<Vec<_>>()
    };
    let by_rows = sizes(try_ask(&narrow, "SELECT a FROM t").await.unwrap());
    assert!(
        by_rows.iter().all(|rows| *rows == 1_000) && by_rows.len() == 10,
        "{by_rows:?}"
    );
    let by_bytes = sizes(try_ask(&narrow, "SELECT a, b FROM t").await.unwrap());
    assert!(
        by_bytes.iter().all(|rows| *rows == 100) && by_bytes.len() == 100,
        "{by_bytes:?}"
    );
}

#[tokio::test]
async fn a_projection_and_an_estimate_go_down() {
    let db = Database::new().await;
    db.run("CREATE TABLE t AS SELECT i AS a, i AS b, 'x' AS c FROM generate_series(1, 1000) i; ANALYZE t")
        .await;
    let source = db.source();
    let context = context(&source, &["t"]).await;
    let plan = remote_plan(&context, "SELECT c FROM t").await;
    assert!(
        plan.contains("sql=SELECT c2 FROM (SELECT \"c\" AS c2 FROM \"public\".\"t\") AS t0"),
        "{plan}"
    );
    let plan = remote_plan(&context, "SELECT count(*) FROM t").await;
    assert!(
        plan.contains("sql=SELECT FROM (SELECT FROM \"public\".\"t\") AS t0"),
        "{plan}"
    );
    let statistics = table(&source, "t").await.provider.statistics().unwrap();
    assert_eq!(statistics.num_rows, Precision::Inexact(1_000));
    let of_a = &statistics.column_statistics[0];
    assert_eq!(of_a.distinct_count, Precision::Inexact(1_000));
    assert_eq!(of_a.null_count, Precision::Inexact(0));
    assert_eq!(of_a.byte_size, Precision::Inexact(4_000));
    assert_eq!(
        statistics.column_statistics[2].distinct_count,
        Precision::Inexact(1)
    );
}

#[tokio::test]
async fn the_server_estimates_a_statement_without_running_it() {
    let db = Database::new().await;
    db.run("CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 1000) i; ANALYZE t")
        .await;
    let remote = db.source().remote();
    let estimate = remote.estimate(&words("SELECT a FROM public.t")).await.unwrap();
    assert_eq!((estimate.rows, estimate.width), (1_000, 4));
    remote
        .estimate(&words("SELECT pg_catalog.pg_sleep(3600)"))
        .await
        .unwrap();
    assert!(remote.estimate(&words("SELECT nothing")).await.is_err());
}

/// A source that cuts every table in four, and a large table.
async fn cut(db: &Database) -> SessionContext {
    db.run(
        "CREATE TABLE t AS SELECT i AS a, repeat('x', 500) AS b FROM generate_series(1, 5000) i; ANALYZE t",
    )
    .await;
    let mut config = db.config();
    config.parallel_rows = 1;
    context(&open(&config), &["t"]).await
}

#[tokio::test]
async fn a_large_table_is_read_in_parts_that_are_the_whole() {
    let db = Database::new().await;
    let context = cut(&db).await;
    let plan = remote_plan(&context, "SELECT a FROM t").await;
    assert!(
        plan.contains("partitions=4") && plan.contains("r0 >= '(0,0)'::pg_catalog.tid AND r0 < '("),
        "{plan}"
    );
    let all = ask(&context, "SELECT count(*), count(DISTINCT a), sum(a) FROM t").await;
    assert_eq!(all, "5000|5000|12502500");
    let some = ask(
        &context,
        "SELECT count(*), sum(a) FROM t WHERE a > 100 AND a <= 200",
    )
    .await;
    assert_eq!(some, "100|15050");
    // Rows in blocks that the plan did not know of.
    let planned = context.table("t").await.unwrap();
    db.run("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(5001, 20000) i")
        .await;
    assert_eq!(planned.count().await.unwrap(), 20_000);
    until("all connections are back", || async {
        db.connections("idle").await == db.connections("%").await
    })
    .await;
}

#[tokio::test]
async fn all_parts_see_one_snapshot() {
    let db = Database::new().await;
    let context = cut(&db).await;
    let plan = context
        .table("t")
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    assert_eq!(plan.properties().partitioning.partition_count(), 4);
    let task = context.task_ctx();
    let mut streams: Vec<_> = (0..4)
        .map(|part| plan.execute(part, Arc::clone(&task)).unwrap())
        .collect();
    let mut rows = streams[0].next().await.unwrap().unwrap().num_rows();
    // Every row moves to another block, behind all parts that have not begun.
    db.run("UPDATE t SET b = b || 'y'").await;
    for stream in &mut streams {
        while let Some(batch) = stream.next().await {
            rows += batch.unwrap().num_rows();
        }
    }
    assert_eq!(rows, 5_000);
}

#[tokio::test]
async fn all_scans_of_a_query_see_one_snapshot_and_the_next_query_a_newer_one() {
    let db = Database::new().await;
    db.run(
        "CREATE TABLE a (x int); CREATE TABLE b (x int); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)",
    )
    .await;
    let source = db.source();
    let context = context(&source, &["a", "b"]).await;
    let plan_a = context
        .table("a")
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    let plan_b = context
        .table("b")
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    for (eager, expected) in [(true, 1), (false, 1)] {
        let scoped = SessionConfig::new().with_extension(Arc::new(QueryScope::default()));
        let task = Arc::new(datafusion::execution::TaskContext::default().with_session_config(scoped));
        let run =
            |plan: &Arc<dyn ExecutionPlan>| execute_stream(Arc::clone(plan), Arc::clone(&task)).unwrap();
        // Both scans known from the start, or the second one only when the first is over.
        let known = eager.then(|| run(&plan_b));
        let first = drain(run(&plan_a)).await;
        db.run("INSERT INTO b VALUES (2)").await;
        let second = drain(known.unwrap_or_else(|| run(&plan_b))).await;
        assert_eq!((first, second), (1, expected), "eager: {eager}");
        drop(task);
        db.run("DELETE FROM b WHERE x = 2").await;
    }
    db.run("INSERT INTO b VALUES (2)").await;
    assert_eq!(ask(&context, "SELECT count(*) FROM b").await, "2");
    until("no transaction is left open", || async {
        db.connections("idle in transaction%").await == 0
    })
    .await;
}

async fn drain(mut stream: datafusion::execution::SendableRecordBatchStream) -> usize {
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        rows += batch.unwrap().num_rows();
    }
    rows
}

/// Rows for ever, slowly enough that nobody reads them all.
fn endless(remote: Remote, transfer: Transfer) -> Arc<dyn ExecutionPlan> {
    let query = RemoteQuery {
        sql: words(
            "SELECT i, repeat('x', 1000) FROM (SELECT generate_series(1::int8, 1000000000000) AS i) AS s",
        ),
        schema: Arc::new(Schema::new(vec![
            Field::new("i", DataType::Int64, true),
            Field::new("x", DataType::Utf8View, true),
        ])),
        transfer,
        table: "endless".into(),
        version: None,
    };
    let unknown = Statistics::new_unknown(&query.schema);
    Arc::new(RemoteExec::new(remote, vec![query], unknown).unwrap())
}

#[tokio::test]
async fn dropping_a_stream_frees_the_server() {
    let db = Database::new().await;
    let source = db.source();
    for transfer in [Transfer::Copy, Transfer::Bound] {
        let plan = endless(source.remote(), transfer);
        let mut stream = execute_stream(plan, SessionContext::new().task_ctx()).unwrap();
        assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
        assert_eq!(db.connections("active").await, 1, "{transfer:?}");
        drop(stream);
        until("the backend is gone", || async { db.connections("%").await == 0 }).await;
    }
    source.check().await.unwrap();
}

#[tokio::test]
async fn a_statement_that_sends_nothing_is_cancelled_as_well() {
    let db = Database::new().await;
    let source = db.source();
    let query = RemoteQuery {
        sql: words("SELECT pg_catalog.pg_sleep(3600)::text"),
        schema: Arc::new(Schema::new(vec![Field::new("x", DataType::Utf8View, true)])),
        transfer: Transfer::Copy,
        table: "sleep".into(),
        version: None,
    };
    let unknown = Statistics::new_unknown(&query.schema);
    let plan = Arc::new(RemoteExec::new(source.remote(), vec![query], unknown).unwrap());
    let mut stream = execute_stream(plan, SessionContext::new().task_ctx()).unwrap();
    let waits = tokio::spawn(async move { stream.next().await.is_some() });
    until("it sleeps", || async { db.connections("active").await == 1 }).await;
    waits.abort();
    until("the backend is gone", || async { db.connections("%").await == 0 }).await;
}

#[tokio::test]
async fn connections_are_used_again() {
    let db = Database::new().await;
    db.run("CREATE TABLE t (a int)").await;
    let source = db.source();
    let context = context(&source, &["t"]).await;
    let backends = "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity
        WHERE application_name = 'lakegate' AND datname = current_database()";
    let idle = || async { db.connections("idle").await == db.connections("%").await };
    ask(&context, "SELECT a FROM t").await;
    until("all connections are back", idle).await;
    let first = db.value(backends).await.unwrap();
    for _ in 0..20 {
        ask(&context, "SELECT a FROM t").await;
        until("all connections are back", idle).await;
    }
    assert_eq!(db.value(backends).await.unwrap(), first);
}

#[tokio::test]
async fn a_connection_is_read_only_and_looks_nowhere_but_in_the_servers_own_schema() {
    let db = Database::new().await;
    db.run("CREATE TABLE t (a int); CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS 'INSERT INTO public.t VALUES (1) RETURNING a'")
        .await;
    let source = db.source();
    let ask_remote = |sql: &'static str| {
        let query = RemoteQuery {
            sql: words(sql),
            schema: Arc::new(Schema::new(vec![Field::new("x", DataType::Utf8View, true)])),
            transfer: Transfer::Copy,
            table: "it".into(),
            version: None,
        };
        let unknown = Statistics::new_unknown(&query.schema);
        let plan = Arc::new(RemoteExec::new(source.remote(), vec![query], unknown).unwrap());
        async move {
            let mut stream = execute_stream(plan, SessionContext::new().task_ctx()).unwrap();
            let batch = stream.next().await.unwrap()?;
            Ok::<_, datafusion::error::DataFusionError>(crate::postgres::fixture::printed(&[batch]))
        }
    };
    for (setting, value) in [
        ("SELECT pg_catalog.current_setting('search_path')", "pg_catalog"),
        ("SELECT pg_catalog.current_setting('transaction_read_only')", "on"),
        (
            "SELECT pg_catalog.current_setting('standard_conforming_strings')",
            "on",
        ),
        (
            "SELECT pg_catalog.current_setting('transaction_isolation')",
            "repeatable read",
        ),
        ("SELECT pg_catalog.current_setting('TimeZone')", "UTC"),
        ("SELECT pg_catalog.current_setting('statement_timeout')", "1h"),
    ] {
        assert_eq!(ask_remote(setting).await.unwrap(), value, "{setting}");
    }
    assert!(ask_remote("SELECT public.writes()::text").await.is_err());
    assert!(
        ask_remote("SELECT a::text FROM t").await.is_err(),
        "t is not in pg_catalog"
    );
    assert_eq!(db.value("SELECT count(*) FROM t").await.as_deref(), Some("0"));
}
