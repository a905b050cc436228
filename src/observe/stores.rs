//! The metrics of the stores: how far they have come with the restore points, and what AWS says meanwhile.

use super::described as d;
use super::metrics::{Metrics, keep, number, opts, set_or_remove, unix_seconds};
use crate::config::{self, StoreKind};
use crate::tracking::copy::Step;
use crate::tracking::track::{State, Track};
use prometheus::{CounterVec, GaugeVec, IntCounterVec, IntGaugeVec, Registry};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Ends that are counted.
const ENDS: &[State] = &[State::Lost, State::Failed, State::Expired];
/// What a point does that is not done with it; the oldest of each is told.
const UNFINISHED: &[State] = &[State::Waiting, State::Materializing];
const KINDS: [&str; 2] = ["table", "backup"];
const BOUNDS: [&str; 2] = ["low", "high"];
const OUTCOMES: &[&str] = &["ok", "throttled", "denied", "lost", "other"];
const BYTES_IN_GB: f64 = 1e9;

/// The part of [`Metrics`] that is about stores.
#[derive(Debug)]
pub(super) struct Stores {
    points: IntGaugeVec,
    ended: IntCounterVec,
    latest_restorable: GaugeVec,
    oldest_waiting: GaugeVec,
    last_restorable: GaugeVec,
    last_materialized: GaugeVec,
    restorable_until: GaugeVec,
    copies: IntGaugeVec,
    materialized_tables: IntCounterVec,
    materialized_bytes: IntCounterVec,
    materialize_cost: CounterVec,
    orphans: IntGaugeVec,
    aws_calls: IntCounterVec,
    recoverable: IntGaugeVec,
    clock: GaugeVec,
    /// The stores of each group that have series.
    known: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Stores {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |d: &d::Description| keep(registry, IntCounterVec::new(opts(d), d.labels)?);
        let gauges = |d: &d::Description| keep(registry, GaugeVec::new(opts(d), d.labels)?);
        let numbers = |d: &d::Description| keep(registry, IntGaugeVec::new(opts(d), d.labels)?);
        let cost = CounterVec::new(opts(&d::MATERIALIZE_COST), d::MATERIALIZE_COST.labels)?;
        Ok(Self {
            points: numbers(&d::RESTORE_POINTS)?,
            ended: counters(&d::POINTS_ENDED)?,
            latest_restorable: gauges(&d::LATEST_RESTORABLE)?,
            oldest_waiting: gauges(&d::OLDEST_WAITING)?,
            last_restorable: gauges(&d::LAST_RESTORABLE)?,
            last_materialized: gauges(&d::LAST_MATERIALIZED)?,
            restorable_until: gauges(&d::RESTORABLE_UNTIL)?,
            copies: numbers(&d::COPIES)?,
            materialized_tables: counters(&d::MATERIALIZED_TABLES)?,
            materialized_bytes: counters(&d::MATERIALIZED_BYTES)?,
            materialize_cost: keep(registry, cost)?,
            orphans: numbers(&d::ORPHANS)?,
            aws_calls: counters(&d::AWS_CALLS)?,
            recoverable: numbers(&d::STORE_RECOVERABLE)?,
            clock: gauges(&d::STORE_CLOCK)?,
            known: Mutex::default(),
        })
    }

    pub(super) fn group_gone(&self, group: &str) {
        let stores = self.known().remove(group).unwrap_or_default();
        for store in stores {
            self.store_gone(group, &store);
        }
    }

    fn store_gone(&self, group: &str, store: &str) {
        if let Some(stores) = self.known().get_mut(group) {
            stores.remove(store);
        }
        let of_store = [group, store];
        // Removing a series that is not there is what was wanted; so below.
        for vector in [&self.latest_restorable, &self.last_restorable, &self.last_materialized, &self.restorable_until]
        {
            let _ = vector.remove_label_values(&of_store);
        }
        for vector in [&self.materialized_tables, &self.materialized_bytes] {
            let _ = vector.remove_label_values(&of_store);
        }
        let _ = self.recoverable.remove_label_values(&of_store);
        let _ = self.materialize_cost.remove_label_values(&of_store);
        for state in State::ALL {
            let labels = [group, store, state.name()];
            let _ = self.points.remove_label_values(&labels);
            let _ = self.ended.remove_label_values(&labels);
            let _ = self.oldest_waiting.remove_label_values(&labels);
        }
        for step in Step::ALL {
            let _ = self.copies.remove_label_values(&[group, store, step.name()]);
        }
        for kind in KINDS {
            let _ = self.orphans.remove_label_values(&[group, store, kind]);
        }
        for bound in BOUNDS {
            let _ = self.clock.remove_label_values(&[group, store, bound]);
        }
    }

    /// Notes that the store has series, so that they can be removed.
    fn note(&self, group: &str, store: &str) {
        self.known().entry(group.to_owned()).or_default().insert(store.to_owned());
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
        // Sets of names are whole after any panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The states of restore points that are still followed: of the others only their ends are counted.
fn followed() -> impl Iterator<Item = State> {
    State::ALL.iter().copied().filter(|state| !state.over())
}

impl Metrics {
    /// A store of a group, at start and after every reload: what can be counted is there from the first scrape on.
    pub fn store_known(&self, group: &str, store: &str, materializes: bool) {
        let stores = &self.stores;
        stores.note(group, store);
        for state in followed() {
            stores.points.with_label_values(&[group, store, state.name()]);
        }
        for state in ENDS {
            stores.ended.with_label_values(&[group, store, state.name()]);
        }
        if materializes {
            for step in Step::ALL {
                stores.copies.with_label_values(&[group, store, step.name()]);
            }
            stores.materialized_tables.with_label_values(&[group, store]);
            stores.materialized_bytes.with_label_values(&[group, store]);
            stores.materialize_cost.with_label_values(&[group, store]);
        }
    }

    /// A store left the config: none of its series stays.
    pub fn store_gone(&self, group: &str, store: &str) {
        self.stores.store_gone(group, store);
    }

    /// The store's restore points as they are now, all that are followed.
    pub fn tracked(&self, group: &str, store: &str, tracks: &[&Track]) {
        let stores = &self.stores;
        stores.note(group, store);
        for state in followed() {
            let there = tracks.iter().filter(|track| track.state == state);
            stores.points.with_label_values(&[group, store, state.name()]).set(number(there.count()));
        }
        for state in UNFINISHED {
            let there = tracks.iter().filter(|track| track.state == *state);
            let oldest = there.map(|track| track.point).min();
            set_or_remove(&stores.oldest_waiting, &[group, store, state.name()], oldest.map(unix_seconds));
        }
        if let Some(latest) = tracks.iter().filter_map(|track| track.latest).max() {
            // Never back: the point that was looked at last may be done with.
            let gauge = stores.latest_restorable.with_label_values(&[group, store]);
            gauge.set(gauge.get().max(unix_seconds(latest)));
        }
        let newest = tracks.iter().filter(|track| restorable(track.state)).max_by_key(|track| track.point);
        let materialized = tracks.iter().filter(|track| track.state == State::Materialized);
        set_or_remove(&stores.last_restorable, &[group, store], newest.map(|track| track.point).map(unix_seconds));
        set_or_remove(
            &stores.last_materialized,
            &[group, store],
            materialized.map(|track| track.point).max().map(unix_seconds),
        );
        let until = newest.filter(|track| track.state != State::Materialized).and_then(|track| track.expires);
        set_or_remove(&stores.restorable_until, &[group, store], until.map(unix_seconds));
    }

    /// A restore point became lost, failed or expired in the store. Other states are no end.
    pub fn track_ended(&self, group: &str, store: &str, state: State) {
        if ENDS.contains(&state) {
            self.stores.note(group, store);
            self.stores.ended.with_label_values(&[group, store, state.name()]).inc();
        }
    }

    /// How many tables of the points that are being materialized are at each step; a step that is not named has none.
    pub fn copies(&self, group: &str, store: &str, steps: &BTreeMap<Step, usize>) {
        self.stores.note(group, store);
        for step in Step::ALL {
            let count = steps.get(step).copied().unwrap_or_default();
            self.stores.copies.with_label_values(&[group, store, step.name()]).set(number(count));
        }
    }

    /// What the store has materialized since the catalog began, at start and whenever it grew. Doing it twice changes
    /// nothing. Only DynamoDB's tables are materialized.
    #[allow(clippy::cast_precision_loss)] // Exact up to 9 PB.
    pub fn materialized(&self, group: &str, store: &config::Store, tables: u64, bytes: u64) {
        let StoreKind::Dynamodb(dynamodb) = &store.kind else { return };
        let stores = &self.stores;
        stores.note(group, &store.name);
        for (vector, total) in [(&stores.materialized_tables, tables), (&stores.materialized_bytes, bytes)] {
            let counter = vector.with_label_values(&[group, &store.name]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        let counter = stores.materialize_cost.with_label_values(&[group, &store.name]);
        let dollars = bytes as f64 * dynamodb.prices.restore / BYTES_IN_GB;
        counter.inc_by((dollars - counter.get()).max(0.0));
    }

    /// What a sweep found under our names that the catalog does not know.
    pub fn orphans(&self, group: &str, store: &str, tables: usize, backups: usize) {
        self.stores.note(group, store);
        for (kind, count) in KINDS.into_iter().zip([tables, backups]) {
            self.stores.orphans.with_label_values(&[group, store, kind]).set(number(count));
        }
    }

    /// A call of AWS ended: `ok`, `throttled`, `denied`, `lost` or `other`.
    pub fn aws_called(&self, account: &str, region: &str, operation: &str, outcome: &str) {
        for known in OUTCOMES {
            // Each from the first call on: a denial after it is to be seen as growth.
            self.stores.aws_calls.with_label_values(&[account, region, operation, known]);
        }
        self.stores.aws_calls.with_label_values(&[account, region, operation, outcome]).inc();
    }

    /// Whether everything of the store could be restored to a point in time, at a look that was answered.
    pub fn store_recoverable(&self, group: &str, store: &str, recoverable: bool) {
        self.stores.note(group, store);
        self.stores.recoverable.with_label_values(&[group, store]).set(i64::from(recoverable));
    }

    /// The store's clock minus the daemon's lies between the two.
    pub fn store_clock(&self, group: &str, store: &str, low_seconds: f64, high_seconds: f64) {
        self.stores.note(group, store);
        for (bound, seconds) in BOUNDS.into_iter().zip([low_seconds, high_seconds]) {
            self.stores.clock.with_label_values(&[group, store, bound]).set(seconds);
        }
    }
}

/// Whether the store can be restored to the point now, by recovery or from backups.
const fn restorable(state: State) -> bool {
    matches!(state, State::Restorable | State::Materializing | State::Materialized | State::Failed)
}

#[cfg(test)]
#[path = "stores_tests.rs"]
mod tests;
