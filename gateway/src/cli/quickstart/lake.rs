//! The sample lake: made on the first start, found on later ones.

use super::SCALE;
use super::bar::Bar;
use super::error::{Error, Result};
use super::folder::Folder;
use ingest::sample;
use std::fs;
use std::path::Path;

/// Makes or finishes the lake. `asked` is the scale of the command line.
///
/// # Errors
/// The lake has another scale than asked for, was made elsewhere or has lost its catalog, the disk has no room, or the load fails; then the next start goes on where it ended.
pub(super) async fn ensure(folder: &Folder, asked: Option<f64>) -> Result<()> {
    let warehouse = folder.path("warehouse");
    let catalog = folder.path("catalog.sqlite");
    if !catalog.exists() && has_files(&warehouse) {
        return Err(Error::NoCatalog { warehouse, catalog });
    }
    let catalog = ingest::lake::open(&catalog, &warehouse)
        .await
        .map_err(Error::Lake)?;
    let from = sample::location(&catalog).await.map_err(Error::Lake)?;
    if let Some(from) = from.filter(|from| !lies_in(from, &warehouse)) {
        let path = folder.root().to_owned();
        return Err(Error::Moved { path, from });
    }
    let found = sample::scale_of(catalog.as_ref()).await.map_err(Error::Lake)?;
    let scale = match (asked, found) {
        (Some(asked), Some(found)) if asked != found => {
            return Err(Error::Scale {
                path: folder.root().to_owned(),
                found,
                asked,
            });
        }
        (asked, found) => asked.or(found).unwrap_or(SCALE),
    };
    if found.is_none() {
        sample::check_space(&warehouse, scale).map_err(Error::Lake)?;
    }
    let bar = Bar::new(sample::rows(scale));
    let loaded = sample::load(catalog, scale, &bar).await.map_err(Error::Lake)?;
    bar.end(&loaded);
    Ok(())
}

fn has_files(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

/// Whether a file is below `warehouse`, by whatever links either is named. A file that is gone is taken by its name.
fn lies_in(file: &str, warehouse: &Path) -> bool {
    let file = Path::new(file.strip_prefix("file://").unwrap_or(file));
    let is_below = match (fs::canonicalize(file), fs::canonicalize(warehouse)) {
        (Ok(file), Ok(warehouse)) => file.starts_with(warehouse),
        _ => false,
    };
    is_below || file.starts_with(warehouse)
}
