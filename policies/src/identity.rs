//! Who asks: credentials in, principal out.
//!
//! Invariants:
//! * Roles come from the users file at each call. A token names a subject; it grants nothing by itself.
//! * A token ends at its expiry, when its subject leaves the users file, and when the subject's password changes.
//! * Wrong password and unknown user cost the same work and give the same error.

mod config;
mod password;
mod remembered;
mod token;
mod users;

pub use config::Config;
pub use password::hash_password;
pub use users::{User, Users};

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::principal::Principal;
use crate::seal::Seal;
use crate::secret::Secret;
use async_trait::async_trait;
use password::Passwords;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use token::Claims;

/// What a caller shows.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A user's name and password.
    Basic {
        /// The name as in the users file.
        user: String,
        /// The password as typed.
        password: Secret,
    },
    /// A token that [`Identity::mint`] has made.
    Bearer(Secret),
}

/// A caller who has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Who it is.
    pub principal: Principal,
    /// The session options that the token carries; empty for a password.
    pub options: BTreeMap<String, String>,
    /// When the token ends; none for a password.
    pub expires: Option<SystemTime>,
}

/// Turns credentials into a principal.
#[async_trait]
pub trait Authenticator: Debug + Send + Sync {
    /// Checks the credentials.
    ///
    /// # Errors
    /// [`Error::Password`], [`Error::Token`] or [`Error::TokenExpired`] when they are refused; [`Error::Busy`] when
    /// too many password checks wait; [`Error::Internal`].
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authenticated>;
}

/// The users of a file, with passwords and with tokens of our own.
#[derive(Debug)]
pub struct Identity {
    config: Config,
    users: RwLock<Arc<Users>>,
    passwords: Passwords,
    seal: Arc<Seal>,
    clock: Arc<dyn Clock>,
}

impl Identity {
    /// Reads the users file. Takes as long as one password hash.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Document`] for the users file, [`Error::Setting`] for a value of the config.
    pub fn open(config: &Config, seal: Arc<Seal>) -> Result<Self> {
        let users = Users::open(&config.users)?;
        Self::with_users(config, users, seal, Arc::new(SystemClock))
    }

    /// As [`Identity::open`], with users and clock of the caller's choice; `config.users` is not read until a reload.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value of the config.
    pub fn with_users(config: &Config, users: Users, seal: Arc<Seal>, clock: Arc<dyn Clock>) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            passwords: Passwords::new(config, &users, Arc::clone(&clock))?,
            config: config.clone(),
            users: RwLock::new(Arc::new(users)),
            seal,
            clock,
        })
    }

    /// Reads the users file again. Who has vanished from it is refused from now on, also with an old token.
    ///
    /// # Errors
    /// As [`Identity::open`]; then the users in force stay.
    pub fn reload(&self) -> Result<()> {
        let users = Arc::new(Users::open(&self.config.users)?);
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = users;
        Ok(())
    }

    /// Makes a bearer token that is good for the configured lifetime. It is base64url without padding.
    ///
    /// # Errors
    /// [`Error::Token`] if the principal has no account any more, [`Error::TokenTooLong`] for too many options.
    pub fn mint(&self, principal: &Principal, options: &BTreeMap<String, String>) -> Result<String> {
        self.mint_until(principal, options, self.clock.wall() + self.config.token_lifetime)
    }

    /// As [`Identity::mint`] with an end of the caller's choice, never later than the configured lifetime from now.
    /// With the end of the token that was shown, a session changes its options without living longer.
    ///
    /// # Errors
    /// As [`Identity::mint`].
    pub fn mint_until(
        &self,
        principal: &Principal,
        options: &BTreeMap<String, String>,
        expires: SystemTime,
    ) -> Result<String> {
        let users = self.users();
        let user = users.get(principal.subject()).ok_or(Error::Token)?;
        let now = self.clock.wall();
        let claims = Claims {
            subject: user.name.clone(),
            issued: now,
            expires: expires.min(now + self.config.token_lifetime),
            stamp: user.stamp(),
            options: options.clone(),
        };
        token::write(&claims, &self.seal)
    }

    /// How many password hashes have been computed since the start; for metrics.
    pub fn password_checks(&self) -> u64 {
        self.passwords.checks()
    }

    fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn by_password(&self, name: &str, password: &Secret) -> Result<Authenticated> {
        let users = self.users();
        let user = users.get(name);
        self.passwords.check(name, user, password).await?;
        // A check without a user never succeeds; the answer is the same should it ever.
        let user = user.ok_or(Error::Password)?;
        Ok(Authenticated {
            principal: user.principal(),
            options: BTreeMap::new(),
            expires: None,
        })
    }

    fn by_token(&self, token: &Secret) -> Result<Authenticated> {
        let claims = token::read(token, &self.seal)?;
        if claims.expires <= self.clock.wall() {
            return Err(Error::TokenExpired);
        }
        let users = self.users();
        let user = users.get(&claims.subject).ok_or(Error::Token)?;
        if user.stamp() != claims.stamp {
            return Err(Error::Token);
        }
        Ok(Authenticated {
            principal: user.principal(),
            options: claims.options,
            expires: Some(claims.expires),
        })
    }
}

#[async_trait]
impl Authenticator for Identity {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authenticated> {
        match credentials {
            Credentials::Basic { user, password } => self.by_password(user, password).await,
            Credentials::Bearer(token) => self.by_token(token),
        }
    }
}

/// Whole seconds since 1970, the resolution of times in tokens; times before it count as its start.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

#[cfg(test)]
mod tests;
