//! A window's end, as scripts and receivers of events read it.

use super::journal::Journal;
use crate::domain::{Evidence, Interval, Member, Reason, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A window's end: the last line of `stillpoint window -o json`, and the data of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub window: String,
    pub group: String,
    /// The scheduled instant, for a window of the schedule.
    pub slot: Option<Timestamp>,
    pub verdict: Verdict,
    pub reasons: Vec<Reason>,
    pub pause_completed: Option<Timestamp>,
    pub unpause_started: Option<Timestamp>,
    pub restore_point: Option<Timestamp>,
    pub quiet_seconds: Option<f64>,
    pub closed_seconds: Option<f64>,
    pub evidence: Evidence,
    pub members: Vec<Member>,
    /// False: the catalog has not taken the verdict yet.
    pub recorded: bool,
}

impl Report {
    /// What a journal says; none before its verdict. It knows the first unpause request only of a hold that ended well.
    #[must_use]
    pub fn of(journal: &Journal) -> Option<Self> {
        let (plan, outcome) = (journal.plan.as_ref()?, journal.outcome.as_ref()?);
        let quiet = outcome.quiet.or(journal.quiet);
        Some(Self {
            window: plan.window.clone(),
            group: plan.group.clone(),
            slot: plan.slot,
            verdict: outcome.verdict,
            reasons: outcome.reasons.clone(),
            pause_completed: journal.pause_completed.or(quiet.map(|quiet| quiet.start)),
            unpause_started: quiet.map(|quiet| quiet.end),
            restore_point: outcome.restore_point,
            quiet_seconds: outcome.quiet.as_ref().map(Interval::length).map(|length| length.as_secs_f64()),
            closed_seconds: outcome.closed.as_ref().map(Duration::as_secs_f64),
            evidence: journal.evidence,
            members: journal.members.clone(),
            recorded: true,
        })
    }

    /// A slot that passed without an attempt: nothing was looked at.
    #[must_use]
    pub fn missed(window: String, group: String, slot: Timestamp, reasons: Vec<Reason>) -> Self {
        Self {
            window,
            group,
            slot: Some(slot),
            verdict: Verdict::Missed,
            reasons,
            pause_completed: None,
            unpause_started: None,
            restore_point: None,
            quiet_seconds: None,
            closed_seconds: None,
            evidence: Evidence::Address,
            members: Vec::new(),
            recorded: true,
        }
    }
}
