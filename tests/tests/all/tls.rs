//! TLS over the wire: what is answered, what is refused, and which faults of the files stop a start.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ingest::Zone;
use tempfile::TempDir;
use tests::lake::key;
use tests::{Authority, Flight, Gateway, Lake, Refusal};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};

const COUNT: &str = "SELECT count(*) AS n FROM lake.gold.events";

/// A certificate and its key as files of their own.
struct Files {
    folder: TempDir,
}

impl Files {
    fn of(authority: &Authority) -> Self {
        let folder = TempDir::with_prefix("lakegate-tls-").expect("a folder");
        let files = Self { folder };
        let issued = authority.issue();
        fs::write(files.path("tls.crt"), issued.certificate).expect("a file");
        files.write_key(&issued.key, 0o600);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_key(&self, text: &str, mode: u32) {
        let path = self.path("tls.key");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
    }

    fn settings(&self) -> [(&'static str, String); 2] {
        let text = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
        [
            ("tls.certificate", text(self.path("tls.crt"))),
            ("tls.key", text(self.path("tls.key"))),
        ]
    }

    fn gateway(&self, lake: &Lake, more: &[(&str, &str)]) -> Gateway {
        let own = self.settings();
        let mut settings: Vec<(&str, &str)> = own.iter().map(|(key, value)| (*key, value.as_str())).collect();
        settings.extend_from_slice(more);
        lake.gateway_with(&[&key(1)], &settings).expect("a gateway")
    }
}

async fn lake_of_ten() -> Lake {
    let lake = Lake::create().await.expect("a lake");
    lake.append(Zone::Gold, "events", 0..10).await.expect("rows");
    lake
}

fn connector(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.certificate_der().into())
        .expect("a certificate of ours");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("versions of the provider")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// The socket address in `SCHEME://HOST:PORT`.
fn socket(url: &str) -> SocketAddr {
    let (_, address) = url.split_once("://").expect("a URL");
    address.parse().expect("an address")
}

/// The whole answer to one call of HTTP/1.1, as it came.
async fn http(mut stream: impl AsyncRead + AsyncWrite + Unpin, password: &str) -> io::Result<String> {
    let body = format!("{{\"sql\": \"{COUNT}\"}}");
    let pair = BASE64_STANDARD.encode(format!("viewer:{password}"));
    let call = format!(
        "POST /v1/sql HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic {pair}\r\naccept: application/x-ndjson\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(call.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The version that was spoken and the answer over REST.
async fn rest(gateway: &Gateway, connector: &TlsConnector) -> io::Result<(Option<ProtocolVersion>, String)> {
    let stream = TcpStream::connect(socket(&gateway.rest)).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = connector.connect(name, stream).await?;
    let version = stream.get_ref().1.protocol_version();
    Ok((version, http(stream, gateway.password("viewer")).await?))
}

async fn flight(gateway: &Gateway, authority: &Authority) -> Result<Flight, Refusal> {
    let password = gateway.password("viewer");
    Flight::connect_tls(&gateway.flight, &authority.certificate(), "viewer", password).await
}

#[tokio::test]
async fn both_doors_answer_over_tls_1_3_and_nothing_older() {
    let (lake, authority) = (lake_of_ten().await, Authority::new("ours"));
    let gateway = Files::of(&authority).gateway(&lake, &[]);
    assert!(gateway.flight.starts_with("grpc+tls://"), "{}", gateway.flight);
    assert!(gateway.rest.starts_with("https://"), "{}", gateway.rest);

    let mut client = flight(&gateway, &authority).await.expect("a connection");
    assert_eq!(client.query(COUNT).await.expect("an answer").cell(), "10");
    let both = connector(&authority, &[&TLS12, &TLS13]);
    let (version, answer) = rest(&gateway, &both).await.expect("an answer");
    assert_eq!(version, Some(ProtocolVersion::TLSv1_3));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("{\"n\":10}"), "{answer}");

    let old = rest(&gateway, &connector(&authority, &[&TLS12])).await;
    let refusal = old.expect_err("TLS 1.2").to_string();
    assert!(refusal.to_lowercase().contains("version"), "{refusal}");
    // The admin listener has no TLS and no secrets, and is on loopback.
    assert!(gateway.admin.starts_with("http://"));
    gateway
        .await_metric("lakegate_connections{protocol=\"rest\"}", 0.0)
        .await;
}

#[tokio::test]
async fn plaintext_is_refused_where_tls_is_on() {
    let (lake, authority) = (lake_of_ten().await, Authority::new("ours"));
    let gateway = Files::of(&authority).gateway(&lake, &[]);
    let plain = gateway.flight.replacen("grpc+tls://", "grpc://", 1);
    let refusal = Flight::connect(&plain, "viewer", gateway.password("viewer")).await;
    refusal.map(drop).expect_err("no plaintext");
    let stream = TcpStream::connect(socket(&gateway.rest))
        .await
        .expect("a connection");
    let answer = http(stream, gateway.password("viewer")).await.unwrap_or_default();
    assert!(!answer.contains("HTTP/"), "{answer}");
    // It goes on for those who speak TLS.
    let mut client = flight(&gateway, &authority).await.expect("a connection");
    assert_eq!(client.query(COUNT).await.expect("an answer").cell(), "10");
}

#[tokio::test]
async fn tls_1_2_is_spoken_where_the_config_says_so() {
    let (lake, authority) = (lake_of_ten().await, Authority::new("ours"));
    let gateway = Files::of(&authority).gateway(&lake, &[("tls.minimum_version", "\"1.2\"")]);
    let (version, answer) = rest(&gateway, &connector(&authority, &[&TLS12]))
        .await
        .expect("an answer");
    assert_eq!(version, Some(ProtocolVersion::TLSv1_2));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (version, _) = rest(&gateway, &connector(&authority, &[&TLS12, &TLS13]))
        .await
        .expect("an answer");
    assert_eq!(version, Some(ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_sends_no_password() {
    let (lake, authority) = (lake_of_ten().await, Authority::new("ours"));
    let gateway = Files::of(&authority).gateway(&lake, &[]);
    // The same name and another key: the name alone is no proof.
    let other = Authority::new("ours");
    let refusal = flight(&gateway, &other).await.map(drop).expect_err("a stranger");
    assert!(refusal.message.contains("certificate"), "{refusal:?}");
    let refusal = rest(&gateway, &connector(&other, &[&TLS13]))
        .await
        .expect_err("a stranger");
    assert!(refusal.to_string().contains("certificate"), "{refusal}");
}

/// Checks that `check` and `serve` refuse these files, and that both name the key, the file and the reason.
async fn refused(lake: &Lake, files: &Files, key_at_fault: &str, file: &Path, reason: &str) {
    let own = files.settings();
    let settings: Vec<(&str, &str)> = own.iter().map(|(key, value)| (*key, value.as_str())).collect();
    for command in ["check", "serve"] {
        let launch = lake
            .launch(command, "127.0.0.1:0", &[&key(1)], &settings)
            .expect("a command");
        let ended = launch.run().await.expect("an end");
        assert_eq!(ended.code, Some(1), "{command}: {ended:?}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let start = format!("{key_at_fault}: {}", file.display());
        for part in [start.as_str(), reason] {
            assert!(said.contains(part), "{command}: {part} is not in: {said}");
        }
        assert!(!said.contains("PRIVATE KEY"), "{command}: {said}");
    }
}

#[tokio::test]
async fn a_key_that_others_may_read_stops_the_start() {
    let (lake, authority) = (lake_of_ten().await, Authority::new("ours"));
    for (mode, is_loose) in [
        (0o644, true),
        (0o660, true),
        (0o604, true),
        (0o640, false),
        (0o400, false),
    ] {
        let files = Files::of(&authority);
        files.write_key(&fs::read_to_string(files.path("tls.key")).expect("a key"), mode);
        if is_loose {
            let reason = format!("has mode {mode:04o}");
            refused(&lake, &files, "tls.key", &files.path("tls.key"), &reason).await;
        } else {
            files.gateway(&lake, &[]);
        }
    }
}

#[tokio::test]
async fn files_that_do_not_go_together_stop_the_start() {
    let (lake, authority) = (lake_of_ten().await, Authority::new("ours"));
    let files = Files::of(&authority);
    let (crt, private) = (files.path("tls.crt"), files.path("tls.key"));
    files.write_key(&authority.issue().key, 0o600);
    let reason = "is not the key of the certificate";
    refused(&lake, &files, "tls.key", &private, reason).await;
    files.write_key("no key\n", 0o600);
    refused(&lake, &files, "tls.key", &private, "no private key").await;
    fs::remove_file(&private).expect("the file");
    refused(&lake, &files, "tls.key", &private, "cannot be read").await;
    fs::write(&crt, "no certificate\n").expect("a file");
    refused(&lake, &files, "tls.certificate", &crt, "no certificate").await;
    fs::remove_file(&crt).expect("the file");
    refused(&lake, &files, "tls.certificate", &crt, "cannot be read").await;
}
