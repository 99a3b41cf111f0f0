use std::collections::VecDeque;
use std::sync::Mutex;

use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, PrimitiveType};
use iceberg::{Namespace, NamespaceIdent, TableCommit, TableCreation};

use super::*;
use crate::contract::{Column, Contract};
use crate::testing;
use crate::zone::Zone;

/// What the catalog does to the next update.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Refuses before it does anything.
    Refuse,
    /// Does it and loses the answer.
    LoseAnswer,
    /// Loses the request and the answer.
    LoseRequest,
    /// Another writer with the given token commits first.
    Overtake(&'static str),
}

/// A catalog with faults in `update_table`.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Catalog>,
    faults: Mutex<VecDeque<Fault>>,
}

type Answer<T> = iceberg::Result<T>;

fn lost<T>() -> Answer<T> {
    Err(iceberg::Error::new(iceberg::ErrorKind::Unexpected, "connection reset").with_retryable(true))
}

#[async_trait]
impl Catalog for Faulty {
    async fn update_table(&self, commit: TableCommit) -> Answer<Table> {
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => self.inner.update_table(commit).await,
            Some(Fault::Refuse) => Err(iceberg::Error::new(
                iceberg::ErrorKind::CatalogCommitConflicts,
                "try again",
            )
            .with_retryable(true)),
            Some(Fault::LoseRequest) => lost(),
            Some(Fault::LoseAnswer) => {
                self.inner.update_table(commit).await?;
                lost()
            }
            Some(Fault::Overtake(token)) => {
                let rival = CatalogCommitter::new(Arc::clone(&self.inner), 1);
                let base = self.inner.load_table(commit.identifier()).await?;
                rival
                    .commit(&intent(&base, token, "rival.parquet"))
                    .await
                    .unwrap();
                self.inner.update_table(commit).await
            }
        }
    }

    async fn load_table(&self, table: &TableIdent) -> Answer<Table> {
        self.inner.load_table(table).await
    }
    async fn list_namespaces(&self, parent: Option<&NamespaceIdent>) -> Answer<Vec<NamespaceIdent>> {
        self.inner.list_namespaces(parent).await
    }
    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Answer<Namespace> {
        self.inner.create_namespace(namespace, properties).await
    }
    async fn get_namespace(&self, namespace: &NamespaceIdent) -> Answer<Namespace> {
        self.inner.get_namespace(namespace).await
    }
    async fn namespace_exists(&self, namespace: &NamespaceIdent) -> Answer<bool> {
        self.inner.namespace_exists(namespace).await
    }
    async fn update_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Answer<()> {
        self.inner.update_namespace(namespace, properties).await
    }
    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Answer<()> {
        self.inner.drop_namespace(namespace).await
    }
    async fn list_tables(&self, namespace: &NamespaceIdent) -> Answer<Vec<TableIdent>> {
        self.inner.list_tables(namespace).await
    }
    async fn create_table(&self, namespace: &NamespaceIdent, creation: TableCreation) -> Answer<Table> {
        self.inner.create_table(namespace, creation).await
    }
    async fn drop_table(&self, table: &TableIdent) -> Answer<()> {
        self.inner.drop_table(table).await
    }
    async fn purge_table(&self, table: &TableIdent) -> Answer<()> {
        self.inner.purge_table(table).await
    }
    async fn table_exists(&self, table: &TableIdent) -> Answer<bool> {
        self.inner.table_exists(table).await
    }
    async fn rename_table(&self, src: &TableIdent, dest: &TableIdent) -> Answer<()> {
        self.inner.rename_table(src, dest).await
    }
    async fn register_table(&self, table: &TableIdent, metadata_location: String) -> Answer<Table> {
        self.inner.register_table(table, metadata_location).await
    }
}

fn intent(table: &Table, token: &str, file: &str) -> Intent {
    let file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(format!("{}/data/{file}", table.metadata().location()))
        .file_format(DataFileFormat::Parquet)
        .record_count(10)
        .file_size_in_bytes(100)
        .equality_ids(None)
        .key_metadata(None)
        .partition_spec_id(0)
        .build()
        .unwrap();
    Intent {
        table: table.identifier().clone(),
        table_uuid: table.metadata().uuid(),
        token: Token::new(token).unwrap(),
        files: vec![file],
    }
}

/// Commits `ours` once under `faults`; gives the outcome and the tokens of the table's history, newest first.
async fn run(
    faults: impl IntoIterator<Item = Fault>,
) -> (
    Result<Receipt>,
    Vec<String>,
    impl AsyncFnOnce() -> Result<Receipt>,
) {
    let folder = tempfile::tempdir().unwrap();
    let inner = testing::catalog(folder.path()).await;
    let contract = Contract::new(
        Zone::Bronze,
        "events",
        "",
        vec![Column::required("id", PrimitiveType::Long, "")],
    )
    .unwrap();
    let table = inner
        .create_table(&contract.zone().namespace(), contract.creation().unwrap())
        .await
        .unwrap();
    let catalog: Arc<dyn Catalog> = Arc::new(Faulty {
        inner,
        faults: Mutex::new(faults.into_iter().collect()),
    });
    let committer = CatalogCommitter::new(Arc::clone(&catalog), 3);
    let intent = intent(&table, "ours", "ours.parquet");
    let outcome = committer.commit(&intent).await;
    let now = catalog.load_table(&contract.ident()).await.unwrap();
    let tokens = history(now.metadata())
        .filter_map(token_of)
        .map(str::to_owned)
        .collect();
    let retry = async move || {
        let receipt = committer.commit(&intent).await;
        drop(folder);
        receipt
    };
    (outcome, tokens, retry)
}

#[tokio::test]
async fn no_fault_commits_once() {
    let (outcome, tokens, retry) = run([]).await;
    let receipt = outcome.unwrap();
    assert_eq!(
        (receipt.rows, receipt.files, receipt.bytes, receipt.fresh),
        (10, 1, 100, true)
    );
    assert_eq!(tokens, ["ours"]);
    assert_eq!(
        retry().await.unwrap(),
        Receipt {
            fresh: false,
            ..receipt
        }
    );
}

#[tokio::test]
async fn no_double_when_the_answer_is_lost() {
    let (outcome, tokens, retry) = run([Fault::LoseAnswer]).await;
    assert!(outcome.unwrap().fresh);
    assert_eq!(tokens, ["ours"]);
    assert!(!retry().await.unwrap().fresh);
}

#[tokio::test]
async fn no_guess_when_the_request_is_lost() {
    let (outcome, tokens, retry) = run([Fault::LoseRequest]).await;
    assert!(matches!(outcome, Err(Error::Unknown { .. })), "{outcome:?}");
    assert!(tokens.is_empty());
    assert!(retry().await.unwrap().fresh);
}

#[tokio::test]
async fn no_blind_rebase_on_a_rival() {
    let (outcome, tokens, _) = run([Fault::Overtake("theirs")]).await;
    assert!(outcome.unwrap().fresh);
    assert_eq!(tokens, ["ours", "theirs"]);
    // The rival has our token: a zombie of ourselves. Its commit counts, ours must not.
    let (outcome, tokens, _) = run([Fault::Overtake("ours")]).await;
    assert!(!outcome.unwrap().fresh);
    assert_eq!(tokens, ["ours"]);
}

#[tokio::test]
async fn conflicts_are_tried_again_up_to_the_bound() {
    let (outcome, tokens, _) = run([Fault::Refuse, Fault::Refuse]).await;
    assert!(outcome.is_ok());
    assert_eq!(tokens, ["ours"]);
    let (outcome, tokens, retry) = run([Fault::Refuse; 3]).await;
    assert!(matches!(outcome, Err(Error::Conflict { attempts: 3, .. })));
    assert!(tokens.is_empty());
    assert!(retry().await.is_ok());
}

#[test]
fn a_token_is_short_and_printable() {
    assert!(Token::new("a/b=1").is_some());
    for bad in [String::new(), "a b".to_owned(), "ä".to_owned(), "x".repeat(257)] {
        assert!(Token::new(bad).is_none());
    }
}
