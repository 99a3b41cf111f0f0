//! How a REST catalog is spoken to, and the bounds of it.

use crate::postgres::Password as Secret;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use url::Url;

/// The client's side of a REST catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The client's id and secret as `ID:SECRET`, for which the catalog or `oauth2_server_uri` gives tokens; a reference.
    pub credential: Option<Secret>,
    /// A token, where tokens are given otherwise; a reference, whose file is read again for each request.
    pub token: Option<Secret>,
    /// Where tokens are given, when it is not the catalog itself.
    pub oauth2_server_uri: Option<String>,
    /// What a token is asked for.
    pub scope: String,
    /// What stands before each path, when the catalog does not say it itself.
    pub prefix: Option<String>,
    /// Whether the catalog is asked to lend credentials for each table's store; else those of `storage` are used.
    pub vended_credentials: bool,
    /// Whether the catalog may be spoken to without TLS.
    pub allow_http: bool,
    /// How long a request may take, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long opening a connection may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How often a request that failed is sent again.
    pub retries_max: u32,
    /// The most namespaces, and the most tables, that are listed.
    pub listed_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            credential: None,
            token: None,
            oauth2_server_uri: None,
            scope: "catalog".to_owned(),
            prefix: None,
            vended_credentials: true,
            allow_http: false,
            request_timeout_ms: 15_000,
            connect_timeout_ms: 5_000,
            retries_max: 2,
            listed_max: 100_000,
        }
    }
}

impl Config {
    /// Checks the keys for the catalog at `url` without asking it.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key.
    pub(in crate::iceberg) fn validate(&self, url: &Url) -> Result<()> {
        const DAY_MS: u64 = 86_400_000;
        let within = |key: &str, value: u64, most: u64| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(invalid(key, &format!("must be 1 to {most}"))),
        };
        within("request_timeout_ms", self.request_timeout_ms, DAY_MS)?;
        within("connect_timeout_ms", self.connect_timeout_ms, DAY_MS)?;
        within("listed_max", self.listed_max as u64, 10_000_000)?;
        if self.retries_max > 20 {
            return Err(invalid("retries_max", "must be 0 to 20"));
        }
        if self.credential.is_some() && self.token.is_some() {
            return Err(invalid("token", "and credential exclude each other"));
        }
        if url.username() != "" || url.password().is_some() {
            return Err(Error::Invalid {
                key: "catalog".to_owned(),
                problem: "must not hold a password; rest.credential refers to one".to_owned(),
            });
        }
        self.check_scheme("catalog", url.scheme())?;
        let Some(server) = &self.oauth2_server_uri else {
            return Ok(());
        };
        match Url::parse(server) {
            Ok(server) => self.check_scheme("rest.oauth2_server_uri", server.scheme()),
            Err(_) => Err(invalid("oauth2_server_uri", "is no address")),
        }
    }

    fn check_scheme(&self, key: &str, scheme: &str) -> Result<()> {
        let problem = match scheme {
            "https" => return Ok(()),
            "http" if self.allow_http => return Ok(()),
            "http" => "is without TLS, which rest.allow_http = true permits",
            _ => "must be an https:// address",
        };
        Err(Error::Invalid {
            key: key.to_owned(),
            problem: problem.to_owned(),
        })
    }

    /// As [`crate::SourceConfig::fill_secrets`].
    pub(in crate::iceberg) fn fill_secrets(
        &mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        for (key, secret) in [("credential", &mut self.credential), ("token", &mut self.token)] {
            if let Some(secret) = secret {
                secret.fill(&variable).map_err(|error| renamed(error, key))?;
            }
        }
        Ok(())
    }
}

pub(super) fn invalid(key: &str, problem: &str) -> Error {
    Error::Invalid {
        key: format!("rest.{key}"),
        problem: problem.to_owned(),
    }
}

/// An error of a secret under the key that refers to it.
pub(super) fn renamed(error: Error, key: &str) -> Error {
    match error {
        Error::Invalid { problem, .. } => invalid(key, &problem),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_key_is_named_and_no_secret_printed() {
        let url = Url::parse("https://catalog/iceberg").unwrap();
        let wrong = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate(&url).unwrap_err().to_string()
        };
        assert!(wrong(|c| c.request_timeout_ms = 0).starts_with("key rest.request_timeout_ms: "));
        assert!(wrong(|c| c.oauth2_server_uri = Some("http://a/b".into())).contains("rest.allow_http"));
        assert!(
            wrong(|c| {
                c.token = Some(Secret::Known("hidden".into()));
                c.credential = Some(Secret::Known("hidden".into()));
            })
            .starts_with("key rest.token: ")
        );
        let with_password = Url::parse("https://u:secret@catalog/iceberg").unwrap();
        let problem = Config::default()
            .validate(&with_password)
            .unwrap_err()
            .to_string();
        assert!(!problem.contains("secret@"), "{problem}");
        let mut config = Config {
            credential: Some(Secret::Environment("CREDENTIAL".into())),
            ..Config::default()
        };
        let unset = config.fill_secrets(|_| None).unwrap_err().to_string();
        assert!(
            unset.starts_with("key rest.credential: ") && unset.contains("CREDENTIAL"),
            "{unset}"
        );
    }
}
