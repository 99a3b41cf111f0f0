use super::*;

const EVENTS: &str = include_str!("../../../deploy/pipelines/events.toml");

fn parse(text: &str) -> Result<Pipeline> {
    Pipeline::parse(text, Path::new("p.toml"))
}

#[test]
fn the_pipelines_of_deploy_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/pipelines");
    let pipelines = Pipeline::folder(&folder).unwrap();
    assert!(!pipelines.is_empty());
    for pipeline in &pipelines {
        crate::silver::check(pipeline).unwrap();
    }
    let events = parse(EVENTS).unwrap();
    assert_eq!(
        (events.name(), events.interval()),
        ("events", Duration::from_secs(2))
    );
    assert_eq!(events.silver().to_string(), "silver.events");
    assert_ne!(events.version(), parse(&format!("{EVENTS}\n")).unwrap().version());
}

#[test]
fn a_fault_is_told_with_its_place() {
    let cases = [
        ("name = \"events\"", "name = \"Events\"", "name: \"Events\""),
        ("name = \"events\"", "name = \"../x\"", "name: \"../x\""),
        ("interval = \"2s\"", "interval = \"1ms\"", "interval: must be"),
        (
            "interval = \"2s\"",
            "intervall = \"2s\"",
            "unknown field `intervall`",
        ),
        (
            "type = \"bigint\"",
            "type = \"number\"",
            "unknown variant `number`",
        ),
        ("name = \"amount\"", "name = \"_amount\"", "_amount starts with _"),
        (
            "name = \"user_id\"",
            "name = \"KIND\"",
            "two columns are called kind",
        ),
        (
            "columns = [\"event_id\"]",
            "columns = [\"id\"]",
            "event_id_unique: there is no column id",
        ),
        (
            "column = \"amount\"",
            "column = \"kind\"",
            "amount_not_negative: the column kind is no number",
        ),
        ("min = 0.0", "", "min, max: at least one"),
        ("min = 0.0", "minimum = 0.0\nmin = 1.0", "minimum"),
        ("window = \"7d\"", "window = \"8d\"", "more than 7 days"),
        ("gate = 0.90", "gate = 1.1", "gate: must be"),
        (
            "by = \"day\"",
            "by = \"month\"",
            "day needs silver.partition by day",
        ),
        ("column = \"ts\"", "column = \"kind\"", "day does not apply"),
    ];
    for (good, bad, expected) in cases {
        assert!(EVENTS.contains(good), "{good}");
        let error = parse(&EVENTS.replacen(good, bad, 1)).unwrap_err().to_string();
        assert!(error.contains(expected), "{bad}: {error}");
    }
}

#[test]
fn a_rule_of_sql_is_asked_before_anything_runs() {
    let with = |expr: &str| {
        let text = format!("{EVENTS}\n[[quality.rule]]\nid = \"r\"\nkind = \"sql\"\nexpr = \"{expr}\"\n");
        // Rules stand before the models in the file as written; the order of sections does not matter.
        parse(&text).and_then(|pipeline| crate::silver::check(&pipeline))
    };
    with("amount < 100 OR kind = 'buy'").unwrap();
    for bad in ["amount +", "nothing > 1", "amount + 1", "amount > (SELECT 1)"] {
        assert!(matches!(with(bad), Err(Error::Sql { .. })), "{bad}");
    }
}

/// The pipeline of events with a source of Kafka.
fn topics(source: &str) -> Result<Pipeline> {
    let upload = "kind = \"upload\"\nformat = \"ndjson\"";
    assert!(EVENTS.contains(upload));
    parse(&EVENTS.replacen(upload, &format!("kind = \"kafka\"\n{source}"), 1))
}

/// The least that such a source says.
const LEAST: &str = "brokers = [\"k:9092\", \"[::1]:9092\"]\ntopics = [\"a\", \"b.c_d-e\"]";

#[test]
fn a_source_of_kafka_is_read() {
    let pipeline = topics(LEAST).unwrap();
    let kafka = pipeline.document().source.kafka().unwrap();
    assert!(kafka.wants("a", None) && !kafka.wants("ab", None));
    let registry = "format = \"avro\"\n[source.registry]\nurl = \"https://r/base\"";
    for good in [
        "start = \"latest\"",
        "start = \"2026-01-02T03:04:05+01:00\"",
        "isolation = \"read_uncommitted\"",
        "format = \"raw\"\nmemory_bytes = 4194304",
        "[source.tls]",
        "[source.sasl]\nmechanism = \"SCRAM-SHA-512\"\nusername = \"u\"\npassword = \"env:P\"",
        registry,
        &format!("{registry}\nusername = \"u\"\npassword = \"file:/p\""),
    ] {
        topics(&format!("{LEAST}\n{good}")).unwrap();
    }
    let pattern = topics("brokers = [\"k:1\"]\npattern = \"a|b.*\"").unwrap();
    let kafka = pattern.document().source.kafka().unwrap();
    let regex = kafka.regex().unwrap();
    let wanted = ["a", "bc", "ab", "ca", "__b"].map(|topic| kafka.wants(topic, regex.as_ref()));
    assert_eq!(wanted, [true, true, false, false, false]);
}

#[test]
fn a_source_of_kafka_is_checked_key_by_key() {
    let cases = [
        ("topics = [\"a\"]", "missing field `brokers`"),
        ("brokers = []\ntopics = [\"a\"]", "source.brokers: at least one"),
        ("brokers = [\"k\"]\ntopics = [\"a\"]", "source.brokers: \"k\""),
        ("brokers = [\"k:0\"]\ntopics = [\"a\"]", "source.brokers: \"k:0\""),
        ("brokers = [\"k:1\"]", "source.topics: either"),
        (
            "brokers = [\"k:1\"]\ntopics = [\"a/b\"]",
            "source.topics: \"a/b\"",
        ),
        (
            "brokers = [\"k:1\"]\ntopics = [\"a\", \"a\"]",
            "source.topics: \"a\"",
        ),
        ("brokers = [\"k:1\"]\npattern = \"(\"", "source.pattern: "),
    ];
    for (source, expected) in cases {
        let error = topics(source).unwrap_err().to_string();
        assert!(error.contains(expected), "{source}: {error}");
    }
    let cases = [
        ("topic = \"a\"", "unknown field `topic`"),
        ("format = \"csv\"", "unknown variant `csv`"),
        ("format = \"avro\"", "source.registry: avro needs one"),
        (
            "[source.registry]\nurl = \"http://r\"",
            "source.registry: json does not ask one",
        ),
        ("start = \"yesterday\"", "start is `earliest`"),
        ("memory_bytes = 1000", "source.memory_bytes: must be between"),
        ("discover = \"1ms\"", "source.discover: must be between"),
        ("timeout = \"1h\"", "source.timeout: must be between"),
        ("group = \"\"", "source.group: must have"),
        (
            "[source.tls]\ncertificate = \"c\"",
            "source.tls: certificate and key",
        ),
        (
            "[source.sasl]\nusername = \"u\"\npassword = \"hunter2\"",
            "is no reference",
        ),
        (
            "format = \"avro\"\n[source.registry]\nurl = \"ftp://r\"",
            "source.registry.url: must begin",
        ),
        (
            "format = \"avro\"\n[source.registry]\nurl = \"http://u:p@r\"",
            "source.registry.url: user and password",
        ),
        (
            "format = \"avro\"\n[source.registry]\nurl = \"http://r\"\nusername = \"u\"",
            "source.registry: username and password",
        ),
    ];
    for (key, expected) in cases {
        let error = topics(&format!("{LEAST}\n{key}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{key}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
