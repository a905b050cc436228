//! The metrics of how long members are closed in all, and of the budget for it.

use super::described as d;
use super::metrics::{Metrics, keep, opts, set_or_remove};
use prometheus::{CounterVec, GaugeVec, Registry};
use std::time::Duration;

/// The part of [`Metrics`] that is about time closed.
#[derive(Debug)]
pub(super) struct Closed {
    total: CounterVec,
    month: GaugeVec,
    budget: GaugeVec,
}

impl Closed {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauges = |d: &d::Description| keep(registry, GaugeVec::new(opts(d), d.labels)?);
        Ok(Self {
            total: keep(registry, CounterVec::new(opts(&d::CLOSED), d::CLOSED.labels)?)?,
            month: gauges(&d::CLOSED_MONTH)?,
            budget: gauges(&d::CLOSED_BUDGET)?,
        })
    }

    pub(super) fn group_gone(&self, group: &str) {
        // Removing a series that is not there is what was wanted.
        let _ = self.total.remove_label_values(&[group]);
        for vector in [&self.month, &self.budget] {
            let _ = vector.remove_label_values(&[group]);
        }
    }
}

impl Metrics {
    /// What the catalog adds up for the group: since it was made, and since the month began; and the budget of a month.
    pub fn closed(&self, group: &str, total: Duration, month: Duration, budget: Option<Duration>) {
        let counter = self.closed.total.with_label_values(&[group]);
        counter.inc_by((total.as_secs_f64() - counter.get()).max(0.0));
        self.closed.month.with_label_values(&[group]).set(month.as_secs_f64());
        set_or_remove(&self.closed.budget, &[group], budget.map(|budget| budget.as_secs_f64()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Health;
    use jiff::Timestamp;

    #[test]
    fn time_closed_only_grows_and_vanishes_with_its_group() {
        let metrics = Metrics::new("0", Timestamp::UNIX_EPOCH).unwrap();
        let seconds = Duration::from_millis;
        metrics.closed("shop", seconds(90_500), seconds(1_500), Some(seconds(300_000)));
        metrics.closed("shop", seconds(80_000), seconds(0), None);
        let now = crate::clock::instant();
        let page = || metrics.render(&Health::new(now, Duration::from_secs(1)), now).unwrap();
        let text = page();
        assert!(text.contains("stillpoint_closed_seconds_total{group=\"shop\"} 90.5\n"), "{text}");
        assert!(text.contains("stillpoint_closed_month_seconds{group=\"shop\"} 0\n"), "{text}");
        assert!(!text.contains("stillpoint_closed_budget_seconds{"), "{text}");
        metrics.group_gone("shop");
        assert!(!page().contains("stillpoint_closed"), "{}", page());
    }
}
