//! A catalog that shows a transaction exactly one state of one table.
//!
//! Iceberg 0.10's `Transaction::commit` loads the table again before it builds the snapshot, and on a retryable refusal it loads and tries
//! again. Both would put our rows on a table in which nobody looked for the token. Behind this fence the load gives the table that was
//! looked at, so the compare-and-swap of the real catalog guards the lookup too, and a refusal is final for the transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use iceberg::table::Table;
use iceberg::{
    Catalog, Error, ErrorKind, Namespace, NamespaceIdent, Result, TableCommit, TableCreation, TableIdent,
};

/// See the file's head.
#[derive(Debug)]
pub(super) struct Fence {
    catalog: Arc<dyn Catalog>,
    base: Table,
    asked: AtomicBool,
    overtaken: AtomicBool,
}

impl Fence {
    /// A fence around `base`, as loaded from `catalog`.
    pub(super) fn new(catalog: Arc<dyn Catalog>, base: Table) -> Self {
        Self {
            catalog,
            base,
            asked: AtomicBool::new(false),
            overtaken: AtomicBool::new(false),
        }
    }

    /// Whether the real catalog was asked to publish: from then on a failure does not prove that nothing took place.
    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Whether the real catalog refused because the table had moved on. This does prove it.
    pub(super) fn overtaken(&self) -> bool {
        self.overtaken.load(Ordering::Acquire)
    }
}

fn outside<T>() -> Result<T> {
    Err(Error::new(
        ErrorKind::FeatureUnsupported,
        "a commit may only load and update its own table",
    ))
}

#[async_trait]
impl Catalog for Fence {
    async fn load_table(&self, table: &TableIdent) -> Result<Table> {
        if table == self.base.identifier() {
            Ok(self.base.clone())
        } else {
            outside()
        }
    }

    async fn update_table(&self, commit: TableCommit) -> Result<Table> {
        self.asked.store(true, Ordering::Release);
        self.catalog.update_table(commit).await.map_err(|error| {
            if error.kind() == ErrorKind::CatalogCommitConflicts {
                self.overtaken.store(true, Ordering::Release);
            }
            error.with_retryable(false)
        })
    }

    async fn list_namespaces(&self, _parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>> {
        outside()
    }

    async fn create_namespace(
        &self,
        _namespace: &NamespaceIdent,
        _properties: HashMap<String, String>,
    ) -> Result<Namespace> {
        outside()
    }

    async fn get_namespace(&self, _namespace: &NamespaceIdent) -> Result<Namespace> {
        outside()
    }

    async fn namespace_exists(&self, _namespace: &NamespaceIdent) -> Result<bool> {
        outside()
    }

    async fn update_namespace(
        &self,
        _namespace: &NamespaceIdent,
        _properties: HashMap<String, String>,
    ) -> Result<()> {
        outside()
    }

    async fn drop_namespace(&self, _namespace: &NamespaceIdent) -> Result<()> {
        outside()
    }

    async fn list_tables(&self, _namespace: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        outside()
    }

    async fn create_table(&self, _namespace: &NamespaceIdent, _creation: TableCreation) -> Result<Table> {
        outside()
    }

    async fn drop_table(&self, _table: &TableIdent) -> Result<()> {
        outside()
    }

    async fn purge_table(&self, _table: &TableIdent) -> Result<()> {
        outside()
    }

    async fn table_exists(&self, _table: &TableIdent) -> Result<bool> {
        outside()
    }

    async fn rename_table(&self, _src: &TableIdent, _dest: &TableIdent) -> Result<()> {
        outside()
    }

    async fn register_table(&self, _table: &TableIdent, _metadata_location: String) -> Result<Table> {
        outside()
    }
}
