//! Results on standard output: a table for people, JSON or YAML for scripts.

use crate::config::Group;
use comfy_table::{Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::io::Write;

/// `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
    Yaml,
}

impl Format {
    /// Prints a value: as it is for scripts, as text for people.
    ///
    /// # Errors
    /// Standard output cannot be written, for another reason than that its reader has gone.
    pub fn print<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        let printed = match self {
            Self::Table => text(value),
            Self::Json => serde_json::to_string(value)? + "\n",
            Self::Yaml => serde_yaml::to_string(value)?,
        };
        match emit(&printed) {
            // `| head` has read what it wanted.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            printed => Ok(printed?),
        }
    }

    /// A line for people while something goes on; nothing for scripts.
    pub fn tell(self, line: impl std::fmt::Display) {
        if self == Self::Table {
            // Whoever reads it may be gone; what goes on does not depend on it.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }
}

/// Writes to standard output, at once.
///
/// # Errors
/// The system's own; a reader that has gone is a broken pipe.
pub fn emit(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Tells on standard error why something is not as asked for. Whoever would read it may be gone.
pub fn complain(why: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "stillpoint: {why}");
}

/// Columns under a heading, as kubectl prints them.
#[must_use]
pub fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(heading);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// The group's time zone; UTC without a schedule.
#[must_use]
pub fn zone(group: Option<&Group>) -> TimeZone {
    group.map_or(TimeZone::UTC, Group::time_zone)
}

/// An instant in UTC, to the second: for columns.
#[must_use]
pub fn short(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// An instant in UTC and in the group's zone; to the millisecond, unless it is a whole second.
#[must_use]
pub fn instant(at: Timestamp, zone: &TimeZone) -> String {
    let form = if at.subsec_nanosecond() == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.3f" };
    let utc = format!("{} UTC", at.strftime(form));
    match zone.iana_name() {
        Some("UTC") | None => utc,
        Some(name) => format!("{utc} ({} {name})", at.to_zoned(zone.clone()).strftime(form)),
    }
}

/// What stands where there is nothing.
pub const NOTHING: &str = "-";

/// A value, or the sign for none.
#[must_use]
pub fn or_nothing(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| value.to_string())
}
