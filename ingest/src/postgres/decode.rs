//! The messages of pgoutput, protocol version 1, as bytes become them. The format is in "Logical Replication Message Formats" of Postgres' manual.
//!
//! Begin, Commit and logical messages are taken apart by the replication client already; here is what lies between.

use bytes::{Buf, Bytes};

/// What is wrong with a message, one lower-case phrase.
pub(super) type Malformed = &'static str;

/// One message about a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// How a table looks from here on.
    Relation(Relation),
    /// A row came.
    Insert {
        /// Its table.
        relation: u32,
        /// The row.
        new: Vec<Value>,
    },
    /// A row changed.
    Update {
        /// Its table.
        relation: u32,
        /// What is told of the row before.
        before: Option<Before>,
        /// The row.
        new: Vec<Value>,
    },
    /// A row went.
    Delete {
        /// Its table.
        relation: u32,
        /// What is told of it.
        before: Before,
    },
    /// Every row of some tables went.
    Truncate {
        /// The tables.
        relations: Vec<u32>,
    },
    /// What says nothing about rows: types, origins.
    Other,
}

/// A row before its change. Values that are not told are null.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Before {
    /// The columns of the replica identity.
    Key(Vec<Value>),
    /// All columns.
    Whole(Vec<Value>),
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Null.
    Null,
    /// Stored apart from its row and not changed with it; it is not sent.
    Unchanged,
    /// As the type's output function writes it.
    Text(Bytes),
}

/// A table as it is at this place of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    /// Its number in the messages that follow.
    pub(super) id: u32,
    /// Its schema.
    pub(super) schema: String,
    /// Its name.
    pub(super) name: String,
    /// Its columns in the order of rows.
    pub(super) columns: Vec<Column>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// The number of its type in `pg_type`.
    pub(super) kind: u32,
}

impl Message {
    /// Reads one message.
    pub(super) fn read(data: Bytes) -> Result<Self, Malformed> {
        let mut from = Reader(data);
        let message = match from.byte()? {
            b'R' => Message::Relation(from.relation()?),
            b'I' => {
                let relation = from.number()?;
                from.expect(b'N')?;
                Message::Insert {
                    relation,
                    new: from.row()?,
                }
            }
            b'U' => {
                let relation = from.number()?;
                let (before, tag) = match from.byte()? {
                    b'K' => (Some(Before::Key(from.row()?)), from.byte()?),
                    b'O' => (Some(Before::Whole(from.row()?)), from.byte()?),
                    tag => (None, tag),
                };
                if tag != b'N' {
                    return Err("an update without its new row");
                }
                Message::Update {
                    relation,
                    before,
                    new: from.row()?,
                }
            }
            b'D' => {
                let relation = from.number()?;
                let before = match from.byte()? {
                    b'K' => Before::Key(from.row()?),
                    b'O' => Before::Whole(from.row()?),
                    _ => return Err("a delete without its row"),
                };
                Message::Delete { relation, before }
            }
            b'T' => {
                let count = from.number()?;
                // CASCADE and RESTART IDENTITY: every table that lost its rows is named all the same.
                from.byte()?;
                let relations: Result<Vec<u32>, Malformed> = (0..count).map(|_| from.number()).collect();
                Message::Truncate {
                    relations: relations?,
                }
            }
            b'Y' | b'O' | b'M' => return Ok(Message::Other),
            _ => return Err("a message of another kind"),
        };
        match from.0.is_empty() {
            true => Ok(message),
            false => Err("bytes behind a message"),
        }
    }
}

struct Reader(Bytes);

impl Reader {
    fn need(&self, bytes: usize) -> Result<(), Malformed> {
        if self.0.len() < bytes {
            return Err("a message that ends too early");
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.need(1)?;
        Ok(self.0.get_u8())
    }

    fn expect(&mut self, tag: u8) -> Result<(), Malformed> {
        match self.byte()? == tag {
            true => Ok(()),
            false => Err("an insert without its row"),
        }
    }

    fn number(&mut self) -> Result<u32, Malformed> {
        self.need(4)?;
        Ok(self.0.get_u32())
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or("a name without an end")?;
        let text = self.0.split_to(end);
        self.0.advance(1);
        String::from_utf8(text.to_vec()).map_err(|_| "a name that is no UTF-8")
    }

    fn relation(&mut self) -> Result<Relation, Malformed> {
        let id = self.number()?;
        let schema = self.text()?;
        let name = self.text()?;
        // The replica identity; the table's own catalog is asked for it.
        self.byte()?;
        self.need(2)?;
        let count = self.0.get_u16();
        let mut columns = Vec::new();
        for _ in 0..count {
            // Whether it is of the key: the same.
            self.byte()?;
            let name = self.text()?;
            let kind = self.number()?;
            self.number()?;
            columns.push(Column { name, kind });
        }
        Ok(Relation {
            id,
            // The system's own schema is not named.
            schema: if schema.is_empty() { "pg_catalog".to_owned() } else { schema },
            name,
            columns,
        })
    }

    fn row(&mut self) -> Result<Vec<Value>, Malformed> {
        self.need(2)?;
        let count = self.0.get_u16();
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(match self.byte()? {
                b'n' => Value::Null,
                b'u' => Value::Unchanged,
                b't' => {
                    let length = self.number()? as usize;
                    self.need(length)?;
                    Value::Text(self.0.split_to(length))
                }
                _ => return Err("a value of another kind"),
            });
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::Text(Bytes::copy_from_slice(value.as_bytes()))
    }

    fn row(values: &[Value]) -> Vec<u8> {
        let mut bytes = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        for value in values {
            match value {
                Value::Null => bytes.push(b'n'),
                Value::Unchanged => bytes.push(b'u'),
                Value::Text(text) => {
                    bytes.push(b't');
                    bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                    bytes.extend(text.as_ref());
                }
            }
        }
        bytes
    }

    fn of(tag: u8, relation: u32, rest: &[(u8, &[Value])]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend(relation.to_be_bytes());
        for (tag, values) in rest {
            bytes.push(*tag);
            bytes.extend(row(values));
        }
        bytes
    }

    fn messages() -> Vec<(Vec<u8>, Message)> {
        let new = vec![text("1"), Value::Null, Value::Unchanged, text("")];
        let key = vec![text("2"), Value::Null, Value::Null, Value::Null];
        let mut relation = vec![b'R', 0, 0, 0, 7];
        relation.extend(b"shop\0orders\0d\0\x02\x01id\0\0\0\0\x17\xff\xff\xff\xff\0note\0\0\0\0\x19\xff\xff\xff\xff");
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
        };
        vec![
            (
                relation,
                Message::Relation(Relation {
                    id: 7,
                    schema: "shop".to_owned(),
                    name: "orders".to_owned(),
                    columns: vec![column("id", 23), column("note", 25)],
                }),
            ),
            (
                of(b'I', 7, &[(b'N', &new)]),
                Message::Insert {
                    relation: 7,
                    new: new.clone(),
                },
            ),
            (
                of(b'U', 7, &[(b'N', &new)]),
                Message::Update {
                    relation: 7,
                    before: None,
                    new: new.clone(),
                },
            ),
            (
                of(b'U', 7, &[(b'K', &key), (b'N', &new)]),
                Message::Update {
                    relation: 7,
                    before: Some(Before::Key(key.clone())),
                    new: new.clone(),
                },
            ),
            (
                of(b'U', 7, &[(b'O', &new), (b'N', &new)]),
                Message::Update {
                    relation: 7,
                    before: Some(Before::Whole(new.clone())),
                    new: new.clone(),
                },
            ),
            (
                of(b'D', 7, &[(b'K', &key)]),
                Message::Delete {
                    relation: 7,
                    before: Before::Key(key),
                },
            ),
            (
                vec![b'T', 0, 0, 0, 2, 1, 0, 0, 0, 7, 0, 0, 0, 9],
                Message::Truncate {
                    relations: vec![7, 9],
                },
            ),
        ]
    }

    #[test]
    fn every_message_is_read_and_no_part_of_one() {
        for (bytes, expected) in messages() {
            assert_eq!(Message::read(Bytes::from(bytes.clone())), Ok(expected));
            for cut in 0..bytes.len() {
                let part = Bytes::copy_from_slice(&bytes[..cut]);
                assert!(Message::read(part).is_err(), "{bytes:?} cut at {cut}");
            }
            let mut longer = bytes;
            longer.push(0);
            assert!(Message::read(Bytes::from(longer)).is_err());
        }
    }

    #[test]
    fn any_change_of_a_byte_is_read_or_refused() {
        for (bytes, _) in messages() {
            for place in 0..bytes.len() {
                for value in [0, 1, 0x7f, 0x80, 0xff, b'N', b'K', b't'] {
                    let mut changed = bytes.clone();
                    changed[place] = value;
                    // Whatever it is, it is no panic, and no large allocation.
                    drop(Message::read(Bytes::from(changed)));
                }
            }
        }
    }
}
