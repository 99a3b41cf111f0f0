//! The stores of one source, local disk and buckets alike, opened when a table first lies in them.
//!
//! Path of a read: a [`Warehouse`] turns a location into a path of one store; `blocks` keeps what was read on local disk,
//! `metered` bounds and counts the requests, `open` knows the kinds of buckets. `io` is the same door for writers.
//!
//! Invariants:
//! - Only what lies below a root of the config is opened, or, with credentials that a catalog lends for a table, below
//!   that table's folder.
//! - One bucket is one store, however many tables lie in it, unless a loan opens it.

pub(super) mod blocks;
mod config;
pub(super) mod io;
pub(super) mod lent;
mod metered;
mod open;

pub use config::{Config, Credentials};
pub(super) use metered::Asked;

use super::config::Config as SourceConfig;
use super::config::FilesWithin;
use super::location::{Location, Scheme};
use super::warehouse::{Root, Warehouse};
use crate::{Error, Result};
use blocks::Blocks;
use datafusion::execution::object_store::ObjectStoreUrl;
use lent::LentProvider;
use metered::{Budget, Metered};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

/// Stores by scheme and authority.
type Buckets = HashMap<(Scheme, String), Arc<dyn ObjectStore>>;

/// The stores of one source. Clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    source_name: Arc<str>,
    config: Arc<Config>,
    roots: Arc<[Root]>,
    local: Option<Arc<dyn ObjectStore>>,
    buckets: Arc<Mutex<Buckets>>,
    budget: Arc<Budget>,
    blocks: Option<Blocks>,
    files_within: FilesWithin,
    file_bytes_max: u64,
    io: Handle,
}

impl Storage {
    /// The stores of the source `source_name`. A local root must exist; a bucket is not asked yet.
    ///
    /// # Errors
    /// [`Error::NotFound`] naming a local root that is missing, [`Error::Invalid`] naming a bad key.
    pub(super) fn open(source_name: &str, config: &SourceConfig, io: Handle) -> Result<Self> {
        let mut roots = Vec::new();
        let mut local = None;
        for text in config.roots() {
            let location = Location::parse(text).ok_or_else(|| Error::Invalid {
                key: "warehouse".to_owned(),
                problem: format!("{text} is no absolute path and no URL of a store"),
            })?;
            if location.scheme != Scheme::File {
                let key = location.key().ok_or_else(|| Error::Invalid {
                    key: "warehouse".to_owned(),
                    problem: format!("{text} has a path that no store takes"),
                })?;
                let home = location.home();
                roots.push(Root { location, key, home });
                continue;
            }
            if local.is_some() {
                return Err(Error::Invalid {
                    key: "locations".to_owned(),
                    problem: "hold one local folder at most, the warehouse counted".to_owned(),
                });
            }
            let (store, spellings) = local_root(source_name, &location)?;
            local = Some(store);
            roots.extend(spellings);
        }
        if let (Some(old), Some(now)) = (
            config.moved_from.as_deref().and_then(Location::parse),
            roots.first(),
        ) {
            let spelled = Root {
                location: old,
                ..now.clone()
            };
            roots.push(spelled);
        }
        let storage = config.storage.as_ref().clone();
        let blocks = match &storage.cache_dir {
            // A folder for each source: two of them do not share one list.
            Some(folder) => Some(Blocks::open(&folder.join(source_name), &storage)?),
            None => None,
        };
        Ok(Self {
            source_name: source_name.into(),
            budget: Arc::new(Budget::new(storage.requests_max)),
            config: Arc::new(storage),
            roots: roots.into(),
            local,
            buckets: Arc::default(),
            blocks,
            files_within: config.files_within,
            file_bytes_max: config.metadata_file_bytes_max,
            io,
        })
    }

    /// What has been asked of the buckets so far.
    pub(super) fn asked(&self) -> Asked {
        self.budget.asked()
    }

    /// Hits and misses of the cache on disk, and its bytes; zeros without one.
    pub(super) fn kept(&self) -> blocks::Kept {
        self.blocks.as_ref().map(Blocks::kept).unwrap_or_default()
    }

    /// A view of the files of `table`, whose metadata file is at `metadata`: of its folder, or of all that the source may
    /// read where the config says so. With a loan it is the folder and no more.
    ///
    /// # Errors
    /// [`Error::Outside`] when it does not lie below a root.
    pub(super) async fn warehouse(
        &self,
        table: &str,
        metadata: &str,
        lent: Option<&Arc<LentProvider>>,
    ) -> Result<Warehouse> {
        let outside = || Error::Outside {
            table: table.to_owned(),
            path: metadata.to_owned(),
        };
        let location = Location::parse(metadata).ok_or_else(outside)?;
        let folder = location.table_folder();
        let rooted = self
            .roots
            .iter()
            .find(|root| location.below(&root.location).is_some());
        // A loan opens what the catalog says, and never the disk of this machine.
        let lent = lent.filter(|_| folder.scheme != Scheme::File && !folder.path.is_empty());
        let is_free = self.roots.iter().all(|root| root.location.scheme == Scheme::File);
        let home = match rooted {
            Some(root) => root.home.clone(),
            None if lent.is_some() && is_free => folder.home(),
            None => return Err(outside()),
        };
        let (store, url) = self.store(&home, lent.map(|lent| (lent, &folder))).await?;
        let mut roots: Vec<Root> = self
            .roots
            .iter()
            .filter(|root| root.home == home)
            .cloned()
            .collect();
        if lent.is_some() || self.files_within == FilesWithin::Table {
            roots = narrowed(&roots, &folder).ok_or_else(outside)?;
        }
        Ok(Warehouse {
            source_name: Arc::clone(&self.source_name),
            id: self.id(&home).into(),
            roots: roots.into(),
            store,
            url,
            file_bytes_max: self.file_bytes_max,
        })
    }

    /// The store with the top `home`, with the address under which scans name it; with a loan for one folder of it.
    async fn store(
        &self,
        home: &Location,
        lent: Option<(&Arc<LentProvider>, &Location)>,
    ) -> Result<(Arc<dyn ObjectStore>, ObjectStoreUrl)> {
        let name = &self.source_name;
        if home.scheme == Scheme::File {
            let missing = || Error::Internal {
                doing: "opening a local folder",
                cause: "it is no root".into(),
            };
            let store = self.local.clone().ok_or_else(missing)?;
            return Ok((store, address(&format!("iceberg://{name}"))?));
        }
        if let Some((lent, folder)) = lent {
            // The address is the table's own: another table of the bucket has another loan.
            let url = address(&format!("iceberg://{name}.lent.{:016x}", hash(folder)))?;
            let open = async {
                let open = open::bucket(&self.config, home, Some(lent), self.io.clone()).await?;
                Ok::<_, Error>(self.wrapped(open, home))
            };
            // A signature of Azure is part of its store, which ends with it.
            let store = match home.scheme {
                Scheme::Azure => open.await?,
                _ => Arc::clone(lent.opened.get_or_try_init(|| open).await?),
            };
            return Ok((store, url));
        }
        let url = address(&format!(
            "iceberg://{name}.{}.{:016x}",
            home.scheme.name(),
            hash(&home.authority)
        ))?;
        let key = (home.scheme, home.authority.clone());
        let mut buckets = self.buckets.lock().await;
        if let Some(store) = buckets.get(&key) {
            return Ok((Arc::clone(store), url));
        }
        let open = open::bucket(&self.config, home, None, self.io.clone()).await?;
        let store = self.wrapped(open, home);
        // As many as the roots name, for no other is opened without a loan.
        buckets.insert(key, Arc::clone(&store));
        Ok((store, url))
    }

    fn wrapped(&self, store: Arc<dyn ObjectStore>, home: &Location) -> Arc<dyn ObjectStore> {
        let metered: Arc<dyn ObjectStore> = Arc::new(Metered::new(store, Arc::clone(&self.budget)));
        match &self.blocks {
            Some(blocks) => blocks.over(&self.id(home), metered),
            None => metered,
        }
    }

    /// What tells files of one store from those of another with the same path.
    fn id(&self, home: &Location) -> String {
        let endpoint = self.config.endpoint.as_deref().unwrap_or_default();
        format!("{} {endpoint} {}", home.scheme.name(), home.authority)
    }
}

/// The root of a table's folder below one of `roots`, in the spellings that each of them has; the folder itself where
/// there are none.
fn narrowed(roots: &[Root], folder: &Location) -> Option<Vec<Root>> {
    if roots.is_empty() {
        return Some(vec![Root {
            location: folder.clone(),
            key: folder.key()?,
            home: folder.home(),
        }]);
    }
    let below = roots.iter().find_map(|root| folder.below(&root.location))?;
    roots.iter().map(|root| root.narrowed(below)).collect()
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn address(text: &str) -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse(text).map_err(|cause| Error::Internal {
        doing: "naming a store",
        cause: Box::new(cause),
    })
}

/// A local folder as a store, and the spellings of it that a location may start with: as configured, and with links
/// followed.
fn local_root(source_name: &str, location: &Location) -> Result<(Arc<dyn ObjectStore>, [Root; 2])> {
    let root = PathBuf::from(format!("/{}", location.path));
    let unavailable = |cause: Box<dyn std::error::Error + Send + Sync>| Error::Unavailable {
        source_name: source_name.to_owned(),
        path: root.display().to_string(),
        cause,
    };
    let real = root.canonicalize().map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound {
            what: "warehouse",
            name: root.display().to_string(),
        },
        _ => unavailable(Box::new(cause)),
    })?;
    let store = LocalFileSystem::new_with_prefix(&real).map_err(|cause| unavailable(Box::new(cause)))?;
    let real = real
        .to_str()
        .and_then(Location::parse)
        .unwrap_or_else(|| location.clone());
    let spelled = |location: Location| Root {
        home: location.home(),
        location,
        key: Path::default(),
    };
    Ok((Arc::new(store), [spelled(location.clone()), spelled(real)]))
}

#[cfg(test)]
mod tests;
