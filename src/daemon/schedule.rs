//! Slots: when they are, and the clockwork that wakes the daemon for them.

use crate::config::{Schedule, parse_cron};
use chrono::{DateTime, Utc};
use jiff::Timestamp;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// The first slot after an instant; none: the schedule never comes again.
#[must_use]
pub fn next_slot(schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
    let cron = parse_cron(&schedule.cron).ok()?;
    // The parser carries a fraction of a second over into the slot.
    let after = DateTime::<Utc>::from_timestamp(after.as_second(), 0)?.with_timezone(&schedule.time_zone);
    let slot = cron.find_next_occurrence(&after, false).ok()?;
    Timestamp::from_second(slot.timestamp()).ok()
}

/// Whether the schedule has this slot.
#[must_use]
pub fn has_slot(schedule: &Schedule, slot: Timestamp) -> bool {
    next_slot(schedule, slot - Duration::from_secs(1)) == Some(slot)
}

/// The slots after an instant up to and including another, at most `most`.
#[must_use]
pub fn slots_between(schedule: &Schedule, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
    let next = |slot: &Timestamp| next_slot(schedule, *slot);
    std::iter::successors(next_slot(schedule, after), next).take_while(|slot| *slot <= until).take(most).collect()
}

/// The longest time between two of the next slots.
#[must_use]
pub fn expected_interval(schedule: &Schedule, from: Timestamp) -> Option<Duration> {
    let slots: Vec<Timestamp> =
        std::iter::successors(next_slot(schedule, from), |slot| next_slot(schedule, *slot)).take(32).collect();
    slots.windows(2).filter_map(|pair| Duration::try_from(pair[1].duration_since(pair[0])).ok()).max()
}

/// Wakes at instants, by tokio-cron-scheduler's clock.
#[derive(Clone)]
pub struct Clockwork {
    scheduler: JobScheduler,
}

impl Clockwork {
    /// Starts it.
    ///
    /// # Errors
    /// The scheduler's own.
    pub async fn start() -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        scheduler.start().await?;
        Ok(Self { scheduler })
    }

    /// Comes back after `wait`, up to a second late; its clock counts whole seconds.
    ///
    /// # Errors
    /// The scheduler's own; it then does not wait.
    pub async fn wait(&self, wait: Duration) -> Result<(), JobSchedulerError> {
        let (wake, woken) = oneshot::channel();
        let wake = std::sync::Mutex::new(Some(wake));
        let job = Job::new_one_shot_async(wait, move |_, _| {
            let wake = wake.lock().ok().and_then(|mut wake| wake.take());
            Box::pin(async move {
                // Nobody waits any more when the daemon stops.
                let _ = wake.map(|wake| wake.send(()));
            })
        })?;
        self.scheduler.add(job).await?;
        // The sender lives in the job, which the scheduler keeps until it ran.
        let _ = woken.await;
        Ok(())
    }
}
