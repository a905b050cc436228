//! The slow look between windows: who is paused, whoever paused it.

use super::Service;
use crate::config::Group;
use crate::engine::{Sighting, Swept, sweep};
use crate::kubernetes::Depth;
use crate::observe::metrics::Look;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Looks at the group's members for ever, at every interval in which no window of the group runs.
pub(super) async fn sweep_for_ever(service: Service, group: Arc<Group>, every: Duration) {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut known, mut unlisted_known) = (BTreeSet::new(), Vec::new());
    loop {
        interval.tick().await;
        if service.engine.window_of(&group.name).is_some() {
            continue;
        }
        match sweep(&service.engine.finder(), &group, Depth::Pods).await {
            // A window that began meanwhile tells more than this look.
            Ok(_) if service.engine.window_of(&group.name).is_some() => {}
            Ok(Swept { clusters, unlisted, .. }) => {
                for workload in unlisted.iter().filter(|workload| !unlisted_known.contains(*workload)) {
                    tracing::warn!(group = %group.name, "{workload} belongs to no group");
                }
                unlisted_known = unlisted;
                service.engine.metrics.members_seen(&group.name, &looks(&clusters));
                known = tell(&group.name, &clusters, &known);
            }
            Err(reason) => tracing::warn!(group = %group.name, "look at the members: {reason}"),
        }
    }
}

fn looks(clusters: &BTreeMap<String, Vec<Sighting>>) -> BTreeMap<String, Look> {
    let look = |(cluster, seen): (&String, &Vec<Sighting>)| {
        let count = |wanted: fn(&Sighting) -> bool| seen.iter().filter(|sighting| wanted(sighting)).count();
        let look = Look {
            known: seen.len(),
            paused: count(|sighting| sighting.paused == Ok(true)),
            unanswered: count(|sighting| sighting.paused.is_err()),
        };
        (cluster.clone(), look)
    };
    clusters.iter().map(look).collect()
}

/// Says which members turned out paused or silent since the last look, and answers with those that are now.
fn tell(
    group: &str,
    clusters: &BTreeMap<String, Vec<Sighting>>,
    known: &BTreeSet<(String, bool)>,
) -> BTreeSet<(String, bool)> {
    let mut now = BTreeSet::new();
    for sighting in clusters.values().flatten() {
        let name = sighting.member.to_string();
        match &sighting.paused {
            Ok(false) => {}
            Ok(true) => {
                if !known.contains(&(name.clone(), true)) {
                    let hint = format!("stillpoint unpause {group} --force opens it");
                    tracing::warn!(%group, member = %name, "{name} is paused, and not by a window of ours; {hint}");
                }
                now.insert((name, true));
            }
            Err(why) => {
                if !known.contains(&(name.clone(), false)) {
                    tracing::warn!(%group, member = %name, "{name} does not say whether it is paused: {why}");
                }
                now.insert((name, false));
            }
        }
    }
    now
}
