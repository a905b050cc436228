//! Members and their clients, from a group's config.

use crate::config::{Cluster, Config, Coverage, Group, Source};
use crate::domain::{Code, Evidence, Gone, Member, Product, Reason};
use crate::kubernetes::{Census, Change, Depth, Kubernetes, Leases, News, OwnPod, WideLook};
use crate::scalar::discovery::{DiscoveryError, Dns, resolve};
use crate::scalar::{AdminClient, Connector};
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long finding the members may take.
const FIND_DEADLINE: Duration = Duration::from_secs(5);
/// How long the look over all namespaces of an API server may take.
const WIDE_DEADLINE: Duration = Duration::from_secs(10);
/// How many SRV names are looked up at once.
const LOOKUPS_AT_ONCE: usize = 16;

/// Finds the members of an environment's groups. Cheap to clone.
#[derive(Clone)]
pub struct Finder {
    config: Arc<Config>,
    dns: Dns,
    pub(super) kubernetes: Kubernetes,
}

/// A group's members, and what stands against a window over them.
#[derive(Debug)]
pub struct Found {
    /// In the order of stages (that is how they are paused, and opened again), clusters' names and addresses.
    pub members: Vec<Member>,
    /// Each refuses a window.
    pub against: Vec<Reason>,
    /// Scalar workloads in the group's namespaces that no group names.
    pub unlisted: Vec<String>,
    /// What the watch begins at; none when no cluster is found through Kubernetes.
    pub(super) census: Option<Census>,
}

impl Found {
    /// How well all of them are known.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        if self.members.iter().all(|member| member.pod.is_some()) { Evidence::Pod } else { Evidence::Address }
    }
}

impl Finder {
    /// Asks the name servers of the system, or the one that the environment names.
    ///
    /// # Errors
    /// The environment's name server is none.
    pub fn new(config: Arc<Config>) -> Result<Self, DiscoveryError> {
        Ok(Self { config, dns: Dns::from_environment()?, kubernetes: Kubernetes::new() })
    }

    /// The API servers.
    #[must_use]
    pub const fn kubernetes(&self) -> &Kubernetes {
        &self.kubernetes
    }

    /// The environment.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The same for another environment. Kubeconfigs are read anew; what this one began goes on with its own clients.
    #[must_use]
    pub(super) fn with(&self, config: Arc<Config>) -> Self {
        Self { config, dns: self.dns, kubernetes: Kubernetes::new() }
    }

    /// All members of all clusters of a group. Nothing is cached.
    ///
    /// # Errors
    /// A cluster whose members cannot be found.
    pub async fn find(&self, group: &Group, depth: Depth) -> Result<Found, Reason> {
        let (mut members, mut census) = tokio::try_join!(self.by_address(group), self.in_kubernetes(group, depth))?;
        let (mut against, mut unlisted) = (Vec::new(), Vec::new());
        if let Some(census) = &mut census {
            members.append(&mut census.members);
            against.append(&mut census.troubles);
            unlisted.append(&mut census.unlisted);
        }
        if group.coverage == Coverage::Refuse {
            let sentence = |workload: &String| format!("{workload} belongs to no group");
            against.extend(unlisted.iter().map(|workload| Reason::new(Code::Unlisted, sentence(workload))));
        }
        members.sort_by(|a, b| (a.stage, &a.cluster, &a.address).cmp(&(b.stage, &b.cluster, &b.address)));
        Ok(Found { members, against, unlisted, census })
    }

    async fn by_address(&self, group: &Group) -> Result<Vec<Member>, Reason> {
        let clusters = group.clusters.values().filter(|cluster| !matches!(cluster.source, Source::Kubernetes(_)));
        let clusters: Vec<&Cluster> = clusters.collect();
        let mut members = Vec::new();
        for some in clusters.chunks(LOOKUPS_AT_ONCE) {
            let found = try_join_all(some.iter().map(|cluster| self.resolve(cluster))).await?;
            members.extend(found.into_iter().flatten());
        }
        Ok(members)
    }

    async fn resolve(&self, cluster: &Cluster) -> Result<Vec<Member>, Reason> {
        let found = resolve(cluster, self.dns, FIND_DEADLINE).await;
        found.map_err(|error| Reason::new(Code::Discovery, format!("{}: {error}", cluster.name)))
    }

    async fn in_kubernetes(&self, group: &Group, depth: Depth) -> Result<Option<Census>, Reason> {
        if !group.clusters.values().any(|cluster| matches!(cluster.source, Source::Kubernetes(_))) {
            return Ok(None);
        }
        let others: Vec<&Cluster> = self
            .config
            .groups
            .values()
            .filter(|other| other.name != group.name)
            .flat_map(|other| other.clusters.values())
            .collect();
        self.kubernetes.census(group, &others, depth, FIND_DEADLINE).await.map(Some)
    }

    /// Takes the Leases of the group's clusters in Kubernetes, in the name of this host and of the catalog, which only
    /// one process at a time has. One that is lost is told to `changes`.
    ///
    /// # Errors
    /// Somebody else holds one, or they cannot be had.
    pub(super) async fn lease(
        &self,
        group: &Group,
        catalog: &str,
        changes: Option<mpsc::Sender<Change>>,
        deadline: Duration,
    ) -> Result<Leases, Reason> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let holder = format!("{host}/{catalog}");
        self.kubernetes.lease(group, &holder, changes, deadline).await
    }

    /// Tells Kubernetes news of these members' workloads.
    ///
    /// # Errors
    /// Why the first one that failed did.
    pub async fn tell_workloads(&self, group: &str, members: &[Member], news: &News) -> Result<(), String> {
        let cluster = |name: &str| cluster_of_intent(&self.config, group, name);
        self.kubernetes.tell_workloads(cluster, members, news).await
    }

    /// Tells Kubernetes news of the daemon's own pod.
    ///
    /// # Errors
    /// Why it could not.
    pub async fn tell_own_pod(&self, pod: &OwnPod, news: &News) -> Result<(), String> {
        self.kubernetes.tell_own_pod(pod, news).await
    }

    /// Which Scalar workloads no group names, on each API server that the config names; nothing when that look is
    /// switched off.
    pub async fn look_wide(&self) -> Vec<WideLook> {
        match self.config.daemon.coverage_interval {
            Some(_) => self.kubernetes.look_wide(&self.config, WIDE_DEADLINE).await,
            None => Vec::new(),
        }
    }

    /// Which of these members' processes are gone.
    ///
    /// # Errors
    /// Kubernetes does not say, or it is another one than the members were found in.
    pub async fn gone(
        &self,
        group: &str,
        members: &[Member],
        deadline: Duration,
    ) -> Result<Vec<(usize, Gone)>, String> {
        let cluster = |name: &str| cluster_of_intent(&self.config, group, name);
        self.kubernetes.gone(cluster, members, deadline).await
    }
}

/// A client each, in the members' order.
///
/// # Errors
/// A cluster's TLS files cannot be used.
pub(super) fn clients(finder: &Finder, group: &Group, members: &[Member]) -> Result<Vec<AdminClient>, Reason> {
    let connectors = connectors(finder, group)?;
    Ok(members.iter().filter_map(|member| Some(connectors.get(member.cluster.as_str())?.client(member))).collect())
}

/// By cluster: what makes its members' clients.
///
/// # Errors
/// A cluster's TLS files cannot be used.
pub(super) fn connectors<'a>(finder: &Finder, group: &'a Group) -> Result<BTreeMap<&'a str, Connector>, Reason> {
    let connector = |cluster: &Cluster| {
        Connector::new(cluster, &finder.kubernetes)
            .map_err(|error| Reason::new(Code::Unreachable, format!("{}: {error}", cluster.name)))
    };
    group.clusters.values().map(|cluster| Ok((cluster.name.as_str(), connector(cluster)?))).collect()
}

/// Clients for an intent, whatever became of the config since: a cluster that is gone from its group is looked for in
/// the others, and dialled in plaintext when it is nowhere.
pub(super) fn clients_of_intent(finder: &Finder, group: &str, members: &[Member]) -> Vec<AdminClient> {
    let mut connectors: BTreeMap<&str, Connector> = BTreeMap::new();
    let mut clients = Vec::with_capacity(members.len());
    for member in members {
        let connector =
            connectors.entry(&member.cluster).or_insert_with(|| connector_of_intent(finder, group, &member.cluster));
        clients.push(connector.client(member));
    }
    clients
}

fn cluster_of_intent<'a>(config: &'a Config, group: &str, cluster: &str) -> Option<&'a Cluster> {
    let own = config.groups.get(group).and_then(|group| group.clusters.get(cluster));
    own.or_else(|| config.groups.values().find_map(|group| group.clusters.get(cluster)))
}

fn connector_of_intent(finder: &Finder, group: &str, cluster: &str) -> Connector {
    let found = cluster_of_intent(&finder.config, group, cluster);
    if let Some(found) = found {
        match Connector::new(found, &finder.kubernetes) {
            Ok(connector) => return connector,
            Err(error) => tracing::error!(%group, %cluster, "use the cluster's TLS files: {error}"),
        }
    } else {
        tracing::warn!(%group, %cluster, "the config names it no more; dialled in plaintext");
    }
    Connector::plaintext(found.map_or(Product::Custom, |cluster| cluster.product))
}
