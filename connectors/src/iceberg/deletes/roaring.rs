//! Reads 64-bit Roaring bitmaps in their portable form, as deletion vectors hold them.
//!
//! Source: the RoaringFormatSpec (32 bit: cookie, keys and cardinalities, offsets, containers) and its extension to 64
//! bits (a count, then for each bitmap the upper half of its values). All numbers are little endian.
//!
//! Invariant: whatever the bytes are, the outcome is a value or an error; nothing is allocated by a number read.

/// The cookie of a 32-bit bitmap without run containers.
const PLAIN: u32 = 12_346;
/// The lower half of the cookie of one with run containers; the upper half counts the containers.
const WITH_RUNS: u32 = 12_347;
/// From this many containers on, a bitmap with run containers has offsets too.
const OFFSETS_FROM: usize = 4;
/// The most values that are kept one by one.
const ARRAY_MAX: u32 = 4_096;

/// Takes the values of a bitmap, as runs.
pub(super) trait Positions {
    /// Takes `count` values from `first` on.
    fn add(&mut self, first: u64, count: u64) -> Result<(), String>;
}

/// Hands all values of a 64-bit bitmap to `into`, and returns how many there are.
pub(super) fn read(bytes: &[u8], into: &mut impl Positions) -> Result<u64, String> {
    let mut bytes = Bytes(bytes);
    let bitmaps = bytes.u64()?;
    let (mut total, mut last) = (0, None);
    for _ in 0..bitmaps {
        let key = bytes.u32()?;
        if last.is_some_and(|last| key <= last) {
            return Err("bitmaps are out of order".to_owned());
        }
        last = Some(key);
        total += bitmap(&mut bytes, u64::from(key) << 32, into)?;
    }
    match bytes.0.len() {
        0 => Ok(total),
        rest => Err(format!("{rest} bytes follow the bitmap")),
    }
}

/// What the header says of a container.
struct Container {
    key: u16,
    cardinality: u32,
    run: bool,
}

fn bitmap(bytes: &mut Bytes<'_>, base: u64, into: &mut impl Positions) -> Result<u64, String> {
    let containers = header(bytes)?;
    let mut total = 0;
    for container in &containers {
        let base = base | (u64::from(container.key) << 16);
        total += if container.run {
            runs(bytes, base, into)?
        } else if container.cardinality <= ARRAY_MAX {
            array(bytes, base, container.cardinality, into)?
        } else {
            bits(bytes, base, into)?
        };
    }
    let promised: u64 = containers.iter().map(|one| u64::from(one.cardinality)).sum();
    if total != promised {
        return Err(format!("{total} values where the header says {promised}"));
    }
    Ok(total)
}

fn header(bytes: &mut Bytes<'_>) -> Result<Vec<Container>, String> {
    let cookie = bytes.u32()?;
    let (count, flags) = if cookie & 0xffff == WITH_RUNS {
        let count = (cookie >> 16) as usize + 1;
        (count, Some(bytes.take(count.div_ceil(8))?))
    } else if cookie == PLAIN {
        (bytes.u32()? as usize, None)
    } else {
        return Err(format!("{cookie} is no cookie of a bitmap"));
    };
    if count > 1 << 16 {
        return Err(format!("{count} containers are more than there can be"));
    }
    let mut containers: Vec<Container> = Vec::new();
    for place in 0..count {
        let (key, less) = (bytes.u16()?, bytes.u16()?);
        if containers.last().is_some_and(|last| key <= last.key) {
            return Err("containers are out of order".to_owned());
        }
        let run = flags.is_some_and(|flags| flags[place / 8] & (1 << (place % 8)) != 0);
        containers.push(Container {
            key,
            cardinality: u32::from(less) + 1,
            run,
        });
    }
    // The containers follow in order, so that their offsets are not needed.
    if flags.is_none() || count >= OFFSETS_FROM {
        bytes.take(count * 4)?;
    }
    Ok(containers)
}

fn runs(bytes: &mut Bytes<'_>, base: u64, into: &mut impl Positions) -> Result<u64, String> {
    let mut total = 0;
    let mut free = 0;
    for _ in 0..bytes.u16()? {
        let (first, less) = (u64::from(bytes.u16()?), u64::from(bytes.u16()?));
        if first < free || first + less > 0xffff {
            return Err("runs overlap".to_owned());
        }
        free = first + less + 1;
        into.add(base | first, less + 1)?;
        total += less + 1;
    }
    Ok(total)
}

fn array(bytes: &mut Bytes<'_>, base: u64, count: u32, into: &mut impl Positions) -> Result<u64, String> {
    let mut last = None;
    for _ in 0..count {
        let value = bytes.u16()?;
        if last.is_some_and(|last| value <= last) {
            return Err("values are out of order".to_owned());
        }
        last = Some(value);
        into.add(base | u64::from(value), 1)?;
    }
    Ok(u64::from(count))
}

fn bits(bytes: &mut Bytes<'_>, base: u64, into: &mut impl Positions) -> Result<u64, String> {
    let mut total = 0;
    for word in 0..1_024_u64 {
        let mut left = bytes.u64()?;
        total += u64::from(left.count_ones());
        while left != 0 {
            let first = u64::from(left.trailing_zeros());
            let many = u64::from((left >> first).trailing_ones());
            into.add(base | (word * 64 + first), many)?;
            left &= if first + many == 64 {
                0
            } else {
                u64::MAX << (first + many)
            };
        }
    }
    Ok(total)
}

/// Bytes yet to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("the bitmap is cut short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.0.split_first_chunk().ok_or("the bitmap is cut short")?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
pub(in crate::iceberg) mod tests;
