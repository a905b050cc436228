//! The clockwork that wakes the daemon for slots.

use std::time::Duration;
use tokio::sync::oneshot;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

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
