//! The rules of a member's gate, as measured on real servers, over a clock that the caller hands in.
//!
//! No IO and no tokio: the stand-in server wraps it, and the simulation drives the very same gate in virtual time.

use std::collections::VecDeque;
use std::time::Duration;

/// Whose rules a gate keeps. Measured rows are facts.md's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flavour {
    /// ScalarDB Server 3.13.6 (measured) and ScalarDB Cluster up to 3.18: new transactions are refused while it is closed.
    Scalardb,
    /// ScalarDB Cluster 3.19 (read in its release notes, not measured): refuses, and tells outcomes apart as
    /// [`Flavour::ScalardlNew`] does.
    ScalardbNew,
    /// ScalarDL 3.9.7: requests wait while it is closed, and every failed pause looks alike.
    ScalardlOld,
    /// ScalarDL 3.14.0: requests wait while it is closed; pauses take turns and say why they failed.
    ScalardlNew,
}

impl Flavour {
    /// Every flavour.
    pub const ALL: [Self; 4] = [Self::Scalardb, Self::ScalardbNew, Self::ScalardlOld, Self::ScalardlNew];

    /// Whether a closed gate refuses transactions; otherwise they wait until it opens.
    #[must_use]
    pub const fn refuses(self) -> bool {
        matches!(self, Self::Scalardb | Self::ScalardbNew)
    }

    /// Whether pauses take turns and each failure carries its own reason.
    #[must_use]
    pub const fn tells_reasons(self) -> bool {
        matches!(self, Self::ScalardbNew | Self::ScalardlNew)
    }
}

/// How a pause ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PauseOutcome {
    /// Acknowledged. On [`Flavour::Scalardb`] the gate may have been opened meanwhile.
    Ok,
    /// `FAILED_PRECONDITION` (new: reason `TIMED_OUT`): the gate is open again.
    DrainTimeout,
    /// Reason `TIMED_OUT_STILL_PAUSED`: this pause is over, an earlier one keeps the gate closed.
    StillPaused,
    /// Reason `GATE_OPEN`: an unpause came while it drained.
    GateOpen,
    /// Reason `PAUSE_IN_PROGRESS`: another pause was draining, this one never touched the gate.
    InProgress,
    /// The limit was not positive.
    InvalidArgument,
}

/// What a transaction finds at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// It runs, and has to be ended by [`Gate::end`].
    Admitted,
    /// It was turned away with `UNAVAILABLE`.
    Refused,
    /// It waits; it is let in when the gate opens ([`Gate::take_admitted`]), whether or not its client is still there.
    Held,
}

/// What the server waits for when the request sets no limit, or 0 on the flavours that allow it.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// The gate of one member. Times are on any monotonic clock that never goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    flavour: Flavour,
    open: bool,
    outstanding: u32,
    held: u32,
    admitted: u32,
    /// Pauses that closed the gate and wait for the outstanding; at most one where pauses take turns.
    draining: Vec<Attempt>,
    /// Pauses that wait for their turn; always empty where pauses don't.
    waiting: VecDeque<Attempt>,
    outcomes: Vec<(u64, PauseOutcome)>,
    closed_by: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    id: u64,
    deadline: Duration,
    /// Only where pauses take turns: its failure opens the gate only if it was the one that closed it.
    closed_by_it: bool,
}

impl Gate {
    /// An open gate without transactions, as after every start of a server.
    #[must_use]
    pub const fn new(flavour: Flavour) -> Self {
        Self {
            flavour,
            open: true,
            outstanding: 0,
            held: 0,
            admitted: 0,
            draining: Vec::new(),
            waiting: VecDeque::new(),
            outcomes: Vec::new(),
            closed_by: None,
        }
    }

    /// A `Pause` that waits for the outstanding transactions for at most `limit_ms` milliseconds.
    /// `id` names it in [`Gate::drain_outcomes`]; a client that gives up changes nothing.
    pub fn pause(&mut self, now: Duration, id: u64, limit_ms: Option<i64>) {
        self.advance(now);
        let Some(limit) = self.limit(limit_ms) else {
            self.outcomes.push((id, PauseOutcome::InvalidArgument));
            return;
        };
        let attempt = Attempt { id, deadline: now.saturating_add(limit), closed_by_it: false };
        if self.flavour.tells_reasons() && !self.draining.is_empty() {
            self.waiting.push_back(attempt);
        } else {
            self.take(attempt);
        }
        self.advance(now);
    }

    /// A `Pause` that waits for nothing: what is outstanding still ends afterwards.
    pub fn pause_at_once(&mut self, now: Duration, id: u64) {
        self.advance(now);
        if self.flavour.tells_reasons() && !self.draining.is_empty() {
            self.outcomes.push((id, PauseOutcome::InProgress));
            return;
        }
        self.close(id);
        self.outcomes.push((id, PauseOutcome::Ok));
    }

    /// An `Unpause`; it is always acknowledged.
    pub fn unpause(&mut self, now: Duration) {
        self.advance(now);
        self.reopen();
        match self.flavour {
            // The drain knows nothing of it and may still be acknowledged: the trap of facts.md.
            Flavour::Scalardb => {}
            Flavour::ScalardlOld => self.settle_draining(PauseOutcome::DrainTimeout),
            Flavour::ScalardbNew | Flavour::ScalardlNew => {
                self.settle_draining(PauseOutcome::GateOpen);
                self.next_turn();
            }
        }
        self.advance(now);
    }

    /// What `CheckPaused` answers: already true while a pause drains.
    #[must_use]
    pub const fn paused(&self) -> bool {
        !self.open
    }

    /// The pause that closed the gate; none while it is open.
    #[must_use]
    pub const fn closed_by(&self) -> Option<u64> {
        self.closed_by
    }

    /// Transactions that were let in and have not ended.
    #[must_use]
    pub const fn outstanding(&self) -> u32 {
        self.outstanding
    }

    /// Transactions that wait for the gate to open.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// Whether a pause is draining or waits for its turn.
    #[must_use]
    pub fn pausing(&self) -> bool {
        !self.draining.is_empty() || !self.waiting.is_empty()
    }

    /// A transaction arrives. Call [`Gate::advance`] first, so that passed limits have had their effect.
    pub const fn begin(&mut self) -> Entry {
        if self.open {
            self.outstanding += 1;
            Entry::Admitted
        } else if self.flavour.refuses() {
            Entry::Refused
        } else {
            self.held += 1;
            Entry::Held
        }
    }

    /// An admitted transaction ended.
    pub fn end(&mut self, now: Duration) {
        self.advance(now);
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.outstanding == 0 {
            self.settle_draining(PauseOutcome::Ok);
            self.next_turn();
        }
    }

    /// How many held transactions were let in since this was last asked; each has to be ended.
    pub const fn take_admitted(&mut self) -> u32 {
        std::mem::replace(&mut self.admitted, 0)
    }

    /// When [`Gate::advance`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.draining.iter().chain(&self.waiting).map(|attempt| attempt.deadline).min()
    }

    /// Lets the limits that have passed by `now` take effect, in their order.
    pub fn advance(&mut self, now: Duration) {
        while let Some(deadline) = self.next_deadline().filter(|deadline| *deadline <= now) {
            if let Some(at) = self.draining.iter().position(|attempt| attempt.deadline == deadline) {
                let attempt = self.draining.remove(at);
                self.time_out(attempt);
            } else if let Some(at) = self.waiting.iter().position(|attempt| attempt.deadline == deadline)
                && let Some(attempt) = self.waiting.remove(at)
            {
                self.outcomes.push((attempt.id, PauseOutcome::InProgress));
            }
        }
    }

    /// The pauses that ended since this was last asked, in the order of their ends.
    pub fn drain_outcomes(&mut self) -> Vec<(u64, PauseOutcome)> {
        std::mem::take(&mut self.outcomes)
    }

    /// The process starts anew: the gate is open, and whatever it was doing is forgotten without an answer.
    pub fn restart(&mut self) {
        *self = Self::new(self.flavour);
    }

    fn limit(&self, limit_ms: Option<i64>) -> Option<Duration> {
        match limit_ms {
            None => Some(DEFAULT_LIMIT),
            Some(limit) if limit > 0 => Some(Duration::from_millis(limit.unsigned_abs())),
            Some(_) if self.flavour.tells_reasons() => None,
            Some(0) => Some(DEFAULT_LIMIT),
            Some(_) => Some(Duration::ZERO),
        }
    }

    fn take(&mut self, attempt: Attempt) {
        let closed_by_it = self.close(attempt.id);
        if self.outstanding == 0 {
            self.outcomes.push((attempt.id, PauseOutcome::Ok));
        } else {
            self.draining.push(Attempt { closed_by_it, ..attempt });
        }
    }

    /// Pauses that waited are drained one after another; those that find the gate drained end at once.
    fn next_turn(&mut self) {
        while self.draining.is_empty()
            && let Some(attempt) = self.waiting.pop_front()
        {
            self.take(attempt);
        }
    }

    fn time_out(&mut self, attempt: Attempt) {
        if self.flavour.tells_reasons() && !attempt.closed_by_it {
            self.outcomes.push((attempt.id, PauseOutcome::StillPaused));
        } else {
            self.reopen();
            self.outcomes.push((attempt.id, PauseOutcome::DrainTimeout));
            if self.flavour == Flavour::ScalardlOld {
                self.settle_draining(PauseOutcome::DrainTimeout);
            }
        }
        self.next_turn();
    }

    /// Whether it was this pause that closed the gate.
    const fn close(&mut self, id: u64) -> bool {
        let was_open = std::mem::replace(&mut self.open, false);
        if was_open {
            self.closed_by = Some(id);
        }
        was_open
    }

    fn reopen(&mut self) {
        self.closed_by = None;
        self.open = true;
        self.outstanding += self.held;
        self.admitted += self.held;
        self.held = 0;
    }

    fn settle_draining(&mut self, outcome: PauseOutcome) {
        self.outcomes.extend(self.draining.drain(..).map(|attempt| (attempt.id, outcome)));
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
