//! The snapshot in force, whatever its text comes from.
//!
//! Invariants:
//! * There is always a good snapshot. A bad text at the start is an error; a bad text later is an error too and leaves the
//!   snapshot in force.
//! * A snapshot that is looked after by [`Held::look`] and whose source was out of reach for too long is not fresh. A bad
//!   text is read all the same: it is known, and known to be none.

use crate::decide::PolicySet;
use crate::decision::hexadecimal;
use crate::error::Result;
use crate::secret::Secret;
use crate::store::PolicyStore;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// A snapshot, and how well it is known to be the newest.
#[derive(Debug)]
pub struct Held {
    name: PathBuf,
    key: Option<Secret>,
    current: RwLock<Arc<PolicySet>>,
    looked: Mutex<Looked>,
}

/// What was seen when the source was last looked at.
#[derive(Debug)]
struct Looked {
    /// Identifies the text, good or bad.
    text: String,
    /// When it was read, and for how long that counts; none while nobody looks.
    at: Option<(Instant, Duration)>,
}

/// What a look has found.
#[derive(Debug)]
pub enum Seen {
    /// The text of the last look.
    Same,
    /// Another text, which is in force now or was refused.
    Changed(Result<()>),
}

impl Held {
    /// The snapshot of a text; `name` is what errors call it, `key` that of hashing masks.
    ///
    /// # Errors
    /// [`crate::Error::Document`] if it is not a policy document.
    pub fn new(text: &str, name: impl Into<PathBuf>, key: Option<Secret>) -> Result<Self> {
        let name = name.into();
        let set = PolicySet::parse_with_key(text, &name, key.as_ref())?;
        Ok(Self {
            looked: Mutex::new(Looked {
                text: set.epoch().to_owned(),
                at: None,
            }),
            name,
            key,
            current: RwLock::new(Arc::new(set)),
        })
    }

    /// Takes a text; queries that begin from now on are decided by it.
    ///
    /// # Errors
    /// As [`Held::new`]; then the snapshot in force stays.
    pub fn replace(&self, text: &str) -> Result<()> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.text = mark(text);
        drop(looked);
        self.take(text)
    }

    /// Takes what a look at the source gave: a text, or none where it is that of the last look. From the first look on the
    /// snapshot counts as fresh for `staleness_max` after each look that reached the source.
    ///
    /// # Errors
    /// That of the look.
    pub fn look<E>(
        &self,
        read: std::result::Result<Option<String>, E>,
        staleness_max: Duration,
    ) -> std::result::Result<Seen, E> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let last = looked.at.map_or(now, |(last, _)| last);
        looked.at = Some((if read.is_ok() { now } else { last }, staleness_max));
        let Some(text) = read? else {
            return Ok(Seen::Same);
        };
        let mark = mark(&text);
        if looked.text == mark {
            return Ok(Seen::Same);
        }
        looked.text = mark;
        drop(looked);
        Ok(Seen::Changed(self.take(&text)))
    }

    fn take(&self, text: &str) -> Result<()> {
        let set = Arc::new(PolicySet::parse_with_key(text, &self.name, self.key.as_ref())?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = set;
        Ok(())
    }
}

impl PolicyStore for Held {
    fn current(&self) -> Arc<PolicySet> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    fn is_fresh(&self) -> bool {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.at.is_none_or(|(at, valid)| at.elapsed() <= valid)
    }
}

/// Identifies a text.
fn mark(text: &str) -> String {
    hexadecimal(text.as_bytes(), 16)
}
