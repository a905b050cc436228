//! What is over and old leaves the catalog.

use super::Service;
use crate::catalog::{CatalogError, Stale};
use jiff::Timestamp;
use std::time::Duration;

/// How often it looks for what has grown old.
const EVERY: Duration = Duration::from_secs(3600);
/// How many windows it looks for at a time.
const BATCH: u32 = 200;
/// Between two transactions, and while a window runs: appends go first.
const PAUSE: Duration = Duration::from_millis(25);

/// Prunes for ever what is older than `history`.
pub(super) async fn prune_for_ever(service: Service, history: Duration) {
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let now = service.engine.clock.now().wall;
        let Ok(before) = now.checked_sub(history) else { continue };
        match prune(&service, before).await {
            Ok(0) => {}
            Ok(windows) => tracing::info!("{windows} windows from before {before:.0} left the catalog"),
            Err(error) => {
                service.engine.metrics.catalog_failed();
                tracing::warn!("prune the catalog: {error}");
            }
        }
    }
}

/// Prunes once; answers with how many windows went.
async fn prune(service: &Service, before: Timestamp) -> Result<u64, CatalogError> {
    let catalog = &service.engine.catalog;
    let (mut gone, mut last): (u64, Option<Stale>) = (0, None);
    loop {
        let stale = catalog.stale(before, last.as_ref(), BATCH).await?;
        let mut left = stale.as_slice();
        while !left.is_empty() {
            quiet(service).await;
            let pruned = catalog.prune(before, left).await?;
            gone += pruned.windows;
            left = left.get(pruned.done..).unwrap_or_default();
        }
        match stale.last() {
            Some(end) => last = Some(end.clone()),
            None => break,
        }
    }
    loop {
        quiet(service).await;
        if catalog.prune_slots(before).await? == 0 {
            return Ok(gone);
        }
    }
}

/// Waits until no window runs, and a moment in any case.
async fn quiet(service: &Service) {
    tokio::time::sleep(PAUSE).await;
    while !service.engine.windows().is_empty() {
        tokio::time::sleep(PAUSE).await;
    }
}
