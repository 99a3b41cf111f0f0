//! The edges between the crates, as the README draws them: who may know whom, and who alone may know a protocol.

use std::collections::BTreeSet;
use std::fs;

use tests::house::{files, root, shown};

/// The crates of the house and the crates of the house that each may name.
const EDGES: [(&str, &[&str]); 5] = [
    ("gateway", &["planner", "policies", "ingest"]),
    ("planner", &["policies", "connectors"]),
    ("ingest", &["policies", "connectors"]),
    ("connectors", &[]),
    ("policies", &[]),
];

/// The crates above all of them.
const ABOVE: [&str; 3] = ["tests", "benches", "fuzz"];

/// What only the gateway may depend on: the query side's protocols.
const PROTOCOLS: [&str; 7] = [
    "tonic",
    "axum",
    "arrow-flight",
    "hyper",
    "tower",
    "tower-http",
    "utoipa",
];

/// What the door of ingest is made of: HTTP, and no more of the protocols.
const DOOR: [&str; 2] = ["axum", "hyper"];

/// What `policies` may not know: engines, formats, protocols.
const ENGINES: [&str; 6] = [
    "datafusion",
    "arrow",
    "parquet",
    "iceberg",
    "object_store",
    "sqlparser",
];

/// All dependencies of a crate, of every kind and target.
fn dependencies(name: &str) -> BTreeSet<String> {
    let path = root().join(name).join("Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(&path)
        .expect("a manifest")
        .parse()
        .expect("valid TOML");
    let mut found = BTreeSet::new();
    collect(&manifest, &mut found);
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        for target in targets.values().filter_map(toml::Value::as_table) {
            collect(target, &mut found);
        }
    }
    found
}

fn collect(manifest: &toml::Table, found: &mut BTreeSet<String>) {
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(table) = manifest.get(kind).and_then(toml::Value::as_table) else {
            continue;
        };
        for (name, entry) in table {
            let real = entry.get("package").and_then(toml::Value::as_str).unwrap_or(name);
            found.insert(real.to_owned());
        }
    }
}

#[test]
fn the_workspace_has_one_crate_for_each_folder_of_the_map() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml"))
        .expect("a manifest")
        .parse()
        .expect("valid TOML");
    let members: BTreeSet<&str> = manifest["workspace"]["members"]
        .as_array()
        .expect("a list of members")
        .iter()
        .filter_map(toml::Value::as_str)
        .collect();
    let map: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).chain(ABOVE).collect();
    assert_eq!(
        members, map,
        "a new crate needs a reason and a line in this table"
    );
}

#[test]
fn crates_know_only_the_crates_below_them() {
    let house: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).chain(ABOVE).collect();
    let mut wrong = Vec::new();
    for (name, allowed) in EDGES {
        for dependency in dependencies(name) {
            if house.contains(dependency.as_str()) && !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{name} -> {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that the house does not have: {wrong:?}");
}

#[test]
fn the_gateway_alone_knows_the_protocols() {
    assert!(
        PROTOCOLS
            .iter()
            .all(|protocol| dependencies("gateway").contains(*protocol)),
        "the list is stale"
    );
    let mut wrong = Vec::new();
    for (name, _) in EDGES.iter().filter(|(name, _)| *name != "gateway") {
        let found = dependencies(name);
        wrong.extend(
            PROTOCOLS
                .iter()
                .filter(|p| found.contains(**p) && !(*name == "ingest" && DOOR.contains(p)))
                .map(|p| format!("{name} -> {p}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn policies_know_no_engine_and_no_format() {
    let found = dependencies("policies");
    let wrong: Vec<&&str> = ENGINES.iter().filter(|engine| found.contains(**engine)).collect();
    assert!(wrong.is_empty(), "policies -> {wrong:?}");
}

#[test]
fn only_the_quickstart_names_ingest() {
    let mut users = BTreeSet::new();
    for path in files(&root().join("gateway").join("src"), "rs") {
        let text = fs::read_to_string(&path).expect("a readable source");
        if text
            .lines()
            .any(|line| !line.trim_start().starts_with("//") && names_ingest(line))
        {
            users.insert(shown(&path));
        }
    }
    let wrong: Vec<&String> = users
        .iter()
        .filter(|path| !path.starts_with("gateway/src/cli/quickstart"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} name the crate `ingest`");
    assert!(
        !users.is_empty(),
        "the quickstart makes its lake through `ingest`"
    );
}

fn names_ingest(line: &str) -> bool {
    line.match_indices("ingest").any(|(start, word)| {
        let before = line[..start].chars().next_back();
        let own = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.');
        own && (line[start + word.len()..].starts_with("::") || line.trim() == "use ingest;")
    })
}

#[test]
fn only_the_enforcement_makes_a_guarded_plan() {
    let mut makers = BTreeSet::new();
    for path in files(&root().join("planner").join("src"), "rs") {
        let text = fs::read_to_string(&path).expect("a readable source");
        if text.contains("GuardedPlan {") || text.contains("GuardedPlan::new") {
            makers.insert(shown(&path));
        }
    }
    let wrong: Vec<&String> = makers
        .iter()
        .filter(|path| !path.starts_with("planner/src/guard") && !path.starts_with("planner/src/enforce"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} make a GuardedPlan");
}
