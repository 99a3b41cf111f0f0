//! Lines and JSON values as records, without reading what is in them: a broken value is still a record.

use bytes::Bytes;

use super::{Bounds, Collected, Record, Refused};

/// The mark that some editors put before UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// One record a line; blank lines are no records.
pub(super) fn lines(body: &Bytes, bounds: &Bounds) -> Result<Vec<Record>, Refused> {
    let mut collected = Collected::new(bounds);
    let mut start = if body.starts_with(BOM) { BOM.len() } else { 0 };
    let mut line = 0;
    while start < body.len() {
        line += 1;
        let end = body[start..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(body.len(), |length| start + length);
        let text = trimmed(body, start, end);
        if !text.is_empty() {
            collected.push(Record::good(text, line))?;
        }
        start = end + 1;
    }
    Ok(collected.records)
}

/// The values of a list, or values one after the other. What is no value stands as a record too.
pub(super) fn values(body: &Bytes, bounds: &Bounds) -> Result<Vec<Record>, Refused> {
    let mut cursor = Cursor {
        body,
        at: if body.starts_with(BOM) { BOM.len() } else { 0 },
    };
    cursor.blanks();
    let is_list = cursor.peek() == Some(b'[');
    if is_list {
        cursor.at += 1;
    }
    let mut collected = Collected::new(bounds);
    loop {
        cursor.blanks();
        match cursor.peek() {
            None => break,
            Some(b',') if is_list => {
                cursor.at += 1;
                continue;
            }
            Some(b']') if is_list => {
                cursor.at += 1;
                cursor.blanks();
                if cursor.at < body.len() {
                    let rest = trimmed(body, cursor.at, body.len());
                    let place = collected.records.len() as u64 + 1;
                    let problem = "it follows the end of the list".to_owned();
                    collected.push(Record::bad(rest, place, problem))?;
                }
                break;
            }
            Some(_) => {}
        }
        let start = cursor.at;
        cursor.value(is_list);
        let place = collected.records.len() as u64 + 1;
        collected.push(Record::good(trimmed(body, start, cursor.at), place))?;
    }
    Ok(collected.records)
}

/// The bytes between two places without blanks around them.
fn trimmed(body: &Bytes, start: usize, end: usize) -> Bytes {
    let part = &body[start..end];
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let Some(first) = part.iter().position(|byte| !blank(byte)) else {
        return Bytes::new();
    };
    let last = part.iter().rposition(|byte| !blank(byte)).unwrap_or(first);
    body.slice(start + first..=start + last)
}

struct Cursor<'a> {
    body: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Goes behind one value: to its closing bracket, or, for what has none, to the next comma, bracket or blank. Always goes forward.
    fn value(&mut self, in_list: bool) {
        let mut depth = 0_usize;
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    self.text();
                    if depth == 0 {
                        break;
                    }
                    continue;
                }
                b'{' | b'[' => {
                    if depth == 0 && self.at > start {
                        break;
                    }
                    depth += 1;
                }
                b'}' | b']' => {
                    if depth == 0 && self.at > start {
                        break;
                    }
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        self.at += 1;
                        break;
                    }
                }
                b',' if depth == 0 && in_list => break,
                b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn text(&mut self) {
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        self.at = self.at.min(self.body.len());
    }
}
