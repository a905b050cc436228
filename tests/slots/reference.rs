//! Ten years of slots in ten zones, compared with a reference that looks at every minute.
//!
//! The reference has the zones from chrono-tz (the program from jiff), the expressions as closures (the program from
//! croner), and the rule in other words: it writes down what the zone's clock shows in each minute of UTC, and looks a
//! civil time up in that list.

use chrono::{Datelike, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;
use jiff::Timestamp;

/// A minute on a clock on the wall.
struct Wall {
    month: u32,
    day: u32,
    /// The last day of its month.
    last: bool,
    /// From Sunday.
    weekday: u32,
    hour: i64,
    minute: i64,
}

type Names = fn(&Wall) -> bool;

struct Case {
    cron: &'static str,
    names_hours: bool,
    names: Names,
}

const fn named(cron: &'static str, names: Names) -> Case {
    Case { cron, names_hours: true, names }
}

const fn any(cron: &'static str, names: Names) -> Case {
    Case { cron, names_hours: false, names }
}

const CASES: &[Case] = &[
    named("0 3 * * *", |t| t.hour == 3 && t.minute == 0),
    named("30 2 * * *", |t| t.hour == 2 && t.minute == 30),
    named("15 1 * * *", |t| t.hour == 1 && t.minute == 15),
    named("*/20 2 * * *", |t| t.hour == 2 && t.minute % 20 == 0),
    named("0,45 0,2,23 * * *", |t| [0, 2, 23].contains(&t.hour) && [0, 45].contains(&t.minute)),
    named("10 0-5/2 * * *", |t| [0, 2, 4].contains(&t.hour) && t.minute == 10),
    named("30 1 * * SUN", |t| t.hour == 1 && t.minute == 30 && t.weekday == 0),
    named("30 2 * * 7", |t| t.hour == 2 && t.minute == 30 && t.weekday == 0),
    named("5 0 * * MON-WED,SAT", |t| t.hour == 0 && t.minute == 5 && [1, 2, 3, 6].contains(&t.weekday)),
    named("30 2 L * *", |t| t.hour == 2 && t.minute == 30 && t.last),
    named("0 0 29 2 *", |t| t.hour == 0 && t.minute == 0 && t.month == 2 && t.day == 29),
    named("30 2 13 * FRI", |t| t.hour == 2 && t.minute == 30 && (t.day == 13 || t.weekday == 5)),
    named("15 0 * * MON#2", |t| t.hour == 0 && t.minute == 15 && t.weekday == 1 && (8..15).contains(&t.day)),
    named("5 23 1,15 3,10,11 *", |t| {
        t.hour == 23 && t.minute == 5 && [1, 15].contains(&t.day) && [3, 10, 11].contains(&t.month)
    }),
    named("@daily", |t| t.hour == 0 && t.minute == 0),
    named("@weekly", |t| t.hour == 0 && t.minute == 0 && t.weekday == 0),
    named("@monthly", |t| t.hour == 0 && t.minute == 0 && t.day == 1),
    named("@yearly", |t| t.hour == 0 && t.minute == 0 && t.day == 1 && t.month == 1),
    any("@hourly", |t| t.minute == 0),
    any("15 */2 * * *", |t| t.hour % 2 == 0 && t.minute == 15),
    any("45 1-3,*/6 * * *", |t| ([1, 2, 3].contains(&t.hour) || t.hour % 6 == 0) && t.minute == 45),
    any("20 * * * SAT,SUN", |t| t.minute == 20 && [0, 6].contains(&t.weekday)),
];

/// Looked at only around the shifts of a clock: there are too many.
const DENSE: &[Case] = &[
    any("*/15 * * * *", |t| t.minute % 15 == 0),
    any("* */3 * * *", |t| t.hour % 3 == 0),
    named("* 0-3 * * *", |t| t.hour <= 3),
];

const YEARS: i32 = 10;
/// Left out at either end: what lies there may depend on what lies beyond.
const EDGE: i64 = 3 * 1440;
const AROUND: i64 = 2 * 1440;

/// What a clock on the wall shows in each minute of ten years.
struct Clock {
    /// The first minute, since 1970 in UTC.
    begin: i64,
    /// The minute on the wall, since 1970 on the wall.
    shown: Vec<i64>,
    /// The latest minute shown by then.
    latest: Vec<i64>,
    /// The days on the wall, from the first one shown.
    first_day: i64,
    days: Vec<(u32, u32, bool, u32)>,
}

impl Clock {
    fn new(zone: Tz, year: i32) -> Self {
        let minute = |year| {
            NaiveDate::from_ymd_opt(year, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp() / 60
        };
        let (begin, end) = (minute(year), minute(year + YEARS));
        let offset = |minute: i64| {
            let utc = chrono::DateTime::from_timestamp(minute * 60, 0).unwrap().naive_utc();
            i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
        };
        let shown: Vec<i64> = (begin..end).map(|minute| (minute * 60 + offset(minute)).div_euclid(60)).collect();
        let mut latest = shown.clone();
        for index in 1..latest.len() {
            latest[index] = latest[index].max(latest[index - 1]);
        }
        let first_day = shown[0].div_euclid(1440) - 1;
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        let days = (first_day..first_day + 366 * i64::from(YEARS) + 5).map(|day| {
            let date = epoch + chrono::Duration::days(day);
            let last = date.succ_opt().unwrap().month() != date.month();
            (date.month(), date.day(), last, date.weekday().num_days_from_sunday())
        });
        Self { begin, latest, first_day, days: days.collect(), shown }
    }

    fn wall(&self, minute: i64) -> Wall {
        let index = usize::try_from(minute.div_euclid(1440) - self.first_day).unwrap();
        let (month, day, last, weekday) = self.days[index];
        let of_day = minute.rem_euclid(1440);
        Wall { month, day, last, weekday, hour: of_day / 60, minute: of_day % 60 }
    }

    /// The slots between two indices, in minutes since 1970.
    fn slots(&self, case: &Case, from: usize, until: usize) -> Vec<i64> {
        let utc = |index: usize| self.begin + i64::try_from(index).unwrap();
        let mut found: Vec<i64> = if case.names_hours {
            // Every civil minute once, whether there was one or not: when was the clock there, or beyond, first?
            let (first, last) = (self.latest[from] - AROUND, self.latest[until - 1]);
            let civil = (first.max(self.latest[0] + 1)..=last).filter(|minute| (case.names)(&self.wall(*minute)));
            civil.map(|minute| utc(self.latest.partition_point(|latest| *latest < minute))).collect()
        } else {
            (from..until).filter(|index| (case.names)(&self.wall(self.shown[*index]))).map(utc).collect()
        };
        found.dedup();
        found.retain(|slot| (utc(from)..utc(until)).contains(slot));
        found
    }

    /// The indices at which the clock is shifted.
    fn shifts(&self) -> Vec<usize> {
        (1..self.shown.len()).filter(|index| self.shown[*index] != self.shown[index - 1] + 1).collect()
    }
}

fn compare(zone: Tz, clock: &Clock, case: &Case, from: usize, until: usize) -> usize {
    let expected = clock.slots(case, from, until);
    let slots = crate::of(case.cron, zone.name());
    let instant = |index: usize| Timestamp::from_second((clock.begin + i64::try_from(index).unwrap()) * 60).unwrap();
    let before = instant(from).checked_sub(std::time::Duration::from_secs(1)).unwrap();
    let found = slots.after(before).map(|slot| slot.at).take_while(|slot| *slot < instant(until));
    let found: Vec<i64> = found.map(|slot| slot.as_second()).collect();
    let expected: Vec<i64> = expected.iter().map(|minute| minute * 60).collect();
    if found != expected {
        let at = found.iter().zip(&expected).take_while(|(found, expected)| found == expected).count();
        let tell = |slots: &[i64]| slots.get(at).map(|slot| Timestamp::from_second(*slot).unwrap().to_string());
        panic!("{} in {}: slot {at} is {:?}, expected {:?}", case.cron, zone.name(), tell(&found), tell(&expected));
    }
    found.len()
}

fn ten_years(zone: Tz, year: i32, least_shifts: usize) {
    let clock = Clock::new(zone, year);
    let shifts = clock.shifts();
    assert!(shifts.len() >= least_shifts, "{} had {} shifts only", zone.name(), shifts.len());
    let edge = usize::try_from(EDGE).unwrap();
    let all: usize = CASES.iter().map(|case| compare(zone, &clock, case, edge, clock.shown.len() - edge)).sum();
    let around = usize::try_from(AROUND).unwrap();
    let inside = shifts.iter().filter(|shift| **shift > 2 * edge && **shift + 2 * edge < clock.shown.len());
    let dense: usize = inside
        .flat_map(|shift| {
            DENSE.iter().map({
                let clock = &clock;
                move |case| compare(zone, clock, case, *shift - around, *shift + around)
            })
        })
        .sum();
    println!(
        "{}: {} shifts, {all} slots of {} expressions, {dense} around shifts",
        zone.name(),
        shifts.len(),
        CASES.len()
    );
}

macro_rules! zones {
    ($($name:ident: $zone:ident from $year:literal with $shifts:literal;)+) => {
        $(#[test] fn $name() { ten_years(Tz::$zone, $year, $shifts); })+
    };
}

zones! {
    berlin_goes_by_the_rule: Europe__Berlin from 2015 with 20;
    new_york_goes_by_the_rule: America__New_York from 2015 with 20;
    lord_howe_shifts_by_half_an_hour: Australia__Lord_Howe from 2015 with 20;
    sao_paulo_shifts_at_midnight_and_then_no_more: America__Sao_Paulo from 2012 with 14;
    casablanca_changed_its_rule_and_pauses_for_ramadan: Africa__Casablanca from 2012 with 30;
    apia_left_a_day_out: Pacific__Apia from 2008 with 16;
    havana_shifts_back_from_one_to_midnight: America__Havana from 2015 with 20;
    santiago_changed_its_rule_again_and_again: America__Santiago from 2010 with 15;
    tehran_is_half_an_hour_off_and_gave_up_shifting: Asia__Tehran from 2014 with 16;
    tokyo_never_shifts: Asia__Tokyo from 2015 with 0;
}
