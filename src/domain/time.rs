use jiff::Timestamp;
use std::time::Duration;

/// One reading of both clocks, handed to the core by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock, since some start that never changes in a process; it goes on while the computer sleeps.
    pub mono: Duration,
    /// The wall clock.
    pub wall: Timestamp,
}

/// What `max_pause` must leave beside the drains and the hold, for requests on their way.
pub const PAUSE_MARGIN: Duration = Duration::from_secs(1);
