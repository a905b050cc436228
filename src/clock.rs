//! The one place that reads the clocks; `clippy.toml` bans it everywhere else.

use crate::domain::Now;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// Both clocks; the monotonic one counts from when it was made, the time that the computer sleeps included: what was
/// promised until then is over when it wakes. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Duration,
}

/// A sleeping computer stops the runtime's timers: whoever waits looks again this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

impl Clock {
    /// Its monotonic clock says 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: awake_or_not() }
    }

    /// What both clocks say.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { mono: awake_or_not().saturating_sub(self.start), wall: wall() }
    }

    /// Sleeps until the monotonic clock says `mono`.
    pub async fn sleep_until(&self, mono: Duration) {
        loop {
            let left = mono.saturating_sub(self.now().mono);
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
        }
    }
}

/// Since the computer was started, its sleep included (CLOCK_BOOTTIME of `clock_gettime(2)`).
fn awake_or_not() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn instant() -> Instant {
    Instant::now()
}

/// The wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}
