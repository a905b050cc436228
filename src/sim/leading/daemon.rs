//! What a daemon does with its leadership, as `daemon/run.rs`, `leading.rs` and `attempts.rs` do: it takes the catalog,
//! opens what a predecessor left, then runs slots; and opens everything when it leads no more.

use super::World;
use super::catalog::{Done, Op, Refusal, SlotState};
use super::clock::wall;
use super::drive::Fate;
use super::process::Process;
use crate::domain::{Code, Reason, Verdict};
use crate::window::{Input, Window};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

const SLOTS_EVERY: Duration = Duration::from_secs(30);
/// A slot that is this far in the past when its turn comes was missed.
const LATE: Duration = Duration::from_secs(5);
const LEAD: Duration = Duration::from_secs(2);
const STARTING_DEADLINE: Duration = Duration::from_secs(25);
const ATTEMPTS: u32 = 2;
const RETRY_DELAY: Duration = Duration::from_secs(3);
const REFUSED_RETRY: Duration = Duration::from_secs(1);
const CATALOG_RETRY: Duration = Duration::from_secs(5);
const OPEN_PATIENCE: Duration = Duration::from_secs(3);
const RECOVERY_WAIT: Duration = Duration::from_secs(10);
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// The lease's release reaches it by then.
const RELEASED: Duration = Duration::from_millis(100);

/// When a slot is.
pub(super) fn at(slot: u32) -> Duration {
    Duration::from_secs(15) + SLOTS_EVERY * slot
}

/// What a daemon is at. Times are by its own clock.
#[derive(Debug)]
pub(super) enum Work {
    Campaigning,
    /// It takes the catalog; whatever that takes, what stands on the lease is opened.
    Opening {
        asked: u64,
        connected: bool,
        since: Duration,
        rescues: bool,
    },
    /// The catalog could not be taken.
    Rescuing,
    Recovering {
        since: Duration,
    },
    /// It waits until then after a change of the catalog that failed.
    Waiting {
        until: Duration,
        next: Next,
    },
    /// It asked the catalog.
    Asking {
        asked: u64,
        next: Next,
    },
    /// It waits for the next slot.
    Idle {
        after: u32,
    },
    /// A window runs for the slot.
    Attempting {
        slot: u32,
        discarded: u32,
        drive: usize,
    },
    /// The windows come to their ends.
    Stopping {
        concluded: Option<Duration>,
    },
    Releasing {
        until: Duration,
    },
}

/// What the catalog is asked for, or what is done after a while.
#[derive(Debug, Clone)]
pub(super) enum Next {
    TakeUp,
    /// These passed: the last may be caught up.
    Miss {
        passed: VecDeque<u32>,
        catch_up: Option<u32>,
        after: u32,
    },
    Start {
        slot: u32,
    },
    Attempt {
        slot: u32,
        discarded: u32,
        begun: bool,
    },
    Finish {
        slot: u32,
    },
    Idle {
        after: u32,
    },
}

impl World {
    /// Goes on with whatever the daemon is at.
    pub(super) fn work(&mut self, process: usize) {
        let now = self.mono(process);
        let state = &self.processes[process];
        // Nobody looks at the lease while the catalog is being taken.
        let busy = matches!(state.work, Work::Opening { .. } | Work::Rescuing);
        if state.keeper.lost && !busy {
            self.stop(process, Code::Shutdown);
        }
        match &self.processes[process].work {
            Work::Campaigning if self.processes[process].keeper.led => {
                let asked = self.ask_catalog(process, Op::Connect, Fate::default());
                let work = Work::Opening { asked, connected: false, since: now, rescues: false };
                self.processes[process].work = work;
            }
            Work::Opening { since, rescues: false, .. } if now >= *since + OPEN_PATIENCE => {
                if let Work::Opening { rescues, .. } = &mut self.processes[process].work {
                    *rescues = true;
                }
                self.rescue(process);
            }
            Work::Rescuing if self.processes[process].openers.is_empty() => self.stop(process, Code::Catalog),
            Work::Recovering { since } => {
                let opened = self.processes[process].drives.iter().all(|drive| self.drives[*drive].seen_open());
                if opened || now >= *since + RECOVERY_WAIT {
                    self.ask(process, Next::TakeUp);
                }
            }
            Work::Waiting { until, next } if now >= *until => {
                let next = next.clone();
                self.ask(process, next);
            }
            Work::Idle { after } => self.look_for_slot(process, *after),
            Work::Attempting { slot, discarded, drive } => self.attempted(process, *slot, *discarded, *drive),
            Work::Stopping { concluded } => self.stopping(process, *concluded),
            Work::Releasing { until } if now >= *until => self.die(process, true),
            _ => {}
        }
    }

    /// When it is to be looked at again.
    pub(super) fn work_deadline(&self, process: usize) -> Option<Duration> {
        let state = &self.processes[process];
        let until = match &state.work {
            Work::Opening { since, rescues: false, .. } => *since + OPEN_PATIENCE,
            Work::Recovering { since } => *since + RECOVERY_WAIT,
            Work::Waiting { until, .. } | Work::Releasing { until } => *until,
            Work::Idle { after } => {
                state.clock.mono(state.clock.at_wall(wall(at(after.wrapping_add(1)).saturating_sub(LEAD))))
            }
            Work::Stopping { concluded: Some(at) } => *at + CLOSE_LIMIT,
            _ => return None,
        };
        Some(until + Duration::from_micros(1))
    }

    fn ask(&mut self, process: usize, next: Next) {
        let op = match &next {
            Next::TakeUp => Op::TakeUp,
            Next::Miss { passed, catch_up, after } => match (passed.front(), catch_up) {
                (Some(slot), _) => Op::Miss { slot: *slot },
                (None, Some(slot)) => return self.ask(process, Next::Start { slot: *slot }),
                (None, None) => return self.processes[process].work = Work::Idle { after: *after },
            },
            Next::Start { slot } => Op::Start { slot: *slot },
            Next::Finish { slot } => Op::Finish { slot: *slot },
            Next::Attempt { slot, discarded, begun } => return self.attempt(process, *slot, *discarded, *begun),
            Next::Idle { after } => return self.processes[process].work = Work::Idle { after: *after },
        };
        let asked = self.ask_catalog(process, op, Fate::default());
        self.processes[process].work = Work::Asking { asked, next };
    }

    fn wait(&mut self, process: usize, delay: Duration, next: Next) {
        let until = self.mono(process) + delay;
        self.processes[process].work = Work::Waiting { until, next };
    }

    pub(super) fn catalog_answered(&mut self, process: usize, id: u64, result: &Result<Done, Refusal>) {
        if matches!(result, Err(Refusal::Fenced | Refusal::GoneBack)) {
            self.superseded(process);
        }
        if self.append_answered(process, id, result) {
            return;
        }
        match &self.processes[process].work {
            Work::Opening { asked, connected: false, since, rescues } if *asked == id && result.is_ok() => {
                let (since, rescues) = (*since, *rescues);
                let asked = self.ask_catalog(process, Op::Open, Fate::default());
                self.processes[process].work = Work::Opening { asked, connected: true, since, rescues };
            }
            Work::Opening { asked, .. } if *asked == id => self.opened(process, result),
            Work::Asking { asked, next } if *asked == id => {
                let next = next.clone();
                self.asked(process, next, result);
            }
            _ => {}
        }
    }

    /// The catalog is another's, or has gone back: nothing more can be written, so somebody else is to lead.
    fn superseded(&mut self, process: usize) {
        if self.processes[process].term.is_some() {
            self.stop(process, Code::LeadershipLost);
        }
    }

    /// The catalog is taken, or not. What a dead process left is opened before anything else.
    fn opened(&mut self, process: usize, result: &Result<Done, Refusal>) {
        let Ok(Done::Opened { term, open }) = result else {
            self.processes[process].work = Work::Rescuing;
            return self.rescue(process);
        };
        let now = self.mono(process);
        self.processes[process].term = Some(*term);
        self.processes[process].openers.clear();
        self.processes[process].work = Work::Recovering { since: now };
        self.check_open(open);
        for (window, slot, events) in open {
            match Window::recover(events, self.processes[process].clock.now(self.now)) {
                // Its verdict waits for the next start when another window of its group is being recovered.
                Ok(Some(_)) if !self.processes[process].drives.is_empty() => self.open_listed(process, *window, false),
                Ok(Some(recovered)) => drop(self.spawn(process, *window, *slot, recovered)),
                Ok(None) => {}
                Err(illegal) => self.object(format!("the journal does not fold: {illegal}")),
            }
        }
        self.settle(process);
    }

    /// What stands on the lease and not in the catalog is opened by that alone, the rest is struck when it has ended.
    fn settle(&mut self, process: usize) {
        let inherited = self.processes[process].keeper.inherited.clone().unwrap_or_default();
        for window in inherited {
            let runs = self.processes[process].drives.iter().any(|drive| self.drives[*drive].window_id == window);
            let verdict = self.verdict(window);
            let openers = &mut self.processes[process].openers;
            let opener = openers.iter_mut().find(|opener| opener.window == window);
            match (runs, verdict, opener) {
                (true, ..) => {}
                (false, Some(_), _) => self.strike_listed(process, window),
                (false, None, Some(opener)) => opener.strikes = true,
                (false, None, None) => self.open_listed(process, window, true),
            }
        }
    }

    /// Opens what stands on the lease: it is ended by whoever can take the catalog.
    fn rescue(&mut self, process: usize) {
        for window in self.processes[process].keeper.inherited.clone().unwrap_or_default() {
            if self.processes[process].openers.iter().all(|opener| opener.window != window) {
                self.open_listed(process, window, false);
            }
        }
    }

    fn asked(&mut self, process: usize, next: Next, result: &Result<Done, Refusal>) {
        match (next, result) {
            (Next::TakeUp, Ok(Done::Slots(slots))) => self.taken_up(process, slots),
            (Next::TakeUp, _) => self.wait(process, CATALOG_RETRY, Next::TakeUp),
            (Next::Miss { mut passed, catch_up, after }, result) => {
                passed.pop_front();
                let delay = if result.is_ok() { Duration::ZERO } else { CATALOG_RETRY };
                self.wait(process, delay, Next::Miss { passed, catch_up, after });
            }
            (Next::Start { slot }, Ok(Done::Is(true))) => self.attempt(process, slot, 0, false),
            (Next::Start { slot }, Ok(_)) => self.processes[process].work = Work::Idle { after: slot },
            (Next::Start { slot }, Err(_)) => {
                let next = Next::Miss { passed: VecDeque::from([slot]), catch_up: None, after: slot };
                self.wait(process, CATALOG_RETRY, next);
            }
            (Next::Finish { slot }, result) => {
                let delay = if result.is_ok() { Duration::ZERO } else { CATALOG_RETRY };
                self.wait(process, delay, Next::Idle { after: slot });
            }
            (Next::Attempt { .. } | Next::Idle { .. }, _) => {}
        }
    }

    /// The slots that passed while nobody led are missed, or the last is caught up.
    fn taken_up(&mut self, process: usize, slots: &BTreeMap<u32, SlotState>) {
        let now = self.processes[process].clock.now(self.now).wall;
        let last = (0..).take_while(|slot| wall(at(*slot)) <= now).last();
        let known = slots.keys().next_back().copied();
        let undecided = |slot: &u32| matches!(slots.get(slot), None | Some(SlotState::Planned));
        let from = slots.iter().find(|(_, state)| **state == SlotState::Planned).map(|(slot, _)| *slot);
        let from = from.or(known).or(last);
        let mut passed: VecDeque<u32> = match (from, last) {
            (Some(from), Some(last)) => (from..=last).filter(undecided).collect(),
            _ => VecDeque::new(),
        };
        let after = last.map_or(0, |last| last + 1);
        let newest = passed.back().copied().filter(|slot| {
            let room = now + LEAD + Duration::from_secs(8) < wall(at(after)) - LEAD;
            self.catch_up && now < wall(at(*slot)) + STARTING_DEADLINE && room
        });
        if newest.is_some() {
            passed.pop_back();
        }
        // The one after the last that passed comes next.
        let next = Next::Miss { passed, catch_up: newest, after: after.saturating_sub(1) };
        let next = if last.is_none() { Next::Idle { after: u32::MAX } } else { next };
        self.ask(process, next);
    }

    fn look_for_slot(&mut self, process: usize, after: u32) {
        let now = self.processes[process].clock.now(self.now).wall;
        let slot = after.wrapping_add(1);
        if wall(at(slot)) + LATE < now {
            self.ask(process, Next::Miss { passed: VecDeque::from([slot]), catch_up: None, after: slot });
        } else if now >= wall(at(slot).saturating_sub(LEAD)) {
            self.ask(process, Next::Start { slot });
        }
    }

    /// Begins a window for the slot; while the group is in another, a little later.
    fn attempt(&mut self, process: usize, slot: u32, discarded: u32, begun: bool) {
        let now = self.processes[process].clock.now(self.now).wall;
        if now > wall(at(slot)) + STARTING_DEADLINE || now > wall(at(slot + 1)) - LEAD {
            return self.ask(
                process,
                if begun {
                    Next::Finish { slot }
                } else {
                    Next::Miss { passed: VecDeque::from([slot]), catch_up: None, after: slot }
                },
            );
        }
        if !self.processes[process].idle() {
            return self.wait(process, REFUSED_RETRY, Next::Attempt { slot, discarded, begun });
        }
        let drive = self.begin(process, slot);
        self.processes[process].work = Work::Attempting { slot, discarded, drive };
    }

    fn attempted(&mut self, process: usize, slot: u32, discarded: u32, drive: usize) {
        let drive = &self.drives[drive];
        let Some(outcome) = drive.window.outcome().filter(|_| drive.window.finished()) else { return };
        match outcome.verdict {
            Verdict::Refused => self.wait(process, REFUSED_RETRY, Next::Attempt { slot, discarded, begun: true }),
            Verdict::Discarded if discarded + 1 < ATTEMPTS => {
                self.wait(process, RETRY_DELAY, Next::Attempt { slot, discarded: discarded + 1, begun: true });
            }
            _ => self.ask(process, Next::Finish { slot }),
        }
    }

    /// Begins no further window, and opens everything.
    pub(super) fn stop(&mut self, process: usize, code: Code) {
        if matches!(self.processes[process].work, Work::Stopping { .. } | Work::Releasing { .. }) {
            return;
        }
        self.processes[process].work = Work::Stopping { concluded: None };
        self.processes[process].openers.clear();
        for drive in self.processes[process].drives.clone() {
            self.drives[drive].give(Input::Open(Reason::new(code, "told to stop")));
        }
    }

    /// The verdicts may wait for a catalog that never comes back; the intents say enough to whoever leads next.
    fn stopping(&mut self, process: usize, concluded: Option<Duration>) {
        let both = self.processes[process].clock.now(self.now);
        let (now, drives) = (both.mono, &self.processes[process].drives);
        if !drives.iter().all(|drive| self.drives[*drive].is_decided(both)) {
            return;
        }
        let since = concluded.unwrap_or(now);
        if drives.is_empty() || now >= since + CLOSE_LIMIT {
            self.release(process);
            let keeper = &mut self.processes[process].keeper;
            (keeper.lost, keeper.until) = (true, None);
            self.processes[process].work = Work::Releasing { until: now + RELEASED };
        } else {
            self.processes[process].work = Work::Stopping { concluded: Some(since) };
        }
    }

    /// A window that was begun after the last fault is consistent, and nothing is under way.
    pub(super) fn rests(&self) -> bool {
        let proven = self.begun.iter().rev().any(|begun| begun.told.is_some() && begun.at > self.calm);
        proven && self.processes.iter().filter(|process| process.alive).all(Process::idle)
    }

    pub(super) fn unrest(&self) -> String {
        let alive = self.processes.iter().enumerate().filter(|(_, process)| process.alive);
        let what = alive.map(|(index, process)| {
            let states = process.drives.iter().map(|drive| self.drives[*drive].window.durable().phase);
            let leads = process.leads(self.now);
            format!("p{index} leads: {leads}, {:?}, windows {:?}", process.work, states.collect::<Vec<_>>())
        });
        what.collect::<Vec<_>>().join("; ")
    }
}
