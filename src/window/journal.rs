//! The durable state of a window: the fold of its journalled events.

use super::event::{End, Event, Outcome, Plan};
use crate::domain::{Evidence, Interval, Member, Verdict};
use jiff::Timestamp;

/// Where a window stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing is written: nothing is paused.
    New,
    /// The intent is written: members may be paused.
    Intended,
    /// All members were paused.
    Paused,
    /// The hold ended well.
    HeldOver,
    /// A process died over it; only opening and `discarded` follow.
    Interrupted,
    /// Every member is done.
    Opened,
    /// The verdict stands.
    Closed,
}

/// The fold of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// How many events were folded: the number of the next one.
    pub next: u32,
    pub phase: Phase,
    pub plan: Option<Plan>,
    pub evidence: Evidence,
    pub members: Vec<Member>,
    pub pause_completed: Option<Timestamp>,
    pub quiet: Option<Interval>,
    pub interrupted: bool,
    pub abandoned: Vec<usize>,
    pub ends: Vec<End>,
    pub outcome: Option<Outcome>,
}

/// An event that cannot follow the ones before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event} cannot follow in phase {phase:?}")]
pub struct Illegal {
    /// The phase it met.
    pub phase: Phase,
    /// The event's name.
    pub event: &'static str,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            next: 0,
            phase: Phase::New,
            plan: None,
            evidence: Evidence::Address,
            members: Vec::new(),
            pause_completed: None,
            quiet: None,
            interrupted: false,
            abandoned: Vec::new(),
            ends: Vec::new(),
            outcome: None,
        }
    }
}

impl Journal {
    /// Folds a whole journal.
    ///
    /// # Errors
    /// The first event that cannot follow the ones before it.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Self, Illegal> {
        let mut journal = Self::default();
        for event in events {
            journal.apply(event)?;
        }
        Ok(journal)
    }

    /// Takes the next event in.
    ///
    /// # Errors
    /// The event cannot follow; the journal is unchanged.
    pub fn apply(&mut self, event: &Event) -> Result<(), Illegal> {
        use Phase::{Closed, HeldOver, Intended, Interrupted, New, Opened, Paused};
        self.phase = match (self.phase, event) {
            (New, Event::Refused { plan, reasons }) => {
                self.plan = Some(plan.clone());
                self.outcome = Some(Outcome {
                    verdict: Verdict::Refused,
                    reasons: reasons.clone(),
                    quiet: None,
                    restore_point: None,
                    closed: None,
                });
                Closed
            }
            (New, Event::Intended { plan, evidence, members }) => {
                self.plan = Some(plan.clone());
                self.evidence = *evidence;
                self.members = members.clone();
                Intended
            }
            (Intended, Event::Paused { at }) => {
                self.pause_completed = Some(*at);
                Paused
            }
            (Paused, Event::HoldOver { quiet }) => {
                self.quiet = Some(*quiet);
                HeldOver
            }
            (Intended | Paused | HeldOver | Interrupted, Event::Interrupted { .. }) => {
                self.interrupted = true;
                Interrupted
            }
            (phase @ (Intended | Paused | HeldOver | Interrupted), Event::Abandoned { member, .. })
                if *member < self.members.len() =>
            {
                self.abandoned.push(*member);
                phase
            }
            (Intended | Paused | HeldOver | Interrupted, Event::Opened { ends, .. })
                if ends.len() == self.members.len() =>
            {
                self.ends = ends.clone();
                Opened
            }
            (Opened, Event::Verdict { outcome }) if self.allows(outcome) => {
                self.outcome = Some(outcome.clone());
                Closed
            }
            (phase, event) => return Err(Illegal { phase, event: event.name() }),
        };
        self.next += 1;
        Ok(())
    }

    /// A consistent verdict needs a hold that ended well, in a window that no process died over.
    fn allows(&self, outcome: &Outcome) -> bool {
        match outcome.verdict {
            Verdict::Consistent => {
                self.quiet.is_some()
                    && !self.interrupted
                    && self.abandoned.is_empty()
                    && outcome.reasons.is_empty()
                    && outcome.restore_point.is_some()
            }
            Verdict::Discarded | Verdict::Refused => outcome.restore_point.is_none() && !outcome.reasons.is_empty(),
            Verdict::Missed | Verdict::Skipped => false,
        }
    }

    /// Whether members may still be closed by this window.
    #[must_use]
    pub const fn open_intent(&self) -> bool {
        matches!(self.phase, Phase::Intended | Phase::Paused | Phase::HeldOver | Phase::Interrupted)
    }
}
