//! Policy documents: any text is refused or is one that answers every question, the same each time it is asked.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use policies::review::{Somebody, decide, difference, explain, findings, roles};
use policies::{PolicySet, Secret, TableName};

fuzz_target!(|text: &str| {
    let key = Secret::new("a key that is as long as a key of masks has to be");
    let Ok(set) = PolicySet::parse_with_key(text, Path::new("fuzz.toml"), Some(&key)) else {
        return;
    };
    let tables = [
        TableName::new("lake", "gold", "events"),
        TableName::new("lake", "gold", "events$files"),
        TableName::new("", "", ""),
    ];
    for role in roles(&set).into_iter().take(8).chain([String::new()]) {
        let who = Somebody {
            subject: "ada".to_owned(),
            roles: [role].into(),
        };
        for table in &tables {
            assert_eq!(decide(&set, &who, table), decide(&set, &who, table));
            drop(explain(&set, &who, table, Some("name")));
        }
    }
    // Each asks for every pair of role and table.
    if text.len() < 4_096 {
        drop(findings(&set));
        assert!(
            difference(&set, &set).is_empty(),
            "a document differs from itself"
        );
    }
});
