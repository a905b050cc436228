//! One group: its schedule, its window, and what its parts demand of each other.

use super::super::error::Wrong;
use super::super::path::KeyPath;
use super::super::{
    Cluster, Coverage, Group, PAUSE_MARGIN, SHORTEST_HOLD, Schedule, WindowSettings, defaults, raw, schedule, span,
};
use super::{Check, Range, cluster, other_name, store};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const HOUR: u64 = 3_600_000;

const LEAD: Range = Range::millis(defaults::LEAD, 100, HOUR);
const STARTING_DEADLINE: Range = Range::millis(defaults::STARTING_DEADLINE, 100, 24 * HOUR);
const REFUSED_RETRY: Range = Range::millis(defaults::REFUSED_RETRY, 100, HOUR);
const RETRY_DELAY: Range = Range::millis(defaults::RETRY_DELAY, 100, 24 * HOUR);
const HOLD: Range = Range { default: defaults::HOLD, least: SHORTEST_HOLD, most: Duration::from_secs(600) };
const DRAIN: Range = Range::millis(defaults::DRAIN, 100, HOUR);
const MAX_PAUSE: Range = Range::millis(defaults::MAX_PAUSE, 1, 2 * HOUR);

/// No default: without it, it follows from the schedule.
const OBJECTIVE: Range = Range::millis("", 60_000, 366 * 24 * HOUR);

const MOST_ATTEMPTS: u32 = 10;

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
    let schedule = raw.schedule.map(|raw| read_schedule(check, &path.key("schedule"), raw, window.hold));
    let objective = objective(check, &path.key("objective"), raw.objective.as_ref(), schedule.as_ref());
    check_coverage(check, path, raw.coverage.is_some(), raw.ignore.as_deref(), has_kubernetes);
    let coverage = match raw.coverage {
        Some(raw::Coverage::Warn) => Coverage::Warn,
        Some(raw::Coverage::Refuse) | None => Coverage::Refuse,
    };
    let ignore = raw.ignore.unwrap_or_default();
    Group { name: name.to_owned(), schedule, objective, window, coverage, ignore, clusters, stores, keep }
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

fn read_schedule(check: &mut Check<'_>, path: &KeyPath, raw: raw::Schedule, hold: Duration) -> Schedule {
    let cron = match &raw.cron {
        Some(text) => check.take(&path.key("cron"), schedule::cron(text)),
        None => {
            check.missing(
                path,
                "cron",
                "an expression such as \"0 3 * * *\", or no schedule at all, and people start the windows",
            );
            None
        }
    };
    let zone = raw.time_zone.as_deref().unwrap_or(defaults::TIME_ZONE);
    let time_zone = check.take(&path.key("time_zone"), schedule::time_zone(zone));
    let lead = check.span(&path.key("lead"), raw.lead.as_ref(), LEAD);
    let deadline = check.span(&path.key("starting_deadline"), raw.starting_deadline.as_ref(), STARTING_DEADLINE);
    let refused_retry = check.span(&path.key("refused_retry"), raw.refused_retry.as_ref(), REFUSED_RETRY);
    let retry_delay = check.span(&path.key("retry_delay"), raw.retry_delay.as_ref(), RETRY_DELAY);
    let attempts = raw.attempts.unwrap_or(defaults::ATTEMPTS);
    if !(1..=MOST_ATTEMPTS).contains(&attempts) {
        let wrong =
            Wrong::new(format!("{attempts} attempts are out of range")).expected(format!("1 to {MOST_ATTEMPTS}"));
        check.fault(&path.key("attempts"), wrong);
    }
    if let (Some(lead), Some(deadline)) = (lead, deadline)
        && lead >= deadline
    {
        let what =
            format!("lead {} is not shorter than starting_deadline {}", span::write(lead), span::write(deadline));
        check.fault(&path.key("lead"), Wrong::new(what).expected(format!("less than {}", span::write(deadline))));
    }
    if let (Some(cron), Some(time_zone), Some(lead)) = (&cron, time_zone, lead) {
        dense(check, path, cron, time_zone, lead, hold);
    }
    Schedule {
        cron: cron.unwrap_or_default(),
        time_zone: time_zone.unwrap_or(chrono_tz::UTC),
        lead: lead.unwrap_or_default(),
        starting_deadline: deadline.unwrap_or_default(),
        refused_retry: refused_retry.unwrap_or_default(),
        attempts,
        retry_delay: retry_delay.unwrap_or_default(),
    }
}

/// A group never overlaps itself, so slots that come before the last one's window can be over would always be missed.
fn dense(check: &mut Check<'_>, path: &KeyPath, cron: &str, time_zone: chrono_tz::Tz, lead: Duration, hold: Duration) {
    let Some(gap) = schedule::shortest_gap(cron, time_zone) else { return };
    if gap <= lead + hold {
        let what = format!(
            "slots come {} apart, but each takes lead {} + hold {}",
            span::write(gap),
            span::write(lead),
            span::write(hold)
        );
        let expected = format!("more than {} between slots, or a shorter lead", span::write(lead + hold));
        check.fault(&path.key("cron"), Wrong::new(what).expected(expected));
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
    let gap = schedule.and_then(|schedule| schedule::shortest_gap(&schedule.cron, schedule.time_zone));
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
