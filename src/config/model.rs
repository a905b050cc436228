//! A config that got past validation: types that cannot be wrong.

use super::place::CatalogPlace;
use crate::domain::{Notice, Product};
use crate::leadership::Terms;
use crate::slots::Slots;
use jiff::tz::TimeZone;
use kube::core::Selector;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub daemon: Daemon,
    pub groups: BTreeMap<String, Group>,
    /// Whom the daemon tells of windows and restore points, by name.
    pub webhooks: BTreeMap<String, Webhook>,
}

/// What belongs to the process, not to a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Daemon {
    pub catalog: CatalogPlace,
    /// Where `/metrics`, `/healthz` and `/readyz` are served; none: nowhere.
    pub http: Option<SocketAddr>,
    /// The control socket; by default beside a catalog that is a file, with `.sock` in place of its extension.
    pub socket: PathBuf,
    /// How the leader is found; none: there is no other replica.
    pub leadership: Option<Leadership>,
    /// How often every member is asked between windows whether it is paused.
    pub sweep_interval: Duration,
    /// How often all namespaces are looked over for Scalar workloads that no group names; none: never.
    pub coverage_interval: Option<Duration>,
    /// Globs over the names of workloads that this look leaves out.
    pub ignore: Vec<String>,
    /// How long what is over is kept in the catalog; none: for ever.
    pub history: Option<Duration>,
}

/// How the leader of several replicas is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// None: the lease is a row of the catalog.
    pub lease: Option<LeaseAt>,
    pub terms: Terms,
}

/// Where the Lease is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseAt {
    pub namespace: Namespace,
    pub name: String,
}

/// A consistency group.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub name: String,
    /// None: only windows that a person starts.
    pub schedule: Option<Schedule>,
    /// How old the newest restore point may become; none: what follows from the schedule.
    pub objective: Option<Duration>,
    pub window: WindowSettings,
    /// How long its members may be closed in a calendar month before somebody is told; none: nobody is.
    pub closed_budget: Option<Duration>,
    /// What a Scalar workload in the group's namespaces does that no group names.
    pub coverage: Coverage,
    /// Globs over workloads' names that `coverage` leaves out.
    pub ignore: Vec<String>,
    /// Never empty.
    pub clusters: BTreeMap<String, Cluster>,
    pub stores: BTreeMap<String, Store>,
    /// Which restore points' backups are kept.
    pub keep: Keep,
    /// Fetched after each consistent window.
    pub heartbeat: Option<Url>,
}

/// A receiver of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    pub name: String,
    pub url: Url,
    pub secret: Secret,
    /// PEM; none: the system's roots.
    pub ca_file: Option<PathBuf>,
    /// None: all of them.
    pub groups: Option<BTreeSet<String>>,
    /// Never empty.
    pub types: BTreeSet<Notice>,
}

/// Where the secret is that signs; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    File(PathBuf),
    Variable(String),
}

/// An `http://` or `https://` URL with a host, without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(pub(super) hyper::Uri);

impl Url {
    /// Whether TLS leads there.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// The host, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.0.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port, or else the scheme's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_secure() { 443 } else { 80 })
    }

    /// Host and port as they were written: the Host header.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", |authority| authority.as_str())
    }

    /// Path and query: may hold what is as good as a password, so no log repeats it.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path_and_query().map_or("/", |path| path.as_str())
    }
}

impl Group {
    /// Its schedule's; UTC without one.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        self.schedule.as_ref().map_or(TimeZone::UTC, |schedule| schedule.slots.time_zone.clone())
    }
}

/// One database that is restored to the point.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    pub name: String,
    pub preflight: Preflight,
    pub kind: StoreKind,
}

impl Store {
    /// Whether any of its restore points is materialized by itself.
    #[must_use]
    pub fn materializes(&self) -> bool {
        matches!(&self.kind, StoreKind::Dynamodb(config) if config.materialize != Materialize::Never)
    }
}

/// What a store does that cannot give point-in-time recovery now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preflight {
    /// It refuses the window.
    Refuse,
    /// It is logged and noted with the restore point.
    Warn,
}

/// The kinds of stores.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreKind {
    Dynamodb(Dynamodb),
    Rds { aws: Aws, instance: String },
    Aurora { aws: Aws, cluster: String },
}

/// Where in AWS something lies, and how one comes to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aws {
    pub region: String,
    /// Taken on with the credentials that the environment gives; none: those themselves.
    pub role_arn: Option<String>,
    pub external_id: Option<String>,
    /// In place of AWS's own.
    pub endpoint: Option<String>,
}

impl Aws {
    /// The account's number, where a role tells it.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.role_arn.as_deref().and_then(|arn| arn.split(':').nth(4))
    }

    /// The partition that the region lies in, as ARNs name it.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        partition(&self.region)
    }
}

/// The partition that a region lies in, as ARNs name it.
#[must_use]
pub fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

impl StoreKind {
    /// Where it lies.
    #[must_use]
    pub const fn aws(&self) -> &Aws {
        match self {
            Self::Dynamodb(dynamodb) => &dynamodb.aws,
            Self::Rds { aws, .. } | Self::Aurora { aws, .. } => aws,
        }
    }
}

/// DynamoDB tables of one region of an account.
#[derive(Debug, Clone, PartialEq)]
pub struct Dynamodb {
    pub aws: Aws,
    /// Globs over `<namespace>.<table>`; `include` is never empty.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// Stands in front of every table's name physically.
    pub prefix: String,
    /// The namespace of ScalarDB's coordinator table `state`; none: it lies in no DynamoDB.
    pub coordinator: Option<String>,
    /// The namespace of ScalarDB's tables `metadata` and `namespaces`; none: they lie in no DynamoDB.
    pub metadata: Option<String>,
    pub materialize: Materialize,
    /// Whether what is materialized has the indexes of its table.
    pub indexes: bool,
    /// How many tables of the account and region may be restored at once.
    pub restores_at_once: usize,
    /// How long a table may take to be restored, or a backup to be made, before that counts as failed.
    pub materialize_limit: Duration,
    pub orphans: Orphans,
    pub prices: Prices,
}

/// How often restore points are materialized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Materialize {
    Always,
    /// The first one of a day, in the schedule's time zone.
    Daily,
    /// The first one of a week that begins on Monday.
    Weekly,
    Never,
}

/// What becomes of temporary tables and backups of this catalog's naming that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    Report,
    Delete,
}

/// In US dollars a GB (10^9 bytes), as "Amazon DynamoDB pricing" lists them for a region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    pub restore: f64,
    /// A month.
    pub backup: f64,
}

/// Which restore points' backups are kept: the newest ones, and the newest one of each of so many days, weeks and
/// months. All zero: all are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    pub last: usize,
    pub daily: usize,
    pub weekly: usize,
    pub monthly: usize,
}

/// What a Scalar workload in a group's namespaces does that no group names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// It refuses the window.
    Refuse,
    /// It is logged and counted.
    Warn,
}

/// When a group's slots are, and what happens around them.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub slots: Slots,
    /// Preflight starts this long before the slot.
    pub lead: Duration,
    /// A refused window is tried again until this long after its slot.
    pub starting_deadline: Duration,
    /// How long after a refused window the next one is tried.
    pub refused_retry: Duration,
    /// How often a slot's window may be discarded before it is given up.
    pub attempts: u32,
    /// How long after a discarded window the next attempt starts.
    pub retry_delay: Duration,
    /// Whether the newest slot that passed unseen still runs, as long as its starting deadline lasts.
    pub catch_up: bool,
}

/// How long things may take in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSettings {
    /// From the last acknowledgement to the first unpause request.
    pub hold: Duration,
    /// How long a member may wait for its open transactions.
    pub drain: Duration,
    /// The first unpause request leaves no later than this after the first pause request.
    pub max_pause: Duration,
}

/// One deployment whose members serve the admin interface.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    pub name: String,
    pub product: Product,
    /// Lower stages are paused first; 0 by default.
    pub stage: u32,
    pub source: Source,
    /// None: plaintext.
    pub tls: Option<Tls>,
}

/// Where a cluster's members come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `host:port` each.
    Addresses(Vec<String>),
    /// A DNS SRV name.
    Srv(String),
    /// Pods, found through the Kubernetes API.
    Kubernetes(Kubernetes),
}

/// A cluster's pods in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    pub namespace: Namespace,
    pub pods: Pods,
    pub connect: Connect,
}

/// How a cluster's pods are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connect {
    /// At their addresses.
    Address,
    /// Through the API server, which forwards their port.
    PortForward,
}

/// A namespace behind one API server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Namespace {
    /// None: `KUBECONFIG`, `~/.kube/config`, or the pod's own ServiceAccount.
    pub kubeconfig: Option<PathBuf>,
    /// None: the current context.
    pub context: Option<String>,
    /// In place of both.
    pub eks: Option<Box<Eks>>,
    /// None: the context's namespace, or the pod's own.
    pub name: Option<String>,
}

/// An EKS cluster, reached with a token that the daemon signs itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Eks {
    pub aws: Aws,
    pub cluster: String,
}

impl Namespace {
    /// The name of the way to its API server: its context, or one for its EKS cluster; none: the usual one.
    #[must_use]
    pub fn way(&self) -> Option<String> {
        match &self.eks {
            Some(eks) => Some(format!("eks:{}/{}", eks.aws.region, eks.cluster)),
            None => self.context.clone(),
        }
    }

    /// Whether it is behind the same API server by the same way.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        (&self.kubeconfig, &self.context, &self.eks) == (&other.kubeconfig, &other.context, &other.eks)
    }
}

impl std::fmt::Display for Eks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the EKS cluster {} in {}", self.cluster, self.aws.region)
    }
}

/// Which pods of a namespace are a cluster's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pods {
    /// Those of a release of the product's own chart.
    Release(String),
    /// Those that a label selector names; `port` is their admin port.
    Selector { selector: Selector, port: u16 },
}

/// TLS to a cluster's members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// PEM; none: the system's roots.
    pub ca_file: Option<PathBuf>,
    /// The name the certificate must carry, in place of the address's host.
    pub server_name: Option<String>,
    /// PEM client certificate chain; goes with `key_file`.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}
