//! What happens at a slot: windows, until one is consistent or the slot is given up.

use super::Service;
use super::current::Current;
use super::schedule::{Clockwork, expected_interval, has_slot, next_slot, slots_between};
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

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// A window was begun for it.
    Begun,
    /// No window could be begun.
    Busy,
    /// No window was begun before the config had it no more.
    Withdrawn,
}

/// Follows the group's schedule, whatever it is at the time, until the group leaves the config. `since_start`: the
/// config had the group when the process started, so slots that passed before were missed.
pub async fn follow(service: Service, clockwork: Clockwork, its: Current, mut since_start: bool) {
    // The schedule that is followed, and the slot that was its last.
    let mut at: Option<(Schedule, Timestamp)> = None;
    while let Some(group) = its.group() {
        let known = at.take().filter(|(followed, _)| Some(followed) == group.schedule.as_ref());
        let after = match known {
            Some((_, after)) => after,
            None => taken_up(&service, &group, std::mem::take(&mut since_start)).await,
        };
        let slot = group.schedule.as_ref().and_then(|schedule| next_slot(schedule, after));
        let (Some(schedule), Some(slot)) = (&group.schedule, slot) else {
            service.engine.metrics.scheduled(&group.name, None, None);
            if group.schedule.is_some() {
                tracing::warn!(group = %group.name, "the schedule has no further slot");
            }
            its.changed(&group).await;
            continue;
        };
        let now = service.engine.clock.now().wall;
        service.engine.metrics.scheduled(&group.name, Some(slot), expected_interval(schedule, now));
        if now > slot + LATE {
            let reason = Reason::new(Code::Busy, "the group was still at the slot before it");
            miss(&service, &group, slot, &reason).await;
            at = Some((schedule.clone(), slot));
            continue;
        }
        if let Err(error) = service.engine.catalog.plan_slot(&group.name, slot).await {
            catalog_failed(&service, &group, &error).await;
        }
        let start = slot - schedule.lead;
        tokio::select! {
            () = wait_until(&service, &clockwork, start) => {}
            () = its.changed(&group) => {
                // Later than that the slot is as good as begun, and its windows go by the new config.
                if service.engine.clock.now().wall < start {
                    at = Some((schedule.clone(), after));
                    continue;
                }
            }
        }
        run_slot(&service, &its, &group, slot).await;
        at = Some((schedule.clone(), slot));
    }
    let now = service.engine.clock.now().wall;
    if let Err(error) = service.engine.catalog.plan_anew(its.name(), now, None).await {
        service.engine.metrics.catalog_failed();
        tracing::error!(group = %its.name(), "take back its planned slot: {error}");
    }
}

/// Takes up a schedule: what was planned by another one is taken back. Answers with the instant after which its first
/// slot is looked for.
async fn taken_up(service: &Service, group: &Group, since_start: bool) -> Timestamp {
    loop {
        match take_up(service, group, since_start).await {
            Ok(after) => return after,
            Err(error) => catalog_failed(service, group, &error).await,
        }
    }
}

async fn take_up(service: &Service, group: &Group, since_start: bool) -> Result<Timestamp, CatalogError> {
    let now = service.engine.clock.now().wall;
    if let (Some(schedule), true) = (&group.schedule, since_start) {
        start(service, group, schedule, now).await?;
    }
    let next = group.schedule.as_ref().and_then(|schedule| next_slot(schedule, now));
    if service.engine.catalog.plan_anew(&group.name, now, next).await? {
        tracing::info!(group = %group.name, "what another schedule had planned is taken back");
    }
    Ok(now)
}

async fn catalog_failed(service: &Service, group: &Group, error: &CatalogError) {
    service.engine.metrics.catalog_failed();
    tracing::error!(group = %group.name, "keep the schedule in the catalog: {error}");
    tokio::time::sleep(CATALOG_RETRY).await;
}

/// Ends what a dead process left of slots, and records those that passed meanwhile.
async fn start(service: &Service, group: &Group, schedule: &Schedule, now: Timestamp) -> Result<(), CatalogError> {
    let catalog = &service.engine.catalog;
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
    // A slot that this schedule does not have was another one's: since when this one is in force is not known.
    if let Some(last) = last.filter(|last| has_slot(schedule, last.slot)) {
        for slot in slots_between(schedule, last.slot, now, MOST_MISSED) {
            miss(service, group, slot, &not_running()).await;
        }
    }
    Ok(())
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
async fn run_slot(service: &Service, its: &Current, group: &Group, slot: Timestamp) {
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
    let came = attempts(service, its, slot).await;
    if came == Came::Busy {
        let reason = Reason::new(Code::Busy, "the group was in another window until the starting deadline");
        return miss(service, group, slot, &reason).await;
    }
    if came == Came::Withdrawn {
        tracing::info!(group = %group.name, "slot {slot} is given up: the config has it no more");
    }
    if let Err(error) = catalog.finish_slot(&group.name, slot).await {
        catalog_failed(service, group, &error).await;
    }
}

/// Begins windows, each by the config as it is then.
async fn attempts(service: &Service, its: &Current, slot: Timestamp) -> Came {
    let mut discarded = 0;
    let mut begun = false;
    loop {
        let Some((group, schedule)) = its.with_slot(slot) else {
            return if begun { Came::Begun } else { Came::Withdrawn };
        };
        let group = &group;
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
                            return Came::Begun;
                        }
                        schedule.retry_delay
                    }
                    _ => return Came::Begun,
                }
            }
        };
        let next = service.engine.clock.now().wall + delay;
        if next > slot + schedule.starting_deadline {
            tracing::warn!(group = %group.name, "slot {slot} is given up: its starting deadline passed");
            return if begun { Came::Begun } else { Came::Busy };
        }
        its.wait_for_slot(delay, slot).await;
        if let Err(error) = service.engine.catalog.count_attempt(&group.name, slot).await {
            catalog_failed(service, group, &error).await;
        }
    }
}
