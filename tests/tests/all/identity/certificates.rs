//! Client certificates, and the server's own taken up anew without a restart.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tests::authority::Issued;
use tests::{Authority, Flight, Refusal};

use super::{COUNT, House, until};

const KNOWN: &str = "uri:spiffe://lakegate.test/etl";

const SECTIONS: &str = "[identity.certificates.etl]\nsan = \"uri:spiffe://lakegate.test/etl\"\nroles = [\"viewer\"]\n\
                        [tls]\ncertificate = \"FOLDER/tls.crt\"\nkey = \"FOLDER/tls.key\"\nclient_ca = \"CLIENTS\"\n";

fn write(folder: &Path, issued: &Issued) {
    let key = folder.join("tls.key");
    fs::write(&key, &issued.key).expect("a file");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("permissions");
    fs::write(folder.join("tls.crt"), &issued.certificate).expect("a file");
}

/// A gateway over TLS that takes certificates of `clients`; the folder of its files stays until the value goes.
async fn house(server: &Authority, clients: &Authority, more: &str) -> (House, tempfile::TempDir) {
    let folder = tempfile::TempDir::with_prefix("lakegate-mtls-").expect("a folder");
    write(folder.path(), &server.issue());
    let ca = folder.path().join("clients.crt");
    fs::write(&ca, clients.certificate()).expect("a file");
    let sections = SECTIONS
        .replace("FOLDER", folder.path().to_str().expect("UTF-8"))
        .replace("CLIENTS", ca.to_str().expect("UTF-8"));
    (House::with(&format!("{sections}{more}"), &[]).await, folder)
}

async fn ask(house: &House, server: &Authority, own: Option<&Issued>) -> Result<String, Refusal> {
    let own = own.map(|own| (own.certificate.as_str(), own.key.as_str()));
    let mut flight = Flight::over_tls(&house.gateway.flight, &server.certificate(), own).await?;
    Ok(flight.query(COUNT).await?.cell())
}

#[tokio::test]
async fn a_certificate_of_the_clients_authority_is_its_callers_name() {
    let (server, clients) = (Authority::new("server"), Authority::new("clients"));
    let (house, _folder) = house(&server, &clients, "").await;
    let uri = KNOWN.strip_prefix("uri:").expect("a URI");
    let known = clients.issue_client(uri);
    assert_eq!(ask(&house, &server, Some(&known)).await.expect("an answer"), "10");
    // A certificate of the right authority with another name, whose common name is that of a user.
    let other = clients.issue_client("spiffe://lakegate.test/other");
    let refusal = ask(&house, &server, Some(&other)).await.expect_err("nobody's");
    assert!(refusal.message.contains("(LG2001)"), "{refusal:?}");
    // The right name of another authority does not get through TLS.
    let forged = Authority::new("clients").issue_client(uri);
    let refusal = ask(&house, &server, Some(&forged)).await.expect_err("forged");
    assert!(!refusal.message.contains("LG2001"), "{refusal:?}");
    // A password works without one, since none is required.
    let password = house.gateway.password("viewer");
    let mut user = Flight::connect_tls(&house.gateway.flight, &server.certificate(), "viewer", password)
        .await
        .expect("a connection");
    assert_eq!(user.query(COUNT).await.expect("an answer").cell(), "10");
    let none = ask(&house, &server, None).await.expect_err("nothing shown");
    assert!(none.message.contains("(LG2001)"), "{none:?}");
}

#[tokio::test]
async fn where_a_certificate_is_required_nobody_comes_without_one() {
    let (server, clients) = (Authority::new("server"), Authority::new("clients"));
    let (house, _folder) = house(&server, &clients, "client_required = true\n").await;
    let known = clients.issue_client(KNOWN.strip_prefix("uri:").expect("a URI"));
    assert_eq!(ask(&house, &server, Some(&known)).await.expect("an answer"), "10");
    let password = house.gateway.password("viewer");
    let refusal = Flight::connect_tls(&house.gateway.flight, &server.certificate(), "viewer", password).await;
    refusal.map(drop).expect_err("no certificate");
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_bad_one_changes_nothing() {
    let (server, clients) = (Authority::new("server"), Authority::new("clients"));
    let (house, folder) = house(&server, &clients, "").await;
    let known = clients.issue_client(KNOWN.strip_prefix("uri:").expect("a URI"));
    let mut before = {
        let own = Some((known.certificate.as_str(), known.key.as_str()));
        Flight::over_tls(&house.gateway.flight, &server.certificate(), own)
            .await
            .expect("a connection")
    };
    let failed = "lakegate_reloads_total{document=\"tls\",outcome=\"failed\"}";
    assert_eq!(house.gateway.metric(failed).await, Some(0.0));

    fs::write(folder.path().join("tls.crt"), "garbage").expect("a file");
    until(|| house.gateway.metric(failed), |seen| *seen == Some(1.0)).await;
    assert_eq!(
        ask(&house, &server, Some(&known)).await.expect("the old one"),
        "10"
    );
    // The key of another certificate.
    fs::write(folder.path().join("tls.crt"), server.issue().certificate).expect("a file");
    until(|| house.gateway.metric(failed), |seen| *seen == Some(2.0)).await;
    assert_eq!(
        ask(&house, &server, Some(&known)).await.expect("the old one"),
        "10"
    );
    let log = house.gateway.log();
    assert!(
        log.contains("is not the key of the certificate") && !log.contains("PRIVATE KEY"),
        "{log}"
    );

    let next = Authority::new("next");
    write(folder.path(), &next.issue());
    until(|| ask(&house, &next, Some(&known)), Result::is_ok)
        .await
        .expect("the new one");
    ask(&house, &server, Some(&known))
        .await
        .map(drop)
        .expect_err("the old one is gone");
    assert_eq!(
        before
            .query(COUNT)
            .await
            .expect("what was open stays open")
            .cell(),
        "10"
    );
}
