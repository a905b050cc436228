//! What stands on the lease of a window that the catalog does not know is opened by that alone, as `engine/force.rs`
//! does it.

use super::World;
use super::members::{Arriving, Sender};
use crate::scalar::Answer;
use crate::window::{ASK_DEADLINE, Call, DOUBT_POLL, GRACE, Line, MARGIN};
use std::time::Duration;

const RETRY: Duration = Duration::from_millis(100);

/// One member's care.
#[derive(Debug, Clone, Copy)]
struct Care {
    next: Call,
    /// When this round began.
    asked: Duration,
    flight: Option<(u64, Duration)>,
    retry_at: Duration,
    done: bool,
}

pub(super) struct Opener {
    pub window: usize,
    since: Duration,
    cares: Vec<Care>,
    /// Whether the window is struck from the lease at the end.
    pub strikes: bool,
}

impl Opener {
    pub fn done(&self) -> bool {
        self.cares.iter().all(|care| care.done)
    }

    pub fn deadline(&self) -> Option<Duration> {
        let cares = self.cares.iter().filter(|care| !care.done);
        cares.map(|care| care.flight.map_or(care.retry_at, |(_, until)| until)).min()
    }
}

impl World {
    pub(super) fn open_listed(&mut self, process: usize, window: usize, strikes: bool) {
        let since = self.mono(process);
        let care = Care { next: Call::Unpause, asked: since, flight: None, retry_at: since, done: false };
        let cares = vec![care; self.members.len()];
        self.processes[process].openers.push(Opener { window, since, cares, strikes });
    }

    /// Does what is due of everything that is opened by the lease alone.
    pub(super) fn care(&mut self, process: usize) {
        let now = self.mono(process);
        let mut sends = Vec::new();
        for opener in &mut self.processes[process].openers {
            for (member, care) in opener.cares.iter_mut().enumerate() {
                if care.flight.is_some_and(|(_, until)| now >= until) {
                    (care.flight, care.next, care.retry_at) = (None, Call::Unpause, now);
                }
                if care.done || care.flight.is_some() || now < care.retry_at {
                    continue;
                }
                sends.push((opener.window, member, care.next));
            }
        }
        for (window, member, call) in sends {
            self.order += 1;
            let request = self.order;
            let opener = self.processes[process].openers.iter_mut().find(|opener| opener.window == window);
            if let Some(care) = opener.map(|opener| &mut opener.cares[member]) {
                care.flight = Some((request, now + ASK_DEADLINE));
                if call == Call::Unpause || care.retry_at != Duration::ZERO {
                    care.asked = now;
                }
            }
            let sender = Sender::Opener { process, window };
            let arriving = Arriving { sender, process, member, life: 0, request, call, mute: false, late: false };
            self.send(arriving, Line::New, Duration::ZERO, None);
        }
        let done: Vec<usize> = {
            let openers = self.processes[process].openers.iter();
            openers.filter(|opener| opener.done() && opener.strikes).map(|opener| opener.window).collect()
        };
        self.processes[process].openers.retain(|opener| !opener.done());
        done.into_iter().for_each(|window| self.strike_listed(process, window));
    }

    pub(super) fn opener_replied(&mut self, process: usize, window: usize, arriving: &Arriving, answer: &Answer) {
        // It stands on the lease.
        let (now, drain) = (self.mono(process), self.drain);
        let opener = self.processes[process].openers.iter_mut().find(|opener| opener.window == window);
        let Some(opener) = opener else { return };
        let (doubt, care) = (opener.since + drain + MARGIN + GRACE, &mut opener.cares[arriving.member]);
        if care.flight.is_none_or(|(request, _)| request != arriving.request) {
            return;
        }
        care.flight = None;
        (care.next, care.retry_at) = match (arriving.call, answer) {
            // Its look belongs to the same round.
            (Call::Unpause, Answer::Ok) => (Call::CheckPaused, Duration::ZERO),
            (Call::CheckPaused, Answer::Looked { paused: false }) => {
                care.done = care.asked >= doubt;
                (Call::CheckPaused, now + DOUBT_POLL)
            }
            _ => (Call::Unpause, now + RETRY),
        };
    }
}
