//! The slow look over all namespaces: Scalar workloads that no group names.

use super::Service;
use crate::kubernetes::{Stray, Unseen, WideLook};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What was told of one context.
#[derive(Default)]
struct Told {
    strays: BTreeSet<String>,
    unseen: Option<Unseen>,
}

/// Looks for ever, and tells log and metrics.
pub(super) async fn look_for_ever(service: Service, every: Duration) {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told: BTreeMap<Option<String>, Told> = BTreeMap::new();
    loop {
        interval.tick().await;
        let looks = service.engine.finder().look_wide().await;
        let contexts: BTreeSet<Option<String>> = looks.iter().map(|look| look.context.clone()).collect();
        for gone in told.keys().filter(|context| !contexts.contains(context)) {
            service.engine.metrics.unlisted_seen(gone.as_deref().unwrap_or_default(), &BTreeMap::new());
        }
        told.retain(|context, _| contexts.contains(context));
        for look in looks {
            let context = look.context.as_deref().unwrap_or_default();
            service.engine.metrics.unlisted_seen(context, &counts(&look));
            tell(context, look.found, told.entry(look.context.clone()).or_default());
        }
    }
}

/// By namespace; those of the groups are told with 0 too, so that a look that found nothing differs from none.
fn counts(look: &WideLook) -> BTreeMap<String, usize> {
    let Ok(strays) = &look.found else { return BTreeMap::new() };
    let mut counts: BTreeMap<String, usize> = look.namespaces.iter().map(|namespace| (namespace.clone(), 0)).collect();
    for stray in strays {
        *counts.entry(stray.namespace.clone()).or_default() += 1;
    }
    counts
}

fn tell(context: &str, found: Result<Vec<Stray>, Unseen>, told: &mut Told) {
    match found {
        Ok(strays) => {
            // The groups' own looks tell of those beside them.
            for stray in strays.iter().filter(|it| !it.beside_a_group && !told.strays.contains(&it.workload)) {
                tracing::warn!(%context, namespace = %stray.namespace, "{stray}");
            }
            told.strays = strays.into_iter().map(|stray| stray.workload).collect();
            told.unseen = None;
        }
        Err(unseen) if told.unseen.as_ref() == Some(&unseen) => {}
        Err(unseen) => {
            match &unseen {
                Unseen::Denied(words) => {
                    let hint = "`stillpoint rbac --wide` prints the right";
                    tracing::info!(%context, "no look over all namespaces for what no group names: {words} ({hint})");
                }
                Unseen::Failed(problem) => tracing::warn!(%context, "look over all namespaces: {problem}"),
            }
            told.unseen = Some(unseen);
        }
    }
}
