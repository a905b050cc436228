//! Metrics that are there before anything happens, with what the catalog says.

use super::{Service, closed};
use crate::catalog::CatalogError;
use crate::config::{Config, Group};
use crate::observe::metrics::{Past, WindowTotal};

/// Every group's.
pub(super) async fn seed(service: &Service, config: &Config) -> Result<(), CatalogError> {
    count(service, |group| config.groups.contains_key(group)).await?;
    for group in config.groups.values() {
        describe(service, group).await?;
        plan(service, group);
    }
    Ok(())
}

/// One group's, which is new or is another one than `before`.
pub(super) async fn seed_group(service: &Service, group: &Group, before: Option<&Group>) -> Result<(), CatalogError> {
    if before.is_none() {
        count(service, |name| name == group.name).await?;
        plan(service, group);
    }
    describe(service, group).await
}

/// How many windows there were, of these groups.
async fn count(service: &Service, of: impl Fn(&str) -> bool) -> Result<(), CatalogError> {
    let totals = service.engine.catalog.totals().await?.into_iter().filter(|total| of(&total.group));
    let totals = totals.map(|total| WindowTotal {
        group: total.group,
        verdict: total.verdict,
        reason: total.reason_code,
        count: total.count,
    });
    service.engine.metrics.seed(&totals.collect::<Vec<_>>());
    Ok(())
}

async fn describe(service: &Service, group: &Group) -> Result<(), CatalogError> {
    let (catalog, metrics) = (&service.engine.catalog, &service.engine.metrics);
    let now = service.engine.clock.now().wall;
    let past = Past {
        first_seen: catalog.group_seen(&group.name, now).await?,
        last_consistent: catalog.last_consistent(&group.name).await?,
        discarded_in_a_row: catalog.discarded_in_a_row(&group.name).await?,
    };
    metrics.group_configured(group);
    metrics.group_known(&group.name, &past);
    closed::seed(service, group).await?;
    for store in group.stores.values() {
        let sums = catalog.materialized(&group.name, &store.name).await?;
        metrics.store_known(&group.name, &store.name, store.materializes());
        metrics.materialized(&group.name, store, sums.restored, sums.restored_bytes);
    }
    Ok(())
}

/// When its next slot is.
fn plan(service: &Service, group: &Group) {
    if let Some(schedule) = &group.schedule {
        let now = service.engine.clock.now().wall;
        let (next, interval) = (schedule.slots.next_run(now), schedule.slots.expected_interval(now));
        service.engine.metrics.scheduled(&group.name, next, interval);
    }
}
