//! The seam between the kernel and a catalog: load a table, publish its next state under requirements.

use async_trait::async_trait;
use connectors::iceberg::{JdbcCatalog, Publication};
use iceberg::table::Table;
use iceberg::{Catalog, TableIdent, TableRequirement, TableUpdate};

/// A catalog as the kernel needs it. An implementation answers [`Publication::Overtaken`] and [`Publication::Failed`] only when it is certain
/// that nothing was published.
#[async_trait]
pub trait Tables: std::fmt::Debug + Send + Sync {
    /// The table as it is now, never from a cache.
    async fn load(&self, table: &TableIdent) -> iceberg::Result<Table>;

    /// Applies the updates as one atomic change if all requirements hold.
    async fn publish(
        &self,
        table: &TableIdent,
        requirements: &[TableRequirement],
        updates: Vec<TableUpdate>,
    ) -> Publication;
}

#[async_trait]
impl Tables for JdbcCatalog {
    async fn load(&self, table: &TableIdent) -> iceberg::Result<Table> {
        self.load_table(table).await
    }

    async fn publish(
        &self,
        table: &TableIdent,
        requirements: &[TableRequirement],
        updates: Vec<TableUpdate>,
    ) -> Publication {
        JdbcCatalog::publish(self, table, requirements, updates).await
    }
}
