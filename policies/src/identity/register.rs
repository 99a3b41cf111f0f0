//! The files that say who may come in, as they are now, and the fences of answers that began under an older state.
//!
//! Invariants: the three files are taken together, whole or not at all; each change has a number, so that a fence asks
//! again only after a change; once a fence stands in the way it does so for ever.

use super::api_key::ApiKeys;
use super::config::Config;
use super::revocation::Revocations;
use super::users::Users;
use crate::error::{Error, Result};
use crate::fence::Fence;
use crate::principal::Principal;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

/// What a fence has seen when it has fallen.
const FALLEN: u64 = u64::MAX;

/// Who may come in.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    pub(super) users: Users,
    pub(super) keys: ApiKeys,
    pub(super) revocations: Revocations,
}

/// What was shown, as far as it can be taken back.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    /// A password, or a session that began with it.
    User { principal: Principal, stamp: u64 },
    /// An API key.
    Key { id: String, principal: Principal },
    /// A token of an issuer.
    Token {
        issuer: String,
        subject: String,
        id: Option<String>,
        issued: Option<SystemTime>,
    },
    /// A certificate, which lives as long as its connection.
    Certificate,
}

impl Accounts {
    fn open(config: &Config) -> Result<Self> {
        Ok(Self {
            users: Users::open(&config.users)?,
            keys: ApiKeys::open(&config.keys)?,
            revocations: Revocations::open(&config.revocations)?,
        })
    }

    /// Whether what was shown would still let the same caller do at least as much.
    pub(super) fn uphold(&self, proof: &Proof) -> bool {
        match proof {
            Proof::User { principal, stamp } => self
                .users
                .get(principal.subject())
                .is_some_and(|user| user.stamp() == *stamp && user.principal().may_all_of(principal)),
            Proof::Key { id, principal } => self
                .keys
                .get(id)
                .is_some_and(|key| key.revoked.is_none() && key.principal().may_all_of(principal)),
            Proof::Token {
                issuer,
                subject,
                id,
                issued,
            } => !self.revocations.contain(issuer, subject, id.as_deref(), *issued),
            Proof::Certificate => true,
        }
    }
}

/// What tells a file from an earlier one of its name; none when it is not there.
type Mark = Option<(u64, u64, i64, i64)>;

/// The accounts in force.
#[derive(Debug)]
pub(super) struct Register {
    config: Config,
    current: RwLock<Arc<Accounts>>,
    generation: AtomicU64,
    /// The files as they were when they were read last, well or badly.
    marks: Mutex<Vec<Mark>>,
}

impl Register {
    pub(super) fn open(config: &Config) -> Result<Self> {
        let marks = marks(config);
        let register = Self::with(config, Accounts::open(config)?);
        *register.marks.lock().unwrap_or_else(PoisonError::into_inner) = marks;
        Ok(register)
    }

    /// As [`Register::open`] with accounts of the caller's choice; the files are not read until a reload.
    pub(super) fn with(config: &Config, accounts: Accounts) -> Self {
        Self {
            config: config.clone(),
            current: RwLock::new(Arc::new(accounts)),
            generation: AtomicU64::new(0),
            marks: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn accounts(&self) -> Arc<Accounts> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again; what is bad leaves what was there.
    pub(super) fn reload(&self) -> Result<()> {
        let now = marks(&self.config);
        let read = Accounts::open(&self.config);
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner) = now;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read?);
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Whether a file is another one than was read last.
    pub(super) fn has_changed(&self) -> bool {
        let now = marks(&self.config);
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner) != now
    }

    /// A fence for an answer to a caller who has just shown `proof`.
    pub(super) fn fence(self: &Arc<Self>, proof: Proof) -> Arc<dyn Fence> {
        Arc::new(Standing {
            register: Arc::clone(self),
            proof,
            // Zero is the number of the first state; a fence that has seen nothing looks once more, which is cheap.
            seen: AtomicU64::new(0),
        })
    }
}

/// Two states of a file differ in one of these, also where it is replaced within a tick of the clock.
fn marks(config: &Config) -> Vec<Mark> {
    let mark = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some((
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        ))
    };
    [&config.users, &config.keys, &config.revocations]
        .map(mark)
        .to_vec()
}

#[derive(Debug)]
struct Standing {
    register: Arc<Register>,
    proof: Proof,
    seen: AtomicU64,
}

impl Fence for Standing {
    fn check(&self) -> Result<()> {
        let seen = self.seen.load(Ordering::Relaxed);
        if seen == FALLEN {
            return Err(Error::Revoked);
        }
        let generation = self.register.generation.load(Ordering::Acquire);
        if seen == generation {
            return Ok(());
        }
        let holds = self.register.accounts().uphold(&self.proof);
        self.seen
            .store(if holds { generation } else { FALLEN }, Ordering::Relaxed);
        match holds {
            true => Ok(()),
            false => Err(Error::Revoked),
        }
    }
}
