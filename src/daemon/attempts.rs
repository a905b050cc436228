//! What happens at a slot: windows, until one is consistent or the slot is given up.

use super::Service;
use super::schedule::{Clockwork, expected_interval, next_slot, slots_between};
use crate::catalog::{CatalogError, SlotState};
use crate::config::{Group, Schedule};
use crate::domain::{Code, Reason, Trigger, Verdict};
use crate::engine::Order;
use crate::observe::metrics::Ended;
use jiff::Timestamp;
use std::time::Duration;

/// A slot that is this far in the past when its turn comes was missed.
const LATE: Duration = Duration::from_secs(5);
/// How many missed slots are recorded one by one.
const MOST_MISSED: usize = 1_000;
/// How long after a failed query the schedule is tried again.
const CATALOG_RETRY: Duration = Duration::from_secs(5);

/// Follows the group's schedule for ever.
pub async fn follow(service: Service, clockwork: Clockwork, group: Group, schedule: Schedule) {
    let mut after = loop {
        match start(&service, &group, &schedule).await {
            Ok(after) => break after,
            Err(error) => catalog_failed(&service, &group, &error).await,
        }
    };
    while let Some(slot) = next_slot(&schedule, after) {
        after = slot;
        let now = service.engine.clock.now().wall;
        service.engine.metrics.scheduled(&group.name, Some(slot), expected_interval(&schedule, now));
        if now > slot + LATE {
            let reason = Reason::new(Code::Busy, "the group was still at the slot before it");
            miss(&service, &group, slot, &reason).await;
            continue;
        }
        if let Err(error) = service.engine.catalog.plan_slot(&group.name, slot).await {
            catalog_failed(&service, &group, &error).await;
        }
        wait_until(&service, &clockwork, slot - schedule.lead).await;
        run_slot(&service, &group, &schedule, slot).await;
    }
    service.engine.metrics.scheduled(&group.name, None, None);
    tracing::warn!(group = %group.name, "the schedule has no further slot");
}

async fn catalog_failed(service: &Service, group: &Group, error: &CatalogError) {
    service.engine.metrics.catalog_failed();
    tracing::error!(group = %group.name, "keep the schedule in the catalog: {error}");
    tokio::time::sleep(CATALOG_RETRY).await;
}

/// Ends what a dead process left of slots, and records those that passed meanwhile. Answers with the instant after
/// which the next slot is looked for.
async fn start(service: &Service, group: &Group, schedule: &Schedule) -> Result<Timestamp, CatalogError> {
    let catalog = &service.engine.catalog;
    let now = service.engine.clock.now().wall;
    let last = catalog.last_slot(&group.name).await?;
    for row in catalog.unfinished_slots(&group.name).await? {
        match row.state {
            SlotState::Running => {
                // It may have died after it took the slot and before a window was begun: the slot may still come.
                let released = catalog.release_slot(&group.name, row.slot).await?;
                match (released, row.slot <= now) {
                    (true, true) => miss(service, group, row.slot, &not_running()).await,
                    (true, false) => {}
                    (false, _) => {
                        catalog.finish_slot(&group.name, row.slot).await?;
                    }
                }
            }
            _ if row.slot <= now => miss(service, group, row.slot, &not_running()).await,
            _ => {}
        }
    }
    if let Some(last) = last {
        for slot in slots_between(schedule, last.slot, now, MOST_MISSED) {
            miss(service, group, slot, &not_running()).await;
        }
    }
    Ok(now)
}

fn not_running() -> Reason {
    Reason::new(Code::NotRunning, "no daemon ran at the slot")
}

async fn miss(service: &Service, group: &Group, slot: Timestamp, reason: &Reason) {
    match service.engine.catalog.miss_slot(&group.name, slot, reason).await {
        Ok(true) => {
            tracing::warn!(group = %group.name, "slot {slot} was missed: {}", reason.sentence);
            service.engine.metrics.window_ended(&group.name, &Ended::missed());
        }
        Ok(false) => {}
        Err(error) => catalog_failed(service, group, &error).await,
    }
}

async fn wait_until(service: &Service, clockwork: &Clockwork, instant: Timestamp) {
    let wait = Duration::try_from(instant.duration_since(service.engine.clock.now().wall)).unwrap_or_default();
    if wait < Duration::from_secs(1) {
        tokio::time::sleep(wait).await;
    } else if let Err(error) = clockwork.wait(wait).await {
        tracing::error!("wait by the scheduler: {error}");
        tokio::time::sleep(wait).await;
    }
}

/// One slot: decided in the catalog, so that it runs at most once.
async fn run_slot(service: &Service, group: &Group, schedule: &Schedule, slot: Timestamp) {
    let catalog = &service.engine.catalog;
    match catalog.start_slot(&group.name, slot).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => {
            catalog_failed(service, group, &error).await;
            let reason = Reason::new(Code::Catalog, error.to_string());
            return miss(service, group, slot, &reason).await;
        }
    }
    if !attempts(service, group, schedule, slot).await {
        let reason = Reason::new(Code::Busy, "the group was in another window until the starting deadline");
        return miss(service, group, slot, &reason).await;
    }
    if let Err(error) = catalog.finish_slot(&group.name, slot).await {
        catalog_failed(service, group, &error).await;
    }
}

/// Whether a window was begun at all.
async fn attempts(service: &Service, group: &Group, schedule: &Schedule, slot: Timestamp) -> bool {
    let mut discarded = 0;
    let mut begun = false;
    loop {
        let order = Order { trigger: Trigger::Schedule, slot: Some(slot), limit: None };
        let delay = match service.begin(group, order) {
            Err(busy) => {
                tracing::info!(group = %group.name, "slot {slot} waits: {busy}");
                schedule.refused_retry
            }
            Ok(mut handle) => {
                begun = true;
                let status = handle.finished().await;
                match status.outcome.map(|outcome| outcome.verdict) {
                    Some(Verdict::Refused) => schedule.refused_retry,
                    Some(Verdict::Discarded) => {
                        discarded += 1;
                        if discarded >= schedule.attempts {
                            tracing::warn!(group = %group.name, "slot {slot} is given up after {discarded} discarded windows");
                            return begun;
                        }
                        schedule.retry_delay
                    }
                    _ => return begun,
                }
            }
        };
        let next = service.engine.clock.now().wall + delay;
        if next > slot + schedule.starting_deadline {
            tracing::warn!(group = %group.name, "slot {slot} is given up: its starting deadline passed");
            return begun;
        }
        tokio::time::sleep(delay).await;
        if let Err(error) = service.engine.catalog.count_attempt(&group.name, slot).await {
            catalog_failed(service, group, &error).await;
        }
    }
}
