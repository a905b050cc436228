//! The one place that reads the clocks; `clippy.toml` bans it everywhere else.

use crate::domain::Now;
use jiff::Timestamp;
use std::time::{Duration, Instant};

/// Both clocks; the monotonic one counts from when it was made. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Its monotonic clock says 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: instant() }
    }

    /// What both clocks say.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { mono: instant().duration_since(self.start), wall: wall() }
    }

    /// Sleeps until the monotonic clock says `mono`.
    pub async fn sleep_until(&self, mono: Duration) {
        tokio::time::sleep_until((self.start + mono).into()).await;
    }
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
