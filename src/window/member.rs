//! What a running window knows of one member; volatile, and built anew by recovery.

use super::event::{ASK_DEADLINE, End, MARGIN, POD_DEADLINE};
use super::input::Call;
use crate::domain::{Code, Reason};
use crate::scalar::{Answer, Failure, FailureKind};
use std::time::Duration;

/// How long an unanswered request is waited for beyond its own deadline, should the shell forget it.
pub const GRACE: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// How often a member is looked at while a pause may still land on it.
pub const DOUBT_POLL: Duration = Duration::from_millis(500);

/// The one pause request that a window sends to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Never sent, or certain never to have been executed.
    Never,
    /// Sent, not answered.
    Flying { request: u64, sent: Duration },
    /// Acknowledged: drained and closed.
    Acked { at: Duration },
    /// Over without closing the member.
    Over { at: Duration },
    /// Its outcome is unknown: it may land until then.
    Doubtful { until: Duration },
    /// Someone else's pause answered for it.
    Foreign,
}

impl Attempt {
    /// From when on an open member stays open as far as this attempt goes.
    const fn settled_at(self) -> Option<Duration> {
        match self {
            Self::Never | Self::Foreign => Some(Duration::ZERO),
            Self::Acked { at } | Self::Over { at } => Some(at),
            Self::Doubtful { until } => Some(until),
            Self::Flying { .. } => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    pub request: u64,
    pub call: Call,
    pub sent: Duration,
}

/// Whether a member's pod is still there, while that is being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    pub since: Duration,
    /// It holds the member's requests back until then.
    until: Duration,
}

impl Doubt {
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self { since: now, until: now + POD_DEADLINE }
    }
}

/// An answered `CheckPaused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// When it was sent: what it says held at some moment after that.
    pub asked: Duration,
    pub paused: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    pub attempt: Attempt,
    pub flight: Option<Flight>,
    pub look: Option<Look>,
    /// When the last acknowledged unpause was sent.
    unpaused: Option<Duration>,
    /// When it was first known to be open again.
    pub opened_at: Option<Duration>,
    /// It failed to answer lately: what it holds may run when it wakes.
    suspect: bool,
    next: Call,
    failures: u32,
    retry_at: Duration,
    /// Its pod may be gone, and its address another's.
    pub doubt: Option<Doubt>,
    pub fresh: bool,
    pub end: Option<End>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            attempt: Attempt::Never,
            flight: None,
            look: None,
            unpaused: None,
            opened_at: None,
            suspect: true,
            next: Call::CheckPaused,
            failures: 0,
            retry_at: Duration::ZERO,
            doubt: None,
            fresh: false,
            end: None,
        }
    }
}

impl Live {
    /// A member of an intent that a dead process left.
    #[must_use]
    pub fn recovered(now: Duration, drain: Duration) -> Self {
        Self {
            attempt: Attempt::Doubtful { until: now + drain + MARGIN + GRACE },
            next: Call::Unpause,
            fresh: true,
            ..Self::default()
        }
    }

    /// Whether a look that was asked at `since` or later found it closed.
    #[must_use]
    pub fn closed_since(&self, since: Duration) -> bool {
        self.look.is_some_and(|look| look.paused && look.asked >= since)
    }

    /// Whether a look that was asked at `since` or later found it open.
    #[must_use]
    pub fn open_since(&self, since: Duration) -> bool {
        self.look.is_some_and(|look| !look.paused && look.asked >= since)
    }

    /// Whether it was looked at since then, whatever was seen.
    #[must_use]
    pub fn looked_since(&self, since: Duration) -> bool {
        self.look.is_some_and(|look| look.asked >= since)
    }

    /// The pause was answered; the reason it voids the window for, unless it was acknowledged.
    pub fn pause_answered(
        &mut self,
        now: Duration,
        sent: Duration,
        drain: Duration,
        answer: &Answer,
    ) -> Option<Reason> {
        let landed_by = now.max(sent + drain + MARGIN) + GRACE;
        let (attempt, reason) = match answer {
            Answer::Ok => (Attempt::Acked { at: now }, None),
            Answer::Looked { .. } => {
                let detail = "it answered a pause with something else".to_owned();
                (Attempt::Doubtful { until: landed_by }, Some((Code::PauseFailed, detail)))
            }
            Answer::Failed(Failure { kind, detail }) => {
                let (attempt, code) = match kind {
                    FailureKind::DrainTimeout => (Attempt::Over { at: now }, Code::DrainTimeout),
                    FailureKind::GateOpened => (Attempt::Over { at: now }, Code::Reopened),
                    FailureKind::StillPausedByOther | FailureKind::PauseInProgress => {
                        (Attempt::Foreign, Code::ForeignPause)
                    }
                    FailureKind::Rejected => (Attempt::Never, Code::PauseFailed),
                    FailureKind::Unknown => (Attempt::Doubtful { until: landed_by }, Code::PauseFailed),
                };
                (attempt, Some((code, detail.clone())))
            }
        };
        self.attempt = attempt;
        self.suspect = true;
        self.fresh |= reason.is_some();
        self.retry_at = now;
        reason.map(|(code, detail)| Reason::new(code, detail))
    }

    /// The window opens: from here on nothing but opening matters for this member.
    pub fn open(&mut self, now: Duration) {
        self.flight = None;
        self.failures = 0;
        self.retry_at = now;
        self.next = match self.attempt {
            Attempt::Over { .. } => Call::CheckPaused,
            _ => Call::Unpause,
        };
        self.settle();
    }

    /// An unpause or a look was answered while the window opens.
    pub fn release_answered(&mut self, now: Duration, flight: Flight, answer: &Answer) {
        match answer {
            Answer::Failed(_) => {
                self.fresh = true;
                self.suspect = true;
                self.retry_at = now + backoff(self.failures);
                self.failures = self.failures.saturating_add(1);
                return;
            }
            Answer::Ok => {
                self.unpaused = Some(flight.sent);
                self.opened_at.get_or_insert(now);
                self.next = Call::CheckPaused;
                self.retry_at = now;
            }
            Answer::Looked { paused } => {
                self.look = Some(Look { asked: flight.sent, paused: *paused });
                self.next = if *paused { Call::Unpause } else { Call::CheckPaused };
                if *paused {
                    self.opened_at = None;
                } else {
                    self.opened_at.get_or_insert(now);
                }
                self.retry_at = if *paused { now } else { now + DOUBT_POLL };
            }
        }
        self.failures = 0;
        self.answered(now, flight.sent);
        self.settle();
    }

    /// A member that hung runs its held requests when it wakes: an unknown pause among them may still be about to.
    fn answered(&mut self, now: Duration, sent: Duration) {
        let woke = std::mem::take(&mut self.suspect) || now.saturating_sub(sent) >= GRACE;
        if let Attempt::Doubtful { until } = &mut self.attempt
            && woke
        {
            *until = (*until).max(now + MARGIN);
        }
    }

    /// Sets the end, when what is known suffices.
    pub fn settle(&mut self) {
        self.end = self.end.or(match self.attempt {
            Attempt::Never => Some(End::NeverPaused),
            Attempt::Foreign => Some(End::Foreign),
            _ => self.settled_by_look(),
        });
    }

    fn settled_by_look(&self) -> Option<End> {
        let settled = self.attempt.settled_at()?;
        let look = self.look.filter(|look| look.asked >= settled)?;
        if !look.paused {
            // A look from before the opening saw our own pause, or nothing of it.
            return (self.unpaused.is_some() || matches!(self.attempt, Attempt::Over { .. })).then_some(End::SeenOpen);
        }
        let opened_by_us = self.unpaused.is_some_and(|sent| sent >= settled && look.asked >= sent);
        (opened_by_us || matches!(self.attempt, Attempt::Over { at } if look.asked >= at)).then_some(End::Foreign)
    }

    /// Whether it did not answer what opening it asked last.
    #[must_use]
    pub const fn silent(&self) -> bool {
        self.failures > 0
    }

    /// The request that opening it needs now. `opens_by`: when a request leaves whatever is known of its pod.
    #[must_use]
    pub fn release_due(&self, now: Duration, opens_by: Option<Duration>) -> Option<Call> {
        (self.end.is_none() && self.flight.is_none() && now >= self.free_at(opens_by)).then_some(self.next)
    }

    /// From when on it may be sent something.
    fn free_at(&self, opens_by: Option<Duration>) -> Duration {
        let until = self.doubt.map_or(self.retry_at, |doubt| doubt.until.max(self.retry_at));
        opens_by.map_or(until, |by| until.min(by))
    }

    /// Since when its pod is to be asked for; none when that is known, or the member may be opened all the same.
    #[must_use]
    pub fn doubted(&self, now: Duration) -> Option<Duration> {
        self.doubt.filter(|doubt| self.end.is_none() && now < doubt.until).map(|doubt| doubt.since)
    }

    /// Whether the next request that opening it needs is a look.
    #[must_use]
    pub fn looks_next(&self) -> bool {
        self.flight.is_none() && self.next == Call::CheckPaused
    }

    /// When it next wants attention while the window opens.
    #[must_use]
    pub fn release_deadline(&self, opens_by: Option<Duration>) -> Option<Duration> {
        match (self.end, self.flight) {
            (Some(_), _) => None,
            (None, Some(flight)) => Some(expiry(flight.sent, ASK_DEADLINE)),
            (None, None) => Some(self.free_at(opens_by)),
        }
    }
}

/// When a request that was sent then counts as unanswered, even if the shell never says so.
#[must_use]
pub fn expiry(sent: Duration, deadline: Duration) -> Duration {
    sent + deadline + GRACE
}

fn backoff(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << failures.min(10)).min(LONGEST_RETRY)
}
