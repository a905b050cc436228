//! Whether the process is alive and ready, as the daemon tells it and `/healthz` and `/readyz` repeat it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Recovery of what an earlier process left open to doubt.
pub const RECOVERY: &str = "recovery";
/// The catalog takes appends.
pub const CATALOG: &str = "catalog";
/// The schedules run.
pub const SCHEDULES: &str = "schedules";

/// Named conditions and the loop's heartbeat. It is told; it looks at nothing by itself.
#[derive(Debug)]
pub struct Health {
    beat_limit: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    beat: Instant,
    /// Another replica leads: which one.
    standby: Option<String>,
    /// None: met. Else what is missing.
    conditions: BTreeMap<String, Option<String>>,
}

impl Health {
    /// Alive since `now` for as long as the loop beats every `beat_limit`; not ready until recovery, catalog and
    /// schedules were each set ready.
    #[must_use]
    pub fn new(now: Instant, beat_limit: Duration) -> Self {
        let pending = |name: &str| (name.to_owned(), Some("not done yet".to_owned()));
        let conditions = [RECOVERY, CATALOG, SCHEDULES].into_iter().map(pending).collect();
        Self { beat_limit, state: Mutex::new(State { beat: now, standby: None, conditions }) }
    }

    /// The daemon's loop came round. Call it in every turn, and by a tick at least every third of the limit.
    pub fn beat(&self, now: Instant) {
        self.state().beat = now;
    }

    /// The condition is met. Any name may be used beside the three that every daemon has.
    pub fn ready(&self, name: &str) {
        self.state().conditions.insert(name.to_owned(), None);
    }

    /// The condition is not met: `why` is one line for people.
    pub fn unready(&self, name: &str, why: impl Into<String>) {
        self.state().conditions.insert(name.to_owned(), Some(why.into()));
    }

    /// The condition no longer counts, like that of a group that left the config.
    pub fn forget(&self, name: &str) {
        self.state().conditions.remove(name);
    }

    /// This replica stands by, in good health, and why; none: it does its work, or tries to.
    pub fn stand_by(&self, why: Option<String>) {
        self.state().standby = why;
    }

    /// Why it stands by, if it does.
    #[must_use]
    pub fn standby(&self) -> Option<String> {
        self.state().standby.clone()
    }

    /// What is not ready, one `name: why` each in the names' order; empty when all is.
    #[must_use]
    pub fn not_ready(&self) -> Vec<String> {
        let state = self.state();
        let missing = state.conditions.iter().filter_map(|(name, why)| Some(format!("{name}: {}", why.as_ref()?)));
        missing.collect()
    }

    /// Whether the loop was heard of within the limit.
    ///
    /// # Errors
    /// The sentence that says since when it was not.
    pub fn alive(&self, now: Instant) -> Result<(), String> {
        let silent = now.saturating_duration_since(self.state().beat);
        if silent <= self.beat_limit {
            return Ok(());
        }
        Err(format!("the daemon's loop has not come round for {} s", silent.as_secs()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every write is one assignment, so the state is whole after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ready_before_it_was_said_to_be() {
        let health = Health::new(Instant::now(), Duration::from_secs(10));
        assert_eq!(health.not_ready(), ["catalog: not done yet", "recovery: not done yet", "schedules: not done yet"]);
        for name in [RECOVERY, CATALOG, SCHEDULES] {
            health.ready(name);
        }
        assert_eq!(health.not_ready(), Vec::<String>::new());
        health.unready(CATALOG, "disk full");
        assert_eq!(health.not_ready(), ["catalog: disk full"]);
        health.forget(CATALOG);
        assert_eq!(health.not_ready(), Vec::<String>::new());
    }

    #[test]
    fn a_loop_that_stands_still_is_not_alive_until_it_beats_again() {
        let start = Instant::now();
        let health = Health::new(start, Duration::from_secs(10));
        assert_eq!(health.alive(start + Duration::from_secs(10)), Ok(()));
        let later = start + Duration::from_secs(11);
        assert_eq!(health.alive(later), Err("the daemon's loop has not come round for 11 s".to_owned()));
        health.beat(later);
        assert_eq!(health.alive(later), Ok(()));
    }
}
