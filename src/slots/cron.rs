//! A cron expression: which civil times it names.

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, DateTime, Time};
use std::fmt;

/// No expression waits longer: the 29th of February on one weekday, over a century without a leap day, takes 40 years.
const MOST_DAYS: usize = 50 * 366;

/// A parsed cron expression: five fields, or six with seconds in front.
#[derive(Clone)]
pub struct Cron {
    spelled: String,
    parsed: croner::Cron,
    hours: u64,
    minutes: u64,
    seconds: u64,
    /// The hour field has no `*`.
    names_hours: bool,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.spelled == other.spelled
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.spelled, f)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelled)
    }
}

impl Cron {
    /// Parses fields that are parted by single spaces.
    ///
    /// # Errors
    /// Those of the parser.
    pub fn parse(spelled: &str) -> Result<Self, CronError> {
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        // The parser takes 7 for Sunday everywhere but here.
        let parsed = parser.parse(&spelled.replace("7L", "0L").replace("7l", "0L"))?;
        let mut fields = spelled.split(' ').rev();
        let hour = fields.nth(3).unwrap_or_default();
        let named = |most: u32, is_named: &dyn Fn(u32) -> Result<bool, CronError>| {
            (0..most)
                .filter(|value| matches!(is_named(*value), Ok(true)))
                .fold(0_u64, |named, value| named | (1 << value))
        };
        let pattern = &parsed.pattern;
        Ok(Self {
            hours: named(24, &|hour| pattern.hour_match(hour)),
            minutes: named(60, &|minute| pattern.minute_match(minute)),
            seconds: named(60, &|second| pattern.second_match(second)),
            names_hours: !hour.contains('*'),
            spelled: spelled.to_owned(),
            parsed,
        })
    }

    /// The expression.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.spelled
    }

    /// Whether its slots have an hour each, which makes them come exactly once: see the rule.
    #[must_use]
    pub const fn names_hours(&self) -> bool {
        self.names_hours
    }

    /// The first civil time at or after `from` that the expression names; none: it never comes.
    #[must_use]
    pub fn first(&self, from: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let mut earliest = from.time();
        for _ in 0..MOST_DAYS {
            if !self.names_month(date) {
                date = date.last_of_month();
            } else if self.names_day(date)
                && let Some(time) = self.first_time(earliest)
            {
                return Some(date.to_datetime(time));
            }
            date = date.tomorrow().ok()?;
            earliest = Time::midnight();
        }
        None
    }

    fn names_month(&self, date: Date) -> bool {
        matches!(self.parsed.pattern.month_match(u32::from(date.month().unsigned_abs())), Ok(true))
    }

    fn names_day(&self, date: Date) -> bool {
        let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
        matches!(self.parsed.pattern.day_match(i32::from(date.year()), u32::from(month), u32::from(day)), Ok(true))
    }

    fn first_time(&self, earliest: Time) -> Option<Time> {
        let of = |value: i8| u32::from(value.unsigned_abs());
        let (hour, minute, second) = (of(earliest.hour()), of(earliest.minute()), of(earliest.second()));
        let (first_minute, first_second) = (lowest(self.minutes, 0)?, lowest(self.seconds, 0)?);
        let later_minute = || lowest(self.minutes, minute + 1).map(|minute| (hour, minute, first_second));
        let later_hour = || lowest(self.hours, hour + 1).map(|hour| (hour, first_minute, first_second));
        let this_minute = || lowest(self.seconds, second).map(|second| (hour, minute, second));
        let has_hour = lowest(self.hours, hour) == Some(hour);
        let has_minute = lowest(self.minutes, minute) == Some(minute);
        let in_minute = if has_hour && has_minute { this_minute() } else { None };
        let in_hour = || if has_hour { later_minute() } else { None };
        let (hour, minute, second) = in_minute.or_else(in_hour).or_else(later_hour)?;
        let part = |value: u32| i8::try_from(value).ok();
        Time::new(part(hour)?, part(minute)?, part(second)?, 0).ok()
    }
}

/// The lowest member of a set at or above a value.
fn lowest(set: u64, from: u32) -> Option<u32> {
    let above = set.checked_shr(from)?;
    (above != 0).then(|| from + above.trailing_zeros())
}
