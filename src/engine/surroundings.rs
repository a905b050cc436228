//! What a window is told of besides its members' answers: who they are now, and what Kubernetes sees of their pods.

use super::find::Finder;
use super::stores::Stores;
use crate::catalog::Catalog;
use crate::config::Group;
use crate::domain::{Code, Interval, Member, Reason};
use crate::kubernetes::{Census, Change, Depth, Leases, Watch};
use crate::window::{Input, POD_DEADLINE};
use futures_util::future::{BoxFuture, FutureExt, ready};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many changes may wait to be read; the first one voids the window.
const CHANGES: usize = 16;
const LEASE_DEADLINE: Duration = Duration::from_secs(5);
/// How long proving that the watch missed nothing may take.
const ESTABLISH_DEADLINE: Duration = Duration::from_secs(5);
const CATCH_UP_DEADLINE: Duration = Duration::from_secs(8);

/// A window's way to the members' whereabouts.
pub(super) struct Surroundings {
    finder: Finder,
    group: String,
    /// None for a window that a dead process left: it needs no census any more.
    config: Option<Arc<Group>>,
    leases: BoxFuture<'static, Option<Leases>>,
    watch: Option<Arc<Watch>>,
    changes: Option<mpsc::Receiver<Change>>,
    stores: Stores,
}

impl Surroundings {
    /// Those of a group with no member in Kubernetes.
    pub fn none(finder: Finder, group: &Group) -> Self {
        let (config, leases) = (Some(Arc::new(group.clone())), ready(None).boxed());
        Self {
            finder,
            group: group.name.clone(),
            config,
            leases,
            watch: None,
            changes: None,
            stores: Stores::default(),
        }
    }

    /// The same, with the group's stores as they were found before the window.
    pub fn with(self, stores: Stores) -> Self {
        Self { stores, ..self }
    }

    /// Takes the clusters' Leases in the catalog's name, and watches the members' pods from when they were found on.
    ///
    /// # Errors
    /// Somebody else holds a Lease, or the watch cannot be had.
    pub async fn begin(finder: Finder, catalog: &str, group: &Group, census: &Census) -> Result<Self, Reason> {
        let (sender, changes) = mpsc::channel(CHANGES);
        let leases = finder.lease(group, catalog, Some(sender.clone()), LEASE_DEADLINE).await?;
        let watch = Arc::new(finder.kubernetes.watch(census, &sender));
        let begun = Self {
            leases: ready(Some(leases)).boxed(),
            watch: Some(watch.clone()),
            changes: Some(changes),
            ..Self::none(finder, group)
        };
        match watch.established(ESTABLISH_DEADLINE).await {
            Ok(()) => Ok(begun),
            Err(reason) => {
                begun.release().await;
                Err(reason)
            }
        }
    }

    /// Those of a window that a dead process left. Its Leases keep others away while its members are looked after;
    /// nothing waits for them.
    pub fn recovered(finder: Finder, catalog: String, group: String) -> Self {
        let (by, name) = (finder.clone(), group.clone());
        let leases = tokio::spawn(async move {
            let taken = by.lease(by.config().groups.get(&name)?, &catalog, None, LEASE_DEADLINE).await;
            taken.inspect_err(|reason| tracing::warn!(group = %name, "take the Leases for the recovery: {reason}")).ok()
        });
        let leases = leases.map(|taken| taken.ok().flatten()).boxed();
        Self { finder, group, config: None, leases, watch: None, changes: None, stores: Stores::default() }
    }

    /// Ends the watch, and lets the Leases go.
    pub async fn release(self) {
        // One that cannot be had or let go by then runs out.
        if let Ok(Some(leases)) = tokio::time::timeout(LEASE_DEADLINE, self.leases).await {
            leases.release().await;
        }
    }

    /// The next change that Kubernetes tells of.
    pub async fn changed(&mut self) -> Change {
        if let Some(changes) = &mut self.changes
            && let Some(change) = changes.recv().await
        {
            return change;
        }
        std::future::pending().await
    }

    /// Finds the members again; `after` the window, with proof that the watch missed nothing in between.
    pub fn census(&self, after: bool) -> BoxFuture<'static, Input> {
        let (finder, group, watch) = (self.finder.clone(), self.config.clone(), self.watch.clone());
        Box::pin(async move {
            let found = match group {
                Some(group) => census(&finder, &group, watch.filter(|_| after)).await,
                None => Err(Reason::new(Code::Interrupted, "recovered")),
            };
            Input::Census(found)
        })
    }

    /// Looks at the stores again after a window that was quiet then.
    pub fn stores(&self, catalog: Catalog, window: String, quiet: Option<Interval>) -> BoxFuture<'static, Input> {
        match quiet {
            Some(quiet) => self.stores.after(catalog, window, quiet),
            None => ready(Input::Stores(Err(Reason::new(Code::StoresUnknown, "nothing was quiet")))).boxed(),
        }
    }

    /// Asks which members' pods are gone.
    pub fn pods(&self, members: Arc<[Member]>) -> BoxFuture<'static, Input> {
        let (finder, group) = (self.finder.clone(), self.group.clone());
        Box::pin(async move { Input::Pods(finder.gone(&group, &members, POD_DEADLINE).await) })
    }
}

async fn census(finder: &Finder, group: &Group, watch: Option<Arc<Watch>>) -> Result<Vec<Member>, Reason> {
    let found = finder.find(group, Depth::Workloads).await?;
    if let (Some(watch), Some(census)) = (watch, &found.census) {
        watch.catch_up(census, CATCH_UP_DEADLINE).await?;
    }
    match found.against.into_iter().next() {
        Some(reason) => Err(reason),
        None => Ok(found.members),
    }
}
