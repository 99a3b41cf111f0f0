//! `make quickstart-federated` as a newcomer meets it: what it prints can be pasted, and nothing is left behind.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use tests::house::root;

/// What is printed from the headline to the next blank line, as a shell takes it.
fn snippet(said: &str, headline: &str) -> String {
    let from = said
        .find(headline)
        .unwrap_or_else(|| panic!("no '{headline}' in\n{said}"));
    let text = &said[from + headline.len()..];
    text.split("\n\n").next().expect("a first part").to_owned()
}

fn pasted(text: &str) -> String {
    let done = Command::new("bash").args(["-c", text]).output().expect("a shell");
    assert!(
        done.status.success(),
        "{text}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn the_federated_quickstart_prints_a_query_that_runs_and_leaves_nothing() {
    let folder = tempfile::TempDir::with_prefix("lakegate-test-").expect("a folder");
    let lake = folder.path().join("lake");
    let mut command = Command::new(root().join("deploy/quickstart/federated"));
    let free = "127.0.0.1:0";
    let mut started = command
        .args([
            "--scale", "0.01", "--flight", free, "--rest", free, "--admin", free, "--dir",
        ])
        .arg(&lake)
        .env("LAKEGATE", tests::binary())
        .env("TMPDIR", folder.path())
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the script");
    let mut said = String::new();
    for line in BufReader::new(started.stdout.take().expect("a pipe")).lines() {
        let line = line.expect("text");
        if line == "federated" {
            break;
        }
        said += &line;
        said.push('\n');
    }
    if !said.contains("# One query over both") {
        started.kill().ok();
        let mut complaint = String::new();
        started
            .stderr
            .take()
            .expect("a pipe")
            .read_to_string(&mut complaint)
            .ok();
        panic!("it did not start:\n{said}\n{complaint}");
    }
    let answer = pasted(&snippet(&said, "# One query over both\n"));
    assert!(
        answer.contains("FRANCE") && answer.contains("GERMANY"),
        "{answer}"
    );
    let report = pasted(&snippet(&said, "# What each source is asked for it\n"));
    for part in ["statement", "freshness", "gold.orders", "public.customer"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    let tables = pasted(&snippet(&said, "# lakegate, the tables of --postgres\n"));
    assert!(
        tables.contains("customer") && tables.contains("supplier"),
        "{tables}"
    );

    let stopped = Command::new("kill")
        .args(["-TERM", &started.id().to_string()])
        .status()
        .expect("kill");
    assert!(stopped.success());
    started.wait().expect("an end");
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["lake"], "the server's folder is gone");
}
