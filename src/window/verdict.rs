//! The decisions: which event follows from the state.

use super::event::{End, Event, Outcome};
use super::journal::Phase;
use super::machine::Window;
use crate::domain::{Code, Interval, Member, Now, Reason, Verdict, restore_point};
use std::time::Duration;

/// A census that takes longer than this has the members looked at again.
const CENSUS_SLOW: Duration = Duration::from_secs(1);

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

    /// Since when a look in preflight counts: once when it begins, once more when the pause is due, and again when
    /// finding the members took so long that the pause would come too late after it.
    pub(super) fn census_from(&self, now: Now) -> Duration {
        match &self.before.found {
            _ if now.mono < self.pause_at => self.begun,
            Some((at, _)) if *at > self.pause_at + CENSUS_SLOW => *at,
            _ => self.pause_at,
        }
    }

    /// Whether the members are to be found again before the intent: not before each was looked at, so that what is
    /// found is what the looks' connections lead to.
    pub(super) fn recount_due(&self, now: Now) -> bool {
        self.ahead.phase == Phase::New
            && now.mono >= self.pause_at
            && self.void.is_empty()
            && self.before.found.is_none()
            && self.live.iter().all(|live| live.open_since(self.pause_at))
    }

    /// The members were found again when the pause was due, the same ones, and each was then seen open.
    fn census_stands(&self, now: Now) -> bool {
        now.mono >= self.pause_at
            && self.before.found.is_some()
            && self.live.iter().all(|live| live.open_since(self.census_from(now)))
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

    /// Every member is done, and nothing speaks against the window yet: it asks what it still has to know.
    pub(super) fn proven_so_far(&self) -> bool {
        self.ahead.phase == Phase::Opened && self.void.is_empty() && self.held.is_some()
    }

    /// Whether the window still needs to find its members again before its verdict.
    pub(super) fn census_due(&self) -> bool {
        self.proven_so_far() && self.after.found.is_none()
    }

    /// Since when the members are being found again, while that is waited for.
    pub(super) fn census_asked(&self) -> Option<Duration> {
        let before = self.before.asked.filter(|_| self.ahead.phase == Phase::New && self.before.found.is_none());
        before.or(self.after.asked.filter(|_| self.census_due()))
    }

    /// A proven instant waits for its events to be durable; a void window waits for nothing.
    fn verdict(&self) -> Option<Event> {
        let unknown = self.census_due() || self.stores_due();
        if unknown || (self.void.is_empty() && self.durable.phase != Phase::Opened) {
            return None;
        }
        let mut reasons = self.void.clone();
        reasons.extend(self.found_after());
        let mut restore = None;
        if let (Some(quiet), true) = (self.held, reasons.is_empty()) {
            let proven = Interval { start: quiet.start, end: quiet.end - self.unproven };
            restore = restore_point(proven.shrunk(self.drifted()), &self.clocks_while_closed());
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

    /// What the opening, the census after it and the look at the stores say against the window.
    fn found_after(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        for (member, live) in self.members.iter().zip(&self.live) {
            if live.end == Some(End::Foreign) && !self.void.iter().any(|reason| reason.code == Code::ForeignPause) {
                let sentence = format!("{member}: someone else's pause stands on it; it is left as it is");
                reasons.push(Reason::new(Code::ForeignPause, sentence));
                break;
            }
        }
        if let Some((_, against)) = &self.after.found {
            reasons.extend(against.clone());
        }
        if let Some(Err(against)) = &self.stores.found {
            reasons.push(against.clone());
        }
        reasons
    }

    fn closed(&self) -> Option<Duration> {
        let last = self.live.iter().filter_map(|live| live.opened_at).max()?;
        Some(last.saturating_sub(self.first_sent?.mono))
    }
}

/// What the members found again say against the window.
pub(super) fn against(members: &[Member], found: Result<Vec<Member>, Reason>) -> Option<Reason> {
    match found {
        Err(reason) => Some(reason),
        Ok(found) if found == members => None,
        Ok(found) => {
            let sentence = difference(members, &found).unwrap_or_else(|| "the members are others now".to_owned());
            Some(Reason::new(Code::CensusChanged, sentence))
        }
    }
}

fn difference(before: &[Member], after: &[Member]) -> Option<String> {
    let lacks = |members: &[Member], one: &Member| {
        !members.iter().any(|it| (&it.cluster, &it.name) == (&one.cluster, &one.name))
    };
    let gone = before.iter().find(|member| lacks(after, member)).map(|member| format!("{member} is gone"));
    let new = || after.iter().find(|member| lacks(before, member)).map(|member| format!("{member} is new"));
    let other = || before.iter().find(|member| !after.contains(member)).map(|member| format!("{member} has changed"));
    gone.or_else(new).or_else(other)
}
