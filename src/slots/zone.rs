//! From civil times to instants: the rule for shifts of the clock.

use super::Cron;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

const DAY: i64 = 86_400;
/// No clock was ever set by more: the date line, crossed.
const LONGEST_SHIFT: i64 = 2 * DAY;
/// How far one look goes.
const REACH: i64 = 7 * DAY;
/// What is named within this is looked for shift by shift; what is further off is leapt to.
const NEAR: i64 = 4 * DAY;
/// A leap, then a look or two.
const MOST_LOOKS: usize = 16;

/// How a slot's time stands on a day on which clocks are shifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The clock skips the time: the slot comes at the first instant after the gap.
    Skipped,
    /// The time comes twice, and this is the first one.
    First,
    /// The time comes twice, and this is the second one.
    Second,
}

/// A time zone by its IANA name, spelled as IANA does, from the database in the program: never the host's.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    // The database has UTC under other names too.
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| zone.iana_name() == Some(name))
}

/// The names of all time zones.
#[must_use]
pub fn zones() -> Vec<String> {
    TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect()
}

/// The instant at which the calendar month of an instant began, in a zone.
#[must_use]
pub fn month_of(zone: &TimeZone, at: Timestamp) -> Timestamp {
    let first: Date = zone.to_datetime(at).date().first_of_month();
    zone.to_ambiguous_timestamp(first.to_datetime(jiff::civil::Time::midnight())).compatible().unwrap_or(at)
}

impl Cron {
    /// The first slot after an instant, by the rule; none: it never comes again.
    #[must_use]
    pub fn next(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut after = after.as_second();
        for _ in 0..MOST_LOOKS {
            let shown = shown(zone, after)?;
            let named = second(self.first(civil(shown.saturating_sub(LONGEST_SHIFT))?)?)?;
            if named > shown + NEAR {
                // Nothing is named from a shift ago until then, so no shift on the way brings a slot.
                after = named - LONGEST_SHIFT - DAY;
                continue;
            }
            match self.look(zone, after, after + REACH) {
                Some(slot) => return Timestamp::from_second(slot).ok(),
                // The end itself was not looked at.
                None => after += REACH - 1,
            }
        }
        None
    }

    /// The first slot between two instants, the ends left out. Goes from one shift of the clock to the next.
    fn look(&self, zone: &TimeZone, after: i64, until: i64) -> Option<i64> {
        let begin = after.saturating_sub(LONGEST_SHIFT);
        let (mut start, mut offset) = (begin, offset_at(zone, begin)?);
        // The latest that the clock has shown by then, and a second.
        let mut reached = begin + offset;
        let shifts = zone
            .following(Timestamp::from_second(begin).ok()?)
            .map(|shift| (shift.timestamp().as_second(), i64::from(shift.offset().seconds())))
            .take_while(|(at, _)| *at < until)
            .chain([(until, 0)]);
        for (end, next_offset) in shifts {
            let shown = start + offset;
            let mut from = shown;
            if self.names_hours() {
                if start > after && reached < shown && self.first_second(reached)? < shown {
                    return Some(start);
                }
                from = from.max(reached);
            }
            let named = self.first_second(from.max(after + 1 + offset))?;
            if named < end + offset {
                return Some(named - offset);
            }
            reached = reached.max(end + offset);
            (start, offset) = (end, next_offset);
        }
        None
    }

    fn first_second(&self, from: i64) -> Option<i64> {
        second(self.first(civil(from)?)?)
    }

    /// How a slot that the expression gave stands on the zone's clock.
    #[must_use]
    pub fn mark(&self, zone: &TimeZone, named: Timestamp) -> Option<Mark> {
        let local = zone.to_datetime(named);
        if self.first(local) != Some(local) {
            return Some(Mark::Skipped);
        }
        match zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Fold { before, .. } if before == zone.to_offset(named) => Some(Mark::First),
            AmbiguousOffset::Fold { .. } => Some(Mark::Second),
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => None,
        }
    }
}

fn offset_at(zone: &TimeZone, second: i64) -> Option<i64> {
    Some(i64::from(zone.to_offset(Timestamp::from_second(second).ok()?).seconds()))
}

/// What the zone's clock shows, as seconds since 1970 on a clock that is never shifted.
fn shown(zone: &TimeZone, second: i64) -> Option<i64> {
    Some(second + offset_at(zone, second)?)
}

fn civil(second: i64) -> Option<DateTime> {
    Some(Offset::UTC.to_datetime(Timestamp::from_second(second).ok()?))
}

fn second(civil: DateTime) -> Option<i64> {
    Some(Offset::UTC.to_timestamp(civil).ok()?.as_second())
}
