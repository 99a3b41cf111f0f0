//! Opens the embedded lake: a SQLite catalog file and a warehouse folder beside it.

use std::path::Path;
use std::sync::Arc;

use iceberg::Catalog;

use crate::error::{Error, Result};

/// The catalog in the file `catalog` over the folder `warehouse`, both absolute; what is missing is made.
///
/// # Errors
/// [`Error::Lake`] with the catalog's path when it cannot be made or is not a catalog.
pub async fn open(catalog: &Path, warehouse: &Path) -> Result<Arc<dyn Catalog>> {
    let config = connectors::iceberg::Config::new(catalog, warehouse.display().to_string());
    let opened = connectors::iceberg::create_catalog(&config).await;
    let catalog = opened.map_err(|source| Error::Lake {
        path: catalog.display().to_string(),
        source: Box::new(source),
    })?;
    Ok(catalog)
}
