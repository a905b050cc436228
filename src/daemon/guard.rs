//! `stillpoint guard`: opens what a dead leader left closed, by what stands on its Lease alone. It has neither catalog nor
//! volume, so it is there at once where a daemon would wait for both; it runs no window.

use super::leading::holder;
use super::reload::Source;
use super::run::{BEAT_LIMIT, Ending, Signals, beat};
use crate::clock::{self, Clock};
use crate::config::{Config, LeaseAt, Loaded};
use crate::engine::{Finder, Unopened, open_listed};
use crate::http::{self, Pages};
use crate::kubernetes::{Claim, LeaderLease};
use crate::leadership::{Intent, Leadership, Record, Terms};
use crate::observe::Metrics;
use crate::observe::health::{CATALOG, Health, RECOVERY, SCHEDULES};
use crate::window::{GRACE, MARGIN};
use anyhow::Context;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing_appender::non_blocking::ErrorCounter;

/// What must be met for it to be ready: the Lease can be looked at.
const LEASE: &str = "lease";
/// How often it shows what it sees and what is left to open.
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// How long reading the config again may take before the last one is good enough: a disk may hang.
const READ_DEADLINE: Duration = Duration::from_secs(1);
/// How much longer than a dead leader's pause may land it goes on with members that do not open, before a daemon that may
/// have come back gets the Lease: it alone knows whom a person gave up, and which groups need not wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// In so many looks a daemon that stands by finds the Lease free.
const LOOKS: u32 = 3;

/// The config has no Lease on which open windows stand.
#[derive(Debug, thiserror::Error)]
#[error("a guard needs daemon.leadership.kubernetes in the config: the Lease on which open windows stand")]
pub struct NoLease;

struct Guard {
    clock: Clock,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    config: Arc<Config>,
    source: Source,
    lease: LeaseAt,
    terms: Terms,
    /// The groups whose members it tells of.
    doubtful: Vec<String>,
}

/// Waits until somebody else is seen to lead; an API server that is away ends no opening.
async fn relieved(leadership: &Leadership) {
    leadership.lost().await;
    if leadership.trouble().is_some() {
        std::future::pending::<()>().await;
    }
}

/// Watches the Lease until a signal; what is being opened then is opened first, unless a second one comes.
///
/// # Errors
/// [`NoLease`]; or the address of the pages cannot be had.
pub async fn run(loaded: Loaded, source: Source, dropped: ErrorCounter) -> anyhow::Result<Ending> {
    let mut signals = Signals::catch().context("catch signals")?;
    let leadership = loaded.config.daemon.leadership.clone().ok_or(NoLease)?;
    let (lease, terms) = (leadership.lease.ok_or(NoLease)?, leadership.terms);
    let clock = Clock::start();
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), clock.now().wall).context("make the metrics")?;
    let health = Arc::new(Health::new(clock::instant(), BEAT_LIMIT));
    // It has none of these.
    for condition in [RECOVERY, CATALOG, SCHEDULES] {
        health.forget(condition);
    }
    health.unready(LEASE, "not looked at yet");
    let (metrics, config, doubtful) = (Arc::new(metrics), Arc::new(loaded.config), Vec::new());
    let mut guard = Guard { clock, metrics, health, config, source, lease, terms, doubtful };
    guard.metrics.role("guard");
    let mut tasks = JoinSet::new();
    guard.serve(dropped, &mut tasks).await?;
    tracing::info!("guarding the windows on the Lease {}", guard.lease.name);
    loop {
        let leadership = guard.campaign()?;
        tokio::select! {
            () = leadership.won() => {}
            () = guard.show(&leadership) => {}
            () = signals.next() => {
                leadership.release().await;
                return Ok(Ending::Open);
            }
        }
        let opened = guard.open(&leadership, &mut signals).await?;
        // What was struck is written with it.
        leadership.release().await;
        match opened {
            Opened::All => {}
            Opened::NotYet => tokio::time::sleep(guard.terms.retry * LOOKS).await,
            Opened::End(ending) => return Ok(ending),
        }
    }
}

/// How far an opening came.
enum Opened {
    All,
    /// It is taken up again unless somebody else leads by then.
    NotYet,
    /// It was told to end.
    End(Ending),
}

impl Guard {
    async fn serve(&self, dropped: ErrorCounter, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
        tasks.spawn(beat(self.health.clone()));
        let Some(address) = self.config.daemon.http else { return Ok(()) };
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
        tracing::info!("metrics and health at http://{}", listener.local_addr().context("read the address")?);
        let pages = Pages { metrics: self.metrics.clone(), health: self.health.clone(), dropped_lines: Some(dropped) };
        tasks.spawn(http::serve(listener, pages, std::future::pending()));
        Ok(())
    }

    /// Looks at the Lease from now on, and takes it when its holder is gone over open windows.
    fn campaign(&self) -> anyhow::Result<Leadership> {
        let finder = Finder::new(self.config.clone())?;
        let LeaseAt { namespace, name } = self.lease.clone();
        let holder = format!("guard-{}", holder());
        let lease = LeaderLease::new(finder.kubernetes().clone(), namespace, name, holder, self.terms, Claim::Guard);
        Ok(Leadership::campaign(Record::Lease(lease), self.terms, self.clock))
    }

    /// Shows for ever how it stands.
    async fn show(&mut self, leadership: &Leadership) {
        let since = self.clock.now().mono;
        loop {
            if self.clock.now().mono > since + self.terms.lasts {
                // Somebody else has what it left.
                self.forget();
            }
            match leadership.trouble() {
                Some(why) => self.health.unready(LEASE, why),
                None => self.health.ready(LEASE),
            }
            tokio::time::sleep(SHOW_EVERY).await;
        }
    }

    /// Opens what stands on the Lease and strikes it, as long as nobody else leads.
    async fn open(&mut self, leadership: &Leadership, signals: &mut Signals) -> anyhow::Result<Opened> {
        self.read_config().await;
        let finder = Finder::new(self.config.clone())?;
        let windows: Vec<(Intent, Unopened)> =
            leadership.inherited().0.into_values().map(|intent| (intent, Unopened::default())).collect();
        let opening = join_all(windows.iter().map(|(intent, left)| {
            tracing::error!(
                window = %intent.window, group = %intent.group,
                "its daemon is gone, and no other leads: {} members are opened", intent.members.len()
            );
            let finder = &finder;
            async move {
                open_listed(finder, intent, left).await;
                leadership.strike(&intent.window);
                tracing::info!(window = %intent.window, group = %intent.group, "all of its members are open");
            }
        }));
        let closed = || windows.iter().flat_map(|(_, left)| left.names()).collect::<Vec<_>>();
        let doubt = windows.iter().map(|(intent, _)| intent.drain() + MARGIN + GRACE).max().unwrap_or_default();
        let mut opening = std::pin::pin!(opening);
        let (mut relieved, mut patience) =
            (std::pin::pin!(relieved(leadership)), std::pin::pin!(tokio::time::sleep(doubt + PATIENCE)));
        let mut told = false;
        let opened = loop {
            tokio::select! {
                _ = &mut opening => break if told { Opened::End(Ending::Open) } else { Opened::All },
                () = self.tell(&windows) => {}
                () = &mut relieved => break Opened::NotYet,
                () = &mut patience, if !told => {
                    tracing::error!("does not open yet: {}; if a daemon is there, it goes on", closed().join(", "));
                    break Opened::NotYet;
                }
                () = signals.next() => {
                    if told {
                        break Opened::End(Ending::StillClosed(closed()));
                    }
                    told = true;
                    tracing::info!("told to end: it goes on until all is open");
                }
            }
        };
        self.doubtful = windows.iter().map(|(intent, _)| intent.group.clone()).collect();
        if matches!(opened, Opened::All) {
            self.forget();
        }
        Ok(opened)
    }

    /// Nothing is left to it.
    fn forget(&mut self) {
        for group in std::mem::take(&mut self.doubtful) {
            self.metrics.group_gone(&group);
        }
    }

    /// Tells for ever how many members are left, for StillpointReleaseOutstanding.
    async fn tell(&self, windows: &[(Intent, Unopened)]) {
        loop {
            for (intent, left) in windows {
                self.metrics.members_doubtful(&intent.group, left.names().len());
            }
            tokio::time::sleep(SHOW_EVERY).await;
        }
    }

    /// The clusters and their TLS files as they are now; what cannot be read leaves what was read last.
    async fn read_config(&mut self) {
        let read = self.source.read.clone();
        match tokio::time::timeout(READ_DEADLINE, tokio::task::spawn_blocking(move || read())).await {
            Ok(Ok(Ok(loaded))) => self.config = Arc::new(loaded.config),
            Ok(Ok(Err(faults))) => tracing::error!("the config is refused, and the last one is used: {faults}"),
            Ok(Err(error)) => tracing::error!("read the config: {error}; the last one is used"),
            Err(_) => tracing::error!("the config cannot be read within {READ_DEADLINE:?}; the last one is used"),
        }
    }
}
