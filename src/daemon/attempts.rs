//! What happens at a slot: windows, until one is consistent or the slot is given up.

use super::Service;
use super::agenda::{Agenda, Fate, Left, Turn};
use super::current::Current;
use super::schedule::Clockwork;
use crate::catalog::{CatalogError, SlotState};
use crate::config::{Group, Schedule};
use crate::domain::{Code, Reason, Trigger, Verdict};
use crate::engine::Order;
use crate::observe::metrics::Ended;
use crate::slots::Skip;
use jiff::Timestamp;
use std::time::Duration;

/// How long after a failed query the schedule is tried again.
const CATALOG_RETRY: Duration = Duration::from_secs(5);
/// The clock is looked at this often at least: it may have been set back.
const LOOK: Duration = Duration::from_secs(30);

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
    let mut followed: Option<Agenda> = None;
    let mut planned = None;
    while let Some(group) = its.group() {
        let Some(schedule) = &group.schedule else {
            (followed, planned) = (None, None);
            withdraw(&service, &group.name).await;
            service.engine.metrics.scheduled(&group.name, None, None);
            its.changed(&group).await;
            continue;
        };
        let slots = Slots { service: &service, its: &its, group: &group, schedule };
        let mut agenda = match followed.take().filter(|agenda| agenda.follows(schedule)) {
            Some(agenda) => agenda,
            None => {
                planned = None;
                slots.taken_up(std::mem::take(&mut since_start)).await
            }
        };
        match agenda.turn(service.engine.clock.now()) {
            Turn::Passed(passed) => slots.settle(passed).await,
            Turn::Begin(slot) => slots.run(slot).await,
            Turn::Wait { slot, until } => {
                if planned != Some(slot) {
                    slots.plan(slot).await;
                    planned = Some(slot);
                }
                tokio::select! {
                    () = wait(&service, &clockwork, until) => {}
                    () = its.changed(&group) => {}
                }
            }
            Turn::Over => {
                service.engine.metrics.scheduled(&group.name, None, None);
                tracing::warn!(group = %group.name, "the schedule has no further slot");
                its.changed(&group).await;
            }
        }
        followed = Some(agenda);
    }
    withdraw(&service, its.name()).await;
}

/// Takes back what was planned: no schedule has it any more.
async fn withdraw(service: &Service, group: &str) {
    let engine = &service.engine;
    match engine.catalog.unplan_slots(group, engine.clock.now().wall).await {
        Ok(true) => tracing::info!(%group, "its planned slot is taken back"),
        Ok(false) => {}
        Err(error) => {
            engine.metrics.catalog_failed();
            tracing::error!(%group, "take back its planned slot: {error}");
        }
    }
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
    its: &'a Current,
    group: &'a Group,
    schedule: &'a Schedule,
}

impl Slots<'_> {
    async fn catalog_failed(&self, error: &CatalogError) {
        self.service.engine.metrics.catalog_failed();
        tracing::error!(group = %self.group.name, "keep the schedule in the catalog: {error}");
        if matches!(error, CatalogError::Fenced { .. }) {
            self.service.engine.leadership.resign(error.to_string());
        }
        tokio::time::sleep(CATALOG_RETRY).await;
    }

    /// The agenda of a schedule that is new. `since_start`: what passed while no daemon ran is settled first.
    async fn taken_up(&self, since_start: bool) -> Agenda {
        let now = self.service.engine.clock.now();
        let agenda = Agenda::new(self.schedule.clone(), &self.group.window, now);
        if !since_start {
            return agenda;
        }
        let left = loop {
            match self.left(now.wall).await {
                Ok(left) => break left,
                Err(error) => self.catalog_failed(&error).await,
            }
        };
        let passed = agenda.passed_without_daemon(&left, now.wall);
        let not_running = Reason::new(Code::NotRunning, "no daemon ran at the slot");
        self.settle(agenda.fates(&passed, &not_running, now.wall)).await;
        agenda
    }

    /// Ends what a dead process left of slots, and answers with what is still to be decided.
    async fn left(&self, now: Timestamp) -> Result<Left, CatalogError> {
        let (catalog, name) = (&self.service.engine.catalog, &self.group.name);
        let mut left = Left { schedule: catalog.planned_by(name).await?, ..Left::default() };
        for row in catalog.unfinished_slots(name).await? {
            // It may have died after it took the slot and before a window was begun: the slot may still come.
            if row.state != SlotState::Running || catalog.release_slot(name, row.slot).await? {
                left.planned.push(row.slot);
            } else {
                catalog.finish_slot(name, row.slot).await?;
            }
        }
        left.last = catalog.last_slot(name, now).await?.map(|last| last.slot);
        Ok(left)
    }

    async fn plan(&self, slot: Timestamp) {
        let engine = &self.service.engine;
        let (slots, now) = (&self.schedule.slots, engine.clock.now().wall);
        // The slot before it may have been decided before its time, in its lead.
        let next = slots.next_run(slot - Duration::from_secs(1));
        engine.metrics.scheduled(&self.group.name, next, slots.expected_interval(now));
        if let Err(error) = engine.catalog.plan_slot(&self.group.name, slot, &slots.to_string()).await {
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
        let came = self.attempts(slot).await;
        if came == Came::Busy {
            let reason = Reason::new(Code::Busy, "the group was in another window until the slot was given up");
            return self.miss(slot, &reason).await;
        }
        if came == Came::Withdrawn {
            tracing::info!(group = %self.group.name, "slot {slot} is given up: the config has it no more");
        }
        if let Err(error) = catalog.finish_slot(&self.group.name, slot).await {
            self.catalog_failed(&error).await;
        }
    }

    /// Begins windows, each by the config as it is then.
    async fn attempts(&self, slot: Timestamp) -> Came {
        let service = self.service;
        let mut discarded = 0;
        let mut begun = false;
        loop {
            let Some((group, schedule)) = self.its.with_slot(slot) else {
                return if begun { Came::Begun } else { Came::Withdrawn };
            };
            let order = Order { trigger: Trigger::Schedule, slot: Some(slot), limit: None };
            let delay = match service.begin(&group, order) {
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
            if let Some(why) = given_up_at(&schedule, slot, next) {
                tracing::warn!(group = %group.name, "slot {slot} is given up: {why}");
                return if begun { Came::Begun } else { Came::Busy };
            }
            self.its.wait_for_slot(delay, slot).await;
            if let Err(error) = service.engine.catalog.count_attempt(&group.name, slot).await {
                self.catalog_failed(&error).await;
            }
        }
    }
}

/// Why no further window is begun for a slot then; none: one is.
fn given_up_at(schedule: &Schedule, slot: Timestamp, next: Timestamp) -> Option<&'static str> {
    if next > Agenda::gives_up(schedule, slot) {
        return Some("its starting deadline passed, or the next slot comes");
    }
    schedule.slots.skip(next).map(|skip| match skip {
        Skip::Suspended => "the schedule is suspended",
        Skip::Blackout { .. } => "a blackout begins",
    })
}
