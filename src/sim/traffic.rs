//! What travels in the world: requests, replies, appends; and what the gates make of them.

use super::faults::Fault;
use super::gate::{Entry, PauseOutcome};
use super::world::{COPY, Fate, Happening, World};
use crate::domain::{Code, Reason};
use crate::scalar::{Answer, Failure, FailureKind};
use crate::window::{Call, Effect, Event, Input, Line, MARGIN, Window};
use std::time::Duration;

impl World {
    pub(super) fn carry_out(&mut self, process: usize, effect: Effect) {
        match effect {
            Effect::Send { request, member, call, deadline, line } => {
                self.send(process, request, member, call, (deadline, line));
            }
            Effect::Append { number, event } => self.append(process, number, event),
            Effect::TakeCensus => {
                let after = self.random.millis(1, 5);
                self.schedule(after, Happening::Census { process });
            }
            Effect::LookAtPods => self.look_at_pods(process),
            Effect::LookAtStores => self.look_at_stores(process),
        }
    }

    pub(super) fn send(
        &mut self,
        process: usize,
        request: u64,
        member: usize,
        call: Call,
        (deadline, line): (Duration, Line),
    ) {
        let fault = self.next_message.take();
        let there = self.members[member].life;
        let pause = matches!(call, Call::Pause { .. });
        let life = if line == Line::Same { self.processes[process].connected[member] } else { there };
        if life != there && self.random.once_in(2) {
            let lost = Answer::Failed(Failure { kind: FailureKind::Rejected, detail: "connection lost".into() });
            self.reply(process, member, request, lost, Fate::default());
            return;
        }
        let arrive = |fate| Happening::Arrive { process, member, life, request, call, fate };
        let mut travel = self.random.millis(1, 3);
        let mut times_out = pause || self.members[member].hung;
        match fault {
            Some(Fault::LostRequest) => {
                self.time_out(process, member, request, deadline);
                return;
            }
            Some(Fault::LateRequest) => {
                let drain = self.processes[process].window.plan().drain;
                travel = self.random.millis(3_000, 3_000.max(millis(drain + MARGIN)));
                times_out = true;
            }
            Some(Fault::DoubledRequest) => self.schedule(travel, arrive(Fate { lose: true, ..Fate::default() })),
            _ => {}
        }
        if times_out || fault.is_some() {
            self.time_out(process, member, request, deadline);
        }
        let fate = Fate {
            lose: fault == Some(Fault::LostReply),
            late: fault == Some(Fault::LateReply),
            twice: fault == Some(Fault::DoubledReply),
            answered: true,
        };
        self.schedule(travel, arrive(fate));
    }

    pub(super) fn time_out(&mut self, process: usize, member: usize, request: u64, deadline: Duration) {
        self.schedule(deadline, Happening::Deadline { process, member, request });
    }

    pub(super) fn append(&mut self, process: usize, number: u32, event: Event) {
        let written = self.random.millis(1, 4);
        let late = self.random.millis(2_500, 20_000);
        let (after, reply) = match self.next_append.take() {
            Some(Fault::AppendFails) => {
                self.schedule(written, Happening::AppendReply { process, number, written: false });
                return;
            }
            Some(Fault::AppendHangs) => {
                self.schedule(Duration::from_secs(10), Happening::AppendReply { process, number, written: false });
                return;
            }
            Some(Fault::AppendLies) => (written, Some(false)),
            Some(Fault::AppendLate) => (late, Some(true)),
            _ => (written, Some(true)),
        };
        self.schedule(after, Happening::Land { process, number, event: Box::new(event), reply });
    }

    pub(super) fn give(&mut self, process: usize, input: Input) {
        let process = &mut self.processes[process];
        if process.alive {
            process.inbox.push(input);
            process.dirty = true;
        }
    }

    pub(super) fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrive { member, life, process, request, fate, .. } if self.members[member].life != life => {
                if fate.answered {
                    self.give(process, Input::Reply { member, request, answer: unknown("connection reset") });
                }
            }
            Happening::Arrive { member, .. } if self.members[member].hung => self.members[member].held.push_back(what),
            Happening::Arrive { process, member, request, call, fate, .. } => {
                self.serve(process, member, request, call, fate);
            }
            Happening::GateDue { member } => {
                self.members[member].gate_due = None;
                self.after_gate(member);
            }
            Happening::TransactionEnds { member, life } => {
                if self.members[member].life == life {
                    let now = self.now;
                    self.members[member].gate.end(now);
                    self.after_gate(member);
                }
            }
            Happening::Reply { process, member, request, answer } => {
                self.give(process, Input::Reply { member, request, answer });
            }
            Happening::Deadline { process, member, request } => {
                self.give(process, Input::Reply { member, request, answer: unknown("deadline") });
            }
            Happening::Land { process, number, event, reply } => self.land(process, number, *event, reply),
            Happening::AppendReply { process, number, written } => self.append_answered(process, number, written),
            Happening::Census { process } => self.census(process),
            Happening::Changed { process, member } => self.tell_change(process, member),
            Happening::Pods { process, answer } => self.tell_pods(process, answer),
            Happening::PodLeaves => self.pod_leaves(),
            Happening::LookAtStores { process } => self.stores_looked(process),
            Happening::Stores { process, found } => self.tell_stores(process, found),
            Happening::StoreDrifts { store, nanos, left } => self.drift_store(store, nanos, left),
            Happening::Tick { process } => {
                self.processes[process].tick_at = None;
                self.give(process, Input::Tick);
            }
            Happening::Wake { process } => {
                self.processes[process].stopped = false;
                self.give(process, Input::Tick);
            }
            Happening::Start => self.start(),
            Happening::Unhang { member } => self.unhang(member),
            Happening::Up { member } => {
                self.members[member].up = true;
                self.truth.note(self.now, member, self.members[member].active());
            }
            Happening::ForeignPause { member } => self.foreign_pause(member),
        }
    }

    pub(super) fn serve(&mut self, process: usize, member: usize, request: u64, call: Call, fate: Fate) {
        if !self.members[member].up {
            let refused = Answer::Failed(Failure { kind: FailureKind::Rejected, detail: "connection refused".into() });
            self.reply(process, member, request, refused, fate);
            return;
        }
        match call {
            Call::CheckPaused => {
                let now = self.now;
                self.members[member].gate.advance(now);
                let paused = self.members[member].gate.paused();
                self.processes[process].connected[member] = self.members[member].life;
                self.reply(process, member, request, Answer::Looked { paused }, fate);
            }
            Call::Unpause => {
                let now = self.now;
                self.members[member].gate.unpause(now);
                self.reply(process, member, request, Answer::Ok, fate);
            }
            Call::Pause { drain } => {
                self.some_traffic(member, drain);
                let limit = i64::try_from(drain.as_millis()).unwrap_or(i64::MAX);
                let (now, member_state) = (self.now, &mut self.members[member]);
                if fate.answered {
                    member_state.waiting.push((request, process, fate));
                }
                let id = if fate.answered { request } else { request | COPY };
                member_state.gate.pause(now, id, Some(limit));
            }
        }
        self.after_gate(member);
    }

    /// Open transactions for a pause to drain, since a member that is open is used.
    pub(super) fn some_traffic(&mut self, member: usize, drain: Duration) {
        let long = std::mem::take(&mut self.long_transaction);
        let count = if long { 1 } else { self.random.below(3) };
        for _ in 0..count {
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
        let admitted = self.members[member].gate.take_admitted();
        let life = self.members[member].life;
        for _ in 0..admitted {
            let lasts = self.random.millis(1, 30);
            self.schedule(lasts, Happening::TransactionEnds { member, life });
        }
        for (request, outcome) in self.members[member].gate.drain_outcomes() {
            let waiting = &mut self.members[member].waiting;
            if let Some(at) = waiting.iter().position(|waiting| waiting.0 == request) {
                let (_, process, fate) = waiting.swap_remove(at);
                self.reply(process, member, request, paused(outcome), fate);
            }
        }
        if let Some(due) = self.members[member].gate.next_deadline()
            && self.members[member].gate_due.is_none_or(|at| due < at)
            && !self.members[member].hung
        {
            self.members[member].gate_due = Some(due);
            self.schedule(due.saturating_sub(now), Happening::GateDue { member });
        }
        self.truth.note(now, member, self.members[member].active());
    }

    pub(super) fn reply(&mut self, process: usize, member: usize, request: u64, answer: Answer, fate: Fate) {
        if fate.lose {
            return;
        }
        let after = if fate.late { self.random.millis(500, 8_000) } else { self.random.millis(1, 3) };
        if fate.twice {
            let again = after + self.random.millis(1, 5_000);
            self.schedule(again, Happening::Reply { process, member, request, answer: answer.clone() });
        }
        self.schedule(after, Happening::Reply { process, member, request, answer });
    }

    pub(super) fn land(&mut self, process: usize, number: u32, event: Event, reply: Option<bool>) {
        let fenced = self.processes[process].epoch != self.epoch;
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let written = match self.journal.get(at) {
            Some(there) => *there == event,
            None if !fenced && at == self.journal.len() => {
                self.fold(&event);
                self.journal.push(event);
                true
            }
            None => false,
        };
        if let Some(told) = reply {
            self.append_answered(process, number, written && told && !fenced);
        }
    }

    pub(super) fn fold(&mut self, event: &Event) {
        if self.folds.len() == self.journal.len() + 1
            && let Some(mut next) = self.folds.last().cloned()
        {
            match next.apply(event) {
                Ok(()) => self.folds.push(next),
                Err(illegal) => self.truth.broken.push(format!("the journal does not fold: {illegal}")),
            }
        }
    }

    pub(super) fn append_answered(&mut self, process: usize, number: u32, written: bool) {
        let input =
            if written { Input::Appended { number } } else { Input::AppendFailed { number, error: "injected".into() } };
        self.give(process, input);
    }

    pub(super) fn census(&mut self, process: usize) {
        let mut found = self.processes[process].window.members().to_vec();
        self.census_spoilt |= self.census.is_some();
        let result = match self.census.take() {
            None if self.pods => self.pods_found(found),
            Some(Fault::CensusLost) => return,
            Some(Fault::CensusChanges) => {
                found.pop();
                Ok(found)
            }
            Some(_) => Err(Reason::new(Code::Discovery, "injected")),
            None => Ok(found),
        };
        self.give(process, Input::Census(result));
    }

    /// A new daemon: it takes the next epoch, and opens what the journal leaves open to doubt.
    pub(super) fn start(&mut self) {
        self.epoch += 1;
        let now = self.clock();
        match Window::recover(&self.journal, now) {
            Ok(Some(window)) => self.spawn(window),
            Ok(None) => {}
            Err(illegal) => self.truth.broken.push(format!("the journal does not fold: {illegal}")),
        }
    }

    pub(super) fn unhang(&mut self, member: usize) {
        self.members[member].hung = false;
        let mut held: Vec<Happening> = self.members[member].held.drain(..).collect();
        while !held.is_empty() {
            let next = held.swap_remove(self.random.index(held.len()));
            self.happen(next);
        }
        self.after_gate(member);
    }
}

pub(super) fn unknown(detail: &str) -> Answer {
    Answer::Failed(Failure { kind: FailureKind::Unknown, detail: detail.into() })
}

pub(super) fn paused(outcome: PauseOutcome) -> Answer {
    let kind = match outcome {
        PauseOutcome::Ok => return Answer::Ok,
        PauseOutcome::DrainTimeout => FailureKind::DrainTimeout,
        PauseOutcome::StillPaused => FailureKind::StillPausedByOther,
        PauseOutcome::GateOpen => FailureKind::GateOpened,
        PauseOutcome::InProgress => FailureKind::PauseInProgress,
        PauseOutcome::InvalidArgument => FailureKind::Rejected,
    };
    Answer::Failed(Failure { kind, detail: format!("{outcome:?}") })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
