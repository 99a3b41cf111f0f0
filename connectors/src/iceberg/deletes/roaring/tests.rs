//! A writer of bitmaps for the tests, in all three kinds of containers, and what the reader makes of its bytes.

use super::{ARRAY_MAX, OFFSETS_FROM, PLAIN, Positions, WITH_RUNS, read};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The portable form of a set of values; `with_runs` allows run containers.
pub(in crate::iceberg) fn write(values: &BTreeSet<u64>, with_runs: bool) -> Vec<u8> {
    let mut upper: BTreeMap<u32, BTreeMap<u16, Vec<u16>>> = BTreeMap::new();
    for value in values {
        let container = upper.entry((value >> 32) as u32).or_default();
        container
            .entry((value >> 16) as u16)
            .or_default()
            .push(*value as u16);
    }
    let mut bytes = (upper.len() as u64).to_le_bytes().to_vec();
    for (key, containers) in &upper {
        bytes.extend(key.to_le_bytes());
        bitmap(containers, with_runs, &mut bytes);
    }
    bytes
}

fn runs(values: &[u16]) -> Vec<(u16, u16)> {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((first, less)) if u32::from(*first) + u32::from(*less) + 1 == u32::from(*value) => {
                *less += 1
            }
            _ => runs.push((*value, 0)),
        }
    }
    runs
}

fn bitmap(containers: &BTreeMap<u16, Vec<u16>>, with_runs: bool, bytes: &mut Vec<u8>) {
    let by_run: Vec<bool> = containers
        .values()
        .map(|values| with_runs && runs(values).len() * 4 < values.len() * 2)
        .collect();
    let any = by_run.contains(&true);
    let count = containers.len();
    if any {
        bytes.extend((WITH_RUNS | ((count as u32 - 1) << 16)).to_le_bytes());
        let mut flags = vec![0_u8; count.div_ceil(8)];
        by_run
            .iter()
            .enumerate()
            .filter(|(_, run)| **run)
            .for_each(|(place, _)| flags[place / 8] |= 1 << (place % 8));
        bytes.extend(flags);
    } else {
        bytes.extend(PLAIN.to_le_bytes());
        bytes.extend((count as u32).to_le_bytes());
    }
    for (key, values) in containers {
        bytes.extend(key.to_le_bytes());
        bytes.extend(((values.len() - 1) as u16).to_le_bytes());
    }
    if !any || count >= OFFSETS_FROM {
        bytes.extend(vec![0_u8; count * 4]);
    }
    for (values, run) in containers.values().zip(by_run) {
        if run {
            let runs = runs(values);
            bytes.extend((runs.len() as u16).to_le_bytes());
            for (first, less) in runs {
                bytes.extend(first.to_le_bytes());
                bytes.extend(less.to_le_bytes());
            }
        } else if values.len() <= ARRAY_MAX as usize {
            values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        } else {
            let mut words = vec![0_u64; 1_024];
            values
                .iter()
                .for_each(|value| words[usize::from(value / 64)] |= 1 << (value % 64));
            words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        }
    }
}

#[derive(Default)]
struct Set(BTreeSet<u64>);

impl Positions for Set {
    fn add(&mut self, first: u64, count: u64) -> Result<(), String> {
        self.0.extend(first..first + count);
        Ok(())
    }
}

fn read_all(bytes: &[u8]) -> Result<BTreeSet<u64>, String> {
    let mut set = Set::default();
    let count = read(bytes, &mut set)?;
    assert_eq!(count, set.0.len() as u64);
    Ok(set.0)
}

fn values() -> impl Strategy<Value = BTreeSet<u64>> {
    let base = prop::sample::select(vec![0_u64, 65_536, 5 << 16, 1 << 32, (7 << 32) + 9]);
    let cluster = (base, 0..60_000_u64, 1..9_000_u64, 1..4_u64).prop_map(|(base, first, count, step)| {
        (0..count).map(|at| base + first + at * step).collect::<Vec<_>>()
    });
    prop::collection::vec(cluster, 0..6).prop_map(|all| all.into_iter().flatten().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read(values in values(), with_runs: bool) {
        prop_assert_eq!(read_all(&write(&values, with_runs)).unwrap(), values);
    }

    #[test]
    fn a_bitmap_cut_short_is_an_error(values in values(), with_runs: bool, cut in 0.0..1.0_f64) {
        let bytes = write(&values, with_runs);
        let end = (bytes.len() as f64 * cut) as usize;
        prop_assert!(read_all(&bytes[..end]).is_err());
    }

    #[test]
    fn any_bytes_end_in_a_value_or_an_error(values in values(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = write(&values, true);
        let place = at.index(bytes.len());
        bytes[place] = byte;
        let mut set = Set::default();
        // Either is right; what counts is that it comes back.
        drop(read(&bytes, &mut set));
    }
}

/// The layout by hand, after the format's specification, and not by the writer above.
#[test]
fn a_bitmap_written_by_hand_is_read() {
    let mut bytes = Vec::new();
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(12_346_u32.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([0, 0, 2, 0]);
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend([1, 0, 5, 0, 0xff, 0xff]);
    assert_eq!(read_all(&bytes).unwrap(), BTreeSet::from([1, 5, 65_535]));
    bytes.push(0);
    assert!(read_all(&bytes).is_err(), "bytes too many");
}
