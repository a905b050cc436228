//! One process of a replica: what comes to it while it runs, is stopped or sleeps, and its steps.

use super::catalog::{Done, Refusal, Term};
use super::clock::LocalClock;
use super::daemon::Work;
use super::keeper::Answer;
use super::lease::Listed;
use super::members::Arriving;
use super::opener::Opener;
use super::{Happening, World};
use crate::domain::Member;
use crate::leadership::Election;
use crate::scalar::Answer as Replied;
use crate::window::{Input, Line};
use std::time::Duration;

/// What comes to a process.
pub(super) enum Message {
    Tick,
    Lease(Answer),
    Census {
        drive: usize,
        found: Vec<Member>,
    },
    Done {
        id: u64,
        result: Result<Done, Refusal>,
    },
    Replied {
        arriving: Arriving,
        answer: Replied,
    },
    /// A pause that is to be sent now.
    Send {
        arriving: Arriving,
        line: Line,
    },
}

/// How it does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// What comes waits for it.
    Stopped,
    /// What comes over the network is lost.
    Asleep,
}

/// Where its part in the election stands.
#[derive(Debug)]
pub(super) struct Keeper {
    pub election: Election,
    /// Until when it leads, as everything in the process was told.
    pub until: Option<Duration>,
    pub led: bool,
    /// It leads no more, and asks no more.
    pub lost: bool,
    /// The open windows that are to stand on the lease.
    pub listed: Listed,
    /// The number of their last change, and of the last that stands there.
    pub change: u64,
    pub written: u64,
    /// What a predecessor left there, once it is known.
    pub inherited: Option<Listed>,
    /// The lease does not answer it until then.
    pub cut_off: Duration,
}

pub(super) struct Process {
    pub replica: usize,
    pub clock: LocalClock,
    pub alive: bool,
    pub halt: Option<Halt>,
    /// When it runs again.
    pub wakes: Duration,
    /// It was stopped: promises about its own timing are off.
    pub disturbed: bool,
    /// It is to be stopped when its next pauses are due: before, or after its last look at the lease.
    pub halts_at_pause: Option<bool>,
    pub inbox: Vec<Message>,
    pub keeper: Keeper,
    pub term: Option<Term>,
    pub work: Work,
    /// Its windows that are not finished.
    pub drives: Vec<usize>,
    pub openers: Vec<Opener>,
    tick_at: Option<Duration>,
}

impl Process {
    /// Whether it trusts now that it leads.
    pub fn leads(&self, now: Duration) -> bool {
        self.alive && self.keeper.until.is_some_and(|until| self.clock.mono(now) < until)
    }

    pub fn idle(&self) -> bool {
        self.drives.is_empty() && self.openers.is_empty()
    }

    pub fn runs(&self) -> bool {
        self.alive && self.halt.is_none()
    }
}

impl World {
    pub(super) fn start(&mut self, replica: usize) {
        let process = self.processes.len();
        let keeper = Keeper {
            election: Election::new(self.terms),
            until: None,
            led: false,
            lost: false,
            listed: Listed::new(),
            change: 0,
            written: 0,
            inherited: None,
            cut_off: Duration::ZERO,
        };
        self.processes.push(Process {
            replica,
            clock: LocalClock { started: self.now, rate: self.rates[replica] },
            alive: true,
            halt: None,
            wakes: Duration::ZERO,
            disturbed: false,
            halts_at_pause: None,
            inbox: Vec::new(),
            keeper,
            term: None,
            work: Work::Campaigning,
            drives: Vec::new(),
            openers: Vec::new(),
            tick_at: None,
        });
        self.step(process);
    }

    /// What its own clock says.
    pub(super) fn mono(&self, process: usize) -> Duration {
        self.processes[process].clock.mono(self.now)
    }

    /// Something comes to a process.
    pub(super) fn tell(&mut self, process: usize, message: Message, network: bool) {
        let state = &mut self.processes[process];
        if !state.alive || network && state.halt == Some(Halt::Asleep) {
            return;
        }
        if matches!(message, Message::Tick) && state.tick_at.take_if(|at| *at == self.now).is_none() {
            // It was asked for before a sooner one was.
            return;
        }
        state.inbox.push(message);
        if state.halt.is_none() {
            self.step(process);
        }
    }

    pub(super) fn halt(&mut self, process: usize, halt: Halt, lasts: Duration) {
        let state = &mut self.processes[process];
        if state.halt.is_none() {
            (state.halt, state.wakes, state.disturbed) = (Some(halt), self.now + lasts, true);
            self.calm = self.calm.max(self.now + lasts);
            self.schedule(lasts, Happening::Wake { process });
        }
    }

    pub(super) fn wake(&mut self, process: usize) {
        self.processes[process].halt = None;
        if self.processes[process].alive {
            self.step(process);
        }
    }

    /// It is gone at once. `appends_land`: what it asked of the catalog is done.
    pub(super) fn die(&mut self, process: usize, appends_land: bool) {
        self.processes[process].alive = false;
        let rest = std::mem::take(&mut self.queue).into_sorted_vec();
        for scheduled in rest.into_iter().rev() {
            match scheduled.what {
                Happening::Catalog { process: of, .. } if of == process && !appends_land => {}
                Happening::Lease { process: of, .. } if of == process && self.random.once_in(2) => {}
                what => self.queue.push(super::Scheduled { what, ..scheduled }),
            }
        }
        self.note_death(process);
        let replica = self.processes[process].replica;
        let after = self.random.millis(100, 3_000);
        self.schedule(after, Happening::Start { replica });
    }

    /// Takes in what came, and does what is due.
    fn step(&mut self, process: usize) {
        self.report.steps += 1;
        for message in std::mem::take(&mut self.processes[process].inbox) {
            self.take_in(process, message);
        }
        // The keeper is a task of its own: a window may go on before it hears of its leadership.
        let keeps_last = self.random.once_in(2);
        if !keeps_last {
            self.keep(process);
        }
        self.work(process);
        for drive in self.processes[process].drives.clone() {
            self.advance(drive);
            if !self.processes[process].runs() {
                return;
            }
        }
        if keeps_last {
            self.keep(process);
        }
        self.work(process);
        self.care(process);
        self.wake_again(process);
    }

    fn take_in(&mut self, process: usize, message: Message) {
        match message {
            Message::Tick => {}
            Message::Census { drive, found } => self.drives[drive].give(Input::Census(Ok(found))),
            Message::Lease(answer) => self.lease_answered(process, answer),
            Message::Done { id, result } => self.catalog_answered(process, id, &result),
            Message::Replied { arriving, answer } => self.replied(arriving, &answer),
            Message::Send { arriving, line } => self.send_pause(arriving, line, false),
        }
    }

    /// A reply leaves a member.
    pub(super) fn reply(&mut self, arriving: Arriving, answer: Replied) {
        if !arriving.mute {
            let (process, message) = (arriving.process, Message::Replied { arriving, answer });
            let after = self.random.millis(1, 3);
            self.schedule(after, Happening::Tell { process, message, network: true });
        }
    }

    fn replied(&mut self, arriving: Arriving, answer: &Replied) {
        match arriving.sender {
            super::members::Sender::Drive(drive) => {
                let (member, request, answer) = (arriving.member, arriving.request, answer.clone());
                self.drives[drive].give(Input::Reply { member, request, answer });
            }
            super::members::Sender::Opener { process, window } => {
                self.opener_replied(process, window, &arriving, answer);
            }
        }
    }

    /// When it wants to be woken next.
    fn wake_again(&mut self, process: usize) {
        let state = &self.processes[process];
        let keeper = &state.keeper;
        let election = (!keeper.lost).then(|| keeper.election.deadline());
        let drives = state.drives.iter().filter_map(|drive| self.drives[*drive].deadline());
        let openers = state.openers.iter().filter_map(Opener::deadline);
        let all = drives.chain(openers).chain(election).chain(keeper.until).chain(self.work_deadline(process));
        let Some(at) = all.min() else { return };
        let at = state.clock.at(at).max(self.now + Duration::from_micros(100));
        if state.tick_at.is_none_or(|tick| at < tick) {
            self.processes[process].tick_at = Some(at);
            self.schedule(at - self.now, Happening::Tell { process, message: Message::Tick, network: false });
        }
    }
}
