//! One window in one process, as `engine/drive.rs` drives it: what it wants done, and what the catalog makes of it.

use super::catalog::{Done, Op, Refusal};
use super::clock::wall;
use super::members::{Arriving, Sender};
use super::process::{Halt, Message};
use super::{Fault, Happening, World};
use crate::domain::{Evidence, Now, PAUSE_MARGIN, Trigger};
use crate::scalar::{Answer, Failure, FailureKind};
use crate::sim::witness::Witness;
use crate::window::{APPEND_DEADLINE, Call, Effect, Event, Input, Line, Plan, State, Window};
use std::rc::Rc;
use std::time::Duration;

/// How long a change of the catalog may take before its outcome counts as unknown.
pub(super) const APPEND_LIMIT: Duration = Duration::from_secs(10);

/// A window as it was begun, by its number.
#[derive(Debug)]
pub(super) struct Begun {
    pub slot: u32,
    pub at: Duration,
    /// When it was told that it is consistent.
    pub told: Option<Duration>,
}

/// An append, and the lease that an intent has to stand on too.
#[derive(Debug)]
struct Appending {
    number: u32,
    id: u64,
    written: Option<bool>,
    /// The change of the lease that is waited for, and until when.
    posted: Option<(u64, Duration)>,
}

/// What becomes of a change of the catalog.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    pub fails: bool,
    pub lies: bool,
}

pub(super) struct Drive {
    pub process: usize,
    pub window_id: usize,
    pub slot: u32,
    pub window: Window,
    pub recovered: bool,
    pub witness: Witness,
    inbox: Vec<Input>,
    dirty: bool,
    /// A member: the life that its connection leads to.
    pub connected: Vec<u32>,
    appending: Option<Appending>,
    /// Until when it was told that its process leads.
    pub leads_until: Duration,
    pub concluded: bool,
}

impl Drive {
    pub fn give(&mut self, input: Input) {
        self.inbox.push(input);
        self.dirty = true;
    }

    /// Everything is open, and how it ends is decided: that may wait for the catalog.
    pub fn is_decided(&self, now: Now) -> bool {
        self.window.state(now) == State::Concluding
    }

    /// Each member answered that it is open, or is done.
    pub fn seen_open(&self) -> bool {
        self.window.live().iter().all(|live| live.end.is_some() || live.opened_at.is_some())
    }

    pub fn deadline(&self) -> Option<Duration> {
        let answered = self.appending.as_ref().filter(|appending| appending.written.is_some());
        let posted = answered.and_then(|appending| appending.posted);
        self.window.deadline().into_iter().chain(posted.map(|(_, until)| until)).min()
    }
}

impl World {
    /// A window of a slot begins.
    pub(super) fn begin(&mut self, process: usize, slot: u32) -> usize {
        let now = self.processes[process].clock.now(self.now);
        let (drain, hold) = (self.drain, Duration::from_secs(2));
        let plan = Plan {
            window: format!("w{}", self.begun.len()),
            group: "g".into(),
            trigger: Trigger::Schedule,
            slot: Some(wall(super::daemon::at(slot))),
            started: now.wall,
            hold,
            drain,
            max_pause: drain * self.stages + hold + PAUSE_MARGIN,
        };
        let window = Window::begin(plan, Evidence::Address, self.named.clone(), Vec::new(), now);
        self.begun.push(Begun { slot, at: self.now, told: None });
        self.report.windows += 1;
        self.check_begun(process, slot);
        self.spawn(process, self.begun.len() - 1, slot, window)
    }

    pub(super) fn spawn(&mut self, process: usize, window_id: usize, slot: u32, window: Window) -> usize {
        let drive = self.drives.len();
        let (count, recovered) = (self.members.len(), window.recovered());
        let until = self.processes[process].keeper.until.unwrap_or_default();
        let inbox = if recovered { vec![Input::Tick] } else { vec![Input::Leads { until }] };
        self.drives.push(Drive {
            process,
            window_id,
            slot,
            window,
            recovered,
            witness: Witness::new(count, None, false, 0),
            inbox,
            dirty: true,
            connected: vec![0; count],
            appending: None,
            leads_until: until,
            concluded: false,
        });
        self.processes[process].drives.push(drive);
        drive
    }

    /// Lets the window take in what came, and carries out what is due.
    pub(super) fn advance(&mut self, drive: usize) {
        let process = self.drives[drive].process;
        let now = self.processes[process].clock.now(self.now);
        self.settle_append(drive);
        let due = self.drives[drive].window.deadline().is_some_and(|at| at <= now.mono);
        if !self.drives[drive].dirty && !due || self.drives[drive].window.finished() {
            return;
        }
        let state = self.drives[drive].window.state(now);
        self.strike(process, Some((drive, state)));
        if !self.processes[process].runs() {
            return;
        }
        let state = &mut self.drives[drive];
        state.dirty = false;
        for input in std::mem::take(&mut state.inbox) {
            state.witness.told(now.mono, &state.window, &input);
            state.window.absorb(now, input);
        }
        let effects = state.window.advance(now);
        self.check_step(drive, &effects);
        for effect in effects {
            self.carry_out(drive, effect);
        }
        self.check_told(drive);
        if self.drives[drive].window.finished() {
            let window = self.drives[drive].window_id;
            self.processes[process].drives.retain(|other| *other != drive);
            self.strike_listed(process, window);
        }
    }

    fn carry_out(&mut self, drive: usize, effect: Effect) {
        let process = self.drives[drive].process;
        match effect {
            Effect::Send { request, member, call, line, .. } => {
                let sender = Sender::Drive(drive);
                let arriving = Arriving { sender, process, member, life: 0, request, call, mute: false, late: false };
                match call {
                    Call::Pause { .. } => self.send_pause(arriving, line, true),
                    _ => self.send(arriving, line, Duration::ZERO, None),
                }
            }
            Effect::Append { number, event } => self.append(drive, number, event),
            Effect::TakeCensus => {
                let found = self.named.clone();
                let (after, message) = (self.random.millis(1, 5), Message::Census { drive, found });
                self.schedule(after, Happening::Tell { process, message, network: true });
            }
            Effect::LookAtPods | Effect::LookAtStores => self.object("it looks at what it has not"),
        }
    }

    /// The shell looks at its lease once more right before a pause leaves. `due`: just now.
    pub(super) fn send_pause(&mut self, arriving: Arriving, line: Line, due: bool) {
        let process = arriving.process;
        let state = &mut self.processes[process];
        let halts = if due { state.halts_at_pause } else { None };
        if halts == Some(false) || due && state.halt.is_some() {
            // The rest of this step is done when it wakes, and so is every pause after this one.
            let lasts = self.stopped_for();
            self.halt(process, Halt::Stopped, lasts);
            let (wakes, message) = (self.processes[process].wakes - self.now, Message::Send { arriving, line });
            // Before the window sees that time has passed, or after it.
            if self.random.once_in(2) {
                self.processes[process].inbox.push(message);
            } else {
                self.schedule(wakes, Happening::Tell { process, message, network: false });
            }
            self.processes[process].halts_at_pause = None;
            return;
        }
        if !self.processes[process].leads(self.now) {
            let lost = Answer::Failed(Failure { kind: FailureKind::Rejected, detail: "it leads no more".into() });
            return self.reply(arriving, lost);
        }
        self.check_pause(&arriving);
        let drain = if let Call::Pause { drain } = arriving.call { drain } else { Duration::ZERO };
        let late = halts.map(|_| {
            let lasts = self.stopped_for();
            self.halt(process, Halt::Stopped, lasts);
            lasts
        });
        self.send(arriving, line, drain, late);
        self.processes[process].halts_at_pause = None;
    }

    fn append(&mut self, drive: usize, number: u32, event: Event) {
        let Drive { process, window_id, slot, .. } = self.drives[drive];
        let intended = matches!(event, Event::Intended { .. });
        let op = Op::Append { window: window_id, slot, number, event: Rc::new(event) };
        let fault = self.armed.append.take();
        let fate = Fate { fails: fault == Some(Fault::AppendFails), lies: fault == Some(Fault::AppendLies) };
        let id = self.ask_catalog(process, op, fate);
        // No pause leaves before its intent stands in both places.
        let until = self.mono(process) + APPEND_DEADLINE;
        let posted = intended.then(|| (self.post(process, window_id), until));
        self.drives[drive].appending = Some(Appending { number, id, written: None, posted });
    }

    /// Asks the catalog; the answer comes as `Message::Done` with this number.
    pub(super) fn ask_catalog(&mut self, process: usize, op: Op, fate: Fate) -> u64 {
        self.order += 1;
        let id = self.order;
        let after = self.random.millis(1, 4);
        self.schedule(after, Happening::Catalog { process, id, op, fate });
        let limit = self.processes[process].clock.at(self.mono(process) + APPEND_LIMIT) - self.now;
        let message = Message::Done { id, result: Err(Refusal::Unknown) };
        self.schedule(limit, Happening::Tell { process, message, network: false });
        id
    }

    /// A transaction arrives at the catalog.
    pub(super) fn catalog_asked(&mut self, process: usize, id: u64, op: &Op, fate: Fate) {
        let away = self.catalog_back.saturating_sub(self.now);
        if !away.is_zero() && self.random.once_in(2) {
            // It hangs until the catalog is back.
            let op = op.clone();
            return self.schedule(away, Happening::Catalog { process, id, op, fate });
        }
        let result = match op {
            _ if fate.fails || !away.is_zero() => Err(Refusal::Unknown),
            Op::Connect => Ok(Done::Is(true)),
            Op::Open => {
                self.openings += 1;
                Ok(self.catalog.open(process, self.openings))
            }
            op => match self.processes[process].term {
                Some(term) => self.catalog.carry_out(term, op),
                None => Err(Refusal::Unknown),
            },
        };
        if result.is_ok() && !matches!(op, Op::Connect) {
            self.check_committed(process, op);
            self.copies.push(self.catalog.clone());
        }
        let result = if fate.lies { Err(Refusal::Unknown) } else { result };
        let after = self.random.millis(1, 3);
        self.schedule(after, Happening::Tell { process, message: Message::Done { id, result }, network: true });
    }

    /// Answers with whether it was an append of one of its windows.
    pub(super) fn append_answered(&mut self, process: usize, id: u64, result: &Result<Done, Refusal>) -> bool {
        let mut drives = self.processes[process].drives.iter();
        let appends = |drive: &&usize| self.drives[**drive].appending.as_ref().is_some_and(|it| it.id == id);
        let Some(drive) = drives.find(appends).copied() else { return false };
        if let Some(appending) = &mut self.drives[drive].appending {
            appending.written = Some(result.is_ok());
        }
        true
    }

    /// Tells the window of its append, when both places have answered.
    fn settle_append(&mut self, drive: usize) {
        let process = self.drives[drive].process;
        let (now, keeper) = (self.mono(process), &self.processes[process].keeper);
        let Some(Appending { number, written: Some(written), posted, .. }) = self.drives[drive].appending else {
            return;
        };
        let stands = match posted {
            Some((change, _)) if keeper.written >= change => true,
            Some((_, until)) if now < until && !keeper.lost => return,
            Some(_) => false,
            None => true,
        };
        self.drives[drive].appending = None;
        self.drives[drive].give(if written && stands {
            Input::Appended { number }
        } else {
            Input::AppendFailed { number, error: "injected".into() }
        });
    }
}
