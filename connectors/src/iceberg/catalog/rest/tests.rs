//! The parts of the REST catalog that no real catalog shows at will: ends of tokens, entity tags, failures. Each answer
//! below is one that the specification has.

use super::*;
use crate::ErrorKind;
use std::collections::VecDeque;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that gives prepared answers in their order and remembers what it was asked.
#[derive(Clone)]
struct Script {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<(u16, String, String)>>>,
}

impl Script {
    async fn start(answers: &[(u16, &str, String)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = answers
            .iter()
            .map(|(status, headers, body)| (*status, (*headers).to_owned(), body.clone()));
        let script = Self {
            address: format!("http://{}/iceberg", listener.local_addr().unwrap()),
            asked: Arc::default(),
            answers: Arc::new(Mutex::new(answers.collect())),
        };
        let server = script.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !is_whole(&request) {
                    let mut part = [0; 4096];
                    match stream.read(&mut part).await {
                        Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
                        _ => break,
                    }
                }
                server
                    .asked
                    .lock()
                    .unwrap()
                    .push(String::from_utf8(request).unwrap());
                let next = server.answers.lock().unwrap().pop_front();
                let (status, headers, body) =
                    next.unwrap_or((500, String::new(), "nothing prepared".to_owned()));
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.ok();
            }
        });
        script
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn catalog(&self, change: impl FnOnce(&mut SourceConfig)) -> RestCatalog {
        let mut config = SourceConfig::new(self.address.as_str(), "analytics");
        config.rest.allow_http = true;
        config.rest.retries_max = 1;
        change(&mut config);
        config.validate().unwrap();
        let url = Url::parse(&self.address).unwrap();
        RestCatalog::new("theirs", &url, &config, Handle::current()).unwrap()
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn said(prefix: &str) -> String {
    format!(r#"{{"defaults": {{}}, "overrides": {{"prefix": "{prefix}"}}}}"#)
}

fn metadata(place: &str) -> String {
    serde_json::json!({
        "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": place,
        "last-sequence-number": 0, "last-updated-ms": 1, "last-column-id": 1,
        "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "a", "required": false, "type": "long"}]}],
        "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
        "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
    })
    .to_string()
}

fn table(keys: &str) -> String {
    let place = "s3://b/wh/gold/t";
    format!(
        r#"{{"metadata-location": "{place}/metadata/1.metadata.json", "metadata": {}, "config": {keys}}}"#,
        metadata(place)
    )
}

#[tokio::test]
async fn a_table_that_has_not_changed_is_not_sent_again() {
    let script = Script::start(&[
        (200, "", said("main")),
        (200, "etag: W/\"one\"\r\n", table("{}")),
        (304, "", String::new()),
        (404, "", String::new()),
    ])
    .await;
    let catalog = script.catalog(|_| {});
    let first = catalog.pointer("gold.inner", "t").await.unwrap().unwrap();
    let second = catalog.pointer("gold.inner", "t").await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&first.metadata.unwrap(), &second.metadata.unwrap()));
    assert!(catalog.pointer("gold.inner", "t").await.unwrap().is_none());
    let asked = script.asked();
    assert!(
        asked[0].starts_with("GET /iceberg/v1/config?warehouse=analytics "),
        "{}",
        asked[0]
    );
    assert!(
        asked[1].starts_with("GET /iceberg/v1/main/namespaces/gold%1Finner/tables/t "),
        "{}",
        asked[1]
    );
    assert!(asked[1].contains("x-iceberg-access-delegation: vended-credentials"));
    assert!(
        !asked[1].contains("if-none-match") && asked[2].contains("if-none-match: W/\"one\""),
        "{}",
        asked[2]
    );
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_again_when_it_is_no_longer_taken() {
    let token =
        |name: &str| format!(r#"{{"access_token": "{name}", "token_type": "bearer", "expires_in": 3600}}"#);
    let script = Script::start(&[
        (200, "", token("one")),
        (200, "", said("")),
        (200, "", table("{}")),
        (419, "", String::new()),
        (200, "", token("two")),
        (200, "", table("{}")),
    ])
    .await;
    let catalog = script.catalog(|config| {
        config.rest.credential = Some(crate::postgres::Password::Known("me:se cret".to_owned()));
    });
    catalog.pointer("gold", "t").await.unwrap().unwrap();
    catalog.pointer("gold", "t").await.unwrap().unwrap();
    let asked = script.asked();
    assert!(
        asked[0].starts_with("POST /iceberg/v1/oauth/tokens "),
        "{}",
        asked[0]
    );
    assert!(
        asked[0].ends_with("grant_type=client_credentials&client_id=me&client_secret=se+cret&scope=catalog")
    );
    assert!(asked[2].contains("authorization: Bearer one") && asked[5].contains("authorization: Bearer two"));
}

#[tokio::test]
async fn what_is_lent_is_for_the_tables_folder_and_is_renewed() {
    let keys = r#"{"s3.access-key-id": "id", "s3.secret-access-key": "hidden", "s3.session-token-expires-at-ms": "1"}"#;
    let again = r#"{"s3.access-key-id": "later", "s3.secret-access-key": "hidden"}"#;
    let script = Script::start(&[
        (200, "", said("")),
        (200, "", table(keys)),
        (200, "", table(again)),
    ])
    .await;
    let catalog = script.catalog(|_| {});
    let lent = catalog.pointer("gold", "t").await.unwrap().unwrap().lent.unwrap();
    let credential = object_store::CredentialProvider::get_credential(lent.as_ref());
    assert_eq!(credential.await.unwrap().key_id, "later");
    assert!(!format!("{lent:?}").contains("hidden"));
}

#[test]
fn keys_for_another_place_are_no_keys() {
    let place = Location::parse("s3://b/wh/gold/t").unwrap();
    let keys = |prefix: &str, id: &str| StorageCredential {
        prefix: prefix.to_owned(),
        config: [("s3.access-key-id".to_owned(), id.to_owned())].into(),
    };
    let lent = |all: &[StorageCredential]| {
        loan(BTreeMap::new(), all, &place).map(|loan| loan.0["s3.access-key-id"].clone())
    };
    assert_eq!(
        lent(&[keys("s3://b/wh", "wide"), keys("s3://b/wh/gold/t", "own")]).as_deref(),
        Some("own")
    );
    assert_eq!(
        lent(&[
            keys("s3://b/wh/gold/u", "other"),
            keys("s3://b/wh/gold/t2", "other")
        ]),
        None
    );
    assert_eq!(lent(&[]), None);
}

#[tokio::test]
async fn a_catalog_that_fails_is_tried_again_and_told_by_name() {
    let script = Script::start(&[
        (503, "", String::new()),
        (200, "", said("")),
        (500, "", "Traceback: secret things".to_owned()),
        (500, "", "Traceback: secret things".to_owned()),
        (403, "", String::new()),
        (200, "", "{\"metadata\": 5}".to_owned()),
    ])
    .await;
    let catalog = script.catalog(|_| {});
    for told in ["500", "403", ""] {
        let error = catalog.pointer("gold", "t").await.unwrap_err();
        let cause = std::error::Error::source(&error)
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(
            matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Corrupt),
            "{error:?}"
        );
        assert!(
            cause.contains(told) && !format!("{error} {cause}").contains("secret things"),
            "{error}: {cause}"
        );
    }
    assert_eq!(script.asked().len(), 6);
}

#[tokio::test]
async fn a_catalog_that_is_down_is_opened_and_fails_its_calls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut config = SourceConfig::new(address.as_str(), "analytics");
    config.rest.allow_http = true;
    let source = crate::iceberg::Iceberg::open("theirs", &config, Handle::current())
        .await
        .unwrap();
    let error = crate::Connector::tables(&source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.is_retryable() && error.to_string().contains("source theirs"),
        "{error}"
    );
}

#[tokio::test]
async fn lists_are_read_page_by_page_and_level_by_level() {
    let script = Script::start(&[
        (200, "", said("")),
        (
            200,
            "",
            r#"{"namespaces": [["b"]], "next-page-token": "more"}"#.to_owned(),
        ),
        (
            200,
            "",
            r#"{"namespaces": [["a"]], "next-page-token": null}"#.to_owned(),
        ),
    ])
    .await;
    let catalog = script.catalog(|_| {});
    assert_eq!(catalog.below(None).await.unwrap(), [["b"], ["a"]]);
    let asked = script.asked();
    assert!(
        asked[2].starts_with("GET /iceberg/v1/namespaces?pageToken=more "),
        "{}",
        asked[2]
    );
}
