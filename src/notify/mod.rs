//! Tells webhooks and heartbeats what the catalog's outbox holds for them: one task each, so that none waits for another,
//! and no window for any.
//!
//! `event.rs`, `sign.rs` and `backoff.rs` do no IO.

mod backoff;
mod event;
mod send;
mod sign;
mod worker;

pub use event::{CONTENT_TYPE, Happening};

use crate::catalog::{Catalog, Listener};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::Notice;
use crate::observe::Metrics;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use worker::{Target, Worker};

/// How long after a worker died, which is a mistake of ours, another one takes over.
const ANEW: Duration = Duration::from_secs(60);

/// What the workers share. Cheap to clone.
#[derive(Clone)]
pub struct Notifier {
    clock: Clock,
    catalog: Catalog,
    metrics: Arc<Metrics>,
    workers: Arc<Mutex<BTreeMap<String, Running>>>,
}

struct Running {
    target: Target,
    task: AbortHandle,
    /// Up to which of the news it has done what it could do at once.
    rested: watch::Receiver<u64>,
}

impl Notifier {
    #[must_use]
    pub fn new(clock: Clock, catalog: Catalog, metrics: Arc<Metrics>) -> Self {
        Self { clock, catalog, metrics, workers: Arc::default() }
    }

    /// From here on the config's webhooks and heartbeats are told, and no others. Those that are as before go on.
    pub fn configure(&self, config: &Config) {
        let targets = targets(config);
        self.catalog.listen(targets.iter().map(|target| target.listener.clone()).collect());
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |running: &Running| targets.contains(&running.target);
        let gone: Vec<String> = workers.iter().filter(|(_, it)| !same(it)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            if let Some(running) = workers.remove(&name) {
                running.task.abort();
                if !targets.iter().any(|target| target.listener.name == name) {
                    running.target.forget(&self.metrics);
                }
            }
        }
        for target in targets {
            workers.entry(target.listener.name.clone()).or_insert_with(|| self.start(target));
        }
    }

    fn start(&self, target: Target) -> Running {
        target.known(&self.metrics);
        let (sender, rested) = watch::channel(0);
        let task = tokio::spawn(self.clone().keep(target.clone(), Arc::new(sender)));
        Running { target, task: task.abort_handle(), rested }
    }

    async fn keep(self, target: Target, rested: Arc<watch::Sender<u64>>) {
        loop {
            let (catalog, metrics) = (self.catalog.clone(), self.metrics.clone());
            let worker = Worker::new(target.clone(), self.clock, catalog, metrics, rested.clone());
            // It ends with this task.
            let mut one = JoinSet::new();
            one.spawn(worker.run());
            if let Some(Err(error)) = one.join_next().await {
                tracing::error!("what tells {} died: {error}", target.listener.name);
            }
            tokio::time::sleep(ANEW).await;
        }
    }

    /// Waits until each has been told what there is, or does not take it now.
    pub async fn rested(&self) {
        let now = *self.catalog.news().borrow();
        let workers: Vec<watch::Receiver<u64>> = {
            let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
            workers.values().map(|running| running.rested.clone()).collect()
        };
        for mut rested in workers {
            // One that ended has nothing more to tell.
            let _ = rested.wait_for(|seen| *seen >= now).await;
        }
    }

    /// Tells nobody any more. What is not told yet stays in the catalog.
    pub fn stop(&self) {
        for running in std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner)).values() {
            running.task.abort();
        }
    }
}

fn targets(config: &Config) -> Vec<Target> {
    let webhooks = config.webhooks.values().map(|webhook| Target {
        listener: Listener {
            name: webhook.name.clone(),
            groups: webhook.groups.clone(),
            notices: webhook.types.clone(),
        },
        way: worker::Way::Webhook(webhook.clone()),
    });
    let heartbeats = config.groups.values().filter_map(|group| {
        let url = group.heartbeat.clone()?;
        let listener = Listener {
            // No webhook has such a name.
            name: format!("heartbeat/{}", group.name),
            groups: Some(BTreeSet::from([group.name.clone()])),
            notices: BTreeSet::from([Notice::WindowConsistent]),
        };
        Some(Target { listener, way: worker::Way::Heartbeat { group: group.name.clone(), url } })
    });
    webhooks.chain(heartbeats).collect()
}
