//! Columns that changed after files were written.

use crate::Error;
use crate::iceberg::fixture::{Lake, column, query, schema};
use ::iceberg::spec::{NestedField, PrimitiveType, StructType, Type};

#[tokio::test]
async fn columns_are_matched_by_id_through_rename_and_reorder() {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([
            column(1, "a", PrimitiveType::Int),
            column(2, "b", PrimitiveType::Int),
        ]),
    )
    .await;
    lake.append("t", "VALUES (1, 10)").await;
    // The names change hands and the order turns.
    lake.evolve(
        "t",
        [
            column(2, "a", PrimitiveType::Int),
            column(1, "b", PrimitiveType::Int),
            column(3, "c", PrimitiveType::Int),
        ],
    )
    .await;
    lake.append("t", "VALUES (20, 2, 200)").await;
    assert_eq!(
        lake.ask("t", "SELECT a, b, c FROM t ORDER BY a").await,
        "10,1,\n20,2,200"
    );
    assert_eq!(lake.ask("t", "SELECT b FROM t WHERE a = 10").await, "1");
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE a = 1").await, "0");
    assert_eq!(lake.ask("t", "SELECT b FROM t WHERE c IS NULL").await, "1");
    assert_eq!(
        lake.ask("t", "SELECT min(a), max(b), count(c) FROM t").await,
        "10,2,1"
    );
}

#[tokio::test]
async fn names_of_different_types_change_hands() {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([
            column(1, "a", PrimitiveType::String),
            column(2, "b", PrimitiveType::Binary),
        ]),
    )
    .await;
    lake.append("t", "VALUES ('text', X'00ff')").await;
    lake.evolve(
        "t",
        [
            column(1, "b", PrimitiveType::String),
            column(2, "a", PrimitiveType::Binary),
        ],
    )
    .await;
    let context = lake.session(&["t"]).await;
    // Right or an error, never another value.
    match query(&context, "SELECT a, b FROM t")
        .await
        .unwrap()
        .collect()
        .await
    {
        Ok(rows) => assert_eq!(crate::iceberg::fixture::printed(&rows), "00ff,text"),
        Err(error) => assert!(error.to_string().to_lowercase().contains("utf"), "{error}"),
    }
    assert_eq!(lake.ask("t", "SELECT b FROM t").await, "text");
}

#[tokio::test]
async fn a_dropped_and_readded_column_starts_empty() {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([
            column(1, "a", PrimitiveType::Int),
            column(2, "b", PrimitiveType::Int),
        ]),
    )
    .await;
    lake.append("t", "VALUES (1, 10)").await;
    lake.evolve("t", [column(1, "a", PrimitiveType::Int)]).await;
    assert_eq!(lake.ask("t", "SELECT * FROM t").await, "1");
    lake.evolve(
        "t",
        [
            column(1, "a", PrimitiveType::Int),
            column(3, "b", PrimitiveType::String),
        ],
    )
    .await;
    lake.append("t", "VALUES (2, 'new')").await;
    assert_eq!(lake.ask("t", "SELECT a, b FROM t ORDER BY a").await, "1,\n2,new");
    assert_eq!(lake.ask("t", "SELECT a FROM t WHERE b IS NOT NULL").await, "2");
    assert_eq!(lake.ask("t", "SELECT count(b) FROM t").await, "1");
}

#[tokio::test]
async fn promoted_types_read_old_files() {
    let lake = Lake::new().await;
    let before = [
        column(1, "i", PrimitiveType::Int),
        column(2, "f", PrimitiveType::Float),
        column(
            3,
            "d",
            PrimitiveType::Decimal {
                precision: 5,
                scale: 2,
            },
        ),
    ];
    lake.create("t", schema(before)).await;
    lake.append("t", "VALUES (1, 1.5, 2.25), (NULL, NULL, NULL)")
        .await;
    let after = [
        column(1, "i", PrimitiveType::Long),
        column(2, "f", PrimitiveType::Double),
        column(
            3,
            "d",
            PrimitiveType::Decimal {
                precision: 20,
                scale: 2,
            },
        ),
    ];
    lake.evolve("t", after).await;
    lake.append("t", "VALUES (5000000000, 1e300, 123456789012.25)")
        .await;
    assert_eq!(
        lake.ask("t", "SELECT * FROM t ORDER BY i").await,
        "1,1.5,2.25\n5000000000,1e300,123456789012.25\n,,"
    );
    assert_eq!(
        lake.ask("t", "SELECT count(*) FROM t WHERE i = 1 AND f = 1.5 AND d = 2.25")
            .await,
        "1"
    );
    assert_eq!(
        lake.ask("t", "SELECT count(*) FROM t WHERE i > 4000000000").await,
        "1"
    );
    assert_eq!(
        lake.ask("t", "SELECT min(i), max(i), max(d) FROM t").await,
        "1,5000000000,123456789012.25"
    );
}

#[tokio::test]
async fn a_pin_keeps_its_columns() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    lake.append("t", "VALUES (1)").await;
    lake.evolve(
        "t",
        [
            column(1, "a", PrimitiveType::Int),
            column(2, "b", PrimitiveType::Int),
        ],
    )
    .await;
    // New columns without a new snapshot: the version tells both.
    let now = lake.table("t", None).await;
    lake.evolve(
        "t",
        [
            column(1, "a", PrimitiveType::Int),
            column(2, "b", PrimitiveType::Int),
            column(3, "c", PrimitiveType::Int),
        ],
    )
    .await;
    let then = lake.table("t", Some(&now.version)).await;
    assert_eq!(then.schema, now.schema);
    assert_eq!(then.version, now.version);
    assert_eq!(then.schema.fields().len(), 2);
    let plain = now.version.as_str().split(':').next().unwrap();
    assert_eq!(
        lake.table("t", Some(&crate::Version::new(plain)))
            .await
            .schema
            .fields()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_promotion_inside_a_nested_column_is_read() {
    let lake = Lake::new().await;
    let pair = |of: PrimitiveType| {
        let fields = vec![column(2, "x", of), column(3, "y", PrimitiveType::String)];
        NestedField::optional(1, "pair", Type::Struct(StructType::new(fields))).into()
    };
    lake.create("t", schema([pair(PrimitiveType::Int)])).await;
    lake.append("t", "SELECT named_struct('x', 1, 'y', 'why')").await;
    lake.evolve("t", [pair(PrimitiveType::Long)]).await;
    assert_eq!(
        lake.ask("t", "SELECT pair['x'], pair['y'], arrow_typeof(pair['x']) FROM t")
            .await,
        "1,why,Int64"
    );
}

#[tokio::test]
async fn a_required_column_that_a_file_lacks_is_refused() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    lake.append("t", "VALUES (1)").await;
    let strict = NestedField::required(2, "b", Type::Primitive(PrimitiveType::Int)).into();
    lake.evolve("t", [column(1, "a", PrimitiveType::Int), strict])
        .await;
    let error = lake.refusal("t", "SELECT b FROM t").await;
    assert!(
        matches!(Error::find(&error), Some(Error::Unsupported { feature, .. }) if feature.contains('b')),
        "{error}"
    );
}
