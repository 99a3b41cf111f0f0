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
