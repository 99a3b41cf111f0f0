//! The commit of a writer that made its own snapshot: requirements and updates in, and an outcome that tells a lost race and a certain
//! failure from one that nobody can know.
//!
//! Iceberg's `Catalog::update_table` cannot be asked for this: its `TableCommit` has no public maker, and its errors do not say whether the
//! table may have changed.

use super::JdbcCatalog;
use iceberg::table::Table;
use iceberg::{Catalog, ErrorKind, MetadataLocation, TableIdent, TableRequirement, TableUpdate};
use std::str::FromStr;

/// How an attempt to publish ended.
#[derive(Debug)]
pub enum Publication {
    /// The table as it is now.
    Done(Box<Table>),
    /// A requirement does not hold, or another writer was faster. Nothing was published.
    Overtaken,
    /// It failed before the catalog was asked. Nothing was published.
    Failed(iceberg::Error),
    /// The catalog was asked and did not answer: only a look at the table can tell.
    Unknown(iceberg::Error),
}

impl JdbcCatalog {
    /// Applies `updates` to a table on which all `requirements` hold, as one swap of its metadata.
    pub async fn publish(
        &self,
        ident: &TableIdent,
        requirements: &[TableRequirement],
        updates: Vec<TableUpdate>,
    ) -> Publication {
        let (old, staged) = match self.stage(ident, requirements, updates).await {
            Ok(staged) => staged,
            Err(error) if error.kind() == ErrorKind::CatalogCommitConflicts => return Publication::Overtaken,
            Err(error) => return Publication::Failed(error),
        };
        let new = match staged.metadata_location_result() {
            Ok(location) => location.to_owned(),
            Err(error) => return Publication::Failed(error),
        };
        match self.point(ident, &old, &new).await {
            Ok(true) => Publication::Done(Box::new(staged)),
            Ok(false) => {
                if let Err(error) = self.file_io.delete(&new).await {
                    tracing::warn!(path = %new, %error, "metadata file of a lost commit stays behind");
                }
                Publication::Overtaken
            }
            // The swap may have happened: the new metadata file stays.
            Err(error) => Publication::Unknown(super::foreign(error)),
        }
    }

    /// The table with its next state, whose metadata file is on the disk, and the location that it must still have to be swapped.
    async fn stage(
        &self,
        ident: &TableIdent,
        requirements: &[TableRequirement],
        updates: Vec<TableUpdate>,
    ) -> iceberg::Result<(String, Table)> {
        let current = self.load_table(ident).await?;
        let old = current.metadata_location_result()?.to_owned();
        for requirement in requirements {
            requirement.check(Some(current.metadata()))?;
        }
        let mut builder = current.metadata().clone().into_builder(Some(old.clone()));
        for update in updates {
            builder = update.apply(builder)?;
        }
        let metadata = builder.build()?.metadata;
        let place = MetadataLocation::from_str(&old)?
            .with_next_version()
            .with_new_metadata(&metadata);
        self.write_metadata(&metadata, &place).await?;
        Ok((old, self.table(ident.clone(), place.to_string(), metadata)?))
    }
}
