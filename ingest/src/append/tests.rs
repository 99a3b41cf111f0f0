use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, AsArray, Date32Array, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type};
use iceberg::spec::{Datum, Literal, PrimitiveType, Transform};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;
use crate::contract::Column;
use crate::progress::Silent;
use crate::testing;
use crate::zone::Zone;

mod faults;

fn contract() -> Contract {
    let columns = vec![
        Column::required("id", PrimitiveType::Long, "The key"),
        Column::required("day", PrimitiveType::Date, "The day"),
        Column::optional("word", PrimitiveType::String, "Any text"),
        Column::optional("weight", PrimitiveType::Double, "Kilograms"),
    ];
    Contract::new(Zone::Silver, "parcels", "What was sent", columns)
        .unwrap()
        .with_key(&["id"])
        .unwrap()
}

/// `count` batches of 1,000 rows: ids fall, days run over about 27 months, words are long, some weights are null or NaN.
fn batches(count: i64) -> Batches {
    Box::new((0..count).map(move |batch| {
        let ids: Vec<i64> = (0..1000).map(|row| (count - batch) * 1000 - row).collect();
        let days = Date32Array::from_iter_values(ids.iter().map(|id| i32::try_from(id % 800).unwrap() - 100));
        let words = StringArray::from_iter(
            ids.iter()
                .map(|id| (id % 7 != 0).then(|| format!("word number {id:08} {}", "ü".repeat(100)))),
        );
        let weights = Float64Array::from_iter(ids.iter().map(|&id| match id % 5 {
            0 => None,
            1 => Some(f64::NAN),
            _ => Some(id as f64 / 4.0 - 100.0),
        }));
        let columns: Vec<(&str, Arc<dyn Array>)> = vec![
            ("word", Arc::new(words)),
            ("id", Arc::new(Int64Array::from(ids))),
            ("day", Arc::new(days)),
            ("weight", Arc::new(weights)),
        ];
        RecordBatch::try_from_iter(columns).map_err(|error| Error::arrow("test", error))
    }))
}

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

async fn appender(folder: &std::path::Path, config: Config) -> (Arc<dyn Catalog>, Appender) {
    let catalog = testing::catalog(folder).await;
    (Arc::clone(&catalog), Appender::new(catalog, config).unwrap())
}

fn ids(batches: &[RecordBatch]) -> Vec<i64> {
    let mut ids: Vec<i64> = batches
        .iter()
        .flat_map(|batch| batch["id"].as_primitive::<Int64Type>().values().to_vec())
        .collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back_once_and_in_the_partition_they_belong_to() {
    let folder = tempfile::tempdir().unwrap();
    let (catalog, appender) = appender(folder.path(), Config::default()).await;
    let contract = contract().with_partition("day", Transform::Month).unwrap();
    let receipt = appender
        .append(&contract, &token("a"), batches(20), &Silent)
        .await
        .unwrap();
    assert_eq!((receipt.rows, receipt.fresh), (20_000, true));

    let files = testing::files(catalog.as_ref(), &contract.ident()).await;
    assert_eq!(files.len() as u64, receipt.files);
    let mut months = BTreeMap::new();
    for file in &files {
        let Some(Literal::Primitive(iceberg::spec::PrimitiveLiteral::Int(month))) =
            &file.partition().fields()[0]
        else {
            unreachable!()
        };
        assert!(months.insert(*month, file).is_none(), "one file a month");
        assert!(
            file.file_path().contains("/data/day_month="),
            "{}",
            file.file_path()
        );
        for batch in testing::read(file) {
            for &day in batch["day"].as_primitive::<Date32Type>().values() {
                let date = chrono::DateTime::from_timestamp(i64::from(day) * 86_400, 0).unwrap();
                let expected = (chrono::Datelike::year(&date) - 1970) * 12
                    + chrono::Datelike::month0(&date).cast_signed();
                assert_eq!(expected, *month);
            }
        }
    }
    assert_eq!(
        ids(&testing::rows(catalog.as_ref(), &contract.ident()).await),
        (1..=20_000).collect::<Vec<_>>()
    );
}

#[expect(
    clippy::too_many_lines,
    reason = "one table of columns with what each must say"
)]
#[tokio::test(flavor = "multi_thread")]
async fn metrics_agree_with_a_count_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    // Several row groups a file, so that bounds are merged.
    let config = Config {
        row_group_rows_max: 700,
        ..Config::default()
    };
    let (catalog, appender) = appender(folder.path(), config).await;
    let contract = contract();
    appender
        .append(&contract, &token("a"), batches(3), &Silent)
        .await
        .unwrap();
    let files = testing::files(catalog.as_ref(), &contract.ident()).await;
    let [file] = files.as_slice() else { unreachable!() };
    let batches = testing::read(file);
    assert!(
        SerializedFileReader::new(std::fs::File::open(file.file_path()).unwrap())
            .unwrap()
            .num_row_groups()
            > 3
    );

    let words: Vec<Option<&str>> = batches
        .iter()
        .flat_map(|batch| batch["word"].as_string::<i32>().iter())
        .collect();
    let weights: Vec<Option<f64>> = batches
        .iter()
        .flat_map(|batch| batch["weight"].as_primitive::<Float64Type>().iter())
        .collect();
    let nulls = |id: i32| file.null_value_counts()[&id];
    assert_eq!(file.record_count(), 3000);
    assert!((1..=4).all(|id| file.value_counts()[&id] == 3000 && file.column_sizes()[&id] > 0));
    assert_eq!(nulls(1) + nulls(2), 0);
    assert_eq!(
        nulls(3),
        words.iter().filter(|word| word.is_none()).count() as u64
    );
    assert_eq!(
        nulls(4),
        weights.iter().filter(|weight| weight.is_none()).count() as u64
    );
    assert_eq!(
        file.nan_value_counts()[&4],
        weights.iter().flatten().filter(|weight| weight.is_nan()).count() as u64
    );

    assert_eq!(
        (&file.lower_bounds()[&1], &file.upper_bounds()[&1]),
        (&Datum::long(1), &Datum::long(3000))
    );
    let real = || {
        weights
            .iter()
            .flatten()
            .copied()
            .filter(|weight| !weight.is_nan())
    };
    assert_eq!(
        file.lower_bounds()[&4],
        Datum::double(real().fold(f64::INFINITY, f64::min))
    );
    assert_eq!(
        file.upper_bounds()[&4],
        Datum::double(real().fold(f64::NEG_INFINITY, f64::max))
    );
    assert_eq!(file.lower_bounds()[&3], Datum::string("word number 0000"));
    assert_eq!(file.upper_bounds()[&3], Datum::string("word number 0001"));
    assert!(
        words
            .iter()
            .flatten()
            .all(|&word| ("word number 0000".."word number 0001").contains(&word))
    );
    assert_eq!(
        file.file_size_in_bytes(),
        std::fs::metadata(file.file_path()).unwrap().len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_carry_field_ids_zstd_and_a_page_index() {
    let folder = tempfile::tempdir().unwrap();
    let (catalog, appender) = appender(folder.path(), Config::default()).await;
    let contract = contract().with_lookups(&["id"]).unwrap();
    appender
        .append(&contract, &token("a"), batches(2), &Silent)
        .await
        .unwrap();
    let files = testing::files(catalog.as_ref(), &contract.ident()).await;
    let reader = SerializedFileReader::new(std::fs::File::open(files[0].file_path()).unwrap()).unwrap();
    let group = reader.metadata().row_group(0);
    for (index, column) in (0_i32..).zip(group.columns()) {
        assert_eq!(column.column_descr().self_type().get_basic_info().id(), index + 1);
        assert!(matches!(
            column.compression(),
            parquet::basic::Compression::ZSTD(_)
        ));
        assert!(column.column_index_offset().is_some() && column.offset_index_offset().is_some());
    }
    // Folded to the rows that came: 2,000 keys need no more than a few kilobytes.
    assert!((1..8192).contains(&group.column(0).bloom_filter_length().unwrap()));
    assert_eq!(group.column(1).bloom_filter_length(), None);
    assert!(
        reader
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .unwrap()
            .iter()
            .any(|pair| pair.key == "iceberg.schema")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_memory_still_writes_all_rows_sorted_or_not() {
    let small = Config {
        memory_max: 200_000,
        files_open_max: 4,
        file_bytes_target: 40_000,
        row_group_bytes_max: 20_000,
        ..Config::default()
    };
    for order in [&[][..], &["id"]] {
        let folder = tempfile::tempdir().unwrap();
        let (catalog, appender) = appender(folder.path(), small.clone()).await;
        let contract = contract()
            .with_partition("day", Transform::Month)
            .unwrap()
            .with_order(order)
            .unwrap();
        appender
            .append(&contract, &token("a"), batches(20), &Silent)
            .await
            .unwrap();
        let files = testing::files(catalog.as_ref(), &contract.ident()).await;
        assert!(files.len() > 27, "{} files", files.len());
        for file in files.iter().filter(|_| !order.is_empty()) {
            assert_eq!(file.sort_order_id(), Some(1));
            let ids: Vec<i64> = testing::read(file)
                .iter()
                .flat_map(|batch| batch["id"].as_primitive::<Int64Type>().values().to_vec())
                .collect();
            assert!(ids.is_sorted());
        }
        assert_eq!(
            ids(&testing::rows(catalog.as_ref(), &contract.ident()).await),
            (1..=20_000).collect::<Vec<_>>()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_applied_once_and_a_new_token_again() {
    let folder = tempfile::tempdir().unwrap();
    let (catalog, appender) = appender(folder.path(), Config::default()).await;
    let contract = contract();
    let first = appender
        .append(&contract, &token("a"), batches(1), &Silent)
        .await
        .unwrap();
    let drawn = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&drawn);
    let again: Batches = Box::new(batches(1).inspect(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let second = appender
        .append(&contract, &token("a"), again, &Silent)
        .await
        .unwrap();
    assert_eq!(
        second,
        Receipt {
            fresh: false,
            ..first
        }
    );
    assert_eq!(drawn.load(Ordering::Relaxed), 0);
    appender
        .append(&contract, &token("b"), batches(1), &Silent)
        .await
        .unwrap();
    let empty = appender
        .append(&contract, &token("c"), Box::new(std::iter::empty()), &Silent)
        .await
        .unwrap();
    assert_eq!((empty.rows, empty.files), (0, 0));
    assert_eq!(
        testing::rows(catalog.as_ref(), &contract.ident())
            .await
            .iter()
            .map(RecordBatch::num_rows)
            .sum::<usize>(),
        2000
    );
}
