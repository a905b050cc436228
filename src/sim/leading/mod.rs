//! Leadership in virtual time: two or three replicas, each by a clock of its own, over one lease and one catalog. They
//! run one group's slots, one window at a time, while requests are lost, processes die, sleep and wake, and the catalog
//! fails over to a copy that has not got all of it.

mod catalog;
mod check;
mod clock;
mod daemon;
mod drive;
mod fault;
mod inject;
mod keeper;
mod lease;
mod members;
mod opener;
mod process;

pub use fault::{Fault, Planned, STATES};

use super::check::Truth;
use super::gate::Flavour;
use super::random::Random;
use super::{Gate, Violation};
use crate::domain::{Member, Verdict};
use crate::leadership::Terms;
use crate::window::State;
use catalog::Catalog;
use drive::{Begun, Drive};
use lease::Server;
use members::SimMember;
use process::{Message, Process};
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// Faults that have met nothing by then never happen.
const LAST_FAULT: Duration = Duration::from_secs(200);
/// So long after the last fault a window has become consistent, and nothing is closed.
const CALM: Duration = Duration::from_secs(200);
/// So long after the last fault a person opens what the protocol cannot show to be closed.
const SWEEP: Duration = Duration::from_secs(60);
const MOST_EVENTS: u32 = 400_000;

/// What one run is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    pub seed: u64,
    pub replicas: usize,
    pub faults: Vec<Planned>,
}

impl Setup {
    /// The run of this seed: two or three replicas, and up to six faults.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(41));
        Self { seed, replicas: 2 + random.index(2), faults: fault::plan(&mut random, 6) }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many windows were begun, and how those ended that have a verdict in the catalog.
    pub windows: u32,
    pub verdicts: BTreeMap<Verdict, u32>,
    /// Each fault with the state of the window that it met; none: there was no window.
    pub met: Vec<(Option<State>, Fault)>,
    /// How often a replica led.
    pub terms: u32,
    /// How often a second replica trusted that it led, after a person had written over the lease, or
    /// deleted it before all had seen that it was there.
    pub two_leaders: u32,
    /// Someone else's reopen and reclose that no look could see.
    pub foreign_flaps: u32,
    /// The same by a leader of ours that did not know better: of an overwritten lease, or with a pause on its way.
    pub leaders_flaps: u32,
    /// Pauses that arrived later than a recovery waits for, from a process that was stopped while it sent them.
    pub late_pauses: u32,
    /// Members that a process left closed which had been stopped while it sent a pause, or led beside another; or whose
    /// intent was lost by the catalog and deleted with the lease.
    pub left_closed: u32,
    /// Verdicts that were told, and that the catalog lost in a failover.
    pub lost_verdicts: u32,
    /// Windows whose ends a failover lost while their daemon went on: the next start ends them once more.
    pub lost_ends: u32,
    /// Slots of which a window was told consistent, and that ran once more since a failover lost that.
    pub slots_run_again: u32,
    /// From the death of a process that had members closed to when none of them was any more: the longest.
    pub open_after_death: Option<Duration>,
    /// What that may be where everything answers.
    pub open_limit: Duration,
    pub steps: u32,
    pub seconds: f64,
}

impl Report {
    /// Counts another run in.
    pub fn add(&mut self, other: &Self) {
        self.windows += other.windows;
        for (verdict, count) in &other.verdicts {
            *self.verdicts.entry(*verdict).or_default() += count;
        }
        self.terms += other.terms;
        self.two_leaders += other.two_leaders;
        self.foreign_flaps += other.foreign_flaps;
        self.leaders_flaps += other.leaders_flaps;
        self.late_pauses += other.late_pauses;
        self.left_closed += other.left_closed;
        self.lost_verdicts += other.lost_verdicts;
        self.lost_ends += other.lost_ends;
        self.slots_run_again += other.slots_run_again;
        self.open_after_death = self.open_after_death.max(other.open_after_death);
        self.seconds += other.seconds;
    }
}

enum Happening {
    Start {
        replica: usize,
    },
    Wake {
        process: usize,
    },
    /// Comes over the network, or is the process's own timer.
    Tell {
        process: usize,
        message: Message,
        network: bool,
    },
    Lease {
        process: usize,
        errand: keeper::Errand,
    },
    Catalog {
        process: usize,
        id: u64,
        op: catalog::Op,
        fate: drive::Fate,
    },
    Arrive(members::Arriving),
    GateDue {
        member: usize,
    },
    TransactionEnds {
        member: usize,
        life: u32,
    },
    Unhang {
        member: usize,
    },
    ForeignPause {
        member: usize,
    },
    ForeignUnpause {
        member: usize,
    },
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

/// The faults that wait for what they can meet.
#[derive(Debug, Default)]
struct Armed {
    message: Option<Fault>,
    append: Option<Fault>,
    lease: Option<Fault>,
}

/// The world of one run.
pub struct World {
    now: Duration,
    random: Random,
    queue: BinaryHeap<Scheduled>,
    order: u64,
    named: Vec<Member>,
    members: Vec<SimMember>,
    stages: u32,
    drain: Duration,
    terms: Terms,
    /// A replica: how fast its clock runs.
    rates: Vec<u32>,
    processes: Vec<Process>,
    begun: Vec<Begun>,
    drives: Vec<Drive>,
    server: Server,
    catalog: Catalog,
    /// The catalog after each of its last changes, as its standby may have it.
    copies: Vec<Catalog>,
    openings: u64,
    /// The catalog answers nobody until then.
    catalog_back: Duration,
    catch_up: bool,
    planned: Vec<Planned>,
    faulty: bool,
    armed: Armed,
    /// When the last effect of a fault is over.
    calm: Duration,
    /// A person deleted the lease; soon after it was made; wrote over it.
    deleted: bool,
    deleted_soon: bool,
    /// When the lease was made last.
    made: Duration,
    overwritten: bool,
    /// A failover lost changes of the catalog.
    lost_changes: bool,
    /// Since when members are closed that a dead process closed.
    died: Option<Duration>,
    /// Each pause that a member was given: when, which member, and of which window.
    pauses: Vec<(Duration, usize, usize)>,
    truth: Truth,
    foreign_ids: u64,
    broken: Vec<String>,
    report: Report,
}

impl World {
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let mut random = Random::new(setup.seed);
        let stages = 1 + u32::from(random.once_in(4));
        let count = 1 + random.index(3);
        let members = (0..count).map(|_| SimMember::new(Gate::new(Flavour::ALL[random.index(4)]))).collect();
        let named = (0..count).map(|index| {
            let address = format!("127.0.0.{index}:1");
            let stage = u32::try_from(index).unwrap_or(0) % stages;
            Member { cluster: "c".into(), name: address.clone(), address, stage, pod: None }
        });
        let (lasts, retry) = if random.once_in(4) { (3_000, 300) } else { (6_000, 1_000) };
        let terms = Terms { lasts: Duration::from_millis(lasts), retry: Duration::from_millis(retry) };
        let drain = if random.once_in(4) { random.millis(1_000, 4_000) } else { random.millis(200, 1_000) };
        let mut world = Self {
            now: Duration::from_secs(1),
            queue: BinaryHeap::new(),
            order: 0,
            named: named.collect(),
            members,
            stages,
            drain,
            terms,
            rates: (0..setup.replicas).map(|_| rate(&mut random)).collect(),
            processes: Vec::new(),
            begun: Vec::new(),
            drives: Vec::new(),
            server: Server::default(),
            catalog: Catalog::default(),
            copies: vec![Catalog::default()],
            openings: 0,
            catalog_back: Duration::ZERO,
            catch_up: random.once_in(2),
            planned: setup.faults.clone(),
            faulty: !setup.faults.is_empty(),
            armed: Armed::default(),
            calm: Duration::ZERO,
            deleted: false,
            deleted_soon: false,
            made: Duration::ZERO,
            overwritten: false,
            lost_changes: false,
            died: None,
            pauses: Vec::new(),
            truth: Truth::new(count),
            foreign_ids: super::world::FOREIGN,
            broken: Vec::new(),
            report: Report::default(),
            random,
        };
        world.report.open_limit = world.open_limit();
        for replica in 0..setup.replicas {
            let after = world.random.millis(0, 3_000);
            world.schedule(after, Happening::Start { replica });
        }
        world
    }

    fn schedule(&mut self, after: Duration, what: Happening) {
        self.order += 1;
        self.queue.push(Scheduled { at: self.now + after, order: self.order, what });
    }

    /// Runs until all faults are over, a window has become consistent since, and nothing is closed.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn run(mut self) -> Result<Report, Violation> {
        for _ in 0..MOST_EVENTS {
            let Some(next) = self.queue.pop() else { break };
            self.now = next.at;
            self.happen(next.what);
            if let Some(broken) = self.broken.first() {
                return Err(Violation::new(broken.clone()));
            }
            if self.now > LAST_FAULT && !self.planned.is_empty() {
                self.planned.clear();
                self.armed = Armed::default();
                self.calm = self.calm.max(self.now);
            }
            if self.planned.is_empty() && self.now > self.calm {
                if self.rests() {
                    self.check_end();
                    let broken = self.broken.first().map(|broken| Violation::new(broken.clone()));
                    self.report.seconds = self.now.as_secs_f64();
                    return broken.map_or(Ok(self.report), Err);
                }
                if self.now > self.calm + SWEEP {
                    self.sweep();
                }
                if self.now > self.calm + CALM {
                    break;
                }
            }
        }
        Err(Violation::new(format!("it never comes to rest: {}", self.unrest())))
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Start { replica } => self.start(replica),
            Happening::Wake { process } => self.wake(process),
            Happening::Tell { process, message, network } => self.tell(process, message, network),
            Happening::Lease { process, errand } => self.lease_asked(process, errand),
            Happening::Catalog { process, id, op, fate } => self.catalog_asked(process, id, &op, fate),
            Happening::Arrive(arriving) => self.arrive(arriving),
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
            Happening::Unhang { member } => self.unhang(member),
            Happening::ForeignPause { member } => self.foreign_pause(member),
            Happening::ForeignUnpause { member } => self.foreign_unpause(member),
        }
    }

    /// A successor's lease, one look at it and one request, on a slow clock; and a fan-out.
    fn open_limit(&self) -> Duration {
        let Terms { lasts, retry } = self.terms;
        let slow = f64::from(1_000_000) / f64::from(SLOWEST);
        (lasts + retry + self.terms.deadline()).mul_f64(slow) + FAN_OUT
    }

    fn object(&mut self, what: impl Into<String>) {
        self.broken.push(what.into());
    }
}

/// How slow and how fast a clock may be.
const SLOWEST: u32 = 950_000;
const FASTEST: u32 = 1_050_000;
/// Two requests to each of a few members, and what a new leader asks of the catalog before.
const FAN_OUT: Duration = Duration::from_millis(50);

/// A clock that is right, as fast or as slow as any may be, or in between.
fn rate(random: &mut Random) -> u32 {
    match random.below(4) {
        0 => 1_000_000,
        1 => SLOWEST,
        2 => FASTEST,
        _ => SLOWEST + u32::try_from(random.below(u64::from(FASTEST - SLOWEST))).unwrap_or(0),
    }
}
