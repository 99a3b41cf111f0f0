//! A catalog behind Iceberg's REST interface.
//!
//! Invariants:
//! - Nothing is asked when the source is opened: a catalog that is down fails its queries, not the start.
//! - What a table's metadata says is used as long as the catalog's entity tag says that it is the newest.
//! - Credentials that the catalog lends for a table are used for that table's folder alone.

mod client;
mod config;

pub use config::Config;

use super::{Lookup, Pointer};
use crate::iceberg::Config as SourceConfig;
use crate::iceberg::location::Location;
use crate::iceberg::metadata::from_part;
use crate::iceberg::storage::lent::{Lender, LentProvider, Loan};
use crate::iceberg::weight;
use crate::{Error, Result};
use async_trait::async_trait;
use client::{Answer, Ask, Client};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::TableMetadata;
use moka::future::Cache;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use url::Url;

/// Namespaces whose tables are listed at a time.
const NAMESPACES_AT_ONCE: usize = 8;
/// How deep namespaces are looked into.
const DEPTH_MAX: usize = 16;
/// What separates the levels of a namespace in a path.
const LEVELS: &str = "\u{1f}";

/// The catalog.
#[derive(Debug)]
pub(in crate::iceberg) struct RestCatalog {
    client: Client,
    config: Config,
    warehouse: String,
    /// What the catalog says of itself, asked once.
    told: OnceCell<Told>,
    known: Cache<(String, String), Arc<Known>>,
}

/// What a catalog says of itself.
#[derive(Clone, Debug, Default)]
struct Told {
    /// What stands before each path, with a slash at its end where it is not empty.
    prefix: String,
    /// What goes for the stores of all tables, such as an address.
    stores: BTreeMap<String, String>,
    lends_alone: bool,
}

/// A table as it was loaded last.
#[derive(Debug)]
struct Known {
    tag: Option<String>,
    pointer: Pointer,
    bytes: usize,
}

#[derive(Deserialize)]
struct ConfigAnswer {
    #[serde(default)]
    defaults: BTreeMap<String, String>,
    #[serde(default)]
    overrides: BTreeMap<String, String>,
    #[serde(default)]
    endpoints: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct NamespacesAnswer {
    #[serde(default)]
    namespaces: Vec<Vec<String>>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TablesAnswer {
    #[serde(default)]
    identifiers: Vec<Identifier>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Identifier {
    namespace: Vec<String>,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TableAnswer {
    metadata_location: Option<String>,
    metadata: Value,
    #[serde(default)]
    config: Option<BTreeMap<String, String>>,
    #[serde(default)]
    storage_credentials: Option<Vec<StorageCredential>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CredentialsAnswer {
    #[serde(default)]
    storage_credentials: Vec<StorageCredential>,
}

#[derive(Deserialize)]
struct StorageCredential {
    prefix: String,
    config: BTreeMap<String, String>,
}

impl RestCatalog {
    /// The catalog at `url` of the source `source_name`; asks nothing yet.
    ///
    /// # Errors
    /// [`Error::Internal`] when no HTTP client can be made.
    pub(in crate::iceberg) fn new(
        source_name: &str,
        url: &Url,
        config: &SourceConfig,
        io: Handle,
    ) -> Result<Self> {
        let known = Cache::builder()
            .max_capacity(config.metadata_cache_bytes)
            .weigher(|_: &(String, String), known: &Arc<Known>| {
                weight::metadata(u64::try_from(known.bytes).unwrap_or(u64::MAX))
            })
            .build();
        Ok(Self {
            client: Client::new(source_name, url, &config.rest, config.metadata_file_bytes_max, io)?,
            config: config.rest.as_ref().clone(),
            warehouse: config.warehouse.clone(),
            told: OnceCell::new(),
            known,
        })
    }

    /// What the catalog says of itself. A failure is not kept.
    async fn told(&self) -> Result<&Told> {
        let ask = async {
            let mut path = "v1/config".to_owned();
            if !self.warehouse.is_empty() {
                path = format!("{path}?warehouse={}", encoded(&self.warehouse));
            }
            let found: Option<ConfigAnswer> = self.client.read(Ask::get(path.clone())).await?;
            let said = found.ok_or_else(|| self.client.failure(&path, "it is no Iceberg catalog"))?;
            let prefix = said.overrides.get("prefix").or(self.config.prefix.as_ref());
            let prefix = prefix.or_else(|| said.defaults.get("prefix"));
            let prefix = prefix.map_or("", |prefix| prefix.trim_matches('/'));
            Ok::<_, Error>(Told {
                prefix: match prefix {
                    "" => String::new(),
                    prefix => format!("{prefix}/"),
                },
                stores: of_stores(said.defaults.iter().chain(&said.overrides)),
                lends_alone: said
                    .endpoints
                    .iter()
                    .any(|endpoint| endpoint.ends_with("/credentials")),
            })
        };
        self.told.get_or_try_init(|| ask).await
    }

    async fn path(&self, rest: &str) -> Result<String> {
        Ok(format!("v1/{}{rest}", self.told().await?.prefix))
    }

    /// The namespaces below `parent`, one level of them.
    async fn below(&self, parent: Option<&[String]>) -> Result<Vec<Vec<String>>> {
        let mut found = Vec::new();
        let mut page = None;
        loop {
            let parent = parent.map(|parent| format!("parent={}&", encoded(&parent.join(LEVELS))));
            let token = encoded(page.as_deref().unwrap_or_default());
            let query = format!("{}pageToken={token}", parent.unwrap_or_default());
            let path = self.path(&format!("namespaces?{query}")).await?;
            let Some(answer) = self
                .client
                .read::<NamespacesAnswer>(Ask::get(path.clone()))
                .await?
            else {
                return Ok(found);
            };
            found.extend(answer.namespaces);
            self.check_listed(&path, found.len())?;
            page = match answer.next_page_token.filter(|token| !token.is_empty()) {
                Some(next) if Some(&next) != page.as_ref() => Some(next),
                _ => return Ok(found),
            };
        }
    }

    async fn all_namespaces(&self) -> Result<Vec<Vec<String>>> {
        let mut found = self.below(None).await?;
        let mut level = found.clone();
        for _ in 1..DEPTH_MAX {
            let inner: Vec<Vec<Vec<String>>> = futures::stream::iter(level)
                .map(|parent| async move { self.below(Some(&parent)).await })
                .buffered(NAMESPACES_AT_ONCE)
                .try_collect()
                .await?;
            // A catalog that does not know levels gives all namespaces each time.
            level = inner
                .into_iter()
                .flatten()
                .filter(|name| !found.contains(name))
                .collect();
            level.sort();
            level.dedup();
            if level.is_empty() {
                break;
            }
            found.extend(level.iter().cloned());
            self.check_listed("namespaces", found.len())?;
        }
        found.sort();
        Ok(found)
    }

    async fn tables_of(&self, namespace: &[String]) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        let mut page = None;
        let name = encoded(&namespace.join(LEVELS));
        loop {
            let token = encoded(page.as_deref().unwrap_or_default());
            let path = self
                .path(&format!("namespaces/{name}/tables?pageToken={token}"))
                .await?;
            let Some(answer) = self.client.read::<TablesAnswer>(Ask::get(path.clone())).await? else {
                return Ok(found);
            };
            let tables = answer.identifiers.into_iter();
            found.extend(tables.map(|table| (table.namespace.join("."), table.name)));
            self.check_listed(&path, found.len())?;
            page = match answer.next_page_token.filter(|token| !token.is_empty()) {
                Some(next) if Some(&next) != page.as_ref() => Some(next),
                _ => return Ok(found),
            };
        }
    }

    fn check_listed(&self, path: &str, listed: usize) -> Result<()> {
        match listed > self.config.listed_max {
            true => Err(self.client.failure(
                path,
                format!("more than rest.listed_max = {}", self.config.listed_max),
            )),
            false => Ok(()),
        }
    }

    /// The path of a table. A dot in a schema's name separates the levels of a namespace.
    async fn table_path(&self, schema: &str, table: &str) -> Result<String> {
        let namespace = encoded(&schema.split('.').collect::<Vec<_>>().join(LEVELS));
        self.path(&format!("namespaces/{namespace}/tables/{}", encoded(table)))
            .await
    }

    fn loading(&self, path: String, tag: Option<&str>) -> Ask {
        let mut ask = Ask::get(path).unless(tag);
        if self.config.vended_credentials {
            let wanted = HeaderValue::from_static("vended-credentials");
            ask.headers.insert("x-iceberg-access-delegation", wanted);
        }
        ask
    }

    async fn load(&self, schema: &str, table: &str) -> Result<Option<Arc<Known>>> {
        let key = (schema.to_owned(), table.to_owned());
        let known = self.known.get(&key).await;
        let tag = known.as_ref().and_then(|known| known.tag.clone());
        let path = self.table_path(schema, table).await?;
        let (body, tag) = match self
            .client
            .ask(self.loading(path.clone(), tag.as_deref()))
            .await?
        {
            Answer::Missing => {
                self.known.invalidate(&key).await;
                return Ok(None);
            }
            Answer::Unchanged => return Ok(known),
            Answer::Found(body, tag) => (body, tag),
        };
        let answer: TableAnswer =
            serde_json::from_slice(&body).map_err(|cause| self.client.failure(&path, cause))?;
        let full = format!("{schema}.{table}");
        let at = answer.metadata_location.clone();
        // The same file says the same: it is parsed once.
        let old = known
            .as_ref()
            .filter(|known| at.as_ref() == Some(&known.pointer.location));
        let metadata = match old.and_then(|old| old.pointer.metadata.clone()) {
            Some(metadata) => metadata,
            None => {
                let file = at.as_deref().unwrap_or("metadata");
                Arc::new(from_part(&full, file, &answer.metadata)?)
            }
        };
        let location = at.unwrap_or_else(|| unnamed(&metadata));
        let lent = self.lent(&path, &location, &answer, known.as_deref());
        let fresh = Arc::new(Known {
            tag,
            bytes: body.len(),
            pointer: Pointer {
                location,
                metadata: Some(metadata),
                lent,
            },
        });
        self.known.insert(key, Arc::clone(&fresh)).await;
        Ok(Some(fresh))
    }

    /// The credentials of an answer, in the hands of those who use them already.
    fn lent(
        &self,
        path: &str,
        location: &str,
        answer: &TableAnswer,
        known: Option<&Known>,
    ) -> Option<Arc<LentProvider>> {
        if !self.config.vended_credentials {
            return None;
        }
        let place = Location::parse(location)?.table_folder();
        let mut config = self
            .told
            .get()
            .map(|told| told.stores.clone())
            .unwrap_or_default();
        config.extend(answer.config.clone().unwrap_or_default());
        let loan = loan(
            config,
            answer.storage_credentials.as_deref().unwrap_or_default(),
            &place,
        )?;
        let old = known.filter(|known| {
            Location::parse(&known.pointer.location).is_some_and(|old| old.table_folder() == place)
        });
        if let Some(lent) = old.and_then(|old| old.pointer.lent.clone()) {
            lent.replace(loan);
            return Some(lent);
        }
        let lender = TableLender {
            client: self.client.clone(),
            path: path.to_owned(),
            ask: self.loading(path.to_owned(), None),
            is_alone: self.told.get().is_some_and(|told| told.lends_alone),
            stores: self
                .told
                .get()
                .map(|told| told.stores.clone())
                .unwrap_or_default(),
            place,
        };
        Some(Arc::new(LentProvider::new(loan, Arc::new(lender))))
    }
}

/// Those of a catalog's properties that say how stores are reached.
fn of_stores<'a>(all: impl Iterator<Item = (&'a String, &'a String)>) -> BTreeMap<String, String> {
    let prefixes = ["s3.", "client.", "gcs.", "adls."];
    all.filter(|(key, _)| prefixes.iter().any(|prefix| key.starts_with(prefix)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Where the metadata of a table that has no file of its own would lie.
fn unnamed(metadata: &TableMetadata) -> String {
    format!("{}/metadata/none", metadata.location().trim_end_matches('/'))
}

/// What is lent for a folder: what goes for the whole table, and of the rest what has the longest prefix of it. None where
/// no keys are among it.
fn loan(all: BTreeMap<String, String>, credentials: &[StorageCredential], place: &Location) -> Option<Loan> {
    let reaches = |credential: &&StorageCredential| {
        let prefix = Location::parse(&credential.prefix);
        prefix.is_some_and(|prefix| place.below(&prefix).is_some())
    };
    let best = credentials
        .iter()
        .filter(reaches)
        .max_by_key(|credential| credential.prefix.len());
    let mut loan = all;
    match best {
        Some(best) => loan.extend(best.config.clone()),
        // Keys for other places are no keys for this one.
        None if !credentials.is_empty() => return None,
        None => {}
    }
    Some(Loan(loan)).filter(Loan::has_keys)
}

/// Lends again for one table.
#[derive(Debug)]
struct TableLender {
    client: Client,
    path: String,
    ask: Ask,
    is_alone: bool,
    stores: BTreeMap<String, String>,
    place: Location,
}

#[async_trait]
impl Lender for TableLender {
    async fn lend(&self) -> Result<Loan> {
        let nothing = || {
            self.client
                .failure(&self.path, "the catalog lends nothing any more")
        };
        if self.is_alone {
            let ask = Ask::get(format!("{}/credentials", self.path));
            let answer: CredentialsAnswer = self.client.read(ask).await?.ok_or_else(nothing)?;
            if let Some(loan) = loan(self.stores.clone(), &answer.storage_credentials, &self.place) {
                return Ok(loan);
            }
        }
        let Answer::Found(body, _) = self.client.ask(self.ask.clone()).await? else {
            return Err(nothing());
        };
        // The parser's words may repeat what it read.
        let answer: TableAnswer = serde_json::from_slice(&body).map_err(|_| nothing())?;
        let credentials = answer.storage_credentials.unwrap_or_default();
        let mut config = self.stores.clone();
        config.extend(answer.config.unwrap_or_default());
        loan(config, &credentials, &self.place).ok_or_else(nothing)
    }
}

/// A text as one part of a path or a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[async_trait]
impl Lookup for RestCatalog {
    async fn check(&self) -> Result<()> {
        self.told().await?;
        self.below(None).await.map(drop)
    }

    async fn namespaces(&self) -> Result<Vec<String>> {
        let all = self.all_namespaces().await?;
        Ok(all.into_iter().map(|levels| levels.join(".")).collect())
    }

    async fn tables(&self) -> Result<Vec<(String, String)>> {
        let tables: Vec<Vec<(String, String)>> = futures::stream::iter(self.all_namespaces().await?)
            .map(|namespace| async move { self.tables_of(&namespace).await })
            .buffered(NAMESPACES_AT_ONCE)
            .try_collect()
            .await?;
        let mut tables: Vec<(String, String)> = tables.into_iter().flatten().collect();
        self.check_listed("tables", tables.len())?;
        tables.sort();
        Ok(tables)
    }

    async fn pointer(&self, schema: &str, table: &str) -> Result<Option<Pointer>> {
        Ok(self.load(schema, table).await?.map(|known| known.pointer.clone()))
    }
}

#[cfg(test)]
mod tests;
