//! Which restore points' backups are kept.

use crate::config::Keep;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

/// The instants of `points` whose backups are kept: the newest ones, and the newest one of each of the last days, weeks
/// (from Monday) and months in which there is one. The newest of all is always kept, and everything without a rule.
#[must_use]
pub fn kept(keep: Keep, zone: &TimeZone, points: &BTreeSet<Timestamp>) -> BTreeSet<Timestamp> {
    if keep == Keep::default() {
        return points.clone();
    }
    let mut kept: BTreeSet<Timestamp> = points.iter().rev().take(keep.last.max(1)).copied().collect();
    newest_of(&mut kept, keep.daily, points, |point| day(zone, point));
    newest_of(&mut kept, keep.weekly, points, |point| week(zone, point));
    newest_of(&mut kept, keep.monthly, points, |point| month(zone, point));
    kept
}

fn newest_of<K: Ord>(
    kept: &mut BTreeSet<Timestamp>,
    most: usize,
    points: &BTreeSet<Timestamp>,
    span: impl Fn(Timestamp) -> K,
) {
    let mut seen = BTreeSet::new();
    for point in points.iter().rev() {
        if seen.len() == most {
            return;
        }
        if seen.insert(span(*point)) {
            kept.insert(*point);
        }
    }
}

/// The day of a point in a zone.
#[must_use]
pub fn day(zone: &TimeZone, point: Timestamp) -> (i16, i16) {
    let date = zone.to_datetime(point).date();
    (date.year(), date.day_of_year())
}

/// The week of a point in a zone, from Monday (ISO 8601).
#[must_use]
pub fn week(zone: &TimeZone, point: Timestamp) -> (i16, i8) {
    let week = zone.to_datetime(point).date().iso_week_date();
    (week.year(), week.week())
}

fn month(zone: &TimeZone, point: Timestamp) -> (i16, i8) {
    let date = zone.to_datetime(point).date();
    (date.year(), date.month())
}
