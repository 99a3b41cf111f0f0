//! How far a partition has been read, as the bronze table records it: `GENERATION:NEXT` or `GENERATION:NEXT:WITNESS`.
//!
//! An offset alone names a record only as long as the topic is the same one. The witness is a digest of the record before `NEXT`: when that
//! record has another digest, the topic was deleted and made again, and its offsets count anew under the next generation. So an id made of
//! topic, partition, generation and offset is never given twice.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::commit::facts::Positions;
use crate::digest;

/// What the names of Kafka sources in a table's positions begin with.
const PREFIX: &str = "kafka:";

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Shard {
    pub(crate) topic: String,
    pub(crate) partition: i32,
}

impl Shard {
    /// Its name in the positions of a table.
    pub(crate) fn source(&self) -> String {
        format!("{PREFIX}{self}")
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Where the next record of a partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// How often the topic has been made, as far as it was seen; from 1.
    pub(crate) generation: u32,
    /// The first offset that was not read.
    pub(crate) next: i64,
    /// The digest of the record at the offset before, where one was read.
    pub(crate) witness: Option<String>,
}

impl Position {
    /// The position at `next` of a topic that is read for the first time.
    pub(crate) fn first(next: i64) -> Self {
        Self {
            generation: 1,
            next,
            witness: None,
        }
    }

    /// The position at `next` of a topic that was made again.
    pub(crate) fn again(&self, next: i64) -> Self {
        Self {
            generation: self.generation.saturating_add(1),
            next,
            witness: None,
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.generation, self.next)?;
        match &self.witness {
            Some(witness) => write!(f, ":{witness}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next();
        let position = Self {
            generation: part().and_then(|text| text.parse().ok()).ok_or(())?,
            next: part().and_then(|text| text.parse().ok()).ok_or(())?,
            witness: part().map(str::to_owned),
        };
        if position.next >= 0 { Ok(position) } else { Err(()) }
    }
}

/// The partitions that a table has read, each with its position and the text of it; the source's name where that cannot be understood.
pub(crate) fn recorded(positions: &Positions) -> Result<BTreeMap<Shard, (Position, String)>, String> {
    let mut found = BTreeMap::new();
    for (source, text) in positions {
        let Some(name) = source.strip_prefix(PREFIX) else {
            continue;
        };
        let shard = name.rsplit_once('/').and_then(|(topic, partition)| {
            Some(Shard {
                topic: topic.to_owned(),
                partition: partition.parse().ok()?,
            })
        });
        match (shard, text.parse()) {
            (Some(shard), Ok(position)) => found.insert(shard, (position, text.clone())),
            _ => return Err(source.clone()),
        };
    }
    Ok(found)
}

/// The digest by which a record is known again: of its timestamp, key and value.
pub(crate) fn witness(timestamp: Option<i64>, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
    let length = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64).to_le_bytes();
    let parts: [&[u8]; 5] = [
        &timestamp.unwrap_or(-1).to_le_bytes(),
        &length(key),
        key.unwrap_or_default(),
        &length(value),
        value.unwrap_or_default(),
    ];
    digest::hex(&digest::parts(&parts)[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let read = Position {
            generation: 2,
            next: 57,
            witness: Some(witness(Some(1), Some(b"k"), None)),
        };
        for position in [Position::first(0), Position::first(9).again(0), read] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        for text in ["", "1", "1:", "1:-1", "x:1", "-1:1", "1:x:y"] {
            assert_eq!(text.parse::<Position>(), Err(()), "{text}");
        }
    }

    #[test]
    fn the_positions_of_a_table_are_told_by_topic_and_partition() {
        let positions = |source: &str, text: &str| Positions::from([(source.to_owned(), text.to_owned())]);
        let found = recorded(&positions("kafka:a.b-c/12", "1:7")).unwrap();
        let shard = Shard {
            topic: "a.b-c".to_owned(),
            partition: 12,
        };
        assert_eq!(shard.source(), "kafka:a.b-c/12");
        assert_eq!(found[&shard], (Position::first(7), "1:7".to_owned()));
        assert!(recorded(&positions("bronze.events", "77")).unwrap().is_empty());
        // A position that is not understood stops the source: reading from the beginning would double every record.
        assert!(recorded(&positions("kafka:a/0", "7")).is_err());
        assert!(recorded(&positions("kafka:a", "1:7")).is_err());
    }

    #[test]
    fn another_record_has_another_witness() {
        let all = [
            witness(Some(1), None, Some(b"")),
            witness(Some(1), Some(b""), None),
            witness(Some(2), None, Some(b"")),
            witness(None, None, None),
            witness(Some(1), Some(b"ab"), Some(b"c")),
            witness(Some(1), Some(b"a"), Some(b"bc")),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
