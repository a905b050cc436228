//! The daemon: schedules, supervision, shutdown, and the socket that the commands speak to.

pub mod agenda;
pub mod attempts;
pub mod changes;
pub mod client;
mod closed;
pub mod control;
mod coverage;
mod current;
mod events;
pub mod followers;
pub mod guard;
mod history;
mod leading;
pub mod reload;
pub mod rescue;
pub mod run;
pub mod schedule;
mod seed;
mod supervise;
mod sweeps;
mod tasks;
mod watch;

use crate::catalog::CatalogError;
use crate::config::Group;
use crate::engine::{Busy, Engine, Handle, Order};
use crate::notify::Notifier;
use crate::tracking::Shared;
use followers::Followers;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// How long a process that ends waits for the last events to be written and sent.
const EVENTS_LIMIT: Duration = Duration::from_secs(5);

/// What the daemon and the commands without a daemon work with. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub engine: Engine,
    pub followers: Followers,
    /// Whom to ask for a reload; nobody without a daemon.
    reloads: Arc<OnceLock<mpsc::Sender<reload::Asked>>>,
    /// Told when a person asked for the daemon's end, and no window is left.
    ending: Arc<Notify>,
    /// Tells webhooks and heartbeats.
    pub notifier: Notifier,
    /// The tasks that tell Kubernetes of windows.
    telling: Arc<Mutex<JoinSet<()>>>,
}

impl Service {
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        let (clock, catalog, metrics) = (engine.clock, engine.catalog.clone(), engine.metrics.clone());
        let notifier = Notifier::new(clock, catalog.clone(), metrics.clone());
        notifier.configure(&engine.config());
        let followers = Followers::new(Shared::new(clock, catalog, metrics, engine.aws.clone()));
        Self { engine, followers, notifier, reloads: Arc::default(), ending: Arc::default(), telling: Arc::default() }
    }

    /// Begins a window of the group, and tells log, metrics and Kubernetes of it.
    ///
    /// # Errors
    /// The group is in a window, or the daemon is stopping.
    pub fn begin(&self, group: &Group, order: Order) -> Result<Handle, Busy> {
        let handle = self.engine.begin(group, order)?;
        self.watch(&group.name, &handle);
        Ok(handle)
    }

    /// Begins to open whatever a dead process left, and tells of it.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn recover(&self) -> Result<Vec<Handle>, CatalogError> {
        let handles = self.engine.recover().await?;
        for handle in &handles {
            let group = handle.status.borrow().plan.as_ref().map(|plan| plan.group.clone());
            if let Some(group) = group {
                self.watch(&group, handle);
            }
        }
        Ok(handles)
    }

    /// Tells log, metrics and Kubernetes of a window that was begun.
    fn watch(&self, group: &str, handle: &Handle) {
        let watched = watch::watch(self.engine.metrics.clone(), group.to_owned(), handle.clone());
        let (service, followers, name) = (self.clone(), self.followers.clone(), group.to_owned());
        tokio::spawn(async move {
            watched.await;
            closed::tell(&service, &name).await;
            followers.wake();
            if !service.engine.config().groups.contains_key(&name) {
                // It left the config meanwhile, and this was the last of it.
                service.engine.metrics.group_gone(&name);
            }
        });
        let mut telling = self.telling();
        while telling.try_join_next().is_some() {}
        telling.spawn(events::tell(self.engine.finder(), group.to_owned(), handle.clone()));
    }

    /// Waits for what is still being told to Kubernetes, webhooks and heartbeats, for a while.
    pub async fn told(&self) {
        let mut telling = std::mem::take(&mut *self.telling());
        let all = async { while telling.join_next().await.is_some() {} };
        // The windows have ended: an event that cannot be written by then is lost, and the log tells why. What is for
        // webhooks stays in the catalog.
        let _ = tokio::time::timeout(EVENTS_LIMIT, async { tokio::join!(all, self.notifier.rested()) }).await;
        self.notifier.stop();
    }

    fn telling(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        // Whole between any two statements under the lock.
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
