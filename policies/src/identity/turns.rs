//! One check at a time of one and the same pair of name and password. A client opens many connections at once, each with
//! the same right pair: the first is checked, the others wait for it and find it remembered, and none of them is a guess.

use super::remembered::Pair;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Pairs from which on those that nobody waits for are dropped.
const MANY: usize = 1_024;

/// The pairs that are being checked, each as long as somebody checks it or waits.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Pair, Weak<Turn<()>>>>);

impl Turns {
    /// Waits until nobody else checks the pair. The turn ends with what is given.
    pub(super) async fn take(&self, pair: Pair) -> OwnedMutexGuard<()> {
        self.of(pair).lock_owned().await
    }

    fn of(&self, pair: Pair) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&pair).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= MANY {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(Turn::new(()));
        turns.insert(pair, Arc::downgrade(&turn));
        turn
    }
}
