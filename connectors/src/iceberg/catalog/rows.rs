//! The two tables of Iceberg's JDBC catalog, layout V1, whichever database holds them.

use crate::Result;
use async_trait::async_trait;
use std::fmt;

/// The statements on the tables. `namespace` is in its dotted form everywhere.
#[async_trait]
pub(super) trait Rows: fmt::Debug + Send + Sync {
    /// Makes the tables where they are missing.
    async fn create(&self) -> Result<()>;

    /// Where the table's metadata lies; `None` when there is no such table.
    async fn location(&self, catalog: &str, namespace: &str, table: &str) -> Result<Option<String>>;

    /// All tables as (namespace, name), sorted; of one namespace where it is given.
    async fn tables(&self, catalog: &str, namespace: Option<&str>) -> Result<Vec<(String, String)>>;

    /// All namespaces that were made or hold a table, sorted.
    async fn namespaces(&self, catalog: &str) -> Result<Vec<String>>;

    /// The properties of a namespace, the marker `exists` among them.
    async fn properties(&self, catalog: &str, namespace: &str) -> Result<Vec<(String, String)>>;

    /// Replaces the properties of a namespace; with none it ends to exist unless it holds a table.
    async fn put_properties(
        &self,
        catalog: &str,
        namespace: &str,
        properties: &[(String, String)],
    ) -> Result<()>;

    /// Adds a table; false when the name is taken.
    async fn insert(&self, catalog: &str, namespace: &str, table: &str, location: &str) -> Result<bool>;

    /// Points a table from an old metadata file to a new one; false when it no longer points to the old. This is the commit.
    async fn swap(
        &self,
        catalog: &str,
        namespace: &str,
        table: &str,
        locations: (&str, &str),
    ) -> Result<bool>;

    /// Takes a table out of the catalog; false when it is not there.
    async fn delete(&self, catalog: &str, namespace: &str, table: &str) -> Result<bool>;

    /// Gives a table, named by namespace and name, another name; false when it is not there. Fails when the new one is
    /// taken.
    async fn rename(&self, catalog: &str, from: (&str, &str), to: (&str, &str)) -> Result<bool>;
}
