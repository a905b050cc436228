//! The state of a running window, and how inputs change it.

use super::event::{Event, MARGIN, Plan};
use super::input::{Call, Effect, Input};
use super::journal::{Illegal, Journal, Phase};
use super::member::{Attempt, Doubt, Flight, Live, Look};
use super::stores::Stores;
use super::verdict;
use crate::domain::{Code, Evidence, Gone, Interval, Member, Now, Reason, StoreClock};
use crate::scalar::{Answer, Failure, FailureKind};
use std::collections::VecDeque;
use std::time::Duration;

/// How often a closed member is looked at during the hold.
pub(super) const HOLD_POLL: Duration = Duration::from_secs(1);
/// How many reasons are kept.
const MOST_REASONS: usize = 20;
const LONGEST_APPEND_RETRY: Duration = Duration::from_secs(5);

/// The write of the oldest event that is not durable yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Writing {
    pub in_flight: Option<Duration>,
    /// When its first try began.
    pub since: Option<Duration>,
    pub failures: u32,
    pub retry_at: Duration,
}

/// The members found again.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Census {
    pub asked: Option<Duration>,
    /// When they were found, and what that says against the window.
    pub found: Option<(Duration, Option<Reason>)>,
}

/// One window, from preflight to verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    pub(super) plan: Plan,
    pub(super) evidence: Evidence,
    pub(super) members: Vec<Member>,
    /// The stores' clocks as they were bounded in preflight.
    pub(super) clocks: Vec<StoreClock>,
    /// The fold of what is durable.
    pub(super) durable: Journal,
    /// The fold of what is durable and of what is queued.
    pub(super) ahead: Journal,
    pub(super) queue: VecDeque<Event>,
    pub(super) writing: Writing,
    pub(super) live: Vec<Live>,
    pub(super) void: Vec<Reason>,
    /// Until when this daemon may trust that it leads; none: it has no other beside it.
    pub(super) leads_until: Option<Duration>,
    pub(super) begun: Duration,
    pub(super) pause_at: Duration,
    pub(super) first_sent: Option<Now>,
    /// Whether an unpause request has left.
    pub(super) unpaused: bool,
    pub(super) last_ack: Option<Now>,
    /// A person ends the hold of a pause by hand then.
    pub(super) finish: Option<Duration>,
    pub(super) held: Option<Interval>,
    /// How long before the end of `held` the oldest of the last looks was asked: nothing shows that part quiet.
    pub(super) unproven: Duration,
    pub(super) opening: Option<Now>,
    /// Least and most of wall clock minus monotonic clock while that matters, in nanoseconds.
    pub(super) drift: Option<(i128, i128)>,
    pub(super) before: Census,
    pub(super) after: Census,
    pub(super) stores: Stores,
    /// When the pods were asked for, if the answer is not there.
    pub(super) pods_asked: Option<Duration>,
    /// When they were asked for last.
    pub(super) pods_last: Option<Duration>,
    pub(super) serial: u64,
    pub(super) cursor: Cursor,
}

/// Counts that spare a look at every member at every input.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Cursor {
    pub acked: usize,
    pub ended: usize,
}

impl Window {
    /// A new window over these members; `clocks` are its stores' clocks, by store. `now` is no later than the look at
    /// them.
    #[must_use]
    pub fn begin(plan: Plan, evidence: Evidence, members: Vec<Member>, clocks: Vec<StoreClock>, now: Now) -> Self {
        let wait =
            plan.slot.and_then(|slot| Duration::try_from(slot.duration_since(now.wall)).ok()).unwrap_or_default();
        let live = vec![Live::default(); members.len()];
        let mut window = Self {
            plan,
            evidence,
            members,
            clocks,
            durable: Journal::default(),
            ahead: Journal::default(),
            queue: VecDeque::new(),
            writing: Writing::default(),
            live,
            void: Vec::new(),
            leads_until: None,
            begun: now.mono,
            pause_at: now.mono + wait,
            first_sent: None,
            unpaused: false,
            last_ack: None,
            finish: None,
            held: None,
            unproven: Duration::ZERO,
            opening: None,
            drift: None,
            before: Census::default(),
            after: Census::default(),
            stores: Stores::default(),
            pods_asked: None,
            pods_last: None,
            serial: 0,
            cursor: Cursor::default(),
        };
        if window.clock_matters() {
            window.watch_clock(now);
        }
        window
    }

    /// A window that ended before its members were known.
    #[must_use]
    pub fn refuse(plan: Plan, reasons: Vec<Reason>, now: Now) -> Self {
        let mut window = Self::begin(plan, Evidence::Address, Vec::new(), Vec::new(), now);
        window.void = reasons;
        window
    }

    /// A window that a dead process left: from here on only opening and `discarded` follow.
    /// None: it is closed, or was never begun.
    ///
    /// # Errors
    /// The journal holds an event that cannot follow the ones before it.
    pub fn recover(events: &[Event], now: Now) -> Result<Option<Self>, Illegal> {
        let durable = Journal::fold(events)?;
        let Some(plan) = durable.plan.clone().filter(|_| durable.phase != Phase::Closed) else { return Ok(None) };
        let mut window = Self::begin(plan, durable.evidence, durable.members.clone(), Vec::new(), now);
        window.void.push(Reason::new(Code::Interrupted, "the daemon died in the window; recovery opened every member"));
        window.opening = Some(now);
        window.live = vec![Live::recovered(now.mono, window.plan.drain); window.members.len()];
        for (live, member) in window.live.iter_mut().zip(&window.members) {
            live.doubt = member.pod.as_ref().map(|_| Doubt::new(now.mono));
        }
        for member in &durable.abandoned {
            window.live[*member].end = Some(super::End::Abandoned);
        }
        if durable.phase == Phase::Opened {
            for (live, end) in window.live.iter_mut().zip(&durable.ends) {
                live.end = Some(*end);
            }
        }
        window.ahead = durable.clone();
        window.durable = durable;
        if window.ahead.open_intent() {
            window.enqueue(Event::Interrupted { at: now.wall });
        }
        window.count_ends();
        Ok(Some(window))
    }

    /// Takes one input in, and answers with what is to be done now.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.absorb(now, input);
        self.advance(now)
    }

    /// Takes one input in. Inputs that arrive together may be absorbed together, with one `advance` after them.
    pub fn absorb(&mut self, now: Now, input: Input) {
        match input {
            Input::Tick => {}
            Input::Reply { member, request, answer } => self.answered(now, member, request, &answer),
            Input::Appended { number } => self.appended(number),
            Input::AppendFailed { number, error } => self.append_failed(now, number, &error),
            Input::Census(found) => self.census_found(now, found),
            Input::Changed { member, reason } => self.changed(now, member, reason),
            Input::Pods(found) => self.pods_found(&found),
            Input::Stores(found) => self.stores_found(now, found),
            Input::Leads { until } => self.leads_until = Some(until),
            Input::Open(reason) => self.open_asked(now, reason),
            Input::Abandon { member, by } => self.abandoned(now, member, by),
        }
    }

    /// Decides what follows from the state now, and answers with what is due.
    pub fn advance(&mut self, now: Now) -> Vec<Effect> {
        self.watch(now);
        while let Some(event) = self.decide(now) {
            self.enqueue(event);
        }
        let effects = self.due(now);
        for effect in &effects {
            self.started(now, effect);
        }
        effects
    }

    fn enqueue(&mut self, event: Event) {
        if self.ahead.apply(&event).is_ok() {
            self.queue.push_back(event);
        } else {
            debug_assert!(false, "decided {} in phase {:?}", event.name(), self.ahead.phase);
        }
    }

    /// Voids the window: a proven instant is out of reach. What may be closed opens at once.
    pub(super) fn void(&mut self, now: Now, reason: Reason) {
        if self.ahead.outcome.is_some() {
            return;
        }
        if self.void.len() < MOST_REASONS && !self.void.contains(&reason) {
            self.void.push(reason);
        }
        if self.ahead.phase != Phase::New {
            self.open_all(now);
        }
    }

    pub(super) fn open_all(&mut self, now: Now) {
        if self.opening.is_none() {
            self.opening = Some(now);
            for live in &mut self.live {
                live.open(now.mono);
            }
            self.count_ends();
        }
    }

    fn count_ends(&mut self) {
        self.cursor.ended = self.live.iter().filter(|live| live.end.is_some()).count();
    }

    pub(super) fn named(&self, member: usize, mut reason: Reason) -> Reason {
        reason.sentence = format!("{}: {}", self.members[member], reason.sentence);
        reason
    }

    pub(super) fn answered(&mut self, now: Now, member: usize, request: u64, answer: &Answer) {
        let Some(live) = self.live.get_mut(member) else { return };
        if let Attempt::Flying { request: flying, sent } = live.attempt
            && flying == request
        {
            self.doubt_pod(now, member, answer);
            self.pause_answered(now, member, sent, answer);
        } else if let Some(flight) = live.flight.filter(|flight| flight.request == request) {
            live.flight = None;
            self.doubt_pod(now, member, answer);
            let live = &mut self.live[member];
            if self.opening.is_some() {
                let was_done = live.end.is_some();
                live.release_answered(now.mono, flight, answer);
                self.cursor.ended += usize::from(live.end.is_some() && !was_done);
            } else {
                self.looked(now, member, flight, answer);
            }
        }
    }

    /// A request that got no answer: the next one takes a new connection, which may lead to another pod.
    fn doubt_pod(&mut self, now: Now, member: usize, answer: &Answer) {
        if self.members[member].pod.is_some()
            && matches!(answer, Answer::Failed(Failure { kind: FailureKind::Unknown | FailureKind::Rejected, .. }))
        {
            self.live[member].doubt = Some(Doubt::new(now.mono));
        }
    }

    fn pause_answered(&mut self, now: Now, member: usize, sent: Duration, answer: &Answer) {
        let live = &mut self.live[member];
        let reason = live.pause_answered(now.mono, sent, self.plan.drain, answer);
        let late = now.mono > sent + self.plan.drain + MARGIN;
        if matches!(live.attempt, Attempt::Acked { .. }) {
            self.cursor.acked += 1;
        }
        if self.opening.is_some() {
            live.settle();
            self.count_ends();
        } else if self.cursor.acked == self.members.len() {
            self.last_ack = Some(now);
        }
        // Whoever took over meanwhile may have closed the intent: no further stage may follow.
        let late = late.then(|| Reason::new(Code::PauseFailed, "its acknowledgement was read after its deadline"));
        if let Some(reason) = reason.or(late) {
            self.void(now, self.named(member, reason));
        }
    }

    /// A look before the opening: in preflight it must be open, in the hold it must be closed.
    fn looked(&mut self, now: Now, member: usize, flight: Flight, answer: &Answer) {
        let before = self.ahead.phase == Phase::New;
        let reason = match answer {
            Answer::Looked { paused } => {
                self.live[member].look = Some(Look { asked: flight.sent, paused: *paused });
                match (before, paused) {
                    (true, true) => Reason::new(Code::AlreadyPaused, "someone else paused it; it is left as it is"),
                    (false, false) if matches!(self.live[member].attempt, Attempt::Acked { .. }) => {
                        Reason::new(Code::Reopened, "it is open again: it restarted, or someone unpaused it")
                    }
                    _ => return,
                }
            }
            Answer::Ok => Reason::new(Code::Unanswered, "it answered a question with something else"),
            Answer::Failed(failure) => {
                self.live[member].fresh = true;
                let code = if before { Code::Unreachable } else { Code::Unanswered };
                Reason::new(code, failure.detail.clone())
            }
        };
        self.void(now, self.named(member, reason));
    }

    pub(super) fn census_found(&mut self, now: Now, found: Result<Vec<Member>, Reason>) {
        let before = self.ahead.phase == Phase::New;
        let against = verdict::against(&self.members, found);
        let census = self.census();
        if census.asked.is_none() || census.found.is_some() {
            return;
        }
        census.found = Some((now.mono, against.clone()));
        if let Some(reason) = against.filter(|_| before) {
            self.void(now, reason);
        }
    }

    /// The one that is taken in this phase.
    fn census(&mut self) -> &mut Census {
        if self.ahead.phase == Phase::New { &mut self.before } else { &mut self.after }
    }

    fn changed(&mut self, now: Now, member: Option<usize>, reason: Reason) {
        if let Some(live) = member.and_then(|member| self.live.get_mut(member)) {
            live.doubt = Some(Doubt::new(now.mono));
        }
        self.void(now, reason);
    }

    fn pods_found(&mut self, found: &Result<Vec<(usize, Gone)>, String>) {
        let (Some(asked), Ok(gone)) = (self.pods_asked.take(), found) else { return };
        for live in &mut self.live {
            live.doubt = live.doubt.filter(|doubt| doubt.since > asked);
        }
        for (member, how) in gone.iter().filter(|_| self.opening.is_some()) {
            if let Some(live) = self.live.get_mut(*member)
                && (*how == Gone::Pod || live.silent())
            {
                live.end.get_or_insert(super::End::Gone);
            }
        }
        self.count_ends();
    }

    fn appended(&mut self, number: u32) {
        if number != self.durable.next || self.writing.in_flight.is_none() {
            return;
        }
        if let Some(event) = self.queue.pop_front() {
            let applied = self.durable.apply(&event);
            debug_assert!(applied.is_ok(), "the queue follows the journal");
            self.writing = Writing::default();
        }
    }

    fn append_failed(&mut self, now: Now, number: u32, error: &str) {
        if number != self.durable.next || self.writing.in_flight.is_none() {
            return;
        }
        self.writing.in_flight = None;
        let delay = Duration::from_millis(100).saturating_mul(1 << self.writing.failures.min(6));
        self.writing.retry_at = now.mono + delay.min(LONGEST_APPEND_RETRY);
        self.writing.failures = self.writing.failures.saturating_add(1);
        self.void(now, Reason::new(Code::Catalog, format!("the catalog did not take an event: {error}")));
    }

    fn open_asked(&mut self, now: Now, reason: Reason) {
        let by_hand = self.plan.trigger == crate::domain::Trigger::Hand && reason.code == Code::Opened;
        if by_hand && self.ahead.phase == Phase::Paused && self.opening.is_none() {
            self.finish.get_or_insert(now.mono);
        } else if self.opening.is_none() {
            self.void(now, reason);
        }
    }

    fn abandoned(&mut self, now: Now, member: usize, by: String) {
        if member >= self.live.len() || self.live[member].end.is_some() || !self.ahead.open_intent() {
            return;
        }
        let reason = Reason::new(Code::Abandoned, format!("given up by {by}"));
        self.void(now, self.named(member, reason));
        self.enqueue(Event::Abandoned { member, by });
        self.live[member].end = Some(super::End::Abandoned);
        self.count_ends();
    }

    /// Marks an effect as begun, so that it is not due again.
    fn started(&mut self, now: Now, effect: &Effect) {
        match effect {
            Effect::Send { request, member, call: Call::Pause { .. }, .. } => {
                if self.first_sent.replace(self.first_sent.unwrap_or(now)).is_none() {
                    self.watch_clock(now);
                }
                self.live[*member].attempt = Attempt::Flying { request: *request, sent: now.mono };
                self.serial = self.serial.max(*request);
            }
            Effect::Send { request, member, call, .. } => {
                self.unpaused |= *call == Call::Unpause;
                self.live[*member].flight = Some(Flight { request: *request, call: *call, sent: now.mono });
                self.live[*member].fresh = false;
                self.serial = self.serial.max(*request);
            }
            Effect::Append { .. } => {
                self.writing.in_flight = Some(now.mono);
                self.writing.since.get_or_insert(now.mono);
            }
            Effect::TakeCensus => self.census().asked = Some(now.mono),
            Effect::LookAtStores => self.stores.asked = Some(now.mono),
            Effect::LookAtPods => {
                self.pods_asked = Some(now.mono);
                self.pods_last = self.pods_asked;
            }
        }
    }
}
