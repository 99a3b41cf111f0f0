//! Appends that do not end well leave nothing behind.

use arrow::array::{Array, Int64Array};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_source_leaves_no_file_and_no_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let (catalog, appender) = appender(folder.path(), Config::default()).await;
    let contract = contract().with_partition("day", Transform::Month).unwrap();
    let broken = |last: Result<RecordBatch>| -> Batches { Box::new(batches(5).chain(std::iter::once(last))) };
    let error = appender
        .append(
            &contract,
            &token("a"),
            broken(Err(Error::Cancelled { table: "x".into() })),
            &Silent,
        )
        .await;
    assert!(matches!(error, Err(Error::Cancelled { .. })));
    let odd =
        RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![1])) as Arc<dyn Array>)]).unwrap();
    let error = appender
        .append(&contract, &token("a"), broken(Ok(odd)), &Silent)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "column day of silver.parcels is missing in the batch"
    );
    let panics: Batches = Box::new(batches(5).map(|batch| {
        if batch.is_ok() {
            panic!("a source may not")
        } else {
            batch
        }
    }));
    let error = appender
        .append(&contract, &token("a"), panics, &Silent)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Crashed { part: "source", .. }),
        "{error:?}"
    );
    assert_eq!(testing::parquet_files(folder.path()), 0);
    assert!(
        testing::files(catalog.as_ref(), &contract.ident())
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (catalog, appender) = appender(folder.path(), Config::default()).await;
    let contract = contract();
    appender.ensure(&contract).await.unwrap();
    // A file where the folder should be refuses every user, root too.
    std::fs::write(folder.path().join("silver/parcels/data"), b"").unwrap();
    let error = appender
        .append(&contract, &token("a"), batches(2), &Silent)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Storage { action: "create", path, .. } if path.contains("silver/parcels/data/")),
        "{error:?}"
    );
    assert!(
        testing::files(catalog.as_ref(), &contract.ident())
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_a_source_and_a_dropped_append_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let (catalog, appender) = appender(folder.path(), Config::default()).await;
    let contract = contract();
    let stream = from_stream(futures::stream::iter(batches(3)));
    assert_eq!(
        appender
            .append(&contract, &token("a"), stream, &Silent)
            .await
            .unwrap()
            .rows,
        3000
    );

    let (ended, mut end) = mpsc::channel::<()>(1);
    let endless = from_stream(futures::stream::unfold(
        (0_i64, ended),
        |(batch, ended)| async move { Some((batches(1).next()?, (batch + 1, ended))) },
    ));
    let (started, mut start) = mpsc::unbounded_channel();
    let progress = Told(started);
    let token = token("b");
    {
        let append = appender.append(&contract, &token, endless, &progress);
        tokio::select! {
            ended = append => unreachable!("{ended:?}"),
            _ = start.recv() => {}
        }
    }
    // The source is dropped when the thread has left its loop; what is left is the sweep of the same thread.
    assert_eq!(end.recv().await, None);
    while testing::parquet_files(folder.path()) > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(testing::files(catalog.as_ref(), &contract.ident()).await.len(), 1);
}

struct Told(mpsc::UnboundedSender<u64>);

impl Progress for Told {
    fn start(&self, _table: &str, _rows_total: u64) {}
    fn advance(&self, _table: &str, rows: u64) {
        self.0.send(rows).unwrap();
    }
    fn finish(&self, _table: &str) {}
}
