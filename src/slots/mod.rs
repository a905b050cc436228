//! Slots: the instants at which a schedule wants windows. Pure: nothing here does IO or reads a clock.
//!
//! # The rule for days on which a zone shifts its clocks
//!
//! - *A named hour* (the hour field has no `*`: `3`, `1-5`, `0,12`): the slot comes exactly once, at the first instant
//!   at which the zone's clock has reached its time. Where clocks are set forward over it, that is the first instant
//!   after the gap, and slots that fall into one gap are one slot. Where a time comes twice, that is the first one.
//! - *Any hour* (the hour field has a `*`: `*`, `*/6`, `0,*/4`): every instant at which the zone's clock shows a time
//!   that the expression names. Times that are skipped do not come, times that come twice come twice: `0 * * * *` is
//!   every real hour, on both days.
//!
//! This is how Vixie's cron goes about it, with two differences: the hour alone decides, not the minute, and any shift is
//! treated alike, also one of a whole day (Pacific/Apia left out 2011-12-30; its 3:00 was at 2011-12-31 0:00).
//!
//! The expression is parsed by croner, which also says which days it names. When slots come is computed here, because
//! croner 3.0.1 knows the rule only for expressions of a single time a day, goes back in time from an instant in the
//! second of two equal hours, and gives up at gaps of more than two hours.

mod blackout;
mod cron;
mod zone;

pub use blackout::{Blackout, instant};
pub use cron::Cron;
pub use zone::{Mark, month_of, zone, zones};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use std::fmt;
use std::time::Duration;

/// How many slots of a blackout are passed over in search of one outside, before the search is given up.
const MOST_PASSED_OVER: usize = 1_000;
/// How many slots tell the longest time between two.
const TELLING: usize = 32;

/// When a group's slots are; checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Slots {
    pub cron: Cron,
    pub time_zone: TimeZone,
    /// Each slot comes up to this much after the time that the expression names; whole seconds.
    pub jitter: Duration,
    /// What jitter depends on besides the time: the group's name, so that groups with one expression come apart.
    pub seed: String,
    pub blackouts: Vec<Blackout>,
    /// No slot runs.
    pub suspend: bool,
}

/// One slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// When its pause is; with this instant it stands in the catalog.
    pub at: Timestamp,
    /// The instant that the expression gives, before jitter.
    pub named: Timestamp,
}

/// Why a slot does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// `suspend: true`.
    Suspended,
    /// A blackout, which ends then at the earliest.
    Blackout { until: Timestamp },
}

/// How a slot stands on its zone's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What the clock shows at the slot, jitter included.
    pub local: DateTime,
    pub offset: Offset,
    /// None: its time exists once.
    pub mark: Option<Mark>,
}

impl fmt::Display for Slots {
    /// All that tells it from a group's other schedules; kept in the catalog.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cron, time_zone, jitter, seed: _, blackouts, suspend } = self;
        write!(f, "{cron} {}", time_zone.iana_name().unwrap_or("unknown"))?;
        if !jitter.is_zero() {
            write!(f, " jitter {}s", jitter.as_secs())?;
        }
        for blackout in blackouts {
            write!(f, " without {blackout}")?;
        }
        f.write_str(if *suspend { " suspended" } else { "" })
    }
}

impl Slots {
    /// The first slot after an instant, run or not; none: it never comes again.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Slot> {
        let mut named = self.cron.next(&self.time_zone, earlier(after, self.jitter))?;
        if self.jitter.is_zero() {
            return Some(Slot { at: named, named });
        }
        let mut first: Option<Slot> = None;
        // Jitter may turn neighbours round where a shift of the clock brings them together.
        while first.is_none_or(|first| named < first.at) {
            let at = named + self.jitter_of(named);
            if at > after && first.is_none_or(|first| at < first.at) {
                first = Some(Slot { at, named });
            }
            match self.cron.next(&self.time_zone, named) {
                Some(next) => named = next,
                None => break,
            }
        }
        first
    }

    /// Whether there is a slot at that instant, run or not.
    #[must_use]
    pub fn has(&self, at: Timestamp) -> bool {
        self.next(earlier(at, Duration::from_secs(1))).is_some_and(|slot| slot.at == at)
    }

    /// The slots after an instant, run or not, without end where the expression has none.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Slot> {
        std::iter::successors(self.next(after), |slot| self.next(slot.at))
    }

    /// The first slot after an instant that runs; none: there is none, or blackouts cover all that were looked at.
    #[must_use]
    pub fn next_run(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = after;
        for _ in 0..MOST_PASSED_OVER {
            let slot = self.next(from)?.at;
            match self.skip(slot) {
                None => return Some(slot),
                Some(Skip::Suspended) => return None,
                // From just before its end: a slot at the end is outside.
                Some(Skip::Blackout { until }) => from = slot.max(earlier(until, Duration::from_secs(1))),
            }
        }
        None
    }

    /// Why nothing runs at an instant; none: a slot there runs.
    #[must_use]
    pub fn skip(&self, at: Timestamp) -> Option<Skip> {
        if self.suspend {
            return Some(Skip::Suspended);
        }
        let ends = self.blackouts.iter().filter_map(|blackout| blackout.end(&self.time_zone, at));
        ends.max().map(|until| Skip::Blackout { until })
    }

    /// The newest slots after an instant and up to another, run or not, oldest first, at most `most`.
    #[must_use]
    pub fn passed(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        // Looked for from the end, further and further back: a year of slots is not gone through for the last of them.
        let mut reach = Duration::from_secs(3600);
        loop {
            let from = after.max(earlier(until, reach));
            let mut found: Vec<Timestamp> =
                self.after(from).map(|slot| slot.at).take_while(|slot| *slot <= until).collect();
            if from <= after || found.len() >= most {
                found.drain(..found.len().saturating_sub(most));
                return found;
            }
            reach *= 4;
        }
    }

    /// The longest time that passes between two slots that run: as the expression has it, and as blackouts have it
    /// around now. None: no slot runs any more.
    #[must_use]
    pub fn expected_interval(&self, now: Timestamp) -> Option<Duration> {
        let next = self.next_run(now)?;
        let slots: Vec<Timestamp> = self.after(now).map(|slot| slot.at).take(TELLING).collect();
        // The slot before the last one that ran: while a window runs, the interval that it ends still counts.
        let mut around = self.ran_before(now);
        around.push(next);
        let gaps = slots.windows(2).chain(around.windows(2));
        gaps.filter_map(|pair| Duration::try_from(pair[1].duration_since(pair[0])).ok()).max()
    }

    /// The last two slots up to an instant that blackouts do not cover, oldest first, as far as a year tells.
    fn ran_before(&self, now: Timestamp) -> Vec<Timestamp> {
        let mut ran = Vec::new();
        let mut until = now;
        for _ in 0..MOST_PASSED_OVER {
            let from = earlier(now, Duration::from_secs(400 * 86_400));
            let Some(slot) = self.passed(from, until, 1).pop() else { break };
            until = match self.begin(slot) {
                None => {
                    ran.insert(0, slot);
                    if ran.len() == 2 {
                        break;
                    }
                    earlier(slot, Duration::from_secs(1))
                }
                Some(begin) => earlier(begin.min(slot), Duration::from_secs(1)),
            };
        }
        ran
    }

    /// When the earliest blackout that covers an instant began.
    fn begin(&self, at: Timestamp) -> Option<Timestamp> {
        self.blackouts.iter().filter_map(|blackout| blackout.begin(&self.time_zone, at)).min()
    }

    /// How a slot stands on its zone's clock.
    #[must_use]
    pub fn standing(&self, slot: Slot) -> Standing {
        Standing {
            local: self.time_zone.to_datetime(slot.at),
            offset: self.time_zone.to_offset(slot.at),
            mark: self.cron.mark(&self.time_zone, slot.named),
        }
    }

    /// The same for the same group and time, whoever asks and whenever.
    fn jitter_of(&self, named: Timestamp) -> Duration {
        let bytes = self.seed.bytes().chain(named.as_second().to_be_bytes());
        // FNV-1a; the finish of SplitMix64 spreads what differs in the last bytes only.
        let mut hash =
            bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_secs((hash ^ (hash >> 31)) % (self.jitter.as_secs() + 1))
    }
}

/// An instant by that much earlier, or the first instant there is.
fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
