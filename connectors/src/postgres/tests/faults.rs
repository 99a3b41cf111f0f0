//! What goes wrong at a server or on the way is an error that says whose it is, and never fewer rows.

use crate::postgres::fixture::{Database, ask, context, open, server, table, try_ask, until, words};
use crate::postgres::{Config, Password, Postgres, RemoteExec, RemoteQuery, TlsMode, Transfer};
use crate::{Connector, Error, ErrorKind, QueryScope};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Statistics;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn kind(error: &DataFusionError) -> ErrorKind {
    Error::find(error)
        .unwrap_or_else(|| panic!("not of this crate: {error}"))
        .kind()
}

/// The config over TCP instead of the socket.
fn over_tcp(db: &Database, port: u16) -> Config {
    let mut config = db.config();
    config.host = Some("127.0.0.1".to_owned());
    config.port = Some(port);
    config.tls = Some(TlsMode::Disable);
    config
}

#[tokio::test]
async fn a_source_that_is_down_opens_and_fails_its_queries_by_name() {
    let db = Database::new().await;
    db.run("CREATE TABLE t AS SELECT 1 AS a").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let source = open(&over_tcp(&db, port));
    for error in [
        source.check().await.unwrap_err(),
        source.schemas().await.unwrap_err(),
        source.tables().await.unwrap_err(),
        source.table("public", "t", None).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let expected = format!("source pg cannot be reached at 127.0.0.1:{port}/{}", db.name);
        assert_eq!(error.to_string(), expected);
    }
    // It comes up.
    let proxy = Proxy::start(port).await;
    until("it answers", || async { source.check().await.is_ok() }).await;
    let context = context(&source, &["t"]).await;
    assert_eq!(ask(&context, "SELECT a FROM t").await, "1");
    drop(proxy);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let db = Database::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = over_tcp(&db, silent.local_addr().unwrap().port());
    config.connect_timeout_ms = 50;
    let error = open(&config).check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(cause(&error).contains("within 50 ms"), "{}", cause(&error));
}

fn cause(error: &Error) -> String {
    std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// Between a source and the server; cuts both sides after some bytes of the server.
struct Proxy {
    port: u16,
    cut_after: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    async fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut_after = Arc::new(AtomicU64::new(u64::MAX));
        let limit = Arc::clone(&cut_after);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server().port)).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&limit)));
            }
        });
        Self {
            port,
            cut_after,
            task,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(client: TcpStream, server: TcpStream, limit: Arc<AtomicU64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut buffer = [0_u8; 1_024];
    while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
        let left = limit.load(Ordering::SeqCst);
        let passed = u64::try_from(length).unwrap().min(left);
        if left != u64::MAX {
            limit.store(left - passed, Ordering::SeqCst);
        }
        let piece = &buffer[..usize::try_from(passed).unwrap()];
        if to_client.write_all(piece).await.is_err() || passed < u64::try_from(length).unwrap() {
            break;
        }
    }
    up.abort();
}

#[tokio::test]
async fn a_connection_cut_anywhere_is_an_error_and_the_next_query_works() {
    let db = Database::new().await;
    db.run(
        "CREATE TABLE t AS SELECT i AS a, repeat('x', 50) AS b FROM generate_series(1, 20000) i; ANALYZE t",
    )
    .await;
    let proxy = Proxy::start(0).await;
    let source = open(&over_tcp(&db, proxy.port));
    let context = context(&source, &["t"]).await;
    for query in ["SELECT a, b FROM t", "SELECT a, b FROM t WHERE a > 0"] {
        for after in [0, 5, 200, 5_000, 100_003, 1_000_000] {
            assert_eq!(
                try_ask(&context, query)
                    .await
                    .unwrap()
                    .iter()
                    .map(|b| b.num_rows())
                    .sum::<usize>(),
                20_000
            );
            proxy.cut_after.store(after, Ordering::SeqCst);
            let result = try_ask(&context, query).await;
            proxy.cut_after.store(u64::MAX, Ordering::SeqCst);
            assert_eq!(
                kind(&result.unwrap_err()),
                ErrorKind::Unavailable,
                "{query} cut after {after}"
            );
            until("it answers again", || async { source.check().await.is_ok() }).await;
        }
    }
}

#[tokio::test]
async fn a_backend_that_is_killed_in_the_middle_is_an_error() {
    let db = Database::new().await;
    let source = db.source();
    let plan = endless(&source);
    let mut stream = execute_stream(plan, Arc::new(TaskContext::default())).unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lakegate' AND datname = current_database()")
        .await;
    let error = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the rows ended without an error"),
        }
    };
    assert_eq!(kind(&error), ErrorKind::Unavailable);
    // The connections that were kept are dead as well, and nobody notices.
    let lone = ask(&context(&source, &[]).await, "SELECT 1").await;
    assert_eq!(lone, "1");
    source.check().await.unwrap();
}

fn endless(source: &Postgres) -> Arc<dyn ExecutionPlan> {
    let query = RemoteQuery {
        sql: words("SELECT i FROM (SELECT generate_series(1::int8, 1000000000000) AS i) AS s"),
        schema: Arc::new(Schema::new(vec![Field::new("i", DataType::Int64, true)])),
        transfer: Transfer::Copy,
        table: "endless".into(),
        version: None,
    };
    let unknown = Statistics::new_unknown(&query.schema);
    Arc::new(RemoteExec::new(source.remote(), vec![query], unknown).unwrap())
}

#[tokio::test]
async fn kept_connections_that_died_are_replaced_without_a_word() {
    let db = Database::new().await;
    db.run("CREATE TABLE t AS SELECT 1 AS a").await;
    let source = db.source();
    let context = context(&source, &["t"]).await;
    for _ in 0..5 {
        assert_eq!(ask(&context, "SELECT a FROM t").await, "1");
        db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lakegate' AND datname = current_database()")
            .await;
    }
}

#[tokio::test]
async fn a_table_that_changed_since_the_plan_fails_and_is_never_misread() {
    let db = Database::new().await;
    for (change, same) in [
        ("ALTER TABLE t ALTER a TYPE float8", false),
        ("ALTER TABLE t ALTER a TYPE timestamp USING '2020-01-01'", false),
        ("ALTER TABLE t ALTER a TYPE int4", false),
        ("ALTER TABLE t DROP a", false),
        ("ALTER TABLE t RENAME a TO z", false),
        ("DROP TABLE t", false),
        (
            "ALTER SCHEMA public RENAME TO elsewhere; CREATE SCHEMA public",
            false,
        ),
        ("ALTER TABLE t ADD d int", true),
        ("ALTER TABLE t DROP c", true),
    ] {
        db.run("DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT 1::int8 AS a, 'x' AS b, true AS c")
            .await;
        let source = db.source();
        let context = context(&source, &["t"]).await;
        assert_eq!(ask(&context, "SELECT a FROM t").await, "1");
        db.run(change).await;
        for query in ["SELECT a, b FROM t", "SELECT a FROM t WHERE a = 1"] {
            match (try_ask(&context, query).await, same) {
                (Ok(rows), true) => assert_eq!(rows.iter().map(|b| b.num_rows()).sum::<usize>(), 1),
                (Err(error), false) => assert_eq!(kind(&error), ErrorKind::VersionGone, "{change}: {error}"),
                (result, _) => panic!("{change}: {result:?}"),
            }
        }
        // What was known of the table is not believed any more.
        let now = source.table("public", "t", None).await.unwrap();
        match change {
            "ALTER TABLE t ALTER a TYPE int4" => {
                assert_eq!(now.unwrap().schema.field(0).data_type(), &DataType::Int32);
            }
            "DROP TABLE t" => assert!(now.is_none()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_column_does_not_change_while_it_is_read() {
    let db = Database::new().await;
    db.run("CREATE TABLE t AS SELECT i AS a, repeat('x', 1000) AS b FROM generate_series(1, 30000) i")
        .await;
    let source = db.source();
    let context = context(&source, &["t"]).await;
    let plan = context
        .table("t")
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    let mut stream = execute_stream(plan, context.task_ctx()).unwrap();
    let mut rows = stream.next().await.unwrap().unwrap().num_rows();
    db.run("SET lock_timeout = '50ms'").await;
    assert!(
        db.admin
            .batch_execute("ALTER TABLE t ALTER a TYPE float4")
            .await
            .is_err(),
        "the scan holds its lock"
    );
    while let Some(batch) = stream.next().await {
        rows += batch.unwrap().num_rows();
    }
    assert_eq!(rows, 30_000);
}

#[tokio::test]
async fn an_empty_pool_is_waited_for_and_then_given_up() {
    let db = Database::new().await;
    db.run("CREATE TABLE t AS SELECT 1 AS a").await;
    let mut config = db.config();
    config.pool_max = 2;
    config.parallel_max = 1;
    config.pool_wait_ms = 100;
    let source = open(&config);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = execute_stream(endless(&source), Arc::new(TaskContext::default())).unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        streams.push(stream);
    }
    let error = source.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        cause(&error).contains("none of its 2 connections became free in 100 ms"),
        "{}",
        cause(&error)
    );
    streams.pop();
    until("a place is free", || async { source.check().await.is_ok() }).await;
    drop(streams);
}

#[tokio::test]
async fn queries_that_each_want_two_connections_share_two() {
    let db = Database::new().await;
    db.run(
        "CREATE TABLE t AS SELECT i AS a, repeat('x', 500) AS b FROM generate_series(1, 5000) i; ANALYZE t",
    )
    .await;
    let mut config = db.config();
    config.pool_max = 2;
    config.parallel_max = 1;
    let source = open(&config);
    let context = context(&source, &["t"]).await;
    let query = "SELECT count(*) FROM t AS x JOIN t AS y ON x.a = y.a AND x.b = y.b";
    let asked = (0..8).map(|_| ask(&context, query));
    let answers = futures::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer == "5000"), "{answers:?}");
}

#[tokio::test]
async fn a_server_out_of_connections_says_so() {
    let db = Database::new().await;
    let role = format!("few_{}", db.name);
    db.run(&format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 0"))
        .await;
    let mut config = db.config();
    config.user = Some(role.clone());
    let error = open(&config).check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(cause(&error).contains("SQLSTATE 53300"), "{}", cause(&error));
    db.run(&format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_and_a_rotated_one_is_read_again() {
    let db = Database::new().await;
    db.run("DO $$ BEGIN CREATE ROLE locked LOGIN PASSWORD 'first'; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "wrong\n").unwrap();
    let mut config = over_tcp(&db, server().port);
    config.user = Some("locked".to_owned());
    config.password = Some(Password::File(file.path().to_owned()));
    config.idle_timeout_ms = 1;
    let source = open(&config);
    let error = source.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        cause(&error).contains("does not accept the user or the password"),
        "{}",
        cause(&error)
    );
    assert!(!format!("{error:?} {source:?}").contains("wrong"));
    std::fs::write(file.path(), "first\n").unwrap();
    until("the right one is read", || async { source.check().await.is_ok() }).await;
    db.run("ALTER ROLE locked PASSWORD 'second'").await;
    until("the old one is refused", || async {
        source.check().await.is_err()
    })
    .await;
    std::fs::write(file.path(), "second\n").unwrap();
    until("the new one is read", || async { source.check().await.is_ok() }).await;
}

#[tokio::test]
async fn a_deadline_stops_the_server() {
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
    for left in [0, 100] {
        let scope = QueryScope::new(Some(Instant::now() + Duration::from_millis(left)));
        let config = SessionConfig::new().with_extension(Arc::new(scope));
        let task = Arc::new(TaskContext::default().with_session_config(config));
        let error = execute_stream(Arc::clone(&plan) as _, task)
            .unwrap()
            .next()
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Timeout, "{error}");
    }
}

#[tokio::test]
async fn what_a_view_fails_with_is_not_repeated() {
    let db = Database::new().await;
    db.run("CREATE TABLE t AS SELECT 's3cret' AS a; CREATE VIEW v AS SELECT a::int AS n FROM t; CREATE VIEW z AS SELECT 1 / (length(a) - 6) AS n FROM t")
        .await;
    let context = context(&db.source(), &["v", "z"]).await;
    for view in ["v", "z"] {
        let error = try_ask(&context, &format!("SELECT n FROM {view}"))
            .await
            .unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Refused);
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("a value makes the source's own expression fail (SQLSTATE 22"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_certificate_is_verified_when_asked_for() {
    let db = Database::new().await;
    db.run("CREATE TABLE t AS SELECT 1 AS a").await;
    let ssl = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'lakegate' AND datname = current_database()";
    let with = |tls, host: &str, ca: Option<&str>| {
        let mut config = over_tcp(&db, server().port);
        config.host = Some(host.to_owned());
        config.tls = Some(tls);
        config.tls_ca = ca.map(|name| server().folder.join(name));
        open(&config)
    };
    for (source, encrypted) in [
        (with(TlsMode::VerifyFull, "localhost", Some("server.crt")), "t"),
        (with(TlsMode::Require, "127.0.0.1", None), "t"),
        (with(TlsMode::Prefer, "127.0.0.1", None), "t"),
        (with(TlsMode::Disable, "127.0.0.1", None), "f"),
    ] {
        let context = context(&source, &["t"]).await;
        assert_eq!(ask(&context, "SELECT a FROM t").await, "1");
        assert_eq!(db.value(ssl).await.as_deref(), Some(encrypted));
        // A statement is cancelled over the same kind of connection.
        let mut stream = execute_stream(endless(&source), Arc::new(TaskContext::default())).unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        drop((stream, context, source));
        until("the backend is gone", || async {
            db.connections("active").await == 0
        })
        .await;
        db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lakegate' AND datname = current_database()")
            .await;
        until("all are gone", || async { db.connections("%").await == 0 }).await;
    }
    let wrong_name = with(TlsMode::VerifyFull, "127.0.0.1", Some("server.crt"));
    assert_eq!(
        wrong_name.check().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    let _found = table(&with(TlsMode::VerifyFull, "localhost", Some("server.crt")), "t").await;
}
