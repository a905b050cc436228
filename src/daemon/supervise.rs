//! Starts the tasks that the config asks for, ends those that it no longer asks for, and follows each new config.
//!
//! It compares what runs with what is wanted whenever either changes, and waits for nothing: a task that must end is
//! told so, and what takes its place starts when it has ended. So no two of a name ever run.

use super::current::Current;
use super::schedule::Clockwork;
use super::seed::seed_group;
use super::tasks::{Task, Terms, difference, wanted};
use super::{Service, attempts, coverage, history, sweeps};
use crate::catalog::CatalogError;
use crate::config::{Config, Group};
use futures_util::future::{BoxFuture, FutureExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long after the catalog failed it is asked again.
const CATALOG_AGAIN: Duration = Duration::from_secs(5);

/// The tasks beside the windows.
pub(super) struct Supervisor {
    service: Service,
    clockwork: Clockwork,
    /// Each answers with its name.
    tasks: JoinSet<Task>,
    running: BTreeMap<Task, Terms>,
    stops: BTreeMap<Task, CancellationToken>,
    /// The groups whose metrics are there, as they were then.
    seeded: BTreeMap<String, Group>,
    /// Whether the first tasks were started.
    begun: bool,
}

impl Supervisor {
    /// `seeded`: the config whose metrics are there already.
    pub fn new(service: Service, clockwork: Clockwork, seeded: &Config) -> Self {
        Self {
            service,
            clockwork,
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            stops: BTreeMap::new(),
            seeded: seeded.groups.clone(),
            begun: false,
        }
    }

    /// Runs until a task dies, and answers with its end. `ready` is called when the first tasks run.
    pub async fn run(mut self, ready: impl FnOnce(&Config)) -> JoinError {
        let mut environments = self.service.engine.environments();
        // So is the first one.
        environments.mark_changed();
        let mut ready = Some(ready);
        loop {
            let (is_new, config) = {
                let finder = environments.borrow_and_update();
                (finder.has_changed(), finder.config().clone())
            };
            if is_new {
                self.forget_receivers(&config).await;
            }
            let failed = match self.reconcile(&config).await {
                Ok(()) => false,
                Err(error) => {
                    self.service.engine.metrics.catalog_failed();
                    tracing::error!("read the catalog: {error}");
                    true
                }
            };
            if let Some(ready) = ready.take_if(|_| !failed) {
                ready(&config);
            }
            tokio::select! {
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(task) => self.ended(&task),
                    Err(error) => return error,
                },
                Ok(()) = environments.changed() => {}
                () = tokio::time::sleep(CATALOG_AGAIN), if failed => {}
            }
        }
    }

    /// Tells the config's receivers and no others. What waits for the others is struck; where that fails, tasks run all
    /// the same, and the next config strikes it.
    async fn forget_receivers(&self, config: &Config) {
        self.service.notifier.configure(config);
        match self.service.engine.catalog.forget_others().await {
            Ok(names) if names.is_empty() => {}
            Ok(names) => tracing::warn!("what waited for {} is not told: they left the config", names.join(", ")),
            Err(error) => tracing::warn!("strike what nobody listens for: {error}"),
        }
    }

    /// Tells what must end to end, and starts what may start.
    async fn reconcile(&mut self, config: &Arc<Config>) -> Result<(), CatalogError> {
        self.service.followers.limit(config);
        let wanted = wanted(config);
        for task in difference(&self.running, &wanted).0 {
            if let Some(stop) = self.stops.get(task) {
                stop.cancel();
            }
        }
        let start: Vec<(Task, Terms)> = {
            let (_, start) = difference(&self.running, &wanted);
            start.into_iter().map(|(task, terms)| (task.clone(), terms.clone())).collect()
        };
        if start.iter().any(|(task, _)| matches!(task, Task::Follower(..))) {
            // A follower that was stopped may have left a step that is just being written.
            self.service.engine.catalog.settled().await?;
        }
        for (name, group) in &config.groups {
            let before = self.seeded.get(name);
            if before != Some(group) {
                seed_group(&self.service, group, before).await?;
                self.seeded.insert(name.clone(), group.clone());
            }
        }
        for (task, terms) in start {
            self.start(config, task, terms);
        }
        self.begun = true;
        Ok(())
    }

    fn start(&mut self, config: &Config, task: Task, terms: Terms) {
        let stop = CancellationToken::new();
        let Some(work) = self.work(config, &task, &terms, stop.clone()) else { return };
        let name = task.clone();
        self.tasks.spawn(async move {
            work.await;
            name
        });
        self.stops.insert(task.clone(), stop);
        self.running.insert(task, terms);
    }

    /// None: the terms are another task's.
    fn work(
        &self,
        config: &Config,
        task: &Task,
        terms: &Terms,
        stop: CancellationToken,
    ) -> Option<BoxFuture<'static, ()>> {
        let service = self.service.clone();
        Some(match (task, terms) {
            (Task::Slots(name), Terms::Slots) => {
                let its = Current::new(&service.engine, name);
                attempts::follow(service, self.clockwork.clone(), its, !self.begun).boxed()
            }
            (Task::Sweep(_), Terms::Sweep { group, every }) => {
                until(stop, sweeps::sweep_for_ever(service, group.clone(), *every).boxed())
            }
            (Task::Follower(group, _), Terms::Follower { store, .. }) => {
                let group = Arc::new(config.groups.get(group)?.clone());
                service.followers.follower(&group, store).run(stop).boxed()
            }
            (Task::Coverage, Terms::Coverage { every }) => {
                until(stop, coverage::look_for_ever(service, *every).boxed())
            }
            (Task::History, Terms::History { kept }) => until(stop, history::prune_for_ever(service, *kept).boxed()),
            _ => return None,
        })
    }

    /// A task has ended: the series of what left the config go with the last one.
    fn ended(&mut self, task: &Task) {
        self.running.remove(task);
        self.stops.remove(task);
        let engine = &self.service.engine;
        let Some(name) = task.group() else {
            if *task == Task::Coverage && engine.config().daemon.coverage_interval.is_none() {
                engine.metrics.unlisted_gone();
            }
            return;
        };
        let config = engine.config();
        let group = config.groups.get(name);
        if let Task::Follower(_, store) = task
            && group.is_none_or(|group| !group.stores.contains_key(store))
        {
            tracing::info!(group = %name, %store, "its restore points are followed no more; they stay as they are");
        }
        match (group, task) {
            (Some(group), Task::Follower(_, store)) if !group.stores.contains_key(store) => {
                engine.metrics.store_gone(name, store);
            }
            (Some(_), _) => {}
            (None, _) => {
                self.seeded.remove(name);
                // A window that goes on takes them with it when it ends.
                let alone = !self.running.keys().any(|other| other.group() == Some(name));
                if alone && engine.window_of(name).is_none() {
                    engine.metrics.group_gone(name);
                }
            }
        }
    }
}

/// Works until it is told to stop, at whatever it is then: it only looks.
fn until(stop: CancellationToken, work: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    async move {
        stop.run_until_cancelled(work).await;
    }
    .boxed()
}
