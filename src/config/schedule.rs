//! Cron expressions and time zones, checked with the scheduler's own parser.

use super::error::{self, Wrong};
use crate::slots::{self, Cron};
use jiff::civil::date;
use jiff::tz::TimeZone;
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
const SOME_YEAR: i16 = 2000;

/// Checks a cron expression, and parses it with shorthands spelled out and single spaces.
///
/// # Errors
/// What is wrong with it, naming the field.
pub fn cron(text: &str) -> Result<Cron, Wrong> {
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
    let parsed = Cron::parse(&fields.join(" "));
    let parsed = parsed.map_err(|error| Wrong::new(format!("\"{text}\" is not a schedule: {error}")))?;
    if parsed.first(date(SOME_YEAR, 1, 1).at(0, 0, 0, 0)).is_none() {
        return Err(Wrong::new(format!("\"{text}\" never comes")).expected("a date that exists"));
    }
    Ok(parsed)
}

fn check_field(field: &str, name: &str, valid: &str) -> Result<(), Wrong> {
    // The parser does not say which field it dislikes, so each is tried alone.
    let alone: Vec<&str> = FIELDS.iter().map(|(other, _)| if *other == name { field } else { "*" }).collect();
    match Cron::parse(&alone.join(" ")) {
        Ok(_) => Ok(()),
        Err(_) => Err(Wrong::new(format!("the {name} field \"{field}\" is wrong")).expected(valid)),
    }
}

/// The shortest time between two slots where clocks are never shifted, looked for over a good year from an arbitrary
/// start; none if there is at most one slot.
pub fn shortest_gap(cron: &Cron) -> Option<Duration> {
    let start = date(SOME_YEAR, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC).ok()?.timestamp();
    let end = start + Duration::from_secs(400 * 86_400);
    let next = |slot: &jiff::Timestamp| cron.next(&TimeZone::UTC, *slot).filter(|slot| *slot < end);
    let slots: Vec<jiff::Timestamp> = std::iter::successors(Some(start), next).skip(1).take(200).collect();
    slots.windows(2).filter_map(|pair| pair[1].duration_since(pair[0]).try_into().ok()).min()
}

/// Reads an IANA time zone.
///
/// # Errors
/// That there is none of that name, with the nearest.
pub fn time_zone(text: &str) -> Result<TimeZone, Wrong> {
    slots::zone(text).ok_or_else(|| {
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
    let names = slots::zones();
    let names = || names.iter().map(String::as_str);
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
        let spelled = |text: &str| cron(text).map(|cron| cron.to_string());
        assert_eq!(spelled("@daily").as_deref(), Ok("0 0 * * *"));
        assert_eq!(spelled(" 0  3 * * MON-FRI ").as_deref(), Ok("0 3 * * MON-FRI"));
        assert_eq!(spelled("*/20 * * * * *").as_deref(), Ok("*/20 * * * * *"));
    }

    #[test]
    fn a_leap_day_comes_and_a_thirtieth_of_february_does_not() {
        assert!(cron("0 0 29 2 *").is_ok());
        assert!(cron("0 0 30 2 *").is_err());
        assert!(cron("0 0 31 4,6,9,11 *").is_err());
    }

    #[test]
    fn the_shortest_gap_is_the_one_between_neighbours() {
        let seconds = |text: &str| shortest_gap(&cron(text).unwrap()).map(|gap| gap.as_secs());
        assert_eq!(seconds("*/20 * * * * *"), Some(20));
        assert_eq!(seconds("0 3 * * *"), Some(86_400));
        assert_eq!(seconds("*/25 * * * *"), Some(600));
        assert_eq!(seconds("1 0 1 1 *"), Some(366 * 86_400));
    }
}
