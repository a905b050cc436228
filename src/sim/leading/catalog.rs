//! The catalog: its transactions, its fence, and the copies that it may fail over to.

use crate::window::{Event, Journal, Phase};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Whose a write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    pub epoch: u64,
    pub holder: usize,
    /// Which opening of all there ever were it is: for the checks, the fence does not know it.
    pub opening: u64,
}

/// How a slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotState {
    Planned,
    Running,
    Done,
    Missed,
}

/// One window's journal.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub slot: u32,
    pub events: Vec<Rc<Event>>,
}

impl Stored {
    /// The fold of the journal.
    pub fn journal(&self) -> Journal {
        Journal::fold(self.events.iter().map(AsRef::as_ref)).unwrap_or_default()
    }
}

/// One transaction.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Looks whether it is there, and what it is like.
    Connect,
    /// Takes the next epoch; answers with the journals that have no verdict.
    Open,
    Append {
        window: usize,
        slot: u32,
        number: u32,
        event: Rc<Event>,
    },
    /// Ends what a dead process left of slots; answers with all of them.
    TakeUp,
    Start {
        slot: u32,
    },
    Finish {
        slot: u32,
    },
    Miss {
        slot: u32,
    },
}

#[derive(Debug, Clone)]
pub(super) enum Done {
    Opened {
        term: Term,
        open: Vec<(usize, u32, Vec<Event>)>,
    },
    Appended,
    Slots(BTreeMap<u32, SlotState>),
    /// Whether it is so, or was changed.
    Is(bool),
}

/// Why a transaction was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The catalog belongs to another process now.
    Fenced,
    /// What it builds on is not there: the catalog has gone back.
    GoneBack,
    /// Nobody knows whether it was.
    Unknown,
}

/// What is durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalog {
    epoch: u64,
    holder: Option<usize>,
    /// The last opening that this copy knows of.
    pub opening: u64,
    pub windows: BTreeMap<usize, Stored>,
    pub slots: BTreeMap<u32, SlotState>,
}

impl Catalog {
    fn fence(&self, term: Term) -> bool {
        self.epoch == term.epoch && self.holder == Some(term.holder)
    }

    /// A process takes the catalog. `opening` is the number of this one.
    pub fn open(&mut self, holder: usize, opening: u64) -> Done {
        self.epoch += 1;
        (self.holder, self.opening) = (Some(holder), opening);
        let open = self.windows.iter().filter(|(_, stored)| stored.journal().phase != Phase::Closed);
        let events = |stored: &Stored| stored.events.iter().map(|event| (**event).clone()).collect();
        let open = open.map(|(window, stored)| (*window, stored.slot, events(stored))).collect();
        Done::Opened { term: Term { epoch: self.epoch, holder, opening }, open }
    }

    /// Carries a transaction out, and says whether anything changed.
    pub fn carry_out(&mut self, term: Term, op: &Op) -> Result<Done, Refusal> {
        if !self.fence(term) {
            return Err(Refusal::Fenced);
        }
        match op {
            Op::Connect | Op::Open => Err(Refusal::Unknown),
            Op::Append { window, slot, number, event } => self.append(*window, *slot, *number, event),
            Op::TakeUp => Ok(Done::Slots(self.take_up())),
            Op::Start { slot } => {
                let free = matches!(self.slots.get(slot), None | Some(SlotState::Planned));
                Ok(Done::Is(self.set(*slot, free && !self.has_window(*slot), SlotState::Running)))
            }
            Op::Finish { slot } => {
                let open = matches!(self.slots.get(slot), Some(SlotState::Planned | SlotState::Running));
                Ok(Done::Is(self.set(*slot, open, SlotState::Done)))
            }
            Op::Miss { slot } => {
                let open = !matches!(self.slots.get(slot), Some(SlotState::Done | SlotState::Missed));
                Ok(Done::Is(self.set(*slot, open, SlotState::Missed)))
            }
        }
    }

    fn append(&mut self, window: usize, slot: u32, number: u32, event: &Rc<Event>) -> Result<Done, Refusal> {
        let stored = self.windows.get(&window).map(|stored| stored.events.as_slice()).unwrap_or_default();
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        match stored.get(at) {
            Some(there) if there == event => return Ok(Done::Appended),
            None if at == stored.len() => {}
            _ => return Err(Refusal::GoneBack),
        }
        let events: Vec<_> = stored.iter().chain([event]).cloned().collect();
        if Journal::fold(events.iter().map(AsRef::as_ref)).is_err() {
            return Err(Refusal::GoneBack);
        }
        self.windows.insert(window, Stored { slot, events });
        Ok(Done::Appended)
    }

    /// A slot that runs, and that no window was begun for, is planned again; any other that runs is done.
    fn take_up(&mut self) -> BTreeMap<u32, SlotState> {
        let running: Vec<u32> =
            self.slots.iter().filter(|(_, state)| **state == SlotState::Running).map(|(slot, _)| *slot).collect();
        for slot in running {
            let state = if self.has_window(slot) { SlotState::Done } else { SlotState::Planned };
            self.slots.insert(slot, state);
        }
        self.slots.clone()
    }

    /// Whether a window was begun for the slot: its row may be lost where the window's is not.
    fn has_window(&self, slot: u32) -> bool {
        self.windows.values().any(|stored| stored.slot == slot)
    }

    fn set(&mut self, slot: u32, may: bool, state: SlotState) -> bool {
        if may {
            self.slots.insert(slot, state);
        }
        may
    }
}
