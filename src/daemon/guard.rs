//! `stillpoint guard`: opens what a dead leader left closed, by what stands on its Lease alone. It has neither catalog nor
//! volume, so it is there at once where a daemon would wait for both; it runs no window.

use super::leading::{holder, open};
use super::reload::Source;
use super::run::{BEAT_LIMIT, Ending, Signals, beat};
use crate::clock::{self, Clock};
use crate::config::{Config, LeaseAt, Loaded};
use crate::engine::{Finder, Unopened};
use crate::http::{self, Pages};
use crate::kubernetes::{Claim, LeaderLease};
use crate::leadership::{Intent, Leadership, Record, Terms};
use crate::observe::Metrics;
use crate::observe::health::{CATALOG, Health, RECOVERY, SCHEDULES};
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
    let mut guard =
        Guard { clock, metrics: Arc::new(metrics), health, config: Arc::new(loaded.config), source, lease, terms };
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
        let ending = guard.open(&leadership, &mut signals).await?;
        // What was struck is written with it.
        leadership.release().await;
        if let Some(ending) = ending {
            return Ok(ending);
        }
    }
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
    async fn show(&self, leadership: &Leadership) {
        loop {
            match leadership.trouble() {
                Some(why) => self.health.unready(LEASE, why),
                None => self.health.ready(LEASE),
            }
            tokio::time::sleep(SHOW_EVERY).await;
        }
    }

    /// Opens what stands on the Lease and strikes it. Some: it was told to end.
    async fn open(&mut self, leadership: &Leadership, signals: &mut Signals) -> anyhow::Result<Option<Ending>> {
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
                open(finder, intent, left).await;
                leadership.strike(&intent.window);
                tracing::info!(window = %intent.window, group = %intent.group, "all of its members are open");
            }
        }));
        let mut opening = std::pin::pin!(opening);
        let mut told = false;
        let ending = loop {
            tokio::select! {
                _ = &mut opening => break told.then_some(Ending::Open),
                () = self.tell(&windows) => {}
                () = signals.next() => {
                    if told {
                        break Some(Ending::StillClosed(windows.iter().flat_map(|(_, left)| left.names()).collect()));
                    }
                    told = true;
                    tracing::info!("told to end: it goes on until all is open");
                }
            }
        };
        for (intent, _) in &windows {
            self.metrics.group_gone(&intent.group);
        }
        Ok(ending)
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
