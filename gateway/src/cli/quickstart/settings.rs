//! The files that a start writes anew: the configs of gateway and ingest, their key, and where they listen.

use std::net::SocketAddr;
use std::path::Path;

use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Arguments;
use super::error::{Error, Result};
use super::folder::Folder;
use super::snippets::At;

/// The secret that API keys are checked with. It is made once and kept, since the keys would be void without it.
pub(super) const PEPPER: &str = "pepper";

/// The secret that the audit trail is signed with. It is made once and kept, since the trail could not be verified
/// without it.
pub(super) const AUDIT_KEY: &str = "audit.key";

/// The folder of the trail.
pub(super) const AUDIT: &str = "audit";

/// A complete config, which `lakegate serve --config` takes too.
pub(super) fn gateway(folder: &Folder, arguments: &Arguments) -> String {
    let path = |name: &str| quoted(&folder.path(name));
    let secret = |name: &str| toml::Value::from(format!("file:{}", folder.path(name).display()));
    let (key, pepper) = (secret("seal.key"), secret(PEPPER));
    let text = format!(
        "# Written anew by every `lakegate quickstart` on this folder.
# `lakegate serve --config` takes it as it is; copy it before you change it.

[listen]
flight = \"{flight}\"
rest = \"{rest}\"
admin = \"{admin}\"

[seal]
keys = [{key}]
pepper = {pepper}

[identity]
users = {users}
keys = {keys}
revocations = {revocations}

[policies]
file = {policies}

[session]
catalog = \"lake\"
schema = \"gold\"

[audit]
folder = {audit}
key = {audit_key}
folder_bytes_max = \"1 GiB\"
oldest = \"remove\"

[telemetry]
log = \"warn\"

[planner.sources.lake]
kind = \"iceberg\"
catalog = {catalog}
warehouse = {warehouse}
",
        flight = arguments.flight,
        rest = arguments.rest,
        admin = arguments.admin,
        users = path("users.toml"),
        keys = path("keys.toml"),
        revocations = path("revocations.toml"),
        policies = path("policies.toml"),
        audit = path(AUDIT),
        audit_key = secret(AUDIT_KEY),
        catalog = path("catalog.sqlite"),
        warehouse = path("warehouse"),
    );
    match &arguments.postgres {
        Some(database) => text + database.section(folder).as_str(),
        None => text,
    }
}

/// A complete config of the ingest service, which `lakegate-ingest --config` takes too.
pub(super) fn ingest(folder: &Folder, arguments: &Arguments) -> String {
    let path = |name: &str| quoted(&folder.path(name));
    let secret = |name: &str| toml::Value::from(format!("file:{}", folder.path(name).display()));
    let (key, pepper) = (secret("seal.key"), secret(PEPPER));
    format!(
        "# Written anew by every `lakegate quickstart` on this folder.
# `lakegate-ingest --config` takes it as it is; copy it before you change it.

pipelines = {pipelines}
state = {state}

[lake]
catalog = {catalog}
warehouse = {warehouse}

[listen]
http = \"{http}\"

[writers]
roles = [\"admin\", \"data_engineer\"]

[identity]
users = {users}
keys = {keys}
revocations = {revocations}

[seal]
keys = [{key}]
pepper = {pepper}
",
        pipelines = path("pipelines"),
        state = path("ingest-state"),
        catalog = path("catalog.sqlite"),
        warehouse = path("warehouse"),
        http = arguments.ingest,
        users = path("users.toml"),
        keys = path("keys.toml"),
        revocations = path("revocations.toml"),
    )
}

/// A fresh key: for tokens and tickets, where what an earlier start has sealed is void, and for a pepper.
///
/// # Errors
/// The system gives no random bytes.
pub(super) fn seal_key() -> Result<String> {
    let mut key = [0_u8; 32];
    rand::fill(&mut key).map_err(|_| Error::Random)?;
    Ok(BASE64_STANDARD.encode(key) + "\n")
}

/// Where the running gateway listens, for scripts and for `lakegate sql`.
pub(super) fn endpoints(at: &At, admin: SocketAddr) -> String {
    format!(
        "{:#}\n",
        serde_json::json!({
            "flight": at.flight,
            "rest": at.rest,
            "ingest": at.ingest,
            "admin": format!("http://{admin}"),
        })
    )
}

/// A path as a TOML string.
fn quoted(path: &Path) -> toml::Value {
    toml::Value::from(path.display().to_string())
}
