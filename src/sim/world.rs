//! A world in virtual time: members with the measured rules, a journal, a daemon that may die, and a list of faults.

use super::check::{Truth, Violation};
use super::faults::{Fault, Planned};
use super::gate::{Flavour, Gate};
use super::random::Random;
use super::stores::Stores;
use super::witness::Witness;
use crate::domain::{Evidence, Member, Now, Pod, Reason, StoreClock, Trigger};
use crate::scalar::Answer;
use crate::window::{Call, Event, Input, Journal, Plan, State, Window};
use jiff::Timestamp;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// When the window begins, and its stores were looked at.
pub(super) const BEGUN: Duration = Duration::from_secs(1);
pub(super) const EPOCH_SECONDS: i64 = 1_900_000_000;
/// Foreign pauses carry ids from here on.
pub(super) const FOREIGN: u64 = 1 << 62;
/// The first copy of a doubled pause carries its id with this bit.
pub(super) const COPY: u64 = 1 << 61;
/// After this much virtual time every window has long ended.
const LONGEST: Duration = Duration::from_secs(3_600);
const MOST_STEPS: u32 = 200_000;

/// What one run is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    pub seed: u64,
    pub clusters: usize,
    pub members: usize,
    /// Whether the members are pods, which Kubernetes tells of.
    pub pods: bool,
    /// What the daemon's clock and its stores' are wrong by, in milliseconds; none: as the seed has it, which may be no
    /// stores, and without faults is nothing worth the name.
    pub wrong: Option<(i64, i64)>,
    pub faults: Vec<Planned>,
}

impl Setup {
    /// The window of this seed: three clusters of two or three members, or a single member, and up to four faults.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(31));
        let steps = 10 + random.below(90);
        let (clusters, members) = if random.once_in(8) { (1, 1) } else { (3, 2 + random.index(2)) };
        let faults = super::faults::plan(&mut random, 4, steps);
        Self { seed, clusters, members, pods: seed % 2 == 1, wrong: None, faults }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub verdict: Option<crate::domain::Verdict>,
    pub restore_point: Option<Timestamp>,
    /// The codes of its reasons.
    pub reasons: Vec<crate::domain::Code>,
    pub steps: u32,
    /// Each fault with the state of the window that it met.
    pub met: Vec<(State, Fault)>,
    /// A foreign reopen and reclose that no look could see.
    pub beyond_protocol: bool,
    /// A store's clock that was set and set back between two looks at it.
    pub beyond_looks: bool,
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
    Changed { process: usize, member: Option<usize> },
    Pods { process: usize, answer: bool },
    PodLeaves,
    LookAtStores { process: usize },
    Stores { process: usize, found: Result<Vec<StoreClock>, Reason> },
    StoreDrifts { store: usize, nanos: i64, left: u32 },
    Tick { process: usize },
    Wake { process: usize },
    Start,
    Unhang { member: usize },
    Up { member: usize },
    ForeignPause { member: usize },
}

pub(super) struct Scheduled {
    pub(super) at: Duration,
    pub(super) order: u64,
    pub(super) what: Happening,
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
    /// Another pod than the first, or none, is at the address.
    pub gone: bool,
    /// Until when Kubernetes says that its container does not run.
    pub said_down: Duration,
    pub up: bool,
    pub(super) hung: bool,
    pub(super) held: VecDeque<Happening>,
    /// Pauses of ours that the gate has not answered: request, process, and what happens to the reply.
    pub(super) waiting: Vec<(u64, usize, Fate)>,
    pub(super) gate_due: Option<Duration>,
}

pub(super) struct Process {
    pub window: Window,
    pub epoch: usize,
    pub alive: bool,
    pub stopped: bool,
    /// It was stopped, or died: promises about its own timing are off.
    pub disturbed: bool,
    pub(super) inbox: Vec<Input>,
    pub(super) dirty: bool,
    pub(super) tick_at: Option<Duration>,
    /// A member: the life that its connection leads to.
    pub(super) connected: Vec<u32>,
    pub witness: Witness,
}

/// The world of one window.
pub struct World {
    pub(super) now: Duration,
    pub(super) random: Random,
    pub(super) queue: BinaryHeap<Scheduled>,
    pub(super) order: u64,
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
    pub(super) faults: VecDeque<Planned>,
    pub(super) next_message: Option<Fault>,
    pub(super) next_append: Option<Fault>,
    pub(super) census: Option<Fault>,
    /// The census after the window was told wrong, or not at all.
    pub(super) census_spoilt: bool,
    pub(super) pods: bool,
    /// When pods joined, left or were replaced.
    pub(super) pod_changes: Vec<Duration>,
    /// Pods that belong to a cluster and are not among the window's members.
    pub(super) joined: usize,
    pub(super) api_back: Duration,
    pub(super) gap_told: bool,
    pub(super) long_transaction: bool,
    pub(super) abandoned: Vec<usize>,
    pub(super) truth: Truth,
    pub(super) report: Report,
    pub(super) stores: Stores,
    pub(super) foreign_ids: u64,
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
                let pod = setup.pods.then(|| pod(&address));
                named.push(Member { cluster: format!("c{cluster}"), name: address.clone(), address, stage, pod });
            }
        }
        let (stores, wall_offset) = Stores::new(&mut random, setup.seed, setup.wrong, !setup.faults.is_empty());
        let mut world = Self {
            now: BEGUN,
            random,
            queue: BinaryHeap::new(),
            order: 0,
            truth: Truth::new(members.len()),
            members,
            processes: Vec::new(),
            journal: Vec::new(),
            folds: vec![Journal::default()],
            epoch: 0,
            wall_offset,
            wall_offsets: vec![(Duration::ZERO, wall_offset)],
            faults: setup.faults.iter().copied().collect(),
            next_message: None,
            next_append: None,
            census: None,
            census_spoilt: false,
            pods: setup.pods,
            pod_changes: Vec::new(),
            joined: 0,
            api_back: Duration::ZERO,
            gap_told: false,
            long_transaction: false,
            abandoned: Vec::new(),
            report: Report::default(),
            stores,
            foreign_ids: FOREIGN,
        };
        let now = world.clock();
        let clocks = world.stores.clocks.clone();
        let plan = world.plan(stages, &clocks, now);
        let evidence = if setup.pods { Evidence::Pod } else { Evidence::Address };
        let window = Window::begin(plan, evidence, named, clocks, now);
        world.spawn(window);
        world
    }

    pub(super) fn plan(&mut self, stages: u32, clocks: &[StoreClock], now: Now) -> Plan {
        let drain = self.random.millis(200, 1_000);
        // With faults, sometimes too short for the clocks: then there must be no point.
        let hold = match (clocks.is_empty(), self.faults.is_empty()) {
            (true, _) => Duration::from_secs(2),
            (false, true) => Duration::from_secs(5),
            (false, false) => self.random.millis(2_000, 5_000),
        };
        let slot = self.random.once_in(8).then(|| now.wall + Duration::from_millis(500));
        Plan {
            window: "w".into(),
            group: "g".into(),
            trigger: Trigger::Schedule,
            slot,
            started: now.wall,
            hold,
            drain,
            max_pause: drain * stages + hold + crate::domain::PAUSE_MARGIN,
        }
    }

    pub(super) fn clock(&self) -> Now {
        let nanos = i128::try_from(self.now.as_nanos()).unwrap_or(0) + i128::from(self.wall_offset);
        let wall = Timestamp::from_nanosecond(nanos + i128::from(EPOCH_SECONDS) * 1_000_000_000);
        Now { mono: self.now, wall: wall.unwrap_or(Timestamp::UNIX_EPOCH) }
    }

    pub(super) fn spawn(&mut self, window: Window) {
        let members = self.members.len();
        let stores = if window.recovered() { 0 } else { self.stores.clocks.len() };
        let recovering = (self.pods && window.recovered()).then_some(self.now);
        let witness = Witness::new(members, recovering, self.pods, stores);
        self.processes.push(Process {
            window,
            epoch: self.epoch,
            alive: true,
            stopped: false,
            disturbed: false,
            inbox: vec![Input::Tick],
            dirty: true,
            tick_at: None,
            connected: vec![0; members],
            witness,
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

    pub(super) fn wake_processes(&mut self) -> Result<(), Violation> {
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
    pub(super) fn strike(&mut self, index: usize) {
        self.report.steps += 1;
        while self.faults.front().is_some_and(|planned| planned.step <= self.report.steps) {
            if let Some(planned) = self.faults.pop_front() {
                let state = self.processes[index].window.state(self.clock());
                let fault = self.stores.possible(planned.fault);
                self.report.met.push((state, fault));
                self.inject(index, fault);
            }
        }
    }

    pub(super) fn step(&mut self, index: usize) -> Result<(), Violation> {
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
}

/// What becomes of a request's reply.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    pub lose: bool,
    pub late: bool,
    pub twice: bool,
    /// Not the first copy of a doubled request: that one nobody answers.
    pub answered: bool,
}

impl SimMember {
    /// Whether transactions can run on it.
    pub(super) const fn active(&self) -> bool {
        self.up && (!self.gate.paused() || self.gate.outstanding() > 0)
    }

    const fn new(flavour: Flavour) -> Self {
        Self {
            gate: Gate::new(flavour),
            life: 0,
            gone: false,
            said_down: Duration::ZERO,
            up: true,
            hung: false,
            held: VecDeque::new(),
            waiting: Vec::new(),
            gate_due: None,
        }
    }
}

fn pod(address: &str) -> Pod {
    Pod {
        server: "https://127.0.0.1:6443/".into(),
        namespace: "shop".into(),
        uid: address.into(),
        node: None,
        phase: "Running".into(),
        ready: true,
        leaving: None,
        restarts: std::collections::BTreeMap::new(),
        owner: None,
    }
}
