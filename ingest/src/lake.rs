//! Opens the embedded lake: a SQLite catalog file and a warehouse folder beside it.

use std::path::Path;
use std::sync::Arc;

use connectors::iceberg::JdbcCatalog;
use iceberg::{Catalog, NamespaceIdent};

use crate::error::{Error, Result};
use crate::zone::Zone;

/// The catalog in the file `catalog` over the folder `warehouse`, both absolute; what is missing is made.
///
/// # Errors
/// [`Error::Lake`] with the catalog's path when it cannot be made or is not a catalog.
pub async fn open(catalog: &Path, warehouse: &Path) -> Result<Arc<JdbcCatalog>> {
    let config = connectors::iceberg::Config::new(catalog, warehouse.display().to_string());
    let opened = connectors::iceberg::create_catalog(&config).await;
    opened.map_err(|source| Error::Lake {
        path: catalog.display().to_string(),
        source: Box::new(source),
    })
}

/// Makes the namespaces of all zones, and of ingest's own records, where they are missing.
///
/// # Errors
/// [`Error::Catalog`] when the catalog refuses.
pub async fn ensure_zones(catalog: &dyn Catalog) -> Result<()> {
    for zone in Zone::ALL.into_iter().chain([Zone::System]) {
        ensure_namespace(catalog, &zone.namespace(), zone.comment()).await?;
    }
    Ok(())
}

async fn ensure_namespace(catalog: &dyn Catalog, namespace: &NamespaceIdent, comment: &str) -> Result<()> {
    let failed = |source| Error::Catalog {
        action: "create",
        subject: namespace.to_url_string(),
        source: Box::new(source),
    };
    if catalog.namespace_exists(namespace).await.map_err(failed)? {
        return Ok(());
    }
    let properties = [("comment".to_owned(), comment.to_owned())];
    match catalog.create_namespace(namespace, properties.into()).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == iceberg::ErrorKind::NamespaceAlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}
