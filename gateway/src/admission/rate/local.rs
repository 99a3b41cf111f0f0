//! Marks in this process's own memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{MINUTE, Room, step};

/// Marks kept at a time, about 100 bytes each. Beyond it those that the clock has passed are forgotten, which changes
/// nothing, and then the half of the rest that is least ahead.
const MARKS_MAX: usize = 100_000;

/// The marks of the callers.
#[derive(Debug, Default)]
pub(super) struct Local {
    marks: Mutex<HashMap<String, Instant>>,
}

impl Local {
    /// Takes one request.
    pub(super) fn take(&self, key: &str, limit: u64) -> Room {
        self.take_at(key, limit, Instant::now())
    }

    fn take_at(&self, key: &str, limit: u64, now: Instant) -> Room {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.len() >= MARKS_MAX && !marks.contains_key(key) {
            make_room(&mut marks, now);
        }
        let ahead = marks.get(key).map_or(0.0, |mark| ahead(*mark, now));
        let moved = ahead + step(limit);
        // Half a microsecond for what rounding does to a step.
        if moved > MINUTE + 0.5 {
            return Room::of(limit, ahead, false);
        }
        marks.insert(key.to_owned(), now + Duration::from_secs_f64(moved / 1e6));
        Room::of(limit, moved, true)
    }
}

/// How far a mark is ahead of the clock, in microseconds.
fn ahead(mark: Instant, now: Instant) -> f64 {
    mark.saturating_duration_since(now).as_secs_f64() * 1e6
}

fn make_room(marks: &mut HashMap<String, Instant>, now: Instant) {
    marks.retain(|_, mark| *mark > now);
    if marks.len() >= MARKS_MAX {
        let mut all: Vec<Instant> = marks.values().copied().collect();
        let (_, median, _) = all.select_nth_unstable(MARKS_MAX / 2);
        let median = *median;
        marks.retain(|_, mark| *mark > median);
    }
    if marks.len() >= MARKS_MAX {
        // All of them are the same: nobody has taken more than another.
        marks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Local, MARKS_MAX};
    use std::time::{Duration, Instant};

    #[test]
    fn a_minutes_requests_may_come_at_once_and_then_evenly() {
        let (local, start) = (Local::default(), Instant::now());
        for index in (0..100).rev() {
            let room = local.take_at("a", 100, start);
            assert_eq!((room.limit, room.remaining, room.wait), (100, index, None));
        }
        let room = local.take_at("a", 100, start);
        assert_eq!(room.remaining, 0);
        let wait = room.wait.unwrap().as_secs_f64();
        assert!((wait - 0.6).abs() < 0.001, "{wait}");
        assert_eq!(room.reset.as_secs_f64().round(), 60.0);
        let another = local.take_at("b", 100, start);
        assert_eq!(another.wait, None, "another caller's are his own");
        let later = start + Duration::from_millis(1_201);
        assert_eq!(local.take_at("a", 100, later).wait, None);
        assert_eq!(local.take_at("a", 100, later).wait, None);
        assert!(local.take_at("a", 100, later).wait.is_some());
        let full = start + Duration::from_secs(600);
        let room = local.take_at("a", 100, full);
        assert_eq!(room.remaining, 99, "nobody saves up more than a minute's");
    }

    #[test]
    fn any_limit_gives_as_many_as_it_says() {
        for limit in [1, 3, 7, 59, 1_000, 10_000] {
            let (local, start) = (Local::default(), Instant::now());
            let taken = (0..limit + 5).filter(|_| local.take_at("a", limit, start).wait.is_none());
            assert_eq!(taken.count() as u64, limit);
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let (local, start) = (Local::default(), Instant::now());
        for index in 0..=MARKS_MAX {
            local.take_at(&index.to_string(), 100, start);
        }
        assert!(local.marks.lock().unwrap().len() <= MARKS_MAX);
    }
}
