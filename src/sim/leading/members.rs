//! The members, and the requests that reach them.

use super::{Armed, Fault, Happening, World};
use crate::scalar::{Answer, Failure, FailureKind};
use crate::sim::gate::{Entry, Gate};
use crate::sim::traffic::{paused, unknown};
use crate::sim::world::{COPY, FOREIGN};
use crate::window::{Call, Line, MARGIN};
use std::time::Duration;

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Drive(usize),
    Opener { process: usize, window: usize },
}

/// A request on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arriving {
    pub sender: Sender,
    pub process: usize,
    pub member: usize,
    pub life: u32,
    pub request: u64,
    pub call: Call,
    /// Nobody hears of what became of it.
    pub mute: bool,
    /// Its sender was stopped while it sent it.
    pub late: bool,
}

pub(super) struct SimMember {
    pub gate: Gate,
    pub life: u32,
    pub hung: bool,
    held: Vec<Arriving>,
    waiting: Vec<(u64, Arriving)>,
    pub gate_due: Option<Duration>,
}

impl SimMember {
    pub const fn new(gate: Gate) -> Self {
        Self { gate, life: 0, hung: false, held: Vec::new(), waiting: Vec::new(), gate_due: None }
    }
}

/// What a pause is called at the gate: whose it is can be told from it.
fn gate_id(drive: usize, request: u64) -> u64 {
    ((drive as u64) << 32) | request
}

/// Which window's pause it was.
pub(super) fn drive_of(id: u64) -> Option<usize> {
    (id < FOREIGN).then(|| usize::try_from((id & !COPY) >> 32).unwrap_or(usize::MAX))
}

impl World {
    /// A request leaves now; `late`: its bytes do only after so long.
    pub(super) fn send(&mut self, mut arriving: Arriving, line: Line, drain: Duration, late: Option<Duration>) {
        arriving.late = late.is_some();
        let Armed { message, .. } = &mut self.armed;
        let fault = message.take();
        let Arriving { sender, member, .. } = arriving;
        let there = self.members[member].life;
        arriving.life = match (line, sender) {
            (Line::Same, Sender::Drive(drive)) => self.drives[drive].connected[member],
            _ => there,
        };
        if arriving.life != there && self.random.once_in(2) {
            let lost = Answer::Failed(Failure { kind: FailureKind::Rejected, detail: "connection lost".into() });
            return self.reply(arriving, lost);
        }
        let mut travel = self.random.millis(1, 3) + late.unwrap_or_default();
        match fault {
            Some(Fault::LostRequest) => return,
            Some(Fault::LateRequest) => {
                let most = u64::try_from((drain + MARGIN).as_millis()).unwrap_or(u64::MAX);
                travel += self.random.millis(3_000, most.max(3_001));
                self.calm = self.calm.max(self.now + travel);
            }
            Some(Fault::DoubledRequest) => {
                self.schedule(travel, Happening::Arrive(Arriving { mute: true, ..arriving }));
            }
            Some(Fault::LostReply) => arriving.mute = true,
            _ => {}
        }
        self.schedule(travel, Happening::Arrive(arriving));
    }

    pub(super) fn arrive(&mut self, arriving: Arriving) {
        let Arriving { member, life, process, late, .. } = arriving;
        if late && !self.processes[process].alive {
            // What it had not sent died with it.
            return;
        }
        if self.members[member].life != life {
            return self.reply(arriving, unknown("connection reset"));
        }
        if self.members[member].hung {
            self.members[member].held.push(arriving);
            return;
        }
        self.serve(arriving);
    }

    fn serve(&mut self, arriving: Arriving) {
        let Arriving { sender, member, request, call, mute, .. } = arriving;
        let now = self.now;
        match (call, sender) {
            (Call::CheckPaused, _) => {
                self.members[member].gate.advance(now);
                let paused = self.members[member].gate.paused();
                if let Sender::Drive(drive) = sender {
                    self.drives[drive].connected[member] = self.members[member].life;
                }
                self.reply(arriving, Answer::Looked { paused });
            }
            (Call::Unpause, _) => {
                self.members[member].gate.unpause(now);
                self.reply(arriving, Answer::Ok);
            }
            (Call::Pause { drain }, Sender::Drive(drive)) => {
                self.note_pause(&arriving, drive);
                self.some_traffic(member, drain);
                let limit = i64::try_from(drain.as_millis()).unwrap_or(i64::MAX);
                let id = gate_id(drive, request) | if mute { COPY } else { 0 };
                self.members[member].waiting.push((id, arriving));
                self.members[member].gate.pause(now, id, Some(limit));
            }
            (Call::Pause { .. }, Sender::Opener { .. }) => {}
        }
        self.after_gate(member);
    }

    fn some_traffic(&mut self, member: usize, drain: Duration) {
        let long = self.faulty && self.random.once_in(40);
        for _ in 0..self.random.below(3) {
            if self.members[member].gate.begin() == Entry::Admitted {
                let lasts = if long { drain + self.random.millis(1, 3_000) } else { self.random.millis(1, 60) };
                let life = self.members[member].life;
                self.schedule(lasts, Happening::TransactionEnds { member, life });
            }
        }
    }

    /// Answers what the gate has decided, and notes what was true from here on.
    pub(super) fn after_gate(&mut self, member: usize) {
        let now = self.now;
        if !self.members[member].hung {
            self.members[member].gate.advance(now);
        }
        let life = self.members[member].life;
        for _ in 0..self.members[member].gate.take_admitted() {
            let lasts = self.random.millis(1, 30);
            self.schedule(lasts, Happening::TransactionEnds { member, life });
        }
        for (id, outcome) in self.members[member].gate.drain_outcomes() {
            let waiting = &mut self.members[member].waiting;
            if let Some(at) = waiting.iter().position(|waiting| waiting.0 == id) {
                let (_, arriving) = waiting.swap_remove(at);
                self.reply(arriving, paused(outcome));
            }
        }
        let state = &mut self.members[member];
        if let Some(due) = state.gate.next_deadline()
            && state.gate_due.is_none_or(|at| due < at)
            && !state.hung
        {
            state.gate_due = Some(due);
            self.schedule(due.saturating_sub(now), Happening::GateDue { member });
        }
        self.note(member);
    }

    fn note(&mut self, member: usize) {
        let gate = &self.members[member].gate;
        self.truth.note(self.now, member, !gate.paused() || gate.outstanding() > 0);
        self.open_after_death();
    }

    pub(super) fn restart(&mut self, member: usize) {
        let state = &mut self.members[member];
        state.life += 1;
        state.gate.restart();
        for (_, arriving) in std::mem::take(&mut state.waiting) {
            self.reply(arriving, unknown("connection reset"));
        }
        self.note(member);
    }

    pub(super) fn unhang(&mut self, member: usize) {
        self.members[member].hung = false;
        let mut held = std::mem::take(&mut self.members[member].held);
        while !held.is_empty() {
            let next = held.swap_remove(self.random.index(held.len()));
            self.arrive(next);
        }
        self.after_gate(member);
    }

    pub(super) fn foreign_pause(&mut self, member: usize) {
        if self.members[member].hung {
            return;
        }
        self.foreign_ids += 1;
        let (now, id) = (self.now, self.foreign_ids);
        self.truth.foreign_pause(now, member);
        self.members[member].gate.pause_at_once(now, id);
        self.after_gate(member);
    }
}
