use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tokio::runtime::Runtime;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};

use super::*;
use crate::progress::Silent;
use crate::testing;

const SCALE: f64 = 0.01;

/// A listener that panics after so many rows: the rudest way for a run to end.
struct Fuse(AtomicU64);

impl Progress for Fuse {
    fn start(&self, _table: &str, _rows_total: u64) {}
    fn advance(&self, _table: &str, rows: u64) {
        let left = self.0.load(Ordering::Relaxed);
        assert!(left >= rows, "the fuse blew");
        self.0.store(left - rows, Ordering::Relaxed);
    }
    fn finish(&self, _table: &str) {}
}

fn count(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}

async fn check_counts(catalog: &dyn Catalog) {
    let expected = [5, 25, 100, 1500, 2000, 8000, 15_000, 60_175];
    for (dataset, expected) in Dataset::ALL.into_iter().zip(expected) {
        let ident = dataset.contract().unwrap().ident();
        assert_eq!(dataset.rows(SCALE), expected, "{dataset:?}");
        assert_eq!(
            count(&testing::rows(catalog, &ident).await),
            expected,
            "{dataset:?}"
        );
        assert_eq!(
            catalog
                .load_table(&ident)
                .await
                .unwrap()
                .metadata()
                .snapshots()
                .len(),
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = testing::catalog(folder.path()).await;
    assert_eq!(scale_of(catalog.as_ref()).await.unwrap(), None);
    let loaded = load(Arc::clone(&catalog), SCALE, &Silent).await.unwrap();
    assert_eq!((loaded.rows(), loaded.was_complete()), (86_805, false));
    check_counts(catalog.as_ref()).await;
    assert_eq!(scale_of(catalog.as_ref()).await.unwrap(), Some(SCALE));

    let again = load(Arc::clone(&catalog), SCALE, &Silent).await.unwrap();
    assert_eq!((again.rows(), again.was_complete()), (86_805, true));
    check_counts(catalog.as_ref()).await;

    let other = load(catalog, 0.02, &Silent).await.unwrap_err();
    assert!(
        matches!(&other, Error::Occupied { found, .. } if found.contains("scale=0.01")),
        "{other:?}"
    );
}

#[test]
fn a_killed_load_is_finished_and_never_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Runtime::new().unwrap();
    let catalog = keeper.block_on(testing::catalog(folder.path()));
    for fuse in [10, 40, 3000, 20_000, 60_000] {
        let fuse = Fuse(AtomicU64::new(fuse));
        // A runtime for each run: its end waits for the run's threads, as the end of a process does.
        let run = Runtime::new().unwrap();
        let load = AssertUnwindSafe(|| run.block_on(load(Arc::clone(&catalog), SCALE, &fuse)));
        assert!(catch_unwind(load).is_err(), "the load outlived its listener");
    }
    // What a kill between the write and the commit leaves behind.
    let stray = folder.path().join("gold/lineitem/data/l_shipdate_month=1990-01");
    std::fs::create_dir_all(&stray).unwrap();
    std::fs::write(stray.join("stray.parquet"), b"half").unwrap();
    keeper.block_on(async {
        load(Arc::clone(&catalog), SCALE, &Silent).await.unwrap();
        check_counts(catalog.as_ref()).await;
    });
    assert!(!stray.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = testing::catalog(folder.path()).await;
    let contract = Dataset::Region.contract().unwrap();
    let appender = Appender::new(Arc::clone(&catalog), Config::default()).unwrap();
    appender
        .append(
            &contract,
            &Token::new("mine").unwrap(),
            Dataset::Region.batches(SCALE),
            &Silent,
        )
        .await
        .unwrap();
    let error = load(Arc::clone(&catalog), SCALE, &Silent).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the table gold.region already holds other data: mine"
    );
    assert_eq!(
        count(&testing::rows(catalog.as_ref(), &contract.ident()).await),
        5
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lineitem_and_orders_have_one_file_a_month() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = testing::catalog(folder.path()).await;
    load(Arc::clone(&catalog), SCALE, &Silent).await.unwrap();
    // The generator's own text says which months there are; a small scale may lack one at the end.
    let lines = LineItemGenerator::new(SCALE, 1, 1);
    let shipped: HashSet<String> = lines
        .iter()
        .map(|row| row.l_shipdate.to_string()[..7].to_owned())
        .collect();
    let orders = OrderGenerator::new(SCALE, 1, 1);
    let ordered: HashSet<String> = orders
        .iter()
        .map(|row| row.o_orderdate.to_string()[..7].to_owned())
        .collect();
    for (dataset, months) in [
        (Dataset::LineItem, shipped.len()),
        (Dataset::Orders, ordered.len()),
    ] {
        let files = testing::files(catalog.as_ref(), &dataset.contract().unwrap().ident()).await;
        let partitions: HashSet<_> = files.iter().map(|file| file.partition().clone()).collect();
        assert_eq!((files.len(), partitions.len()), (months, months));
    }
    for dataset in Dataset::ALL {
        let table = catalog
            .load_table(&dataset.contract().unwrap().ident())
            .await
            .unwrap();
        let schema = table.metadata().current_schema();
        assert!(
            schema.identifier_field_ids().len() > 0 && table.metadata().properties().contains_key("comment")
        );
        assert!(
            schema
                .as_struct()
                .fields()
                .iter()
                .all(|field| field.required && field.doc.is_some())
        );
    }
}

/// Rows as TPC-H's own text, by key.
fn lines(batches: &[RecordBatch], key: usize) -> HashMap<String, String> {
    let mut lines = HashMap::new();
    for batch in batches {
        let options = FormatOptions::default();
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns
                .iter()
                .map(|column| column.value(row).to_string())
                .collect();
            lines.insert(values[..key].join("|"), values.join("|") + "|");
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_equals_the_text_of_the_generator() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = testing::catalog(folder.path()).await;
    load(Arc::clone(&catalog), SCALE, &Silent).await.unwrap();
    for dataset in Dataset::ALL {
        let batches = testing::rows(catalog.as_ref(), &dataset.contract().unwrap().ident()).await;
        let texts: Vec<String> = match dataset {
            Dataset::Region => RegionGenerator::new(SCALE, 1, 1)
                .iter()
                .map(|row| row.to_string())
                .collect(),
            Dataset::Nation => NationGenerator::new(SCALE, 1, 1)
                .iter()
                .map(|row| row.to_string())
                .collect(),
            Dataset::Supplier => SupplierGenerator::new(SCALE, 1, 1)
                .iter()
                .map(|row| row.to_string())
                .collect(),
            Dataset::Customer => CustomerGenerator::new(SCALE, 1, 1)
                .iter()
                .map(|row| row.to_string())
                .collect(),
            Dataset::Part => PartGenerator::new(SCALE, 1, 1)
                .iter()
                .map(|row| row.to_string())
                .collect(),
            Dataset::PartSupp => PartSuppGenerator::new(SCALE, 1, 1)
                .iter()
                .map(|row| row.to_string())
                .collect(),
            Dataset::Orders => OrderGenerator::new(SCALE, 1, 1)
                .iter()
                .map(|row| row.to_string())
                .collect(),
            Dataset::LineItem => LineItemGenerator::new(SCALE, 1, 1)
                .iter()
                .map(|row| row.to_string())
                .collect(),
        };
        let (key, quantity) = match dataset {
            Dataset::LineItem => (4, true),
            Dataset::PartSupp => (2, false),
            _ => (1, false),
        };
        let lines = lines(&batches, key);
        assert_eq!(lines.len(), texts.len(), "{dataset:?}");
        for text in texts {
            // The generator prints the quantity as a whole number, the table has it as a decimal.
            let mut values: Vec<String> = text.split('|').map(str::to_owned).collect();
            if quantity {
                values[4] += ".00";
            }
            let expected = values.join("|");
            assert_eq!(
                lines.get(&values[..key].join("|")),
                Some(&expected),
                "{dataset:?}"
            );
        }
    }
}

#[test]
fn a_wrong_number_of_rows_is_an_error_at_the_end() {
    let rows = || Dataset::Nation.batches(SCALE);
    assert!(counted(rows(), "gold.nation".to_owned(), 25).all(|batch| batch.is_ok()));
    let last = counted(rows(), "gold.nation".to_owned(), 26).last().unwrap();
    assert_eq!(
        last.unwrap_err().to_string(),
        "gold.nation has 25 rows generated, expected 26"
    );
}

#[test]
fn scales_have_bounds() {
    for scale in [0.0, -1.0, f64::NAN, 0.000_1, 5000.0] {
        assert!(matches!(check_scale(scale), Err(Error::Scale { .. })));
    }
    check_scale(0.1).unwrap();
    assert!(matches!(
        check_space(Path::new("/"), 1e9),
        Err(Error::DiskFull { .. })
    ));
    assert_eq!(
        tpch::scale_of_token(Dataset::Orders.token(0.25).unwrap().as_str()),
        Some(0.25)
    );
    assert_eq!(tpch::scale_of_token("mine"), None);
}
