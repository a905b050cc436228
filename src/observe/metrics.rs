//! The daemon's metrics in the words of the design, on a registry of their own.

use super::closed::Closed;
use super::config::Configs;
use super::configured::Configured;
use super::described::{self, Description};
use super::health::Health;
use super::notices::Notices;
use super::stores::Stores;
use crate::domain::{Code, Verdict};
use crate::window::Outcome;
use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All metrics of one process. Cheap to update, never blocks on anything outside.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    windows: IntCounterVec,
    slots_missed: IntCounterVec,
    last_consistent: GaugeVec,
    first_seen: GaugeVec,
    next_slot: GaugeVec,
    expected_interval: GaugeVec,
    discarded_in_a_row: IntGaugeVec,
    pause_deadline: GaugeVec,
    window_running: IntGaugeVec,
    members: IntGaugeVec,
    members_paused: IntGaugeVec,
    members_unanswered: IntGaugeVec,
    members_doubtful: IntGaugeVec,
    window_closed: HistogramVec,
    window_quiet: HistogramVec,
    window_overshoot: HistogramVec,
    drain: HistogramVec,
    unlisted: IntGaugeVec,
    catalog_append: Histogram,
    catalog_errors: IntCounter,
    /// A vector without labels, so that it is absent until it is known.
    catalog_size: IntGaugeVec,
    ready: IntGauge,
    loop_alive: IntGauge,
    role: IntGaugeVec,
    log_dropped: IntCounter,
    pub(super) configured: Configured,
    pub(super) stores: Stores,
    pub(super) configs: Configs,
    pub(super) notices: Notices,
    pub(super) closed: Closed,
    /// Which series there are, so that those of what vanished can be removed.
    series: Mutex<Series>,
}

#[derive(Debug, Default)]
struct Series {
    /// The (verdict, reason) pairs of each group.
    windows: BTreeMap<String, BTreeSet<(String, String)>>,
    /// The clusters of each group.
    clusters: BTreeMap<String, BTreeSet<String>>,
    /// The namespaces of each context that was looked over.
    namespaces: BTreeMap<String, BTreeSet<String>>,
}

/// How many windows of a group ended in one way, as the catalog counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowTotal {
    /// The group's name in the config.
    pub group: String,
    /// How they ended.
    pub verdict: Verdict,
    /// The first reason's code; empty for a consistent window and a missed slot.
    pub reason: String,
    /// How many, since the catalog began.
    pub count: u64,
}

/// What the catalog knows of a group at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// When it first heard of the group.
    pub first_seen: Timestamp,
    /// The newest restore point.
    pub last_consistent: Option<Timestamp>,
    /// Windows discarded since the last consistent one.
    pub discarded_in_a_row: usize,
}

/// A window's end, as far as metrics care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub verdict: Verdict,
    /// The first reason; none when consistent or missed.
    pub reason: Option<Code>,
    /// Only of a consistent window.
    pub restore_point: Option<Timestamp>,
    /// The quiet interval's length.
    pub quiet: Option<Duration>,
    /// From the first pause request to the last member seen open.
    pub closed: Option<Duration>,
    /// From the first pause request to the last acknowledgement.
    pub drain: Option<Duration>,
    /// How long the members were to be closed together.
    pub hold: Option<Duration>,
}

impl Ended {
    /// A slot that passed without an attempt.
    #[must_use]
    pub const fn missed() -> Self {
        Self {
            verdict: Verdict::Missed,
            reason: None,
            restore_point: None,
            quiet: None,
            closed: None,
            drain: None,
            hold: None,
        }
    }

    /// What members were closed for beyond the quiet interval, of which no more than the hold was needed.
    fn overshoot(&self) -> Option<Duration> {
        let quiet = self.quiet.unwrap_or_default();
        Some(self.closed?.saturating_sub(quiet.min(self.hold.unwrap_or(quiet))))
    }
}

impl From<&Outcome> for Ended {
    /// Drain and hold are not part of an outcome: set them where they are known.
    fn from(outcome: &Outcome) -> Self {
        Self {
            verdict: outcome.verdict,
            reason: outcome.reasons.first().map(|reason| reason.code),
            restore_point: outcome.restore_point,
            quiet: outcome.quiet.map(|quiet| quiet.length()),
            closed: outcome.closed,
            drain: None,
            hold: None,
        }
    }
}

/// What one look at every member of a cluster found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Members that discovery knows.
    pub known: usize,
    /// Of these, answered `CheckPaused` with true.
    pub paused: usize,
    /// Of these, did not answer.
    pub unanswered: usize,
}

impl Metrics {
    /// A registry with every metric in it.
    ///
    /// # Errors
    /// Two metrics share a name, or a name is not one: a mistake in this crate.
    pub fn new(version: &str, started: Timestamp) -> prometheus::Result<Self> {
        use described as d;
        let registry = Registry::new();
        let r = &registry;
        let counters = |d: &Description| keep(r, IntCounterVec::new(opts(d), d.labels)?);
        let gauges = |d: &Description| keep(r, GaugeVec::new(opts(d), d.labels)?);
        let numbers = |d: &Description| keep(r, IntGaugeVec::new(opts(d), d.labels)?);
        let histograms = |d: &Description, buckets: &[f64]| {
            keep(r, HistogramVec::new(HistogramOpts::from(opts(d)).buckets(buckets.to_vec()), d.labels)?)
        };
        let append = HistogramOpts::from(opts(&d::CATALOG_APPEND)).buckets(APPEND_BUCKETS.to_vec());
        let metrics = Self {
            windows: counters(&d::WINDOWS)?,
            slots_missed: counters(&d::SLOTS_MISSED)?,
            last_consistent: gauges(&d::LAST_CONSISTENT)?,
            first_seen: gauges(&d::FIRST_SEEN)?,
            next_slot: gauges(&d::NEXT_SLOT)?,
            expected_interval: gauges(&d::EXPECTED_INTERVAL)?,
            discarded_in_a_row: numbers(&d::DISCARDED_IN_A_ROW)?,
            pause_deadline: gauges(&d::PAUSE_DEADLINE)?,
            window_running: numbers(&d::WINDOW_RUNNING)?,
            members: numbers(&d::MEMBERS)?,
            members_paused: numbers(&d::MEMBERS_PAUSED)?,
            members_unanswered: numbers(&d::MEMBERS_UNANSWERED)?,
            members_doubtful: numbers(&d::MEMBERS_DOUBTFUL)?,
            window_closed: histograms(&d::WINDOW_CLOSED, WINDOW_BUCKETS)?,
            window_quiet: histograms(&d::WINDOW_QUIET, WINDOW_BUCKETS)?,
            window_overshoot: histograms(&d::WINDOW_OVERSHOOT, DRAIN_BUCKETS)?,
            drain: histograms(&d::DRAIN, DRAIN_BUCKETS)?,
            unlisted: numbers(&d::UNLISTED)?,
            catalog_append: keep(r, Histogram::with_opts(append)?)?,
            catalog_errors: keep(r, IntCounter::with_opts(opts(&d::CATALOG_ERRORS))?)?,
            catalog_size: numbers(&d::CATALOG_SIZE)?,
            ready: keep(r, IntGauge::with_opts(opts(&d::READY))?)?,
            loop_alive: keep(r, IntGauge::with_opts(opts(&d::LOOP_ALIVE))?)?,
            role: numbers(&d::ROLE)?,
            log_dropped: keep(r, IntCounter::with_opts(opts(&d::LOG_DROPPED))?)?,
            configured: Configured::new(r)?,
            stores: Stores::new(r)?,
            configs: Configs::new(r)?,
            notices: Notices::new(r)?,
            closed: Closed::new(r)?,
            series: Mutex::default(),
            registry: registry.clone(),
        };
        numbers(&d::BUILD)?.with_label_values(&[version]).set(1);
        keep(r, Gauge::with_opts(opts(&d::START_TIME))?)?.set(unix_seconds(started));
        Ok(metrics)
    }

    /// What this process is, from now on.
    pub fn role(&self, role: &str) {
        self.role.reset();
        self.role.with_label_values(&[role]).set(1);
    }

    /// A group of the config, at start and after every reload, as the catalog knows it: its series exist from the first
    /// scrape on. A counter that was born with its first window would not grow by it.
    pub fn group_known(&self, group: &str, past: &Past) {
        self.window_counter(group, Verdict::Consistent, "");
        self.window_counter(group, Verdict::Missed, "");
        for verdict in [Verdict::Refused, Verdict::Discarded] {
            for code in Code::ALL.iter().filter(|code| code.ends(verdict)) {
                self.window_counter(group, verdict, code.name());
            }
        }
        self.slots_missed.with_label_values(&[group]);
        self.first_seen.with_label_values(&[group]).set(unix_seconds(past.first_seen));
        set_or_remove(&self.last_consistent, &[group], past.last_consistent.map(unix_seconds));
        self.discarded_in_a_row.with_label_values(&[group]).set(number(past.discarded_in_a_row));
        self.window_running.with_label_values(&[group]);
        self.members_doubtful.with_label_values(&[group]);
        self.window_closed.with_label_values(&[group]);
        self.window_quiet.with_label_values(&[group]);
        self.window_overshoot.with_label_values(&[group]);
        self.drain.with_label_values(&[group]);
    }

    /// A group left the config: none of its series stays.
    pub fn group_gone(&self, group: &str) {
        self.members_seen(group, &BTreeMap::new());
        self.configured.group_gone(group);
        self.stores.group_gone(group);
        self.heartbeat_gone(group);
        self.closed.group_gone(group);
        let mut series = self.series();
        for (verdict, reason) in series.windows.remove(group).unwrap_or_default() {
            // Removing a series that is not there is what was wanted; so below.
            let _ = self.windows.remove_label_values(&[group, &verdict, &reason]);
        }
        series.clusters.remove(group);
        drop(series);
        let _ = self.slots_missed.remove_label_values(&[group]);
        for vector in
            [&self.last_consistent, &self.first_seen, &self.next_slot, &self.expected_interval, &self.pause_deadline]
        {
            let _ = vector.remove_label_values(&[group]);
        }
        for vector in [&self.window_running, &self.members_doubtful, &self.discarded_in_a_row] {
            let _ = vector.remove_label_values(&[group]);
        }
        for vector in [&self.window_closed, &self.window_quiet, &self.window_overshoot, &self.drain] {
            let _ = vector.remove_label_values(&[group]);
        }
    }

    /// Brings the counters up to the catalog's totals, before the first scrape: a counter that began at 0 after each
    /// restart would hide what happened around it. Doing it twice changes nothing.
    pub fn seed(&self, totals: &[WindowTotal]) {
        for total in totals {
            let counter = self.window_counter(&total.group, total.verdict, &total.reason);
            counter.inc_by(total.count.saturating_sub(counter.get()));
        }
        for total in totals.iter().filter(|total| total.verdict == Verdict::Missed) {
            let counter = self.slots_missed.with_label_values(&[&total.group]);
            counter.inc_by(total.count.saturating_sub(counter.get()));
        }
    }

    /// The group's schedule: the next slot, and the longest time between two slots. None: there is no schedule.
    pub fn scheduled(&self, group: &str, next_slot: Option<Timestamp>, expected_interval: Option<Duration>) {
        set_or_remove(&self.next_slot, &[group], next_slot.map(unix_seconds));
        self.configured.interval(group, expected_interval);
        set_or_remove(&self.expected_interval, &[group], expected_interval.map(|interval| interval.as_secs_f64()));
    }

    /// A window (or a recovery) of the group began; nothing is paused yet.
    pub fn window_started(&self, group: &str) {
        self.window_running.with_label_values(&[group]).set(1);
    }

    /// The first pause request is about to leave, of a window or of a pause by hand; `deadline` is when the first
    /// unpause request must have left, plus what opening usually takes.
    pub fn pause_started(&self, group: &str, deadline: Timestamp) {
        self.pause_deadline.with_label_values(&[group]).set(unix_seconds(deadline));
    }

    /// The verdict is in, or a slot was missed. Not for a pause by hand: that is no failed window.
    pub fn window_ended(&self, group: &str, ended: &Ended) {
        self.window_counter(group, ended.verdict, ended.reason.map_or("", Code::name)).inc();
        if let Some(point) = ended.restore_point {
            self.last_consistent.with_label_values(&[group]).set(unix_seconds(point));
        }
        let observe = |histogram: &HistogramVec, length: Option<Duration>| {
            length.inspect(|length| histogram.with_label_values(&[group]).observe(length.as_secs_f64()));
        };
        observe(&self.window_quiet, ended.quiet);
        observe(&self.window_closed, ended.closed);
        observe(&self.window_overshoot, ended.overshoot());
        observe(&self.drain, ended.drain);
        match ended.verdict {
            Verdict::Consistent => self.discarded_in_a_row.with_label_values(&[group]).set(0),
            Verdict::Discarded => self.discarded_in_a_row.with_label_values(&[group]).inc(),
            Verdict::Refused | Verdict::Missed | Verdict::Skipped => {}
        }
        if ended.verdict == Verdict::Missed {
            // Nothing ran, so nothing ends: a window that does run keeps its marks.
            self.slots_missed.with_label_values(&[group]).inc();
        } else {
            self.window_idle(group);
        }
    }

    /// Nothing of the group runs any more, and the daemon holds none of its members closed.
    pub fn window_idle(&self, group: &str) {
        self.window_running.with_label_values(&[group]).set(0);
        set_or_remove(&self.pause_deadline, &[group], None);
    }

    /// One look at every cluster of the group, by name. Series of clusters that are not in it vanish.
    /// To be called after each sweep, during the hold, and with the last state when a window ends.
    pub fn members_seen(&self, group: &str, clusters: &BTreeMap<String, Look>) {
        let vectors = [&self.members, &self.members_paused, &self.members_unanswered];
        let now: BTreeSet<String> = clusters.keys().cloned().collect();
        // Held to the end: two looks at the same group must not leave each other's series behind.
        let mut series = self.series();
        let before = series.clusters.insert(group.to_owned(), now.clone()).unwrap_or_default();
        for gone in before.difference(&now) {
            for vector in vectors {
                let _ = vector.remove_label_values(&[group, gone]);
            }
        }
        for (cluster, look) in clusters {
            for (vector, count) in vectors.into_iter().zip([look.known, look.paused, look.unanswered]) {
                vector.with_label_values(&[group, cluster]).set(number(count));
            }
        }
    }

    /// One look over all namespaces of a context: how many workloads of each no group names. Series of namespaces that
    /// are not in it vanish; all of them when there was no look.
    pub fn unlisted_seen(&self, context: &str, namespaces: &BTreeMap<String, usize>) {
        let now: BTreeSet<String> = namespaces.keys().cloned().collect();
        let mut series = self.series();
        let before = series.namespaces.insert(context.to_owned(), now.clone()).unwrap_or_default();
        for gone in before.difference(&now) {
            let _ = self.unlisted.remove_label_values(&[context, gone]);
        }
        for (namespace, count) in namespaces {
            self.unlisted.with_label_values(&[context, namespace]).set(number(*count));
        }
    }

    /// Nobody looks over all namespaces any more.
    pub fn unlisted_gone(&self) {
        self.series().namespaces.clear();
        self.unlisted.reset();
    }

    /// How many members of the group's open intents are not yet known to be open.
    pub fn members_doubtful(&self, group: &str, count: usize) {
        self.members_doubtful.with_label_values(&[group]).set(number(count));
    }

    /// A durable append took this long, whether it succeeded or not.
    pub fn catalog_appended(&self, took: Duration) {
        self.catalog_append.observe(took.as_secs_f64());
    }

    /// A catalog operation failed or stalled.
    pub fn catalog_failed(&self) {
        self.catalog_errors.inc();
    }

    /// The size of the catalog.
    pub fn catalog_size(&self, bytes: u64) {
        self.catalog_size.with_label_values(NO_LABELS).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// How many log lines were dropped since the start.
    pub fn log_lines_dropped(&self, total: u64) {
        self.log_dropped.inc_by(total.saturating_sub(self.log_dropped.get()));
    }

    /// The exposition text, with the health as it is now.
    ///
    /// # Errors
    /// The encoder refuses a metric: a mistake in this crate.
    pub fn render(&self, health: &Health, now: Instant) -> prometheus::Result<String> {
        self.ready.set(i64::from(health.standby().is_some() || health.not_ready().is_empty()));
        self.loop_alive.set(i64::from(health.alive(now).is_ok()));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn window_counter(&self, group: &str, verdict: Verdict, reason: &str) -> IntCounter {
        let pair = (verdict.name().to_owned(), reason.to_owned());
        self.series().windows.entry(group.to_owned()).or_default().insert(pair);
        self.windows.with_label_values(&[group, verdict.name(), reason])
    }

    fn series(&self) -> MutexGuard<'_, Series> {
        // Sets of names are whole after any panic.
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NO_LABELS: &[&str] = &[];
/// Dense where windows with the default hold of 10 s end.
const WINDOW_BUCKETS: &[f64] =
    &[0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 10.5, 11.0, 12.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 900.0];
const DRAIN_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
/// Up to the append's deadline and a little beyond.
const APPEND_BUCKETS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0];

pub(super) fn opts(metric: &Description) -> Opts {
    Opts::new(metric.name, metric.meaning)
}

pub(super) fn keep<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn set_or_remove(vector: &GaugeVec, labels: &[&str], value: Option<f64>) {
    match value {
        Some(value) => vector.with_label_values(labels).set(value),
        None => {
            let _ = vector.remove_label_values(labels);
        }
    }
}

#[allow(clippy::cast_precision_loss)] // Milliseconds of any date fit 53 bits.
pub(super) fn unix_seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
pub(super) mod tests;
