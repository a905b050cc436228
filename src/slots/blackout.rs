//! Times in which no slot runs.

use super::{Cron, earlier};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use std::fmt;
use std::time::Duration;

/// A time in which no slot runs. Its end is outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Blackout {
    Once {
        from: Timestamp,
        until: Timestamp,
    },
    /// From each slot of an expression, in the schedule's zone, for this long.
    Every {
        cron: Box<Cron>,
        length: Duration,
    },
}

impl fmt::Display for Blackout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once { from, until } => write!(f, "{from}/{until}"),
            Self::Every { cron, length } => write!(f, "{}s from {cron}", length.as_secs()),
        }
    }
}

impl Blackout {
    /// When the blackout that covers an instant ends; none: it covers none.
    #[must_use]
    pub fn end(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once { from, until } => (*from <= at && at < *until).then_some(*until),
            Self::Every { length, .. } => self.begin(zone, at).map(|begin| begin + *length),
        }
    }

    /// When the blackout that covers an instant began; the earliest one, where it covers itself.
    #[must_use]
    pub fn begin(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once { from, .. } => self.end(zone, at).map(|_| *from),
            Self::Every { cron, length } => cron.next(zone, earlier(at, *length)).filter(|begin| *begin <= at),
        }
    }
}

/// An instant in RFC 3339, or a date or date and time on the zone's clock. Of a time that comes twice `later` says which;
/// one that is skipped is the first instant after the gap.
#[must_use]
pub fn instant(text: &str, zone: &TimeZone, later: bool) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let civil: DateTime = text.parse().ok()?;
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    match ambiguous.offset() {
        AmbiguousOffset::Gap { before, .. } => {
            // On the clock from before the shift, so that it is not before the shift.
            let beyond = before.to_timestamp(civil).ok()?.checked_add(Duration::from_secs(1)).ok()?;
            zone.preceding(beyond).next().map(|shift| shift.timestamp())
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } if later => ambiguous.later().ok(),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
    }
}
