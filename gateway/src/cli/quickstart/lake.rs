//! The sample lake: made on the first start, found on later ones.

use super::SCALE;
use super::bar::Bar;
use super::error::{Error, Result};
use super::folder::Folder;
use ingest::sample;

/// Makes or finishes the lake. `asked` is the scale of the command line.
///
/// # Errors
/// The lake has another scale than asked for, the disk has no room, or the load fails; then the next start goes on where it ended.
pub(super) async fn ensure(folder: &Folder, asked: Option<f64>) -> Result<()> {
    let warehouse = folder.path("warehouse");
    let catalog = ingest::lake::open(&folder.path("catalog.sqlite"), &warehouse)
        .await
        .map_err(Error::Lake)?;
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
