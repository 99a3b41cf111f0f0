//! The stream of `COPY ... (FORMAT binary)` as rows of fields.
//!
//! Invariants:
//! - Rows may be cut anywhere between the pieces that arrive; nothing is assumed of their borders.
//! - The stream is whole only if its trailer was seen: an end without it is an error.

use std::ops::Range;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Flags that a reader must know; we know none.
const CRITICAL: u32 = 0xFFFF_0000;

/// What is wrong with the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadStream(pub(super) &'static str);

impl std::fmt::Display for BadStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadStream {}

/// Where a field lies in its row; `None` is NULL.
pub(super) type Field = Option<Range<usize>>;

/// Takes the stream apart.
#[derive(Debug, Default)]
pub(super) struct CopyReader {
    /// What was left of the last piece: a row that is not whole.
    rest: Vec<u8>,
    has_header: bool,
    has_ended: bool,
    fields: Vec<Field>,
}

/// What was found at the front.
enum Found {
    /// A row, with its length; its fields are in the reader.
    Row(usize),
    /// Not enough bytes.
    Part,
    /// The trailer.
    End,
}

impl CopyReader {
    /// Takes a piece of the stream and hands over its rows of `width` fields: the bytes, and where the fields are.
    ///
    /// # Errors
    /// A stream that is none, or the error of `row`.
    pub(super) fn feed<E: From<BadStream>>(
        &mut self,
        piece: &[u8],
        width: usize,
        mut row: impl FnMut(&[u8], &[Field]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.rest.is_empty() {
            let used = self.rows(piece, width, &mut row)?;
            self.rest.extend_from_slice(&piece[used..]);
        } else {
            let mut whole = std::mem::take(&mut self.rest);
            whole.extend_from_slice(piece);
            let used = self.rows(&whole, width, &mut row)?;
            whole.drain(..used);
            self.rest = whole;
        }
        Ok(())
    }

    /// Whether the stream is whole.
    pub(super) fn is_whole(&self) -> bool {
        self.has_ended && self.rest.is_empty()
    }

    fn rows<E: From<BadStream>>(
        &mut self,
        bytes: &[u8],
        width: usize,
        row: &mut impl FnMut(&[u8], &[Field]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut used = 0;
        if !self.has_header {
            match header(bytes)? {
                Some(length) => used = length,
                None => return Ok(0),
            }
            self.has_header = true;
        }
        loop {
            let left = bytes.get(used..).unwrap_or_default();
            if self.has_ended && !left.is_empty() {
                return Err(BadStream("bytes after the end").into());
            }
            match self.front(left, width)? {
                Found::Row(length) => {
                    row(left, &self.fields)?;
                    used += length;
                }
                Found::Part => return Ok(used),
                Found::End => {
                    self.has_ended = true;
                    used += 2;
                }
            }
        }
    }

    fn front(&mut self, bytes: &[u8], width: usize) -> Result<Found, BadStream> {
        let Some(count) = bytes.first_chunk::<2>() else {
            return Ok(Found::Part);
        };
        let count = i16::from_be_bytes(*count);
        if count == -1 {
            return Ok(Found::End);
        }
        if usize::try_from(count) != Ok(width) {
            return Err(BadStream("a row of another number of fields"));
        }
        self.fields.clear();
        let mut at = 2;
        for _ in 0..width {
            let Some(length) = bytes.get(at..).and_then(|left| left.first_chunk::<4>()) else {
                return Ok(Found::Part);
            };
            at += 4;
            match i32::from_be_bytes(*length) {
                -1 => self.fields.push(None),
                length => {
                    let length =
                        usize::try_from(length).map_err(|_| BadStream("a field of negative length"))?;
                    if bytes.len() - at < length {
                        return Ok(Found::Part);
                    }
                    self.fields.push(Some(at..at + length));
                    at += length;
                }
            }
        }
        Ok(Found::Row(at))
    }
}

/// The length of the header; `None` when it is not all there.
fn header(bytes: &[u8]) -> Result<Option<usize>, BadStream> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(BadStream("another signature than that of a binary COPY"));
    }
    let Some(after) = bytes
        .get(SIGNATURE.len()..)
        .and_then(|after| after.first_chunk::<8>())
    else {
        return Ok(None);
    };
    let [a, b, c, d, e, f, g, h] = *after;
    if u32::from_be_bytes([a, b, c, d]) & CRITICAL != 0 {
        return Err(BadStream("a flag that is not known"));
    }
    let extension = usize::try_from(i32::from_be_bytes([e, f, g, h]));
    let extension = extension.map_err(|_| BadStream("an extension of negative length"))?;
    let length = SIGNATURE.len() + 8 + extension;
    Ok((bytes.len() >= length).then_some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rows = Vec<Vec<Option<Vec<u8>>>>;

    fn stream() -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 3, 9, 9, 9]);
        bytes.extend([0, 2, 0, 0, 0, 1, 7, 255, 255, 255, 255]);
        bytes.extend([0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2]);
        bytes.extend([255, 255]);
        bytes
    }

    fn read(pieces: &[&[u8]]) -> Result<(Rows, bool), BadStream> {
        let mut reader = CopyReader::default();
        let mut rows = Rows::new();
        for piece in pieces {
            reader.feed(piece, 2, |bytes, fields| {
                let field = |field: &Field| field.clone().map(|range| bytes[range].to_vec());
                rows.push(fields.iter().map(field).collect());
                Ok::<(), BadStream>(())
            })?;
        }
        Ok((rows, reader.is_whole()))
    }

    #[test]
    fn rows_are_the_same_however_the_stream_is_cut() {
        let bytes = stream();
        let whole = read(&[&bytes]).unwrap();
        assert_eq!(
            whole,
            (
                vec![vec![Some(vec![7]), None], vec![Some(vec![]), Some(vec![1, 2])]],
                true
            )
        );
        for cut in 0..bytes.len() {
            let (front, back) = bytes.split_at(cut);
            assert_eq!(read(&[front, back]).unwrap(), whole, "cut at {cut}");
            assert!(!read(&[front]).unwrap().1, "ends at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single).unwrap(), whole);
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        let bytes = stream();
        assert!(read(&[b"PGCOPX"]).is_err());
        let mut flagged = bytes.clone();
        flagged[11] = 1;
        assert!(read(&[&flagged]).is_err());
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(read(&[&longer]).is_err());
        let mut wider = bytes;
        wider[23] = 3;
        assert!(read(&[&wider]).is_err());
    }
}
