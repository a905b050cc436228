//! The metrics of what is told to webhooks and heartbeats.

use super::described as d;
use super::metrics::{Metrics, keep, number, opts, set_or_remove, unix_seconds};
use jiff::Timestamp;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Registry};

/// What came of sending something once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Delivered,
    /// It was not taken, and is sent again.
    Retried,
    /// It is not sent any more.
    GivenUp,
}

impl Sent {
    const ALL: [Self; 3] = [Self::Delivered, Self::Retried, Self::GivenUp];

    const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::GivenUp => "given_up",
        }
    }
}

/// The part of [`Metrics`] that is about what is told.
#[derive(Debug)]
pub(super) struct Notices {
    notifications: IntCounterVec,
    waiting: IntGaugeVec,
    oldest: GaugeVec,
    heartbeats: IntCounterVec,
}

impl Notices {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |d: &d::Description| keep(registry, IntCounterVec::new(opts(d), d.labels)?);
        Ok(Self {
            notifications: counters(&d::NOTIFICATIONS)?,
            waiting: keep(
                registry,
                IntGaugeVec::new(opts(&d::NOTIFICATIONS_WAITING), d::NOTIFICATIONS_WAITING.labels)?,
            )?,
            oldest: keep(registry, GaugeVec::new(opts(&d::NOTIFICATION_OLDEST), d::NOTIFICATION_OLDEST.labels)?)?,
            heartbeats: counters(&d::HEARTBEATS)?,
        })
    }
}

impl Metrics {
    /// A webhook of the config, at start and after every reload: its counters exist from the first scrape on.
    pub fn webhook_known(&self, webhook: &str) {
        for outcome in Sent::ALL {
            self.notices.notifications.with_label_values(&[webhook, outcome.name()]);
        }
    }

    /// A webhook left the config: none of its series stays.
    pub fn webhook_gone(&self, webhook: &str) {
        for outcome in Sent::ALL {
            // Removing a series that is not there is what was wanted; so below.
            let _ = self.notices.notifications.remove_label_values(&[webhook, outcome.name()]);
        }
        let _ = self.notices.waiting.remove_label_values(&[webhook]);
        let _ = self.notices.oldest.remove_label_values(&[webhook]);
    }

    /// So many events were told, sent in vain, or given up.
    pub fn notified(&self, webhook: &str, outcome: Sent, count: u64) {
        self.notices.notifications.with_label_values(&[webhook, outcome.name()]).inc_by(count);
    }

    /// What a webhook is still to be told: how many events, and since when the oldest waits.
    pub fn notifications_waiting(&self, webhook: &str, count: usize, oldest: Option<Timestamp>) {
        self.notices.waiting.with_label_values(&[webhook]).set(number(count));
        set_or_remove(&self.notices.oldest, &[webhook], oldest.map(unix_seconds));
    }

    /// A group with a heartbeat in the config.
    pub fn heartbeat_known(&self, group: &str) {
        for outcome in Sent::ALL {
            self.notices.heartbeats.with_label_values(&[group, outcome.name()]);
        }
    }

    /// A group, or its heartbeat, left the config.
    pub fn heartbeat_gone(&self, group: &str) {
        for outcome in Sent::ALL {
            let _ = self.notices.heartbeats.remove_label_values(&[group, outcome.name()]);
        }
    }

    /// So many heartbeats were sent, sent in vain, or given up.
    pub fn heartbeat(&self, group: &str, outcome: Sent, count: u64) {
        self.notices.heartbeats.with_label_values(&[group, outcome.name()]).inc_by(count);
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::tests::{at, metrics, page};
    use super::Sent;

    #[test]
    fn counters_are_there_before_anything_is_sent_and_nothing_says_that_something_waits() {
        let metrics = metrics();
        metrics.webhook_known("ops");
        metrics.heartbeat_known("payments");
        let page = page(&metrics);
        for outcome in ["delivered", "retried", "given_up"] {
            assert!(
                page.contains(&format!("stillpoint_notifications_total{{outcome=\"{outcome}\",webhook=\"ops\"}} 0"))
            );
            assert!(
                page.contains(&format!("stillpoint_heartbeats_total{{group=\"payments\",outcome=\"{outcome}\"}} 0"))
            );
        }
        assert!(!page.contains("stillpoint_notifications_waiting{"), "it was not looked at");
    }

    #[test]
    fn what_waits_is_told_with_its_age_until_it_is_gone_and_a_webhook_leaves_nothing() {
        let metrics = metrics();
        metrics.webhook_known("ops");
        metrics.notifications_waiting("ops", 2, Some(at(1_700_000_000)));
        assert!(page(&metrics).contains("oldest_waiting_timestamp_seconds{webhook=\"ops\"} 1700000000"));
        metrics.notified("ops", Sent::Delivered, 2);
        metrics.notifications_waiting("ops", 0, None);
        assert!(!page(&metrics).contains("oldest_waiting_timestamp_seconds{webhook=\"ops\"}"));
        assert!(page(&metrics).contains("stillpoint_notifications_waiting{webhook=\"ops\"} 0"));
        metrics.webhook_gone("ops");
        assert!(!page(&metrics).contains("webhook=\"ops\""));
    }
}
