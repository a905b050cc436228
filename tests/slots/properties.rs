//! What holds of every expression, zone and instant.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use std::time::Duration;
use stillpoint::slots::{Cron, Mark, month_of, zone, zones};

const DAY: i64 = 86_400;

fn a_zone() -> impl Strategy<Value = TimeZone> {
    let all: Vec<TimeZone> = zones().iter().filter_map(|name| zone(name)).collect();
    assert!(all.len() > 400, "{} zones", all.len());
    // The unusual ones often.
    let unusual = ["Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/Havana", "America/St_Johns"];
    let unusual: Vec<TimeZone> = unusual.iter().map(|name| zone(name).unwrap()).collect();
    prop_oneof![prop::sample::select(all), prop::sample::select(unusual)]
}

fn an_instant() -> impl Strategy<Value = Timestamp> {
    // 2000 to 2060.
    (946_684_800_i64..2_840_140_800, 0..1_000_000_000_i32)
        .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap())
}

fn an_expression() -> impl Strategy<Value = String> {
    let seconds = prop_oneof![Just(""), Just(""), Just(""), Just("0 "), Just("30 "), Just("*/20 ")];
    let minute = prop_oneof![
        Just("*".to_owned()),
        Just("*/15".to_owned()),
        Just("0,30".to_owned()),
        (0..60_u32).prop_map(|minute| minute.to_string())
    ];
    let hour = prop_oneof![
        Just("*".to_owned()),
        Just("*/2".to_owned()),
        Just("0-3".to_owned()),
        Just("1,*/5".to_owned()),
        (0..24_u32).prop_map(|hour| hour.to_string())
    ];
    let day = prop_oneof![Just("*"), Just("*"), Just("*"), Just("L"), Just("1"), Just("29"), Just("15W"), Just("1-7")];
    let month = prop_oneof![Just("*"), Just("*"), Just("*"), Just("3,10"), Just("2")];
    let weekday = prop_oneof![Just("*"), Just("*"), Just("SUN"), Just("5L"), Just("7L"), Just("MON#1")];
    (seconds, minute, hour, day, month, weekday).prop_map(|(seconds, minute, hour, day, month, weekday)| {
        format!("{seconds}{minute} {hour} {day} {month} {weekday}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn slots_strictly_increase_and_none_is_left_out(cron in an_expression(), zone in a_zone(), after in an_instant()) {
        let cron = Cron::parse(&cron).unwrap();
        let mut last = after;
        for _ in 0..40 {
            let Some(next) = cron.next(&zone, last) else { panic!("{cron} ends at {last}") };
            prop_assert!(next > last, "{} after {}", next, last);
            prop_assert_eq!(next.subsec_nanosecond(), 0);
            // From anywhere before it, it is the next one.
            let before = next - Duration::from_secs(1);
            prop_assert_eq!(cron.next(&zone, before.max(last)), Some(next));
            let between = last + Duration::try_from(next.duration_since(last)).unwrap() / 3;
            prop_assert_eq!(cron.next(&zone, between), Some(next));
            let shown = zone.to_datetime(next);
            let is_named = cron.first(shown) == Some(shown);
            prop_assert!(is_named || cron.names_hours(), "{cron} does not name {shown}");
            prop_assert_eq!(is_named, cron.mark(&zone, next) != Some(Mark::Skipped));
            prop_assert!(!cron.names_hours() || cron.mark(&zone, next) != Some(Mark::Second), "{next} is the second one");
            last = next;
        }
    }

    #[test]
    fn a_named_hour_comes_exactly_once_a_day(
        hour in 0_i8..24, minute in 0_i8..60, zone in a_zone(), start in an_instant()
    ) {
        // Where a whole day is left out, its midnight and the next one's are one slot.
        prop_assume!((hour, minute) != (0, 0));
        let cron = Cron::parse(&format!("{minute} {hour} * * *")).unwrap();
        let mut slot = cron.next(&zone, start).unwrap();
        let mut date = {
            // The slot's own date: one that a shift carried over midnight belongs to the day before.
            let shown = zone.to_datetime(slot);
            if cron.mark(&zone, slot) == Some(Mark::Skipped) && (shown.hour(), shown.minute()) < (hour, minute) {
                shown.date().yesterday().unwrap()
            } else {
                shown.date()
            }
        };
        for _ in 0..400 {
            let civil = date.at(hour, minute, 0, 0);
            let ambiguous = zone.to_ambiguous_timestamp(civil);
            match ambiguous.offset() {
                jiff::tz::AmbiguousOffset::Gap { .. } => {
                    prop_assert!(zone.to_datetime(slot) >= civil);
                    prop_assert!(zone.to_datetime(slot - Duration::from_secs(1)) < civil);
                }
                _ => prop_assert_eq!(slot, ambiguous.earlier().unwrap()),
            }
            date = date.tomorrow().unwrap();
            slot = cron.next(&zone, slot).unwrap();
        }
    }

    #[test]
    fn any_hour_goes_by_elapsed_time_where_clocks_shift_by_whole_hours(
        minute in 0_i64..60, name in prop::sample::select(vec![
            "Europe/Berlin", "America/New_York", "America/Santiago", "America/Havana", "Africa/Casablanca", "Asia/Tokyo",
            "Asia/Kathmandu", "Antarctica/Troll",
        ]),
        start in an_instant(),
    ) {
        let zone = zone(name).unwrap();
        let cron = Cron::parse(&format!("{minute} * * * *")).unwrap();
        let mut slot = cron.next(&zone, start).unwrap();
        // Over the next shift of the clock, if there is one.
        if let Some(shift) = zone.following(slot).next() {
            slot = cron.next(&zone, shift.timestamp() - Duration::from_secs(6 * 3600)).unwrap();
        }
        for _ in 0..12 {
            let next = cron.next(&zone, slot).unwrap();
            prop_assert_eq!(next.duration_since(slot).as_secs(), 3600);
            slot = next;
        }
    }

    #[test]
    fn the_newest_slots_that_passed_are_the_last_of_all_that_did(
        cron in prop::sample::select(vec!["*/10 * * * *", "0 3 * * *", "0 0 1 * *", "0 */5 * * MON"]),
        zone in a_zone(), until in an_instant(), back in 0..40 * DAY, most in 1_usize..30,
    ) {
        let mut slots = crate::of(cron, "UTC");
        slots.time_zone = zone;
        let after = until - Duration::from_secs(back.unsigned_abs());
        let all: Vec<Timestamp> = slots.after(after).map(|slot| slot.at).take_while(|slot| *slot <= until).collect();
        let newest = &all[all.len().saturating_sub(most)..];
        prop_assert_eq!(slots.passed(after, until, most), newest);
    }

    #[test]
    fn a_month_begins_on_its_first_day(zone in a_zone(), at in an_instant()) {
        let begin = month_of(&zone, at);
        prop_assert!(begin <= at);
        prop_assert_eq!(zone.to_datetime(begin).date(), zone.to_datetime(at).date().first_of_month());
        prop_assert!(zone.to_datetime(begin - Duration::from_secs(1)).date() < zone.to_datetime(begin).date()
            || zone.to_datetime(begin).time() == jiff::civil::Time::midnight());
    }
}
