//! Buckets in this process's own memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Room;

/// Buckets kept at a time, about 100 bytes each. Beyond it those that are full again are forgotten, which changes
/// nothing, and then the fullest of the rest.
const BUCKETS_MAX: usize = 100_000;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    limit: u64,
    room: f64,
    at: Instant,
}

impl Bucket {
    fn now(self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.room + passed * self.limit as f64 / 60.0).min(self.limit as f64)
    }
}

/// The buckets.
#[derive(Debug, Default)]
pub(super) struct Local {
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl Local {
    /// Takes one request.
    pub(super) fn take(&self, key: &str, limit: u64) -> Room {
        self.take_at(key, limit, Instant::now())
    }

    fn take_at(&self, key: &str, limit: u64, now: Instant) -> Room {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(key) {
            make_room(&mut buckets, now);
        }
        let known = buckets.get(key).filter(|bucket| bucket.limit == limit);
        let room = known.map_or(limit as f64, |bucket| bucket.now(now));
        let is_taken = room >= 1.0;
        let room = if is_taken { room - 1.0 } else { room };
        buckets.insert(key.to_owned(), Bucket { limit, room, at: now });
        Room::of(limit, room, is_taken)
    }
}

fn make_room(buckets: &mut HashMap<String, Bucket>, now: Instant) {
    buckets.retain(|_, bucket| bucket.now(now) < bucket.limit as f64);
    if buckets.len() >= BUCKETS_MAX {
        let share = |bucket: &Bucket| (bucket.now(now) / bucket.limit as f64 * 1_000.0) as u64;
        let mut shares: Vec<u64> = buckets.values().map(share).collect();
        let (_, median, _) = shares.select_nth_unstable(BUCKETS_MAX / 2);
        let median = *median;
        buckets.retain(|_, bucket| share(bucket) < median);
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS_MAX, Local};
    use std::time::{Duration, Instant};

    #[test]
    fn a_bucket_holds_a_minutes_requests_and_fills_evenly() {
        let (local, start) = (Local::default(), Instant::now());
        for index in (0..100).rev() {
            let room = local.take_at("a", 100, start);
            assert_eq!((room.limit, room.remaining, room.wait), (100, index, None));
        }
        let room = local.take_at("a", 100, start);
        assert_eq!((room.remaining, room.wait), (0, Some(Duration::from_millis(600))));
        assert_eq!(room.reset, Duration::from_secs(60));
        assert_eq!(
            local.take_at("b", 100, start).wait,
            None,
            "another caller's is his own"
        );
        let later = start + Duration::from_millis(1_200);
        assert_eq!(local.take_at("a", 100, later).wait, None);
        assert_eq!(local.take_at("a", 100, later).wait, None);
        assert!(local.take_at("a", 100, later).wait.is_some());
        let full = start + Duration::from_secs(600);
        assert_eq!(
            local.take_at("a", 100, full).remaining,
            99,
            "it holds no more than a minute's"
        );
    }

    #[test]
    fn the_memory_is_bounded() {
        let (local, start) = (Local::default(), Instant::now());
        for index in 0..=BUCKETS_MAX {
            local.take_at(&index.to_string(), 100, start);
        }
        assert!(local.buckets.lock().unwrap().len() <= BUCKETS_MAX);
    }
}
