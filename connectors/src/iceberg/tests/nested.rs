//! Changes inside of nested columns, and columns that are younger than files.

use crate::Error;
use crate::iceberg::fixture::{Lake, column, schema};
use ::iceberg::spec::{
    FormatVersion, ListType, Literal, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema,
    StructType, Type,
};

fn of(id: i32, name: &str, of: Type) -> NestedFieldRef {
    NestedField::optional(id, name, of).into()
}

fn pair(fields: Vec<NestedFieldRef>) -> Type {
    Type::Struct(StructType::new(fields))
}

fn list(id: i32, element: Type) -> Type {
    Type::List(ListType::new(
        NestedField::list_element(id, element, false).into(),
    ))
}

fn map(id: i32, value: Type) -> Type {
    let key = NestedField::map_key_element(id, Type::Primitive(PrimitiveType::String));
    Type::Map(MapType::new(
        key.into(),
        NestedField::map_value_element(id + 1, value, false).into(),
    ))
}

/// Each nested form around the struct that `fields` make: alone, in a list, in a map, in a struct.
fn forms(fields: &dyn Fn() -> Vec<NestedFieldRef>) -> Schema {
    schema([
        column(1, "k", PrimitiveType::Int),
        of(2, "s", pair(fields())),
        of(3, "l", list(4, pair(shifted(fields(), 100)))),
        of(5, "m", map(6, pair(shifted(fields(), 200)))),
        of(8, "o", pair(vec![of(9, "i", pair(shifted(fields(), 300)))])),
    ])
}

fn shifted(fields: Vec<NestedFieldRef>, by: i32) -> Vec<NestedFieldRef> {
    let shift = |field: NestedFieldRef| {
        let mut field = field.as_ref().clone();
        field.id += by;
        field.into()
    };
    fields.into_iter().map(shift).collect()
}

const ROWS: &str = "SELECT value::int,
    CASE WHEN value = 3 THEN NULL ELSE named_struct('x', value::int, 'y', 'y' || value) END,
    make_array(named_struct('x', value::int, 'y', 'a'), named_struct('x', 10 + value::int, 'y', 'b')),
    map(make_array(concat('k', left(value::varchar, 0))), make_array(named_struct('x', value::int, 'y', 'c'))),
    named_struct('i', named_struct('x', value::int, 'y', 'd'))
    FROM generate_series(1, 3)";

#[tokio::test]
async fn nested_fields_are_matched_by_id_through_rename_reorder_drop_and_promotion() {
    let lake = Lake::new().await;
    let before = || {
        vec![
            column(20, "x", PrimitiveType::Int),
            column(21, "y", PrimitiveType::String),
        ]
    };
    lake.create("t", forms(&before)).await;
    lake.append("t", ROWS).await;
    // x is wider and called y, y is called x and comes first; z is new.
    let after = || {
        vec![
            column(21, "x", PrimitiveType::String),
            column(22, "z", PrimitiveType::Long),
            column(20, "y", PrimitiveType::Long),
        ]
    };
    let evolved = forms(&after);
    lake.change("t", |metadata| {
        metadata
            .add_schema(evolved)
            .unwrap()
            .set_current_schema(-1)
            .unwrap()
    })
    .await;
    let ask = async |sql: &str| lake.ask("t", sql).await;
    assert_eq!(
        ask("SELECT s['x'], s['y'], s['z'], arrow_typeof(s['y']) FROM t ORDER BY k").await,
        "y1,1,,Int64\ny2,2,,Int64\n,,,Int64"
    );
    assert_eq!(
        ask("SELECT s IS NULL FROM t ORDER BY k").await,
        "false\nfalse\ntrue"
    );
    assert_eq!(
        ask("SELECT l[2]['x'], l[2]['y'], l[2]['z'] FROM t WHERE k = 2").await,
        "b,12,"
    );
    assert_eq!(
        ask("SELECT m['k']['x'], m['k']['y'] FROM t WHERE k = 1").await,
        "c,1"
    );
    assert_eq!(
        ask("SELECT o['i']['x'], o['i']['y'] FROM t WHERE k = 1").await,
        "d,1"
    );
    // Filters on what was rebuilt: DataFusion would drop them in such a file if the scan took them over.
    assert_eq!(ask("SELECT k FROM t WHERE s['y'] = 2").await, "2");
    assert_eq!(ask("SELECT count(*) FROM t WHERE s['y'] = 77").await, "0");
    assert_eq!(ask("SELECT k FROM t WHERE s['x'] = 'y1' AND k < 3").await, "1");
    assert_eq!(ask("SELECT count(*) FROM t WHERE s['z'] IS NOT NULL").await, "0");
    assert_eq!(ask("SELECT k FROM t WHERE o['i']['y'] = 3").await, "3");
    assert_eq!(ask("SELECT count(*) FROM t WHERE array_has(l, l[1])").await, "3");
    let only = || vec![column(22, "z", PrimitiveType::Long)];
    let dropped = forms(&only);
    lake.change("t", |metadata| {
        metadata
            .add_schema(dropped)
            .unwrap()
            .set_current_schema(-1)
            .unwrap()
    })
    .await;
    assert_eq!(
        ask("SELECT s['z'], s IS NULL, l[1]['z'], array_length(l) FROM t ORDER BY k").await,
        ",false,,2\n,false,,2\n,true,,2"
    );
}

#[tokio::test]
async fn a_filter_on_a_promoted_nested_field_is_kept() {
    let lake = Lake::new().await;
    let with = |kind: PrimitiveType| schema([of(1, "pair", pair(vec![column(2, "x", kind)]))]);
    lake.create("t", with(PrimitiveType::Int)).await;
    lake.append(
        "t",
        "SELECT named_struct('x', value::int) FROM generate_series(1, 5)",
    )
    .await;
    let wide = with(PrimitiveType::Long);
    lake.change("t", |metadata| {
        metadata.add_schema(wide).unwrap().set_current_schema(-1).unwrap()
    })
    .await;
    assert_eq!(
        lake.ask("t", "SELECT count(*) FROM t WHERE pair['x'] = 3").await,
        "1"
    );
    assert_eq!(
        lake.ask("t", "SELECT pair['x'] FROM t WHERE pair['x'] > 3").await,
        "4\n5"
    );
}

#[tokio::test]
async fn a_required_nested_field_that_a_file_lacks_is_refused() {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([of(1, "pair", pair(vec![column(2, "x", PrimitiveType::Int)]))]),
    )
    .await;
    lake.append("t", "SELECT named_struct('x', 1)").await;
    let strict = NestedField::required(3, "y", Type::Primitive(PrimitiveType::Int)).into();
    lake.evolve(
        "t",
        [of(
            1,
            "pair",
            pair(vec![column(2, "x", PrimitiveType::Int), strict]),
        )],
    )
    .await;
    let error = lake.refusal("t", "SELECT pair FROM t").await;
    assert!(
        matches!(Error::find(&error), Some(Error::Unsupported { feature, .. }) if feature.contains("required field y")),
        "{error}"
    );
}

fn defaulted(id: i32, name: &str, of: PrimitiveType, value: Literal, required: bool) -> NestedFieldRef {
    NestedField::new(id, name, Type::Primitive(of), required)
        .with_initial_default(value)
        .into()
}

/// A column `k`, a struct `s` of `inner`, and a column with a default for each kind of value.
fn younger(inner: Vec<NestedFieldRef>) -> Vec<NestedFieldRef> {
    vec![
        column(1, "k", PrimitiveType::Int),
        of(2, "s", pair(inner)),
        defaulted(3, "i", PrimitiveType::Int, Literal::int(7), true),
        defaulted(4, "t", PrimitiveType::String, Literal::string("text"), false),
        defaulted(5, "d", PrimitiveType::Date, Literal::date(365), false),
        defaulted(
            6,
            "n",
            PrimitiveType::Decimal {
                precision: 9,
                scale: 2,
            },
            Literal::decimal(125),
            false,
        ),
        defaulted(7, "f", PrimitiveType::Double, Literal::double(2.5), false),
        defaulted(8, "b", PrimitiveType::Boolean, Literal::bool(true), false),
        defaulted(
            9,
            "u",
            PrimitiveType::Uuid,
            Literal::uuid(uuid::Uuid::from_u128(5)),
            false,
        ),
        defaulted(
            10,
            "z",
            PrimitiveType::Timestamptz,
            Literal::timestamptz(1_000_000),
            false,
        ),
    ]
}

#[tokio::test]
async fn a_column_younger_than_a_file_has_its_initial_default_there() {
    let lake = Lake::new().await;
    let before = || pair(vec![column(20, "x", PrimitiveType::Int)]);
    let fields = [column(1, "k", PrimitiveType::Int), of(2, "s", before())];
    lake.create_version("t", schema(fields), &[], FormatVersion::V3)
        .await;
    lake.append("t", "SELECT value::int, CASE WHEN value = 2 THEN NULL ELSE named_struct('x', value::int) END FROM generate_series(1, 2)").await;
    let inner = vec![
        column(20, "x", PrimitiveType::Int),
        defaulted(21, "y", PrimitiveType::String, Literal::string("why"), true),
    ];
    lake.evolve("t", younger(inner)).await;
    lake.append(
        "t",
        "VALUES (3, named_struct('x', 3, 'y', 'new'), 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    .await;
    let row = "7,text,1971-01-01,1.25,2.5,true,00000000000000000000000000000005,1970-01-01T00:00:01Z";
    let sql = "SELECT k, i, t, d, n, f, b, u, z FROM t ORDER BY k";
    assert_eq!(lake.ask("t", sql).await, format!("1,{row}\n2,{row}\n3,8,,,,,,,"));
    // A NULL struct stays NULL, a struct that is there has the default inside.
    assert_eq!(
        lake.ask("t", "SELECT s['y'], s IS NULL FROM t ORDER BY k").await,
        "why,false\n,true\nnew,false"
    );
    assert_eq!(
        lake.ask("t", "SELECT count(*) FROM t WHERE i = 7 AND t LIKE 'te%'")
            .await,
        "2"
    );
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE i > 7").await, "1");
    assert_eq!(
        lake.ask("t", "SELECT count(i), count(t), min(i), max(i) FROM t")
            .await,
        "3,2,7,8"
    );
    // Keys of deletes see the default too.
    let i = crate::iceberg::fixture::deletes::field(3, "i", arrow::datatypes::DataType::Int32);
    lake.delete_keys("t", vec![i], "VALUES (7)").await;
    assert_eq!(lake.ask("t", "SELECT k FROM t").await, "3");
}

#[tokio::test]
async fn a_default_that_the_metadata_reader_loses_is_refused() {
    let lake = Lake::new().await;
    let fields = [
        column(1, "k", PrimitiveType::Int),
        defaulted(2, "i", PrimitiveType::Int, Literal::int(7), false),
    ];
    lake.create_version("t", schema(fields), &[], FormatVersion::V3)
        .await;
    lake.append("t", "VALUES (1, 2)").await;
    let location = lake.catalog.location("gold", "t").await.unwrap().unwrap();
    let text = std::fs::read_to_string(&location).unwrap();
    assert!(text.contains("\"initial-default\":7"));
    // Beyond an int: the reader drops what it cannot read.
    std::fs::write(
        &location,
        text.replace("\"initial-default\":7", "\"initial-default\":70000000000"),
    )
    .unwrap();
    let source = crate::iceberg::Iceberg::open("lake", &lake.config, tokio::runtime::Handle::current())
        .await
        .unwrap();
    let error = crate::Connector::table(&source, "gold", "t", None)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Unsupported { feature, .. } if feature == "the default value of column i"),
        "{error}"
    );
}
