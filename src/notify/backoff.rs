//! How long until something is sent again. Pure.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(300);

/// The wait after so many failures in a row: twice as long each time, up to five minutes, and somewhere between half of
/// that and all of it, so that many who lost the same receiver do not come back together. `chance` is from 0 to 1.
#[must_use]
pub fn wait(failures: u32, chance: f64) -> Duration {
    let whole = FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX)).min(MOST);
    whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

/// What a receiver asks for in place of that: `Retry-After` in seconds, no longer than we would wait at most.
#[must_use]
pub fn asked(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(|seconds| Duration::from_secs(seconds).min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_grows_to_five_minutes_and_never_vanishes(failures in 1_u32.., chance in 0.0_f64..1.0) {
            let now = wait(failures, chance);
            prop_assert!(now >= FIRST / 2 && now <= MOST);
            prop_assert!(wait(failures.saturating_add(1), chance) >= now);
            prop_assert!(failures < 10 || now >= MOST / 2);
        }

        #[test]
        fn what_a_receiver_asks_for_is_heeded_within_limits(header in ".{0,12}") {
            prop_assert!(asked(&header).is_none_or(|wait| wait <= MOST));
        }
    }

    #[test]
    fn a_date_is_not_heeded_and_seconds_are() {
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), None);
    }
}
