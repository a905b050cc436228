//! Which restore points' backups are kept.

use crate::config::Keep;
use chrono_tz::Tz;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The instants of `points` whose backups are kept: the newest ones, and the newest one of each of the last days, weeks
/// (from Monday) and months in which there is one. The newest of all is always kept, and everything without a rule.
#[must_use]
pub fn kept(keep: Keep, zone: Tz, points: &BTreeSet<Timestamp>) -> BTreeSet<Timestamp> {
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
pub fn day(zone: Tz, point: Timestamp) -> (i32, u32) {
    use chrono::Datelike;
    let local = local(zone, point);
    (local.year(), local.ordinal())
}

/// The week of a point in a zone, from Monday (ISO 8601).
#[must_use]
pub fn week(zone: Tz, point: Timestamp) -> (i32, u32) {
    use chrono::Datelike;
    let week = local(zone, point).iso_week();
    (week.year(), week.week())
}

fn month(zone: Tz, point: Timestamp) -> (i32, u32) {
    use chrono::Datelike;
    let local = local(zone, point);
    (local.year(), local.month())
}

fn local(zone: Tz, point: Timestamp) -> chrono::DateTime<Tz> {
    let utc = chrono::DateTime::from_timestamp(point.as_second(), 0).unwrap_or_default();
    utc.with_timezone(&zone)
}
