use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn args(flags: &[&str]) -> Result<Arguments, clap::Error> {
    Line::try_parse_from(std::iter::once(&"quickstart").chain(flags)).map(|line| line.arguments)
}

#[test]
fn flags_have_the_promised_defaults_and_bounds() {
    let defaults = args(&[]).unwrap();
    assert_eq!(defaults.dir, PathBuf::from("./lakegate-data"));
    assert_eq!(defaults.flight.to_string(), "127.0.0.1:50051");
    assert_eq!(defaults.rest.to_string(), "127.0.0.1:8080");
    assert_eq!(
        (defaults.admin.to_string().as_str(), defaults.scale),
        ("127.0.0.1:9090", None)
    );
    for bad in ["0", "-1", "x", "1e9", "NaN"] {
        assert!(args(&[&format!("--scale={bad}")]).is_err(), "{bad}");
    }
    assert!(args(&["--flight", "nowhere"]).is_err());
}

#[test]
fn a_folder_is_private_and_has_one_owner() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/b");
    let folder = Folder::open(&dir).unwrap();
    assert_eq!(
        std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let busy = Folder::open(&dir).unwrap_err().to_string();
    assert!(busy.contains("another quickstart runs on"), "{busy}");
    drop(folder);
    Folder::open(&dir).unwrap();

    std::fs::write(parent.path().join("thesis.txt"), "x").unwrap();
    let foreign = Folder::open(parent.path()).unwrap_err().to_string();
    assert!(foreign.contains("not made by a quickstart"), "{foreign}");
    let file = Folder::open(&parent.path().join("thesis.txt"))
        .unwrap_err()
        .to_string();
    assert!(file.contains("thesis.txt") && file.contains("--dir"), "{file}");
}

#[test]
fn a_port_in_use_is_refused_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("q");
    let flags = [
        "--dir",
        dir.to_str().unwrap(),
        "--flight=127.0.0.1:0",
        "--rest",
        &address,
        "--ingest=127.0.0.1:0",
        "--admin=127.0.0.1:0",
    ];
    let error = run(args(&flags).unwrap(), &Environment::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains(&address) && error.contains("--rest"), "{error}");
    assert!(!dir.join("warehouse").exists() && !dir.join("credentials.json").exists());
}

#[test]
fn the_config_is_one_that_serve_takes() {
    let parent = tempfile::tempdir().unwrap();
    let folder = Folder::open(&parent.path().join("with \"quotes\" and ü")).unwrap();
    let text = settings::gateway(&folder, &args(&["--rest=127.0.0.1:0"]).unwrap());
    let config = Config::parse(&text, &folder.path("gateway.toml"), &Environment::default()).unwrap();
    assert_eq!(config.listen.rest.port(), 0);
    assert_eq!(config.policies.file, folder.path("policies.toml"));
    let with = args(&["--postgres=postgres://ada:secret@db.example/sales"]).unwrap();
    let text = settings::gateway(&folder, &with);
    assert!(!text.contains("secret"), "{text}");
    let both = Config::parse(&text, &folder.path("gateway.toml"), &Environment::default()).unwrap();
    assert_eq!(both.planner.sources.keys().collect::<Vec<_>>(), ["lake", "pg"]);
    folder.write("seal.key", &settings::seal_key().unwrap()).unwrap();
    config.seal.open(&Environment::default()).unwrap();
}

#[test]
fn snippets_have_no_gap_and_only_the_viewers_password() {
    let parent = tempfile::tempdir().unwrap();
    let folder = Folder::open(&parent.path().join("q")).unwrap();
    let account = |user: &str| accounts::Account {
        user: user.into(),
        password: format!("pw-of-{user}"),
        roles: vec![],
    };
    let at = At::new(
        &folder,
        "0.0.0.0:4711".parse().unwrap(),
        "[::1]:4712".parse().unwrap(),
        "[::]:4713".parse().unwrap(),
    );
    let accounts = [account("admin"), account("engineer"), account("viewer")];
    let text = snippets::render(&at, &accounts, true).unwrap();
    assert!(text.contains("grpc://127.0.0.1:4711") && text.contains("http://[::1]:4712/v1/sql"));
    assert!(text.contains("http://[::1]:4713/v1/ingest/events"));
    assert!(
        text.contains("pw-of-viewer") && !text.contains("pw-of-admin") && !text.contains("pw-of-engineer")
    );
    let bodies = text.replace("-d @-", "").replace("--data-binary @-", "");
    assert!(!bodies.contains('@'), "{text}");
    assert!(snippets::render(&at, &accounts[..2], true).is_err());
}
