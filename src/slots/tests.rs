use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn next(cron: &str, name: &str, after: &str, count: usize) -> Vec<String> {
    let (cron, zone) = (Cron::parse(cron).unwrap(), zone(name).unwrap());
    let slots = std::iter::successors(cron.next(&zone, at(after)), |slot| cron.next(&zone, *slot));
    slots.take(count).map(|slot| slot.to_zoned(zone.clone()).strftime("%d %H:%M%:z").to_string()).collect()
}

#[test]
fn a_named_hour_that_is_skipped_comes_at_the_first_instant_after_the_gap() {
    let spring = "2027-03-27T12:00:00Z";
    assert_eq!(next("30 2 * * *", "Europe/Berlin", spring, 2), ["28 03:00+02:00", "29 02:30+02:00"]);
    assert_eq!(next("*/20 2 * * *", "Europe/Berlin", spring, 2), ["28 03:00+02:00", "29 02:00+02:00"], "as one");
    assert_eq!(next("0 2,3 * * *", "Europe/Berlin", spring, 2), ["28 03:00+02:00", "29 02:00+02:00"]);
    assert_eq!(
        next("0 3 * * *", "Pacific/Apia", "2011-12-29T23:00:00-10:00", 3),
        ["31 00:00+14:00", "31 03:00+14:00", "01 03:00+14:00"]
    );
}

#[test]
fn a_named_hour_that_comes_twice_is_the_first_one() {
    let autumn = "2027-10-30T12:00:00Z";
    assert_eq!(next("30 2 * * *", "Europe/Berlin", autumn, 2), ["31 02:30+02:00", "01 02:30+01:00"]);
    assert_eq!(
        next("0,30 1-3 * * *", "Europe/Berlin", "2027-10-31T00:15:00Z", 3),
        ["31 02:30+02:00", "31 03:00+01:00", "31 03:30+01:00"]
    );
    assert_eq!(
        next("45 1 * * *", "Australia/Lord_Howe", "2027-04-03T00:00:00Z", 2),
        ["04 01:45+11:00", "05 01:45+10:30"]
    );
}

#[test]
fn any_hour_is_every_hour_that_the_clock_shows() {
    assert_eq!(
        next("30 * * * *", "Europe/Berlin", "2027-03-28T00:00:00Z", 3),
        ["28 01:30+01:00", "28 03:30+02:00", "28 04:30+02:00"]
    );
    // croner goes back in time here: the instant lies in the second of the two hours.
    assert_eq!(
        next("*/30 * * * *", "Europe/Berlin", "2027-10-31T00:15:00Z", 5),
        ["31 02:30+02:00", "31 02:00+01:00", "31 02:30+01:00", "31 03:00+01:00", "31 03:30+01:00"]
    );
    assert_eq!(
        next("45 */1 * * *", "Australia/Lord_Howe", "2027-04-03T14:40:00Z", 3),
        ["04 01:45+11:00", "04 01:45+10:30", "04 02:45+10:30"]
    );
}

#[test]
fn a_weekly_slot_follows_the_one_a_week_before() {
    assert_eq!(next("30 1 * * SUN", "Asia/Tokyo", "2026-11-21T16:30:00Z", 2), ["29 01:30+09:00", "06 01:30+09:00"]);
    assert_eq!(
        next("0 0 */8 * *", "UTC", "2026-11-01T00:00:00Z", 3),
        ["09 00:00+00:00", "17 00:00+00:00", "25 00:00+00:00"]
    );
}

#[test]
fn rare_expressions_are_found_and_what_never_comes_is_not_sought_for_ever() {
    assert_eq!(next("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1), ["29 00:00+00:00"]);
    assert_eq!(next("0 0 29 2 +MON", "UTC", "2076-01-01T00:00:00Z", 1).len(), 1);
    assert_eq!(Cron::parse("0 0 30 2 *").unwrap().next(&TimeZone::UTC, at("2026-01-01T00:00:00Z")), None);
    assert_eq!(Cron::parse("0 0 * * *").unwrap().next(&TimeZone::UTC, Timestamp::MAX), None);
}

#[test]
fn the_last_sunday_is_one_whichever_number_it_has() {
    let (zero, seven) = (Cron::parse("0 0 * * 0L").unwrap(), Cron::parse("0 0 * * 7L").unwrap());
    let after = at("2026-11-26T00:00:00Z");
    assert_eq!(zero.next(&TimeZone::UTC, after), Some(at("2026-11-29T00:00:00Z")));
    assert_eq!(seven.next(&TimeZone::UTC, after), zero.next(&TimeZone::UTC, after));
}

#[test]
fn times_without_an_offset_are_on_the_zones_clock() {
    let berlin = zone("Europe/Berlin").unwrap();
    let read = |text: &str, later| instant(text, &berlin, later).map(|at| at.to_string());
    assert_eq!(read("2026-12-24", false).as_deref(), Some("2026-12-23T23:00:00Z"));
    assert_eq!(read("2026-12-24T18:00", false).as_deref(), Some("2026-12-24T17:00:00Z"));
    assert_eq!(read("2026-12-24T18:00:00+09:00", false).as_deref(), Some("2026-12-24T09:00:00Z"));
    assert_eq!(read("2027-03-28T02:00", false).as_deref(), Some("2027-03-28T01:00:00Z"));
    assert_eq!(read("2027-03-28T02:59", true).as_deref(), Some("2027-03-28T01:00:00Z"));
    assert_eq!(read("2027-10-31T02:30", false).as_deref(), Some("2027-10-31T00:30:00Z"));
    assert_eq!(read("2027-10-31T02:30", true).as_deref(), Some("2027-10-31T01:30:00Z"));
    assert_eq!(read("christmas", true), None);
}

#[test]
fn the_zones_are_those_of_the_program_and_their_names_are_exact() {
    assert!(zone("Asia/Tokyo").is_some() && zone("UTC").is_some());
    assert_eq!((zone("asia/tokyo"), zone("JST-9"), zone("")), (None, None, None));
    assert!(zones().iter().any(|name| name == "Europe/Kyiv"));
}
