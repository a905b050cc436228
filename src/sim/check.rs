//! The promises, checked at every step against what was really true.

use super::world::{EPOCH_SECONDS, FOREIGN, SimMember, World};
use crate::domain::Verdict;
use crate::window::{Call, Effect, Event, Journal, Outcome, Phase};
use std::time::Duration;

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

    pub fn note(&mut self, now: Duration, member: usize, state: &SimMember) {
        let active = state.up && (!state.gate.paused() || state.gate.outstanding() > 0);
        let log = &mut self.active[member];
        if log.last().is_none_or(|(_, was)| *was != active) {
            log.push((now, active));
        }
    }

    pub fn foreign_pause(&mut self, now: Duration, member: usize) {
        self.foreign_pauses[member].push(now);
    }

    /// Whether transactions could run on a member at any moment strictly inside the span.
    fn active_within(&self, member: usize, start: Duration, end: Duration) -> bool {
        let log = &self.active[member];
        log.iter().enumerate().any(|(index, (from, active))| {
            let until = log.get(index + 1).map_or(Duration::MAX, |next| next.0);
            *active && *from < end && until > start && *from != until
        })
    }

    fn foreign_within(&self, member: usize, start: Duration, end: Duration) -> bool {
        self.foreign_pauses[member].iter().any(|at| (start..=end).contains(at))
    }
}

impl World {
    pub(super) fn check_step(&mut self, index: usize, effects: &[Effect]) -> Result<(), Violation> {
        let now = self.now;
        for effect in effects {
            match effect {
                Effect::Send { call: Call::Pause { .. }, .. } => {
                    if !matches!(self.journal.first(), Some(Event::Intended { .. })) {
                        return Err(Violation::new("a pause left before its intent was durable"));
                    }
                    self.processes[index].first_pause.get_or_insert(now);
                }
                Effect::Send { call: Call::Unpause, member, .. } => self.check_unpause(index, *member)?,
                _ => {}
            }
        }
        if let Some(first) = self.processes[index].first_pause
            && self.processes[index].first_unpause.is_none()
            && !self.processes[index].disturbed
            && now > first + self.processes[index].window.plan().max_pause
            && self.processes[index].window.live().iter().any(|live| live.end.is_none())
        {
            return Err(Violation::new("max_pause passed without an unpause"));
        }
        self.check_journal(index)
    }

    fn check_unpause(&mut self, index: usize, member: usize) -> Result<(), Violation> {
        let now = self.now;
        let process = &mut self.processes[index];
        process.first_unpause.get_or_insert(now);
        if process.known_foreign[member] {
            return Err(Violation::new("a pause that was known to be someone else's was revoked"));
        }
        if process.first_pause.is_none() && !process.window.durable().open_intent() {
            return Err(Violation::new("an unpause without any pause or intent"));
        }
        Ok(())
    }

    fn check_journal(&mut self, index: usize) -> Result<(), Violation> {
        let process = &self.processes[index];
        let durable = process.window.durable();
        if process.epoch == self.epoch {
            let known = usize::try_from(durable.next).unwrap_or(usize::MAX);
            let folded = self.journal.get(..known).map(Journal::fold);
            if folded.is_none_or(|folded| folded.as_ref() != Ok(durable)) {
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
            let nanos = point.as_nanosecond() - i128::from(EPOCH_SECONDS) * 1_000_000_000 - i128::from(offset);
            let stores: Vec<i128> = self.store_offsets.iter().map(jiff::SignedDuration::as_nanos).collect();
            for store in stores.into_iter().chain([0]) {
                let start = Duration::from_nanos(u64::try_from(nanos - store).unwrap_or(0));
                self.check_quiet(start, start + Duration::from_secs(1))?;
            }
        }
        let length = quiet.length();
        let process = self.processes.last().map(|process| process.window.plan().hold).unwrap_or_default();
        if length + Duration::from_millis(250) < process {
            return Err(Violation::new(format!("the quiet interval of {length:?} is shorter than the hold")));
        }
        Ok(())
    }

    /// The daemon's clock may have been nudged inside the interval: the point must hold for every reading.
    fn offsets_while_closed(&self) -> Vec<i64> {
        let first = self.processes.first();
        let from = first.and_then(|process| process.first_pause).unwrap_or_default();
        let until = first.and_then(|process| process.first_unpause).unwrap_or_default();
        let next = |index: usize| self.wall_offsets.get(index + 1).map_or(Duration::MAX, |next| next.0);
        let in_force =
            self.wall_offsets.iter().enumerate().filter(|(index, (at, _))| *at < until && next(*index) > from);
        in_force.map(|(_, (_, offset))| *offset).collect()
    }

    fn check_quiet(&mut self, start: Duration, end: Duration) -> Result<(), Violation> {
        for member in 0..self.members.len() {
            if !self.truth.active_within(member, start, end) {
                continue;
            }
            if self.truth.foreign_within(member, start, end + Duration::from_secs(1)) {
                self.report.beyond_protocol = true;
            } else {
                return Err(Violation::new(format!("transactions could run on member {member} at the restore point")));
            }
        }
        Ok(())
    }
}

impl super::world::Process {
    fn acked_any(&self) -> bool {
        self.window.live().iter().any(|live| matches!(live.attempt, crate::window::Attempt::Acked { .. }))
    }
}
