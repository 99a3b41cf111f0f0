//! House rules that no compiler checks: names, sizes, first lines, and that what the documents name exists.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tests::house::{files, root, shown};

/// Rooms where everything and nothing lives.
const JUNK_ROOMS: [&str; 8] = [
    "util", "utils", "common", "helper", "helpers", "misc", "manager", "shared",
];

/// Endings of type names that say nothing.
const EMPTY_ENDINGS: [&str; 8] = [
    "Manager",
    "Helper",
    "Handler",
    "Processor",
    "Wrapper",
    "Impl",
    "Base",
    "Util",
];

const LINES_MAX: usize = 500;

fn sources() -> Vec<PathBuf> {
    let found = files(&root(), "rs");
    assert!(
        found.len() > 50,
        "only {} sources found under {}",
        found.len(),
        root().display()
    );
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn none(wrong: Vec<String>, rule: &str) {
    assert!(wrong.is_empty(), "{rule}:\n  {}", wrong.join("\n  "));
}

#[test]
fn no_file_module_or_crate_is_a_junk_room() {
    let mut wrong = Vec::new();
    for extension in ["rs", "py", "java", "sql", "slt", "toml", "md"] {
        for path in files(&root(), extension) {
            let parts = path
                .strip_prefix(root())
                .expect("a path of the house")
                .components();
            for part in parts {
                let name = Path::new(part.as_os_str())
                    .file_stem()
                    .and_then(OsStr::to_str)
                    .unwrap_or_default();
                if JUNK_ROOMS.contains(&name.to_lowercase().as_str()) {
                    wrong.push(shown(&path));
                }
            }
        }
    }
    for path in sources() {
        for (number, line) in read(&path).lines().enumerate() {
            let words: Vec<&str> = line
                .trim_start()
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .collect();
            let module = words
                .iter()
                .skip_while(|word| word.starts_with("pub") || **word == "crate" || word.is_empty());
            let mut module = module.copied();
            if module.next() == Some("mod") && module.next().is_some_and(|name| JUNK_ROOMS.contains(&name)) {
                wrong.push(format!("{}:{}", shown(&path), number + 1));
            }
        }
    }
    none(wrong, "a file, module or crate has a name that says nothing");
}

#[test]
fn no_type_has_an_empty_name() {
    let mut wrong = Vec::new();
    for path in sources() {
        for (number, line) in read(&path).lines().enumerate() {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let Some(kind) = words
                .iter()
                .position(|word| ["struct", "enum", "trait", "type"].contains(word))
            else {
                continue;
            };
            let declares = words[..kind]
                .iter()
                .all(|word| word.is_empty() || ["pub", "crate", "super"].contains(word));
            let Some(name) = words.get(kind + 1) else { continue };
            if declares && EMPTY_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                wrong.push(format!("{}:{} {name}", shown(&path), number + 1));
            }
        }
    }
    none(wrong, "a type is called after nothing it does");
}

#[test]
fn every_source_says_first_why_it_exists() {
    // A `tests.rs` exists for the module beside it, which says why that one exists.
    let is_spoken_for = |path: &Path| path.file_name() == Some(OsStr::new("tests.rs"));
    let is_silent = |path: &PathBuf| !is_spoken_for(path) && !read(path).starts_with("//! ");
    let wrong = sources()
        .into_iter()
        .filter(is_silent)
        .map(|path| shown(&path))
        .collect();
    none(wrong, "a source does not start with `//!`");
}

#[test]
fn no_source_is_too_long_to_read_in_one_sitting() {
    let mut wrong = Vec::new();
    for extension in ["rs", "py", "java"] {
        for path in files(&root(), extension) {
            let lines = read(&path).lines().count();
            if lines > LINES_MAX {
                wrong.push(format!("{} {lines}", shown(&path)));
            }
        }
    }
    none(wrong, "a source has more than 500 lines");
}

#[test]
fn modules_are_files_beside_their_folder() {
    let wrong = sources()
        .iter()
        .filter(|p| p.file_name() == Some(OsStr::new("mod.rs")))
        .map(|p| shown(p))
        .collect();
    none(wrong, "a module is written as mod.rs");
}

#[test]
fn every_path_that_the_readme_names_exists() {
    let readme = read(&root().join("README.md"));
    let mut checked = 0;
    let mut wrong = Vec::new();
    for (number, line) in readme.lines().enumerate() {
        for quoted in line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|quoted| is_path(quoted))
        {
            for path in alternatives(quoted) {
                checked += 1;
                if !root().join(&path).exists() {
                    wrong.push(format!("README.md:{} {path}", number + 1));
                }
            }
        }
    }
    none(wrong, "the README names a path that is not there");
    assert!(
        checked >= 10,
        "the README names the file of each step; only {checked} paths found"
    );
}

/// Whether a piece of code in the README is a path of this repository: it has a slash or a source's ending, and no
/// blank, placeholder, scheme, flag or leading slash.
fn is_path(quoted: &str) -> bool {
    let plain = quoted
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-{},".contains(c));
    let folder = [
        "gateway",
        "planner",
        "connectors",
        "policies",
        "ingest",
        "tests",
        "benches",
        "deploy",
        ".ci",
    ];
    let ours = folder
        .iter()
        .any(|name| quoted == *name || quoted.starts_with(&format!("{name}/")));
    let root_file = !quoted.contains('/')
        && [".rs", ".toml", ".md"]
            .iter()
            .any(|ending| quoted.ends_with(ending))
        && quoted.starts_with(|c: char| c.is_ascii_uppercase());
    plain && (ours || root_file)
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn alternatives(path: &str) -> Vec<String> {
    match (path.find('{'), path.find('}')) {
        (Some(open), Some(close)) if open < close => path[open + 1..close]
            .split(',')
            .flat_map(|middle| alternatives(&format!("{}{middle}{}", &path[..open], &path[close + 1..])))
            .collect(),
        _ => vec![path.to_owned()],
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut wrong = Vec::new();
    for path in files(&root(), "md") {
        let folder = path.parent().expect("a folder");
        for (number, line) in read(&path).lines().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let file = link.split('#').next().unwrap_or_default();
                let outside = file.contains("://") || file.starts_with("mailto:");
                if !file.is_empty() && !outside && !folder.join(file).exists() {
                    wrong.push(format!("{}:{} {link}", shown(&path), number + 1));
                }
            }
        }
    }
    none(wrong, "a link leads nowhere");
}

#[test]
fn every_statement_on_the_page_of_answers_is_a_record_of_the_suite() {
    let page = read(&root().join("deploy/answers.md"));
    let statements: Vec<&str> = page
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|code| code.starts_with("SELECT "))
        .collect();
    assert!(statements.len() > 20, "{statements:?}");
    let records: Vec<String> = files(&root().join("tests/sql"), "slt")
        .iter()
        .map(|path| read(path))
        .collect();
    let is_record = |statement: &str| {
        let line = |line: &str| line == statement;
        records.iter().any(|text| text.lines().any(line))
    };
    let wrong = statements
        .into_iter()
        .filter(|statement| !is_record(statement))
        .map(str::to_owned)
        .collect();
    none(wrong, "a statement of deploy/answers.md is not in tests/sql");
}

#[test]
fn the_rules_find_what_they_look_for() {
    assert!(is_path("gateway/src/flight.rs") && is_path("README.md") && is_path("tests"));
    assert!(!is_path("/v1/sql") && !is_path("grpc://HOST:PORT") && !is_path("make test"));
    assert_eq!(alternatives("a/{b,c}.rs"), ["a/b.rs", "a/c.rs"]);
}
