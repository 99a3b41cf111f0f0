//! What the value of a record may be: Avro behind a schema registry, any bytes, and JSON larger than it may be.

use std::fs;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use serde_json::json;
use tests::kafka::Produced;
use tests::registry::{Mood, USER};
use tests::{Dock, Kafka, Registry};

use super::{House, event, pipeline, records};

const KIND: &str =
    r#"{"type":"enum","name":"Kind","namespace":"shop","symbols":["view","click","buy","wave"]}"#;
const EVENT: &str = r#"{"type":"record","name":"Event","namespace":"shop","fields":[
    {"name":"id","type":"string"},
    {"name":"kind","type":"shop.Kind"},
    {"name":"amount","type":["null",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]}
]}"#;

/// A record with its prefix.
fn framed(id: i32, kind: i32, symbol: &str) -> Vec<u8> {
    let (schema, others) = Schema::parse_str_with_list(EVENT, [KIND]).expect("a schema");
    let record = Avro::Record(vec![
        ("id".to_owned(), Avro::String(format!("v-{id}-{kind}"))),
        ("kind".to_owned(), Avro::Enum(kind as u32, symbol.to_owned())),
        (
            "amount".to_owned(),
            Avro::Union(1, Box::new(Avro::Decimal(vec![0x30, 0x39].into()))),
        ),
    ]);
    let all: Vec<&Schema> = others.iter().chain([&schema]).collect();
    let datum = apache_avro::to_avro_datum_schemata(&schema, all, record).expect("a datum");
    let mut framed = vec![0];
    framed.extend(id.to_be_bytes());
    framed.extend(datum);
    framed
}

fn source(house: &House, registry: &Registry) -> String {
    let secret = house.path().join("password");
    fs::write(&secret, format!("{}\n", USER.1)).expect("a secret");
    format!(
        "topics = [\"avro\"]\nformat = \"avro\"\n[source.registry]\nurl = \"{}\"\nusername = \"{}\"\npassword = \"file:{}\"\ntimeout = \"500ms\"",
        registry.url,
        USER.0,
        secret.display()
    )
}

/// The metric that says whether Avro is read.
const READING: &str = "lakegate_ingest_source_reading{pipeline=\"avro\"}";

fn of(value: Option<&'static [u8]>) -> Produced<'static> {
    Produced {
        partition: Some(0),
        value,
        ..Produced::default()
    }
}

/// A record waits as long as the registry does not answer as one.
async fn waits(house: &House, kafka: &Kafka, registry: &Registry, dock: &Dock) {
    let said = ["answers 503", "answers 404", "does not answer in time"];
    for (mood, words) in [Mood::Down, Mood::Astray, Mood::Silent].into_iter().zip(said) {
        registry.set(mood);
        if mood == Mood::Down {
            // The record that was there first may have found the registry well.
            kafka
                .produce("avro", &[of(Some(framed(9, 0, "view").leak()))])
                .await
                .expect("a record");
        }
        dock.await_metric(READING, |value| value == 0.0).await;
        house.await_log(words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_waits_for_its_schema_and_is_refused_only_when_there_is_none() {
    let kafka = Kafka::shared();
    kafka.create("avro", 1, &[]).await.expect("a topic");
    let registry = Registry::start().await.expect("a registry");
    registry.register(3, "kinds", 1, KIND, json!([]));
    let reference = json!([{"name": "shop.Kind", "subject": "kinds", "version": 1}]);
    registry.register(7, "avro-value", 1, EVENT, reference);
    let house = House::new(&[]);
    house.write(
        "avro",
        &pipeline("avro", &kafka.address, &source(&house, &registry)),
    );
    let leaked = |value: Vec<u8>| of(Some(value.leak()));
    kafka
        .produce("avro", &[leaked(framed(7, 2, "buy"))])
        .await
        .expect("a record");
    let dock = Dock::start(&house.config, None).expect("a service");
    waits(&house, &kafka, &registry, &dock).await;
    registry.register(
        9,
        "avro-value",
        2,
        EVENT,
        json!([{"name": "shop.Kind", "subject": "kinds", "version": 1}]),
    );
    registry.set(Mood::Well);
    dock.await_metric(READING, |value| value == 1.0).await;
    house.settled(2, 2, 0).await;
    let asked = |path: &str| registry.asked().iter().filter(|asked| *asked == path).count();
    let before = asked("/schemas/ids/7");
    let mut cut = framed(7, 1, "click");
    cut.pop();
    let bad = vec![
        leaked(framed(99, 0, "view")),
        leaked(cut),
        leaked(vec![0, 0, 0]),
        leaked(event("plain", "view").into_bytes()),
        of(None),
        leaked(framed(7, 3, "wave")),
    ];
    kafka.produce("avro", &bad).await.expect("records");
    kafka
        .produce("avro", &[leaked(framed(7, 1, "click"))])
        .await
        .expect("a neighbour");
    house.settled(9, 3, 6).await;
    assert_eq!(asked("/schemas/ids/7"), before, "a schema is asked once");
    let reasons = house.column("system", "rejects", "reason").await;
    assert_eq!(
        reasons,
        [
            "it does not begin with a zero byte and the id of a schema",
            "it does not begin with a zero byte and the id of a schema",
            "it has no value: it tells that its key is gone",
            "it is no record of its schema: the record ends too early at byte 9",
            "kind is none of the allowed values",
            "the registry has no schema 99",
        ]
    );
    assert_eq!(
        house.column("silver", "avro", "amount").await,
        ["123.45", "123.45", "123.45"]
    );
    assert_eq!(
        house.column("silver", "avro", "id").await,
        ["v-7-1", "v-7-2", "v-9-0"]
    );
    let judged = house.judged("avro").await;
    assert_eq!(judged["bronze"]["records"], 9);
}

/// The pipeline of any bytes.
fn raw(address: &str) -> String {
    format!(
        r#"
name = "raw"
interval = "100ms"

[source]
kind = "kafka"
brokers = ["{}"]
pattern = 'raw\..*'
format = "raw"
discover = "1s"
memory_bytes = 4194304

[[contract.column]]
name = "topic"
type = "text"
required = true

[[contract.column]]
name = "offset"
type = "bigint"
required = true

[[contract.column]]
name = "timestamp"
type = "timestamp"

[[contract.column]]
name = "key"
type = "text"

[[contract.column]]
name = "value"
type = "text"

[[contract.column]]
name = "value_base64"
type = "text"
"#,
        address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_are_kept_and_read_by_their_place() {
    let kafka = Kafka::shared();
    for topic in ["raw.one", "raw.two", "other"] {
        kafka.create(topic, 1, &[]).await.expect("a topic");
    }
    let house = House::new(&[("raw", raw(&kafka.address))]);
    let mut config = fs::read_to_string(&house.config).expect("a config");
    config += "[body]\nrecord_bytes_max = 1000\n";
    fs::write(&house.config, config).expect("a config");
    let values = ["a,b\n1,2".to_owned(), "x".repeat(5_000)];
    kafka
        .produce("raw.one", &records(0, &values))
        .await
        .expect("records");
    kafka
        .produce("other", &records(0, &values))
        .await
        .expect("records");
    let odd = Produced {
        partition: Some(0),
        key: Some(b"k"),
        value: Some(b"\xff\x00"),
        ..Produced::default()
    };
    let gone = Produced {
        value: None,
        ..odd.clone()
    };
    kafka.produce("raw.two", &[odd, gone]).await.expect("records");
    let _dock = Dock::start(&house.config, None).expect("a service");
    house.settled(4, 3, 1).await;
    assert_eq!(house.column("silver", "raw", "value").await, ["a,b\n1,2"]);
    assert_eq!(house.column("silver", "raw", "value_base64").await, ["/wA="]);
    assert_eq!(
        house.column("silver", "raw", "topic").await,
        ["raw.one", "raw.two", "raw.two"]
    );
    assert_eq!(
        house.column("system", "rejects", "reason").await,
        ["a record of 5000 bytes, more than 1000; the first 5000 are kept"]
    );
    // A topic that matches and comes later is found; more than the memory holds comes through it piece by piece.
    kafka.create("raw.three", 1, &[]).await.expect("a topic");
    let many: Vec<String> = (0..20_000).map(|record| format!("{record:0900}")).collect();
    kafka
        .produce("raw.three", &records(0, &many))
        .await
        .expect("records");
    house.settled(20_004, 20_003, 1).await;
}
