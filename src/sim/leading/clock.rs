//! A process's own clocks: they run fast or slow, and go on while it is stopped.

use crate::domain::Now;
use crate::sim::check::EPOCH_SECONDS_NANOS;
use jiff::Timestamp;
use std::time::Duration;

/// True time in millionths.
const TRUE: u128 = 1_000_000;

/// The clocks of one process, which say 0 and the right time when it starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalClock {
    pub started: Duration,
    /// How fast it runs: a million is right.
    pub rate: u32,
}

impl LocalClock {
    /// What the monotonic clock says then.
    pub fn mono(&self, at: Duration) -> Duration {
        nanos(at.saturating_sub(self.started).as_nanos() * u128::from(self.rate) / TRUE)
    }

    /// When the monotonic clock says so, or has just said so.
    pub fn at(&self, mono: Duration) -> Duration {
        self.started + nanos((mono.as_nanos() * TRUE).div_ceil(u128::from(self.rate)))
    }

    /// What both clocks say then.
    pub fn now(&self, at: Duration) -> Now {
        let mono = self.mono(at);
        Now { mono, wall: wall(self.started + mono) }
    }

    /// When the wall clock says so.
    pub fn at_wall(&self, wall: Timestamp) -> Duration {
        let since = wall.as_nanosecond() - EPOCH_SECONDS_NANOS;
        self.at(nanos(since.unsigned_abs()).saturating_sub(self.started))
    }
}

/// The right wall clock.
pub(super) fn wall(at: Duration) -> Timestamp {
    let nanos = i128::try_from(at.as_nanos()).unwrap_or(0);
    Timestamp::from_nanosecond(nanos + EPOCH_SECONDS_NANOS).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
