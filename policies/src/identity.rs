//! Who asks: credentials in, principal out.
//!
//! Invariants:
//! * Roles come from a file or from a token that its issuer has just signed for, at each call. A token of ours names a
//!   subject; it grants nothing by itself.
//! * A session ends when nobody used it for a while, at its bound, when its subject leaves the users file, and when the
//!   subject's password changes. Whatever is taken back also ends the answers that are running ([`Fence`]).
//! * Wrong password and unknown user cost the same work and give the same error, and so do a damaged, a foreign and a
//!   revoked token of one kind.

mod api_key;
mod attempts;
mod certificate;
mod config;
mod file;
mod issuer;
mod password;
mod register;
mod remembered;
mod revocation;
mod session;
mod token;
mod turns;
mod users;

pub use api_key::{ApiKey, ApiKeys, Pepper, Purpose};
pub use certificate::Certificate;
pub use config::Config;
pub use file::rewrite;
pub use issuer::{Algorithm, AttributeClaim, AttributeType, Issuer};
pub use password::hash_password;
pub use revocation::Revocations;
pub use session::Session;
pub use users::{User, Users};

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::fence::Fence;
use crate::principal::Principal;
use crate::seal::Seal;
use crate::secret::Secret;
use async_trait::async_trait;
use attempts::Attempts;
use certificate::Certificates;
use issuer::Issuers;
use password::Passwords;
use register::{Accounts, Proof, Register};
use session::Sessions;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use token::Claims;

/// How far the clocks of a fleet may differ, or one may be set back.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(5 * 60);

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
    /// A session token of [`Identity::mint`], an API key, or a token of an issuer.
    Bearer(Secret),
    /// The client's certificate (DER). Whoever makes this has it from a TLS connection that has checked it.
    Certificate(Vec<u8>),
}

/// What a caller has shown, for logs and audit records. Nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A user's password.
    Password,
    /// A session token, whose session began with a password.
    Session,
    /// An API key, by its id.
    ApiKey {
        /// The id in the keys file.
        id: String,
    },
    /// A token of an issuer.
    Token {
        /// The issuer's name in the config.
        issuer: String,
        /// Its `jti`, where it has one.
        id: Option<String>,
    },
    /// A client certificate.
    Certificate {
        /// The caller's name in the config.
        name: String,
    },
}

/// A caller who has been checked.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// Who it is.
    pub principal: Principal,
    /// What was shown.
    pub shown: Shown,
    /// The session options that the token carries; empty for everything but a session token.
    pub options: BTreeMap<String, String>,
    /// The session of a session token.
    pub session: Option<Session>,
    /// Ends running answers when what was shown is taken back.
    pub fence: Arc<dyn Fence>,
}

/// Turns credentials into a principal.
#[async_trait]
pub trait Authenticator: Debug + Send + Sync {
    /// Checks the credentials of a caller at an address, where that is known.
    ///
    /// # Errors
    /// [`Error::Password`], [`Error::Token`], [`Error::TokenExpired`] or [`Error::Certificate`] when they are refused;
    /// [`Error::Busy`] or [`Error::Throttled`] when too many passwords are tried; [`Error::Issuer`] when the keys to
    /// check a token with cannot be had; [`Error::Internal`].
    async fn authenticate(&self, credentials: &Credentials, from: Option<IpAddr>) -> Result<Authenticated>;
}

/// The secrets that identity works with.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Closes session tokens.
    pub seal: Arc<Seal>,
    /// Checks API keys; without one there are none.
    pub pepper: Option<Pepper>,
}

/// The callers of this house: users with passwords, services with keys, those of an issuer, and those with a
/// certificate.
#[derive(Debug)]
pub struct Identity {
    config: Config,
    register: Arc<Register>,
    passwords: Passwords,
    attempts: Attempts,
    sessions: Sessions,
    issuers: Issuers,
    certificates: Certificates,
    secrets: Secrets,
    clock: Arc<dyn Clock>,
}

impl Identity {
    /// Reads the files. Takes as long as one password hash.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Document`] for a file, [`Error::Setting`] for a value of the config.
    pub fn open(config: &Config, secrets: Secrets) -> Result<Self> {
        config.validate()?;
        let register = Register::open(config)?;
        Self::with(config, register, secrets, Arc::new(SystemClock))
    }

    fn with(config: &Config, register: Register, secrets: Secrets, clock: Arc<dyn Clock>) -> Result<Self> {
        let users = &register.accounts().users;
        Ok(Self {
            passwords: Passwords::new(config, users, Arc::clone(&clock))?,
            attempts: Attempts::new(config, Arc::clone(&clock)),
            sessions: Sessions::new(config.session_idle, Arc::clone(&clock)),
            issuers: Issuers::new(&config.issuers, &clock)?,
            certificates: Certificates::new(&config.certificates),
            config: config.clone(),
            register: Arc::new(register),
            secrets,
            clock,
        })
    }

    /// As [`Identity::open`], with users and clock of the caller's choice; no file is read until a reload.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value of the config.
    pub fn with_users(
        config: &Config,
        users: Users,
        secrets: Secrets,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        config.validate()?;
        let accounts = Accounts {
            users,
            ..Accounts::default()
        };
        Self::with(config, Register::with(config, accounts), secrets, clock)
    }

    /// Reads the files again. Who has vanished from them is refused from now on, also with an old token, and the fences
    /// of their running answers fall.
    ///
    /// # Errors
    /// As [`Identity::open`]; then what was in force stays.
    pub fn reload(&self) -> Result<()> {
        self.register.reload()
    }

    /// Whether a file has changed since it was read last. Waits for the disk.
    pub fn has_changed(&self) -> bool {
        self.register.has_changed()
    }

    /// Fetches the keys of every issuer, so that the first caller does not wait for them. Never fails: an issuer that
    /// does not answer is asked again when one of its tokens comes.
    pub async fn warm(&self) {
        self.issuers.warm().await;
    }

    /// Each issuer's name, and whether its tokens can be checked now.
    pub fn issuers(&self) -> Vec<(String, bool)> {
        self.issuers.standing()
    }

    /// Makes a session token, of a session that goes on or of a new one. It is base64url without padding.
    ///
    /// # Errors
    /// [`Error::Token`] if the principal is no user of the users file, [`Error::TokenTooLong`] for too many options.
    pub fn mint(
        &self,
        principal: &Principal,
        session: Option<Session>,
        options: &BTreeMap<String, String>,
    ) -> Result<String> {
        let accounts = self.register.accounts();
        let user = accounts.users.get(principal.subject()).ok_or(Error::Token)?;
        let now = self.clock.wall();
        let claims = Claims {
            subject: user.name.clone(),
            session: session.map_or_else(|| Session::begin(now), Ok)?,
            issued: now,
            stamp: user.stamp(),
            options: options.clone(),
        };
        token::write(&claims, &self.secrets.seal)
    }

    /// Session options for a cookie: sealed, for this principal only, and no credential.
    ///
    /// # Errors
    /// [`Error::TokenTooLong`] for too many options.
    pub fn close_options(&self, principal: &Principal, options: &BTreeMap<String, String>) -> Result<String> {
        let expires = self.clock.wall() + self.config.session_max;
        token::write_options(principal.subject(), expires, options, &self.secrets.seal)
    }

    /// The options of [`Identity::close_options`].
    ///
    /// # Errors
    /// [`Error::Token`] or [`Error::TokenExpired`] for everything else.
    pub fn open_options(&self, principal: &Principal, text: &str) -> Result<BTreeMap<String, String>> {
        token::read_options(text, principal.subject(), self.clock.wall(), &self.secrets.seal)
    }

    /// How many password hashes have been computed since the start; for metrics.
    pub fn password_checks(&self) -> u64 {
        self.passwords.checks()
    }

    async fn by_password(
        &self,
        name: &str,
        password: &Secret,
        from: Option<IpAddr>,
    ) -> Result<Authenticated> {
        let accounts = self.register.accounts();
        let user = accounts.users.get(name);
        if !self.passwords.remembers(name, user, password) {
            let _turn = self.passwords.turn(name, user, password).await;
            if !self.passwords.remembers(name, user, password) {
                let attempt = self.attempts.begin(name, from)?;
                match self.passwords.check(name, user, password).await {
                    Err(Error::Password) => return Err(Error::Password),
                    outcome => attempt.forgive_with(outcome)?,
                }
            }
        }
        // A check without a user never succeeds; the answer is the same should it ever.
        let user = user.ok_or(Error::Password)?;
        Ok(self.of_user(user, Shown::Password, BTreeMap::new(), None))
    }

    fn by_session(&self, token: &Secret) -> Result<Authenticated> {
        let claims = token::read(token, &self.secrets.seal)?;
        let now = self.clock.wall();
        let since = |time: SystemTime| match now.duration_since(time) {
            Ok(passed) => Ok(passed),
            Err(ahead) if ahead.duration() <= CLOCKS_APART_MAX => Ok(Duration::ZERO),
            Err(_) => Err(Error::Token),
        };
        if since(claims.session.began)? >= self.config.session_max {
            return Err(Error::TokenExpired);
        }
        let is_fresh = since(claims.issued)? < self.config.session_idle;
        if !is_fresh && !self.sessions.is_awake(&claims.session) {
            return Err(Error::TokenExpired);
        }
        let accounts = self.register.accounts();
        let user = accounts.users.get(&claims.subject).ok_or(Error::Token)?;
        if user.stamp() != claims.stamp {
            return Err(Error::Token);
        }
        self.sessions.touch(&claims.session);
        Ok(self.of_user(user, Shown::Session, claims.options, Some(claims.session)))
    }

    fn of_user(
        &self,
        user: &User,
        shown: Shown,
        options: BTreeMap<String, String>,
        session: Option<Session>,
    ) -> Authenticated {
        let principal = user.principal();
        let proof = Proof::User {
            principal: principal.clone(),
            stamp: user.stamp(),
        };
        Authenticated {
            principal,
            shown,
            options,
            session,
            fence: self.register.fence(proof),
        }
    }

    fn by_key(&self, key: &Secret) -> Result<Authenticated> {
        let accounts = self.register.accounts();
        let key = accounts
            .keys
            .check(key, self.secrets.pepper.as_ref(), self.clock.wall())?;
        let (principal, id) = (key.principal(), key.id.clone());
        let proof = Proof::Key {
            id: id.clone(),
            principal: principal.clone(),
        };
        Ok(self.plain(principal, Shown::ApiKey { id }, proof))
    }

    async fn by_issuer(&self, token: &Secret) -> Result<Authenticated> {
        let proven = self.issuers.check(token).await?;
        let proof = Proof::Token {
            issuer: proven.issuer.clone(),
            subject: proven.subject,
            id: proven.id.clone(),
            issued: proven.issued,
        };
        if !self.register.accounts().uphold(&proof) {
            return Err(Error::Token);
        }
        let shown = Shown::Token {
            issuer: proven.issuer,
            id: proven.id,
        };
        Ok(self.plain(proven.principal, shown, proof))
    }

    fn by_certificate(&self, der: &[u8]) -> Result<Authenticated> {
        let (principal, name) = self.certificates.check(der)?;
        Ok(self.plain(principal, Shown::Certificate { name }, Proof::Certificate))
    }

    fn plain(&self, principal: Principal, shown: Shown, proof: Proof) -> Authenticated {
        Authenticated {
            principal,
            shown,
            options: BTreeMap::new(),
            session: None,
            fence: self.register.fence(proof),
        }
    }
}

#[async_trait]
impl Authenticator for Identity {
    async fn authenticate(&self, credentials: &Credentials, from: Option<IpAddr>) -> Result<Authenticated> {
        match credentials {
            Credentials::Basic { user, password } => self.by_password(user, password, from).await,
            Credentials::Bearer(token) if token.expose().starts_with("lg_") => self.by_key(token),
            // Neither a session token nor a key has a dot in it.
            Credentials::Bearer(token) if token.expose().contains('.') => self.by_issuer(token).await,
            Credentials::Bearer(token) => self.by_session(token),
            Credentials::Certificate(der) => self.by_certificate(der),
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
