//! The sources of one config, opened once and then only read.

use crate::iceberg::Iceberg;
use crate::postgres::Postgres;
use crate::{Connector, Error, Result, SourceConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::Handle;

/// The longest name of a source, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// The connectors by their name, which is the catalog name in SQL.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    connectors: BTreeMap<String, Arc<dyn Connector>>,
}

impl Registry {
    /// Opens every source. `io` is the runtime that waits for files and sockets, whoever asks. A source on the network
    /// that is down is opened all the same: it fails its queries, not the start.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad name or key, or the first failure to open a source.
    pub async fn open(sources: &BTreeMap<String, SourceConfig>, io: Handle) -> Result<Self> {
        let mut connectors: BTreeMap<String, Arc<dyn Connector>> = BTreeMap::new();
        for (name, config) in sources {
            check_name(name)?;
            config.validate()?;
            let connector: Arc<dyn Connector> = match config {
                SourceConfig::Iceberg(config) => Arc::new(Iceberg::open(name, config, io.clone()).await?),
                SourceConfig::Postgres(config) => Arc::new(Postgres::open(name, config, io.clone())?),
            };
            connectors.insert(name.clone(), connector);
        }
        Ok(Self { connectors })
    }

    /// A registry of connectors made elsewhere.
    #[must_use]
    pub fn from_connectors(connectors: BTreeMap<String, Arc<dyn Connector>>) -> Self {
        Self { connectors }
    }

    /// The connector of a catalog.
    #[must_use]
    pub fn get(&self, catalog: &str) -> Option<&Arc<dyn Connector>> {
        self.connectors.get(catalog)
    }

    /// The catalogs' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.connectors.keys().map(String::as_str)
    }
}

/// A source's name is a catalog name in SQL and the host of its stores' addresses, so it is a plain identifier.
fn check_name(name: &str) -> Result<()> {
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if starts && plain && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Error::Invalid {
        key: format!("sources.{name}"),
        problem: format!(
            "a source's name is a lower-case letter, then letters, digits or _, {NAME_BYTES_MAX} at most"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_identifiers() {
        assert!(check_name("lake").is_ok());
        assert!(check_name("lake_2").is_ok());
        for bad in ["", "2lake", "Lake", "la ke", "lake/x", "lake.x", &"l".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
