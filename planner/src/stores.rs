//! Where scans read. The registry holds the sources' stores and nothing else; in particular there is no `file://`, so
//! no statement can name a file of the machine.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use url::Url;

/// Stores by scheme and authority.
#[derive(Debug, Default)]
pub(crate) struct SourceStores {
    stores: RwLock<HashMap<String, Arc<dyn ObjectStore>>>,
}

fn key(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.authority())
}

impl ObjectStoreRegistry for SourceStores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.stores
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key(url), store)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner);
        stores.get(&key(url)).cloned().ok_or_else(|| {
            DataFusionError::Internal("a scan reads from a store that no source has opened".to_owned())
        })
    }
}
