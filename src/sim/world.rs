//! A world in virtual time: members with the measured rules, a journal, a daemon that may die, and a list of faults.

use super::check::{Truth, Violation};
use super::faults::{Fault, Planned};
use super::gate::{Flavour, Gate, PauseOutcome};
use super::random::Random;
use super::witness::Witness;
use crate::domain::{Evidence, Member, Now, StoreClock, Trigger};
use crate::scalar::{Answer, Failure, FailureKind};
use crate::window::{Call, Effect, Event, Input, Journal, MARGIN, Plan, State, Window};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

pub(super) const EPOCH_SECONDS: i64 = 1_900_000_000;
/// Foreign pauses carry ids from here on.
pub(super) const FOREIGN: u64 = 1 << 62;
/// The first copy of a doubled pause carries its id with this bit.
const COPY: u64 = 1 << 61;
/// After this much virtual time every window has long ended.
const LONGEST: Duration = Duration::from_secs(3_600);
const MOST_STEPS: u32 = 200_000;

/// What one run is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    pub seed: u64,
    pub clusters: usize,
    pub members: usize,
    pub faults: Vec<Planned>,
}

impl Setup {
    /// The window of this seed: three clusters of two or three members, and up to four faults.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(31));
        let steps = 10 + random.below(90);
        Self { seed, clusters: 3, members: 2 + random.index(2), faults: super::faults::plan(&mut random, 4, steps) }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub verdict: Option<crate::domain::Verdict>,
    pub steps: u32,
    /// Each fault with the state of the window that it met.
    pub met: Vec<(State, Fault)>,
    /// A foreign reopen and reclose that no look could see.
    pub beyond_protocol: bool,
}

#[derive(Debug)]
pub(super) enum Happening {
    Arrive { process: usize, member: usize, life: u32, request: u64, call: Call, fate: Fate },
    GateDue { member: usize },
    TransactionEnds { member: usize, life: u32 },
    Reply { process: usize, member: usize, request: u64, answer: Answer },
    Deadline { process: usize, member: usize, request: u64 },
    Land { process: usize, number: u32, event: Box<Event>, reply: Option<bool> },
    AppendReply { process: usize, number: u32, written: bool },
    Census { process: usize },
    Tick { process: usize },
    Wake { process: usize },
    Start,
    Unhang { member: usize },
    Up { member: usize },
    ForeignPause { member: usize },
}

struct Scheduled {
    at: Duration,
    order: u64,
    what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

pub(super) struct SimMember {
    pub gate: Gate,
    pub life: u32,
    pub up: bool,
    hung: bool,
    held: VecDeque<Happening>,
    /// Pauses of ours that the gate has not answered: request, process, and what happens to the reply.
    waiting: Vec<(u64, usize, Fate)>,
    gate_due: Option<Duration>,
}

pub(super) struct Process {
    pub window: Window,
    pub epoch: usize,
    pub alive: bool,
    pub stopped: bool,
    /// It was stopped, or died: promises about its own timing are off.
    pub disturbed: bool,
    inbox: Vec<Input>,
    dirty: bool,
    tick_at: Option<Duration>,
    pub witness: Witness,
}

/// The world of one window.
pub struct World {
    pub(super) now: Duration,
    pub(super) random: Random,
    queue: BinaryHeap<Scheduled>,
    order: u64,
    pub(super) members: Vec<SimMember>,
    pub(super) processes: Vec<Process>,
    /// The catalog: the window's durable events.
    pub(super) journal: Vec<Event>,
    /// Its fold after each event, the empty one first; an event that cannot follow ends it.
    pub(super) folds: Vec<Journal>,
    pub(super) epoch: usize,
    pub(super) wall_offset: i64,
    /// Every reading error the daemon's wall clock ever had, and since when.
    pub(super) wall_offsets: Vec<(Duration, i64)>,
    faults: VecDeque<Planned>,
    next_message: Option<Fault>,
    next_append: Option<Fault>,
    census: Option<Fault>,
    /// The census after the window was told wrong, or not at all.
    pub(super) census_spoilt: bool,
    long_transaction: bool,
    pub(super) abandoned: Vec<usize>,
    pub(super) truth: Truth,
    pub(super) report: Report,
    pub(super) clocks: Vec<StoreClock>,
    pub(super) store_offsets: Vec<SignedDuration>,
    foreign_ids: u64,
}

impl World {
    /// A world that has just begun one window.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let mut random = Random::new(setup.seed);
        let flavours: Vec<Flavour> =
            (0..setup.clusters).map(|_| Flavour::ALL[random.index(Flavour::ALL.len())]).collect();
        let stages = 1 + u32::from(random.once_in(4));
        let mut members = Vec::new();
        let mut named = Vec::new();
        for (cluster, flavour) in flavours.iter().enumerate() {
            for member in 0..setup.members {
                members.push(SimMember::new(*flavour));
                let address = format!("127.0.{cluster}.{member}:1");
                let stage = u32::try_from(cluster).unwrap_or(0) % stages;
                named.push(Member { cluster: format!("c{cluster}"), name: address.clone(), address, stage });
            }
        }
        let (clocks, store_offsets) = clocks(&mut random);
        let mut world = Self {
            now: Duration::from_secs(1),
            random,
            queue: BinaryHeap::new(),
            order: 0,
            truth: Truth::new(members.len()),
            members,
            processes: Vec::new(),
            journal: Vec::new(),
            folds: vec![Journal::default()],
            epoch: 0,
            wall_offset: 0,
            wall_offsets: vec![(Duration::ZERO, 0)],
            faults: setup.faults.iter().copied().collect(),
            next_message: None,
            next_append: None,
            census: None,
            census_spoilt: false,
            long_transaction: false,
            abandoned: Vec::new(),
            report: Report::default(),
            clocks: clocks.clone(),
            store_offsets,
            foreign_ids: FOREIGN,
        };
        let now = world.clock();
        let plan = world.plan(stages, &clocks, now);
        let window = Window::begin(plan, Evidence::Address, named, clocks, now);
        world.spawn(window);
        world
    }

    fn plan(&mut self, stages: u32, clocks: &[StoreClock], now: Now) -> Plan {
        let drain = self.random.millis(200, 1_000);
        let hold = Duration::from_secs(if clocks.is_empty() { 2 } else { 5 });
        let slot = self.random.once_in(8).then(|| now.wall + Duration::from_millis(500));
        Plan {
            window: "w".into(),
            group: "g".into(),
            trigger: Trigger::Schedule,
            slot,
            started: now.wall,
            hold,
            drain,
            max_pause: drain * stages + hold + crate::window::PAUSE_MARGIN,
        }
    }

    pub(super) fn clock(&self) -> Now {
        let nanos = i128::try_from(self.now.as_nanos()).unwrap_or(0) + i128::from(self.wall_offset);
        let wall = Timestamp::from_nanosecond(nanos + i128::from(EPOCH_SECONDS) * 1_000_000_000);
        Now { mono: self.now, wall: wall.unwrap_or(Timestamp::UNIX_EPOCH) }
    }

    fn spawn(&mut self, window: Window) {
        let members = self.members.len();
        self.processes.push(Process {
            window,
            epoch: self.epoch,
            alive: true,
            stopped: false,
            disturbed: false,
            inbox: vec![Input::Tick],
            dirty: true,
            tick_at: None,
            witness: Witness::new(members),
        });
    }

    pub(super) fn schedule(&mut self, after: Duration, what: Happening) {
        self.order += 1;
        self.queue.push(Scheduled { at: self.now + after, order: self.order, what });
    }

    /// Runs to the end: faults first, then quiet until every process is done.
    ///
    /// # Errors
    /// A promise was broken.
    pub fn run(mut self) -> Result<Report, Violation> {
        loop {
            self.wake_processes()?;
            let Some(next) = self.queue.pop() else { break };
            self.now = next.at;
            self.happen(next.what);
            while self.queue.peek().is_some_and(|next| next.at == self.now) {
                if let Some(next) = self.queue.pop() {
                    self.happen(next.what);
                }
            }
            if self.now > LONGEST || self.report.steps > MOST_STEPS {
                return Err(Violation::new("the window never ended"));
            }
        }
        self.check_end()?;
        Ok(self.report)
    }

    fn wake_processes(&mut self) -> Result<(), Violation> {
        for index in 0..self.processes.len() {
            let process = &mut self.processes[index];
            if !process.dirty || !process.alive || process.stopped {
                continue;
            }
            process.dirty = false;
            self.strike(index);
            self.step(index)?;
        }
        Ok(())
    }

    /// Lets the faults planned for this step happen, before the daemon sees its inputs.
    fn strike(&mut self, index: usize) {
        self.report.steps += 1;
        while self.faults.front().is_some_and(|planned| planned.step <= self.report.steps) {
            if let Some(planned) = self.faults.pop_front() {
                let state = self.processes[index].window.state(self.clock());
                self.report.met.push((state, planned.fault));
                self.inject(index, planned.fault);
            }
        }
    }

    fn step(&mut self, index: usize) -> Result<(), Violation> {
        let now = self.clock();
        let process = &mut self.processes[index];
        if !process.alive || process.stopped {
            process.dirty = true;
            return Ok(());
        }
        for input in std::mem::take(&mut process.inbox) {
            process.witness.told(now.mono, &process.window, &input);
            process.window.absorb(now, input);
        }
        let effects = process.window.advance(now);
        self.check_step(index, &effects)?;
        for effect in effects {
            self.carry_out(index, effect);
        }
        self.check_deadline(index)?;
        let process = &mut self.processes[index];
        let fenced = process.epoch != self.epoch;
        let done = process.window.finished() || fenced && process.window.state(now) >= State::Verifying;
        if let Some(at) = process.window.deadline().filter(|_| !done)
            && process.tick_at.is_none_or(|tick| at < tick || tick <= self.now)
        {
            process.tick_at = Some(at);
            let after = at.saturating_sub(self.now).max(Duration::from_micros(100));
            self.schedule(after, Happening::Tick { process: index });
        }
        Ok(())
    }

    fn carry_out(&mut self, process: usize, effect: Effect) {
        match effect {
            Effect::Send { request, member, call, deadline, .. } => self.send(process, request, member, call, deadline),
            Effect::Append { number, event } => self.append(process, number, event),
            Effect::TakeCensus => {
                let after = self.random.millis(1, 5);
                self.schedule(after, Happening::Census { process });
            }
        }
    }

    fn send(&mut self, process: usize, request: u64, member: usize, call: Call, deadline: Duration) {
        let fault = self.next_message.take();
        let life = self.members[member].life;
        let arrive = |fate| Happening::Arrive { process, member, life, request, call, fate };
        let mut travel = self.random.millis(1, 3);
        let mut times_out = matches!(call, Call::Pause { .. }) || self.members[member].hung;
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

    fn time_out(&mut self, process: usize, member: usize, request: u64, deadline: Duration) {
        self.schedule(deadline, Happening::Deadline { process, member, request });
    }

    fn append(&mut self, process: usize, number: u32, event: Event) {
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

    fn give(&mut self, process: usize, input: Input) {
        let process = &mut self.processes[process];
        if process.alive {
            process.inbox.push(input);
            process.dirty = true;
        }
    }

    fn happen(&mut self, what: Happening) {
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
                self.truth.note(self.now, member, &self.members[member]);
            }
            Happening::ForeignPause { member } => self.foreign_pause(member),
        }
    }

    fn serve(&mut self, process: usize, member: usize, request: u64, call: Call, fate: Fate) {
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
    fn some_traffic(&mut self, member: usize, drain: Duration) {
        let long = std::mem::take(&mut self.long_transaction);
        let count = if long { 1 } else { self.random.below(3) };
        for _ in 0..count {
            if self.members[member].gate.begin() == super::gate::Entry::Admitted {
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
        self.truth.note(now, member, &self.members[member]);
    }

    fn reply(&mut self, process: usize, member: usize, request: u64, answer: Answer, fate: Fate) {
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

    fn land(&mut self, process: usize, number: u32, event: Event, reply: Option<bool>) {
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

    fn fold(&mut self, event: &Event) {
        if self.folds.len() == self.journal.len() + 1
            && let Some(mut next) = self.folds.last().cloned()
        {
            match next.apply(event) {
                Ok(()) => self.folds.push(next),
                Err(illegal) => self.truth.broken.push(format!("the journal does not fold: {illegal}")),
            }
        }
    }

    fn append_answered(&mut self, process: usize, number: u32, written: bool) {
        let input =
            if written { Input::Appended { number } } else { Input::AppendFailed { number, error: "injected".into() } };
        self.give(process, input);
    }

    fn census(&mut self, process: usize) {
        let mut found = self.processes[process].window.members().to_vec();
        self.census_spoilt |= self.census.is_some();
        let result = match self.census.take() {
            Some(Fault::CensusChanges) => {
                found.pop();
                Ok(found)
            }
            Some(_) => Err(crate::domain::Reason::new(crate::domain::Code::Discovery, "injected")),
            None => Ok(found),
        };
        self.give(process, Input::Census(result));
    }

    /// A new daemon: it takes the next epoch, and opens what the journal leaves open to doubt.
    fn start(&mut self) {
        self.epoch += 1;
        let now = self.clock();
        match Window::recover(&self.journal, now) {
            Ok(Some(window)) => self.spawn(window),
            Ok(None) => {}
            Err(illegal) => self.truth.broken.push(format!("the journal does not fold: {illegal}")),
        }
    }

    fn unhang(&mut self, member: usize) {
        self.members[member].hung = false;
        let mut held: Vec<Happening> = self.members[member].held.drain(..).collect();
        while !held.is_empty() {
            let next = held.swap_remove(self.random.index(held.len()));
            self.happen(next);
        }
        self.after_gate(member);
    }

    fn foreign_pause(&mut self, member: usize) {
        if self.members[member].up && !self.members[member].hung {
            self.foreign_ids += 1;
            let (now, id) = (self.now, self.foreign_ids);
            self.truth.foreign_pause(now, member);
            let lasts = self.random.millis(200, 2_000);
            self.long_transaction |= self.random.once_in(2);
            self.some_traffic(member, lasts);
            if self.random.once_in(2) {
                self.members[member].gate.pause_at_once(now, id);
            } else {
                let limit = i64::try_from(self.random.below(5_000)).unwrap_or(0) + 1;
                self.members[member].gate.pause(now, id, Some(limit));
            }
            self.after_gate(member);
        }
    }

    fn inject(&mut self, index: usize, fault: Fault) {
        let member = self.random.index(self.members.len());
        match fault {
            Fault::LostRequest
            | Fault::LostReply
            | Fault::LateRequest
            | Fault::LateReply
            | Fault::DoubledRequest
            | Fault::DoubledReply => self.next_message = Some(fault),
            Fault::AppendFails | Fault::AppendLies | Fault::AppendHangs | Fault::AppendLate => {
                self.next_append = Some(fault);
            }
            Fault::CensusChanges | Fault::CensusFails => self.census = Some(fault),
            Fault::Hang => {
                self.members[member].hung = true;
                let lasts = self.random.millis(100, 60_000);
                self.schedule(lasts, Happening::Unhang { member });
            }
            Fault::Restart => self.restart(member, true),
            Fault::Down => {
                self.restart(member, false);
                let lasts = self.random.millis(100, 60_000);
                self.schedule(lasts, Happening::Up { member });
            }
            Fault::LongTransaction => self.long_transaction = true,
            Fault::ForeignPause => self.foreign_pause(member),
            Fault::ForeignUnpause | Fault::ForeignFlap => {
                if self.members[member].up && !self.members[member].hung {
                    let now = self.now;
                    self.members[member].gate.unpause(now);
                    self.after_gate(member);
                    if fault == Fault::ForeignFlap {
                        let after = self.random.millis(1, 300);
                        self.schedule(after, Happening::ForeignPause { member });
                    }
                }
            }
            Fault::Crash | Fault::CrashAfterAppend => self.crash(index, fault == Fault::CrashAfterAppend),
            Fault::Stop | Fault::TwoLeaders => {
                self.processes[index].stopped = true;
                self.processes[index].disturbed = true;
                let lasts = self.random.millis(100, 60_000);
                self.schedule(lasts, Happening::Wake { process: index });
                if fault == Fault::TwoLeaders {
                    let after = self.random.millis(100, 15_000);
                    self.schedule(after, Happening::Start);
                }
            }
            Fault::ClockStep => {
                let seconds = 1 + i64::try_from(self.random.below(5)).unwrap_or(0);
                let sign = if self.random.once_in(2) { 1 } else { -1 };
                self.step_clock(sign * seconds * 1_000_000_000);
            }
            Fault::ClockNudge => {
                let millis = i64::try_from(self.random.below(180)).unwrap_or(0) - 90;
                self.step_clock(millis * 1_000_000);
            }
            Fault::Shutdown => {
                let reason = crate::domain::Reason::new(crate::domain::Code::Shutdown, "told to end");
                self.give(index, Input::Open(reason));
            }
            Fault::Abandon => {
                if self.processes[index].window.durable().open_intent() {
                    self.abandoned.push(member);
                }
                self.give(index, Input::Abandon { member, by: "a person".into() });
            }
        }
    }

    fn step_clock(&mut self, nanos: i64) {
        self.wall_offset += nanos;
        self.wall_offsets.push((self.now, self.wall_offset));
    }

    fn restart(&mut self, member: usize, up: bool) {
        let state = &mut self.members[member];
        state.life += 1;
        state.up = up;
        state.gate.restart();
        for (request, process, ..) in std::mem::take(&mut state.waiting) {
            let answer = unknown("connection reset");
            self.schedule(Duration::from_millis(1), Happening::Reply { process, member, request, answer });
        }
        self.truth.note(self.now, member, &self.members[member]);
    }

    fn crash(&mut self, index: usize, appends_land: bool) {
        self.processes[index].alive = false;
        self.processes[index].disturbed = true;
        let mut rest: Vec<Scheduled> = std::mem::take(&mut self.queue).into_vec();
        rest.sort_by_key(|scheduled| (scheduled.at, scheduled.order));
        for scheduled in rest {
            match scheduled.what {
                Happening::Land { process, number, event, .. } if process == index => {
                    if appends_land {
                        self.land(process, number, *event, None);
                    }
                }
                what => self.queue.push(Scheduled { what, ..scheduled }),
            }
        }
        let after = self.random.millis(50, 5_000);
        self.schedule(after, Happening::Start);
    }
}

/// What becomes of a request's reply.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    lose: bool,
    late: bool,
    twice: bool,
    /// Not the first copy of a doubled request: that one nobody answers.
    answered: bool,
}

impl SimMember {
    const fn new(flavour: Flavour) -> Self {
        Self {
            gate: Gate::new(flavour),
            life: 0,
            up: true,
            hung: false,
            held: VecDeque::new(),
            waiting: Vec::new(),
            gate_due: None,
        }
    }
}

fn clocks(random: &mut Random) -> (Vec<StoreClock>, Vec<SignedDuration>) {
    let count = if random.once_in(4) { 1 + random.index(2) } else { 0 };
    let mut clocks = Vec::new();
    let mut offsets = Vec::new();
    for _ in 0..count {
        let low = i64::try_from(random.below(1_000)).unwrap_or(0) - 500;
        let width = i64::try_from(random.below(400)).unwrap_or(0);
        let guard = Duration::from_secs(random.below(2));
        let millis = SignedDuration::from_millis;
        clocks.push(StoreClock { offset_low: millis(low), offset_high: millis(low + width), guard });
        offsets.push(millis(low + if random.once_in(2) { 0 } else { width }));
    }
    (clocks, offsets)
}

fn unknown(detail: &str) -> Answer {
    Answer::Failed(Failure { kind: FailureKind::Unknown, detail: detail.into() })
}

fn paused(outcome: PauseOutcome) -> Answer {
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
