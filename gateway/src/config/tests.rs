use super::{Config, Environment, Fault, MinimumVersion, SecretReference};
use figment::error::Kind;
use figment::value::{Dict, Value};
use std::fs;
use std::path::Path;
use std::time::Duration;

const REFERENCE: &str = include_str!("../../../deploy/config/gateway.toml");

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, Fault> {
    Config::parse(text, Path::new("gateway.toml"), &environment(variables))
}

fn fault(text: &str, variables: &[(&str, &str)]) -> String {
    load(text, variables).unwrap_err().to_string()
}

/// The reference file with the examples of the keys that have no default.
fn with_examples() -> String {
    let strip = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    REFERENCE.lines().map(|line| strip(line) + "\n").collect()
}

#[test]
fn the_reference_file_equals_the_defaults() {
    let loaded = load(REFERENCE, &[]).unwrap();
    assert_eq!(format!("{loaded:#?}"), format!("{:#?}", Config::default()));
    Config::default().validate().unwrap();
}

/// The names that the code knows at a path: those it lists when it refuses one that nobody would choose.
fn known_at(whole: &Dict, path: &[String]) -> Vec<&'static str> {
    fn add(table: &mut Dict, path: &[String]) {
        match path.split_first() {
            None => {
                table.insert("no such key".to_owned(), Value::from(1));
            }
            Some((name, rest)) => match table.get_mut(name) {
                Some(Value::Dict(_, inner)) => add(inner, rest),
                other => unreachable!("{name} is {other:?}"),
            },
        }
    }
    let mut whole = whole.clone();
    add(&mut whole, path);
    match Value::from(whole)
        .deserialize::<Config>()
        .map_err(|error| error.kind)
    {
        Err(Kind::UnknownField(_, known)) => known.to_vec(),
        // A map of free names, such as the sources or the tiers, has no known ones.
        Ok(_) | Err(_) => Vec::new(),
    }
}

fn compare_keys(whole: &Dict, table: &Dict, path: &[String]) {
    for name in known_at(whole, path) {
        assert!(
            table.contains_key(name),
            "{path:?}: the reference file does not show `{name}`"
        );
    }
    for (name, value) in table {
        if let Value::Dict(_, inner) = value {
            compare_keys(whole, inner, &[path, std::slice::from_ref(name)].concat());
        }
    }
}

#[test]
fn the_reference_file_shows_every_key_and_only_these() {
    let text = with_examples();
    load(&text, &[]).unwrap();
    let table: toml::Table = toml::from_str(&text).unwrap();
    match Value::serialize(&table).unwrap() {
        Value::Dict(_, whole) => compare_keys(&whole, &whole, &[]),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn the_example_of_a_source_shows_its_defaults() {
    let text = with_examples();
    let whole = format!("{:?}", load(&text, &[]).unwrap());
    // Where a source is has no default, and each of several keys may say it.
    for (source, first) in [
        ("lake", "locations"),
        ("lake.rest", "scope"),
        ("lake.storage", "retries_max"),
        ("pg", "pool_max"),
    ] {
        check_example(&text, &whole, &format!("[planner.sources.{source}]"), first);
    }
}

fn check_example(text: &str, whole: &str, section: &str, first: &str) {
    let start = text.find(section).unwrap();
    let keys: Vec<&str> = text[start..]
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains(" = ") && !line.starts_with('#'))
        .skip_while(|line| !line.starts_with(first))
        .collect();
    assert!(keys.len() > 4);
    for line in keys {
        // Without the key the file is refused, or nothing changes.
        let shorter = text.replacen(&format!("\n{line}\n"), "\n", 1);
        match load(&shorter, &[]) {
            Ok(config) => assert_eq!(format!("{config:?}"), whole, "{line}"),
            Err(fault) => assert_eq!(fault.reason, "the key is missing", "{line}: {fault}"),
        }
    }
}

#[test]
fn every_key_of_the_reference_file_has_its_sentence() {
    let lines: Vec<&str> = REFERENCE.lines().collect();
    for pair in lines.windows(2) {
        let setting = pair[1].trim_start_matches('#');
        if setting.contains(" = ") && !setting.starts_with(' ') {
            assert!(
                pair[0].starts_with("# ") && pair[0].ends_with('.'),
                "no sentence above {}",
                pair[1]
            );
        }
    }
}

#[test]
fn an_unknown_key_is_refused_with_file_line_path_and_suggestion() {
    let cases = [
        (
            "[limits]\nqueue_max = 3\nquerys_max = 4\n",
            "gateway.toml, line 3: limits.querys_max: unknown key; did you mean `queries_max`?",
        ),
        (
            "[limit]\nqueries_max = 4\n",
            "gateway.toml, line 1: limit: unknown key; did you mean `limits`?",
        ),
        (
            "limits.QueueMax = 3",
            "gateway.toml, line 1: limits.QueueMax: unknown key; did you mean `queue_max`?",
        ),
        (
            "[policies]\nzebra = 3\n",
            "gateway.toml, line 2: policies.zebra: unknown key; known here: file, mask_key, poll, staleness_max",
        ),
        (
            "[planner.sources.lake]\nkind = \"iceberg\"\ncatalogue = \"/c\"\nwarehouse = \"/w\"\n",
            "gateway.toml, line 3: planner.sources.lake.catalogue: unknown key; did you mean `catalog`?",
        ),
        (
            "[planner.sources.lake]\nkind = \"icebreg\"\ncatalog = \"/c\"\nwarehouse = \"/w\"\n",
            "gateway.toml, line 2: planner.sources.lake.kind: unknown value; did you mean `iceberg`?",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(fault(text, &[]), expected);
    }
}

#[test]
fn a_wrong_value_is_refused_with_its_key() {
    let cases = [
        (
            "[limits]\nqueries_max = \"many\"",
            "gateway.toml, line 2: limits.queries_max: expected usize, found a string",
        ),
        (
            "limits = 3",
            "gateway.toml, line 1: limits: expected struct Limits, found the number 3",
        ),
        (
            "[limits]\nqueries_max = -1",
            "gateway.toml, line 2: limits.queries_max: expected usize, found the number -1",
        ),
        (
            "[limits]\nqueries_max = 0",
            "gateway.toml, line 2: limits.queries_max: must be at least 1",
        ),
        (
            "[tls]\nminimum_version = \"1.1\"",
            "gateway.toml, line 2: tls.minimum_version: unknown value; did you mean `1.2`?",
        ),
        (
            "[tls]\ncertificate = \"a\"",
            "gateway.toml, line 1: tls.key: the key of `tls.certificate` is missing",
        ),
        (
            "[identity]\nsession_max = \"1s\"",
            "gateway.toml, line 2: identity.session_max: must be between 1 minute and 30 days",
        ),
        (
            "[planner.sources.lake]\nkind = \"iceberg\"\ncatalog = \"/c\"\nwarehouse = 7\n",
            "gateway.toml, line 4: planner.sources.lake.warehouse: expected a string, found the number 7",
        ),
        (
            "[planner.sources.lake]\nkind = \"iceberg\"\ncatalog = \"/c\"\n",
            "gateway.toml, line 1: planner.sources.lake.warehouse: the key is missing",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(fault(text, &[]), expected);
    }
    for (text, start) in [
        (
            "[limits]\nqueue_timeout = \"soon\"",
            "gateway.toml, line 2: limits.queue_timeout: ",
        ),
        (
            "[planner]\nmemory_max = \"lots\"",
            "gateway.toml, line 2: planner.memory_max: ",
        ),
        (
            "[listen]\nrest = \"here\"",
            "gateway.toml, line 2: listen.rest: `here` is not an address such as",
        ),
        (
            "[telemetry]\nlog = \"a=b=c\"",
            "gateway.toml, line 2: telemetry.log: ",
        ),
        ("[limits\n", "gateway.toml, line 1: "),
    ] {
        let found = fault(text, &[]);
        assert!(found.starts_with(start), "{found}");
    }
}

#[test]
fn a_bound_without_room_is_refused_with_its_key() {
    let cases = [
        (
            "[planner]\nbatch_rows = 0",
            "gateway.toml, line 2: planner.batch_rows: must be between 1 and 1048576",
        ),
        (
            "[planner]\nquery_timeout = \"9000y\"",
            "gateway.toml, line 2: planner.query_timeout: must be between 1ms and 365 days",
        ),
        (
            "[planner.sources.lake]\nkind = \"iceberg\"\ncatalog = \"/c\"\nwarehouse = \"/w\"\nconnections_max = 0\n",
            "gateway.toml, line 5: planner.sources.lake.connections_max: must be 1 to 1024",
        ),
        (
            "[limits]\nkeep_alive = \"1ms\"",
            "gateway.toml, line 2: limits.keep_alive: must be between 1s and 365 days",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(fault(text, &[]), expected);
    }
}

#[test]
fn a_variable_wins_over_the_file_and_is_named_when_it_is_wrong() {
    let variables = [
        ("LAKEGATE__LIMITS__QUERIES_MAX", "7"),
        ("LAKEGATE__LISTEN__REST", "localhost:81"),
        ("LAKEGATE__TLS__MINIMUM_VERSION", "\"1.2\""),
        ("LAKEGATE__SEAL__KEYS", "[\"env:A\", \"file:/b\"]"),
        ("LAKEGATE__PLANNER__SOURCES__LAKE__KIND", "iceberg"),
        ("LAKEGATE__PLANNER__SOURCES__LAKE__CATALOG", "/c"),
        ("LAKEGATE__PLANNER__SOURCES__LAKE__WAREHOUSE", "/w"),
        ("LAKEGATE_PASSWORD", "not a setting"),
    ];
    let config = load("[limits]\nqueries_max = 3\nqueue_max = 4\n", &variables).unwrap();
    assert_eq!((config.limits.queries_max, config.limits.queue_max), (7, 4));
    assert_eq!(config.listen.rest.to_string(), "127.0.0.1:81");
    assert_eq!(config.tls.minimum_version, MinimumVersion::Tls12);
    let keys = [
        SecretReference::Environment("A".to_owned()),
        SecretReference::File("/b".into()),
    ];
    assert_eq!(config.seal.keys, keys);
    assert!(config.planner.sources.contains_key("lake"));

    let one = |name: &str, value: &str| fault("[limits]\nqueries_max = 3\n", &[(name, value)]);
    assert_eq!(
        one("LAKEGATE__LIMITS__QUERYS_MAX", "1"),
        "variable LAKEGATE__LIMITS__QUERYS_MAX: limits.querys_max: unknown key; did you mean `queries_max`?"
    );
    assert_eq!(
        one("LAKEGATE__LIMITS__QUERIES_MAX", "lots"),
        "variable LAKEGATE__LIMITS__QUERIES_MAX: limits.queries_max: expected usize, found a string"
    );
    assert_eq!(
        one("LAKEGATE__LIMITS__QUERIES_MAX", "0"),
        "variable LAKEGATE__LIMITS__QUERIES_MAX: limits.queries_max: must be at least 1"
    );
    assert_eq!(
        one("LAKEGATE__", "1"),
        "variable LAKEGATE__: the name has an empty part"
    );
    // A value cannot smuggle in another key.
    let config = load("", &[("LAKEGATE__SESSION__SCHEMA", "1\nqueries_max = 9")]).unwrap();
    assert_eq!(config.session.schema, "1\nqueries_max = 9");
}

#[test]
fn plaintext_beyond_loopback_is_refused_unless_allowed() {
    let tls = "[tls]\ncertificate = \"c\"\nkey = \"k\"\n";
    for (listener, with_tls) in [("flight", true), ("rest", true), ("admin", false)] {
        let text = format!("[listen]\n{listener} = \"0.0.0.0:1\"\n");
        let found = fault(&text, &[]);
        let start =
            format!("gateway.toml, line 2: listen.{listener}: is not loopback and would be plaintext");
        assert!(found.starts_with(&start), "{found}");
        assert_eq!(load(&format!("{text}{tls}"), &[]).is_ok(), with_tls);
        load(&format!("{text}allow_plaintext = true\n"), &[]).unwrap();
    }
    for local in [
        "127.0.0.1:0",
        "127.8.9.1:1",
        "[::1]:1",
        "localhost:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        load(&format!("listen.flight = \"{local}\""), &[]).unwrap();
    }
}

#[test]
fn a_secret_is_a_reference_and_never_repeated() {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for text in [
        format!("seal.keys = [\"{key}\"]"),
        format!("seal.keys = \"{key}\""),
    ] {
        let found = fault(&text, &[]);
        assert!(found.contains("seal.keys"), "{found}");
        assert!(!found.contains(key), "{found}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    fs::write(&file, format!("{key}\n")).unwrap();
    let text = format!("seal.keys = [\"env:SEAL\", \"file:{}\"]", file.display());
    let config = load(&text, &[]).unwrap();
    config.seal.open(&environment(&[("SEAL", key)])).unwrap();
    let absent = config.seal.open(&environment(&[])).unwrap_err();
    assert_eq!(absent.to_string(), "seal.keys[0]: the variable SEAL is not set");
    let short = config.seal.open(&environment(&[("SEAL", "AAAA")])).unwrap_err();
    assert_eq!(short.to_string(), "seal.keys[0]: it is not 32 bytes long");
    fs::remove_file(&file).unwrap();
    let gone = config.seal.open(&environment(&[("SEAL", key)])).unwrap_err();
    assert!(gone.to_string().starts_with("seal.keys[1]: "), "{gone}");
    assert!(
        Config::default().seal.open(&environment(&[])).is_err(),
        "no key is made up"
    );
    assert_eq!(format!("{:?}", environment(&[("SEAL", key)])), "{\"SEAL\"}");
}

#[test]
fn the_password_of_a_source_is_a_reference_that_is_followed_late() {
    let source = "[planner.sources.pg]\nkind = \"postgres\"\nurl = \"postgres://u@h/d\"\n";
    let found = fault(&format!("{source}password = \"hunter2\"\n"), &[]);
    assert!(
        found.contains("planner.sources.pg") && !found.contains("hunter2"),
        "{found}"
    );
    let config = load(&format!("{source}password = \"env:PW\"\n"), &[]).unwrap();
    let filled = config
        .planner_with_secrets(&environment(&[("PW", "hunter2")]))
        .unwrap();
    assert_ne!(filled.sources, config.planner.sources);
    assert!(!format!("{filled:?}").contains("hunter2"));
    let unset = config
        .planner_with_secrets(&environment(&[]))
        .unwrap_err()
        .to_string();
    assert_eq!(
        unset,
        "planner.sources.pg: key password: the variable PW is not set"
    );
}

#[test]
fn a_missing_file_is_named() {
    let found = Config::load(Path::new("/no/such/gateway.toml"), &environment(&[])).unwrap_err();
    assert!(
        found
            .to_string()
            .starts_with("/no/such/gateway.toml: cannot be read: "),
        "{found}"
    );
    let config = load("limits.queue_timeout = \"2m 30s\"", &[]).unwrap();
    assert_eq!(config.limits.queue_timeout, Duration::from_secs(150));
}
