//! What travels with a session: the bearer token, which is a credential, and the options in a cookie, which are none.
//! Both are JSON, sealed, in base64url without padding.
//!
//! Invariant: whatever is not a token of ours gives [`Error::Token`], whichever step noticed it.

use super::seconds;
use super::session::Session;
use crate::error::{Error, Result};
use crate::seal::Seal;
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// The second token format. Tokens of the first, which had no session, no longer open.
const PURPOSE: &str = "session token 2";

const OPTIONS_PURPOSE: &str = "session options";

/// The longest token. It travels in a header of every call, and servers and proxies bound headers at 8 KiB.
const TOKEN_BYTES_MAX: usize = 6 * 1024;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) subject: String,
    pub(super) session: Session,
    pub(super) issued: SystemTime,
    pub(super) stamp: u64,
    pub(super) options: BTreeMap<String, String>,
}

/// The claims on the wire; short names, since every call carries them.
#[derive(Serialize, Deserialize)]
struct Wire {
    s: String,
    n: [u8; 16],
    b: u64,
    i: u64,
    p: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    o: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct WireOptions {
    s: String,
    e: u64,
    o: BTreeMap<String, String>,
}

pub(super) fn write(claims: &Claims, seal: &Seal) -> Result<String> {
    let wire = Wire {
        s: claims.subject.clone(),
        n: claims.session.id,
        b: seconds(claims.session.began),
        i: seconds(claims.issued),
        p: claims.stamp,
        o: claims.options.clone(),
    };
    close(PURPOSE, &wire, seal)
}

pub(super) fn read(token: &Secret, seal: &Seal) -> Result<Claims> {
    let wire: Wire = open(PURPOSE, token.expose(), seal)?;
    Ok(Claims {
        subject: wire.s,
        session: Session {
            id: wire.n,
            began: time(wire.b)?,
        },
        issued: time(wire.i)?,
        stamp: wire.p,
        options: wire.o,
    })
}

/// Options for a cookie, good for `subject` until `expires`.
pub(super) fn write_options(
    subject: &str,
    expires: SystemTime,
    options: &BTreeMap<String, String>,
    seal: &Seal,
) -> Result<String> {
    let wire = WireOptions {
        s: subject.to_owned(),
        e: seconds(expires),
        o: options.clone(),
    };
    close(OPTIONS_PURPOSE, &wire, seal)
}

/// The options of [`write_options`] for the same subject.
pub(super) fn read_options(
    text: &str,
    subject: &str,
    now: SystemTime,
    seal: &Seal,
) -> Result<BTreeMap<String, String>> {
    let wire: WireOptions = open(OPTIONS_PURPOSE, text, seal)?;
    if wire.s != subject {
        return Err(Error::Token);
    }
    if time(wire.e)? <= now {
        return Err(Error::TokenExpired);
    }
    Ok(wire.o)
}

fn close(purpose: &'static str, wire: &impl Serialize, seal: &Seal) -> Result<String> {
    let plain = serde_json::to_vec(wire).map_err(|_| Error::Internal {
        operation: "writing a token",
    })?;
    let token = URL_SAFE_NO_PAD.encode(seal.seal(purpose, &plain)?);
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Error::TokenTooLong {
            bytes: token.len(),
            bytes_max: TOKEN_BYTES_MAX,
        });
    }
    Ok(token)
}

fn open<T: DeserializeOwned>(purpose: &'static str, token: &str, seal: &Seal) -> Result<T> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Error::Token);
    }
    let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| Error::Token)?;
    let plain = seal.open(purpose, &sealed).map_err(|_| Error::Token)?;
    serde_json::from_slice(&plain).map_err(|_| Error::Token)
}

fn time(seconds: u64) -> Result<SystemTime> {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .ok_or(Error::Token)
}
