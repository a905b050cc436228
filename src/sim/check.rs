//! The promises, checked at every step against what was really true.

use super::world::{BEGUN, EPOCH_SECONDS, FOREIGN, World};
use crate::domain::{Interval, StoreClock, Verdict};
use crate::window::{Attempt, Call, Effect, Event, Journal, Live, Outcome, Phase};
use jiff::SignedDuration;
use std::time::Duration;

/// The wall clock may move by this much, in nanoseconds, before that counts as a step.
const LARGEST_NUDGE: i64 = 100_000_000;
pub(super) const EPOCH_SECONDS_NANOS: i128 = EPOCH_SECONDS as i128 * 1_000_000_000;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(String);

impl Violation {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// What really happened at the members.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// A member: since when transactions could run on it, or could not any more.
    active: Vec<Vec<(Duration, bool)>>,
    foreign_pauses: Vec<Vec<Duration>>,
    pub broken: Vec<String>,
}

impl Truth {
    pub fn new(members: usize) -> Self {
        Self {
            active: vec![vec![(Duration::ZERO, true)]; members],
            foreign_pauses: vec![Vec::new(); members],
            broken: Vec::new(),
        }
    }

    pub fn note(&mut self, now: Duration, member: usize, active: bool) {
        let log = &mut self.active[member];
        if log.last().is_none_or(|(_, was)| *was != active) {
            log.push((now, active));
        }
    }

    pub fn foreign_pause(&mut self, now: Duration, member: usize) {
        self.foreign_pauses[member].push(now);
    }

    /// The spans, touching this one, in which transactions could run on a member.
    pub fn active_within(
        &self,
        member: usize,
        start: Duration,
        end: Duration,
    ) -> impl Iterator<Item = (Duration, Duration)> {
        let log = &self.active[member];
        let next = |index: usize| log.get(index + 1).map_or(Duration::MAX, |next| next.0);
        let spans = log.iter().enumerate().filter(|(_, (_, active))| *active);
        spans
            .map(move |(index, (from, _))| (*from, next(index)))
            .filter(move |(from, until)| *from < end && *until > start && from != until)
    }

    /// Whether someone else reopened a member and closed it again in this span: what no look could see.
    pub fn flapped(&self, member: usize, (from, until): (Duration, Duration)) -> bool {
        self.foreign_pauses[member].iter().any(|at| (from..=until).contains(at))
    }
}

impl World {
    pub(super) fn check_step(&mut self, index: usize, effects: &[Effect]) -> Result<(), Violation> {
        let now = self.now;
        let process = &mut self.processes[index];
        process.witness.asks(now, &process.window, effects).map_err(Violation::new)?;
        let intent = self.folds.last().is_some_and(Journal::open_intent);
        let process = &self.processes[index];
        let known = process.witness.first_pause.is_some() || process.window.durable().open_intent();
        for effect in effects {
            match effect {
                Effect::Send { call: Call::Pause { .. }, .. } if !intent => {
                    return Err(Violation::new("a pause left without a durable intent that is open"));
                }
                Effect::Send { call: Call::Unpause, .. } if !known => {
                    return Err(Violation::new("an unpause without any pause or intent"));
                }
                _ => {}
            }
        }
        if let Some(first) = self.processes[index].witness.first_pause
            && self.processes[index].witness.first_unpause.is_none()
            && !self.processes[index].disturbed
            && now > first + self.processes[index].window.plan().max_pause
            && self.processes[index].window.live().iter().any(may_be_closed)
        {
            return Err(Violation::new("max_pause passed without an unpause"));
        }
        self.check_journal(index)
    }

    /// A deadline that has passed would have the shell spin.
    pub(super) fn check_deadline(&self, index: usize) -> Result<(), Violation> {
        let window = &self.processes[index].window;
        let spins = !window.finished() && window.deadline().is_some_and(|at| at <= self.now);
        if spins { Err(Violation::new("the window wants to be woken in the past")) } else { Ok(()) }
    }

    fn check_journal(&mut self, index: usize) -> Result<(), Violation> {
        let process = &self.processes[index];
        let durable = process.window.durable();
        if process.epoch == self.epoch {
            let known = usize::try_from(durable.next).unwrap_or(usize::MAX);
            if self.folds.get(known) != Some(durable) {
                return Err(Violation::new("the durable state is not the fold of the journal"));
            }
        }
        if let Some(outcome) = process.window.outcome()
            && outcome.verdict == Verdict::Consistent
            && durable.phase != Phase::Closed
        {
            return Err(Violation::new("a restore point before its verdict"));
        }
        Ok(())
    }

    pub(super) fn check_end(&mut self) -> Result<(), Violation> {
        if let Some(broken) = self.truth.broken.first() {
            return Err(Violation::new(broken.clone()));
        }
        for (member, state) in self.members.iter().enumerate() {
            let ours = state.gate.closed_by().is_some_and(|id| id < FOREIGN);
            if ours && !self.abandoned.contains(&member) {
                return Err(Violation::new(format!("member {member} was left closed by us")));
            }
        }
        let journal = Journal::fold(&self.journal).map_err(|illegal| Violation::new(illegal.to_string()))?;
        if journal.phase != Phase::Closed && !(journal.phase == Phase::New && self.epoch > 0) {
            return Err(Violation::new(format!("the window stands at {:?} for ever", journal.phase)));
        }
        if let Some(outcome) = &journal.outcome {
            self.report.verdict = Some(outcome.verdict);
            self.report.restore_point = outcome.restore_point;
            self.report.reasons = outcome.reasons.iter().map(|reason| reason.code).collect();
            self.check_outcome(outcome)?;
        }
        Ok(())
    }

    fn check_outcome(&mut self, outcome: &Outcome) -> Result<(), Violation> {
        if outcome.verdict == Verdict::Refused && self.processes.iter().any(|process| process.acked_any()) {
            return Err(Violation::new("a refused window had paused something"));
        }
        let (Some(point), Some(quiet)) = (outcome.restore_point, outcome.quiet) else { return Ok(()) };
        let crashed = self.journal.iter().any(|event| matches!(event, Event::Interrupted { .. }));
        if crashed || self.epoch > 0 && self.processes.len() > 1 {
            return Err(Violation::new("a window that a process died over has a restore point"));
        }
        for offset in self.offsets_while_closed() {
            let nanos = point.as_nanosecond() - EPOCH_SECONDS_NANOS - i128::from(offset);
            let start = Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
            self.check_quiet(start, start + Duration::from_secs(1))?;
        }
        self.check_stores(point)?;
        self.check_point(point, quiet)
    }

    /// The point against what the process was told, and against the clocks as they were bounded.
    fn check_point(&mut self, point: jiff::Timestamp, quiet: Interval) -> Result<(), Violation> {
        let Some(process) = self.processes.last() else { return Ok(()) };
        let hold = process.window.plan().hold;
        if let Some(against) = process.witness.against_point(hold, process.disturbed) {
            return Err(Violation::new(against));
        }
        let opening = process.witness.first_unpause.unwrap_or(Duration::MAX);
        if self.pods_changed_before(opening) {
            return Err(Violation::new("a restore point although a pod joined, left or was replaced"));
        }
        if self.gap_told {
            return Err(Violation::new("a restore point although the watch had a gap"));
        }
        if self.census_spoilt {
            return Err(Violation::new("a restore point although the census after the window differed or failed"));
        }
        let offsets = self.offsets_while_closed();
        let watched = match process.witness.stores_told_at() {
            Some(told) => self.offsets_between(BEGUN, told),
            None => offsets.clone(),
        };
        let spread = watched.iter().max().zip(watched.iter().min()).map_or(0, |(most, least)| most - least);
        if spread > LARGEST_NUDGE {
            return Err(Violation::new("a restore point although the wall clock stepped"));
        }
        let nanos = |span: Duration| i128::try_from(span.as_nanos()).unwrap_or(i128::MAX);
        let (start, end) = (quiet.start.as_nanosecond(), quiet.end.as_nanosecond());
        let own =
            StoreClock { offset_low: SignedDuration::ZERO, offset_high: SignedDuration::ZERO, guard: Duration::ZERO };
        for clock in self.stores.clocks.iter().chain(process.witness.stores_after()).chain([&own]) {
            let (first, last) = (point.as_nanosecond(), point.as_nanosecond() + 1_000_000_000);
            let early = first - nanos(clock.guard) < start + clock.offset_high.as_nanos();
            if early || last + nanos(clock.guard) > end + clock.offset_low.as_nanos() {
                return Err(Violation::new("the restore point lies outside the quiet interval of a store"));
            }
        }
        if let Some((from, until)) = process.witness.proven() {
            let least = offsets.iter().min().copied().unwrap_or(0);
            let proven = EPOCH_SECONDS_NANOS + nanos(until) + i128::from(least);
            if point.as_nanosecond() + 1_000_000_000 > proven {
                return Err(Violation::new("the restore point lies after the last look"));
            }
            self.check_quiet(from, until)?;
        }
        if quiet.length() + Duration::from_millis(250) < hold {
            let length = quiet.length();
            return Err(Violation::new(format!("the quiet interval of {length:?} is shorter than the hold")));
        }
        Ok(())
    }

    /// The daemon's clock may have been nudged inside the interval: the point must hold for every reading.
    fn offsets_while_closed(&self) -> Vec<i64> {
        let first = self.processes.first();
        let from = first.and_then(|process| process.witness.first_pause).unwrap_or_default();
        let until = first.and_then(|process| process.witness.first_unpause).unwrap_or_default();
        self.offsets_between(from, until)
    }

    fn offsets_between(&self, from: Duration, until: Duration) -> Vec<i64> {
        let next = |index: usize| self.wall_offsets.get(index + 1).map_or(Duration::MAX, |next| next.0);
        let in_force =
            self.wall_offsets.iter().enumerate().filter(|(index, (at, _))| *at < until && next(*index) > from.max(*at));
        in_force.map(|(_, (_, offset))| *offset).collect()
    }

    pub(super) fn check_quiet(&mut self, start: Duration, end: Duration) -> Result<(), Violation> {
        for member in 0..self.members.len() {
            for span in self.truth.active_within(member, start, end) {
                if !self.truth.flapped(member, span) {
                    let what = format!("transactions could run on member {member} between {start:?} and {end:?}");
                    return Err(Violation::new(what));
                }
                self.report.beyond_protocol = true;
            }
        }
        Ok(())
    }
}

/// It is not done, and has not answered that its pause ended without closing it: that one is only looked at.
pub(super) const fn may_be_closed(live: &Live) -> bool {
    live.end.is_none() && !matches!(live.attempt, Attempt::Over { .. })
}

impl super::world::Process {
    fn acked_any(&self) -> bool {
        self.window.live().iter().any(|live| matches!(live.attempt, Attempt::Acked { .. }))
    }
}
