//! How long members were closed, told to metrics out of the catalog.

use super::Service;
use crate::catalog::CatalogError;
use crate::config::Group;
use crate::slots::month_of;
use std::time::Duration;

/// How often a month's end is looked for.
const INTERVAL: Duration = Duration::from_secs(60);

/// Tells what the catalog adds up for a group.
///
/// # Errors
/// The catalog cannot be read.
pub(super) async fn seed(service: &Service, group: &Group) -> Result<(), CatalogError> {
    let catalog = &service.engine.catalog;
    let month = month_of(&group.time_zone(), service.engine.clock.now().wall);
    let total = catalog.closed(&group.name, None).await?;
    let month = catalog.closed(&group.name, Some(month)).await?;
    service.engine.metrics.closed(&group.name, total, month, group.closed_budget);
    Ok(())
}

/// The same after a window of the group, which ends well without it.
pub(super) async fn tell(service: &Service, group: &str) {
    let config = service.engine.config();
    let Some(group) = config.groups.get(group) else { return };
    if let Err(error) = seed(service, group).await {
        service.engine.metrics.catalog_failed();
        tracing::warn!(group = %group.name, "tell how long members were closed: {error}");
    }
}

/// Tells it of every group again and again: a month ends without a window.
pub(super) async fn tell_for_ever(service: Service) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        for group in service.engine.config().groups.keys() {
            tell(&service, group).await;
        }
    }
}
