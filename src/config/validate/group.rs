//! One group: its window, and what its parts demand of each other.

use super::super::error::Wrong;
use super::super::path::KeyPath;
use super::super::schedule::shortest_gap;
use super::super::{
    Cluster, Coverage, Group, PAUSE_MARGIN, SHORTEST_HOLD, Schedule, WindowSettings, defaults, raw, span,
};
use super::{Check, Range, cluster, notifications, other_name, schedule, store};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const HOUR: u64 = 3_600_000;

const HOLD: Range = Range { default: defaults::HOLD, least: SHORTEST_HOLD, most: Duration::from_secs(600) };
const DRAIN: Range = Range::millis(defaults::DRAIN, 100, HOUR);
/// A month has 744 hours at most. There is no default.
const BUDGET: Range = Range::millis("", 1_000, 744 * HOUR);
const MAX_PAUSE: Range = Range::millis(defaults::MAX_PAUSE, 1, 2 * HOUR);

/// No default: without it, it follows from the schedule.
const OBJECTIVE: Range = Range::millis("", 60_000, 366 * 24 * HOUR);

pub fn group(check: &mut Check<'_>, path: &KeyPath, name: &str, raw: raw::Group, all: &[String]) -> Group {
    check.name(path, name);
    let raw_clusters = raw.clusters.unwrap_or_default();
    if raw_clusters.is_empty() {
        let wrong = Wrong::new("the group has no clusters").expected("at least one under clusters");
        check.fault(path, wrong.nearest(other_name(name, all)));
    }
    // A cluster without a product is no stage of its own, only a fault.
    let real = raw_clusters.values().flatten().filter(|cluster| cluster.product.is_some());
    let stages: BTreeSet<u32> = real.map(|cluster| cluster.stage.unwrap_or(defaults::STAGE)).collect();
    let has_kubernetes = raw_clusters.values().flatten().any(|cluster| cluster.kubernetes.is_some());
    let names: Vec<String> = raw_clusters.keys().cloned().collect();
    let mut clusters: BTreeMap<String, Cluster> = BTreeMap::new();
    for (name, raw) in raw_clusters {
        let path = path.key("clusters").key(&name);
        let Some(raw) = check.something(&path, raw) else { continue };
        if let Some(cluster) = cluster::cluster(check, &path, &name, raw, &names) {
            clusters.insert(name, cluster);
        }
    }
    let raw_stores = raw.stores.unwrap_or_default();
    let materializes = raw_stores.values().flatten().any(store::materializes);
    let (stores, guard) = store::stores(check, &path.key("stores"), raw_stores);
    let keep = store::keep(check, &path.key("keep"), raw.keep.as_ref(), materializes);
    let window = window(check, &path.key("window"), &raw.window.unwrap_or_default(), stages.len().max(1), guard);
    let schedule =
        raw.schedule.and_then(|raw| schedule::schedule(check, &path.key("schedule"), name, raw, window.hold));
    let closed_budget = raw.closed_budget.and_then(|raw| check.span(&path.key("closed_budget"), Some(&raw), BUDGET));
    let objective = objective(check, &path.key("objective"), raw.objective.as_ref(), schedule.as_ref());
    check_coverage(check, path, raw.coverage.is_some(), raw.ignore.as_deref(), has_kubernetes);
    let coverage = match raw.coverage {
        Some(raw::Coverage::Warn) => Coverage::Warn,
        Some(raw::Coverage::Refuse) | None => Coverage::Refuse,
    };
    let ignore = raw.ignore.unwrap_or_default();
    let heartbeat = raw.heartbeat.and_then(|text| check.take(&path.key("heartbeat"), notifications::url(&text)));
    Group {
        name: name.to_owned(),
        schedule,
        objective,
        window,
        closed_budget,
        coverage,
        ignore,
        clusters,
        stores,
        keep,
        heartbeat,
    }
}

fn window(
    check: &mut Check<'_>,
    path: &KeyPath,
    raw: &raw::Window,
    stages: usize,
    guard: Option<store::Guard>,
) -> WindowSettings {
    let hold = check.span(&path.key("hold"), raw.hold.as_ref(), HOLD);
    let drain = check.span(&path.key("drain"), raw.drain.as_ref(), DRAIN);
    let max_pause = check.span(&path.key("max_pause"), raw.max_pause.as_ref(), MAX_PAUSE);
    if let (Some(hold), Some(guard)) = (hold, &guard) {
        let least = SHORTEST_HOLD + 2 * guard.width;
        if hold < least {
            let wrong = Wrong::new(format!("{} is too short for the store {}", span::write(hold), guard.store));
            let because = format!(
                "at least {} (2s and a clock guard of {} on either side)",
                span::write(least),
                span::write(guard.width)
            );
            check.fault(&path.key("hold"), wrong.expected(because));
        }
    }
    if let (Some(hold), Some(drain), Some(max_pause)) = (hold, drain, max_pause) {
        let drains = drain * u32::try_from(stages).unwrap_or(u32::MAX);
        let least = drains + hold + PAUSE_MARGIN;
        if max_pause < least {
            let default = if raw.max_pause.is_none() { " (the default)" } else { "" };
            let stages = if stages == 1 { String::new() } else { format!("{stages} stages × ") };
            let what = format!(
                "{}{default} is too short for {stages}drain {} + hold {} + {} for the requests",
                span::write(max_pause),
                span::write(drain),
                span::write(hold),
                span::write(PAUSE_MARGIN),
            );
            check.fault(&path.key("max_pause"), Wrong::new(what).expected(format!("at least {}", span::write(least))));
        }
    }
    WindowSettings {
        hold: hold.unwrap_or_default(),
        drain: drain.unwrap_or_default(),
        max_pause: max_pause.unwrap_or_default(),
    }
}

/// One that no schedule could meet would be an alert that never ends.
fn objective(
    check: &mut Check<'_>,
    path: &KeyPath,
    raw: Option<&raw::Span>,
    schedule: Option<&Schedule>,
) -> Option<Duration> {
    let objective = check.span(path, Some(raw?), OBJECTIVE)?;
    let gap = schedule.and_then(|schedule| shortest_gap(&schedule.slots.cron));
    if let Some(gap) = gap.filter(|gap| objective < *gap) {
        let what = format!("{} is shorter than the {} between slots", span::write(objective), span::write(gap));
        check.fault(path, Wrong::new(what).expected(format!("at least {}, or more slots", span::write(gap))));
    }
    Some(objective)
}

fn check_coverage(
    check: &mut Check<'_>,
    path: &KeyPath,
    is_set: bool,
    ignore: Option<&[String]>,
    has_kubernetes: bool,
) {
    for (key, is_set) in [("coverage", is_set), ("ignore", ignore.is_some())] {
        if is_set && !has_kubernetes {
            let wrong = Wrong::new(format!(
                "{key} is about workloads in Kubernetes, and no cluster of this group is found there"
            ));
            check.fault(&path.key(key), wrong.expected(format!("no {key} beside addresses and srv")));
        }
    }
    check.patterns(&path.key("ignore"), ignore.unwrap_or_default());
}
