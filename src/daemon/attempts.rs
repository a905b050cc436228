//! What happens at a slot: windows, until one is consistent or the slot is given up.

use super::Service;
use super::agenda::{Agenda, Fate, Turn};
use super::schedule::Clockwork;
use crate::catalog::{CatalogError, SlotState};
use crate::config::{Group, Schedule};
use crate::domain::{Code, Reason, Trigger, Verdict};
use crate::engine::Order;
use crate::observe::metrics::Ended;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// How many slots that passed while no daemon ran are recorded one by one: the newest.
const MOST_MISSED: usize = 1_000;
/// How long after a failed query the schedule is tried again.
const CATALOG_RETRY: Duration = Duration::from_secs(5);
/// The clock is looked at this often at least: it may have been set back.
const LOOK: Duration = Duration::from_secs(30);

/// Follows the group's schedule for ever.
pub async fn follow(service: Service, clockwork: Clockwork, group: Group, schedule: Schedule) {
    let slots = Slots { service: &service, group: &group, schedule: &schedule };
    let now = service.engine.clock.now();
    let passed = loop {
        match slots.passed_without_daemon(now.wall).await {
            Ok(passed) => break passed,
            Err(error) => slots.catalog_failed(&error).await,
        }
    };
    let mut agenda = Agenda::new(schedule.clone(), &group.window, now);
    let not_running = Reason::new(Code::NotRunning, "no daemon ran at the slot");
    slots.settle(agenda.fates(&passed, &not_running, now.wall)).await;
    let mut planned = None;
    loop {
        match agenda.turn(service.engine.clock.now()) {
            Turn::Passed(passed) => slots.settle(passed).await,
            Turn::Begin(slot) => slots.run(slot).await,
            Turn::Wait { slot, until } => {
                if planned != Some(slot) {
                    slots.plan(slot).await;
                    planned = Some(slot);
                }
                wait(&service, &clockwork, until).await;
            }
            Turn::Over => break,
        }
    }
    service.engine.metrics.scheduled(&group.name, None, None);
    tracing::warn!(group = %group.name, "the schedule has no further slot");
}

/// Waits until the wall clock says so, but not longer than until the next look at it.
async fn wait(service: &Service, clockwork: &Clockwork, until: Timestamp) {
    let left = Duration::try_from(until.duration_since(service.engine.clock.now().wall)).unwrap_or_default();
    let wait = left.min(LOOK);
    if wait < Duration::from_secs(1) {
        tokio::time::sleep(wait).await;
    } else if let Err(error) = clockwork.wait(wait).await {
        tracing::error!("wait by the scheduler: {error}");
        tokio::time::sleep(wait).await;
    }
}

/// A group's slots in the catalog.
struct Slots<'a> {
    service: &'a Service,
    group: &'a Group,
    schedule: &'a Schedule,
}

impl Slots<'_> {
    async fn catalog_failed(&self, error: &CatalogError) {
        self.service.engine.metrics.catalog_failed();
        tracing::error!(group = %self.group.name, "keep the schedule in the catalog: {error}");
        tokio::time::sleep(CATALOG_RETRY).await;
    }

    /// Ends what a dead process left of slots, and answers with those that passed without a window, oldest first.
    async fn passed_without_daemon(&self, now: Timestamp) -> Result<Vec<Timestamp>, CatalogError> {
        let (catalog, name) = (&self.service.engine.catalog, &self.group.name);
        let mut passed = BTreeSet::new();
        let mut ahead = false;
        for row in catalog.unfinished_slots(name).await? {
            // It may have died after it took the slot and before a window was begun: the slot may still come.
            let planned = row.state != SlotState::Running || catalog.release_slot(name, row.slot).await?;
            if !planned {
                catalog.finish_slot(name, row.slot).await?;
            } else if row.slot <= now {
                passed.insert(row.slot);
            } else {
                ahead = true;
            }
        }
        // A slot is planned when the one before it is decided: if that one is still to come, none passed before it,
        // whatever a schedule that was changed meanwhile says.
        if let (false, Some(last)) = (ahead, catalog.last_slot(name, now).await?) {
            passed.extend(self.schedule.slots.passed(last.slot, now, MOST_MISSED));
        }
        Ok(passed.into_iter().collect())
    }

    async fn plan(&self, slot: Timestamp) {
        let engine = &self.service.engine;
        let (slots, now) = (&self.schedule.slots, engine.clock.now().wall);
        engine.metrics.scheduled(&self.group.name, slots.next_run(now), slots.expected_interval(now));
        if let Err(error) = engine.catalog.plan_slot(&self.group.name, slot).await {
            self.catalog_failed(&error).await;
        }
    }

    async fn settle(&self, passed: Vec<(Timestamp, Fate)>) {
        for (slot, fate) in passed {
            match fate {
                Fate::Missed(reason) => self.miss(slot, &reason).await,
                Fate::Skipped(reason) => self.skip(slot, &reason).await,
                Fate::CaughtUp => {
                    tracing::info!(group = %self.group.name, "slot {slot} passed and is caught up");
                    self.run(slot).await;
                }
            }
        }
    }

    async fn miss(&self, slot: Timestamp, reason: &Reason) {
        match self.service.engine.catalog.miss_slot(&self.group.name, slot, reason).await {
            Ok(true) => {
                tracing::warn!(group = %self.group.name, "slot {slot} was missed: {}", reason.sentence);
                self.service.engine.metrics.window_ended(&self.group.name, &Ended::missed());
            }
            Ok(false) => {}
            Err(error) => self.catalog_failed(&error).await,
        }
    }

    async fn skip(&self, slot: Timestamp, reason: &Reason) {
        match self.service.engine.catalog.skip_slot(&self.group.name, slot, reason).await {
            Ok(true) => tracing::info!(group = %self.group.name, "slot {slot} is skipped: {}", reason.sentence),
            Ok(false) => {}
            Err(error) => self.catalog_failed(&error).await,
        }
    }

    /// One slot: decided in the catalog, so that it runs at most once.
    async fn run(&self, slot: Timestamp) {
        let catalog = &self.service.engine.catalog;
        match catalog.start_slot(&self.group.name, slot).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                self.catalog_failed(&error).await;
                let reason = Reason::new(Code::Catalog, error.to_string());
                return self.miss(slot, &reason).await;
            }
        }
        if !self.attempts(slot).await {
            let reason = Reason::new(Code::Busy, "the group was in another window until the slot was given up");
            return self.miss(slot, &reason).await;
        }
        if let Err(error) = catalog.finish_slot(&self.group.name, slot).await {
            self.catalog_failed(&error).await;
        }
    }

    /// Whether a window was begun at all.
    async fn attempts(&self, slot: Timestamp) -> bool {
        let Self { service, group, schedule } = *self;
        let gives_up = Agenda::gives_up(schedule, slot);
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
            let why = if next > gives_up {
                "its starting deadline passed, or the next slot comes"
            } else if schedule.slots.skip(next).is_some() {
                "a blackout begins"
            } else {
                tokio::time::sleep(delay).await;
                if let Err(error) = service.engine.catalog.count_attempt(&group.name, slot).await {
                    self.catalog_failed(&error).await;
                }
                continue;
            };
            tracing::warn!(group = %group.name, "slot {slot} is given up: {why}");
            return begun;
        }
    }
}
