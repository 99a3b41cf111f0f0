//! Files that other writers made: without ids, without their partition columns.

use crate::Error;
use crate::iceberg::fixture::deletes::{field, partition};
use crate::iceberg::fixture::{Lake, column, schema};
use ::iceberg::spec::{
    DataContentType, ListType, Literal, NestedField, PrimitiveType, StructType, Transform, Type,
};
use arrow::datatypes::{DataType, Field};
use std::sync::Arc;

async fn lake(mapping: Option<&str>) -> Lake {
    let lake = Lake::new().await;
    let fields = [
        column(1, "a", PrimitiveType::Long),
        column(2, "s", PrimitiveType::String),
        column(3, "n", PrimitiveType::Int),
    ];
    lake.create("t", schema(fields)).await;
    if let Some(mapping) = mapping {
        let mapping = [("schema.name-mapping.default".to_owned(), mapping.to_owned())];
        lake.change("t", |metadata| metadata.set_properties(mapping.into()).unwrap())
            .await;
    }
    lake
}

async fn add(lake: &Lake, fields: Vec<Field>, sql: &str) {
    let file = lake.write_query("t", fields, sql).await;
    lake.commit_files("t", vec![file.file(DataContentType::Data).build().unwrap()])
        .await;
}

#[tokio::test]
async fn a_name_mapping_gives_columns_their_ids() {
    let mapping =
        r#"[{"field-id":1,"names":["a","id"]},{"field-id":2,"names":["s"]},{"field-id":3,"names":["n"]}]"#;
    let lake = lake(Some(mapping)).await;
    // In another order, under an older name, with a column that is not the table's.
    let fields = vec![
        field(0, "s", DataType::Utf8),
        field(0, "other", DataType::Int32),
        field(0, "id", DataType::Int32),
    ];
    add(&lake, fields, "VALUES ('x', 7, 1), ('y', 8, 2)").await;
    lake.append("t", "VALUES (3, 'z', 30)").await;
    assert_eq!(
        lake.ask("t", "SELECT a, s, n FROM t ORDER BY a").await,
        "1,x,\n2,y,\n3,z,30"
    );
    assert_eq!(lake.ask("t", "SELECT s FROM t WHERE a = 2").await, "y");
    assert_eq!(
        lake.ask("t", "SELECT count(*), count(n), max(a) FROM t WHERE a > 0")
            .await,
        "3,1,3"
    );
    // The columns change their names, and the mapping does not follow: it speaks of files.
    let renamed = [
        column(2, "a", PrimitiveType::String),
        column(1, "s", PrimitiveType::Long),
    ];
    lake.evolve("t", renamed).await;
    assert_eq!(
        lake.ask("t", "SELECT s, a FROM t ORDER BY s").await,
        "1,x\n2,y\n3,z"
    );
}

#[tokio::test]
async fn without_a_mapping_the_place_tells_the_column() {
    let lake = lake(None).await;
    let fields = vec![field(0, "x", DataType::Int64), field(0, "y", DataType::Utf8)];
    add(&lake, fields, "VALUES (1, 'x'), (2, 'y')").await;
    assert_eq!(
        lake.ask("t", "SELECT a, s, n FROM t ORDER BY a").await,
        "1,x,\n2,y,"
    );
    assert_eq!(lake.ask("t", "SELECT a FROM t WHERE s = 'y'").await, "2");
}

#[tokio::test]
async fn a_file_with_one_id_is_taken_at_its_word() {
    let lake = lake(Some(r#"[{"field-id":2,"names":["s"]}]"#)).await;
    let fields = vec![field(1, "a", DataType::Int64), field(0, "s", DataType::Utf8)];
    add(&lake, fields, "VALUES (1, 'x')").await;
    assert_eq!(lake.ask("t", "SELECT a, s FROM t").await, "1,");
}

#[tokio::test]
async fn a_mapping_that_speaks_of_no_column_of_a_file_is_refused() {
    let lake = lake(Some(r#"[{"field-id":2,"names":["s"]}]"#)).await;
    add(&lake, vec![field(0, "q", DataType::Int64)], "VALUES (1)").await;
    let error = lake.refusal("t", "SELECT a, s FROM t").await;
    assert!(
        matches!(Error::find(&error), Some(Error::Unsupported { feature, .. }) if feature == "data files without field ids"),
        "{error}"
    );
}

#[tokio::test]
async fn a_mapping_reaches_into_nested_columns() {
    let lake = Lake::new().await;
    let list =
        ListType::new(NestedField::list_element(2, Type::Primitive(PrimitiveType::Long), false).into());
    let pair = StructType::new(vec![
        column(4, "x", PrimitiveType::Long),
        column(5, "y", PrimitiveType::String),
    ]);
    let fields = [
        NestedField::optional(1, "tags", Type::List(list)).into(),
        NestedField::optional(3, "pair", Type::Struct(pair)).into(),
    ];
    lake.create("t", schema(fields)).await;
    let mapping = r#"[{"field-id":1,"names":["tags"],"fields":[{"field-id":2,"names":["element"]}]},
        {"field-id":3,"names":["pair"],"fields":[{"field-id":4,"names":["x","ex"]},{"field-id":5,"names":["y"]}]}]"#;
    let properties = [("schema.name-mapping.default".to_owned(), mapping.to_owned())];
    lake.change("t", |metadata| {
        metadata.set_properties(properties.into()).unwrap()
    })
    .await;
    let inner = vec![
        Field::new("y", DataType::Utf8, true),
        Field::new("ex", DataType::Int32, true),
    ];
    let fields = vec![
        field(0, "pair", DataType::Struct(inner.into())),
        field(
            0,
            "tags",
            DataType::List(Arc::new(Field::new("element", DataType::Int32, true))),
        ),
    ];
    let sql = "SELECT named_struct('y', 'why', 'ex', 7), make_array(1, 2)";
    add(&lake, fields, sql).await;
    assert_eq!(
        lake.ask("t", "SELECT tags, pair['x'], pair['y'] FROM t").await,
        "[1, 2],7,why"
    );
    assert_eq!(
        lake.ask("t", "SELECT count(*) FROM t WHERE pair['x'] = 8").await,
        "0"
    );
}

async fn folders() -> Lake {
    let lake = Lake::new().await;
    let fields = [
        column(1, "a", PrimitiveType::Long),
        column(2, "p", PrimitiveType::String),
        column(3, "d", PrimitiveType::Date),
    ];
    lake.create_partitioned(
        "t",
        schema(fields),
        &[(2, Transform::Identity), (3, Transform::Identity)],
    )
    .await;
    lake
}

async fn folder(lake: &Lake, id: i32, p: Option<&str>, d: Option<i32>, sql: &str) {
    let file = lake
        .write_query("t", vec![field(id, "a", DataType::Int64)], sql)
        .await;
    let mut file = file.file(DataContentType::Data);
    file.partition(partition(vec![p.map(Literal::string), d.map(Literal::date)]));
    lake.commit_files("t", vec![file.build().unwrap()]).await;
}

#[tokio::test]
async fn columns_that_a_file_leaves_to_its_folder_have_their_value() {
    for id in [0, 1] {
        let lake = folders().await;
        folder(&lake, id, Some("x\"y"), Some(0), "VALUES (1), (2)").await;
        folder(&lake, id, None, Some(365), "VALUES (3)").await;
        lake.append("t", "VALUES (4, 'z', DATE '2020-01-01')").await;
        let rows = "1,x\"y,1970-01-01\n2,x\"y,1970-01-01\n3,,1971-01-01\n4,z,2020-01-01";
        assert_eq!(lake.ask("t", "SELECT a, p, d FROM t ORDER BY a").await, rows);
        assert_eq!(
            lake.ask("t", "SELECT a FROM t WHERE p = 'x\"y' AND a > 1").await,
            "2"
        );
        assert_eq!(lake.ask("t", "SELECT a FROM t WHERE p IS NULL").await, "3");
        assert_eq!(
            lake.ask("t", "SELECT count(p), count(DISTINCT d), min(p) FROM t")
                .await,
            "3,3,x\"y"
        );
        assert_eq!(
            lake.ask("t", "SELECT p, count(*) FROM t GROUP BY p ORDER BY p")
                .await,
            "x\"y,2\nz,1\n,1"
        );
        // Keys of deletes see the value too.
        let mut keys = lake
            .write_keys("t", vec![field(2, "p", DataType::Utf8)], "VALUES ('x\"y')")
            .await;
        keys.partition(partition(vec![
            Some(Literal::string("x\"y")),
            Some(Literal::date(0)),
        ]));
        lake.commit_deletes("t", vec![(keys.build().unwrap(), -1)]).await;
        assert_eq!(lake.ask("t", "SELECT a FROM t ORDER BY a").await, "3\n4");
    }
}

#[tokio::test]
async fn places_say_nothing_where_a_partition_column_may_be_left_out() {
    let lake = folders().await;
    // Two columns: the second one is `p` by its place, and `d` or anything else by its name.
    let fields = vec![field(0, "a", DataType::Int64), field(0, "x", DataType::Utf8)];
    let file = lake.write_query("t", fields, "VALUES (1, 'not p')").await;
    let mut file = file.file(DataContentType::Data);
    file.partition(partition(vec![
        Some(Literal::string("p")),
        Some(Literal::date(0)),
    ]));
    lake.commit_files("t", vec![file.build().unwrap()]).await;
    let error = lake.refusal("t", "SELECT a, p FROM t").await;
    assert!(
        matches!(Error::find(&error), Some(Error::Unsupported { feature, .. }) if feature.contains("name mapping")),
        "{error}"
    );
}

#[tokio::test]
async fn a_folder_without_its_column_is_no_reason_to_forget_the_partition_of_another() {
    let lake = folders().await;
    folder(&lake, 1, Some("x"), Some(0), "VALUES (1)").await;
    folder(&lake, 1, Some("y"), Some(0), "VALUES (2)").await;
    folder(&lake, 1, Some("x"), Some(1), "VALUES (3)").await;
    let rows = "1,x,1970-01-01\n2,y,1970-01-01\n3,x,1970-01-02";
    assert_eq!(lake.ask("t", "SELECT a, p, d FROM t ORDER BY a").await, rows);
}
