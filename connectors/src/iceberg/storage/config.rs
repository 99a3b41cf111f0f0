//! How a source's object stores are reached, and the bounds of their use.
//!
//! Invariants:
//! - Keys are references, never in the file, and never printed.
//! - A machine's own identity is used only where the config says so.

use crate::postgres::Password as Secret;
use crate::{Error, Result};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The stores of one source: S3, Azure and Google Cloud Storage. Local disk needs none of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address of an S3 service that is not Amazon's, or of an Azure or Google service under a name of its own.
    pub endpoint: Option<String>,
    /// The region of S3.
    pub region: Option<String>,
    /// Whether the bucket stands in the path of an S3 address and not in its host; by default where `endpoint` is set.
    pub path_style: Option<bool>,
    /// Whether the endpoint may be spoken to without TLS.
    pub allow_http: bool,
    /// Where the credentials come from.
    pub credentials: Credentials,
    /// The id of an S3 key.
    pub access_key_id: Option<Secret>,
    /// The secret of an S3 key.
    pub secret_access_key: Option<Secret>,
    /// The token that goes with a temporary S3 key.
    pub session_token: Option<Secret>,
    /// The role that a web identity takes on.
    pub role_arn: Option<String>,
    /// The file with the token of a web identity; read again when the credentials are renewed.
    pub web_identity_token_file: Option<PathBuf>,
    /// The address of the service that gives temporary S3 keys, where it is not Amazon's.
    pub sts_endpoint: Option<String>,
    /// The account of Azure; else the one in the location.
    pub azure_account: Option<String>,
    /// The access key of the Azure account.
    pub azure_account_key: Option<Secret>,
    /// A shared access signature of Azure, as a query string.
    pub azure_sas: Option<Secret>,
    /// The file with the key of a Google service account.
    pub gcs_service_account_file: Option<PathBuf>,
    /// How often a request that failed is sent again.
    pub retries_max: usize,
    /// How long after its first try a request is sent again no more, in milliseconds.
    pub retry_timeout_ms: u64,
    /// How long a request may take, its answer's body included, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long opening a connection may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// The most requests under way at once; further ones wait.
    pub requests_max: usize,
    /// The folder of the cache on local disk, which belongs to it alone; no cache without it.
    pub cache_dir: Option<PathBuf>,
    /// The most bytes that the cache takes on disk.
    pub cache_bytes_max: u64,
    /// The bytes of a block of the cache: what is read at once where a part of it is wanted.
    pub cache_block_bytes: u64,
}

/// Where the credentials of a store come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// The keys of the config; without them those of the environment, as `AWS_ACCESS_KEY_ID` and the like.
    #[default]
    Keys,
    /// A token in a file, for which the service gives temporary keys.
    WebIdentity,
    /// The identity of the machine, asked of its metadata service.
    Instance,
    /// None: the store is public.
    Anonymous,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            path_style: None,
            allow_http: false,
            credentials: Credentials::Keys,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            role_arn: None,
            web_identity_token_file: None,
            sts_endpoint: None,
            azure_account: None,
            azure_account_key: None,
            azure_sas: None,
            gcs_service_account_file: None,
            retries_max: 4,
            retry_timeout_ms: 30_000,
            request_timeout_ms: 30_000,
            connect_timeout_ms: 5_000,
            requests_max: 64,
            cache_dir: None,
            cache_bytes_max: 20 << 30,
            cache_block_bytes: 1 << 20,
        }
    }
}

impl Config {
    /// Checks the keys without touching a store.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key.
    pub(in crate::iceberg) fn validate(&self) -> Result<()> {
        const DAY_MS: u64 = 86_400_000;
        let within = |key: &str, value: u64, least: u64, most: u64| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(invalid(key, &format!("must be {least} to {most}"))),
        };
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        within("retries_max", count(self.retries_max), 0, 100)?;
        within("retry_timeout_ms", self.retry_timeout_ms, 1, DAY_MS)?;
        within("request_timeout_ms", self.request_timeout_ms, 1, DAY_MS)?;
        within("connect_timeout_ms", self.connect_timeout_ms, 1, DAY_MS)?;
        within("requests_max", count(self.requests_max), 1, 100_000)?;
        within("cache_block_bytes", self.cache_block_bytes, 4 << 10, 64 << 20)?;
        within(
            "cache_bytes_max",
            self.cache_bytes_max,
            self.cache_block_bytes,
            u64::MAX,
        )?;
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Err(invalid(
                "secret_access_key",
                "goes with access_key_id, one is missing",
            ));
        }
        if self.credentials == Credentials::WebIdentity
            && (self.role_arn.is_none() || self.web_identity_token_file.is_none())
        {
            return Err(invalid(
                "credentials",
                "\"web-identity\" needs role_arn and web_identity_token_file",
            ));
        }
        for (key, address) in [("endpoint", &self.endpoint), ("sts_endpoint", &self.sts_endpoint)] {
            let Some(address) = address else { continue };
            match url::Url::parse(address)
                .map(|url| url.scheme().to_owned())
                .as_deref()
            {
                Ok("https") => {}
                Ok("http") if self.allow_http => {}
                Ok("http") => return Err(invalid(key, "is without TLS, which allow_http = true permits")),
                _ => return Err(invalid(key, "must be an https:// address")),
            }
        }
        Ok(())
    }

    /// As [`crate::SourceConfig::fill_secrets`]. What the config leaves open is taken from the variables that Amazon's,
    /// Azure's and Google's own tools read.
    pub(in crate::iceberg) fn fill_secrets(
        &mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        for (key, secret) in [
            ("access_key_id", &mut self.access_key_id),
            ("secret_access_key", &mut self.secret_access_key),
            ("session_token", &mut self.session_token),
            ("azure_account_key", &mut self.azure_account_key),
            ("azure_sas", &mut self.azure_sas),
        ] {
            if let Some(secret) = secret {
                secret.fill(&variable).map_err(|error| renamed(error, key))?;
            }
        }
        let text = |slot: &mut Option<String>, name: &str| {
            if slot.is_none() {
                *slot = variable(name);
            }
        };
        let secret = |slot: &mut Option<Secret>, name: &str| {
            if slot.is_none() {
                *slot = variable(name).map(Secret::Known);
            }
        };
        if self.access_key_id.is_none() {
            secret(&mut self.access_key_id, "AWS_ACCESS_KEY_ID");
            secret(&mut self.secret_access_key, "AWS_SECRET_ACCESS_KEY");
            secret(&mut self.session_token, "AWS_SESSION_TOKEN");
        }
        text(&mut self.region, "AWS_REGION");
        text(&mut self.region, "AWS_DEFAULT_REGION");
        text(&mut self.role_arn, "AWS_ROLE_ARN");
        text(&mut self.azure_account, "AZURE_STORAGE_ACCOUNT_NAME");
        secret(&mut self.azure_account_key, "AZURE_STORAGE_ACCOUNT_KEY");
        let path = |slot: &mut Option<PathBuf>, name: &str| {
            if slot.is_none() {
                *slot = variable(name).map(PathBuf::from);
            }
        };
        path(&mut self.web_identity_token_file, "AWS_WEB_IDENTITY_TOKEN_FILE");
        path(
            &mut self.gcs_service_account_file,
            "GOOGLE_APPLICATION_CREDENTIALS",
        );
        Ok(())
    }

    /// How requests are sent again.
    pub(super) fn retries(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
            max_retries: self.retries_max,
            retry_timeout: Duration::from_millis(self.retry_timeout_ms),
        }
    }

    /// How connections are made.
    pub(super) fn client(&self) -> ClientOptions {
        ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_timeout(Duration::from_millis(self.request_timeout_ms))
            .with_connect_timeout(Duration::from_millis(self.connect_timeout_ms))
            .with_pool_max_idle_per_host(self.requests_max)
    }
}

fn invalid(key: &str, problem: &str) -> Error {
    Error::Invalid {
        key: format!("storage.{key}"),
        problem: problem.to_owned(),
    }
}

fn renamed(error: Error, key: &str) -> Error {
    match error {
        Error::Invalid { problem, .. } => invalid(key, &problem),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_fills_what_the_config_leaves_open() {
        let mut config = Config {
            region: Some("eu-central-1".to_owned()),
            ..Config::default()
        };
        let variable = |name: &str| Some(format!("value of {name}"));
        config.fill_secrets(variable).unwrap();
        assert_eq!(config.region.as_deref(), Some("eu-central-1"));
        assert_eq!(
            config.access_key_id,
            Some(Secret::Known("value of AWS_ACCESS_KEY_ID".to_owned()))
        );
        assert!(!format!("{config:?}").contains("value of AWS_SECRET_ACCESS_KEY"));
        let mut own = Config {
            access_key_id: Some(Secret::Environment("ID".to_owned())),
            secret_access_key: Some(Secret::Environment("KEY".to_owned())),
            ..Config::default()
        };
        own.fill_secrets(variable).unwrap();
        assert_eq!(own.session_token, None, "a token of another key");
        let missing = own.clone();
        let mut missing = Config {
            access_key_id: Some(Secret::Environment("ID".to_owned())),
            ..missing
        };
        let error = missing.fill_secrets(|_| None).unwrap_err().to_string();
        assert!(
            error.contains("storage.access_key_id") && error.contains("ID"),
            "{error}"
        );
    }

    #[test]
    fn a_bad_key_is_named() {
        let wrong = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(wrong(|c| c.requests_max = 0).starts_with("key storage.requests_max: "));
        assert!(wrong(|c| c.endpoint = Some("http://x".into())).contains("allow_http"));
        assert!(wrong(|c| c.endpoint = Some("x".into())).contains("https://"));
        assert!(wrong(|c| c.credentials = Credentials::WebIdentity).contains("role_arn"));
        assert!(wrong(|c| c.access_key_id = Some(Secret::Known("k".into()))).contains("secret_access_key"));
        Config::default().validate().unwrap();
    }
}
