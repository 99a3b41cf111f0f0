//! Passwords: hashing them, and checking them without letting a caller learn or break anything.
//!
//! Invariants:
//! * A check for an unknown user computes a dummy hash of the same cost and is refused with the same error.
//! * At most so many hashes are computed at a time and at most so many callers wait, as the config says. A caller who
//!   goes away frees a place in the queue; a hash that has begun keeps its place until it ends.
//! * Hashing never runs on a thread that serves connections.

use super::config::Config;
use super::remembered::Remembered;
use super::turns::Turns;
use super::users::{User, Users};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::secret::Secret;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{OwnedMutexGuard, Semaphore};

/// The costliest hash that a users file may ask for.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 64;
const LANES_MAX: u32 = 16;

/// The longest password. A longer one is refused before any look at the user, so it tells nothing.
const PASSWORD_BYTES_MAX: usize = 1024;

const SALT_BYTES: usize = 16;

/// Hashes a password with argon2id (19 MiB, 2 passes, 1 lane) and a random salt. Takes tens of milliseconds of a core.
///
/// # Errors
/// [`Error::Internal`] if the system gives no random bytes.
pub fn hash_password(password: &Secret) -> Result<String> {
    hash_with(password.expose().as_bytes(), Params::default())
}

fn hash_with(password: &[u8], params: Params) -> Result<String> {
    let failed = || Error::Internal {
        operation: "hashing a password",
    };
    let mut salt = [0_u8; SALT_BYTES];
    rand::fill(&mut salt).map_err(|_| failed())?;
    let salt = SaltString::encode_b64(&salt).map_err(|_| failed())?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password, &salt)
        .map(|hash| hash.to_string())
        .map_err(|_| failed())
}

/// Whether a hash is one that we can check at a bearable cost; otherwise why not.
pub(super) fn check_cost(hash: &str) -> std::result::Result<Params, &'static str> {
    let hash = PasswordHash::new(hash).map_err(|_| "is not a PHC string")?;
    if hash.algorithm != ARGON2ID_IDENT {
        return Err("is not argon2id");
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("has no salt or no hash");
    }
    let params = Params::try_from(&hash).map_err(|_| "has bad parameters")?;
    if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX || params.p_cost() > LANES_MAX {
        return Err("costs more than m=262144,t=64,p=16");
    }
    Ok(params)
}

/// Checks passwords, a bounded number at a time.
#[derive(Debug)]
pub(super) struct Passwords {
    /// Places to compute.
    computing: Arc<Semaphore>,
    /// Places to compute or to wait.
    present: Arc<Semaphore>,
    remembered: Remembered,
    turns: Turns,
    dummy: Arc<str>,
    checks: AtomicU64,
}

impl Passwords {
    pub(super) fn new(config: &Config, users: &Users, clock: Arc<dyn Clock>) -> Result<Self> {
        let mut unguessable = [0_u8; 32];
        rand::fill(&mut unguessable).map_err(|_| Error::Internal {
            operation: "drawing a dummy password",
        })?;
        let dummy = hash_with(&unguessable, costliest(users))?;
        let places = config.password_checks_max;
        Ok(Self {
            computing: Arc::new(Semaphore::new(places)),
            present: Arc::new(Semaphore::new(places + config.password_queue_max)),
            remembered: Remembered::new(config.password_remembered, clock)?,
            turns: Turns::default(),
            dummy: dummy.into(),
            checks: AtomicU64::new(0),
        })
    }

    /// Whether this very pair was right a moment ago. Computes no hash.
    pub(super) fn remembers(&self, name: &str, user: Option<&User>, password: &Secret) -> bool {
        password.expose().len() <= PASSWORD_BYTES_MAX
            && self
                .remembered
                .knows(&self.remembered.pair(name, password, &self.hash_of(user)))
    }

    /// Waits until nobody else checks this very pair.
    pub(super) async fn turn(
        &self,
        name: &str,
        user: Option<&User>,
        password: &Secret,
    ) -> OwnedMutexGuard<()> {
        let pair = self.remembered.pair(name, password, &self.hash_of(user));
        self.turns.take(pair).await
    }

    fn hash_of(&self, user: Option<&User>) -> Arc<str> {
        user.map_or_else(
            || Arc::clone(&self.dummy),
            |user| user.password_hash.as_str().into(),
        )
    }

    /// Ok if `user` is there and the password is theirs. `name` is what the caller claims to be.
    pub(super) async fn check(&self, name: &str, user: Option<&User>, password: &Secret) -> Result<()> {
        if password.expose().len() > PASSWORD_BYTES_MAX {
            return Err(Error::Password);
        }
        let hash = self.hash_of(user);
        let pair = self.remembered.pair(name, password, &hash);
        let place = Arc::clone(&self.present)
            .try_acquire_owned()
            .map_err(|_| Error::Busy)?;
        let turn = Arc::clone(&self.computing)
            .acquire_owned()
            .await
            .map_err(|_| stopped())?;
        // Of many calls that came with the same pair at once, only the first ones compute.
        if self.remembered.knows(&pair) {
            return Ok(());
        }
        self.checks.fetch_add(1, Ordering::Relaxed);
        let password = password.clone();
        let right = tokio::task::spawn_blocking(move || {
            let right = verify(&hash, &password);
            drop((turn, place));
            right
        })
        .await
        .map_err(|_| stopped())?;
        if right && user.is_some() {
            self.remembered.remember(pair);
            return Ok(());
        }
        Err(Error::Password)
    }

    pub(super) fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }
}

fn verify(hash: &str, password: &Secret) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.expose().as_bytes(), &hash)
            .is_ok()
    })
}

/// The dummy costs what the costliest account costs, or the usual when there is none.
fn costliest(users: &Users) -> Params {
    users
        .iter()
        .filter_map(|user| check_cost(&user.password_hash).ok())
        .max_by_key(|params| u64::from(params.m_cost()) * u64::from(params.t_cost()))
        .unwrap_or_default()
}

fn stopped() -> Error {
    Error::Internal {
        operation: "checking a password",
    }
}

#[cfg(test)]
mod tests;
