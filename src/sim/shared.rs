//! What a stand-in member's server tasks and its handle share: the gate, who waits at it, and the ordered faults.

#![allow(clippy::disallowed_methods, reason = "a stand-in is a process of its own, with its own clock")]

use super::gate::{Entry, Flavour, Gate, PauseOutcome};
use super::member::{Call, Request, Transaction};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// How many calls a member remembers; older ones are forgotten.
const LOG_LENGTH: usize = 4096;
/// How long a transaction of a client that gave up runs when it is let in at last.
const ABANDONED_RUNS: Duration = Duration::from_millis(2);

/// What the member's server tasks and its handle share.
pub(super) struct Shared {
    flavour: Flavour,
    /// The gate's clock counts from here.
    epoch: Instant,
    state: Mutex<State>,
    pub(super) hanging: watch::Sender<bool>,
}

pub(super) struct State {
    pub(super) gate: Gate,
    pub(super) life: u64,
    next_pause: u64,
    pausing: BTreeMap<u64, oneshot::Sender<PauseOutcome>>,
    held: Vec<oneshot::Sender<()>>,
    /// The gate's deadline for which a timer is set.
    timer: Option<Duration>,
    pub(super) calls: VecDeque<Call>,
    pub(super) refusals: u32,
    pub(super) lost_answers: u32,
    pub(super) delay: Duration,
}

impl Shared {
    pub(super) fn new(flavour: Flavour) -> Self {
        let state = State {
            gate: Gate::new(flavour),
            life: 0,
            next_pause: 0,
            pausing: BTreeMap::new(),
            held: Vec::new(),
            timer: None,
            calls: VecDeque::new(),
            refusals: 0,
            lost_answers: 0,
            delay: Duration::ZERO,
        };
        Self { flavour, epoch: crate::clock::instant(), state: Mutex::new(state), hanging: watch::Sender::new(false) }
    }

    pub(super) const fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// The state as it is now: limits that have passed have had their effect.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let now = self.epoch.elapsed();
        state.gate.advance(now);
        state
    }

    pub(super) fn life(&self) -> u64 {
        self.state().life
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state().gate.paused()
    }

    pub(super) fn log(&self, life: u64, request: Request) {
        let mut state = self.state();
        if state.calls.len() == LOG_LENGTH {
            state.calls.pop_front();
        }
        state.calls.push_back(Call { at: crate::clock::instant(), life, request });
    }

    pub(super) async fn obey_faults(&self) {
        let delay = self.state().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        // An error means that the member is gone, and with it the request.
        let _ = self.hanging.subscribe().wait_for(|hanging| !hanging).await;
    }

    pub(super) fn swallow_answer(&self) -> bool {
        take_one(&mut self.state().lost_answers)
    }

    pub(super) fn refuse_unpause(&self) -> bool {
        take_one(&mut self.state().refusals)
    }

    /// None: the life in which it was asked is over.
    pub(super) async fn pause(
        self: &Arc<Self>,
        life: u64,
        wait_outstanding: bool,
        limit_ms: Option<i64>,
    ) -> Option<PauseOutcome> {
        let (sender, outcome) = oneshot::channel();
        self.change(life, |state, now| {
            let id = state.next_pause;
            state.next_pause += 1;
            state.pausing.insert(id, sender);
            match wait_outstanding {
                true => state.gate.pause(now, id, limit_ms),
                false => state.gate.pause_at_once(now, id),
            }
        });
        outcome.await.ok()
    }

    pub(super) fn unpause(self: &Arc<Self>, life: u64) {
        self.change(life, |state, now| state.gate.unpause(now));
    }

    pub(super) fn end(self: &Arc<Self>, life: u64) {
        self.change(life, |state, now| state.gate.end(now));
    }

    pub(super) async fn transact(self: &Arc<Self>, lasting: Duration) -> bool {
        let (sender, admitted) = oneshot::channel();
        let (entry, life) = {
            let mut state = self.state();
            let entry = state.gate.begin();
            if entry == Entry::Held {
                state.held.push(sender);
            }
            (entry, state.life)
        };
        if entry == Entry::Refused || (entry == Entry::Held && admitted.await.is_err()) {
            return false;
        }
        let transaction = Transaction::new(self.clone(), life);
        tokio::time::sleep(lasting).await;
        drop(transaction);
        self.state().life == life
    }

    /// Applies a change to the life's gate, if that life is not over, and passes on what came of it.
    fn change(self: &Arc<Self>, life: u64, change: impl FnOnce(&mut State, Duration)) {
        let mut state = self.state();
        if state.life == life {
            change(&mut state, self.epoch.elapsed());
        }
        self.settle(&mut state);
    }

    fn settle(self: &Arc<Self>, state: &mut State) {
        for (id, outcome) in state.gate.drain_outcomes() {
            if let Some(sender) = state.pausing.remove(&id) {
                // Nobody there: the client gave up.
                let _ = sender.send(outcome);
            }
        }
        if state.gate.take_admitted() > 0 {
            for sender in std::mem::take(&mut state.held) {
                if sender.send(()).is_err() {
                    self.run_abandoned(state.life);
                }
            }
        }
        let due = state.gate.next_deadline();
        if let Some(at) = due
            && state.timer != due
        {
            let (shared, life) = (self.clone(), state.life);
            tokio::spawn(async move {
                tokio::time::sleep_until((shared.epoch + at).into()).await;
                shared.change(life, |_, _| {});
            });
        }
        state.timer = due;
    }

    /// A request whose client has given up still runs when it is let in (measured on ScalarDL).
    fn run_abandoned(self: &Arc<Self>, life: u64) {
        let shared = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ABANDONED_RUNS).await;
            shared.end(life);
        });
    }

    pub(super) fn end_life(&self) {
        let mut state = lock(&self.state);
        state.life += 1;
        state.gate.restart();
        state.timer = None;
        state.pausing.clear();
        state.held.clear();
    }
}

fn take_one(left: &mut u32) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked did so in a test's own thread; the value is whole between any two statements under the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
