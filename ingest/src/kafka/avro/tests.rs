use apache_avro::Schema;
use apache_avro::types::Value;

use super::*;

const EVERYTHING: &str = r#"{"type":"record","name":"All","namespace":"x.y","fields":[
    {"name":"n","type":"null"},
    {"name":"b","type":"boolean"},
    {"name":"i","type":"int"},
    {"name":"l","type":"long"},
    {"name":"f","type":"float"},
    {"name":"d","type":"double"},
    {"name":"raw","type":"bytes"},
    {"name":"s","type":"string"},
    {"name":"list","type":{"type":"array","items":"int"}},
    {"name":"map","type":{"type":"map","values":"long"}},
    {"name":"maybe","type":["null","string"]},
    {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]}},
    {"name":"again","type":"Kind"},
    {"name":"fix","type":{"type":"fixed","name":"Fix","size":3}},
    {"name":"money","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"clock","type":{"type":"int","logicalType":"time-millis"}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"local","type":{"type":"long","logicalType":"local-timestamp-millis"}},
    {"name":"id","type":{"type":"string","logicalType":"uuid"}},
    {"name":"next","type":["null","All"]}
]}"#;

fn plan(text: &str) -> (Schema, Plan) {
    let schema = Schema::parse_str(text).unwrap();
    let plan = Plan::compile(std::slice::from_ref(&schema)).unwrap();
    (schema, plan)
}

fn everything(next: Value) -> Value {
    let text = |text: &str| Value::String(text.to_owned());
    let fields = [
        ("n", Value::Null),
        ("b", Value::Boolean(true)),
        ("i", Value::Int(-7)),
        ("l", Value::Long(i64::MIN)),
        ("f", Value::Float(0.1)),
        ("d", Value::Double(f64::NAN)),
        ("raw", Value::Bytes(vec![0, 255])),
        ("s", text("a\"\n\u{e9}")),
        ("list", Value::Array(vec![Value::Int(1), Value::Int(2)])),
        ("map", Value::Map([("k".to_owned(), Value::Long(9))].into())),
        ("maybe", Value::Union(1, Box::new(text("x")))),
        ("kind", Value::Enum(1, "B".to_owned())),
        ("again", Value::Enum(0, "A".to_owned())),
        ("fix", Value::Fixed(3, vec![1, 2, 3])),
        ("money", Value::Decimal(apache_avro::Decimal::from([0xff, 0x38]))),
        ("day", Value::Date(20_512)),
        ("clock", Value::TimeMillis(3_723_004)),
        ("at", Value::TimestampMicros(-1)),
        ("local", Value::LocalTimestampMillis(1_500)),
        (
            "id",
            Value::Uuid("550e8400-e29b-41d4-a716-446655440000".parse().unwrap()),
        ),
        ("next", next),
    ];
    Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

/// The bytes are another writer's, so that a mistake of ours cannot hide behind itself.
#[test]
fn every_type_becomes_the_json_that_people_expect() {
    let (schema, plan) = plan(EVERYTHING);
    let inner = everything(Value::Union(0, Box::new(Value::Null)));
    let record = everything(Value::Union(1, Box::new(inner)));
    let bytes = apache_avro::to_avro_datum(&schema, record).unwrap();
    let json = plan.json(&bytes).unwrap();
    let one = r#"{"n":null,"b":true,"i":-7,"l":-9223372036854775808,"f":0.1,"d":"NaN","raw":"AP8=","s":"a\"\né","list":[1,2],"map":{"k":9},"maybe":"x","kind":"B","again":"A","fix":"AQID","money":-2.00,"day":"2026-02-28","clock":"01:02:03.004","at":"1969-12-31T23:59:59.999999Z","local":"1970-01-01T00:00:01.500","id":"550e8400-e29b-41d4-a716-446655440000","next":"#;
    assert_eq!(json, format!("{one}{one}null}}}}"));
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
}

#[test]
fn decimals_are_exact_to_the_last_digit() {
    let (_, plan) = plan(r#"{"type":"bytes","logicalType":"decimal","precision":40,"scale":3}"#);
    let cases: [(&[u8], &str); 6] = [
        (&[], "0.000"),
        (&[0], "0.000"),
        (&[1], "0.001"),
        (&[0xff], "-0.001"),
        (&[0x80], "-0.128"),
        (
            &[
                0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                0xff,
            ],
            "170141183460469231731687303715884105.727",
        ),
    ];
    for (bytes, expected) in cases {
        let mut datum = vec![u8::try_from(bytes.len() * 2).unwrap()];
        datum.extend_from_slice(bytes);
        assert_eq!(plan.json(&datum).unwrap(), expected);
    }
    let mut long = vec![0x82, 0x01];
    long.extend([1; 65]);
    assert!(plan.json(&long).unwrap_err().contains("too many digits"));
}

#[test]
fn damage_is_told_and_costs_nothing() {
    let (schema, plan_of_all) = plan(EVERYTHING);
    let bytes =
        apache_avro::to_avro_datum(&schema, everything(Value::Union(0, Box::new(Value::Null)))).unwrap();
    for length in 0..bytes.len() {
        assert!(plan_of_all.json(&bytes[..length]).is_err(), "{length}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(
        plan_of_all.json(&longer).unwrap_err(),
        "1 bytes are left behind the record"
    );
    // Any byte may be any other: an answer or a reason, never a panic.
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            drop(plan_of_all.json(&damaged));
        }
    }
    let (_, list) = plan(r#"{"type":"array","items":"null"}"#);
    // A block of 2^62 nulls in ten bytes.
    let bomb = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0];
    assert!(list.json(&bomb).unwrap_err().contains("bytes of JSON"));
    let (_, text) = plan("\"string\"");
    assert!(text.json(&bomb).unwrap_err().contains("ends too early"));
    assert!(text.json(&[0x01]).unwrap_err().contains("negative"));
    assert!(text.json(&[0x80; 11]).unwrap_err().contains("64 bits"));
    let (_, tree) = plan(r#"{"type":"record","name":"T","fields":[{"name":"t","type":["null","T"]}]}"#);
    assert!(
        tree.json(&[2; 1_000_000])
            .unwrap_err()
            .contains("nested too deeply")
    );
}
