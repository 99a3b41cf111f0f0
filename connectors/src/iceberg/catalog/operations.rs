//! The operations of Iceberg's `Catalog` trait on the JDBC layout.
//!
//! Errors follow the other catalogs of the iceberg crate: a missing thing is `NamespaceNotFound` or `TableNotFound`, a
//! taken name `..AlreadyExists`, and a lost commit a retryable `CatalogCommitConflicts`.

use super::{EXISTS, JdbcCatalog, foreign, table_exists};
use async_trait::async_trait;
use iceberg::spec::{TableMetadata, TableMetadataBuilder};
use iceberg::table::Table;
use iceberg::{
    Catalog, ErrorKind, MetadataLocation, Namespace, NamespaceIdent, TableCommit, TableCreation, TableIdent,
};
use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

#[async_trait]
impl Catalog for JdbcCatalog {
    async fn list_namespaces(&self, parent: Option<&NamespaceIdent>) -> iceberg::Result<Vec<NamespaceIdent>> {
        if let Some(parent) = parent {
            self.require_namespace(parent).await?;
        }
        let prefix = parent.map(|ident| ident.join(".") + ".").unwrap_or_default();
        let mut found = BTreeSet::new();
        for name in self.rows.namespaces(&self.name).await.map_err(foreign)? {
            if let Some(rest) = name.strip_prefix(&prefix) {
                let level = rest.split('.').next().unwrap_or(rest);
                found.insert(format!("{prefix}{level}"));
            }
        }
        found
            .iter()
            .map(|name| NamespaceIdent::from_strs(name.split('.')))
            .collect()
    }

    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> iceberg::Result<Namespace> {
        check_levels(namespace.iter())?;
        if self.namespace_exists(namespace).await? {
            return Err(iceberg::Error::new(
                ErrorKind::NamespaceAlreadyExists,
                format!("namespace {namespace} already exists"),
            ));
        }
        self.put_namespace(namespace, &properties).await?;
        Ok(Namespace::with_properties(namespace.clone(), properties))
    }

    async fn get_namespace(&self, namespace: &NamespaceIdent) -> iceberg::Result<Namespace> {
        self.require_namespace(namespace).await?;
        let name = namespace.join(".");
        let properties = self.rows.properties(&self.name, &name).await.map_err(foreign)?;
        let own = properties.into_iter().filter(|(key, _)| key != EXISTS).collect();
        Ok(Namespace::with_properties(namespace.clone(), own))
    }

    async fn namespace_exists(&self, namespace: &NamespaceIdent) -> iceberg::Result<bool> {
        let name = namespace.join(".");
        let below = format!("{name}.");
        let all = self.rows.namespaces(&self.name).await.map_err(foreign)?;
        Ok(all
            .iter()
            .any(|other| *other == name || other.starts_with(&below)))
    }

    async fn update_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> iceberg::Result<()> {
        self.require_namespace(namespace).await?;
        self.put_namespace(namespace, &properties).await
    }

    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> iceberg::Result<()> {
        self.require_namespace(namespace).await?;
        let name = namespace.join(".");
        let below = format!("{name}.");
        let all = self.rows.namespaces(&self.name).await.map_err(foreign)?;
        if !self.list_tables(namespace).await?.is_empty() || all.iter().any(|other| other.starts_with(&below))
        {
            return Err(iceberg::Error::new(
                ErrorKind::PreconditionFailed,
                format!("namespace {namespace} is not empty"),
            ));
        }
        self.rows
            .put_properties(&self.name, &name, &[])
            .await
            .map_err(foreign)
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> iceberg::Result<Vec<TableIdent>> {
        self.require_namespace(namespace).await?;
        let name = namespace.join(".");
        let found = self.rows.tables(&self.name, Some(&name)).await.map_err(foreign)?;
        Ok(found
            .into_iter()
            .map(|(_, table)| TableIdent::new(namespace.clone(), table))
            .collect())
    }

    async fn create_table(
        &self,
        namespace: &NamespaceIdent,
        creation: TableCreation,
    ) -> iceberg::Result<Table> {
        self.require_namespace(namespace).await?;
        check_levels(std::iter::once(&creation.name))?;
        let ident = TableIdent::new(namespace.clone(), creation.name.clone());
        let location = match &creation.location {
            Some(location) => location.trim_end_matches('/').to_owned(),
            None => self.default_location(namespace, &creation.name).await?,
        };
        let creation = TableCreation {
            location: Some(location.clone()),
            ..creation
        };
        let metadata = TableMetadataBuilder::from_table_creation(creation)?
            .build()?
            .metadata;
        let place = MetadataLocation::new_with_metadata(location, &metadata);
        self.write_metadata(&metadata, &place).await?;
        self.insert(&ident, &place.to_string()).await?;
        self.table(ident, place.to_string(), metadata)
    }

    async fn load_table(&self, ident: &TableIdent) -> iceberg::Result<Table> {
        let found = self
            .location(&ident.namespace.join("."), &ident.name)
            .await
            .map_err(foreign)?;
        let location = found.ok_or_else(|| table_not_found(ident))?;
        let metadata = TableMetadata::read_from(&self.file_io, &location).await?;
        self.table(ident.clone(), location, metadata)
    }

    async fn drop_table(&self, ident: &TableIdent) -> iceberg::Result<()> {
        let namespace = ident.namespace.join(".");
        let gone = self.rows.delete(&self.name, &namespace, &ident.name).await;
        if gone.map_err(foreign)? {
            Ok(())
        } else {
            Err(table_not_found(ident))
        }
    }

    async fn purge_table(&self, ident: &TableIdent) -> iceberg::Result<()> {
        let table = self.load_table(ident).await?;
        self.drop_table(ident).await?;
        iceberg::drop_table_data(&table).await
    }

    async fn table_exists(&self, ident: &TableIdent) -> iceberg::Result<bool> {
        let found = self.location(&ident.namespace.join("."), &ident.name).await;
        Ok(found.map_err(foreign)?.is_some())
    }

    async fn rename_table(&self, src: &TableIdent, dest: &TableIdent) -> iceberg::Result<()> {
        self.require_namespace(&dest.namespace).await?;
        check_levels(std::iter::once(&dest.name))?;
        if self.table_exists(dest).await? {
            return Err(table_exists(dest));
        }
        let (from, to) = (src.namespace.join("."), dest.namespace.join("."));
        let moved = self
            .rows
            .rename(&self.name, (&from, &src.name), (&to, &dest.name))
            .await;
        if moved.map_err(foreign)? {
            Ok(())
        } else {
            Err(table_not_found(src))
        }
    }

    async fn register_table(&self, ident: &TableIdent, metadata_location: String) -> iceberg::Result<Table> {
        self.require_namespace(&ident.namespace).await?;
        check_levels(std::iter::once(&ident.name))?;
        let metadata = TableMetadata::read_from(&self.file_io, &metadata_location).await?;
        self.insert(ident, &metadata_location).await?;
        self.table(ident.clone(), metadata_location, metadata)
    }

    async fn update_table(&self, commit: TableCommit) -> iceberg::Result<Table> {
        let current = self.load_table(commit.identifier()).await?;
        let old = current.metadata_location_result()?.to_owned();
        let staged = commit.apply(current)?;
        let new = staged.metadata_location_result()?.to_owned();
        self.write_metadata(staged.metadata(), &MetadataLocation::from_str(&new)?)
            .await?;
        // When the catalog file does not answer, the swap may still have happened: the new metadata file stays.
        let pointed = self.point(staged.identifier(), &old, &new).await;
        // Whoever tries again without looking first would commit twice.
        if pointed.map_err(|error| foreign(error).with_retryable(false))? {
            return Ok(staged);
        }
        if let Err(error) = self.file_io.delete(&new).await {
            tracing::warn!(path = %new, %error, "metadata file of a lost commit stays behind");
        }
        let lost = format!("table {} was changed by another writer", staged.identifier());
        Err(iceberg::Error::new(ErrorKind::CatalogCommitConflicts, lost).with_retryable(true))
    }
}

/// Names become folders, and levels are joined by dots in the file, so neither may hold a separator.
fn check_levels<'a>(names: impl Iterator<Item = &'a String>) -> iceberg::Result<()> {
    for name in names {
        if name.is_empty() || name == ".." || name.contains(['.', '/', '\\', '\0']) || name.len() > 255 {
            return Err(iceberg::Error::new(
                ErrorKind::DataInvalid,
                format!("{name:?} cannot be a name"),
            ));
        }
    }
    Ok(())
}

fn table_not_found(ident: &TableIdent) -> iceberg::Error {
    iceberg::Error::new(ErrorKind::TableNotFound, format!("table {ident} does not exist"))
}
