//! When slots are: against a reference that shares neither code nor time zones with the program, and by properties.

mod properties;
mod reference;

use std::time::Duration;
use stillpoint::config::{self, Files};
use stillpoint::slots::Slots;

/// The slots of a schedule as a user writes it.
pub fn slots(schedule: &str) -> Slots {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let cluster = "{product: scalardl-ledger, addresses: [\"127.0.0.1:50053\"]}";
    let text = format!("groups: {{payments: {{schedule: {{{schedule}}}, clusters: {{ledger: {cluster}}}}}}}\n");
    std::fs::write(file.path(), text).unwrap();
    let loaded =
        config::load(&Files::List(vec![file.path().to_owned()]), []).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.config.groups["payments"].schedule.clone().unwrap().slots
}

pub fn of(cron: &str, zone: &str) -> Slots {
    slots(&format!("cron: \"{cron}\", time_zone: {zone}, lead: 100ms"))
}

#[test]
fn jitter_is_the_same_whenever_it_is_asked_for_and_keeps_slots_apart() {
    let slots = slots("cron: \"*/15 * * * *\", time_zone: Europe/Berlin, jitter: 10m");
    let start = "2026-03-28T12:00:00Z".parse().unwrap();
    let some: Vec<_> = slots.after(start).take(200).collect();
    let mut late = std::collections::BTreeSet::new();
    for pair in some.windows(2) {
        assert!(pair[0].at < pair[1].at);
        assert_eq!(pair[1].named.duration_since(pair[0].named).as_secs(), 900);
        // From any instant in between the same slot follows: a restart changes nothing.
        let between = pair[0].at + Duration::try_from(pair[1].at.duration_since(pair[0].at)).unwrap() / 2;
        assert_eq!(slots.next(between), Some(pair[1]));
    }
    for slot in &some {
        assert!(slot.named <= slot.at && slot.at <= slot.named + Duration::from_secs(600), "{slot:?}");
        late.insert(slot.at.duration_since(slot.named));
    }
    assert!(late.len() > 100, "jitter takes only {} lengths", late.len());
    let mut other = slots.clone();
    other.seed = "ledger".into();
    assert!(other.after(start).take(50).zip(&some).filter(|(one, other)| one.at != other.at).count() > 40);
}

#[test]
fn blackouts_leave_slots_out_and_stretch_the_expected_interval_only_around_them() {
    let slots = slots(
        "cron: \"0 3 * * *\", time_zone: Asia/Tokyo, blackouts: [{from: 2026-12-24, until: 2027-01-04T03:00}, {cron: \"0 0 L * *\", for: 24h}]",
    );
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let hours = |now: &str| slots.expected_interval(at(now)).unwrap().as_secs() / 3600;
    assert_eq!(slots.next_run(at("2026-12-22T18:00:00Z")), Some(at("2027-01-03T18:00:00Z")), "until is outside");
    assert_eq!(
        slots.next_run(at("2026-11-28T18:00:00Z")),
        Some(at("2026-11-30T18:00:00Z")),
        "the 30th is the last day"
    );
    assert_eq!(hours("2026-12-10T00:00:00Z"), 24);
    assert_eq!(hours("2026-12-22T17:59:59Z"), 24);
    assert_eq!(hours("2026-12-22T18:00:00Z"), 12 * 24, "from the last slot before it");
    assert_eq!(hours("2027-01-01T00:00:00Z"), 12 * 24);
    assert_eq!(hours("2027-01-03T18:00:30Z"), 12 * 24, "while its window may run");
    assert_eq!(hours("2027-01-04T18:00:30Z"), 24);
}

#[test]
fn a_suspended_schedule_has_slots_but_none_that_runs() {
    let slots = slots("cron: \"@hourly\", suspend: true");
    let now = "2026-12-22T18:00:00Z".parse().unwrap();
    assert!(slots.next(now).is_some());
    assert_eq!((slots.next_run(now), slots.expected_interval(now)), (None, None));
}

#[test]
fn blackouts_without_end_are_not_searched_without_end() {
    let mut slots = slots("cron: \"*/15 * * * *\", blackouts: [{from: 2020-01-01, until: 2099-01-01}]");
    let now = "2026-12-22T18:00:00Z".parse().unwrap();
    assert_eq!(slots.next_run(now), Some("2099-01-01T00:00:00Z".parse().unwrap()));
    slots.blackouts = vec![stillpoint::slots::Blackout::Every {
        cron: Box::new(stillpoint::slots::Cron::parse("0 * * * *").unwrap()),
        length: Duration::from_secs(3600),
    }];
    assert_eq!(slots.next_run(now), None);
}
