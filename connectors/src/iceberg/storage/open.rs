//! Opens one bucket of one kind of store, with the config's credentials or with ones that a catalog has lent.

use super::config::{Config, Credentials};
use super::lent::{Bearer, LentProvider};
use crate::iceberg::location::{Location, Scheme};
use crate::postgres::Password as Secret;
use crate::{Error, Result};
use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::SpawnedReqwestConnector;
use object_store::gcp::GoogleCloudStorageBuilder;
use std::sync::Arc;
use tokio::runtime::Handle;

/// The bucket in which `location` lies. `io` is the runtime that waits for its sockets.
///
/// # Errors
/// [`Error::Invalid`] naming the key at fault.
pub(super) async fn bucket(
    config: &Config,
    location: &Location,
    lent: Option<&Arc<LentProvider>>,
    io: Handle,
) -> Result<Arc<dyn ObjectStore>> {
    match location.scheme {
        Scheme::File => Err(failed("a local folder is not a bucket")),
        Scheme::S3 => s3(config, location, lent, io).await,
        Scheme::Azure => azure(config, location, lent, io).await,
        Scheme::Gcs => gcs(config, location, lent, io),
    }
}

async fn s3(
    config: &Config,
    location: &Location,
    lent: Option<&Arc<LentProvider>>,
    io: Handle,
) -> Result<Arc<dyn ObjectStore>> {
    let told = |key: &str| lent.and_then(|lent| lent.setting(key));
    let endpoint = config.endpoint.clone().or_else(|| told("s3.endpoint"));
    let path_style = config
        .path_style
        .or_else(|| told("s3.path-style-access").map(|text| text.eq_ignore_ascii_case("true")))
        .unwrap_or(endpoint.is_some());
    let region = config.region.clone();
    let region = region
        .or_else(|| told("client.region"))
        .or_else(|| told("s3.region"));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&location.authority)
        .with_region(region.unwrap_or_else(|| "us-east-1".to_owned()))
        .with_virtual_hosted_style_request(!path_style)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(config.retries())
        .with_client_options(config.client())
        .with_http_connector(SpawnedReqwestConnector::new(io));
    if let Some(endpoint) = endpoint {
        // In the style with the bucket in the host, the client wants the whole host.
        let endpoint = match path_style {
            true => endpoint,
            false => endpoint.replacen("://", &format!("://{}.", location.authority), 1),
        };
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    if let Some(lent) = lent {
        return built(builder.with_credentials(Arc::clone(lent) as _).build());
    }
    builder = match config.credentials {
        Credentials::Anonymous => builder.with_skip_signature(true),
        Credentials::Instance => builder,
        Credentials::WebIdentity => web_identity(builder, config),
        Credentials::Keys => {
            let Some(id) = secret(&config.access_key_id, "access_key_id").await? else {
                // A pod of Kubernetes has no keys but these two variables.
                if config.role_arn.is_some() && config.web_identity_token_file.is_some() {
                    return built(web_identity(builder, config).build());
                }
                return Err(missing("access_key_id"));
            };
            let key = secret(&config.secret_access_key, "secret_access_key").await?;
            let mut keyed = builder
                .with_access_key_id(id)
                .with_secret_access_key(key.ok_or_else(|| missing("secret_access_key"))?);
            if let Some(token) = secret(&config.session_token, "session_token").await? {
                keyed = keyed.with_token(token);
            }
            keyed
        }
    };
    built(builder.build())
}

fn web_identity(builder: AmazonS3Builder, config: &Config) -> AmazonS3Builder {
    let file = config
        .web_identity_token_file
        .as_deref()
        .unwrap_or(std::path::Path::new(""));
    let builder = builder
        .with_config(AmazonS3ConfigKey::WebIdentityTokenFile, file.to_string_lossy())
        .with_config(
            AmazonS3ConfigKey::RoleArn,
            config.role_arn.clone().unwrap_or_default(),
        )
        .with_config(AmazonS3ConfigKey::RoleSessionName, "lakegate");
    match &config.sts_endpoint {
        Some(address) => builder.with_config(AmazonS3ConfigKey::StsEndpoint, address.as_str()),
        None => builder,
    }
}

async fn azure(
    config: &Config,
    location: &Location,
    lent: Option<&Arc<LentProvider>>,
    io: Handle,
) -> Result<Arc<dyn ObjectStore>> {
    let (container, host) = match location.authority.split_once('@') {
        Some((container, host)) => (container, Some(host)),
        None => (location.authority.as_str(), None),
    };
    let named = host.and_then(|host| host.split('.').next()).map(str::to_owned);
    let account = config
        .azure_account
        .clone()
        .or(named)
        .ok_or_else(|| missing("azure_account"))?;
    let mut builder = MicrosoftAzureBuilder::new()
        .with_container_name(container)
        .with_account(&account)
        .with_retry(config.retries())
        .with_client_options(config.client())
        .with_allow_http(config.allow_http)
        .with_http_connector(SpawnedReqwestConnector::new(io));
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if let Some(lent) = lent {
        let host = host.unwrap_or_default();
        let sas = [
            format!("adls.sas-token.{host}"),
            format!("adls.sas-token.{account}"),
        ];
        let sas = sas.iter().find_map(|key| lent.setting(key));
        let sas = sas.ok_or_else(|| failed("the catalog lends no signature for this account"))?;
        return built(builder.with_sas_authorization(pairs(&sas)).build());
    }
    builder = match config.credentials {
        Credentials::Anonymous => builder.with_skip_signature(true),
        Credentials::Instance | Credentials::WebIdentity => builder,
        Credentials::Keys => match secret(&config.azure_account_key, "azure_account_key").await? {
            Some(key) => builder.with_access_key(key),
            None => {
                let sas = secret(&config.azure_sas, "azure_sas").await?;
                builder.with_sas_authorization(pairs(&sas.ok_or_else(|| missing("azure_account_key"))?))
            }
        },
    };
    built(builder.build())
}

/// The pairs of a query string.
fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.trim_start_matches('?').as_bytes())
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect()
}

fn gcs(
    config: &Config,
    location: &Location,
    lent: Option<&Arc<LentProvider>>,
    io: Handle,
) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&location.authority)
        .with_retry(config.retries())
        .with_client_options(config.client())
        .with_http_connector(SpawnedReqwestConnector::new(io));
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    if let Some(lent) = lent {
        return built(
            builder
                .with_credentials(Arc::new(Bearer(Arc::clone(lent))))
                .build(),
        );
    }
    builder = match (config.credentials, &config.gcs_service_account_file) {
        (Credentials::Anonymous, _) => builder.with_skip_signature(true),
        (Credentials::Keys, Some(file)) => builder.with_service_account_path(file.to_string_lossy()),
        (Credentials::Keys, None) => return Err(missing("gcs_service_account_file")),
        (Credentials::Instance | Credentials::WebIdentity, _) => builder,
    };
    built(builder.build())
}

fn built<S: ObjectStore>(store: object_store::Result<S>) -> Result<Arc<dyn ObjectStore>> {
    match store {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(failed(&error.to_string())),
    }
}

async fn secret(of: &Option<Secret>, key: &str) -> Result<Option<String>> {
    let Some(secret) = of else { return Ok(None) };
    let read = secret.read().await;
    read.map(Some).map_err(|error| match error {
        Error::Invalid { problem, .. } => Error::Invalid {
            key: format!("storage.{key}"),
            problem,
        },
        other => other,
    })
}

fn missing(key: &str) -> Error {
    Error::Invalid {
        key: format!("storage.{key}"),
        problem: "is missing for a store that tables lie in".to_owned(),
    }
}

fn failed(problem: &str) -> Error {
    Error::Invalid {
        key: "storage".to_owned(),
        problem: problem.to_owned(),
    }
}
