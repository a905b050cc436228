//! What a window's journal holds: a handful of events, each durable before anything is built on it.

use crate::domain::{Evidence, Interval, Member, Reason, Trigger, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a member may take to answer a pause beyond its drain limit; also how late a duplicate of a request
/// may still arrive.
pub const MARGIN: Duration = Duration::from_secs(5);
/// The deadline of `Unpause` and `CheckPaused`.
pub const ASK_DEADLINE: Duration = Duration::from_secs(3);
/// How long finding the members again may take, with proof that nothing was missed in between.
pub const CENSUS_DEADLINE: Duration = Duration::from_secs(15);
/// How long looking at the stores' clocks again may take: a store may have a thousand tables.
pub const STORES_DEADLINE: Duration = Duration::from_secs(60);
/// How long a member whose pod may be gone waits to be opened while Kubernetes is asked. It is opened after that
/// whatever is known: an address that fell to another pod is a risk, a member left closed is not to be.
pub const POD_DEADLINE: Duration = Duration::from_secs(1);
/// How long an append may take before it voids the window.
pub const APPEND_DEADLINE: Duration = Duration::from_secs(2);

/// What a window was asked to do, before anything happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The window's name: the group and the instant it was begun at.
    pub window: String,
    pub group: String,
    pub trigger: Trigger,
    /// The scheduled instant, for a window of the schedule.
    pub slot: Option<Timestamp>,
    pub started: Timestamp,
    /// From the last acknowledgement to the first unpause request.
    pub hold: Duration,
    /// How long a member may wait for its open transactions.
    pub drain: Duration,
    /// The first unpause request leaves no later than this after the first pause request.
    pub max_pause: Duration,
}

/// One journalled event. The journal of a window is a list of them, numbered from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Nothing was paused, and nothing will be.
    Refused { plan: Plan, reasons: Vec<Reason> },
    /// The intent: who is about to be paused.
    Intended { plan: Plan, evidence: Evidence, members: Vec<Member> },
    /// Every member acknowledged, and was still paused when asked after the last acknowledgement.
    Paused { at: Timestamp },
    /// The hold ended well; the first unpause request leaves now.
    HoldOver { quiet: Interval },
    /// The process that held the window is gone.
    Interrupted { at: Timestamp },
    /// A person gave a member up.
    Abandoned { member: usize, by: String },
    /// Every member is done: how, in the intent's order.
    Opened { at: Timestamp, ends: Vec<End> },
    /// The window's end.
    Verdict { outcome: Outcome },
}

impl Event {
    /// The event's name in the catalog.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Intended { .. } => "intended",
            Self::Paused { .. } => "paused",
            Self::HoldOver { .. } => "hold_over",
            Self::Interrupted { .. } => "interrupted",
            Self::Abandoned { .. } => "abandoned",
            Self::Opened { .. } => "opened",
            Self::Verdict { .. } => "verdict",
        }
    }
}

/// Why a member needs no more care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It was seen open after every pause attempt on it had ended.
    SeenOpen,
    /// No pause request to it ever left, or none was executed.
    NeverPaused,
    /// Someone else's pause stands on it.
    Foreign,
    /// Its process is gone, with its pod or without.
    Gone,
    /// A person gave it up by name.
    Abandoned,
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub verdict: Verdict,
    /// Empty for a consistent window.
    pub reasons: Vec<Reason>,
    /// From `pause completed` to `unpause started`, when every member was closed between them.
    pub quiet: Option<Interval>,
    /// Only for a consistent window.
    pub restore_point: Option<Timestamp>,
    /// From the first pause request to the last member seen open.
    pub closed: Option<Duration>,
}
