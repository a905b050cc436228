//! Durations as people write them: `10s`, `1m30s`, `500ms`.

use super::error::Wrong;
use std::time::Duration;

/// The units, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// How people write a unit otherwise.
const OTHER_WORDS: [(&str, &str); 14] = [
    ("days", "d"),
    ("day", "d"),
    ("milliseconds", "ms"),
    ("millis", "ms"),
    ("msec", "ms"),
    ("seconds", "s"),
    ("second", "s"),
    ("secs", "s"),
    ("sec", "s"),
    ("minutes", "m"),
    ("minute", "m"),
    ("mins", "m"),
    ("min", "m"),
    ("hours", "h"),
];

/// Reads a duration: whole numbers with the units d, h, m, s, ms, each at most once, largest first.
///
/// # Errors
/// What is wrong with the text, with the nearest right spelling where it can be guessed.
pub fn parse(text: &str) -> Result<Duration, Wrong> {
    if let Some(milliseconds) = milliseconds(text) {
        return Ok(Duration::from_millis(milliseconds));
    }
    Err(Wrong::new(format!("\"{text}\" is not a duration"))
        .expected("whole numbers with units (d, h, m, s, ms), such as 10s, 1m30s or 500ms")
        .nearest(guess(text)))
}

fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = 0_u64;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let letters = &rest[digits..];
        let end = letters.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(letters.len());
        // Consuming the iterator is what keeps the units in order and each at most once.
        let (_, scale) = units.by_ref().find(|(unit, _)| *unit == &letters[..end])?;
        total = total.checked_add(number.checked_mul(*scale)?)?;
        rest = &letters[end..];
        if rest.is_empty() {
            return Some(total);
        }
    }
}

fn guess(text: &str) -> Option<String> {
    let mut plain: String = text.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    if !plain.is_empty() && plain.chars().all(|c| c.is_ascii_digit()) {
        return Some(format!("{plain}s"));
    }
    for (word, unit) in OTHER_WORDS {
        plain = plain.replace(word, unit);
    }
    milliseconds(&plain).map(|_| plain)
}

/// Writes a duration the way [`parse`] reads it; what is finer than a millisecond is cut off.
#[must_use]
pub fn write(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, scale) in UNITS {
        let number = rest / scale;
        rest %= scale;
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(milliseconds in 0_u64..=u64::MAX) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&write(duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_read_or_refused_with_a_remedy_and_never_panics(text in ".{0,24}") {
            if let Err(wrong) = parse(&text) {
                prop_assert!(wrong.expected.is_some());
            }
        }

        #[test]
        fn parts_add_up(h in 0_u64..100, m in 0_u64..1000, s in 0_u64..1000, ms in 0_u64..10_000) {
            let text = format!("{h}h{m}m{s}s{ms}ms");
            prop_assert_eq!(parse(&text), Ok(Duration::from_millis(((h * 60 + m) * 60 + s) * 1000 + ms)));
        }

        #[test]
        fn a_guess_is_itself_a_duration(number in 0_u64..10_000, word in "(s|sec|seconds| s| min|minutes|h|hours|MS|)") {
            if let Err(Wrong { nearest: Some(guess), .. }) = parse(&format!("{number}{word}")) {
                prop_assert!(parse(&guess).is_ok(), "{}", guess);
            }
        }
    }

    #[test]
    fn units_out_of_order_twice_or_unknown_are_refused() {
        for text in ["", "s", "10", "1s1m", "1s1s", "1.5s", "-1s", "1w", "1S", " 1s", "1s ", "99999999999999999999s"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
