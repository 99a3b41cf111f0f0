//! Fields that no server of the tests sends: other extensions' types and damaged bytes.

use super::*;
use arrow::array::Array;
use proptest::prelude::*;
use tokio_postgres::types::Field as Attribute;

fn extension(name: &str) -> Type {
    Type::new(name.to_owned(), 99_999, Kind::Simple, "public".to_owned())
}

fn one(arrow: &DataType, server: &Type, raw: &[u8]) -> Result<String, Bad> {
    let mut column = Column::new(arrow, server, Unrepresentable::Error).unwrap();
    column.push(Some(raw))?;
    column.push(None)?;
    let array = column.finish();
    assert!(array.is_valid(0) && array.is_null(1) && array.len() == 2);
    Ok(arrow::util::display::array_value_to_string(&array, 0).unwrap())
}

#[test]
fn vectors_of_pgvector_are_lists_of_floats() {
    let floats = DataType::List(Arc::new(arrow::datatypes::Field::new_list_field(
        DataType::Float32,
        true,
    )));
    let mut raw = vec![0, 2, 0, 0];
    raw.extend(1.5_f32.to_be_bytes());
    raw.extend((-2.0_f32).to_be_bytes());
    assert_eq!(one(&floats, &extension("vector"), &raw).unwrap(), "[1.5, -2.0]");
    let half = [0, 3, 0, 0, 0x3C, 0x00, 0xC0, 0x00, 0x7C, 0x00];
    assert_eq!(
        one(&floats, &extension("halfvec"), &half).unwrap(),
        "[1.0, -2.0, inf]"
    );
    assert!(one(&floats, &extension("vector"), &half).is_err());
    assert!(Column::new(&floats, &extension("sparsevec"), Unrepresentable::Error).is_err());
}

#[test]
fn only_pairs_of_the_same_values_are_taken() {
    let pairs = [
        (DataType::Int64, Type::FLOAT8),
        (DataType::Int64, Type::TIMESTAMP),
        (DataType::Int64, Type::INT4),
        (
            DataType::Timestamp(TimeUnit::Microsecond, None),
            Type::TIMESTAMPTZ,
        ),
        (DataType::Timestamp(TimeUnit::Nanosecond, None), Type::TIMESTAMP),
        (DataType::Utf8View, Type::BYTEA),
        (DataType::BinaryView, Type::TEXT),
        (DataType::Date32, Type::INT4),
        (DataType::Utf8View, Type::INT4_RANGE),
        (DataType::Boolean, Type::TEXT),
    ];
    for (arrow, server) in pairs {
        assert!(
            Column::new(&arrow, &server, Unrepresentable::Null).is_err(),
            "{arrow} from {server}"
        );
    }
}

/// The types of the next test, with those that lie in others.
fn all() -> Vec<(DataType, Type)> {
    let item = |inner| DataType::List(Arc::new(arrow::datatypes::Field::new_list_field(inner, true)));
    let fields = vec![arrow::datatypes::Field::new("a", DataType::Int32, true)];
    let attributes = vec![Attribute::new("a".to_owned(), Type::INT4)];
    let composite = Type::new(
        "c".to_owned(),
        99_998,
        Kind::Composite(attributes),
        "public".to_owned(),
    );
    vec![
        (DataType::Boolean, Type::BOOL),
        (DataType::Int64, Type::INT8),
        (DataType::Float64, Type::FLOAT8),
        (DataType::Decimal128(38, 10), Type::NUMERIC),
        (DataType::Decimal256(76, 0), Type::NUMERIC),
        (DataType::Utf8View, Type::TEXT),
        (DataType::Utf8View, Type::JSONB),
        (DataType::Utf8View, Type::UUID),
        (DataType::Utf8View, Type::INET),
        (DataType::Utf8View, Type::MACADDR),
        (DataType::BinaryView, Type::BYTEA),
        (DataType::Date32, Type::DATE),
        (DataType::Time64(TimeUnit::Microsecond), Type::TIME),
        (DataType::Timestamp(TimeUnit::Microsecond, None), Type::TIMESTAMP),
        (DataType::Interval(IntervalUnit::MonthDayNano), Type::INTERVAL),
        (item(DataType::Int32), Type::INT4_ARRAY),
        (item(DataType::Utf8), Type::TEXT_ARRAY),
        (DataType::Struct(fields.into()), composite),
        (item(DataType::Float32), extension("vector")),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_a_value_or_an_error(
        raw in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255), any::<u8>()], 0..40),
        ]
    ) {
        for (arrow, server) in all() {
            let mut column = Column::new(&arrow, &server, Unrepresentable::Error).unwrap();
            if column.push(Some(&raw)).is_ok() {
                prop_assert_eq!(column.finish().len(), 1);
            }
        }
    }

    #[test]
    fn a_numeric_is_its_digits_exactly(groups in prop::collection::vec(0_u16..10_000, 0..6), weight in -3_i16..6, scale in 0_i8..20) {
        let mut raw = Vec::new();
        raw.extend(u16::try_from(groups.len()).unwrap().to_be_bytes());
        raw.extend(weight.to_be_bytes());
        raw.extend([0, 0, 0, 0]);
        raw.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
        // By another way: the number times 10^24, which every digit here fits in, as one big integer.
        let mut whole = arrow::datatypes::i256::ZERO;
        for (place, group) in groups.iter().enumerate() {
            let power = 24 + 4 * (i32::from(weight) - i32::try_from(place).unwrap());
            prop_assume!(power >= 0);
            let unit = arrow::datatypes::i256::from_i128(10).checked_pow(power.unsigned_abs()).unwrap();
            whole += unit * arrow::datatypes::i256::from_i128(i128::from(*group));
        }
        let cut = arrow::datatypes::i256::from_i128(10_i128.pow(24 - u32::try_from(scale).unwrap()));
        let bound = arrow::datatypes::i256::from_i128(10_i128.pow(38));
        let expected = (whole % cut == arrow::datatypes::i256::ZERO && whole / cut < bound).then(|| whole / cut);
        let found: Result<i128, _> = numeric::unscaled(&raw, 38, scale);
        prop_assert_eq!(found.ok().map(arrow::datatypes::i256::from_i128), expected);
    }
}
