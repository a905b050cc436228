//! What becomes of a group's slots, decided from both clocks alone: no IO, and no clock of its own.
//!
//! The catalog has the last word: it gives each slot once. What is decided here may therefore be decided twice, which
//! it is when the wall clock is set back.

use crate::config::{Schedule, WindowSettings};
use crate::domain::{Code, Now, Reason};
use crate::slots::{Skip, Slots};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// A slot that is this far in the past when its turn comes was missed.
pub const LATE: Duration = Duration::from_secs(5);
/// How many slots that passed at once are recorded one by one: the newest.
pub const MOST_MISSED: usize = 1_000;

/// What becomes of a slot that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Missed(Reason),
    Skipped(Reason),
    /// It still runs, late.
    CaughtUp,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// These passed, oldest first.
    Passed(Vec<(Timestamp, Fate)>),
    /// The slot's lead has begun.
    Begin(Timestamp),
    /// The slot is planned; look again then, or sooner.
    Wait { slot: Timestamp, until: Timestamp },
    /// There is no further slot.
    Over,
}

/// What a process that is gone left of a group's slots.
#[derive(Debug, Clone, Default)]
pub struct Left {
    /// Those that it had planned, and begun no window for.
    pub planned: Vec<Timestamp>,
    /// The latest one up to now, whatever became of it.
    pub last: Option<Timestamp>,
    /// The schedule that planned, as [`Slots`] shows itself.
    pub schedule: Option<String>,
}

/// A group's slots, one after another.
#[derive(Debug, Clone)]
pub struct Agenda {
    schedule: Schedule,
    max_pause: Duration,
    /// The last slot that was decided, or the instant after which the next one is looked for.
    after: Timestamp,
    /// Both clocks at the last look.
    seen: Now,
}

impl Agenda {
    #[must_use]
    pub fn new(schedule: Schedule, window: &WindowSettings, now: Now) -> Self {
        Self { schedule, max_pause: window.max_pause, after: now.wall, seen: now }
    }

    /// Whether it goes by this schedule.
    #[must_use]
    pub fn follows(&self, schedule: &Schedule) -> bool {
        self.schedule == *schedule
    }

    /// What there is to do now.
    pub fn turn(&mut self, now: Now) -> Turn {
        let slept = self.slept(now);
        if now.wall + self.schedule.lead + LATE < self.after {
            // The clock was set back over slots. The catalog knows which of them have run.
            self.after = now.wall;
        }
        let late = now.wall - LATE;
        let passed = self.schedule.slots.passed(self.after, late, MOST_MISSED);
        if let Some(last) = passed.last() {
            self.after = *last;
            let reason = if slept {
                Reason::new(Code::Slept, "the computer slept over the slot, or its clock was set past it")
            } else {
                Reason::new(Code::Busy, "the group was still at the slot before it")
            };
            return Turn::Passed(self.fates(&passed, &reason, now.wall));
        }
        let Some(slot) = self.schedule.slots.next(self.after).map(|slot| slot.at) else { return Turn::Over };
        let skip = self.schedule.slots.skip(slot);
        let due = if skip.is_some() { slot } else { slot - self.schedule.lead };
        if now.wall < due {
            return Turn::Wait { slot, until: due };
        }
        self.after = slot;
        match skip {
            Some(skip) => Turn::Passed(vec![(slot, Fate::Skipped(reason(skip)))]),
            None => Turn::Begin(slot),
        }
    }

    /// The slots that passed while no daemon ran, oldest first. Since when another schedule than the one that planned is
    /// in force is not known: of those only the slot that was planned passed, and none if the old one was suspended.
    #[must_use]
    pub fn passed_without_daemon(&self, left: &Left, now: Timestamp) -> Vec<Timestamp> {
        let slots = &self.schedule.slots;
        let by = left.schedule.as_deref();
        let resumed = !slots.suspend && by == Some(&Slots { suspend: true, ..slots.clone() }.to_string());
        let mut passed: BTreeSet<Timestamp> =
            left.planned.iter().copied().filter(|slot| *slot <= now && !resumed).collect();
        // A slot is planned when the one before it is decided: if that one is still to come, none passed before it.
        let ahead = left.planned.iter().any(|slot| *slot > now);
        if let Some(last) = left.last.filter(|_| !ahead && by == Some(&slots.to_string())) {
            passed.extend(slots.passed(last, now, MOST_MISSED));
        }
        passed.into_iter().collect()
    }

    /// What becomes of slots that passed, oldest first. At most one of them still runs.
    #[must_use]
    pub fn fates(&self, passed: &[Timestamp], missed: &Reason, now: Timestamp) -> Vec<(Timestamp, Fate)> {
        let slots = &self.schedule.slots;
        let newest = passed.iter().rev().find(|slot| slots.skip(**slot).is_none());
        let caught_up = newest.filter(|slot| self.can_catch_up(**slot, now));
        let fate = |slot: &Timestamp| match slots.skip(*slot) {
            Some(skip) => Fate::Skipped(reason(skip)),
            None if Some(slot) == caught_up => Fate::CaughtUp,
            None => Fate::Missed(missed.clone()),
        };
        passed.iter().map(|slot| (*slot, fate(slot))).collect()
    }

    fn can_catch_up(&self, slot: Timestamp, now: Timestamp) -> bool {
        let schedule = &self.schedule;
        // A slot that is near is better than one that is late.
        let has_room =
            schedule.slots.next_run(now).is_none_or(|next| now + schedule.lead + self.max_pause < next - schedule.lead);
        schedule.catch_up && now < slot + schedule.starting_deadline && schedule.slots.skip(now).is_none() && has_room
    }

    /// Until when windows may be begun for a slot: for its starting deadline, but not into the next slot's lead.
    #[must_use]
    pub fn gives_up(schedule: &Schedule, slot: Timestamp) -> Timestamp {
        let deadline = slot + schedule.starting_deadline;
        schedule.slots.next_run(slot).map_or(deadline, |next| deadline.min(next - schedule.lead))
    }

    /// Whether the wall clock has gone further since the last look than the monotonic one, which does not count sleep.
    fn slept(&mut self, now: Now) -> bool {
        let went = Duration::try_from(now.wall.duration_since(self.seen.wall)).unwrap_or_default();
        let slept = went > now.mono.saturating_sub(self.seen.mono) + LATE / 2;
        self.seen = now;
        slept
    }
}

fn reason(skip: Skip) -> Reason {
    match skip {
        Skip::Suspended => Reason::new(Code::Suspended, "the schedule was suspended"),
        Skip::Blackout { until } => Reason::new(Code::Blackout, format!("a blackout covered the slot, until {until}")),
    }
}

#[cfg(test)]
#[path = "agenda_tests.rs"]
mod tests;
