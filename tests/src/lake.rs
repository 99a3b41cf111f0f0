//! A small lake without a gateway, and gateways of `lakegate serve` over it: what a fleet shares.
//!
//! Invariants: rows come in through `ingest`, as they do in production; every gateway over one lake has the same users,
//! policies and sources, and the seal keys that the test gives it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use connectors::iceberg::{Config, create_catalog};
use iceberg::spec::PrimitiveType;
use iceberg::{Catalog as _, NamespaceIdent};
use ingest::commit::Token;
use ingest::{Appender, Column, Contract, Silent, Zone};
use policies::{Secret, hash_password};
use tempfile::TempDir;

use crate::gateway::{Gateway, Launch, free_address};

/// The users of every gateway over the lake, with their passwords. The admin reads all zones, the viewer gold.
pub const USERS: [(&str, &str); 2] = [
    ("admin", "an admin's password"),
    ("viewer", "a viewer's password"),
];

/// Who reads what, as a policy document.
pub const POLICIES: &str = r#"
[[allow]]
name = "admins read everything"
roles = ["admin"]
tables = ["lake.*.*"]

[[allow]]
name = "viewers read gold"
roles = ["viewer"]
tables = ["lake.gold.*"]
"#;

/// A warehouse, its catalog, and the documents of the gateways over it, in a folder of their own.
#[derive(Debug)]
pub struct Lake {
    folder: TempDir,
    appender: Appender,
}

impl Lake {
    /// A lake with the three zones and no table.
    pub async fn create() -> Result<Self> {
        let folder = TempDir::with_prefix("lakegate-lake-")?;
        let path = folder.path().to_str().context("a UTF-8 path")?;
        let catalog = create_catalog(&Config::new(
            format!("{path}/catalog.db"),
            format!("{path}/warehouse"),
        ))
        .await?;
        for zone in Zone::ALL {
            let namespace: NamespaceIdent = zone.namespace();
            catalog
                .create_namespace(
                    &namespace,
                    [("comment".to_owned(), zone.comment().to_owned())].into(),
                )
                .await?;
        }
        fs::write(folder.path().join("policies.toml"), POLICIES)?;
        fs::write(folder.path().join("users.toml"), users(&USERS)?)?;
        let appender = Appender::new(catalog, ingest::Config::default())?;
        Ok(Self { folder, appender })
    }

    /// Appends the rows `(id, "row id")` for every `id` in `ids` to `zone.name` as one snapshot.
    pub async fn append(&self, zone: Zone, name: &str, ids: std::ops::Range<i64>) -> Result<()> {
        self.append_named(zone, name, ids, |id| format!("row {id}")).await
    }

    /// As [`Lake::append`] with the words of each row from `words`.
    pub async fn append_named(
        &self,
        zone: Zone,
        name: &str,
        ids: std::ops::Range<i64>,
        words: fn(i64) -> String,
    ) -> Result<()> {
        let columns = vec![
            Column::required("id", PrimitiveType::Long, "the number of the row"),
            Column::optional("name", PrimitiveType::String, "the row in words"),
        ];
        let contract = Contract::new(zone, name, "rows of a test", columns)?.with_key(&["id"])?;
        let names: StringArray = ids.clone().map(|id| Some(words(id))).collect();
        let columns: [(&str, ArrayRef, bool); 2] = [
            ("id", Arc::new(Int64Array::from_iter_values(ids)), false),
            ("name", Arc::new(names), true),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
        self.append_batch(&contract, batch).await
    }

    /// Appends a batch of the columns of a contract as one snapshot.
    pub async fn append_batch(&self, contract: &Contract, batch: RecordBatch) -> Result<()> {
        let batches = Box::new([Ok(batch)].into_iter());
        self.appender
            .append(contract, &Token::unique(), batches, &Silent)
            .await?;
        Ok(())
    }

    /// Puts other policies in the place of the lake's; a running gateway takes them when it next looks.
    pub fn set_policies(&self, document: &str) -> Result<()> {
        let path = self.folder.path().join("policies.toml");
        let draft = self.folder.path().join("policies.toml.draft");
        fs::write(&draft, document)?;
        fs::rename(draft, path)?;
        Ok(())
    }

    /// A gateway over the lake. The first of `keys` seals, all of them open; gateways with one key are a fleet.
    pub fn gateway(&self, keys: &[&str]) -> Result<Gateway> {
        self.gateway_with(keys, &[])
    }

    /// As [`Lake::gateway`] with keys of the config set beside those of the lake, such as `("limits.queries_max", "1")`.
    pub fn gateway_with(&self, keys: &[&str], settings: &[(&str, &str)]) -> Result<Gateway> {
        self.gateway_in(keys, settings, &[])
    }

    /// As [`Lake::gateway_with`] in an environment.
    pub fn gateway_in(
        &self,
        keys: &[&str],
        settings: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Result<Gateway> {
        let admin = free_address()?;
        let mut launch = self.launch("serve", &admin, keys, settings)?;
        for (key, value) in environment {
            launch = launch.with_environment(key, value);
        }
        Ok(Gateway::start(&launch, &admin)?.with_users(USERS))
    }

    /// As [`Lake::gateway_with`] with more secrets, which the config refers to as `env:LAKEGATE_TEST_KEY_N`, counted on
    /// from the keys.
    pub fn gateway_with_secrets(
        &self,
        keys: &[&str],
        secrets: &[&str],
        settings: &[(&str, &str)],
    ) -> Result<Gateway> {
        let admin = free_address()?;
        let mut launch = self.launch("serve", &admin, keys, settings)?;
        for (index, secret) in secrets.iter().enumerate() {
            let name = format!("LAKEGATE_TEST_KEY_{}", keys.len() + index);
            launch = launch.with_environment(&name, secret);
        }
        Ok(Gateway::start(&launch, &admin)?.with_users(USERS))
    }

    /// The command line of such a gateway with its admin listener at `admin`, or of another command on its config.
    pub fn launch(
        &self,
        command: &str,
        admin: &str,
        keys: &[&str],
        settings: &[(&str, &str)],
    ) -> Result<Launch> {
        let config = self.config(admin, keys.len(), "")?;
        let mut launch = Launch::new([command.into(), "--config".into(), config.into_os_string()]);
        for (index, key) in keys.iter().enumerate() {
            launch = launch.with_environment(&format!("LAKEGATE_TEST_KEY_{index}"), key);
        }
        for (key, value) in settings {
            launch = launch.with_setting(key, value);
        }
        Ok(launch)
    }

    /// Writes a config for `serve` with its admin listener at `admin`, as many seal keys as asked for, and `more` keys of the
    /// sections that are not here; its path.
    pub fn config(&self, admin: &str, keys: usize, more: &str) -> Result<PathBuf> {
        let path = self.folder.path().to_str().context("a UTF-8 path")?;
        let keys: Vec<String> = (0..keys)
            .map(|index| format!("\"env:LAKEGATE_TEST_KEY_{index}\""))
            .collect();
        let document = format!(
            "[listen]\nflight = \"127.0.0.1:0\"\nrest = \"127.0.0.1:0\"\nadmin = \"{admin}\"\n\n\
             [seal]\nkeys = [{}]\n\n\
             [identity]\nusers = \"{path}/users.toml\"\n\n\
             [policies]\nfile = \"{path}/policies.toml\"\n\n\
             [planner.sources.lake]\nkind = \"iceberg\"\ncatalog = \"{path}/catalog.db\"\nwarehouse = \"{path}/warehouse\"\n\n\
             {more}",
            keys.join(", ")
        );
        let file = self
            .folder
            .path()
            .join(format!("gateway-{}.toml", admin.replace(':', "-")));
        fs::write(&file, document)?;
        Ok(file)
    }

    /// Where the lake lies.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }
}

/// A seal key: the base64 of 32 bytes.
pub fn key(byte: u8) -> String {
    BASE64_STANDARD.encode([byte; 32])
}

/// A users file; each user has the role of the same name.
pub fn users(users: &[(&str, &str)]) -> Result<String> {
    let mut document = String::new();
    for (name, password) in users {
        let hash = hash_password(&Secret::new((*password).to_owned()))?;
        document.push_str(&format!(
            "[[user]]\nname = \"{name}\"\npassword_hash = \"{hash}\"\nroles = [\"{name}\"]\n\n"
        ));
    }
    Ok(document)
}
