//! One query at a time for the same rows: the first makes them, the others wait for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::key::Digest;

/// The rows that are being made now.
#[derive(Clone, Debug, Default)]
pub(super) struct Flights {
    under_way: Arc<Mutex<HashMap<Digest, watch::Receiver<State>>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Flying,
    /// The rows are kept.
    Landed,
    /// Nothing is kept: a failure, or too many rows.
    Lost,
}

/// A query's place among those for the same rows.
pub(super) enum Place {
    /// It makes them.
    First(Flight),
    /// It waits.
    Behind(Landing),
}

/// The making of rows. Whoever waits is told when it lands, or is dropped.
pub(super) struct Flight {
    flights: Flights,
    digest: Digest,
    sender: watch::Sender<State>,
}

/// The end of another one's flight.
pub(super) struct Landing(watch::Receiver<State>);

impl Flights {
    /// Takes a place.
    pub(super) fn join(&self, digest: Digest) -> Place {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flying) = under_way.get(&digest) {
            return Place::Behind(Landing(flying.clone()));
        }
        let (sender, receiver) = watch::channel(State::Flying);
        under_way.insert(digest, receiver);
        Place::First(Flight {
            flights: self.clone(),
            digest,
            sender,
        })
    }

    fn leave(&self, digest: &Digest) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(digest);
    }
}

impl Flight {
    /// The rows are kept: those who wait find them.
    pub(super) fn land(self) {
        self.sender.send_replace(State::Landed);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.leave(&self.digest);
        self.sender.send_if_modified(|state| {
            *state == State::Flying && {
                *state = State::Lost;
                true
            }
        });
    }
}

impl Landing {
    /// Waits for the end; whether the rows are kept.
    pub(super) async fn wait(&mut self) -> bool {
        match self.0.wait_for(|state| *state != State::Flying).await {
            Ok(state) => *state == State::Landed,
            Err(_) => false,
        }
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").finish_non_exhaustive()
    }
}
