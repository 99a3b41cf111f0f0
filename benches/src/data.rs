//! The same files for everybody: the lake's own data files, linked into a flat folder for each table.
//!
//! Invariant: the links are made anew by every run from the newest snapshots, so peers never read rows that the gateway
//! does not serve.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use connectors::iceberg::{Config, open_catalog};
use futures::TryStreamExt as _;
use iceberg::{Catalog as _, TableIdent};

use crate::place::{Place, TABLES};

/// Links the data files of all tables. The lake must be there, which a started gateway has seen to.
///
/// # Errors
/// When the lake cannot be read, or a table has deletes or no file at all.
pub async fn link_parquet(place: &Place) -> Result<()> {
    let lake = place.lake();
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a UTF-8 path");
    let config = Config::new(lake.join("catalog.sqlite"), text(&lake.join("warehouse"))?);
    let catalog = open_catalog(&config).await?;
    let folder = place.parquet();
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    for name in TABLES {
        let table = catalog
            .load_table(&TableIdent::from_strs(["gold", name])?)
            .await?;
        let scan = table.scan().build()?;
        let tasks: Vec<_> = scan.plan_files().await?.try_collect().await?;
        if tasks.is_empty() || tasks.iter().any(|task| !task.deletes.is_empty()) {
            bail!("{name} has no files, or deletes that a folder of Parquet files cannot show");
        }
        let mut files: Vec<String> = tasks.iter().map(|task| plain(task.data_file_path())).collect();
        files.sort();
        files.dedup();
        let own = folder.join(name);
        fs::create_dir_all(&own)?;
        for (number, file) in files.iter().enumerate() {
            let link = own.join(format!("{number:05}.parquet"));
            fs::hard_link(file, &link).with_context(|| format!("link {file}"))?;
        }
    }
    Ok(())
}

/// A location without its scheme.
fn plain(location: &str) -> String {
    let path = location
        .strip_prefix("file://")
        .or_else(|| location.strip_prefix("file:"));
    path.unwrap_or(location).to_owned()
}
