//! What ends an answer half-way: the policies have become others, and show the principal something else than the answer
//! was planned with.
//!
//! It is asked for every batch that leaves; while the document stays the same that is one comparison.

use std::fmt;
use std::sync::Arc;

use policies::{Decision, PolicyStore, Principal};

use super::guard::Guards;
use crate::error::{Error, Result};
use crate::information_schema;

/// Stands beside a running answer.
pub(crate) struct Fence {
    policies: Arc<dyn PolicyStore>,
    principal: Arc<Principal>,
    guards: Guards,
    /// The document under which the guards were last found to be right.
    epoch: String,
}

impl Fence {
    /// A fence for an answer whose tables are guarded so. The first question is answered by the document in force then.
    pub(crate) fn new(policies: Arc<dyn PolicyStore>, principal: Arc<Principal>, guards: Guards) -> Self {
        Self {
            policies,
            principal,
            guards,
            epoch: String::new(),
        }
    }

    /// Ok while the answer may go on.
    ///
    /// # Errors
    /// `PolicyChanged` when a table is shown otherwise now, `Policy` when it is not known whether it is.
    pub(crate) fn check(&mut self) -> Result<()> {
        if !self.policies.is_fresh() {
            return Err(Error::Policy(policies::Error::Stale));
        }
        let current = self.policies.current();
        if current.epoch() == self.epoch {
            return Ok(());
        }
        let stands = self.guards.iter().all(|(table, guard)| {
            if table.schema == information_schema::NAME {
                return true;
            }
            match current.decide(&self.principal, table) {
                Decision::Deny => false,
                Decision::Allow(allowance) => {
                    let wanted = (!allowance.is_plain()).then(|| allowance.fingerprint());
                    wanted == guard.as_deref()
                }
            }
        });
        if !stands {
            return Err(Error::PolicyChanged);
        }
        self.epoch = current.epoch().to_owned();
        Ok(())
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
