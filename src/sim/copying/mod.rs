//! Materializing in virtual time: some tables of one account, each driven by its [`Runner`], in a process that dies,
//! on a catalog that fails, through a network that loses, and beside people who delete.

mod account;
mod check;
mod fault;
mod inject;

pub use fault::Fault;

use super::Violation;
use super::random::Random;
use crate::aws::FaultKind;
use crate::domain::Now;
use crate::tracking::copy::{Ask, Copy, Step, Told};
use crate::tracking::runner::{Due, Runner};
use account::{Account, Sent, wall};
use check::Truth;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a table may take.
const LIMIT: Duration = Duration::from_secs(2 * 3600);
/// After this much virtual time everything has long come to rest.
const LONGEST: Duration = Duration::from_secs(72 * 3600);
const MOST_EVENTS: u32 = 100_000;

/// A fault, and the action of the process that it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    pub action: u32,
    pub fault: Fault,
}

/// What one run is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    pub seed: u64,
    pub copies: usize,
    /// While the tables are materialized.
    pub faults: Vec<Planned>,
    /// While half of the backups expire; the actions are counted anew.
    pub expiry_faults: Vec<Planned>,
}

impl Setup {
    /// The run of this seed: up to four tables, up to six faults, and up to two while their backups expire.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(37));
        let copies = 1 + random.index(4);
        // A copy takes about twenty; the earlier ones are met by what waits for its occasion all the same.
        let actions = if seed % 4 == 2 { 30 } else { 12 } * copies as u64;
        let mut some = |most: u64, actions: u64| {
            let count = random.below(most + 1);
            let plan = |_| {
                let fault = Fault::ALL[random.index(Fault::ALL.len())];
                Planned { action: u32::try_from(random.below(actions)).unwrap_or(0), fault }
            };
            let mut planned: Vec<Planned> = (0..count).map(plan).collect();
            planned.sort_by_key(|planned| planned.action);
            planned
        };
        let (faults, expiry_faults) = (some(6, actions), some(2, 6));
        Self { seed, copies, faults, expiry_faults }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many copies ended how.
    pub ends: BTreeMap<Step, usize>,
    pub actions: u32,
    /// Each fault with the step of the copy that it met.
    pub met: Vec<(Step, Fault)>,
    /// Somebody else changed something between a look and what was built on it.
    pub beyond: bool,
    pub crashes: u32,
    pub hours: f64,
}

enum Happening {
    Start,
    Act {
        copy: usize,
        life: u32,
    },
    /// A request arrives; its reply goes to this life of the process, if to any.
    Arrive {
        sent: Box<Sent>,
        reply_to: Option<u32>,
    },
    /// What was true then.
    Reply {
        copy: usize,
        life: u32,
        ask: Ask,
        told: Told,
        then: Duration,
    },
}

/// The world of one run.
pub struct World {
    random: Random,
    now: Duration,
    queue: BTreeMap<(Duration, u32), Happening>,
    order: u32,
    account: Account,
    durable: Vec<Copy>,
    runners: Vec<Runner>,
    /// Which life of the process this is; none while it is dead.
    life: Option<u32>,
    faults: Vec<Planned>,
    /// Faults that wait for what they can meet.
    pending: Vec<(usize, Fault)>,
    phase_action: u32,
    truth: Truth,
    report: Report,
    expiry_faults: Vec<Planned>,
}

impl World {
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let durable = (0..setup.copies).map(fresh).collect();
        let mut world = Self {
            random: Random::new(setup.seed),
            now: Duration::from_secs(100),
            queue: BTreeMap::new(),
            order: 0,
            account: Account::default(),
            durable,
            runners: Vec::new(),
            life: None,
            faults: setup.faults.clone(),
            pending: Vec::new(),
            phase_action: 0,
            truth: Truth::new(setup.copies),
            report: Report::default(),
            expiry_faults: setup.expiry_faults.clone(),
        };
        world.at(Duration::ZERO, Happening::Start);
        world
    }

    /// Runs until everything rests, expires half of what was made, and runs until that rests.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn run(mut self) -> Result<Report, Violation> {
        self.until_rest()?;
        let expire: Vec<usize> =
            (0..self.durable.len()).filter(|index| self.durable[*index].step == Step::Done && index % 2 == 0).collect();
        for index in &expire {
            self.durable[*index].step = Step::Expiring;
        }
        if !expire.is_empty() {
            self.pending.clear();
            self.faults = std::mem::take(&mut self.expiry_faults);
            self.phase_action = 0;
            self.at(Duration::ZERO, Happening::Start);
            self.until_rest()?;
        }
        for copy in &self.durable {
            *self.report.ends.entry(copy.step).or_default() += 1;
        }
        self.report.beyond = self.truth.beyond;
        self.report.hours = self.now.as_secs_f64() / 3600.0;
        Ok(self.report)
    }

    fn until_rest(&mut self) -> Result<(), Violation> {
        for _ in 0..MOST_EVENTS {
            let Some(((at, _), happening)) = self.queue.pop_first() else {
                self.truth.at_rest(self.now, &self.durable, &self.account);
                return self.whole();
            };
            self.now = self.now.max(at);
            if self.now > LONGEST {
                break;
            }
            self.happen(happening);
            self.whole()?;
        }
        let steps: Vec<_> = self.durable.iter().map(|copy| copy.step.name()).collect();
        Err(Violation::new(format!("it never comes to rest: {steps:?}")))
    }

    fn whole(&self) -> Result<(), Violation> {
        self.truth.broken.first().map_or(Ok(()), |broken| Err(Violation::new(broken.clone())))
    }

    fn at(&mut self, after: Duration, happening: Happening) {
        self.order += 1;
        self.queue.insert((self.now + after, self.order), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Start => {
                let (now, life) = (self.both(), self.order);
                self.life = Some(life);
                self.runners = self.durable.iter().map(|copy| Runner::new(copy.clone(), LIMIT, now)).collect();
                for copy in 0..self.runners.len() {
                    self.at(Duration::ZERO, Happening::Act { copy, life });
                }
            }
            Happening::Act { copy, life } if self.life == Some(life) => self.act(copy, life),
            Happening::Reply { copy, life, ask, told, then } if self.life == Some(life) => {
                let now = self.both();
                if !matches!(told, Told::Fault { .. }) {
                    self.truth.told(copy, &ask, then);
                }
                self.runners[copy].told(now, &ask, told);
                self.at(Duration::ZERO, Happening::Act { copy, life });
            }
            Happening::Arrive { sent, reply_to } => {
                let (told, then) = self.account.carry_out(self.now, &sent, &mut self.truth, &mut self.random);
                if let Some(life) = reply_to {
                    let after = self.random.millis(1, 300);
                    let Sent { copy, ask, .. } = *sent;
                    self.at(after, Happening::Reply { copy, life, ask, told, then });
                }
            }
            Happening::Act { .. } | Happening::Reply { .. } => {}
        }
    }

    fn both(&self) -> Now {
        Now { mono: self.now, wall: wall(self.now) }
    }

    fn act(&mut self, copy: usize, life: u32) {
        match self.runners[copy].due(self.both()) {
            Due::Rest => {}
            Due::Wait(until) => {
                let after = until.saturating_sub(self.now).max(Duration::from_millis(1));
                self.at(after, Happening::Act { copy, life });
            }
            Due::Save(next) => {
                self.plan(copy);
                self.save(copy, life, *next);
            }
            Due::Ask(ask) => {
                self.plan(copy);
                self.ask(copy, life, ask);
            }
        }
    }

    fn save(&mut self, copy: usize, life: u32, next: Copy) {
        let stands = self.durable[copy].step;
        if next.step < stands {
            let what = format!("{} is saved over {}", next.step.name(), stands.name());
            self.truth.broken.push(check::broken(copy, &what));
        }
        match self.meets_save(copy) {
            Some(Fault::CrashBeforeSave) => self.die(),
            Some(Fault::SaveFails) => self.at(Duration::from_secs(1), Happening::Act { copy, life }),
            Some(Fault::CrashAfterSave) => {
                self.durable[copy] = next;
                self.die();
            }
            Some(Fault::SaveLies) => {
                self.durable[copy] = next;
                self.at(Duration::from_secs(1), Happening::Act { copy, life });
            }
            _ => {
                self.durable[copy] = next.clone();
                self.runners[copy].saved(next);
                self.at(Duration::ZERO, Happening::Act { copy, life });
            }
        }
    }

    fn ask(&mut self, copy: usize, life: u32, ask: Ask) {
        let met = self.meets_ask(copy, &ask);
        if met == Some(Fault::CrashBeforeAsk) {
            return self.die();
        }
        self.truth.leaves(copy, &self.durable[copy], &ask, &self.account);
        let quick = self.random.millis(1, 300);
        let deadline = self.random.millis(2_000, 10_000);
        let late = self.random.millis(0, 25_000);
        let lost = Told::Fault { kind: FaultKind::Lost, sentence: "no answer".to_owned() };
        let looked = self.truth.looked(copy);
        let sent = Sent { copy, durable: self.durable[copy].clone(), ask: ask.clone(), looked };
        let refused = |kind| Told::Fault { kind, sentence: format!("{kind:?}") };
        let (arrives, reply_to, told) = match met {
            None => (Some(quick), Some(life), None),
            Some(Fault::LostRequest) => (None, None, Some((deadline, lost))),
            Some(Fault::LostReply) => (Some(quick), None, Some((deadline, lost))),
            Some(Fault::LateRequest) => (Some(late), None, Some((deadline, lost))),
            Some(Fault::Throttled) => (None, None, Some((quick, refused(FaultKind::Throttled)))),
            Some(Fault::Limit) => (None, None, Some((quick, refused(FaultKind::Limit)))),
            Some(Fault::Invalid) => (None, None, Some((quick, refused(FaultKind::Invalid)))),
            _ => (Some(late), None, None),
        };
        if let Some(after) = arrives {
            self.at(after, Happening::Arrive { sent: Box::new(sent), reply_to });
        }
        match told {
            Some((after, told)) => self.at(after, Happening::Reply { copy, life, ask, told, then: Duration::ZERO }),
            None if reply_to.is_none() => self.die(),
            None => {}
        }
    }

    /// The process dies, and another one starts before long.
    fn die(&mut self) {
        self.life = None;
        self.report.crashes += 1;
        let after = if self.random.once_in(3) { Duration::ZERO } else { self.random.millis(0, 120_000) };
        self.at(after, Happening::Start);
    }
}

fn fresh(index: usize) -> Copy {
    let source = format!("orders.t{index}");
    let (arn, name) = (format!("arn:table/{source}"), format!("stillpoint-0123456789abcdef-{source}"));
    Copy::waiting(&source, &arn, "payments-1", wall(Duration::ZERO), name)
}
