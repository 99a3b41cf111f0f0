//! Who calls, and whether they may write.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use policies::{Authenticator, Credentials, Principal, Scope, Secret};

use super::problem::Problem;
use super::{Door, Peer};

/// Base64 of Basic credentials: some clients leave the padding out.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The caller, who may write.
pub(super) async fn writer(door: &Door, peer: Peer, headers: &HeaderMap) -> Result<Principal, Problem> {
    let principal = caller(door, peer, headers).await?;
    let roles = &door.settings.writers.roles;
    let may_write = roles.iter().any(|role| principal.roles().contains(role));
    // A key for something else writes nothing, whatever its roles are.
    if may_write && principal.scopes().contain(Scope::Ingest) {
        Ok(principal)
    } else {
        Err(Problem::not_allowed())
    }
}

async fn caller(door: &Door, peer: Peer, headers: &HeaderMap) -> Result<Principal, Problem> {
    let credentials = credentials(headers).ok_or_else(Problem::no_credentials)?;
    let proven = door.identity.authenticate(&credentials, Some(peer.0)).await;
    proven
        .map(|proven| proven.principal)
        .map_err(|error| Problem::bad_credentials(&error))
}

fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let (scheme, value) = headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .trim()
        .split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials::Bearer(Secret::from(value.trim().to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASIC.decode(value.trim()).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some(Credentials::Basic {
        user: user.to_owned(),
        password: Secret::from(password.to_owned()),
    })
}
