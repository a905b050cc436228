//! Finds a cluster's members: as listed, or by a DNS SRV name.

use crate::config::{Cluster, Source};
use crate::domain::Member;
use futures_util::{StreamExt, TryStreamExt, stream};
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{TokioResolver, net::runtime::TokioRuntimeProvider};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How many targets are looked up at once.
const LOOKUPS_AT_ONCE: usize = 16;
/// How long one question may wait for its answer before it is asked again.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(1);
/// The variable that names a DNS server, as `ip:port`, in place of `/etc/resolv.conf`.
pub const NAMESERVER_VARIABLE: &str = "STILLPOINT_NAMESERVER";

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dns {
    /// The name servers and search domains of `/etc/resolv.conf`.
    #[default]
    System,
    /// This one only.
    Server(SocketAddr),
}

impl Dns {
    /// What [`NAMESERVER_VARIABLE`] says, or the system's.
    ///
    /// # Errors
    /// Its value is not `ip:port`.
    pub fn from_environment() -> Result<Self, DiscoveryError> {
        std::env::var(NAMESERVER_VARIABLE).map_or(Ok(Self::System), Self::from_setting)
    }

    fn from_setting(value: String) -> Result<Self, DiscoveryError> {
        value.parse().map(Self::Server).map_err(|_| DiscoveryError::BadNameserver(value))
    }
}

/// Why a cluster's members could not be found: one sentence that names the SRV name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The variable is not `ip:port`.
    #[error("{NAMESERVER_VARIABLE} is {0:?}, expected ip:port")]
    BadNameserver(String),
    /// `/etc/resolv.conf` cannot be used.
    #[error("the system's DNS settings cannot be read: {0}")]
    BadSystemSettings(String),
    /// The DNS server says that there is no such name.
    #[error("the SRV name {0} does not exist")]
    NoSuchName(String),
    /// The name exists and has no SRV record.
    #[error("the SRV name {0} has no SRV records")]
    NoRecords(String),
    /// Nobody answered in time.
    #[error("the SRV name {0} could not be looked up: no DNS server answered in time")]
    Timeout(String),
    /// A record's target has no address. All members or none: the cluster is not found.
    #[error("the SRV name {name} points to {target}, which has no address")]
    NoAddress {
        /// The SRV name.
        name: String,
        /// The record's target host.
        target: String,
    },
    /// Any other answer.
    #[error("the SRV name {name} could not be looked up: {problem}")]
    Failed {
        /// The SRV name.
        name: String,
        /// What the DNS server or the resolver says.
        problem: String,
    },
}

/// The cluster's members, sorted by address, each address once. Nothing is cached: each call asks anew.
///
/// SRV: one member for each address of each record's target, whatever the record's priority; its name is
/// `target:port` (`target@ip:port` where a target has several addresses), its address `ip:port`, so that it cannot
/// come to mean another process between two requests.
///
/// # Errors
/// See [`DiscoveryError`]; a part of the members is never returned.
pub async fn resolve(cluster: &Cluster, dns: Dns, deadline: Duration) -> Result<Vec<Member>, DiscoveryError> {
    let mut members = match &cluster.source {
        Source::Addresses(addresses) => addresses.iter().map(|a| member(cluster, a.clone(), a.clone())).collect(),
        // Found by `kubernetes`, for all clusters of a group at once.
        Source::Kubernetes(_) => Vec::new(),
        Source::Srv(name) => match tokio::time::timeout(deadline, look_up(cluster, name, dns)).await {
            Err(_) | Ok(Err(Lost::Net(NetError::Timeout))) => return Err(DiscoveryError::Timeout(name.clone())),
            Ok(Err(Lost::Net(error))) => return Err(failed(name, &error)),
            Ok(Err(Lost::Told(error))) => return Err(error),
            Ok(Ok(members)) => members,
        },
    };
    members.sort_by(|a: &Member, b: &Member| (&a.address, &a.name).cmp(&(&b.address, &b.name)));
    members.dedup_by(|a, b| a.address == b.address);
    Ok(members)
}

/// A lookup's end: the resolver's error, or one of ours that needs no translation.
enum Lost {
    Net(NetError),
    Told(DiscoveryError),
}

impl From<NetError> for Lost {
    fn from(error: NetError) -> Self {
        Self::Net(error)
    }
}

async fn look_up(cluster: &Cluster, name: &str, dns: Dns) -> Result<Vec<Member>, Lost> {
    let resolver = resolver(dns).map_err(|error| Lost::Told(DiscoveryError::BadSystemSettings(error.to_string())))?;
    let answer = resolver.srv_lookup(name).await?;
    let mut targets: Vec<(String, u16)> = Vec::new();
    for record in answer.answers() {
        if let RData::SRV(srv) = &record.data
            && !srv.target.is_root()
        {
            targets.push((srv.target.to_utf8().trim_end_matches('.').to_owned(), srv.port));
        }
    }
    targets.sort();
    targets.dedup();
    if targets.is_empty() {
        return Err(Lost::Told(DiscoveryError::NoRecords(name.to_owned())));
    }
    let resolver = &resolver;
    let members: Vec<Vec<Member>> = stream::iter(targets)
        .map(|(target, port)| async move {
            match addresses(resolver, &target).await {
                Ok(addresses) => Ok(members_of(cluster, &target, port, &addresses)),
                Err(NetError::Dns(DnsError::NoRecordsFound(_))) => {
                    Err(Lost::Told(DiscoveryError::NoAddress { name: name.to_owned(), target }))
                }
                Err(error) => Err(Lost::Net(error)),
            }
        })
        .buffer_unordered(LOOKUPS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(members.into_iter().flatten().collect())
}

async fn addresses(resolver: &TokioResolver, target: &str) -> Result<Vec<IpAddr>, NetError> {
    // The trailing dot: a target is complete, search domains don't apply.
    let mut found: Vec<IpAddr> = resolver.lookup_ip(format!("{target}.")).await?.iter().collect();
    found.sort();
    found.dedup();
    Ok(found)
}

fn members_of(cluster: &Cluster, target: &str, port: u16, addresses: &[IpAddr]) -> Vec<Member> {
    match addresses {
        [ip] => vec![member(cluster, format!("{target}:{port}"), SocketAddr::new(*ip, port).to_string())],
        several => several
            .iter()
            .map(|ip| {
                let address = SocketAddr::new(*ip, port).to_string();
                member(cluster, format!("{target}@{address}"), address)
            })
            .collect(),
    }
}

fn member(cluster: &Cluster, name: String, address: String) -> Member {
    Member { cluster: cluster.name.clone(), name, address, stage: cluster.stage, pod: None }
}

fn resolver(dns: Dns) -> Result<TokioResolver, NetError> {
    let mut builder = match dns {
        Dns::System => TokioResolver::builder_tokio()?,
        Dns::Server(server) => {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            let server = NameServerConfig::new(server.ip(), true, connections.into());
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    options.timeout = QUESTION_TIMEOUT;
    options.attempts = 3;
    // A dual-stack pod would otherwise be two members.
    options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    builder.build()
}

fn failed(name: &str, error: &NetError) -> DiscoveryError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NXDomain => {
            DiscoveryError::NoSuchName(name.to_owned())
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NoError => {
            DiscoveryError::NoRecords(name.to_owned())
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            DiscoveryError::Failed { name: name.to_owned(), problem: none.response_code.to_string() }
        }
        other => DiscoveryError::Failed { name: name.to_owned(), problem: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nameserver_variable_is_an_address_with_a_port() {
        let dns = Dns::from_setting("127.0.0.1:5353".to_owned());
        assert_eq!(dns, Ok(Dns::Server(SocketAddr::from(([127, 0, 0, 1], 5353)))));
        let error = Dns::from_setting("127.0.0.1".to_owned()).expect_err("no port");
        assert_eq!(error.to_string(), "STILLPOINT_NAMESERVER is \"127.0.0.1\", expected ip:port");
    }
}
