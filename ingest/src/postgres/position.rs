//! How far a table of Postgres has been read, as the bronze table records it:
//! `SYSTEM:TIMELINE:GENERATION:SLOT:copy:ROWS:KEY` or `SYSTEM:TIMELINE:GENERATION:SLOT:stream:END[:COMMIT:CHANGES]`.
//!
//! A place in the log alone names a change only as long as server, timeline and slot are the same ones. `SLOT` is where the slot began: what is
//! copied is at least as new. `KEY` is the last that was copied. `END` is behind the last transaction that was read whole; of the one that
//! commits at `COMMIT` the first `CHANGES` were read.

use std::str::FromStr;

use pgwire_replication::Lsn;

/// What the names of sources of Postgres in a table's positions begin with.
const PREFIX: &str = "postgres:";

/// The name of a table in the positions of a bronze table.
pub(super) fn source(schema: &str, table: &str) -> String {
    format!("{PREFIX}{schema}.{table}")
}

/// How far a table was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// The identifier of the server's cluster.
    pub(super) system: String,
    /// Its timeline.
    pub(super) timeline: u32,
    /// How often the table was copied, from 1.
    pub(super) generation: u32,
    /// Where the slot began.
    pub(super) slot: Lsn,
    /// What has been read.
    pub(super) phase: Phase,
}

/// Which way rows come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first copy, in the order of the key.
    Copy {
        /// Rows so far.
        rows: u64,
        /// The last key, a JSON list of texts.
        after: Option<String>,
    },
    /// The log.
    Stream {
        /// Behind the last transaction that was read whole.
        end: Lsn,
        /// Of the next one: where it commits, and how many of its changes were read.
        partial: Option<(Lsn, u64)>,
    },
}

impl Position {
    /// Behind this everything is still needed from the slot.
    pub(super) fn needed(&self) -> Lsn {
        match &self.phase {
            Phase::Copy { .. } => self.slot,
            Phase::Stream { end, .. } => *end,
        }
    }

    /// The same with more read.
    pub(super) fn at(&self, phase: Phase) -> Self {
        Self {
            phase,
            ..self.clone()
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            system,
            timeline,
            generation,
            slot,
            phase,
        } = self;
        write!(f, "{system}:{timeline}:{generation}:{slot}")?;
        match phase {
            Phase::Copy { rows, after } => write!(f, ":copy:{rows}:{}", after.as_deref().unwrap_or_default()),
            Phase::Stream { end, partial: None } => write!(f, ":stream:{end}"),
            Phase::Stream {
                end,
                partial: Some((commit, changes)),
            } => write!(f, ":stream:{end}:{commit}:{changes}"),
        }
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(7, ':');
        let mut next = || parts.next().ok_or(());
        let number = |text: &str| text.parse().map_err(|_| ());
        let place = |text: &str| Lsn::parse(text).map_err(|_| ());
        let system = next()?.to_owned();
        let timeline = next()?.parse().map_err(|_| ())?;
        let generation = next()?.parse().map_err(|_| ())?;
        let slot = place(next()?)?;
        let phase = match next()? {
            "copy" => {
                let rows = number(next()?)?;
                let after = next()?;
                Phase::Copy {
                    rows,
                    after: (!after.is_empty()).then(|| after.to_owned()),
                }
            }
            "stream" => {
                let end = place(next()?)?;
                let partial = match next() {
                    Err(()) => None,
                    Ok(rest) => {
                        let (commit, changes) = rest.split_once(':').ok_or(())?;
                        Some((place(commit)?, number(changes)?))
                    }
                };
                Phase::Stream { end, partial }
            }
            _ => return Err(()),
        };
        Ok(Self {
            system,
            timeline,
            generation,
            slot,
            phase,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let phases = [
            Phase::Copy { rows: 0, after: None },
            Phase::Copy {
                rows: 12,
                after: Some("[\"a:b\",\"2\"]".to_owned()),
            },
            Phase::Stream {
                end: Lsn(0x16_0000_00ff),
                partial: None,
            },
            Phase::Stream {
                end: Lsn(7),
                partial: Some((Lsn(9), 3)),
            },
        ];
        for phase in phases {
            let position = Position {
                system: "7000000000000000001".to_owned(),
                timeline: 2,
                generation: 1,
                slot: Lsn(0x1_0000_0002),
                phase,
            };
            assert_eq!(position.to_string().parse(), Ok(position.clone()), "{position}");
        }
        for text in ["", "1:1:1:0/1", "1:1:1:0/1:copy:1", "1:1:1:0/1:stream", "1:1:1:x:stream:0/1", "1:1:1:0/1:stream:0/1:7"] {
            assert_eq!(text.parse::<Position>(), Err(()), "{text}");
        }
    }
}
