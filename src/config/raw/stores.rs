//! The databases of a group.

use super::{Span, written};
use schemars::JsonSchema;
use serde::Deserialize;

/// One database to be restored to the point; exactly one kind.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with one kind of store, such as {rds: {region: us-east-1, instance: ledger}}"
)]
pub struct Store {
    /// DynamoDB tables.
    pub dynamodb: Option<Dynamodb>,
    /// An RDS instance.
    pub rds: Option<Rds>,
    /// An Aurora cluster.
    pub aurora: Option<Aurora>,
    /// A PostgreSQL server. This version cannot follow any and refuses them.
    pub postgresql: Option<Postgresql>,
    /// What to do when the store cannot give point-in-time recovery now. Default: refuse.
    pub preflight: Option<Preflight>,
}

/// What to do about a store that cannot give point-in-time recovery now.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preflight {
    /// Refuse the window.
    Refuse,
    /// Warn only, and note it with the restore point.
    Warn,
}

/// DynamoDB tables of one region of an account. ScalarDB's coordinator and metadata tables belong to them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {region: us-east-1, tables: {include: [\"orders.*\"]}}")]
pub struct Dynamodb {
    /// The AWS region.
    pub region: Option<String>,
    /// The ARN of an IAM role to take on, such as arn:aws:iam::123456789012:role/stillpoint; without it, the credentials that the environment gives.
    pub role_arn: Option<String>,
    /// The external ID that the role demands; goes with `role_arn`.
    #[schemars(length(min = 2, max = 1224))]
    pub external_id: Option<String>,
    /// The URL of an endpoint in place of AWS's own, http:// or https://: for VPC endpoints, and for tests.
    pub endpoint: Option<String>,
    /// Which tables, by ScalarDB's names `<namespace>.<table>`.
    pub tables: Option<Tables>,
    /// Stands in front of every table's name physically, as ScalarDB's `scalar.db.dynamo.namespace.prefix` does.
    pub prefix: Option<String>,
    /// The namespace of ScalarDB's coordinator table; `none` (or null): it does not lie here. Default: coordinator.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "Option<String>")]
    pub coordinator: Option<Option<String>>,
    /// The namespace of ScalarDB's metadata tables; `none` (or null): they do not lie here. Default: scalardb.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "Option<String>")]
    pub metadata: Option<Option<String>>,
    /// How often restore points are materialized: each table restored to the point as another one, and that one backed up. Default: always.
    pub materialize: Option<Materialize>,
    /// Whether what is materialized has the tables' indexes; without them it is made sooner and costs less. Default: true.
    pub indexes: Option<bool>,
    /// How many tables of the account and region may be restored at once. Default: 40.
    #[schemars(range(min = 1, max = 50))]
    pub restores_at_once: Option<u32>,
    /// How long a table may take to be restored, or a backup to be made, before that counts as failed: 10m to 168h. Default: 12h.
    pub materialize_limit: Option<Span>,
    /// What to do about temporary tables and backups of Stillpoint's naming that its catalog does not know. Default: report.
    pub orphans: Option<Orphans>,
    /// What a GB costs, for the expected cost of materializing. Default: the list prices of us-east-1.
    pub prices: Option<Prices>,
}

/// Globs over ScalarDB's names `<namespace>.<table>`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {include: [\"orders.*\"]}")]
pub struct Tables {
    /// Tables that belong to the store.
    pub include: Option<Vec<String>>,
    /// Tables that don't, although `include` names them.
    pub exclude: Option<Vec<String>>,
}

/// How often restore points are materialized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Materialize {
    /// Every restore point.
    Always,
    /// The first one of a day, in the schedule's time zone.
    Daily,
    /// The first one of a week that begins on Monday.
    Weekly,
    /// None.
    Never,
}

/// What to do about temporary tables and backups that the catalog does not know.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Orphans {
    /// Report them.
    Report,
    /// Delete them.
    Delete,
}

/// What a GB (10^9 bytes) costs, in US dollars.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {restore: 0.15, backup: 0.10}")]
pub struct Prices {
    /// To restore it to a point in time. Default: 0.15.
    #[schemars(range(min = 0))]
    pub restore: Option<f64>,
    /// To keep a backup of it for a month. Default: 0.10.
    #[schemars(range(min = 0))]
    pub backup: Option<f64>,
}

/// Which restore points' backups are kept: the newest ones, and the newest one of each of so many days, weeks and months. What is left out is 0.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {last: 3, daily: 7, weekly: 4, monthly: 12}")]
pub struct Keep {
    /// How many of the newest. Default: 0.
    pub last: Option<u32>,
    /// Of how many days the newest one of each. Default: 0.
    pub daily: Option<u32>,
    /// Of how many weeks the newest one of each. Default: 0.
    pub weekly: Option<u32>,
    /// Of how many months the newest one of each. Default: 0.
    pub monthly: Option<u32>,
}

/// An RDS instance.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {region: us-east-1, instance: ledger}")]
pub struct Rds {
    /// The AWS region.
    pub region: Option<String>,
    /// The ARN of an IAM role to take on, such as arn:aws:iam::123456789012:role/stillpoint; without it, the credentials that the environment gives.
    pub role_arn: Option<String>,
    /// The external ID that the role demands; goes with `role_arn`.
    #[schemars(length(min = 2, max = 1224))]
    pub external_id: Option<String>,
    /// The URL of an endpoint in place of AWS's own, http:// or https://: for VPC endpoints, and for tests.
    pub endpoint: Option<String>,
    /// The instance's identifier.
    pub instance: Option<String>,
}

/// An Aurora cluster.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {region: us-east-1, cluster: billing}")]
pub struct Aurora {
    /// The AWS region.
    pub region: Option<String>,
    /// The ARN of an IAM role to take on, such as arn:aws:iam::123456789012:role/stillpoint; without it, the credentials that the environment gives.
    pub role_arn: Option<String>,
    /// The external ID that the role demands; goes with `role_arn`.
    #[schemars(length(min = 2, max = 1224))]
    pub external_id: Option<String>,
    /// The URL of an endpoint in place of AWS's own, http:// or https://: for VPC endpoints, and for tests.
    pub endpoint: Option<String>,
    /// The cluster's identifier.
    pub cluster: Option<String>,
}

/// A PostgreSQL server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping such as {url_file: /run/secrets/ledger-url}")]
pub struct Postgresql {
    /// A file that holds the connection URL, an absolute path; the URL itself is never written here, because it carries a password.
    pub url_file: Option<String>,
}
