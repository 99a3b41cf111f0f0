//! The parts that need no server: who waits for whom, who holds how much, what is taken down.

use arrow::array::{ArrayRef, AsArray as _, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use bytesize::ByteSize;

use super::key::Digest;
use super::*;

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn rows(count: i64) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("a", DataType::Int64, false)]);
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
    RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap()
}

fn results(bytes: u64) -> Arc<Results> {
    let config = CacheConfig {
        bytes: ByteSize::b(bytes),
        ..CacheConfig::default()
    };
    Results::open(&config, None).unwrap()
}

fn sought(byte: u8) -> Sought {
    Sought {
        digest: digest(byte),
        ttl: None,
    }
}

async fn fill(results: &Arc<Results>, byte: u8, tenant: &str, batch: &RecordBatch) {
    match results.find(sought(byte), CacheMode::On, tenant).await {
        Found::Record(mut recording) => {
            recording.take(batch).unwrap();
            recording.finish();
        }
        Found::Kept(_) | Found::Run => panic!("{byte} is there"),
    }
}

async fn is_there(results: &Arc<Results>, byte: u8) -> bool {
    matches!(
        results.find(sought(byte), CacheMode::On, "a").await,
        Found::Kept(_)
    )
}

#[tokio::test]
async fn rows_are_given_again_and_counted() {
    let results = results(1 << 20);
    fill(&results, 1, "a", &rows(10)).await;
    match results.find(sought(1), CacheMode::On, "b").await {
        Found::Kept(kept) => assert_eq!(kept.batches, [rows(10)]),
        Found::Record(_) | Found::Run => panic!("nothing was kept"),
    }
    let refreshed = results.find(sought(1), CacheMode::Refresh, "b").await;
    assert!(matches!(refreshed, Found::Record(_)));
    let counts = results.counts();
    assert_eq!((counts.near, counts.misses, counts.refreshes), (1, 1, 1));
    assert_eq!(counts.entries, 1);
    assert!(counts.bytes >= 80, "{counts:?}");
}

#[tokio::test]
async fn what_waits_is_told_of_rows_and_of_none() {
    let results = results(1 << 20);
    for lands in [true, false] {
        let byte = u8::from(lands);
        let Found::Record(mut first) = results.find(sought(byte), CacheMode::On, "a").await else {
            panic!("somebody was there before")
        };
        let waiting = {
            let results = Arc::clone(&results);
            tokio::spawn(async move { results.find(sought(byte), CacheMode::On, "a").await })
        };
        tokio::task::yield_now().await;
        first.take(&rows(3)).unwrap();
        match lands {
            true => first.finish(),
            false => drop(first),
        }
        match waiting.await.unwrap() {
            Found::Kept(kept) => assert!(lands && kept.batches == [rows(3)]),
            // Whoever came behind one that failed runs: behind it nobody else waits.
            Found::Run | Found::Record(_) => assert!(!lands),
        }
    }
}

#[tokio::test]
async fn more_than_the_limit_is_let_go_at_once() {
    let results = results(1 << 20);
    let Found::Record(mut recording) = results.find(sought(1), CacheMode::On, "a").await else {
        panic!("somebody was there before")
    };
    // Half of a mebibyte is the share of one tenant.
    recording.take(&rows(100_000)).unwrap();
    // Nobody waits for it any more, although it has not ended.
    assert!(matches!(
        results.find(sought(1), CacheMode::On, "a").await,
        Found::Record(_)
    ));
    recording.finish();
    assert!(!is_there(&results, 1).await);
}

#[tokio::test]
async fn a_tenant_gives_up_its_own_oldest_rows() {
    let results = results(100_000);
    fill(&results, 1, "b", &rows(1_000)).await;
    for byte in 10..20 {
        fill(&results, byte, "a", &rows(1_000)).await;
    }
    assert!(is_there(&results, 1).await, "another tenant's rows stay");
    assert!(is_there(&results, 19).await, "the newest stay");
    assert!(!is_there(&results, 10).await, "the oldest went");
    let counts = results.counts();
    assert!(counts.bytes <= 60_000, "{counts:?}");
}

#[tokio::test]
async fn rows_without_a_version_end() {
    let results = results(1 << 20);
    let sought = Sought {
        digest: digest(1),
        ttl: Some(Duration::ZERO),
    };
    let Found::Record(mut recording) = results.find(sought, CacheMode::On, "a").await else {
        panic!("somebody was there before")
    };
    recording.take(&rows(1)).unwrap();
    recording.finish();
    assert!(!is_there(&results, 1).await);
}

#[tokio::test]
async fn a_slice_is_kept_without_what_it_was_cut_from() {
    let long = "x".repeat(1_000);
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Utf8View, true),
    ]);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter(
        (0..10_000).map(|at| (at % 3 > 0).then_some(at)),
    ));
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..10_000).map(|_| &long)));
    let whole = RecordBatch::try_new(Arc::new(schema), vec![numbers, texts]).unwrap();
    let slice = whole.slice(5_000, 7);
    let results = results(1 << 20);
    fill(&results, 1, "a", &slice).await;
    let Found::Kept(kept) = results.find(sought(1), CacheMode::On, "a").await else {
        panic!("nothing was kept")
    };
    assert_eq!(kept.batches, [slice]);
    assert!(kept.bytes < 20_000, "{}", kept.bytes);
    assert_eq!(
        kept.batches[0]
            .column(0)
            .as_primitive::<arrow::datatypes::Int64Type>()
            .len(),
        7
    );
}

#[test]
fn statements_differ_where_their_words_do() {
    let of = |words: &[&str]| statement_digest(words.iter());
    assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
    assert_ne!(of(&["a", "b"]), of(&["ab"]));
    assert_ne!(of(&["a'", "'b"]), of(&["a' 'b"]));
    assert_ne!(of(&["a", ""]), of(&["a"]));
}
