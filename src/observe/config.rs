//! The metrics of the config: which one runs, and what came of the others.

use super::described as d;
use super::metrics::{Metrics, keep, opts, unix_seconds};
use jiff::Timestamp;
use prometheus::{Gauge, IntCounterVec, IntGauge, IntGaugeVec, Registry};

/// What came of reading the config again.
const OUTCOMES: [&str; 3] = ["applied", "refused", "unchanged"];

/// The part of [`Metrics`] that is about the config.
#[derive(Debug)]
pub(super) struct Configs {
    reloads: IntCounterVec,
    successful: IntGauge,
    success: Gauge,
    info: IntGaugeVec,
}

impl Configs {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let configs = Self {
            reloads: keep(registry, IntCounterVec::new(opts(&d::CONFIG_RELOADS), d::CONFIG_RELOADS.labels)?)?,
            successful: keep(registry, IntGauge::with_opts(opts(&d::CONFIG_SUCCESSFUL))?)?,
            success: keep(registry, Gauge::with_opts(opts(&d::CONFIG_SUCCESS))?)?,
            info: keep(registry, IntGaugeVec::new(opts(&d::CONFIG_INFO), d::CONFIG_INFO.labels)?)?,
        };
        for outcome in OUTCOMES {
            configs.reloads.with_label_values(&[outcome]);
        }
        Ok(configs)
    }

    fn runs(&self, fingerprint: &str, now: Timestamp) {
        self.successful.set(1);
        self.success.set(unix_seconds(now));
        self.info.reset();
        self.info.with_label_values(&[fingerprint]).set(1);
    }
}

impl Metrics {
    /// The config that the process began with.
    pub fn config_begun(&self, fingerprint: &str, now: Timestamp) {
        self.configs.runs(fingerprint, now);
    }

    /// The config was read again, and is what runs now; `changed`: it was not before.
    pub fn config_reloaded(&self, changed: bool, fingerprint: &str, now: Timestamp) {
        self.configs.reloads.with_label_values(&[if changed { "applied" } else { "unchanged" }]).inc();
        self.configs.runs(fingerprint, now);
    }

    /// The config was read again, and the old one goes on.
    pub fn config_refused(&self) {
        self.configs.reloads.with_label_values(&["refused"]).inc();
        self.configs.successful.set(0);
    }

    /// What was refused is there no more: the files are again what runs.
    pub fn config_stands(&self) {
        self.configs.successful.set(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::tests::{at, metrics, page};

    /// The lines of the config's metrics, without their names' common part.
    fn lines(metrics: &Metrics) -> Vec<String> {
        let page = page(metrics);
        let ours = page.lines().filter_map(|line| line.strip_prefix("stillpoint_config_"));
        ours.map(str::to_owned).collect()
    }

    #[test]
    fn every_outcome_is_there_from_the_first_scrape_on_and_only_what_runs_has_its_hash_told() {
        let metrics = metrics();
        metrics.config_begun("aaa", at(1_000));
        assert_eq!(
            lines(&metrics),
            [
                "info{hash=\"aaa\"} 1",
                "last_reload_success_timestamp_seconds 1000",
                "last_reload_successful 1",
                "reloads_total{outcome=\"applied\"} 0",
                "reloads_total{outcome=\"refused\"} 0",
                "reloads_total{outcome=\"unchanged\"} 0",
            ]
        );
        metrics.config_refused();
        assert_eq!(
            lines(&metrics)[..5],
            [
                "info{hash=\"aaa\"} 1",
                "last_reload_success_timestamp_seconds 1000",
                "last_reload_successful 0",
                "reloads_total{outcome=\"applied\"} 0",
                "reloads_total{outcome=\"refused\"} 1",
            ]
        );
        metrics.config_reloaded(true, "bbb", at(1_010));
        assert_eq!(
            lines(&metrics)[..3],
            ["info{hash=\"bbb\"} 1", "last_reload_success_timestamp_seconds 1010", "last_reload_successful 1"]
        );
        metrics.config_refused();
        metrics.config_stands();
        assert_eq!(lines(&metrics)[2], "last_reload_successful 1", "the files are what runs again");
    }
}
