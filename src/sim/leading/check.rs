//! The promises, checked against what was really true.

use super::catalog::Op;
use super::lease::Listed;
use super::members::{Arriving, drive_of};
use super::{Happening, World};
use crate::domain::Verdict;
use crate::sim::check::may_be_closed;
use crate::window::{Call, Effect, Event, Phase};
use std::time::Duration;

impl World {
    /// What a replica believes of its leadership has changed: no two may trust theirs at one moment. A person who
    /// writes over the lease can bring it about.
    pub(super) fn check_trust(&mut self, process: usize, newly: bool) {
        let leads = |index: &usize| self.processes[*index].leads(self.now);
        if !leads(&process) || !(0..self.processes.len()).any(|other| other != process && leads(&other)) {
            return;
        }
        self.report.two_leaders += u32::from(newly);
        if !self.forced() {
            self.object(format!("p{process} and another replica trust at one moment that they lead"));
        }
    }

    /// A window is begun: it is the only one of its slot, and of the group.
    pub(super) fn check_begun(&mut self, process: usize, slot: u32) {
        let mut earlier = self.begun.iter().rev().skip(1).filter(|begun| begun.slot == slot);
        if earlier.any(|begun| begun.told.is_some()) {
            self.report.slots_run_again += 1;
            if !self.lost_changes {
                return self.object(format!("slot {slot} runs again, although a window of it is consistent"));
            }
        }
        if !self.processes[process].drives.is_empty() {
            return self.object("a group is in two windows of one epoch");
        }
        let beside = |index: usize| {
            let drive = &self.drives[index];
            drive.process != process
                && self.processes[drive.process].leads(self.now)
                && drive.window.unpause_started().is_none()
                && !drive.window.finished()
        };
        if !self.forced() && (0..self.drives.len()).any(beside) {
            self.object("two windows of the group run in two processes that lead");
        }
    }

    /// Each journal that is open is recovered, and there is one at most.
    pub(super) fn check_open(&mut self, open: &[(usize, u32, Vec<Event>)]) {
        if open.len() > 1 && !self.lost_changes {
            self.object("two windows of the group are open in the catalog");
        }
    }

    pub(super) fn check_committed(&mut self, process: usize, op: &Op) {
        let opening = self.processes[process].term.map(|term| term.opening);
        if !matches!(op, Op::Open) && opening != Some(self.catalog.opening) {
            self.object(format!("p{process} changes a catalog that another process has opened since"));
        }
    }

    /// What leaves the lease is open.
    pub(super) fn check_struck(&mut self, before: &Listed, stands: &Listed) {
        let closed = |window: &usize| {
            let mut by = self.members.iter().filter_map(|member| member.gate.closed_by().and_then(drive_of));
            by.any(|drive| self.drives[drive].window_id == *window)
        };
        if !self.excused() && before.difference(stands).any(closed) {
            self.object("a window is struck from the lease while a member is closed by it");
        }
    }

    pub(super) fn check_step(&mut self, drive: usize, effects: &[Effect]) {
        let state = &mut self.drives[drive];
        let now = self.processes[state.process].clock.mono(self.now);
        if let Err(against) = state.witness.asks(now, &state.window, effects) {
            return self.object(against);
        }
        let pauses = effects.iter().any(|effect| matches!(effect, Effect::Send { call: Call::Pause { .. }, .. }));
        if pauses && now >= state.leads_until {
            return self.object("a pause is due although its process may not trust any more that it leads");
        }
        let witness = &state.witness;
        if let Some(first) = witness.first_pause
            && witness.first_unpause.is_none()
            && !self.processes[state.process].disturbed
            && now > first + state.window.plan().max_pause
            && state.window.live().iter().any(may_be_closed)
        {
            return self.object("max_pause passed without an unpause");
        }
        if !state.window.finished() && state.window.deadline().is_some_and(|at| at <= now) {
            self.object("the window wants to be woken in the past");
        }
    }

    /// A pause leaves: its intent stands in the catalog and on the lease, and nobody else's is still on its way.
    pub(super) fn check_pause(&mut self, arriving: &Arriving) {
        let super::members::Sender::Drive(drive) = arriving.sender else { return };
        let window = self.drives[drive].window_id;
        let open = self.catalog.windows.get(&window).is_some_and(|stored| stored.journal().open_intent());
        let listed = self.server.lease.as_ref().is_some_and(|lease| lease.listed.contains(&window));
        let another = |scheduled: &super::Scheduled| match &scheduled.what {
            Happening::Arrive(other) => {
                let pause = matches!(other.call, Call::Pause { .. });
                pause && other.process != arriving.process && !other.late
            }
            _ => false,
        };
        if self.forced() {
            return;
        }
        if !open && !self.lost_changes {
            self.object("a pause leaves without a durable intent that is open");
        }
        if !listed && !self.deleted {
            self.object("a pause leaves without its intent on the lease");
        }
        if !self.unwritten() && self.queue.iter().any(another) {
            self.object("a pause leaves while one of another process is still on its way");
        }
    }

    /// A pause arrives.
    pub(super) fn note_pause(&mut self, arriving: &Arriving, drive: usize) {
        self.pauses.push((self.now, arriving.member, drive));
        self.report.late_pauses += u32::from(arriving.late);
    }

    /// A person may have brought two leaders about: by a lease that nobody holds, written over the one that is there; or
    /// by deleting one that not all had seen since it was made.
    const fn forced(&self) -> bool {
        self.overwritten || self.deleted_soon
    }

    /// Neither the lease nor the catalog has it any more.
    const fn unwritten(&self) -> bool {
        self.lost_changes && self.deleted
    }

    /// A process led beside another, or was stopped while it sent a pause: what it then closes, the protocol cannot
    /// tell from what others close.
    fn excused(&self) -> bool {
        self.forced() || self.report.late_pauses > 0
    }

    /// The window has told how it ended, perhaps.
    pub(super) fn check_told(&mut self, drive: usize) {
        let state = &mut self.drives[drive];
        let consistent = state.window.outcome().is_some_and(|outcome| outcome.verdict == Verdict::Consistent);
        if !consistent || state.concluded {
            return;
        }
        state.concluded = true;
        let (window, recovered, phase) = (state.window_id, state.recovered, state.window.durable().phase);
        self.begun[window].told = Some(self.now);
        if recovered || phase != Phase::Closed {
            return self.object("a restore point of a window that a process died over, or before its verdict");
        }
        self.check_point(drive);
    }

    fn check_point(&mut self, drive: usize) {
        let Some(outcome) = self.drives[drive].window.outcome().cloned() else { return };
        let (Some(point), Some(quiet)) = (outcome.restore_point, outcome.quiet) else {
            return self.object("a consistent window without a restore point");
        };
        let state = &self.drives[drive];
        let process = &self.processes[state.process];
        let (clock, hold) = (process.clock, state.window.plan().hold);
        if let Some(against) = state.witness.against_point(hold, process.disturbed) {
            return self.object(against);
        }
        if quiet.length() + Duration::from_millis(250) < hold {
            return self.object("the quiet interval is shorter than the hold");
        }
        let proven = state.witness.proven();
        self.check_quiet(drive, clock.at_wall(point), clock.at_wall(point + Duration::from_secs(1)));
        if let Some((from, until)) = proven {
            self.check_quiet(drive, clock.at(from), clock.at(until));
        }
    }

    fn check_quiet(&mut self, drive: usize, start: Duration, end: Duration) {
        for member in 0..self.members.len() {
            let spans: Vec<_> = self.truth.active_within(member, start, end).collect();
            for (from, until) in spans {
                let mut pauses = self.pauses.iter();
                let ours =
                    pauses.any(|(at, which, by)| *which == member && *by != drive && (from..=until).contains(at));
                if self.truth.flapped(member, (from, until)) {
                    self.report.foreign_flaps += 1;
                } else if ours && self.excused() {
                    self.report.leaders_flaps += 1;
                } else {
                    self.object(format!("transactions could run on member {member} in a quiet interval"));
                }
            }
        }
    }

    /// The members that our windows keep closed.
    fn closed(&self) -> impl Iterator<Item = (usize, usize)> {
        let members = self.members.iter().enumerate();
        members.filter_map(|(index, member)| Some((index, member.gate.closed_by().and_then(drive_of)?)))
    }

    pub(super) fn note_death(&mut self, process: usize) {
        if self.died.is_none() && self.closed().any(|(_, drive)| self.drives[drive].process == process) {
            self.died = Some(self.now);
        }
    }

    pub(super) fn open_after_death(&mut self) {
        if let Some(died) = self.died
            && self.closed().next().is_none()
        {
            self.died = None;
            self.report.open_after_death = self.report.open_after_death.max(Some(self.now - died));
        }
    }

    /// A person opens what was left closed, where the protocol cannot show it to us.
    pub(super) fn sweep(&mut self) {
        if !self.processes.iter().filter(|process| process.alive).all(super::process::Process::idle) {
            return;
        }
        let closed: Vec<_> = self.closed().collect();
        for (member, _) in closed {
            self.report.left_closed += 1;
            if !self.excused() && !self.unwritten() {
                self.object(format!("member {member} was left closed by us"));
            }
            self.foreign_unpause(member);
        }
    }

    pub(super) fn check_end(&mut self) {
        if self.closed().next().is_some() {
            self.object("a member was left closed by us");
        }
        if !(0..self.processes.len()).any(|process| self.processes[process].leads(self.now)) {
            self.object("nobody leads");
        }
        let mut consistent = std::collections::BTreeSet::new();
        for (window, stored) in &self.catalog.windows {
            let journal = stored.journal();
            let Some(outcome) = &journal.outcome else {
                if self.lost_changes {
                    self.report.lost_ends += 1;
                } else {
                    self.broken.push(format!("window {window} stands at {:?} for ever", journal.phase));
                }
                continue;
            };
            *self.report.verdicts.entry(outcome.verdict).or_default() += 1;
            if outcome.verdict == Verdict::Consistent && !consistent.insert(stored.slot) {
                self.broken.push(format!("two windows of slot {} are consistent", stored.slot));
            }
        }
    }
}
