//! What time alone brings about: limits that pass, looks that are overdue, the end of the hold, requests that nobody
//! answered.

use super::event::{APPEND_DEADLINE, ASK_DEADLINE, CENSUS_DEADLINE, MARGIN, POD_DEADLINE};
use super::journal::Phase;
use super::machine::Window;
use super::member::{Attempt, expiry};
use crate::domain::{Code, Interval, Now, Reason};
use crate::scalar::{Answer, Failure, FailureKind};
use std::time::Duration;

/// A member that nobody looked at for this long during the hold was not watched.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// How long after its last look at the members an intent may still be followed by pauses.
const INTENT_LIMIT: Duration = Duration::from_secs(5);
/// The watchdog of `max_pause` acts this much earlier, so that the first unpause request is not late.
pub(super) const WATCHDOG_LEAD: Duration = Duration::from_millis(100);
/// How far the wall clock may run from the monotonic one during a window before it counts as a step.
const CLOCK_STEP: Duration = Duration::from_millis(100);

impl Window {
    /// Everything that time alone brings about.
    pub(super) fn watch(&mut self, now: Now) {
        self.expire(now);
        self.expire_census(now);
        self.expire_stores(now);
        if self.leads_until.is_some_and(|until| now.mono >= until) {
            self.void(now, Reason::new(Code::LeadershipLost, "this daemon cannot be sure any more that it leads"));
        }
        if self.clock_matters() {
            self.watch_clock(now);
        }
        if self.writing.since.is_some_and(|since| now.mono >= since + APPEND_DEADLINE) {
            self.void(now, Reason::new(Code::Catalog, "the catalog takes too long to write an event"));
        }
        if self.opening.is_some() {
            return;
        }
        if let Some(first) = self.first_sent {
            if now.mono + WATCHDOG_LEAD >= first.mono + self.plan.max_pause {
                let limit = self.plan.max_pause.as_secs_f64();
                self.void(now, Reason::new(Code::MaxPause, format!("the limit of {limit} s was reached")));
            }
        } else if self.ahead.phase == Phase::Intended {
            let looked = self.live.iter().filter_map(|live| live.look).map(|look| look.asked).min();
            if looked.is_some_and(|asked| now.mono > asked + INTENT_LIMIT) {
                self.void(now, Reason::new(Code::Unwatched, "too long between the last look and the pause"));
            }
        }
        if let Some(ack) = self.last_ack {
            self.watch_looks(now, ack.mono);
            self.end_hold(now, ack);
        }
    }

    fn watch_looks(&mut self, now: Now, last_ack: Duration) {
        let unwatched = self.live.iter().position(|live| {
            let looked = live.look.map_or(last_ack, |look| look.asked.max(last_ack));
            now.mono > looked + LOOK_LIMIT
        });
        if let Some(member) = unwatched {
            let reason = Reason::new(Code::Unwatched, "it was not looked at for too long; was the daemon stopped?");
            self.void(now, self.named(member, reason));
        }
    }

    /// Whether the wall clock has to run on: while members are closed; and between the looks at the stores, which are
    /// compared with it.
    pub(super) fn clock_matters(&self) -> bool {
        let closed = self.first_sent.is_some() && self.opening.is_none();
        closed || !self.clocks.is_empty() && self.void.is_empty() && self.stores.found.is_none()
    }

    pub(super) fn watch_clock(&mut self, now: Now) {
        let mono = i128::try_from(now.mono.as_nanos()).unwrap_or(i128::MAX);
        let offset = now.wall.as_nanosecond() - mono;
        let (low, high) = self.drift.unwrap_or((offset, offset));
        self.drift = Some((low.min(offset), high.max(offset)));
        if self.drifted() > CLOCK_STEP {
            let moved = self.drifted().as_secs_f64();
            self.void(now, Reason::new(Code::ClockStep, format!("the wall clock stepped by {moved:.3} s")));
        }
    }

    /// How far the wall clock ran from the monotonic one while that mattered.
    pub(super) fn drifted(&self) -> Duration {
        let nanos = self.drift.map_or(0, |(low, high)| high - low);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When the hold is over, if all are closed.
    pub(super) fn hold_until(&self) -> Option<Duration> {
        let planned = self.last_ack?.mono + self.plan.hold;
        Some(self.finish.map_or(planned, |finish| finish.min(planned)))
    }

    /// The hold ends well when every member was found closed by a look that was asked at its end.
    fn end_hold(&mut self, now: Now, ack: Now) {
        let Some(until) = self.hold_until().filter(|until| now.mono >= *until) else { return };
        if self.opening.is_none()
            && self.ahead.phase == Phase::Paused
            && self.live.iter().all(|live| live.closed_since(until))
        {
            let asked = self.live.iter().filter_map(|live| live.look).map(|look| look.asked).min();
            self.unproven = now.mono.saturating_sub(asked.unwrap_or(until));
            self.held = Some(Interval { start: ack.wall, end: now.wall });
            self.open_all(now);
        }
    }

    /// Kubernetes or the DNS never answered.
    fn expire_census(&mut self, now: Now) {
        if self.census_asked().is_some_and(|asked| now.mono >= asked + CENSUS_DEADLINE) {
            self.census_found(now, Err(Reason::new(Code::Discovery, "finding the members again takes too long")));
        }
        if self.pods_asked.is_some_and(|asked| now.mono >= expiry(asked, POD_DEADLINE)) {
            self.pods_asked = None;
        }
    }

    /// Requests that the shell never answered count as failed.
    fn expire(&mut self, now: Now) {
        let lost = Answer::Failed(Failure { kind: FailureKind::Unknown, detail: "no answer".to_owned() });
        let pause_limit = self.plan.drain + MARGIN;
        for member in 0..self.live.len() {
            let live = &self.live[member];
            if let Attempt::Flying { request, sent } = live.attempt
                && now.mono >= expiry(sent, pause_limit)
            {
                self.answered(now, member, request, &lost);
            }
            if let Some(flight) = self.live[member].flight
                && now.mono >= expiry(flight.sent, ASK_DEADLINE)
            {
                self.answered(now, member, flight.request, &lost);
            }
        }
    }
}
