//! Members and their clients, from a group's config.

use crate::config::{Config, Group};
use crate::domain::{Code, Member, Product, Reason};
use crate::scalar::discovery::{Dns, resolve};
use crate::scalar::{AdminClient, Connector};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long finding the members of a cluster may take.
const FIND_DEADLINE: Duration = Duration::from_secs(5);

/// All members of all clusters, in the order of stages (that is how they are paused, and opened again), clusters'
/// names and addresses.
///
/// # Errors
/// A cluster whose members cannot be found.
pub(super) async fn members(group: &Group, dns: Dns) -> Result<Vec<Member>, Reason> {
    let mut members = Vec::new();
    for cluster in group.clusters.values() {
        let found = resolve(cluster, dns, FIND_DEADLINE).await;
        members.extend(found.map_err(|error| Reason::new(Code::Discovery, format!("{}: {error}", cluster.name)))?);
    }
    members.sort_by_key(|member| member.stage);
    Ok(members)
}

/// A client each, in the members' order.
///
/// # Errors
/// A cluster's TLS files cannot be used.
pub(super) fn clients(group: &Group, members: &[Member]) -> Result<Vec<AdminClient>, Reason> {
    let mut connectors = BTreeMap::new();
    for cluster in group.clusters.values() {
        let connector = Connector::new(cluster)
            .map_err(|error| Reason::new(Code::Unreachable, format!("{}: {error}", cluster.name)))?;
        connectors.insert(cluster.name.as_str(), connector);
    }
    Ok(members.iter().filter_map(|member| Some(connectors.get(member.cluster.as_str())?.client(member))).collect())
}

/// Clients for an intent, whatever became of the config since: a cluster that is gone from its group is looked for in
/// the others, and dialled in plaintext when it is nowhere.
pub(super) fn clients_of_intent(config: &Config, group: &str, members: &[Member]) -> Vec<AdminClient> {
    let mut connectors: BTreeMap<&str, Connector> = BTreeMap::new();
    let mut clients = Vec::with_capacity(members.len());
    for member in members {
        let connector =
            connectors.entry(&member.cluster).or_insert_with(|| connector_of_intent(config, group, &member.cluster));
        clients.push(connector.client(member));
    }
    clients
}

fn connector_of_intent(config: &Config, group: &str, cluster: &str) -> Connector {
    let own = config.groups.get(group).and_then(|group| group.clusters.get(cluster));
    let found = own.or_else(|| config.groups.values().find_map(|group| group.clusters.get(cluster)));
    if let Some(found) = found {
        match Connector::new(found) {
            Ok(connector) => return connector,
            Err(error) => tracing::error!(%group, %cluster, "use the cluster's TLS files: {error}"),
        }
    } else {
        tracing::warn!(%group, %cluster, "the config names it no more; dialled in plaintext");
    }
    Connector::plaintext(found.map_or(Product::Custom, |cluster| cluster.product))
}
