//! The engine drives windows on real members: one task a window, at most one window a group.

mod drive;
mod find;
mod force;
mod status;
mod stores;
mod surroundings;
mod sweep;

pub use crate::clock::Clock;
pub use drive::SHOW_EVERY;
pub use find::{Finder, Found};
pub use force::{Unopened, force_open, open_intent, open_listed};
pub use status::Status;
pub use sweep::{Sighting, Swept, sweep};

use crate::aws::Aws;
use crate::catalog::{Catalog, CatalogError, OpenWindow};
use crate::config::{Config, Group};
use crate::domain::{Code, PAUSE_MARGIN, Reason, StoreClock, Trigger};
use crate::kubernetes::Depth;
use crate::leadership::{Intent, Leadership};
use crate::observe::Metrics;
use crate::scalar::AdminClient;
use crate::window::{Input, Plan, State, Window};
use drive::Drive;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stores::Stores;
use surroundings::Surroundings;
use tokio::sync::{mpsc, watch};

/// What is asked for when a window is begun.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    pub trigger: Trigger,
    /// The scheduled instant; the pause waits for it.
    pub slot: Option<Timestamp>,
    /// For a pause by hand: how long it may last.
    pub limit: Option<Duration>,
}

/// A running window, from the outside. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    pub window: String,
    commands: mpsc::Sender<Input>,
    pub status: watch::Receiver<Status>,
}

impl Handle {
    /// Opens everything: at the end of a pause by hand its verdict stands, any other window is void.
    pub fn open(&self, reason: Reason) {
        self.command(Input::Open(reason));
    }

    /// Gives members up, by name or address.
    pub fn command(&self, input: Input) {
        // A full queue means that the same was said sixteen times already.
        let _ = self.commands.try_send(input);
    }

    /// Waits until the verdict is known and every member is done.
    pub async fn concluded(&mut self) -> Status {
        self.wait(Status::concluded).await
    }

    /// Waits until every member is done and the verdict is decided: that it is durable may take for ever.
    pub async fn decided(&mut self) -> Status {
        self.wait(|status| status.concluded() || status.state == Some(State::Concluding)).await
    }

    /// Waits until the verdict is durable.
    pub async fn finished(&mut self) -> Status {
        self.wait(|status| status.finished).await
    }

    /// Waits until every member answered that it is open, or is done.
    pub async fn seen_open(&mut self) -> Status {
        self.wait(|status| status.state.is_some() && status.unopened.is_empty()).await
    }

    async fn wait(&mut self, until: impl Fn(&Status) -> bool) -> Status {
        if let Ok(status) = self.status.wait_for(|status| until(status)).await {
            return status.clone();
        }
        // The task is gone: what it said last stands.
        self.status.borrow().clone()
    }
}

/// Why a window was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    #[error("group {group} is in window {window}")]
    Window { group: String, window: String },
    #[error("the daemon is stopping")]
    Stopping,
}

type Prepared = (Found, Vec<AdminClient>, Surroundings, Vec<StoreClock>);

/// Drives the windows of all groups. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub clock: Clock,
    pub catalog: Catalog,
    pub metrics: Arc<Metrics>,
    pub aws: Aws,
    pub leadership: Leadership,
    /// With the environment as it is now. A window keeps the one that it began with.
    current: Arc<watch::Sender<Finder>>,
    running: Arc<Mutex<Running>>,
}

#[derive(Default)]
struct Running {
    windows: BTreeMap<String, Handle>,
    /// The addresses that each running window may have closed.
    addresses: BTreeMap<String, Vec<String>>,
    stopping: bool,
}

impl Engine {
    #[must_use]
    pub fn new(clock: Clock, catalog: Catalog, metrics: Arc<Metrics>, finder: Finder, leadership: Leadership) -> Self {
        let told = metrics.clone();
        let aws = Aws::telling(Arc::new(move |account, region, operation, outcome| {
            told.aws_called(account, region, operation, outcome);
        }));
        let current = Arc::new(watch::Sender::new(finder));
        Self { clock, catalog, metrics, aws, leadership, current, running: Arc::default() }
    }

    /// The environment as it is now.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.current.borrow().config().clone()
    }

    /// What finds members by the environment as it is now.
    #[must_use]
    pub fn finder(&self) -> Finder {
        self.current.borrow().clone()
    }

    /// Tells of each new environment.
    #[must_use]
    pub fn environments(&self) -> watch::Receiver<Finder> {
        self.current.subscribe()
    }

    /// From here on windows begin with this environment; those that run keep theirs.
    pub fn take_up(&self, config: Arc<Config>) {
        self.current.send_modify(|finder| *finder = finder.with(config));
    }

    /// Begins a window of the group.
    ///
    /// # Errors
    /// The group is in a window, or the daemon is stopping.
    pub fn begin(&self, group: &Group, order: Order) -> Result<Handle, Busy> {
        let plan = self.plan(group, order);
        let (handle, commands, status) = self.reserve(&group.name, plan.window.clone())?;
        let (engine, finder) = (self.clone(), self.finder());
        let group = group.clone();
        tokio::spawn(async move {
            let (window, clients, surroundings) = Box::pin(engine.preflight(&finder, &group, plan)).await;
            engine.drive(&group.name, window, clients, surroundings, commands, status).await;
        });
        Ok(handle)
    }

    fn plan(&self, group: &Group, order: Order) -> Plan {
        let started = self.clock.now().wall;
        let settings = &group.window;
        let mut stages: Vec<u32> = group.clusters.values().map(|cluster| cluster.stage).collect();
        stages.sort_unstable();
        stages.dedup();
        let stages = u32::try_from(stages.len()).unwrap_or(u32::MAX);
        let hold = order.limit.unwrap_or(settings.hold);
        let max_pause = match order.limit {
            Some(limit) => settings.drain * stages + limit + PAUSE_MARGIN,
            None => settings.max_pause,
        };
        let window = format!("{}-{}", group.name, started.strftime("%Y%m%dT%H%M%S.%3fZ"));
        let (group, trigger, slot, drain) = (group.name.clone(), order.trigger, order.slot, settings.drain);
        Plan { window, group, trigger, slot, started, hold, drain, max_pause }
    }

    /// Finds the members, and refuses what cannot be begun.
    async fn preflight(&self, finder: &Finder, group: &Group, plan: Plan) -> (Window, Vec<AdminClient>, Surroundings) {
        // Before the first look at a store: the window watches the daemon's own clock from then on.
        let now = self.clock.now();
        match self.prepare(finder, group).await {
            Ok((found, clients, surroundings, clocks)) => {
                let window = Window::begin(plan, found.evidence(), found.members, clocks, now);
                (window, clients, surroundings)
            }
            Err(reasons) => {
                let surroundings = Surroundings::none(finder.clone(), group);
                (Window::refuse(plan, reasons, self.clock.now()), Vec::new(), surroundings)
            }
        }
    }

    async fn prepare(&self, finder: &Finder, group: &Group) -> Result<Prepared, Vec<Reason>> {
        let one = |reason| vec![reason];
        // First, since it may take minutes: what follows is as fresh as can be when the pause begins.
        let (stores, clocks) = Stores::find(&self.aws, &self.metrics, group).await?;
        let found = finder.find(group, Depth::Workloads).await.map_err(one)?;
        if !found.against.is_empty() {
            return Err(found.against);
        }
        let clients = find::clients(finder, group, &found.members).map_err(one)?;
        self.claim(&group.name, &found.members).map_err(one)?;
        let finder = finder.clone();
        let surroundings = match &found.census {
            Some(census) => Surroundings::begin(finder, self.catalog.identity(), group, census).await.map_err(one)?,
            None => Surroundings::none(finder, group),
        };
        Ok((found, clients, surroundings.with(stores), clocks))
    }

    fn claim(&self, group: &str, members: &[crate::domain::Member]) -> Result<(), Reason> {
        let mut running = self.running();
        for (other, addresses) in running.addresses.iter().filter(|(other, _)| *other != group) {
            if let Some(shared) = members.iter().find(|member| addresses.contains(&member.address)) {
                let sentence = format!("{shared} is in a window of group {other}");
                return Err(Reason::new(Code::Recovering, sentence));
            }
        }
        let mine = members.iter().map(|member| member.address.clone()).collect();
        running.addresses.insert(group.to_owned(), mine);
        Ok(())
    }

    async fn drive(
        &self,
        group: &str,
        window: Window,
        clients: Vec<AdminClient>,
        surroundings: Surroundings,
        commands: mpsc::Receiver<Input>,
        status: watch::Sender<Status>,
    ) {
        let (clock, catalog, metrics) = (self.clock, self.catalog.clone(), self.metrics.clone());
        let leadership = self.leadership.clone();
        Drive { clock, catalog, metrics, leadership, clients, surroundings, commands, status }.run(window).await;
        let mut running = self.running();
        running.windows.remove(group);
        running.addresses.remove(group);
    }

    fn reserve(
        &self,
        group: &str,
        window: String,
    ) -> Result<(Handle, mpsc::Receiver<Input>, watch::Sender<Status>), Busy> {
        let mut running = self.running();
        if running.stopping {
            return Err(Busy::Stopping);
        }
        if let Some(there) = running.windows.get(group) {
            return Err(Busy::Window { group: group.to_owned(), window: there.window.clone() });
        }
        let (commands, receiver) = mpsc::channel(16);
        let (sender, status) = watch::channel(Status::finding());
        let handle = Handle { window, commands, status };
        running.windows.insert(group.to_owned(), handle.clone());
        Ok((handle, receiver, sender))
    }

    /// Begins to open whatever a dead process left, and answers with those windows. It does not wait for them. A
    /// journal that makes no sense is logged, and what it names is opened all the same.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn recover(&self) -> Result<Vec<Handle>, CatalogError> {
        let open = self.catalog.open_windows().await?;
        Ok(open.into_iter().filter_map(|open| self.recover_window(open)).collect())
    }

    fn recover_window(&self, open: OpenWindow) -> Option<Handle> {
        if let Some(damage) = &open.damage {
            tracing::error!(window = %open.window, "{damage}; what it names is opened, its verdict stays open");
            return self.open_without_journal(open);
        }
        let now = self.clock.now();
        let window = match Window::recover(&open.events, now) {
            Ok(window) => window?,
            Err(error) => {
                tracing::error!(window = %open.window, "read its journal: {error}; what it names is opened");
                return self.open_without_journal(open);
            }
        };
        let plan = window.plan().clone();
        tracing::warn!(window = %plan.window, group = %plan.group, "opening what a dead daemon left");
        // Its verdict waits for the next start when another window of its group is being recovered; its members do not.
        let Ok((handle, commands, status)) = self.reserve(&plan.group, plan.window.clone()) else {
            return self.open_without_journal(open);
        };
        let finder = self.finder();
        let clients = find::clients_of_intent(&finder, &plan.group, window.members());
        let addresses = window.members().iter().map(|member| member.address.clone()).collect();
        self.running().addresses.insert(plan.group.clone(), addresses);
        // Shown before its task runs: whoever looks now sees its group and its members.
        status.send_replace(Status::of(&window, window.members().into(), now));
        let (engine, catalog) = (self.clone(), self.catalog.identity().to_owned());
        tokio::spawn(async move {
            let surroundings = Surroundings::recovered(finder, catalog, plan.group.clone());
            engine.drive(&plan.group, window, clients, surroundings, commands, status).await;
        });
        Some(handle)
    }

    /// Opens what a journal names that cannot be continued. Its group waits for it, where the group is free.
    fn open_without_journal(&self, open: OpenWindow) -> Option<Handle> {
        let plan = open.journal().plan.clone()?;
        let members = force::members_of(&open);
        if members.is_empty() {
            return None;
        }
        let reserved = self.reserve(&plan.group, plan.window.clone()).ok();
        let handle = reserved.as_ref().map(|(handle, ..)| handle.clone());
        let (engine, finder) = (self.clone(), self.finder());
        tokio::spawn(async move {
            let left = Unopened::default();
            if let Some((_, _, status)) = &reserved {
                let doubtful = members.iter().map(ToString::to_string).collect();
                status.send_modify(|status| {
                    (status.members, status.doubtful, status.recovered) = (members.into(), doubtful, true);
                });
            }
            open_intent(&finder, &open, &left, |line| tracing::warn!(window = %open.window, "{line}")).await;
            if reserved.is_some() {
                engine.running().windows.remove(&plan.group);
            }
        });
        handle
    }

    /// Opens a window by what stands on the lease, where the catalog has lost it. To be asked before anything else is
    /// begun: a group waits until nothing of its window can land any more, and what the catalog knows is left to recovery.
    pub fn open_inherited(&self, intent: Intent) -> impl Future<Output = Result<(), CatalogError>> + Send + use<> {
        let reserved = self.reserve(&intent.group, intent.window.clone()).ok();
        let engine = self.clone();
        async move {
            let opened = engine.opened_inherited(&intent).await;
            if reserved.is_some() {
                engine.running().windows.remove(&intent.group);
            }
            opened
        }
    }

    async fn opened_inherited(&self, intent: &Intent) -> Result<(), CatalogError> {
        let Intent { window, group, .. } = intent;
        let known = self.catalog.window(window).await?;
        // One that is behind another of its group in the catalog is being opened without its journal; it ends later.
        if known.as_ref().is_none_or(|row| row.verdict.is_none()) {
            if known.is_none() {
                tracing::error!(%window, %group, "it stands on the lease, and the catalog has lost it; it is opened");
            }
            let finder = self.finder();
            open_listed(&finder, intent, &Unopened::default()).await;
        }
        Ok(())
    }

    /// The window that the group is in.
    #[must_use]
    pub fn window_of(&self, group: &str) -> Option<Handle> {
        self.running().windows.get(group).cloned()
    }

    /// All running windows.
    #[must_use]
    pub fn windows(&self) -> Vec<Handle> {
        self.running().windows.values().cloned().collect()
    }

    /// Begins no further window, and opens what has closed nothing yet; comes back when the others came to their own
    /// ends, each of which `max_pause` bounds.
    pub async fn drain(&self) {
        self.running().stopping = true;
        for mut handle in self.windows() {
            let begun = handle.status.borrow().first_pause.is_some();
            if !begun {
                handle.open(Reason::new(Code::Shutdown, "the daemon was told to stop"));
            }
            handle.finished().await;
        }
    }

    /// Begins no further window, and opens everything that is closed. It does not wait for it.
    pub fn stop(&self) -> Vec<Handle> {
        self.running().stopping = true;
        let handles = self.windows();
        for handle in &handles {
            handle.open(Reason::new(Code::Shutdown, "the daemon was told to stop"));
        }
        handles
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        // A panic elsewhere must not keep members closed.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
