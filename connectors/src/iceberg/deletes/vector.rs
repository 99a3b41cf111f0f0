//! Reads deletion vectors: blobs of type `deletion-vector-v1` in Puffin files.
//!
//! Source: the Puffin specification. A blob is the length of what follows up to the checksum (4 bytes, big endian), the
//! magic, a 64-bit Roaring bitmap, and the CRC-32 of magic and bitmap (4 bytes, big endian). It is never compressed, and
//! the manifest says where it lies.

use super::mask::MaskBuilder;
use super::roaring;

/// The first bytes of the vector.
const MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];

/// Marks the rows of a blob in `mask` and returns how many it holds.
pub(super) fn read(blob: &[u8], mask: &mut MaskBuilder) -> Result<u64, String> {
    let short = || "the deletion vector is cut short".to_owned();
    let (length, rest) = blob.split_first_chunk::<4>().ok_or_else(short)?;
    let (body, checksum) = rest.split_last_chunk::<4>().ok_or_else(short)?;
    let length = u32::from_be_bytes(*length);
    if u32::try_from(body.len()) != Ok(length) {
        return Err(format!(
            "the deletion vector has {} bytes and says {length}",
            body.len()
        ));
    }
    let (told, found) = (u32::from_be_bytes(*checksum), crc32(body));
    if told != found {
        return Err(format!(
            "the checksum of the deletion vector is {found:08x}, not {told:08x}"
        ));
    }
    let bitmap = body
        .strip_prefix(&MAGIC)
        .ok_or("the blob is no deletion vector")?;
    roaring::read(bitmap, mask)
}

/// CRC-32 as zlib and Java compute it (reflected, polynomial EDB88320).
pub(in crate::iceberg) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        let place = usize::from((crc as u8) ^ byte);
        crc = (crc >> 8) ^ TABLE[place];
    }
    !crc
}

/// The remainder of each byte.
static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// A blob that deletes `rows`, for the tests.
#[cfg(test)]
pub(in crate::iceberg) fn blob(rows: &std::collections::BTreeSet<u64>) -> Vec<u8> {
    let mut body = MAGIC.to_vec();
    body.extend(roaring::tests::write(rows, true));
    let mut blob = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    let checksum = crc32(&body);
    blob.extend(body);
    blob.extend(checksum.to_be_bytes());
    blob
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_changed_byte_anywhere_is_told() {
        let rows = BTreeSet::from([0, 3, 4, 5, 90]);
        let good = blob(&rows);
        let mut mask = MaskBuilder::new(100).unwrap();
        assert_eq!(read(&good, &mut mask), Ok(5));
        assert_eq!(mask.finish().unwrap().count(), 5);
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            assert!(
                read(&bad, &mut MaskBuilder::new(100).unwrap()).is_err(),
                "byte {place}"
            );
            assert!(read(&good[..place], &mut MaskBuilder::new(100).unwrap()).is_err());
        }
    }

    #[test]
    fn a_vector_for_a_longer_file_is_told() {
        let blob = blob(&BTreeSet::from([100]));
        assert!(read(&blob, &mut MaskBuilder::new(100).unwrap()).is_err());
    }
}
