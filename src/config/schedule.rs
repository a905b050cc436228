//! Cron expressions and time zones, checked with the scheduler's own parser.

use super::error::{self, Wrong};
use chrono::{DateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use std::time::Duration;

/// The shorthands, and the five fields they stand for: the scheduler wants fields.
const SHORTHANDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The fields in their order, with what each may hold.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0-59, *, lists, ranges, steps"),
    ("minute", "0-59, *, lists, ranges, steps"),
    ("hour", "0-23, *, lists, ranges, steps"),
    ("day of month", "1-31, *, L, lists, ranges, steps"),
    ("month", "1-12 or JAN-DEC, *, lists, ranges, steps"),
    ("day of week", "0-7 or SUN-SAT, *, lists, ranges, steps"),
];

/// A year that begins where the Gregorian calendar's 400 years do, so that "never" does not depend on today.
const SOME_YEAR: i32 = 2000;

/// Checks a cron expression and gives it back with shorthands spelled out and single spaces.
///
/// # Errors
/// What is wrong with it, naming the field.
pub fn cron(text: &str) -> Result<String, Wrong> {
    let text = text.trim();
    let spelled = if text.starts_with('@') {
        let names = SHORTHANDS.map(|(name, _)| name);
        match SHORTHANDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            Some((_, fields)) => fields,
            None => {
                let near = error::nearest(text, names);
                return Err(Wrong::new(format!("\"{text}\" is not a schedule"))
                    .expected(error::one_of(&names))
                    .nearest(near));
            }
        }
    } else {
        text
    };
    let fields: Vec<&str> = spelled.split_whitespace().collect();
    if !matches!(fields.len(), 5 | 6) {
        return Err(Wrong::new(format!("\"{text}\" has {} field{}", fields.len(), if fields.len() == 1 { "" } else { "s" }))
            .expected("five fields (minute, hour, day of month, month, day of week), or six with seconds in front, such as \"0 3 * * *\""));
    }
    for (field, (name, valid)) in fields.iter().zip(&FIELDS[FIELDS.len() - fields.len()..]) {
        check_field(field, name, valid)?;
    }
    let spelled = fields.join(" ");
    let parsed = parse(&spelled).map_err(|error| Wrong::new(format!("\"{text}\" is not a schedule: {error}")))?;
    let start = chrono_tz::UTC.with_ymd_and_hms(SOME_YEAR, 1, 1, 0, 0, 0).earliest();
    if start.is_none_or(|start| parsed.find_next_occurrence(&start, true).is_err()) {
        return Err(Wrong::new(format!("\"{text}\" never comes")).expected("a date that exists"));
    }
    Ok(spelled)
}

/// Parses what [`cron`] gave back.
///
/// # Errors
/// Those of the parser.
pub fn parse(spelled: &str) -> Result<Cron, croner::errors::CronError> {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build().parse(spelled)
}

fn check_field(field: &str, name: &str, valid: &str) -> Result<(), Wrong> {
    // The parser does not say which field it dislikes, so each is tried alone.
    let alone: Vec<&str> = FIELDS.iter().map(|(other, _)| if *other == name { field } else { "*" }).collect();
    match parse(&alone.join(" ")) {
        Ok(_) => Ok(()),
        Err(_) => Err(Wrong::new(format!("the {name} field \"{field}\" is wrong")).expected(valid)),
    }
}

/// The shortest time between two slots, looked for over a good year from an arbitrary start; none if there is at most one slot.
pub fn shortest_gap(spelled: &str, time_zone: Tz) -> Option<Duration> {
    let cron = parse(spelled).ok()?;
    let start = time_zone.with_ymd_and_hms(SOME_YEAR, 1, 1, 0, 0, 0).earliest()?;
    let end = start + TimeDelta::days(400);
    let slots: Vec<DateTime<Tz>> =
        cron.iter_from(start, croner::Direction::Forward).take(200).take_while(|slot| *slot < end).collect();
    slots.windows(2).filter_map(|pair| (pair[1] - pair[0]).to_std().ok()).min()
}

/// Reads an IANA time zone.
///
/// # Errors
/// That there is none of that name, with the nearest.
pub fn time_zone(text: &str) -> Result<Tz, Wrong> {
    text.parse::<Tz>().map_err(|_| {
        Wrong::new(format!("\"{text}\" is not a time zone"))
            .expected("an IANA name, such as UTC or Asia/Tokyo")
            .nearest(nearest_zone(text))
    })
}

/// Abbreviations that IANA does not have, and a place where each is used.
const ABBREVIATIONS: [(&str, &str); 8] = [
    ("JST", "Asia/Tokyo"),
    ("KST", "Asia/Seoul"),
    ("SGT", "Asia/Singapore"),
    ("IST", "Asia/Kolkata"),
    ("BST", "Europe/London"),
    ("CEST", "Europe/Berlin"),
    ("PST", "America/Los_Angeles"),
    ("EDT", "America/New_York"),
];

fn nearest_zone(text: &str) -> Option<String> {
    if let Some((_, zone)) = ABBREVIATIONS.iter().find(|(short, _)| short.eq_ignore_ascii_case(text)) {
        return Some((*zone).to_owned());
    }
    let names = || chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    let city = text.replace(' ', "_");
    let is_city = |name: &&str| name.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(&city));
    // Three letters are near to far too many others.
    let near = || if text.len() > 4 { error::nearest(text, names()) } else { None };
    names().find(is_city).map(str::to_owned).or_else(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorthands_and_spaces_are_spelled_out() {
        assert_eq!(cron("@daily").as_deref(), Ok("0 0 * * *"));
        assert_eq!(cron(" 0  3 * * MON-FRI ").as_deref(), Ok("0 3 * * MON-FRI"));
        assert_eq!(cron("*/20 * * * * *").as_deref(), Ok("*/20 * * * * *"));
    }

    #[test]
    fn a_leap_day_comes_and_a_thirtieth_of_february_does_not() {
        assert!(cron("0 0 29 2 *").is_ok());
        assert!(cron("0 0 30 2 *").is_err());
        assert!(cron("0 0 31 4,6,9,11 *").is_err());
    }

    #[test]
    fn the_shortest_gap_is_the_one_between_neighbours() {
        let seconds = |text: &str| shortest_gap(text, chrono_tz::UTC).map(|gap| gap.as_secs());
        assert_eq!(seconds("*/20 * * * * *"), Some(20));
        assert_eq!(seconds("0 3 * * *"), Some(86_400));
        assert_eq!(seconds("*/25 * * * *"), Some(600));
        assert_eq!(seconds("0 0 1 1 *"), Some(366 * 86_400));
    }
}
