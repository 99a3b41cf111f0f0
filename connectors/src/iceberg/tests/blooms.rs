//! Bloom filters leave files out and never a row. The fixture writes them for columns named `key`.

use super::pruning::scanned;
use crate::Connector;
use crate::iceberg::Iceberg;
use crate::iceberg::fixture::{Lake, SCHEMA, answer, column, printed, register, schema};
use ::iceberg::spec::PrimitiveType;

/// Eight files that all have keys of the whole range.
async fn interleaved(of: PrimitiveType, key: &str) -> Lake {
    let lake = Lake::new().await;
    let fields = [column(1, "key", of), column(2, "v", PrimitiveType::Long)];
    lake.create("t", schema(fields)).await;
    for file in 0..8 {
        let key = key.replace("?", &format!("(value * 8 + {file})"));
        lake.append(
            "t",
            &format!("SELECT {key} AS key, value * 8 + {file} FROM generate_series(0, 1200)"),
        )
        .await;
    }
    lake
}

async fn is_found_in_few_files(lake: &Lake, literal: &dyn Fn(i64) -> String) {
    for value in (0..9_600).step_by(997) {
        let predicate = format!("key = {}", literal(value));
        let (files, pruned, _) = scanned(lake, &predicate).await;
        assert!(
            (1..8).contains(&files) && files + pruned == 8,
            "{predicate} reads {files} files"
        );
        let answer = lake.ask("t", &format!("SELECT v FROM t WHERE {predicate}")).await;
        assert_eq!(answer, value.to_string(), "{predicate}");
    }
}

#[tokio::test]
async fn a_key_is_found_whatever_its_type() {
    let lake = interleaved(PrimitiveType::Long, "?").await;
    is_found_in_few_files(&lake, &|value| value.to_string()).await;
    let lake = interleaved(PrimitiveType::Int, "?").await;
    is_found_in_few_files(&lake, &|value| value.to_string()).await;
    let lake = interleaved(PrimitiveType::String, "concat('k', ?)").await;
    is_found_in_few_files(&lake, &|value| format!("'k{value}'")).await;
    let lake = interleaved(
        PrimitiveType::Date,
        "arrow_cast(arrow_cast(?, 'Int32'), 'Date32')",
    )
    .await;
    is_found_in_few_files(&lake, &|value| {
        format!("arrow_cast(arrow_cast({value}, 'Int32'), 'Date32')")
    })
    .await;
}

#[tokio::test]
async fn lists_and_conjunctions_are_asked_for_too() {
    let lake = interleaved(PrimitiveType::Long, "?").await;
    let count = "SELECT count(*) FROM t WHERE";
    assert_eq!(
        lake.ask("t", &format!("{count} key IN (3, 11, 19, 700001)"))
            .await,
        "3"
    );
    assert!(scanned(&lake, "key IN (3, 11, 19, 700001)").await.0 < 8);
    assert_eq!(lake.ask("t", &format!("{count} key = 17 AND v = 17")).await, "1");
    assert_eq!(lake.ask("t", &format!("{count} key = 17 AND v = 18")).await, "0");
    // An alternative that is no question by key keeps every file that bounds keep.
    assert_eq!(lake.ask("t", &format!("{count} key = 17 OR v = 18")).await, "2");
    assert_eq!(scanned(&lake, "v = 17").await.0, 8);
    assert_eq!(lake.ask("t", &format!("{count} key <> 17")).await, "9607");
}

#[tokio::test]
async fn a_column_widened_since_is_still_found() {
    let lake = interleaved(PrimitiveType::Int, "?").await;
    lake.evolve(
        "t",
        [
            column(1, "key", PrimitiveType::Long),
            column(2, "v", PrimitiveType::Long),
        ],
    )
    .await;
    is_found_in_few_files(&lake, &|value| value.to_string()).await;
    assert_eq!(
        lake.ask("t", "SELECT count(*) FROM t WHERE key = 4294967299")
            .await,
        "0"
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_asked_is_read_and_says_why() {
    let lake = interleaved(PrimitiveType::Long, "?").await;
    let victim = lake.data_files("t").remove(3);
    std::fs::write(&victim, b"no Parquet").unwrap();
    let error = lake
        .refusal("t", "SELECT v FROM t WHERE key = 17")
        .await
        .to_string();
    assert!(
        error.contains(victim.file_name().unwrap().to_str().unwrap()),
        "{error}"
    );
}

#[tokio::test]
async fn filters_take_no_more_memory_than_the_config_gives() {
    for (bytes, are_kept) in [(0, false), (1 << 20, true)] {
        let lake = interleaved(PrimitiveType::Long, "?").await;
        let mut config = lake.config.clone();
        config.bloom_cache_bytes = bytes;
        let source = Iceberg::open("lake", &config, tokio::runtime::Handle::current())
            .await
            .unwrap();
        let table = source.table(SCHEMA, "t", None).await.unwrap().unwrap();
        let context = datafusion::prelude::SessionContext::new();
        register(&context, "t", &table);
        assert_eq!(
            printed(&answer(&context, "SELECT v FROM t WHERE key = 17").await),
            "17"
        );
        source.blooms.run_pending_tasks().await;
        assert_eq!(source.blooms.entry_count() > 0, are_kept);
        assert!(source.blooms.weighted_size() <= bytes);
    }
}
