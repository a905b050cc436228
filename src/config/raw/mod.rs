//! What may stand in a file: everything optional, because a layer may hold any part of an environment.
//!
//! Names have optional values too: a name with nothing below it is told as such, not taken back from the layer below.
//! The docstrings here are the descriptions in the JSON Schema.

mod notifications;
mod stores;

pub use notifications::{Notifications, Webhook};
pub use stores::{Dynamodb, Keep, Materialize, Orphans, Postgresql, Preflight, Prices, Store, Tables};

use crate::domain::Product;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// A Stillpoint environment, or one layer of it. Files are overlaid from left to right: mappings are merged, everything else is replaced.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with the keys daemon, groups and notifications")]
#[schemars(title = "Stillpoint environment")]
pub struct Root {
    /// What belongs to the process, not to a group.
    pub daemon: Option<Daemon>,
    /// The consistency groups by name: lower-case letters, digits and dashes, at most 63.
    #[serde(default)]
    #[schemars(schema_with = "names::<Group>")]
    pub groups: Option<BTreeMap<String, Option<Group>>>,
    /// Whom the daemon tells of windows and restore points.
    pub notifications: Option<Notifications>,
}

/// What belongs to the process, not to a group.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with the daemon's settings")]
pub struct Daemon {
    /// The durable record: `sqlite:///` and an absolute path, on a local filesystem; or `postgres://USER@HOST:PORT/DATABASE`, with `?sslmode=…` and such behind it. Default: sqlite:///var/lib/stillpoint/catalog.db.
    #[schemars(regex(pattern = r"^(sqlite:///.+|postgres(ql)?://.+)$"))]
    pub catalog: Option<String>,
    /// ADDRESS:PORT of /metrics, /healthz and /readyz; `none` (or null): nowhere. Default: 127.0.0.1:9650.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "Option<String>")]
    pub http: Option<Option<String>>,
    /// The control socket, an absolute path. Default: beside the catalog, with the extension .sock; with PostgreSQL /run/stillpoint/stillpoint.sock.
    pub socket: Option<String>,
    /// How one of several replicas becomes the leader. Without it: by a row of the catalog in PostgreSQL; with SQLite there is one daemon.
    pub leadership: Option<Leadership>,
    /// How often every member is asked between windows whether it is paused. Default: 1m.
    pub sweep_interval: Option<Span>,
    /// How often all namespaces are looked over for Scalar workloads that no group names; `none` (or null): never. Default: 1h.
    #[serde(default, deserialize_with = "written")]
    #[schemars(schema_with = "span_or_none")]
    pub coverage_interval: Option<Option<Span>>,
    /// Globs over the names of workloads that the look over all namespaces leaves out, such as `test-*`.
    pub ignore: Option<Vec<String>>,
    /// How long windows, slots and restore points that are over are kept in the catalog, such as 400d; `none` (or null): for ever. Default: 400d.
    #[serde(default, deserialize_with = "written")]
    #[schemars(schema_with = "span_or_none")]
    pub history: Option<Option<Span>>,
}

/// How one of several replicas becomes the leader, the only one that runs windows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {kubernetes: {namespace: stillpoint}}")]
pub struct Leadership {
    /// A Lease says who leads, and open windows stand on it; without it, a row of the catalog in PostgreSQL does.
    pub kubernetes: Option<LeaseAt>,
    /// How long a lease is good for after its last renewal, in whole seconds: so long a standby waits. Default: 6s.
    pub lasts: Option<Span>,
    /// How often the lease is renewed, and looked at by standbys; at most a third of `lasts`. Default: 1s.
    pub retry: Option<Span>,
}

/// Where the Lease is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {namespace: stillpoint, name: stillpoint}")]
pub struct LeaseAt {
    /// The context in the kubeconfig; without it, the current one.
    pub context: Option<String>,
    /// An absolute path; without it, the usual places.
    pub kubeconfig: Option<String>,
    /// The Lease's namespace; without it, the context's own, or that of the daemon's pod.
    pub namespace: Option<String>,
    /// The Lease's name. Default: stillpoint.
    pub name: Option<String>,
}

/// A consistency group: the clusters and stores that must be restored to the same instant.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with a group's settings")]
pub struct Group {
    /// When windows start by themselves; without it only people start them.
    pub schedule: Option<Schedule>,
    /// How old the newest restore point may become before an alert fires, such as `6h`. Default: one interval of the schedule and as much again, at most 2h more; without a schedule, none.
    pub objective: Option<Span>,
    /// How long things may take in a window.
    pub window: Option<Window>,
    /// How long members may be closed in a calendar month of the schedule's time zone, all windows and pauses by hand together. Beyond it nothing stops, but an alert fires. Without it there is no budget.
    pub closed_budget: Option<Span>,
    /// What to do about a Scalar workload in the group's namespaces that no group names. Default: refuse. Belongs to clusters found through Kubernetes.
    pub coverage: Option<Coverage>,
    /// Globs over the names of workloads that `coverage` leaves out, such as `batch-*`.
    pub ignore: Option<Vec<String>>,
    /// The group's clusters by name: lower-case letters, digits and dashes, at most 63.
    #[serde(default)]
    #[schemars(schema_with = "names::<Cluster>")]
    pub clusters: Option<BTreeMap<String, Option<Cluster>>>,
    /// The databases to be restored to the point by name: lower-case letters, digits and dashes, at most 63.
    #[serde(default)]
    #[schemars(schema_with = "names::<Store>")]
    pub stores: Option<BTreeMap<String, Option<Store>>>,
    /// Which restore points' backups are kept; without it, all. Belongs to groups with a DynamoDB store that materializes.
    pub keep: Option<Keep>,
    /// A dead man's switch: a URL, http:// or https://, that is fetched (GET) after each consistent window.
    pub heartbeat: Option<String>,
}

/// When a group's slots are, and what happens around them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {cron: \"0 3 * * *\"}")]
pub struct Schedule {
    /// Five fields (minute, hour, day of month, month, day of week), six with seconds in front, or @daily and its like.
    pub cron: Option<String>,
    /// The IANA time zone of the cron expression. Default: UTC.
    pub time_zone: Option<String>,
    /// Preflight starts this long before the slot. Default: 2m.
    pub lead: Option<Span>,
    /// A refused window is tried again until this long after its slot. Default: 1h.
    pub starting_deadline: Option<Span>,
    /// How long after a refused window the next one is tried. Default: 1m.
    pub refused_retry: Option<Span>,
    /// How often a slot's window may be tried when it is discarded. Default: 2.
    #[schemars(range(min = 1, max = 10))]
    pub attempts: Option<u32>,
    /// How long after a discarded window the next attempt starts. Default: 5m.
    pub retry_delay: Option<Span>,
    /// Whether a slot that passed while no daemon ran, or while it slept, still runs when that ends within its `starting_deadline`: the newest one only. Default: false.
    pub catch_up: Option<bool>,
    /// Each slot comes up to this much later, always the same for a group and a slot, so that groups with one expression do not close at once. Default: none.
    pub jitter: Option<Span>,
    /// Times in which no slot runs: `{from, until}`, or `{cron, for}`, which comes again and again.
    pub blackouts: Option<Vec<Blackout>>,
    /// Whether no slot runs at all, until this is taken back. Default: false.
    pub suspend: Option<bool>,
}

/// A time in which no slot runs: `from` and `until`, or `cron` and `for`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as {from: 2026-12-24, until: 2026-12-27} or {cron: \"0 8 * * MON\", for: 2h}"
)]
pub struct Blackout {
    /// Its begin: RFC 3339, or a date, or a date and time on the schedule's clock.
    pub from: Option<String>,
    /// Its end, which is outside, written as `from` is.
    pub until: Option<String>,
    /// When it begins, again and again, in the schedule's time zone.
    pub cron: Option<String>,
    /// How long it lasts each time; goes with `cron`.
    #[serde(rename = "for")]
    pub length: Option<Span>,
}

/// How long things may take in a window.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {hold: 10s, drain: 30s, max_pause: 60s}")]
pub struct Window {
    /// From the last acknowledgement to the first unpause request, at least 2s. Default: 10s.
    pub hold: Option<Span>,
    /// How long a member may wait for its open transactions. Default: 30s.
    pub drain: Option<Span>,
    /// The first unpause request leaves no later than this after the first pause request: at least stages × drain + hold + 1s. Default: 60s.
    pub max_pause: Option<Span>,
}

/// What to do about workloads that no group lists.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    /// Refuse the window.
    Refuse,
    /// Warn only.
    Warn,
}

/// One deployment whose members serve the Scalar admin interface; exactly one of `addresses`, `srv` and `kubernetes` says where they are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with a cluster's settings")]
pub struct Cluster {
    /// What is deployed; it gives the admin port where an address has none.
    pub product: Option<Product>,
    /// The members as HOST:PORT; an IPv6 address in brackets.
    pub addresses: Option<Vec<String>>,
    /// A DNS SRV name, such as `_scalardb._tcp.billing-headless.shop.svc.cluster.local`.
    pub srv: Option<String>,
    /// Found through the Kubernetes API.
    pub kubernetes: Option<Kubernetes>,
    /// Clusters of a lower stage are paused first. Default: 0.
    pub stage: Option<u32>,
    /// TLS to the members; without it, plaintext.
    pub tls: Option<Tls>,
}

/// A cluster's place in Kubernetes: a `release` of Scalar's Helm chart, or a `selector` with a `port`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {namespace: shop, release: orders}")]
pub struct Kubernetes {
    /// An EKS cluster, in place of kubeconfig and context.
    pub eks: Option<Eks>,
    /// The context in the kubeconfig; without it, the current one.
    pub context: Option<String>,
    /// An absolute path; without it, the usual places.
    pub kubeconfig: Option<String>,
    /// The namespace of the pods; without it, the context's own, or that of the daemon's pod; in EKS, `default`.
    pub namespace: Option<String>,
    /// The Helm release of the product's own chart.
    pub release: Option<String>,
    /// A label selector, such as `app=checkout`; goes with `port`.
    pub selector: Option<String>,
    /// The admin port of the selected pods.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// How the members are reached. Default: address.
    pub connect: Option<Connect>,
}

/// An EKS cluster: AWS tells where its API server is, and Stillpoint signs its tokens itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {region: us-east-1, cluster: shop}")]
pub struct Eks {
    /// The AWS region.
    pub region: Option<String>,
    /// The EKS cluster's name.
    pub cluster: Option<String>,
    /// The ARN of an IAM role to take on, such as arn:aws:iam::123456789012:role/stillpoint; without it, the credentials that the environment gives.
    pub role_arn: Option<String>,
    /// The external ID that the role demands; goes with `role_arn`.
    #[schemars(length(min = 2, max = 1224))]
    pub external_id: Option<String>,
    /// The URL of an endpoint in place of AWS's own, http:// or https://: for VPC endpoints, and for tests.
    pub endpoint: Option<String>,
}

/// How a cluster's pods are reached.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Connect {
    /// At the pods' addresses.
    Address,
    /// Through the API server, as `kubectl port-forward` does: from a laptop, where pods' addresses lead nowhere.
    PortForward,
}

/// TLS to a cluster's members. Files are PEM, read when a connection is made; a secret is never written here.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {ca_file: /tls/ca.crt, server_name: checkout}")]
pub struct Tls {
    /// The certificates to trust, an absolute path; without it, the system's.
    pub ca_file: Option<String>,
    /// The name that the certificate must carry, in place of the address's host.
    pub server_name: Option<String>,
    /// The client certificate chain, an absolute path; goes with `key_file`.
    pub cert_file: Option<String>,
    /// The client's private key, an absolute path; goes with `cert_file`.
    pub key_file: Option<String>,
}

/// A duration as it was written; the validation reads it, so that all wrong ones are told at once.
#[derive(Debug, Clone)]
pub enum Span {
    /// `10s`
    Text(String),
    /// A number without a unit.
    Bare(String),
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as 10s, 1m30s or 500ms")
    }
    fn visit_str<E>(self, value: &str) -> Result<Span, E> {
        Ok(Span::Text(value.to_owned()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Span, E> {
        Ok(Span::Bare(value.to_string()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Span, E> {
        Ok(Span::Bare(value.to_string()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Span, E> {
        Ok(Span::Bare(value.to_string()))
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Whole numbers with units, largest first: 10s, 1m30s, 500ms, 2m, 1h, 400d.",
            "type": "string",
            "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$",
            "minLength": 1,
        })
    }
}

/// Tells a null that was written from a key that was not.
fn written<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A duration, or the word for never.
fn span_or_none(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let span = generator.subschema_for::<Span>();
    schemars::json_schema!({"anyOf": [span, {"const": NONE}, {"type": "null"}]})
}

/// Stands for nothing where a default would be something.
pub const NONE: &str = "none";

/// A mapping from names, as groups and clusters have them.
fn names<T: JsonSchema>(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let value = generator.subschema_for::<T>();
    schemars::json_schema!({
        "type": ["object", "null"],
        "propertyNames": {"pattern": super::names::PATTERN, "maxLength": super::names::LONGEST},
        "additionalProperties": value,
    })
}
