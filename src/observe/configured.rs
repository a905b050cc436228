//! What the config says, as series: there from the first scrape on, whether anything was looked at yet or not.

use super::described as d;
use super::metrics::{Metrics, keep, opts};
use crate::config::{Group, StoreKind};
use prometheus::{GaugeVec, IntGaugeVec, Registry};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What an objective that nobody set allows beyond one interval of the schedule, at most: a slot's own attempts take
/// an hour, and a daily group is to be told of before its next night.
const SLACK: Duration = Duration::from_secs(7_200);

/// The part of [`Metrics`] that comes out of the config.
#[derive(Debug)]
pub(super) struct Configured {
    clusters: IntGaugeVec,
    stores: IntGaugeVec,
    max_pause: GaugeVec,
    objective: GaugeVec,
    groups: Mutex<BTreeMap<String, Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// What the config sets.
    objective: Option<Duration>,
    /// The longest time between two slots.
    interval: Option<Duration>,
    clusters: BTreeSet<[String; 2]>,
    stores: BTreeSet<[String; 2]>,
}

impl Configured {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauges = |d: &d::Description| keep(registry, GaugeVec::new(opts(d), d.labels)?);
        let numbers = |d: &d::Description| keep(registry, IntGaugeVec::new(opts(d), d.labels)?);
        Ok(Self {
            clusters: numbers(&d::CLUSTER_INFO)?,
            stores: numbers(&d::STORE_INFO)?,
            max_pause: gauges(&d::MAX_PAUSE)?,
            objective: gauges(&d::OBJECTIVE)?,
            groups: Mutex::default(),
        })
    }

    /// The schedule's interval as it is now; none: there is no schedule.
    pub(super) fn interval(&self, group: &str, interval: Option<Duration>) {
        let mut groups = self.groups();
        let known = groups.entry(group.to_owned()).or_default();
        known.interval = interval;
        self.tell_objective(group, known);
    }

    pub(super) fn group_gone(&self, group: &str) {
        let known = self.groups().remove(group).unwrap_or_default();
        for (vector, names) in [(&self.clusters, &known.clusters), (&self.stores, &known.stores)] {
            swap(vector, group, names, &BTreeSet::new());
        }
        // Removing a series that is not there is what was wanted.
        let _ = self.max_pause.remove_label_values(&[group]);
        let _ = self.objective.remove_label_values(&[group]);
    }

    fn tell_objective(&self, group: &str, known: &Known) {
        let derived = known.interval.map(|interval| interval + interval.min(SLACK));
        let seconds = known.objective.or(derived).map(|objective| objective.as_secs_f64());
        super::metrics::set_or_remove(&self.objective, &[group], seconds);
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        // Every write is whole after any panic.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the series of names that are no more, and makes those of the others: the value of each is 1.
fn swap(vector: &IntGaugeVec, group: &str, before: &BTreeSet<[String; 2]>, now: &BTreeSet<[String; 2]>) {
    for [name, kind] in before.difference(now) {
        let _ = vector.remove_label_values(&[group, name, kind]);
    }
    for [name, kind] in now {
        vector.with_label_values(&[group, name, kind]).set(1);
    }
}

impl Metrics {
    /// A group as the config has it, at start and after every reload.
    pub fn group_configured(&self, group: &Group) {
        let configured = &self.configured;
        configured.max_pause.with_label_values(&[&group.name]).set(group.window.max_pause.as_secs_f64());
        let pair = |name: &String, kind: &str| [name.clone(), kind.to_owned()];
        let clusters = group.clusters.iter().map(|(name, cluster)| pair(name, cluster.product.name())).collect();
        let stores = group.stores.iter().map(|(name, store)| pair(name, kind(&store.kind))).collect();
        let mut groups = configured.groups();
        let known = groups.entry(group.name.clone()).or_default();
        swap(&configured.clusters, &group.name, &known.clusters, &clusters);
        swap(&configured.stores, &group.name, &known.stores, &stores);
        (known.clusters, known.stores, known.objective) = (clusters, stores, group.objective);
        configured.tell_objective(&group.name, known);
    }
}

/// As the config names it.
const fn kind(kind: &StoreKind) -> &'static str {
    match kind {
        StoreKind::Dynamodb(_) => "dynamodb",
        StoreKind::Rds { .. } => "rds",
        StoreKind::Aurora { .. } => "aurora",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::metrics::tests::{SETTINGS, dynamodb, has, metrics, page};
    use super::*;
    use crate::config::{Cluster, Coverage, Keep, Source};
    use crate::domain::Product;

    pub fn group(clusters: &[&str], objective: Option<Duration>) -> Group {
        let cluster = |name: &&str| {
            let source = Source::Addresses(vec!["127.0.0.1:50053".to_owned()]);
            let cluster =
                Cluster { name: (*name).to_owned(), product: Product::ScalardlLedger, source, stage: 0, tls: None };
            ((*name).to_owned(), cluster)
        };
        Group {
            name: "payments".to_owned(),
            schedule: None,
            objective,
            window: SETTINGS,
            coverage: Coverage::Refuse,
            ignore: Vec::new(),
            clusters: clusters.iter().map(cluster).collect(),
            stores: BTreeMap::from([("tables".to_owned(), dynamodb("tables"))]),
            keep: Keep::default(),
            closed_budget: None,
            heartbeat: None,
        }
    }

    #[test]
    fn every_cluster_and_store_of_the_config_is_there_before_any_look_and_goes_with_it() {
        let metrics = metrics();
        metrics.group_configured(&group(&["ledger", "old"], None));
        let seen = page(&metrics);
        let info = |name: &str| {
            format!(
                r#"stillpoint_cluster_info{{group="payments",product="scalardl-ledger",scalar_cluster="{name}"}} 1"#
            )
        };
        has(&seen, &info("ledger"));
        has(&seen, &info("old"));
        has(&seen, r#"stillpoint_store_info{group="payments",kind="dynamodb",store="tables"} 1"#);
        assert!(!seen.contains("stillpoint_members{"), "nobody looked yet:\n{seen}");
        metrics.group_configured(&group(&["ledger"], None));
        let seen = page(&metrics);
        has(&seen, &info("ledger"));
        assert!(!seen.contains(r#""old""#), "{seen}");
        metrics.group_gone("payments");
        assert!(!page(&metrics).contains("payments"));
    }

    #[test]
    fn the_objective_is_what_the_config_sets_or_follows_from_the_schedule() {
        let metrics = metrics();
        let told = |seconds: u64| format!(r#"stillpoint_objective_seconds{{group="payments"}} {seconds}"#);
        metrics.group_configured(&group(&["ledger"], None));
        assert!(!page(&metrics).contains("stillpoint_objective_seconds{"), "neither is there");
        for (interval, objective) in [(86_400, 93_600), (3_600, 7_200), (600, 1_200)] {
            metrics.scheduled("payments", None, Some(Duration::from_secs(interval)));
            has(&page(&metrics), &told(objective));
        }
        metrics.group_configured(&group(&["ledger"], Some(Duration::from_secs(172_800))));
        has(&page(&metrics), &told(172_800));
        metrics.scheduled("payments", None, None);
        has(&page(&metrics), &told(172_800));
        metrics.group_configured(&group(&["ledger"], None));
        assert!(!page(&metrics).contains("stillpoint_objective_seconds{"), "neither is there any more");
    }
}
