//! The config file of the service; `deploy/config/ingest.toml` shows every key with its default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::intake::Bounds;
use crate::secret::Reference;

/// Everything that the service is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The folder of the pipeline files.
    pub pipelines: PathBuf,
    /// The folder of what can be lost: the index of published records.
    pub state: PathBuf,
    /// Bytes of memory for that index.
    pub index_cache_bytes: u64,
    /// Keys of uploads that a dataset remembers for 7 days; beyond, uploads with new keys are refused until some are forgotten.
    pub keys_max: usize,
    /// Bytes of uploads that may wait for their commit; beyond, uploads are refused with 429.
    pub waiting_bytes_max: usize,
    /// For tests: the point at which the process aborts, and at which time of passing it, as `POINT:TIME`. Empty otherwise.
    pub fault_point: String,
    /// Where the lake is.
    pub lake: Lake,
    /// Where the service listens.
    pub listen: Listen,
    /// Who may write.
    pub writers: Writers,
    /// Who may come in.
    pub identity: policies::identity::Config,
    /// The keys of the gateway's tokens.
    pub seal: Seal,
    /// What a body may be.
    pub body: Bounds,
    /// How files are written.
    pub append: Config,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pipelines: PathBuf::from("pipelines"),
            state: PathBuf::from("ingest-state"),
            index_cache_bytes: 64 << 20,
            keys_max: 1_000_000,
            waiting_bytes_max: 256 << 20,
            fault_point: String::new(),
            lake: Lake::default(),
            listen: Listen::default(),
            writers: Writers::default(),
            identity: policies::identity::Config::default(),
            seal: Seal::default(),
            body: Bounds::default(),
            append: Config::default(),
        }
    }
}

/// Where the lake is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lake {
    /// The SQLite file of the catalog; made where it is missing.
    pub catalog: PathBuf,
    /// The folder of the tables; made where it is missing.
    pub warehouse: PathBuf,
}

impl Default for Lake {
    fn default() -> Self {
        Self {
            catalog: PathBuf::from("catalog.sqlite"),
            warehouse: PathBuf::from("warehouse"),
        }
    }
}

/// Where the service listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Uploads, metrics and probes.
    pub http: SocketAddr,
    /// Connections at a time; further ones wait.
    pub connections_max: usize,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 8088)),
            connections_max: 1_000,
        }
    }
}

/// Who may write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Writers {
    /// The roles that may upload; nobody when there is none.
    pub roles: Vec<String>,
}

/// The keys of the gateway's tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seal {
    /// References to keys, `file:PATH` or `env:NAME`; with none, tokens of the gateway are not taken.
    pub keys: Vec<String>,
    /// A reference to the pepper that API keys are checked with, `file:PATH` or `env:NAME`; empty when API keys are not taken.
    pub pepper: String,
}

impl Seal {
    /// Reads the keys.
    ///
    /// # Errors
    /// [`Error::Identity`] for a key that cannot be used, [`Error::Storage`] for a file that cannot be read.
    pub fn open(&self) -> Result<policies::Seal> {
        if self.keys.is_empty() {
            return policies::Seal::random().map_err(Error::Identity);
        }
        let mut keys = Vec::new();
        for reference in &self.keys {
            keys.push(resolve("seal.keys", reference)?);
        }
        policies::Seal::from_keys(&keys).map_err(Error::Identity)
    }

    /// Reads the pepper, where there is one.
    ///
    /// # Errors
    /// As [`Seal::open`].
    pub fn pepper(&self) -> Result<Option<policies::Pepper>> {
        if self.pepper.is_empty() {
            return Ok(None);
        }
        let text = resolve("seal.pepper", &self.pepper)?;
        policies::Pepper::new(&text).map(Some).map_err(Error::Identity)
    }
}

fn resolve(key: &'static str, reference: &str) -> Result<policies::Secret> {
    let reference: Reference = reference
        .parse()
        .map_err(|problem| Error::Config { key, problem })?;
    reference.read(key)
}

impl Settings {
    /// Reads a config file; relative paths in it start at its folder.
    ///
    /// # Errors
    /// [`Error::Settings`] with the key at fault.
    pub fn open(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::Storage {
            action: "read",
            path: path.display().to_string(),
            source: Box::new(error),
        })?;
        Self::parse(&text, path)
    }

    /// The settings of a text; `path` names it.
    ///
    /// # Errors
    /// [`Error::Settings`] with the key at fault.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let mut settings: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| {
                1 + text.as_bytes()[..span.start.min(text.len())]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count()
            });
            Error::Settings {
                path: path.to_owned(),
                reason: format!("line {line}: {}", error.message()),
            }
        })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder =
            std::path::absolute(folder.unwrap_or(Path::new("."))).map_err(|error| Error::Storage {
                action: "find",
                path: path.display().to_string(),
                source: Box::new(error),
            })?;
        for relative in [
            &mut settings.pipelines,
            &mut settings.state,
            &mut settings.lake.catalog,
            &mut settings.lake.warehouse,
            &mut settings.identity.users,
            &mut settings.identity.keys,
            &mut settings.identity.revocations,
        ] {
            *relative = folder.join(&*relative);
        }
        settings.validate()?;
        Ok(settings)
    }

    fn validate(&self) -> Result<()> {
        self.append.validate()?;
        let zero = [
            ("keys_max", self.keys_max),
            ("waiting_bytes_max", self.waiting_bytes_max),
            ("listen.connections_max", self.listen.connections_max),
            ("body.body_bytes_max", self.body.body_bytes_max),
            ("body.unpacked_bytes_max", self.body.unpacked_bytes_max),
            ("body.record_bytes_max", self.body.record_bytes_max),
            ("body.records_max", self.body.records_max),
        ];
        if let Some((key, _)) = zero.iter().find(|(_, value)| *value == 0) {
            return Err(Error::Config {
                key,
                problem: "must be larger than zero",
            });
        }
        if self.waiting_bytes_max > u32::MAX as usize * 1024 {
            return Err(Error::Config {
                key: "waiting_bytes_max",
                problem: "must be less than 4 TiB",
            });
        }
        self.identity.validate().map_err(Error::Identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_config_is_the_default() {
        let text = include_str!("../../deploy/config/ingest.toml");
        let written: Settings = toml::from_str(text).unwrap();
        let default = Settings::default();
        assert_eq!(written, default);
        // Every key stands there.
        let keys = |table: &toml::Table| -> Vec<String> {
            let section = |(key, value): (&String, &toml::Value)| match value {
                toml::Value::Table(table) => table.keys().map(|inner| format!("{key}.{inner}")).collect(),
                _ => vec![key.clone()],
            };
            table.iter().flat_map(section).collect()
        };
        let all = toml::Table::try_from(&default).unwrap();
        assert_eq!(keys(&text.parse().unwrap()), keys(&all));
    }

    #[test]
    fn a_fault_is_told_with_its_place_and_paths_start_at_the_file() {
        let parse = |text: &str| Settings::parse(text, Path::new("/etc/lakegate/ingest.toml"));
        let settings = parse("").unwrap();
        assert_eq!(settings.pipelines, Path::new("/etc/lakegate/pipelines"));
        assert_eq!(
            parse("state = \"/var/state\"").unwrap().state,
            Path::new("/var/state")
        );
        for (text, expected) in [
            ("\nkeys = 1", "line 2: unknown field `keys`"),
            ("keys_max = 0", "keys_max must be larger than zero"),
            ("[append]\nlanes = 0", "lanes must be larger than zero"),
            ("[seal]\nkey = \"x\"", "unknown field `key`"),
        ] {
            let error = parse(text).unwrap_err().chain();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
