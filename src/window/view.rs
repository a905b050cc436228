//! What others read of a window.

use super::event::{Outcome, Plan};
use super::journal::{Journal, Phase};
use super::machine::Window;
use super::member::Live;
use crate::domain::{Interval, Member, Now, Verdict};
use jiff::Timestamp;

/// What a window is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Preflight is done or under way, the slot has not come.
    Waiting,
    /// Every member is asked whether it is open.
    Looking,
    /// The intent is on its way to the disk.
    Intending,
    /// Pause requests are out.
    Pausing,
    /// All acknowledged; asked again.
    Rechecking,
    /// All closed.
    Holding,
    /// The hold is over; asked for the last time.
    LastLook,
    /// Unpause requests are out.
    Opening,
    /// The same, for a window that a dead process left.
    Recovering,
    /// All open; the members are found again.
    Verifying,
    /// The verdict is on its way to the disk, or there.
    Concluding,
}

impl Window {
    /// The window's plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its members, in the intent's order.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What is known of each member now, in the intent's order.
    #[must_use]
    pub fn live(&self) -> &[Live] {
        &self.live
    }

    /// The quiet interval, once the hold has ended well.
    #[must_use]
    pub const fn quiet(&self) -> Option<Interval> {
        self.held
    }

    /// When the first pause request left.
    #[must_use]
    pub fn first_pause(&self) -> Option<Timestamp> {
        self.first_sent.map(|now| now.wall)
    }

    /// When the last member acknowledged its pause.
    #[must_use]
    pub fn pause_completed(&self) -> Option<Timestamp> {
        self.last_ack.map(|now| now.wall)
    }

    /// Just before the first unpause request left.
    #[must_use]
    pub fn unpause_started(&self) -> Option<Timestamp> {
        self.opening.map(|now| now.wall)
    }

    /// Whether a dead process left it.
    #[must_use]
    pub const fn recovered(&self) -> bool {
        self.ahead.interrupted
    }

    /// The fold of what is durable.
    #[must_use]
    pub const fn durable(&self) -> &Journal {
        &self.durable
    }

    /// How it ended: a proven instant only when that is durable, anything else as soon as it is decided.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.ahead.outcome {
            Some(outcome) if outcome.verdict == Verdict::Consistent => self.durable.outcome.as_ref(),
            outcome => outcome.as_ref(),
        }
    }

    /// What it is doing now, for people and for the simulation's counts.
    #[must_use]
    pub fn state(&self, now: Now) -> State {
        match (self.ahead.phase, self.opening) {
            (Phase::New, _) if now.mono < self.pause_at => State::Waiting,
            (Phase::New, _) => State::Looking,
            (Phase::Closed, _) => State::Concluding,
            (Phase::Opened, _) => State::Verifying,
            (Phase::Interrupted, _) => State::Recovering,
            (_, Some(_)) => State::Opening,
            (Phase::Intended, None) if self.durable.phase == Phase::New => State::Intending,
            (Phase::Intended, None) if self.last_ack.is_none() => State::Pausing,
            (Phase::Intended, None) => State::Rechecking,
            _ if self.hold_until().is_some_and(|until| now.mono >= until) => State::LastLook,
            _ => State::Holding,
        }
    }

    /// Nothing is left to do.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.durable.phase == Phase::Closed
    }
}
