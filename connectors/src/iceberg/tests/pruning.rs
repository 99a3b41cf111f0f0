//! Pruning reads less and never answers less.

use crate::Connector;
use crate::iceberg::fixture::{Lake, SCHEMA, column, schema};
use crate::iceberg::table::IcebergTable;
use ::iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Datum, PrimitiveType, Transform};
use datafusion::common::DFSchema;
use datafusion::prelude::SessionContext;

/// How many files and manifests a predicate leaves: (scanned, files pruned, manifests pruned).
pub(super) async fn scanned(lake: &Lake, predicate: &str) -> (usize, usize, usize) {
    let table = lake.source.table(SCHEMA, "t", None).await.unwrap().unwrap();
    let context = SessionContext::new();
    let named = DFSchema::try_from(table.schema.as_ref().clone()).unwrap();
    let filter = context.parse_sql_expr(predicate, &named).unwrap();
    let plan = datafusion::logical_expr::LogicalPlanBuilder::scan(
        "t",
        datafusion::datasource::provider_as_source(std::sync::Arc::clone(&table.provider)),
        None,
    )
    .unwrap()
    .filter(filter)
    .unwrap()
    .build()
    .unwrap();
    // The optimiser brings literals to the columns' types, as it does for every query.
    let plan = context.state().optimize(&plan).unwrap();
    let mut filters = Vec::new();
    datafusion::common::tree_node::TreeNode::apply(&plan, |node| {
        if let datafusion::logical_expr::LogicalPlan::TableScan(scan) = node {
            filters.extend(scan.filters.iter().cloned().map(unqualified));
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })
    .unwrap();
    let provider: &dyn std::any::Any = table.provider.as_ref();
    let iceberg = provider.downcast_ref::<IcebergTable>().unwrap();
    let (files, pruned) = iceberg.files(&context.state(), &filters).await.unwrap();
    (files.len(), pruned.files, pruned.manifests)
}

fn unqualified(filter: datafusion::logical_expr::Expr) -> datafusion::logical_expr::Expr {
    datafusion::logical_expr::utils::conjunction(datafusion::logical_expr::utils::split_conjunction_owned(
        filter,
    ))
    .map(datafusion::logical_expr::expr_rewriter::unnormalize_col)
    .unwrap()
}

async fn by_month() -> Lake {
    let lake = Lake::new().await;
    let fields = [
        column(1, "day", PrimitiveType::Date),
        column(2, "v", PrimitiveType::Long),
    ];
    lake.create_partitioned("t", schema(fields), &[(1, Transform::Month)])
        .await;
    // 1994-01-01 and 1995-01-01, in days since 1970.
    for first in [8766, 9131] {
        lake.append(
            "t",
            &format!(
                "SELECT arrow_cast(arrow_cast({first} + value, 'Int32'), 'Date32'), value FROM generate_series(0, 364)"
            ),
        )
        .await;
    }
    lake
}

#[tokio::test]
async fn a_month_is_read_from_its_own_file_only() {
    let lake = by_month().await;
    assert_eq!(scanned(&lake, "true").await, (24, 0, 0));
    // The other year's manifest is not even read.
    assert_eq!(
        scanned(&lake, "day >= DATE '1995-03-01' AND day < DATE '1995-04-01'").await,
        (1, 11, 1)
    );
    assert_eq!(scanned(&lake, "day = DATE '1994-12-31'").await, (1, 11, 1));
    assert_eq!(scanned(&lake, "day > DATE '1996-01-01'").await, (0, 0, 2));
    assert_eq!(scanned(&lake, "day IS NULL").await, (0, 0, 2));
    let sql =
        "SELECT count(*), min(v), max(v) FROM t WHERE day >= DATE '1995-03-01' AND day < DATE '1995-04-01'";
    assert_eq!(lake.ask("t", sql).await, "31,59,89");
}

#[tokio::test]
async fn other_columns_prune_files_by_their_metrics() {
    let lake = by_month().await;
    assert_eq!(scanned(&lake, "v = 0").await, (2, 22, 0));
    assert_eq!(scanned(&lake, "v < 0").await, (0, 24, 0));
    assert_eq!(scanned(&lake, "v IN (1, 364)").await, (4, 20, 0));
    assert_eq!(
        scanned(&lake, "v + 1 = 1").await.0,
        24,
        "an expression over a column is not used"
    );
}

#[tokio::test]
async fn row_groups_and_pages_are_pruned_inside_files() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "old", PrimitiveType::Long)]))
        .await;
    lake.append("t", "SELECT value FROM generate_series(0, 4999)")
        .await;
    lake.evolve("t", [column(1, "renamed", PrimitiveType::Long)])
        .await;
    let plan = lake
        .ask("t", "EXPLAIN ANALYZE SELECT renamed FROM t WHERE renamed = 4321")
        .await;
    let metric = |name: &str| {
        let start = plan
            .find(&format!("{name}="))
            .unwrap_or_else(|| panic!("{name} in {plan}"));
        plan[start + name.len() + 1..]
            .split(", ")
            .next()
            .unwrap()
            .to_owned()
    };
    assert!(
        metric("row_groups_pruned_statistics").starts_with("10 total → 1 matched"),
        "{plan}"
    );
    assert!(metric("page_index_rows_pruned").contains("100 matched"), "{plan}");
}

#[tokio::test]
async fn nan_rows_are_never_pruned_away() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "x", PrimitiveType::Double)]))
        .await;
    lake.append("t", "VALUES (1.0), ('NaN'::double), (-2.0)").await;
    // DataFusion orders NaN above every number.
    for (predicate, rows) in [
        ("x > 5", 1),
        ("x >= 1", 2),
        ("x = 'NaN'::double", 1),
        ("x < 5", 2),
        ("x != 1", 2),
        ("NOT (x < 0)", 2),
    ] {
        let sql = format!("SELECT count(*) FROM t WHERE {predicate}");
        assert_eq!(lake.ask("t", &sql).await, rows.to_string(), "{predicate}");
    }
    lake.append("t", "VALUES (100.0)").await;
    assert_eq!(
        lake.ask("t", "SELECT x FROM t ORDER BY x DESC LIMIT 2").await,
        "NaN\n100.0"
    );
}

#[tokio::test]
async fn floats_without_nan_prune() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "x", PrimitiveType::Double)]))
        .await;
    lake.append("t", "VALUES (1.0), (2.0)").await;
    lake.append("t", "VALUES (10.0), (0.0)").await;
    assert_eq!(scanned(&lake, "x > 5").await, (1, 1, 0));
    assert_eq!(scanned(&lake, "x = 0").await.0, 1);
}

#[tokio::test]
async fn cut_string_bounds_still_hold_their_strings() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "s", PrimitiveType::String)]))
        .await;
    let long = "m".repeat(300);
    lake.append("t", &format!("VALUES ('{long}b'), ('{long}a')"))
        .await;
    let max = format!("'{}\u{10ffff}'", "\u{10ffff}".repeat(100));
    lake.append("t", &format!("VALUES ({max})")).await;
    for (predicate, rows) in [
        (format!("s = '{long}b'"), 1),
        (format!("s > '{long}a'"), 2),
        (format!("s >= '{long}'"), 3),
        (format!("s < '{long}b'"), 1),
        (format!("s = {max}"), 1),
    ] {
        assert_eq!(
            lake.ask("t", &format!("SELECT count(*) FROM t WHERE {predicate}"))
                .await,
            rows.to_string()
        );
    }
    assert_eq!(
        scanned(&lake, "s < 'a'").await.0,
        2,
        "the writer leaves bounds out that it would have to cut"
    );
}

#[tokio::test]
async fn bounds_that_are_cut_or_one_sided_prune_right() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "s", PrimitiveType::String)]))
        .await;
    lake.append("t", "VALUES ('mmmmb'), ('mmmmz')").await;
    let path = lake.data_files("t")[0].clone();
    // As Java writers cut: a prefix below, a prefix with its last letter raised above.
    for (min, max) in [
        (Some("mm"), Some("mn")),
        (Some("mm"), None),
        (None, Some("mn")),
        (None, None),
    ] {
        let bounds = |bound: Option<&str>| bound.map(|text| (1, Datum::string(text))).into_iter().collect();
        let file = DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path(path.to_str().unwrap().to_owned())
            .file_format(DataFileFormat::Parquet)
            .record_count(2)
            .file_size_in_bytes(std::fs::metadata(&path).unwrap().len())
            .lower_bounds(bounds(min))
            .upper_bounds(bounds(max))
            .build()
            .unwrap();
        lake.replace_snapshot("t", false, |writer| writer.add_file(file, -1).unwrap())
            .await;
        for (predicate, rows) in [
            ("s > 'mmmmb'", 1),
            ("s >= 'mm'", 2),
            ("s < 'mn'", 2),
            ("s = 'mmmmz'", 1),
            ("s < 'mm'", 0),
            ("s > 'mn'", 0),
        ] {
            let answer = lake
                .ask("t", &format!("SELECT count(*) FROM t WHERE {predicate}"))
                .await;
            assert_eq!(answer, rows.to_string(), "{predicate} with {min:?} {max:?}");
        }
        assert_eq!(scanned(&lake, "s < 'm'").await.0, usize::from(min.is_none()));
        assert_eq!(scanned(&lake, "s > 'n'").await.0, usize::from(max.is_none()));
        assert_eq!(
            lake.ask("t", "SELECT min(s), max(s), count(*) FROM t").await,
            "mmmmb,mmmmz,2"
        );
    }
}

#[tokio::test]
async fn nulls_prune_both_ways() {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([
            column(1, "a", PrimitiveType::Int),
            column(2, "b", PrimitiveType::Int),
        ]),
    )
    .await;
    lake.append("t", "VALUES (1, NULL::int), (2, NULL)").await;
    lake.append("t", "VALUES (3, 3), (4, 4)").await;
    assert_eq!(scanned(&lake, "b IS NULL").await.0, 1);
    assert_eq!(scanned(&lake, "b IS NOT NULL").await.0, 1);
    assert_eq!(scanned(&lake, "b = 3").await.0, 1);
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE b IS NULL").await, "2");
}
