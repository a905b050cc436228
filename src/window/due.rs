//! The effects: what is to be done now, and when to look again, from the state alone.

use super::event::{APPEND_DEADLINE, ASK_DEADLINE, CENSUS_DEADLINE, MARGIN, POD_DEADLINE, STORES_DEADLINE};
use super::input::{Call, Effect, Line};
use super::journal::Phase;
use super::machine::{HOLD_POLL, Window};
use super::member::{Attempt, Live, expiry};
use super::watch::WATCHDOG_LEAD;
use crate::domain::Now;
use std::time::Duration;

/// How long looks at members that acknowledged their unpause wait for the others' acknowledgements.
const LOOK_WAIT: Duration = Duration::from_millis(500);

impl Window {
    /// Everything that is to be begun now, requests first: nothing waits for the journal but a pause for its intent.
    pub(super) fn due(&self, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut request = self.serial;
        let mut send = |member: usize, call: Call| {
            request += 1;
            let deadline = if matches!(call, Call::Pause { .. }) { self.plan.drain + MARGIN } else { ASK_DEADLINE };
            let line = self.line(member, call);
            effects.push(Effect::Send { request, member, call, deadline, line });
        };
        let stage = self.stage();
        let looks_wait = self.looks_wait_until().is_some_and(|until| now.mono < until);
        for member in 0..self.live.len() {
            if let Some(call) = self.call_due(now, member, stage)
                && !(looks_wait && call == Call::CheckPaused)
            {
                send(member, call);
            }
        }
        if let Some(event) = self.queue.front()
            && self.writing.in_flight.is_none()
            && now.mono >= self.writing.retry_at
        {
            effects.push(Effect::Append { number: self.durable.next, event: event.clone() });
        }
        if (self.recount_due(now) || self.census_due()) && self.census_asked().is_none() {
            effects.push(Effect::TakeCensus);
        }
        if self.stores_due() && self.stores.asked.is_none() {
            effects.push(Effect::LookAtStores);
        }
        if self.opening.is_some()
            && self.pods_asked.is_none()
            && self.live.iter().filter_map(|live| live.doubted(now.mono)).any(|since| self.pods_last < Some(since))
        {
            effects.push(Effect::LookAtPods);
        }
        effects
    }

    fn call_due(&self, now: Now, member: usize, stage: Option<u32>) -> Option<Call> {
        let live = &self.live[member];
        if self.opening.is_some() {
            return live.release_due(now.mono, self.opens_by());
        }
        if live.flight.is_some() || !self.void.is_empty() {
            return None;
        }
        let look = match self.ahead.phase {
            Phase::New => !live.looked_since(self.census_from(now)),
            Phase::Intended | Phase::Paused => match self.last_ack {
                None => return self.pause_due(member, stage).then_some(Call::Pause { drain: self.plan.drain }),
                Some(ack) => now.mono >= self.next_look(member, ack.mono),
            },
            _ => false,
        };
        look.then_some(Call::CheckPaused)
    }

    /// From the census before the intent on until its pause, a member is what that census found at the end of the
    /// connection: were another made, it might lead to whoever has the address since.
    fn line(&self, member: usize, call: Call) -> Line {
        let counted = self.ahead.phase == Phase::New && self.before.asked.is_some();
        match call {
            Call::Pause { .. } => Line::Same,
            _ if counted => Line::Same,
            _ if self.live[member].fresh => Line::New,
            _ => Line::Any,
        }
    }

    /// A pause waits for its durable intent and for the stages before its own.
    fn pause_due(&self, member: usize, stage: Option<u32>) -> bool {
        self.durable.phase == Phase::Intended
            && self.live[member].attempt == Attempt::Never
            && stage == Some(self.members[member].stage)
    }

    /// The lowest stage with a member that is not closed yet.
    fn stage(&self) -> Option<u32> {
        let open =
            self.members.iter().zip(&self.live).filter(|(_, live)| !matches!(live.attempt, Attempt::Acked { .. }));
        open.map(|(member, _)| member.stage).min()
    }

    /// When a closed member is to be looked at next: right after the last acknowledgement, at each poll, at the end.
    fn next_look(&self, member: usize, last_ack: Duration) -> Duration {
        let Some(look) = self.live[member].look.filter(|look| look.asked >= last_ack) else { return last_ack };
        let poll = look.asked + HOLD_POLL;
        match self.hold_until() {
            Some(until) if look.asked < until => poll.min(until),
            _ => poll,
        }
    }

    /// Until when no member is looked at, since others are still being unpaused: every look would keep them closed
    /// for longer, and nothing but the window's end waits for it. A member that doesn't answer holds them up no longer.
    fn looks_wait_until(&self) -> Option<Duration> {
        let opening = self.opening?;
        let unpausing = |live: &Live| live.flight.is_some_and(|flight| flight.call == Call::Unpause);
        self.live.iter().any(unpausing).then_some(opening.mono + LOOK_WAIT)
    }

    /// When `step` wants to be called again with a tick at the latest; none: only an answer can move it.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let mut soonest: Option<Duration> = None;
        let mut note = |at: Option<Duration>| soonest = soonest.into_iter().chain(at).min();
        if !self.queue.is_empty() {
            match self.writing.in_flight {
                None => note(Some(self.writing.retry_at)),
                Some(_) if self.void.is_empty() && self.ahead.outcome.is_none() => {
                    note(self.writing.since.map(|since| since + APPEND_DEADLINE))
                }
                Some(_) => {}
            }
        }
        let looks_from = self.looks_wait_until().unwrap_or_default();
        for (member, live) in self.live.iter().enumerate() {
            if let Attempt::Flying { sent, .. } = live.attempt {
                note(Some(expiry(sent, self.plan.drain + MARGIN)));
            }
            note(match self.opening {
                Some(_) if live.looks_next() => live.release_deadline(None).map(|at| at.max(looks_from)),
                Some(_) => live.release_deadline(self.opens_by()),
                None => self.watch_deadline(member),
            });
        }
        note(self.census_asked().map(|asked| asked + CENSUS_DEADLINE));
        note(self.stores_asked().map(|asked| asked + STORES_DEADLINE));
        note(self.pods_asked.map(|asked| expiry(asked, POD_DEADLINE)));
        if self.void.is_empty() && self.ahead.outcome.is_none() {
            note(self.leads_until);
        }
        if self.opening.is_none() {
            note(self.first_sent.map(|first| first.mono + self.plan.max_pause - WATCHDOG_LEAD));
        }
        soonest
    }

    /// When the first unpause request must leave, as long as none has.
    fn opens_by(&self) -> Option<Duration> {
        let limit = self.first_sent.filter(|_| !self.unpaused)?.mono + self.plan.max_pause;
        Some(limit.saturating_sub(WATCHDOG_LEAD))
    }

    fn watch_deadline(&self, member: usize) -> Option<Duration> {
        match (self.live[member].flight, self.last_ack) {
            (Some(flight), _) => Some(expiry(flight.sent, ASK_DEADLINE)),
            (None, Some(ack)) => Some(self.next_look(member, ack.mono)),
            (None, None) if self.ahead.phase == Phase::New && !self.live[member].looked_since(self.pause_at) => {
                Some(self.pause_at)
            }
            (None, None) => None,
        }
    }
}
