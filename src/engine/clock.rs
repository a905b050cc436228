//! The one place that reads the clocks.

use crate::domain::Now;
use jiff::Timestamp;
use std::time::{Duration, Instant};

/// Both clocks; the monotonic one counts from when it was made. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// What both clocks say.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(&self) -> Now {
        Now { mono: self.start.elapsed(), wall: Timestamp::now() }
    }

    /// The monotonic clock as the standard library's.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Sleeps until the monotonic clock says `mono`.
    pub async fn sleep_until(&self, mono: Duration) {
        tokio::time::sleep_until((self.start + mono).into()).await;
    }
}
