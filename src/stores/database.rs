//! A store of one part, an RDS instance or an Aurora cluster: what both have in common.

use super::trouble::{Troubles, unreachable};
use super::{After, Capture, Found, Looks, Part, Seen, Store, clock};
use crate::aws::{Account, Aws, Dates, Fault};
use crate::clock::wall;
use crate::config;
use crate::domain::{Interval, Reason};
use aws_sdk_rds::Client;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// States in which a database serves and keeps its history ("Viewing DB instance status", "Viewing DB cluster
/// status"): some of them come by themselves every day.
const SERVING: &[&str] = &[
    "available",
    "backing-up",
    "storage-optimization",
    "configuring-enhanced-monitoring",
    "configuring-iam-database-auth",
    "configuring-log-exports",
];

/// What AWS says of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub identity: String,
    pub arn: String,
    pub status: String,
    pub retention_days: u32,
    pub earliest: Option<Timestamp>,
    pub latest: Option<Timestamp>,
    pub bytes: Option<i64>,
    pub settings: Value,
    /// What else is wrong with it, after the words "1 instance".
    pub unready: Vec<String>,
}

/// Asks about one.
pub trait Kind: Send + Sync + 'static {
    /// As a capture and the config call it.
    const KIND: &'static str;
    /// What a person calls it.
    const NOUN: &'static str;

    fn name(&self) -> &str;

    /// None: there is none of that name.
    fn look(&self, way: &Way) -> impl Future<Output = Result<Option<Told>, Fault>> + Send;

    /// The cheapest call that there is.
    fn touch(&self, way: &Way) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// A way to a region of an account, with a clock of its own.
pub struct Way {
    pub account: Account,
    pub client: Client,
    dates: Dates,
}

/// The store.
pub struct Database<K> {
    aws: Aws,
    place: config::Aws,
    kind: K,
}

impl<K: Kind> Database<K> {
    pub fn new(aws: Aws, place: config::Aws, kind: K) -> Self {
        Self { aws, place, kind }
    }

    async fn way(&self) -> Result<Way, Fault> {
        let (account, dates) = (self.aws.account(&self.place).await?, Dates::default());
        let config = aws_sdk_rds::config::Builder::from(&account.sdk).interceptor(dates.clone()).build();
        Ok(Way { account, client: Client::from_conf(config), dates })
    }

    async fn find(&self) -> Result<Found, Fault> {
        let way = self.way().await?;
        let told = self.kind.look(&way).await?;
        clock::watch(|| self.kind.touch(&way)).await?;
        let clock = clock::shown(&way.dates)?;
        let (mut parts, mut troubles) = (BTreeMap::new(), Troubles::default());
        match told {
            None => troubles.unready("that AWS does not know", self.kind.name()),
            Some(told) => {
                for what in unready(&told, wall() + clock.offset_low) {
                    troubles.unready(what, self.kind.name());
                }
                let Told { identity, arn, bytes, settings, .. } = told;
                parts.insert(self.kind.name().to_owned(), Part { identity, arn, bytes, settings });
            }
        }
        let (kind, account, region) = (K::KIND.to_owned(), way.account.id.clone(), way.account.region.clone());
        let capture = Capture { kind, account, region, parts, notes: Vec::new() };
        Ok(Found { capture, clock: Some(clock), against: troubles.reasons(K::NOUN) })
    }

    async fn after(&self, before: &Capture) -> Result<After, Fault> {
        let way = self.way().await?;
        let told = self.kind.look(&way).await?;
        clock::watch(|| self.kind.touch(&way)).await?;
        let name = self.kind.name();
        let became = match (before.parts.get(name), told) {
            (Some(_), None) => Some("was deleted since the preflight"),
            (Some(part), Some(told)) if part.identity != told.identity => {
                Some("was deleted since the preflight, and another has its name")
            }
            _ => None,
        };
        let changed = became.map(|became| format!("the {} {name} {became}", K::NOUN));
        let gone = became.map(|_| name.to_owned());
        let clock = clock::shown(&way.dates)?;
        Ok(After { clock, changed: changed.into_iter().collect(), gone: gone.into_iter().collect() })
    }

    async fn seen(&self) -> Result<Seen, Fault> {
        let told = self.kind.look(&self.way().await?).await?;
        Ok(told.map_or(
            Seen { identity: None, recovery: false, earliest: None, latest: None, retention: Duration::ZERO },
            |told| Seen {
                recovery: told.retention_days > 0,
                earliest: told.earliest,
                latest: told.latest,
                retention: DAY * told.retention_days,
                identity: Some(told.identity),
            },
        ))
    }
}

/// What is wrong with it; `now` is read on its own clock.
fn unready(told: &Told, now: Timestamp) -> Vec<String> {
    let mut unready = told.unready.clone();
    if !SERVING.contains(&told.status.as_str()) {
        unready.push(format!("not available but {}", told.status));
    }
    if told.retention_days == 0 {
        unready.push("without automated backups (BackupRetentionPeriod is 0)".to_owned());
    } else if told.earliest.is_none_or(|earliest| earliest >= now) {
        unready.push("whose point-in-time recovery has no past yet".to_owned());
    } else if told.latest.is_none() {
        unready.push("that tells no LatestRestorableTime".to_owned());
    }
    unready
}

impl<K: Kind> Store for Database<K> {
    fn find(&self) -> BoxFuture<'_, Result<Found, Reason>> {
        self.find().map_err(|fault| unreachable(&fault)).boxed()
    }

    fn after<'a>(&'a self, before: &'a Capture, _: Interval) -> BoxFuture<'a, Result<After, Reason>> {
        self.after(before).map_err(|fault| unreachable(&fault)).boxed()
    }

    fn look<'a>(&'a self, parts: &'a [String]) -> BoxFuture<'a, Result<Looks, Fault>> {
        let all = |seen: Result<Seen, Fault>| parts.iter().map(|part| (part.clone(), seen.clone())).collect();
        self.seen().map(move |seen| Ok(all(seen))).boxed()
    }
}

/// GiB, which RDS counts storage in.
pub fn gibibytes(count: Option<i32>) -> Option<i64> {
    count.filter(|count| *count > 1).map(|count| i64::from(count) << 30)
}

pub fn tag(tag: &aws_sdk_rds::types::Tag) -> Value {
    json!({"Key": tag.key(), "Value": tag.value()})
}

pub fn security_group(group: &aws_sdk_rds::types::VpcSecurityGroupMembership) -> Value {
    group.vpc_security_group_id().into()
}

pub fn days(days: Option<i32>) -> u32 {
    u32::try_from(days.unwrap_or_default()).unwrap_or_default()
}
