//! `schedule`: the next slots.

use super::Exit;
use super::output::{Format, NOTHING, short, table, zone};
use crate::config::Group;
use crate::daemon::schedule::next_slot;
use crate::engine::Clock;
use serde::Serialize;

#[derive(Serialize)]
struct Row {
    group: String,
    slot: Option<jiff::Timestamp>,
    local: Option<String>,
    time_zone: Option<String>,
}

/// Prints the next slots of each group, in UTC and in the group's zone.
pub fn schedule<'a>(groups: impl Iterator<Item = &'a Group>, next: usize, output: Format) -> Exit {
    let now = Clock::start().now().wall;
    let mut rows = Vec::new();
    for group in groups {
        let Some(schedule) = &group.schedule else {
            rows.push(Row { group: group.name.clone(), slot: None, local: None, time_zone: None });
            continue;
        };
        let zone = zone(Some(group));
        let slots = std::iter::successors(next_slot(schedule, now), |slot| next_slot(schedule, *slot));
        rows.extend(slots.take(next).map(|slot| Row {
            group: group.name.clone(),
            slot: Some(slot),
            local: Some(slot.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S").to_string()),
            time_zone: Some(schedule.time_zone.name().to_owned()),
        }));
    }
    let printed = output.print(&rows, |rows| {
        let nothing = || NOTHING.to_owned();
        let lines = rows.iter().map(|row| {
            let utc = row.slot.map_or_else(nothing, short);
            let zone = row.time_zone.clone().unwrap_or_else(nothing);
            vec![row.group.clone(), utc, row.local.clone().unwrap_or_else(nothing), zone]
        });
        table(&["GROUP", "SLOT (UTC)", "LOCAL", "TIME ZONE"], lines)
    });
    if printed.is_ok() { Exit::Good } else { Exit::Failed }
}
