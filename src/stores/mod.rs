//! The databases that are restored to the point, one file a kind behind one trait: what they say before and after a
//! window, and how far they have come with a restore point.

mod ask;
mod aurora;
mod clock;
mod database;
pub mod dynamodb;
mod json;
mod rds;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod tests;
mod trouble;

use crate::aws::{Aws, Fault};
use crate::config::{self, Preflight, StoreKind};
use crate::domain::{Code, Interval, Reason, StoreClock};
use crate::tracking::copy::{Ask, BackupSeen, Copy, Told};
use futures_util::future::{BoxFuture, join_all};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One thing of a store that is restored by itself: a DynamoDB table, an RDS instance, an Aurora cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What tells it from one that was made anew under its name: `TableId`, `DbiResourceId`, `DbClusterResourceId`.
    pub identity: String,
    pub arn: String,
    /// As AWS tells it, an estimate: in bytes; none where it is not told.
    pub bytes: Option<i64>,
    /// Everything that a restore does not bring back, in AWS's own words: see the store's file.
    pub settings: serde_json::Value,
}

/// What a store was like at a window; kept with the restore point.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Capture {
    /// `dynamodb`, `rds`, `aurora`.
    pub kind: String,
    /// Where it lies: the account's number and the region.
    pub account: String,
    pub region: String,
    /// By name. For DynamoDB the physical names of the tables.
    pub parts: BTreeMap<String, Part>,
    /// What a person should know of it: a table that vanished, one that is left out.
    pub notes: Vec<String>,
}

/// What a store said before a window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    pub capture: Capture,
    pub clock: Option<StoreClock>,
    /// Each refuses the window, or is noted, as the store's `preflight` says.
    pub against: Vec<Reason>,
}

/// What a store said after a window.
#[derive(Debug, Clone, PartialEq)]
pub struct After {
    pub clock: StoreClock,
    /// What was created, deleted or changed since [`Store::find`], each in a sentence; the parts that are left out.
    pub changed: Vec<String>,
    /// The parts that were there before and are no more, or are others under the same name.
    pub gone: Vec<String>,
}

/// What a store says of one part's point-in-time recovery now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// See [`Part::identity`]; none: the part is gone.
    pub identity: Option<String>,
    /// Whether it can be restored to a point in time at all.
    pub recovery: bool,
    /// None where the store does not tell it now.
    pub earliest: Option<Timestamp>,
    /// A point *before* it can be restored.
    pub latest: Option<Timestamp>,
    /// How far back it reaches when it has run long enough.
    pub retention: Duration,
}

/// What a store says of each part, by name; a part that could not be asked has its own fault.
pub type Looks = BTreeMap<String, Result<Seen, Fault>>;

/// A database that is restored to the point.
pub trait Store: Send + Sync {
    /// Looks at everything before a window: what belongs to it, whether it can be restored to a point in time, its
    /// settings and its clock. Changes nothing.
    fn find(&self) -> BoxFuture<'_, Result<Found, Reason>>;

    /// Looks again after a window whose quiet interval, on the daemon's clock, was `quiet`.
    fn after<'a>(&'a self, before: &'a Capture, quiet: Interval) -> BoxFuture<'a, Result<After, Reason>>;

    /// The calls that materializing takes; none for a store whose points are never materialized.
    fn copies(&self) -> Option<&dyn Copies> {
        None
    }

    /// How far the parts' point-in-time recovery reaches now.
    fn look<'a>(&'a self, parts: &'a [String]) -> BoxFuture<'a, Result<Looks, Fault>>;
}

/// The calls that materializing takes, each bounded.
pub trait Copies: Send + Sync {
    /// Asks for one copy of `part`.
    fn ask<'a>(&'a self, copy: &'a Copy, part: Option<&'a Part>, ask: &'a Ask) -> BoxFuture<'a, Told>;

    /// Every temporary table and backup of the account and region whose name begins with `prefix`.
    fn listed<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listed, Fault>>;

    /// Deletes these tables, each only when it was restored and bears our tag, and these backups. Answers with what
    /// could not be deleted.
    fn remove<'a>(&'a self, tables: &'a [String], backups: &'a [String]) -> BoxFuture<'a, Vec<Fault>>;
}

/// What there is under our names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    pub tables: Vec<String>,
    pub backups: Vec<BackupSeen>,
}

/// The store that a config means. Nothing is asked yet: its account is found with the first look.
#[must_use]
pub fn open(store: &config::Store, aws: &Aws) -> Arc<dyn Store> {
    let aws = aws.clone();
    match &store.kind {
        StoreKind::Dynamodb(config) => Arc::new(dynamodb::Tables::new(config.clone(), aws)),
        StoreKind::Rds { aws: place, instance } => {
            Arc::new(database::Database::new(aws, place.clone(), rds::Instance(instance.clone())))
        }
        StoreKind::Aurora { aws: place, cluster } => {
            Arc::new(database::Database::new(aws, place.clone(), aurora::Cluster(cluster.clone())))
        }
    }
}

/// How long a store may take before a window: a thousand tables take about two minutes, at the rates that AWS allows.
const FIND_DEADLINE: Duration = Duration::from_secs(300);

/// A store as it was found before a window.
pub struct Looked<'a> {
    pub config: &'a config::Store,
    pub store: Arc<dyn Store>,
    /// What is only told, as the store's `preflight` says, is among its notes.
    pub capture: Capture,
    pub clock: Option<StoreClock>,
    /// Whether all of it can be restored to a point in time now; none: that could not be asked of all of it.
    pub recoverable: Option<bool>,
}

/// Looks at these stores at the same time; answers with those that could be asked, and with what stands against a
/// window, each reason with its store's name.
pub async fn find_all<'a>(
    stores: impl IntoIterator<Item = &'a config::Store>,
    aws: &Aws,
) -> (Vec<Looked<'a>>, Vec<Reason>) {
    let looks = stores.into_iter().map(|config| async move {
        let store = open(config, aws);
        let found = tokio::time::timeout(FIND_DEADLINE, store.find()).await.unwrap_or_else(|_| {
            let sentence = format!("no answer within {} s", FIND_DEADLINE.as_secs());
            Err(Reason::new(Code::StoreUnreachable, sentence))
        });
        (config, store, found)
    });
    let (mut looked, mut against) = (Vec::new(), Vec::new());
    for (config, store, found) in join_all(looks).await {
        let named = |reason: Reason| Reason::new(reason.code, format!("{}: {}", config.name, reason.sentence));
        match found {
            Ok(Found { mut capture, clock, against: troubles }) => {
                let recoverable = recoverable(&troubles);
                match config.preflight {
                    Preflight::Refuse => against.extend(troubles.into_iter().map(named)),
                    Preflight::Warn => capture.notes.extend(troubles.into_iter().map(|trouble| trouble.sentence)),
                }
                looked.push(Looked { config, store, capture, clock, recoverable });
            }
            Err(reason) => against.push(named(reason)),
        }
    }
    (looked, against)
}

fn recoverable(troubles: &[Reason]) -> Option<bool> {
    match troubles.iter().any(|trouble| trouble.code == Code::StoreUnready) {
        true => Some(false),
        false => troubles.is_empty().then_some(true),
    }
}
