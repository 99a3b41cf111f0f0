//! What stops a start: each names the thing at fault, says it on stderr, and ends with its exit code.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use futures::StreamExt as _;
use tempfile::TempDir;
use tests::gateway::free_address;
use tests::house::root;
use tests::lake::key;
use tests::{Ended, Gateway, Lake, Launch};

const FAILURE: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);

async fn quickstart(directory: &Path, arguments: &[&str]) -> Ended {
    let directory = directory.to_str().expect("a UTF-8 path");
    let fixed = [
        "quickstart",
        "--dir",
        directory,
        "--scale",
        "0.01",
        "--ingest",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    Launch::new(fixed.iter().chain(arguments).copied())
        .run()
        .await
        .expect("an end")
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let own = TempDir::new().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (flag, other) in [("--flight", "--rest"), ("--rest", "--flight")] {
        let ended = quickstart(own.path(), &[flag, &address, other, "127.0.0.1:0"]).await;
        assert_eq!(ended.code, FAILURE, "{ended:?}");
        assert!(ended.stderr.contains(&address), "{ended:?}");
        assert!(!ended.stdout.contains("ready "), "{ended:?}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_a_fault_of_its_key() {
    let lake = Lake::create().await.expect("a lake");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for listener in ["listen.flight", "listen.rest", "listen.admin"] {
        let launch = lake.launch("serve", "127.0.0.1:0", &[&key(1)], &[(listener, &address)]);
        let ended = launch.expect("a command").run().await.expect("an end");
        assert_eq!(ended.code, FAILURE, "{ended:?}");
        assert!(ended.stderr.contains(&format!("{listener}: ")), "{ended:?}");
        assert!(ended.stderr.contains(&address), "{ended:?}");
    }
}

#[tokio::test]
async fn usage_errors_end_with_two_and_help_with_zero() {
    for arguments in [
        &["quickstrat"][..],
        &["quickstart", "--scale", "much"],
        &["quickstart", "--flights", "x"],
    ] {
        let ended = Launch::new(arguments.iter().copied())
            .run()
            .await
            .expect("an end");
        assert_eq!(ended.code, USAGE, "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
    for command in ["quickstart", "serve", "check", "sql"] {
        let ended = Launch::new([command, "--help"]).run().await.expect("an end");
        assert_eq!(ended.code, Some(0), "{command}: {ended:?}");
        assert!(
            ended.stdout.contains("Usage") && ended.stdout.lines().count() > 5,
            "{command}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn a_scale_that_makes_no_sense_is_refused() {
    let own = TempDir::new().expect("a folder");
    for scale in ["0", "-1", "NaN", "1e9"] {
        let launch = Launch::new([
            "quickstart",
            "--dir",
            own.path().to_str().expect("UTF-8"),
            &format!("--scale={scale}"),
        ]);
        let ended = launch.run().await.expect("an end");
        assert_eq!(ended.code, USAGE, "{scale}: {ended:?}");
        assert!(ended.stderr.contains("scale"), "{scale}: {ended:?}");
    }
}

/// Everything that a command has said: `check` lists what it found on its standard output, `serve` complains on the other.
fn said(ended: &Ended) -> String {
    format!("{}{}", ended.stdout, ended.stderr)
}

/// Checks that `check` and `serve` refuse the document `config`, naming all of `names`.
async fn refused(config: &str, names: &[&str]) {
    let own = TempDir::new().expect("a folder");
    let file = own.path().join("gateway.toml");
    fs::write(&file, config).expect("a writable folder");
    for command in ["check", "serve"] {
        let launch = Launch::new([command, "--config", file.to_str().expect("UTF-8")]);
        let ended = launch.run().await.expect("an end");
        assert_eq!(ended.code, FAILURE, "{command}: {ended:?}");
        for name in names {
            assert!(
                said(&ended).contains(name),
                "{command} does not name {name}: {ended:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_config_typo_is_named_with_a_suggestion() {
    let reference =
        fs::read_to_string(root().join("deploy/config/gateway.toml")).expect("the reference config");
    let sections: Vec<&str> = reference.lines().filter(|line| line.starts_with('[')).collect();
    let first = sections.first().expect("a section").trim_matches(['[', ']']);
    let typo = format!("{first}x");
    refused(&format!("[{typo}]\n"), &[&typo, first]).await;
    refused("this is = not [ toml\n", &["gateway.toml"]).await;
}

#[tokio::test]
async fn an_environment_typo_is_named() {
    let config = root().join("deploy/config/gateway.toml");
    let launch = Launch::new(["check", "--config", config.to_str().expect("UTF-8")])
        .with_environment("LAKEGATE__NO_SUCH_SECTION__KEY", "1");
    let ended = launch.run().await.expect("an end");
    assert_eq!(ended.code, FAILURE, "{ended:?}");
    assert!(
        ended.stderr.to_lowercase().contains("no_such_section"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_config_file_that_is_not_there_is_named() {
    let ended = Launch::new(["check", "--config", "/nowhere/gateway.toml"])
        .run()
        .await
        .expect("an end");
    assert_eq!(ended.code, FAILURE, "{ended:?}");
    assert!(said(&ended).contains("/nowhere/gateway.toml"), "{ended:?}");
}

/// Writing stops at 256 KiB a file, as on a full disk; with the limit gone the same command finishes the lake.
#[tokio::test]
async fn a_quickstart_that_cannot_write_says_so_and_the_next_one_finishes() {
    let own = TempDir::new().expect("a folder");
    let lake = own.path().join("lake");
    let launch = Launch::quickstart(&lake, 0.05, "127.0.0.1:0")
        .under_shell("trap '' XFSZ; ulimit -f 256; exec \"$0\" \"$@\"");
    let ended = launch.run().await.expect("an end");
    assert_eq!(ended.code, FAILURE, "{ended:?}");
    assert!(
        ended.stderr.contains(lake.to_str().expect("UTF-8")),
        "the folder is named: {ended:?}"
    );
    assert!(!ended.stdout.contains("ready "), "{ended:?}");
    let gateway = Gateway::quickstart_in(&lake, 0.05).expect("a gateway");
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let orders = flight
        .query("SELECT count(*), count(DISTINCT o_orderkey) FROM lake.gold.orders")
        .await;
    assert_eq!(orders.expect("an answer").rows(), [["75000", "75000"]]);
}

/// A file system of 3 MB of its own, where the machine lets an ordinary process mount one.
#[tokio::test]
async fn a_full_disk_during_quickstart_is_named() {
    let probe = "unshare --user --map-root-user --mount true";
    let allowed = tokio::process::Command::new("bash")
        .args(["-c", probe])
        .output()
        .await;
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("not run: this machine has no user namespaces to mount a small file system in");
        return;
    }
    let own = TempDir::new().expect("a folder");
    let directory = own.path().to_str().expect("UTF-8");
    let inner = format!("mount -t tmpfs -o size=3m tmpfs '{directory}' && exec \"$0\" \"$@\"");
    let outer = format!(
        "exec unshare --user --map-root-user --mount bash -c '{}' \"$0\" \"$@\"",
        inner.replace('\'', r"'\''")
    );
    let ended = Launch::quickstart(&own.path().join("lake"), 0.1, "127.0.0.1:0")
        .under_shell(&outer)
        .run()
        .await
        .expect("an end");
    assert_eq!(ended.code, FAILURE, "{ended:?}");
    let said = ended.stderr.to_lowercase();
    assert!(
        said.contains("no space") || said.contains("disk is full") || said.contains("disk full"),
        "{ended:?}"
    );
    assert!(said.contains(&directory.to_lowercase()), "{ended:?}");
}

#[tokio::test]
async fn credentials_are_for_their_owner_only_and_survive_a_restart() {
    let own = TempDir::new().expect("a folder");
    let lake = own.path().join("lake");
    let first = Gateway::quickstart_in(&lake, 0.01).expect("a gateway");
    let mode = fs::metadata(lake.join("credentials.json"))
        .expect("the file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let password = first.password("viewer").to_owned();
    for user in ["admin", "engineer", "scientist"] {
        assert_ne!(
            first.password(user),
            password,
            "every user has a password of its own"
        );
    }
    drop(first);
    let second = Gateway::quickstart_in(&lake, 0.01).expect("a gateway over the same lake");
    assert_eq!(second.password("viewer"), password);
    second.flight("viewer").await.expect("the same password opens it");
}

#[tokio::test]
async fn a_lake_that_was_moved_or_has_lost_its_catalog_is_told_and_left_alone() {
    let own = TempDir::new().expect("a folder");
    let (lake, moved) = (own.path().join("lake"), own.path().join("moved"));
    drop(Gateway::quickstart_in(&lake, 0.01).expect("a gateway"));
    fs::rename(&lake, &moved).expect("a move");
    let free = ["--flight", "127.0.0.1:0", "--rest", "127.0.0.1:0"];
    let ended = quickstart(&moved, &free).await;
    assert_eq!(ended.code, FAILURE);
    let from = lake.to_str().expect("a UTF-8 path");
    for word in [from, "move it back", "--dir"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    fs::rename(&moved, &lake).expect("a move");
    let (catalog, aside) = (lake.join("catalog.sqlite"), own.path().join("aside"));
    fs::rename(&catalog, &aside).expect("a move");
    let ended = quickstart(&lake, &free).await;
    assert_eq!(ended.code, FAILURE);
    assert!(ended.stderr.contains("put the catalog back"), "{}", ended.stderr);
    assert!(!catalog.exists(), "nothing is made over the old files");
    fs::rename(&aside, &catalog).expect("a move");
    Gateway::quickstart_in(&lake, 0.01).expect("the lake as it was");
}

#[tokio::test]
async fn an_interrupt_drains_and_ends_with_zero() {
    let gateway = Gateway::quickstart(0.01).expect("a gateway");
    let mut flight = gateway.flight("admin").await.expect("a connection");
    assert_eq!(flight.query("SELECT 1").await.expect("an answer").cell(), "1");
    gateway.signal("INT").await;
    assert_eq!(ended(gateway).await, Some(0));
}

#[tokio::test]
async fn a_quickstart_drains_at_sigterm_as_it_does_at_an_interrupt() {
    for signal in ["TERM", "INT"] {
        let gateway = Gateway::quickstart(0.01).expect("a gateway");
        let mut flight = gateway.flight("admin").await.expect("a connection");
        let plan = flight
            .plan("SELECT * FROM lake.gold.lineitem a, lake.gold.nation b")
            .await;
        let mut info = plan.expect("a plan");
        let ticket = info.endpoint.remove(0).ticket.expect("a ticket");
        let mut stream = flight.open(ticket).await.expect("a stream");
        let mut rows = stream.next().await.expect("a batch").expect("rows").num_rows();
        gateway.signal(signal).await;
        // The stream is larger than what the sockets hold, so it still runs when the order comes.
        while let Some(batch) = stream.next().await {
            rows += batch.expect("rows to the last").num_rows();
        }
        assert_eq!(rows, 60_175 * 25, "{signal}");
        drop((stream, flight));
        assert!(!gateway.log().contains("answers still running"), "{signal}");
        assert_eq!(ended(gateway).await, Some(0), "{signal}");
    }
}

/// The exit code of a gateway that was told to stop.
async fn ended(mut gateway: Gateway) -> Option<i32> {
    let end = tokio::task::spawn_blocking(move || gateway.await_end());
    end.await.expect("a thread").expect("an end")
}

#[tokio::test]
async fn a_taken_admin_port_is_named() {
    let own = TempDir::new().expect("a folder");
    let taken = TcpListener::bind(free_address().expect("an address")).expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let ended = Launch::quickstart(&own.path().join("lake"), 0.01, &address)
        .run()
        .await
        .expect("an end");
    assert_eq!(ended.code, FAILURE, "{ended:?}");
    assert!(ended.stderr.contains(&address), "{ended:?}");
}
