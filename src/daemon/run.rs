//! `stillpoint run`: recovery first, the integrity check after it, schedules last; and the end.

use super::reload::{Reloads, Source};
use super::rescue::{StillClosed, rescue};
use super::schedule::Clockwork;
use super::seed::seed;
use super::supervise::Supervisor;
use super::{Service, closed, control, leading};
use crate::catalog::{Catalog, CatalogError, OpenError};
use crate::clock::{self, Clock};
use crate::config::{CatalogPlace, Config, Loaded};
use crate::engine::{Engine, Finder, Handle, SHOW_EVERY};
use crate::http::{self, Pages};
use crate::leadership::Leadership;
use crate::observe::health::{CATALOG, Health, RECOVERY, SCHEDULES};
use crate::observe::metrics::Metrics;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tracing_appender::non_blocking::ErrorCounter;

/// How long a start waits for what a dead daemon left to open, before schedules begin all the same.
const RECOVERY_WAIT: Duration = Duration::from_secs(10);
/// How long the catalog may take to open before what it names is opened beside that.
const OPEN_PATIENCE: Duration = Duration::from_secs(3);
/// How long schedules wait for the check of the catalog's file, which reads all of it; a large one goes on beside them.
const CHECK_PATIENCE: Duration = Duration::from_millis(500);
/// The daemon's loop comes round this often.
const BEAT: Duration = Duration::from_secs(1);
/// How often the catalog's size is looked at.
const WEIGH_EVERY: Duration = Duration::from_secs(30);
pub(super) const BEAT_LIMIT: Duration = Duration::from_secs(10);

/// The check of the catalog's file, under way.
type Check = tokio::task::JoinHandle<Result<(), CatalogError>>;

/// How the daemon ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Everything is open.
    Open,
    /// Told twice to stop: these may still be closed.
    StillClosed(Vec<String>),
}

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// The system refuses handlers.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A process before it has a catalog.
pub struct Candidate {
    clock: Clock,
    metrics: Arc<Metrics>,
    finder: Finder,
    /// In the election of the leader, where there may be other replicas.
    pub leadership: Leadership,
}

impl Candidate {
    /// Begins to campaign, where the config speaks of other replicas. Needs a tokio runtime.
    ///
    /// # Errors
    /// The metrics or the resolver cannot be made.
    pub fn new(config: Arc<Config>) -> anyhow::Result<Self> {
        let (finder, clock) = (Finder::new(config)?, Clock::start());
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), clock.now().wall).context("make the metrics")?;
        let leadership = leading::campaign(&finder, clock);
        Ok(Self { clock, metrics: Arc::new(metrics), finder, leadership })
    }

    /// Whether it may touch the catalog only as the leader; one in a file no other process can have.
    #[must_use]
    pub fn leads_first(&self) -> bool {
        matches!(self.finder.config().daemon.catalog, CatalogPlace::Postgres(_))
    }

    /// Makes a service on the catalog, which it takes for this process. When it cannot be taken, what its intents name is
    /// opened before the error is told.
    ///
    /// # Errors
    /// The catalog cannot be taken; [`StillClosed`] when a signal came first.
    pub async fn service(&self, signals: &mut Signals) -> anyhow::Result<Service> {
        let Self { clock, metrics, finder, leadership } = self;
        let catalog = match self.open(signals).await? {
            Ok(catalog) => catalog,
            Err(OpenError::InUse { path, pid }) => return Err(OpenError::InUse { path, pid }.into()),
            Err(error) => {
                let rescued = rescue(finder, leadership, signals).await;
                // Another replica may have better luck.
                leadership.release().await;
                let error = anyhow::Error::from(error);
                return Err(match rescued {
                    Ok(()) => error,
                    Err(closed) => anyhow::Error::from(closed).context(format!("{error:#}")),
                });
            }
        };
        Ok(Service::new(Engine::new(*clock, catalog, metrics.clone(), finder.clone(), leadership.clone())))
    }

    /// Takes the catalog. While a disk hangs over that, what its intents name is opened beside it.
    async fn open(&self, signals: &mut Signals) -> Result<Result<Catalog, OpenError>, StillClosed> {
        let mut opening = std::pin::pin!(Catalog::open(&self.finder.config().daemon.catalog));
        if let Ok(opened) = tokio::time::timeout(OPEN_PATIENCE, &mut opening).await {
            return Ok(opened);
        }
        tracing::error!("the catalog takes long to open");
        tokio::select! {
            opened = &mut opening => return Ok(opened),
            rescued = rescue(&self.finder, &self.leadership, signals) => rescued?,
        }
        Ok(opening.await)
    }
}

/// Waits until this process leads, for as long as that takes where nobody else does.
///
/// # Errors
/// Somebody else leads, or the lease cannot be had.
pub async fn lead(config: &Config, leadership: &Leadership) -> anyhow::Result<()> {
    let Some(terms) = config.daemon.leadership.as_ref().map(|leadership| leadership.terms) else { return Ok(()) };
    let patience = terms.lasts + terms.retry * 2 + terms.deadline();
    let late = |_| anyhow::anyhow!("{}, and there must be one only", leadership.others());
    tokio::time::timeout(patience, leadership.won()).await.map_err(late)
}

/// Runs until a signal, then until everything is open. `loaded` was read from `source`, which is read again when the
/// config changes.
///
/// # Errors
/// Something it needs cannot be had: the catalog, an address, the socket. What a dead daemon left closed is open then.
pub async fn run(loaded: Loaded, source: Source, dropped: ErrorCounter) -> anyhow::Result<Ending> {
    let mut signals = Signals::catch().context("catch signals")?;
    let hangup = signal(SignalKind::hangup()).context("catch signals")?;
    let health = Arc::new(Health::new(clock::instant(), BEAT_LIMIT));
    let mut tasks = JoinSet::new();
    let candidate = Candidate::new(Arc::new(loaded.config))?;
    let mut served = None;
    if candidate.leads_first() {
        served = Some(serve(&candidate, &health, dropped.clone(), &mut tasks).await);
        tokio::select! {
            () = candidate.leadership.won() => {}
            () = signals.next() => {
                candidate.leadership.release().await;
                return Ok(Ending::Open);
            }
        }
    }
    let service = tokio::select! {
        service = candidate.service(&mut signals) => service?,
        // One that was stopped over it would take the catalog from whoever leads by now.
        why = candidate.leadership.lost(), if candidate.leads_first() => return Err(no_more(&why)),
    };
    let reloads = Reloads::new(service.engine.clone(), source, loaded.fingerprint);
    let (ask, asked) = Reloads::line();
    // Nobody else sets it.
    let _ = service.reloads.set(ask);
    // What a dead daemon left closed opens before anything else is looked at.
    let recovered = service.recover().await?;
    // From the first scrape on, counters say what the catalog says.
    let seeded = seed(&service, &service.engine.config()).await;
    let served = match served {
        Some(served) => served,
        None => serve(&candidate, &health, dropped, &mut tasks).await,
    };
    let problem = match served.and_then(|()| listen(&service, &mut tasks)) {
        Err(error) => Some(error),
        Ok(()) => {
            tasks.spawn(weigh(service.clone()));
            tasks.spawn(closed::tell_for_ever(service.clone()));
            let (begun, health) = (service.clone(), health.clone());
            let work = tasks.spawn(async move {
                let catalog = begun.engine.catalog.clone();
                let mut check = Some(tokio::spawn(async move { catalog.integrity_check().await }));
                let supervisor = begin(&begun, &health, recovered, seeded, &mut check).await;
                tokio::select! {
                    () = supervise(&begun, supervisor, &mut check, &health) => {}
                    () = reloads.run(hangup, asked) => {}
                }
            });
            tokio::select! {
                () = signals.next() => None,
                () = service.ending.notified() => None,
                why = service.engine.leadership.lost() => {
                    // Whoever leads now does it all: two must not do it.
                    work.abort();
                    Some(no_more(&why))
                }
                Some(ended) = tasks.join_next() => Some(died(ended)),
            }
        }
    };
    tracing::info!("stopping: everything that is closed opens");
    let ending = stop(&service, &mut signals).await;
    tasks.shutdown().await;
    // Whoever comes next replaces a socket that stays.
    let _ = std::fs::remove_file(&service.engine.config().daemon.socket);
    if service.engine.catalog.close().await.is_err() {
        tracing::error!("close the catalog: its disk or its server hangs");
    }
    // Whoever stands by need not wait until it runs out.
    service.engine.leadership.release().await;
    match (problem, ending) {
        (None, ending) => Ok(ending),
        (Some(error), Ending::Open) => Err(error),
        (Some(error), Ending::StillClosed(names)) => {
            Err(anyhow::Error::from(StillClosed(names)).context(format!("{error:#}")))
        }
    }
}

/// Binds the pages' address, and serves them.
async fn serve(
    candidate: &Candidate,
    health: &Arc<Health>,
    dropped: ErrorCounter,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let (metrics, leadership) = (candidate.metrics.clone(), candidate.leadership.clone());
    tasks.spawn(leading::show(leadership, metrics.clone(), health.clone(), candidate.clock));
    if let Some(address) = candidate.finder.config().daemon.http {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
        tracing::info!("metrics and health at http://{}", listener.local_addr().context("read the address")?);
        let pages = Pages { metrics, health: health.clone(), dropped_lines: Some(dropped) };
        tasks.spawn(http::serve(listener, pages, std::future::pending()));
        tasks.spawn(beat(health.clone()));
    }
    Ok(())
}

/// Binds the socket, and listens to commands.
fn listen(service: &Service, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
    let socket = &service.engine.config().daemon.socket;
    let listener = control::bind(socket).with_context(|| format!("listen at {}", socket.display()))?;
    tasks.spawn(control::serve(service.clone(), listener));
    Ok(())
}

fn no_more(why: &str) -> anyhow::Error {
    anyhow::anyhow!("this daemon leads no more: {why}")
}

/// A task that must never end did: the process ends in order, and its supervisor starts it anew.
fn died(ended: Result<(), tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(()) => anyhow::anyhow!("a part of the daemon ended by itself"),
        Err(error) => anyhow::anyhow!("a part of the daemon died: {error}"),
    }
}

/// The rest of a start: integrity and metrics. Answers with what follows the config from then on.
async fn begin(
    service: &Service,
    health: &Health,
    recovered: Vec<Handle>,
    mut seeded: Result<(), CatalogError>,
    check: &mut Option<Check>,
) -> Option<Supervisor> {
    let opened = async {
        for mut handle in recovered {
            handle.seen_open().await;
        }
    };
    if tokio::time::timeout(RECOVERY_WAIT, opened).await.is_err() {
        tracing::error!("what a dead daemon left closed does not open yet; its groups wait, the others go on");
    }
    health.ready(RECOVERY);
    if let Ok(Some(error)) = tokio::time::timeout(CHECK_PATIENCE, damage(check)).await {
        damaged(service, health, &error);
        return None;
    }
    service.engine.leadership.won().await;
    leading::settle(service);
    let config = service.engine.config();
    while let Err(error) = &seeded {
        health.unready(CATALOG, error.to_string());
        tracing::error!("read the catalog: {error}");
        tokio::time::sleep(Duration::from_secs(5)).await;
        seeded = seed(service, &config).await;
    }
    health.ready(CATALOG);
    tokio::spawn(tidy(service.clone()));
    match Clockwork::start().await {
        Ok(clockwork) => Some(Supervisor::new(service.clone(), clockwork, &config)),
        Err(error) => {
            tracing::error!("start the schedules: {error}");
            None
        }
    }
}

/// Strikes what windows left in the catalog that a daemon died over.
async fn tidy(service: Service) {
    if let Err(error) = service.engine.catalog.drop_stray_captures().await {
        tracing::warn!("delete what windows left that a daemon died over: {error}");
    }
}

/// What the check of the catalog's file found; none: nothing. Once that is known it waits for ever.
async fn damage(check: &mut Option<Check>) -> Option<String> {
    let Some(checking) = check else { return std::future::pending().await };
    let checked = checking.await;
    *check = None;
    match checked {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// Nothing runs on a catalog that is damaged, but the process stays: to be asked, and to open what is closed.
fn damaged(service: &Service, health: &Health, error: &str) {
    service.engine.metrics.catalog_failed();
    health.unready(CATALOG, error.to_owned());
    tracing::error!("check the catalog: {error}; no schedule runs");
}

/// Supervises what the config asks for, for ever; comes back when a part of it died.
async fn supervise(service: &Service, supervisor: Option<Supervisor>, check: &mut Option<Check>, health: &Health) {
    let Some(supervisor) = supervisor else { return std::future::pending().await };
    let ready = |config: &Config| {
        health.ready(SCHEDULES);
        tracing::info!("ready: {} groups", config.groups.len());
    };
    let mut running = Box::pin(supervisor.run(ready));
    let damage = loop {
        tokio::select! {
            error = &mut running => {
                health.unready(SCHEDULES, error.to_string());
                tracing::error!("a group's task died: {error}");
                return;
            }
            found = damage(check) => if let Some(damage) = found {
                break damage;
            }
        }
    };
    // Its tasks end with it.
    drop(running);
    damaged(service, health, &damage);
    std::future::pending::<()>().await;
}

pub(super) async fn beat(health: Arc<Health>) {
    let mut interval = tokio::time::interval(BEAT);
    loop {
        interval.tick().await;
        health.beat(clock::instant());
    }
}

async fn weigh(service: Service) {
    let mut interval = tokio::time::interval(WEIGH_EVERY);
    loop {
        interval.tick().await;
        if let Ok(bytes) = service.engine.catalog.size_bytes().await {
            service.engine.metrics.catalog_size(bytes);
        }
    }
}

/// Opens everything. A second signal ends the wait.
pub async fn stop(service: &Service, signals: &mut Signals) -> Ending {
    let handles = service.engine.stop();
    let concluded = async {
        for handle in &handles {
            let mut handle = handle.clone();
            handle.decided().await;
            // The verdict may wait for a disk that never comes back; the intent says enough to the next start.
            let _ = tokio::time::timeout(Duration::from_secs(3), handle.finished()).await;
        }
    };
    tokio::select! {
        () = concluded => {
            service.told().await;
            Ending::Open
        }
        () = signals.next() => {
            // What the windows show is this old at most.
            tokio::time::sleep(SHOW_EVERY).await;
            let closed = handles.iter().flat_map(|handle| handle.status.borrow().doubtful.clone()).collect::<Vec<_>>();
            if closed.is_empty() { Ending::Open } else { Ending::StillClosed(closed) }
        }
    }
}
