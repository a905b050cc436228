//! The decisions: which event follows from the state.

use super::event::{End, Event, Outcome};
use super::journal::Phase;
use super::machine::Window;
use crate::domain::{Code, Interval, Now, Reason, Verdict, restore_point};
use std::time::Duration;

impl Window {
    /// The next event, if one follows from the state now.
    pub(super) fn decide(&self, now: Now) -> Option<Event> {
        match self.ahead.phase {
            Phase::New if !self.void.is_empty() => {
                Some(Event::Refused { plan: self.plan.clone(), reasons: self.void.clone() })
            }
            Phase::New => self.census_stands(now).then(|| Event::Intended {
                plan: self.plan.clone(),
                evidence: self.evidence,
                members: self.members.clone(),
            }),
            Phase::Intended if self.opening.is_none() => self.paused(),
            Phase::Paused if self.held.is_some() => self.held.map(|quiet| Event::HoldOver { quiet }),
            Phase::Intended | Phase::Paused | Phase::HeldOver | Phase::Interrupted => self.opened(now),
            Phase::Opened => self.verdict(),
            Phase::Closed => None,
        }
    }

    /// Since when a look in preflight counts: once when it begins, once more when the pause is due.
    pub(super) fn census_from(&self, now: Now) -> Duration {
        if now.mono >= self.pause_at { self.pause_at } else { self.begun }
    }

    fn census_stands(&self, now: Now) -> bool {
        now.mono >= self.pause_at && self.live.iter().all(|live| live.open_since(self.pause_at))
    }

    fn paused(&self) -> Option<Event> {
        let ack = self.last_ack?;
        self.live.iter().all(|live| live.closed_since(ack.mono)).then_some(Event::Paused { at: ack.wall })
    }

    fn opened(&self, now: Now) -> Option<Event> {
        if self.opening.is_none() || self.cursor.ended < self.live.len() {
            return None;
        }
        let ends = self.live.iter().filter_map(|live| live.end).collect();
        Some(Event::Opened { at: now.wall, ends })
    }

    /// Whether the window still needs to find its members again before its verdict.
    pub(super) fn census_due(&self) -> bool {
        self.ahead.phase == Phase::Opened && self.void.is_empty() && self.held.is_some() && self.census.is_none()
    }

    /// A proven instant waits for its events to be durable; a void window waits for nothing.
    fn verdict(&self) -> Option<Event> {
        if self.census_due() || (self.void.is_empty() && self.durable.phase != Phase::Opened) {
            return None;
        }
        let mut reasons = self.void.clone();
        reasons.extend(self.found_after());
        let mut restore = None;
        if let (Some(quiet), true) = (self.held, reasons.is_empty()) {
            let proven = Interval { start: quiet.start, end: quiet.end - self.unproven };
            restore = restore_point(proven.shrunk(self.drifted()), &self.clocks);
            if restore.is_none() {
                let sentence = "no whole second lies inside the quiet interval on every store's clock";
                reasons.push(Reason::new(Code::ClockSkew, sentence));
            }
        }
        let untouched = self.live.iter().all(|live| live.end == Some(End::NeverPaused)) && !self.ahead.interrupted;
        let verdict = match restore {
            Some(_) => Verdict::Consistent,
            None if untouched => Verdict::Refused,
            None => Verdict::Discarded,
        };
        let outcome = Outcome { verdict, reasons, quiet: self.held, restore_point: restore, closed: self.closed() };
        Some(Event::Verdict { outcome })
    }

    /// What the opening and the census after it say against the window.
    fn found_after(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        for (member, live) in self.members.iter().zip(&self.live) {
            if live.end == Some(End::Foreign) && !self.void.iter().any(|reason| reason.code == Code::ForeignPause) {
                let sentence = format!("{member}: someone else's pause stands on it; it is left as it is");
                reasons.push(Reason::new(Code::ForeignPause, sentence));
                break;
            }
        }
        match &self.census {
            Some(Err(reason)) => reasons.push(reason.clone()),
            Some(Ok(found)) if *found != self.members => {
                let sentence = format!("{} members before the window, others after it", self.members.len());
                reasons.push(Reason::new(Code::CensusChanged, difference(&self.members, found).unwrap_or(sentence)));
            }
            _ => {}
        }
        reasons
    }

    fn closed(&self) -> Option<Duration> {
        let last = self.live.iter().filter_map(|live| live.opened_at).max()?;
        Some(last.saturating_sub(self.first_sent?.mono))
    }
}

fn difference(before: &[crate::domain::Member], after: &[crate::domain::Member]) -> Option<String> {
    let gone = before.iter().find(|member| !after.contains(member)).map(|member| format!("{member} is gone"));
    gone.or_else(|| after.iter().find(|member| !before.contains(member)).map(|member| format!("{member} is new")))
}
