//! The stores' clocks: the window is begun with them as they were bounded in preflight, and learns of them again when
//! its members are open.

use super::event::STORES_DEADLINE;
use super::machine::Window;
use crate::domain::{Code, Now, Reason, StoreClock};
use std::time::Duration;

/// The look at the stores after the window.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stores {
    pub asked: Option<Duration>,
    /// Their clocks, or what speaks against the window.
    pub found: Option<Result<Vec<StoreClock>, Reason>>,
}

impl Window {
    /// Whether the window still needs to know of its stores before its verdict.
    pub(super) fn stores_due(&self) -> bool {
        self.proven_so_far() && !self.clocks.is_empty() && self.stores.found.is_none()
    }

    /// Since when the stores are being looked at, while that is waited for.
    pub(super) fn stores_asked(&self) -> Option<Duration> {
        self.stores.asked.filter(|_| self.stores_due())
    }

    pub(super) fn stores_found(&mut self, now: Now, found: Result<Vec<StoreClock>, Reason>) {
        if self.stores.asked.is_none() || self.stores.found.is_some() {
            return;
        }
        // What was found is by the clock of this moment.
        self.watch_clock(now);
        let known = self.clocks.len();
        self.stores.found = Some(found.and_then(|clocks| match clocks.len() {
            count if count == known => Ok(clocks),
            count => Err(Reason::new(Code::StoresUnknown, format!("{count} of {known} stores were looked at"))),
        }));
    }

    /// The stores never answered.
    pub(super) fn expire_stores(&mut self, now: Now) {
        if self.stores_asked().is_some_and(|asked| now.mono >= asked + STORES_DEADLINE) {
            let reason = Reason::new(Code::StoresUnknown, "looking at the stores' clocks again takes too long");
            self.stores_found(now, Err(reason));
        }
    }

    /// Each store's clock as it may have been while the members were closed.
    pub(super) fn clocks_while_closed(&self) -> Vec<StoreClock> {
        match &self.stores.found {
            Some(Ok(after)) => self.clocks.iter().zip(after).map(|(before, after)| before.hull(after)).collect(),
            _ => self.clocks.clone(),
        }
    }
}
