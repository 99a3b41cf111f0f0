//! The bearer token: claims as JSON, sealed, in base64url.
//!
//! Invariant: whatever is not a token of ours gives [`Error::Token`], whichever step noticed it.

use super::seconds;
use crate::error::{Error, Result};
use crate::seal::Seal;
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

const PURPOSE: &str = "bearer token";

/// The longest token. It travels in a header of every call, and servers and proxies bound headers at 8 KiB.
const TOKEN_BYTES_MAX: usize = 6 * 1024;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) subject: String,
    pub(super) issued: SystemTime,
    pub(super) expires: SystemTime,
    pub(super) stamp: u64,
    pub(super) options: BTreeMap<String, String>,
}

/// The claims on the wire; short names, since every call carries them.
#[derive(Serialize, Deserialize)]
struct Wire {
    s: String,
    i: u64,
    e: u64,
    p: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    o: BTreeMap<String, String>,
}

pub(super) fn write(claims: &Claims, seal: &Seal) -> Result<String> {
    let wire = Wire {
        s: claims.subject.clone(),
        i: seconds(claims.issued),
        e: seconds(claims.expires),
        p: claims.stamp,
        o: claims.options.clone(),
    };
    let plain = serde_json::to_vec(&wire).map_err(|_| Error::Internal {
        operation: "writing a token",
    })?;
    let token = URL_SAFE_NO_PAD.encode(seal.seal(PURPOSE, &plain)?);
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Error::TokenTooLong {
            bytes: token.len(),
            bytes_max: TOKEN_BYTES_MAX,
        });
    }
    Ok(token)
}

pub(super) fn read(token: &Secret, seal: &Seal) -> Result<Claims> {
    let token = token.expose();
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Error::Token);
    }
    let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| Error::Token)?;
    let plain = seal.open(PURPOSE, &sealed).map_err(|_| Error::Token)?;
    let wire: Wire = serde_json::from_slice(&plain).map_err(|_| Error::Token)?;
    let time = |seconds| {
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or(Error::Token)
    };
    Ok(Claims {
        subject: wire.s,
        issued: time(wire.i)?,
        expires: time(wire.e)?,
        stamp: wire.p,
        options: wire.o,
    })
}
