//! The daemon's part in the election: how it campaigns, what it shows of that, and what it takes over with the lease.

use super::Service;
use crate::catalog::{CatalogError, LeaseRow};
use crate::clock::Clock;
use crate::config::{CatalogPlace, Config};
use crate::engine::{Finder, Handle};
use crate::kubernetes::{Claim, LeaderLease};
use crate::leadership::{Intent, Leadership, Record};
use crate::observe::{Health, Metrics};
use std::sync::Arc;
use std::time::Duration;

/// How often it looks how the election stands, for those who look at the pages.
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// How long after a failed look at the catalog the next one comes.
const RETRY: Duration = Duration::from_secs(5);

/// A name for this process that no other one ever has, and that says where it is.
#[must_use]
pub fn holder() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{:08x}", fastrand::u32(..))
}

/// Begins to campaign where the config speaks of other replicas.
pub(super) fn campaign(finder: &Finder, clock: Clock) -> Leadership {
    let config: &Arc<Config> = finder.config();
    let Some(leadership) = &config.daemon.leadership else { return Leadership::alone() };
    let terms = leadership.terms;
    let record = match (&leadership.lease, &config.daemon.catalog) {
        (Some(lease), _) => {
            let (namespace, name) = (lease.namespace.clone(), lease.name.clone());
            Record::Lease(LeaderLease::new(finder.kubernetes().clone(), namespace, name, holder(), terms, Claim::Lead))
        }
        (None, CatalogPlace::Postgres(url)) => {
            Record::Row { row: LeaseRow::new(url, terms.deadline()), holder: holder(), lasts: terms.lasts }
        }
        // The config's check leaves nothing of the kind.
        (None, CatalogPlace::Sqlite(_)) => return Leadership::alone(),
    };
    Leadership::campaign(record, terms, clock)
}

/// Shows for ever what this replica is.
pub(super) async fn show(leadership: Leadership, metrics: Arc<Metrics>, health: Arc<Health>, clock: Clock) {
    loop {
        let leads = leadership.leads(clock.now().mono);
        let role = match (leadership.is_shared(), leads) {
            (false, _) => "alone",
            (true, true) => "leader",
            (true, false) => "standby",
        };
        metrics.role(role);
        // One that cannot look at the lease is no good standby.
        health.stand_by((!leads && leadership.trouble().is_none()).then(|| leadership.others()));
        tokio::time::sleep(SHOW_EVERY).await;
    }
}

/// Opens what stands on the lease of a predecessor's windows and is not in the catalog, which a failover of its database
/// may have lost; and strikes what has ended. What the catalog knows recovery opens.
pub(super) fn settle(service: &Service) {
    for intent in service.engine.leadership.inherited().0.into_values() {
        let recovered = service.engine.windows().into_iter().find(|handle| handle.window == intent.window);
        let opened = recovered.is_none().then(|| service.engine.open_inherited(intent.clone()));
        tokio::spawn(settle_one(service.clone(), intent, recovered, opened));
    }
}

async fn settle_one(
    service: Service,
    intent: Intent,
    recovered: Option<Handle>,
    opened: Option<impl Future<Output = Result<(), CatalogError>>>,
) {
    let window = &intent.window;
    if let Some(mut handle) = recovered {
        handle.finished().await;
    }
    let mut settled = match opened {
        Some(opened) => opened.await,
        None => Ok(()),
    };
    while let Err(error) = settled {
        tracing::error!(%window, "look for a window that stands on the lease: {error}");
        tokio::time::sleep(RETRY).await;
        settled = service.engine.open_inherited(intent.clone()).await;
    }
    service.engine.leadership.strike(window);
}
