//! `schedule`: the next slots, and what is special about each.

use super::Exit;
use super::output::{Format, NOTHING, complain, or_nothing, short, table};
use crate::config::{Group, write_duration};
use crate::engine::Clock;
use crate::slots::{Mark, Skip, Slot, Slots, instant};
use jiff::Timestamp;
use jiff::tz::Offset;
use serde::Serialize;
use std::time::Duration;

/// How far back the slot before the first one is looked for.
const BEFORE: Duration = Duration::from_secs(400 * 86_400);

/// A slot as scripts read it.
#[derive(Serialize)]
struct Row {
    group: String,
    slot: Option<Timestamp>,
    /// RFC 3339, with the offset that the zone has then.
    local: Option<String>,
    time_zone: Option<String>,
    runs: bool,
    /// `suspended` or `blackout`.
    skipped: Option<&'static str>,
    blackout_until: Option<Timestamp>,
    jitter_seconds: u64,
    /// `skipped`: the clock skips its time; `first`, `second`: its time comes twice.
    clock: Option<&'static str>,
    /// How far clocks were shifted since the slot before.
    shift_seconds: i32,
    #[serde(skip)]
    shown: String,
    #[serde(skip)]
    notes: Vec<String>,
}

/// Prints the next slots of each group, in UTC and in the group's zone.
pub fn schedule<'a>(
    groups: impl Iterator<Item = &'a Group>,
    next: usize,
    from: Option<&str>,
    output: Format,
) -> anyhow::Result<Exit> {
    let now = Clock::start().now().wall;
    let mut rows = Vec::new();
    for group in groups {
        let after = match from.map(|text| (text, instant(text, &group.time_zone(), false))) {
            None => now,
            // A slot at that instant is shown.
            Some((_, Some(from))) => from.checked_sub(Duration::from_nanos(1)).unwrap_or(from),
            Some((text, None)) => {
                complain(format_args!("{text} is not an instant, such as 2027-03-28 or 2027-03-28T00:00:00Z"));
                return Ok(Exit::Usage);
            }
        };
        let slots = group.schedule.as_ref().map(|schedule| &schedule.slots);
        let of_group: Vec<Row> = slots.map(|slots| of(&group.name, slots, after, next)).unwrap_or_default();
        if of_group.is_empty() {
            rows.push(none(group, if slots.is_some() { "no further slot" } else { "no schedule" }));
        }
        rows.extend(of_group);
    }
    output.print(&rows, |rows| {
        let lines = rows.iter().map(|row| {
            let utc = row.slot.map_or_else(|| NOTHING.to_owned(), short);
            let zone = or_nothing(row.time_zone.as_ref());
            vec![row.group.clone(), utc, row.shown.clone(), zone, row.notes.join("; ")]
        });
        table(&["GROUP", "SLOT (UTC)", "LOCAL", "TIME ZONE", "NOTES"], lines)
    })?;
    Ok(Exit::Good)
}

fn none(group: &Group, note: &str) -> Row {
    Row {
        group: group.name.clone(),
        slot: None,
        local: None,
        time_zone: None,
        runs: false,
        skipped: None,
        blackout_until: None,
        jitter_seconds: 0,
        clock: None,
        shift_seconds: 0,
        shown: NOTHING.to_owned(),
        notes: vec![note.to_owned()],
    }
}

fn of(group: &str, slots: &Slots, after: Timestamp, next: usize) -> Vec<Row> {
    let before = slots.passed(after.checked_sub(BEFORE).unwrap_or(Timestamp::MIN), after, 1);
    let mut offset = before.first().map(|slot| slots.time_zone.to_offset(*slot));
    let row = |slot: Slot| {
        let row = row(group, slots, slot, offset);
        offset = Some(slots.time_zone.to_offset(slot.at));
        row
    };
    slots.after(after).take(next).map(row).collect()
}

fn row(group: &str, slots: &Slots, slot: Slot, before: Option<Offset>) -> Row {
    let standing = slots.standing(slot);
    let jitter = Duration::try_from(slot.at.duration_since(slot.named)).unwrap_or_default();
    let skip = slots.skip(slot.at);
    let until = match skip {
        Some(Skip::Blackout { until }) => Some(until),
        Some(Skip::Suspended) | None => None,
    };
    let shift = before.map_or(0, |before| standing.offset.seconds() - before.seconds());
    let notes = [
        skip.map(|skip| match skip {
            Skip::Suspended => "suspended".to_owned(),
            Skip::Blackout { until } => format!("blackout until {} UTC", short(until)),
        }),
        standing.mark.map(|mark| {
            let note = match mark {
                Mark::Skipped => "clocks skip its time",
                Mark::First => "the first of two such times",
                Mark::Second => "the second of two such times",
            };
            note.to_owned()
        }),
        (shift != 0).then(|| {
            let direction = if shift > 0 { "forward" } else { "back" };
            let by = write_duration(Duration::from_secs(u64::from(shift.unsigned_abs())));
            format!("clocks went {direction} by {by}")
        }),
        (!jitter.is_zero()).then(|| format!("jitter {}", write_duration(jitter))),
    ];
    let local = slot.at.to_zoned(slots.time_zone.clone());
    Row {
        group: group.to_owned(),
        slot: Some(slot.at),
        local: Some(local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()),
        time_zone: slots.time_zone.iana_name().map(str::to_owned),
        runs: skip.is_none(),
        skipped: skip.map(|skip| match skip {
            Skip::Suspended => "suspended",
            Skip::Blackout { .. } => "blackout",
        }),
        blackout_until: until,
        jitter_seconds: jitter.as_secs(),
        clock: standing.mark.map(|mark| match mark {
            Mark::Skipped => "skipped",
            Mark::First => "first",
            Mark::Second => "second",
        }),
        shift_seconds: shift,
        shown: local.strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string(),
        notes: notes.into_iter().flatten().collect(),
    }
}
