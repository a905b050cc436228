use chrono::{Datelike, TimeZone};
use chrono_tz::Tz;
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeSet;
use stillpoint::config::Keep;
use stillpoint::slots;
use stillpoint::tracking::keep::{self, day, week};

const ZONES: [Tz; 5] = [Tz::UTC, Tz::Asia__Tokyo, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::Pacific__Apia];

fn points(instants: &[&str]) -> BTreeSet<Timestamp> {
    instants.iter().map(|instant| instant.parse().unwrap()).collect()
}

fn rule(last: usize, daily: usize, weekly: usize, monthly: usize) -> Keep {
    Keep { last, daily, weekly, monthly }
}

/// By the program's own time zones; the tests read the clock by chrono-tz's.
fn kept(rule: Keep, zone: Tz, points: &BTreeSet<Timestamp>) -> BTreeSet<Timestamp> {
    keep::kept(rule, &slots::zone(zone.name()).unwrap(), points)
}

/// Whether `point` is the newest of its span, and fewer than `most` later spans have one: said of one point alone.
fn is_kept(point: Timestamp, points: &BTreeSet<Timestamp>, most: usize, span: impl Fn(Timestamp) -> String) -> bool {
    let later: Vec<Timestamp> = points.iter().copied().filter(|other| *other > point).collect();
    let newest = later.iter().all(|other| span(*other) != span(point));
    newest && later.iter().map(|other| span(*other)).collect::<BTreeSet<_>>().len() < most
}

fn oracle(keep: Keep, zone: Tz, points: &BTreeSet<Timestamp>) -> BTreeSet<Timestamp> {
    let local =
        |point: Timestamp, form: &str| zone.timestamp_opt(point.as_second(), 0).unwrap().format(form).to_string();
    let keeps = |point: &Timestamp| {
        keep == Keep::default()
            || Some(point) == points.last()
            || points.iter().filter(|other| *other > point).count() < keep.last
            || is_kept(*point, points, keep.daily, |point| local(point, "%Y-%m-%d"))
            || is_kept(*point, points, keep.weekly, |point| local(point, "%G-%V"))
            || is_kept(*point, points, keep.monthly, |point| local(point, "%Y-%m"))
    };
    points.iter().copied().filter(keeps).collect()
}

proptest! {
    #[test]
    fn what_is_kept_is_what_each_rule_says_of_each_point(
        zone in 0usize..5, last in 0usize..5, daily in 0usize..5, weekly in 0usize..5, monthly in 0usize..5,
        start in 0i64..2_000_000_000,
        gaps in proptest::collection::vec(prop_oneof![1i64..90_000, 80_000i64..90_000, 1i64..3_000_000], 0..40),
    ) {
        let mut second = start;
        let points: BTreeSet<Timestamp> = gaps.iter().map(|gap| {
            second += gap;
            Timestamp::from_second(second).unwrap()
        }).collect();
        let keep = rule(last, daily, weekly, monthly);
        let found = kept(keep, ZONES[zone], &points);
        prop_assert_eq!(&found, &oracle(keep, ZONES[zone], &points));
        prop_assert!(points.last().is_none_or(|newest| found.contains(newest)), "the newest is never dropped");
        prop_assert!(found.is_subset(&points));
        if keep == Keep::default() {
            prop_assert_eq!(&found, &points, "no rule keeps all");
        } else {
            prop_assert!(found.len() <= last.max(1) + daily + weekly + monthly);
            prop_assert_eq!(&kept(keep, ZONES[zone], &found), &found, "pruning twice is pruning once");
        }
    }
}

#[test]
fn a_day_is_the_zones_own_even_when_its_clocks_change() {
    let zone = Tz::America__New_York;
    // 2026-11-01 has 25 hours there, 2026-03-08 has 23.
    let long = points(&["2026-11-01T04:00:00Z", "2026-11-02T04:59:59Z", "2026-11-02T05:00:00Z"]);
    assert_eq!(kept(rule(0, 2, 0, 0), zone, &long), points(&["2026-11-02T04:59:59Z", "2026-11-02T05:00:00Z"]));
    let twice = points(&["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"]);
    assert_eq!(kept(rule(0, 5, 0, 0), zone, &twice), points(&["2026-11-01T06:30:00Z"]), "1:30 comes twice that day");
    let short = points(&["2026-03-08T05:00:00Z", "2026-03-09T03:59:59Z", "2026-03-09T04:00:00Z"]);
    assert_eq!(kept(rule(0, 2, 0, 0), zone, &short), points(&["2026-03-09T03:59:59Z", "2026-03-09T04:00:00Z"]));
}

#[test]
fn weeks_and_days_do_not_end_with_the_year_by_mistake() {
    // Friday 2027-01-01 lies in week 53 of 2026, Monday 2027-01-04 begins week 1 of 2027.
    let at = |instant: &str| instant.parse::<Timestamp>().unwrap();
    assert_eq!(week(&slots::zone("UTC").unwrap(), at("2026-12-31T12:00:00Z")), (2026, 53));
    assert_eq!(week(&slots::zone("UTC").unwrap(), at("2027-01-03T23:59:59Z")), (2026, 53));
    assert_eq!(week(&slots::zone("UTC").unwrap(), at("2027-01-04T00:00:00Z")), (2027, 1));
    assert_eq!(day(&slots::zone("Asia/Tokyo").unwrap(), at("2026-12-31T15:00:00Z")), (2027, 1));
    let end = points(&["2026-12-31T12:00:00Z", "2027-01-01T12:00:00Z", "2027-01-04T12:00:00Z"]);
    assert_eq!(kept(rule(0, 0, 2, 0), Tz::UTC, &end), points(&["2027-01-01T12:00:00Z", "2027-01-04T12:00:00Z"]));
    assert_eq!(kept(rule(0, 0, 0, 2), Tz::UTC, &end), points(&["2026-12-31T12:00:00Z", "2027-01-04T12:00:00Z"]));
}

#[test]
fn a_day_that_a_zone_left_out_is_no_day() {
    // Samoa went from 29 to 31 December 2011.
    let left_out = points(&["2011-12-30T09:59:59Z", "2011-12-30T10:00:00Z"]);
    let days: Vec<i32> = left_out
        .iter()
        .map(|point| Tz::Pacific__Apia.timestamp_opt(point.as_second(), 0).unwrap().day().cast_signed())
        .collect();
    assert_eq!(days, [29, 31]);
    assert_eq!(kept(rule(0, 2, 0, 0), Tz::Pacific__Apia, &left_out), left_out);
}

#[test]
fn spans_without_a_point_are_not_counted() {
    let sparse = points(&["2026-01-05T00:00:00Z", "2026-06-05T00:00:00Z", "2026-11-05T00:00:00Z"]);
    assert_eq!(kept(rule(0, 3, 0, 0), Tz::UTC, &sparse), sparse, "three days that have one, not the last three");
    assert_eq!(kept(rule(0, 0, 0, 1), Tz::UTC, &sparse), points(&["2026-11-05T00:00:00Z"]));
    assert_eq!(kept(rule(1, 0, 0, 0), Tz::UTC, &BTreeSet::new()), BTreeSet::new());
}
