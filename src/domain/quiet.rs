//! The quiet interval and the one whole second in it that all stores are restored to.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A span of wall-clock time, `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Interval {
    /// Its length; zero when it is empty.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::try_from(self.end.duration_since(self.start)).unwrap_or_default()
    }

    /// Shorter by `by` at both ends.
    #[must_use]
    pub fn shrunk(&self, by: Duration) -> Self {
        Self { start: self.start + by, end: self.end - by }
    }
}

/// A store's clock as it was bounded around the window, and how exactly the store restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreClock {
    /// The store's clock minus the daemon's, at least.
    pub offset_low: SignedDuration,
    /// The store's clock minus the daemon's, at most.
    pub offset_high: SignedDuration,
    /// What a restore may be off by: 1 s on AWS, 0 on PostgreSQL.
    pub guard: Duration,
}

impl StoreClock {
    /// What holds at every moment between this look at the clock and a later one: a clock that ran fast or slow, or
    /// was set, was somewhere between the two.
    #[must_use]
    pub fn hull(&self, after: &Self) -> Self {
        Self {
            offset_low: self.offset_low.min(after.offset_low),
            offset_high: self.offset_high.max(after.offset_high),
            guard: self.guard.max(after.guard),
        }
    }
}

/// The restore point: the whole second T nearest the middle of the quiet interval such that
/// `[T - guard, T + 1 s + guard]` lies inside it on every store's clock. None: there is no such second.
///
/// The interval is shifted into each store's clock and shrunk by the uncertainty of the offset (design, Clocks).
#[must_use]
pub fn restore_point(quiet: Interval, stores: &[StoreClock]) -> Option<Timestamp> {
    let mut start = quiet.start.as_nanosecond();
    let mut end = quiet.end.as_nanosecond();
    for store in stores {
        let guard = i128::try_from(store.guard.as_nanos()).ok()?;
        start = start.max(quiet.start.as_nanosecond() + store.offset_high.as_nanos() + guard);
        end = end.min(quiet.end.as_nanosecond() + store.offset_low.as_nanos() - guard);
    }
    const SECOND: i128 = 1_000_000_000;
    let first = start.div_euclid(SECOND) + i128::from(start.rem_euclid(SECOND) > 0);
    let last = end.div_euclid(SECOND) - 1;
    if first > last {
        return None;
    }
    let ideal = (start + end - SECOND).div_euclid(2);
    let nearest = (ideal + SECOND / 2).div_euclid(SECOND).clamp(first, last);
    Timestamp::from_nanosecond(nearest * SECOND).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLI: i128 = 1_000_000;

    fn interval(start_ms: i64, end_ms: i64) -> Interval {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        Interval { start: at(start_ms), end: at(end_ms) }
    }

    #[test]
    fn two_quiet_seconds_always_hold_a_whole_one() {
        for start in 0..1000 {
            let point = restore_point(interval(start, start + 2000), &[]).expect("a point");
            assert!(point.as_millisecond() >= start && point.as_millisecond() + 1000 <= start + 2000);
        }
    }

    #[test]
    fn less_than_a_second_holds_none() {
        assert_eq!(restore_point(interval(0, 999), &[]), None);
        assert_eq!(restore_point(interval(1, 1999), &[]), None);
        assert_eq!(restore_point(interval(1000, 2000), &[]), Timestamp::from_second(1).ok());
    }

    #[test]
    fn skewed_stores_leave_no_common_second() {
        let clock = |ms: i64| StoreClock {
            offset_low: SignedDuration::from_millis(ms),
            offset_high: SignedDuration::from_millis(ms),
            guard: Duration::ZERO,
        };
        assert_eq!(restore_point(interval(0, 10_000), &[clock(0), clock(9_500)]), None);
    }

    fn clock((low, width, guard): (i64, i64, u64)) -> StoreClock {
        StoreClock {
            offset_low: SignedDuration::from_millis(low),
            offset_high: SignedDuration::from_millis(low + width),
            guard: Duration::from_millis(guard),
        }
    }

    proptest! {
        #[test]
        fn the_point_by_two_looks_lies_inside_on_a_clock_anywhere_between_them(
            start in -5_000_000i64..5_000_000, length in 2_000i64..20_000,
            before in (-3_000i64..3_000, 0i64..800), after in (-3_000i64..3_000, 0i64..800),
            guard in 0u64..1_500, part in 0i64..=1_000,
        ) {
            let before = clock((before.0, before.1, guard));
            let after = clock((after.0, after.1, guard));
            let hull = before.hull(&after);
            prop_assert_eq!(hull, after.hull(&before));
            let guard = i64::try_from(guard).unwrap();
            let (low, high) = (hull.offset_low.as_millis(), hull.offset_high.as_millis());
            for look in [before, after] {
                prop_assert!(low <= look.offset_low.as_millis() && look.offset_high.as_millis() <= high);
            }
            let offset = i64::try_from(low + (high - low) * i128::from(part) / 1_000).unwrap();
            if let Some(point) = restore_point(interval(start, start + length), &[hull]) {
                let point = point.as_millisecond();
                prop_assert!(point - guard >= start + offset);
                prop_assert!(point + 1_000 + guard <= start + length + offset);
            }
        }

        #[test]
        fn the_point_lies_inside_on_every_clock_and_is_nearest_the_middle(
            start in -5_000_000i64..5_000_000, length in 0i64..20_000,
            stores in proptest::collection::vec((-3_000i64..3_000, 0i64..800, 0u64..1_500), 0..4),
        ) {
            let quiet = interval(start, start + length);
            let clocks: Vec<_> = stores.into_iter().map(clock).collect();
            let fits = |second: i128| {
                let inside = |low: i128, high: i128, guard: i128| {
                    second * 1000 - guard >= i128::from(start) + high
                        && second * 1000 + 1000 + guard <= i128::from(start + length) + low
                };
                inside(0, 0, 0) && clocks.iter().all(|clock| inside(
                    clock.offset_low.as_nanos() / MILLI, clock.offset_high.as_nanos() / MILLI,
                    i128::try_from(clock.guard.as_millis()).unwrap()))
            };
            let low = i128::from(start) / 1000 - 2;
            let candidates: Vec<i128> = (low..low + 26).filter(|second| fits(*second)).collect();
            match restore_point(quiet, &clocks) {
                None => prop_assert!(candidates.is_empty()),
                Some(point) => {
                    let second = i128::from(point.as_second());
                    prop_assert!(candidates.contains(&second));
                    let (first, last) = (candidates[0], candidates[candidates.len() - 1]);
                    prop_assert!((second * 2 - first - last).abs() <= 1);
                }
            }
        }
    }
}
