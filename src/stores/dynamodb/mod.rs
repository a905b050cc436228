//! DynamoDB's tables of one region of an account.

mod calls;
mod overrides;
mod settings;
mod tables;
#[cfg(test)]
pub mod tests;
mod way;

pub use calls::TAG;

use super::ask::each;
use super::trouble::{Troubles, unreachable};
use super::{After, Capture, Copies, Found, Looks, Part, Seen, Store, clock};
use crate::aws::{Aws, Fault, FaultKind};
use crate::clock::{instant, wall};
use crate::config;
use crate::domain::{Code, Interval, Reason, StoreClock};
use aws_sdk_dynamodb::types::{
    ContinuousBackupsDescription, PointInTimeRecoveryDescription, PointInTimeRecoveryStatus, TableDescription,
    TableStatus,
};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use jiff::Timestamp;
use serde_json::Value;
use settings::Scaling;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use way::Way;

/// How long a table is taken for the one that was seen last under its name, when only its recovery is looked at.
const IDENTITY_LASTS: Duration = Duration::from_secs(300);
const DAY: Duration = Duration::from_secs(86_400);

/// The tables that a store's patterns name.
pub struct Tables {
    config: config::Dynamodb,
    aws: Aws,
    identities: Mutex<BTreeMap<String, (String, Instant)>>,
}

/// What was seen of one table before a window.
struct Looked {
    part: Part,
    /// What is wrong with it, each after the words "1 table".
    unready: Vec<String>,
    faults: Vec<Fault>,
}

impl Tables {
    #[must_use]
    pub fn new(config: config::Dynamodb, aws: Aws) -> Self {
        Self { config, aws, identities: Mutex::default() }
    }

    async fn way(&self) -> Result<Way, Fault> {
        Way::new(&self.aws, &self.config.aws).await
    }

    async fn find(&self) -> Result<Found, Fault> {
        let way = self.way().await?;
        clock::watch(|| way.touch()).await?;
        let now = wall() + clock::shown(&way.dates)?.offset_low;
        let chosen = tables::choose(&self.config, &way.list_tables().await?);
        let names = chosen.tables.iter().cloned();
        let (looked, scaling) = tokio::join!(each(names, |name| look_before(&way, name, now)), scaling(&way));
        let mut troubles = Troubles::default();
        let scaling = scaling.unwrap_or_else(|fault| {
            troubles.fault(fault, "auto scaling of all tables");
            Scaling::default()
        });
        let parts = sort(looked, &scaling, &mut troubles);
        let unmatched = chosen
            .unmatched
            .iter()
            .map(|pattern| Reason::new(Code::StoreUnready, format!("no table matches the pattern {pattern}")));
        let against = unmatched.chain(troubles.reasons("table")).collect();
        let (account, region) = (way.account.id.clone(), way.account.region.clone());
        let capture = Capture { kind: "dynamodb".to_owned(), account, region, parts, notes: chosen.notes() };
        Ok(Found { capture, clock: Some(clock::shown(&way.dates)?), against })
    }

    async fn after(&self, before: &Capture, quiet: Interval) -> Result<After, Fault> {
        let way = self.way().await?;
        clock::watch(|| way.touch()).await?;
        let chosen = tables::choose(&self.config, &way.list_tables().await?);
        let names: BTreeSet<String> = before.parts.keys().cloned().chain(chosen.tables).collect();
        let told = each(names, |name| {
            let way = &way;
            async move { Fault::found(way.describe_table(&name).await) }
        })
        .await;
        let clock = clock::shown(&way.dates)?;
        let mut after = After { clock, changed: Vec::new(), gone: Vec::new() };
        for (name, table) in told {
            compare(&mut after, &name, before.parts.get(&name), table?.as_ref(), quiet);
        }
        Ok(after)
    }

    async fn look(&self, parts: &[String]) -> Result<Looks, Fault> {
        let way = self.way().await?;
        Ok(each(parts.iter().cloned(), |name| self.look_at(&way, name)).await)
    }

    async fn look_at(&self, way: &Way, name: String) -> Result<Seen, Fault> {
        let gone = Seen { identity: None, recovery: false, earliest: None, latest: None, retention: Duration::ZERO };
        let Some(told) = Fault::found(way.continuous_backups(&name).await)? else {
            self.identities().remove(&name);
            return Ok(gone);
        };
        let Some(identity) = self.identity(way, &name).await? else { return Ok(gone) };
        let on = recovery(&told);
        let days = on.and_then(PointInTimeRecoveryDescription::recovery_period_in_days).unwrap_or(35);
        Ok(Seen {
            identity: Some(identity),
            recovery: on.is_some(),
            earliest: clock::time(on.and_then(|on| on.earliest_restorable_date_time())),
            latest: clock::time(on.and_then(|on| on.latest_restorable_date_time())),
            retention: DAY * u32::try_from(days).unwrap_or_default(),
        })
    }

    /// A table's, not asked for at every look; none: there is no such table.
    async fn identity(&self, way: &Way, name: &str) -> Result<Option<String>, Fault> {
        let known = self.identities().get(name).cloned();
        if let Some((identity, seen)) = known
            && instant().duration_since(seen) < IDENTITY_LASTS
        {
            return Ok(Some(identity));
        }
        let Some(table) = Fault::found(way.describe_table(name).await)? else { return Ok(None) };
        let identity = identity(&table)?;
        self.identities().insert(name.to_owned(), (identity.clone(), instant()));
        Ok(Some(identity))
    }

    fn identities(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (String, Instant)>> {
        // Whole between any two statements under the lock.
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Tables {
    fn find(&self) -> BoxFuture<'_, Result<Found, Reason>> {
        self.find().map_err(|fault| unreachable(&fault)).boxed()
    }

    fn after<'a>(&'a self, before: &'a Capture, quiet: Interval) -> BoxFuture<'a, Result<After, Reason>> {
        self.after(before, quiet).map_err(|fault| unreachable(&fault)).boxed()
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }

    fn look<'a>(&'a self, parts: &'a [String]) -> BoxFuture<'a, Result<Looks, Fault>> {
        self.look(parts).boxed()
    }
}

async fn scaling(way: &Way) -> Result<Scaling, Fault> {
    let (targets, policies) = tokio::try_join!(way.scalable_targets(), way.scaling_policies())?;
    Ok(Scaling::new(&targets, &policies))
}

fn identity(table: &TableDescription) -> Result<String, Fault> {
    let identity = table.table_id().map(ToOwned::to_owned);
    identity.ok_or_else(|| Fault::lost("DescribeTable: the answer tells no TableId"))
}

/// A table's, when it is on.
fn recovery(told: &ContinuousBackupsDescription) -> Option<&PointInTimeRecoveryDescription> {
    let recovery = told.point_in_time_recovery_description()?;
    (recovery.point_in_time_recovery_status() == Some(&PointInTimeRecoveryStatus::Enabled)).then_some(recovery)
}

/// Everything of one table; `now` is read on its own clock.
async fn look_before(way: &Way, name: String, now: Timestamp) -> Result<Looked, Fault> {
    let table = way.describe_table(&name).await?;
    let (identity, arn) = (identity(&table)?, table.table_arn().unwrap_or_default().to_owned());
    let (backups, time_to_live, tags) =
        tokio::join!(way.continuous_backups(&name), way.time_to_live(&name), way.tags(&arn));
    let (mut settings, mut faults) = (settings::table(&table), Vec::new());
    let mut unready: Vec<String> = unready(&table).into_iter().collect();
    match backups {
        Ok(told) => {
            settings["PointInTimeRecoverySpecification"] = settings::recovery(&told);
            unready.extend(unrecoverable(&told, now).map(ToOwned::to_owned));
        }
        Err(fault) => faults.push(fault),
    }
    add(&mut settings, "TimeToLiveSpecification", time_to_live.map(|told| settings::time_to_live(&told)), &mut faults);
    add(&mut settings, "Tags", tags.map(|tags| settings::tags(&tags)), &mut faults);
    if let Some(lost) = faults.iter().position(|fault| fault.kind == FaultKind::Lost) {
        return Err(faults.swap_remove(lost));
    }
    let part = Part { identity, arn, bytes: table.table_size_bytes(), settings };
    Ok(Looked { part, unready, faults })
}

fn add(settings: &mut Value, name: &str, told: Result<Value, Fault>, faults: &mut Vec<Fault>) {
    match told {
        Ok(value) => settings[name] = value,
        Err(fault) => faults.push(fault),
    }
}

/// A table whose capacity or indexes are being changed (`UPDATING`, which auto scaling brings about all day) is read,
/// written and recorded as any other.
fn unready(table: &TableDescription) -> Option<String> {
    if table.restore_summary().is_some_and(|restore| restore.restore_in_progress()) {
        return Some("that is still being restored".to_owned());
    }
    match table.table_status() {
        Some(TableStatus::Active | TableStatus::Updating) => None,
        Some(status) => Some(format!("not ACTIVE but {}", status.as_str())),
        None => Some("without a status".to_owned()),
    }
}

fn unrecoverable(told: &ContinuousBackupsDescription, now: Timestamp) -> Option<&'static str> {
    let Some(recovery) = recovery(told) else { return Some("without point-in-time recovery") };
    match clock::time(recovery.earliest_restorable_date_time()) {
        Some(earliest) if earliest < now => None,
        _ => Some("whose point-in-time recovery has no past yet"),
    }
}

/// The tables that could be looked at; what is wrong with them, and with the others, goes to `troubles`.
fn sort(
    looked: BTreeMap<String, Result<Looked, Fault>>,
    scaling: &Scaling,
    troubles: &mut Troubles,
) -> BTreeMap<String, Part> {
    let mut parts = BTreeMap::new();
    for (name, looked) in looked {
        match looked {
            Ok(mut looked) => {
                looked.unready.into_iter().for_each(|what| troubles.unready(what, &name));
                looked.faults.into_iter().for_each(|fault| troubles.fault(fault, &name));
                scaling.add(&name, &mut looked.part.settings);
                parts.insert(name, looked.part);
            }
            Err(fault) if fault.kind == FaultKind::NotFound => troubles.unready("deleted a moment ago", name),
            Err(fault) => troubles.fault(fault, name),
        }
    }
    parts
}

/// Says what became of one table since `before` was captured.
fn compare(after: &mut After, name: &str, before: Option<&Part>, now: Option<&TableDescription>, quiet: Interval) {
    let deleting = now.is_some_and(|table| table.table_status() == Some(&TableStatus::Deleting));
    let there = now.filter(|_| !deleting);
    let created = there.and_then(|table| clock::time(table.creation_date_time()));
    let when = created.map_or_else(String::new, |created| when(created, quiet, &after.clock));
    match (before, there) {
        (Some(_), None) => {
            after.changed.push(format!("the table {name} was deleted since the preflight"));
            after.gone.push(name.to_owned());
        }
        (Some(part), Some(table)) if table.table_id() != Some(part.identity.as_str()) => {
            after.changed.push(format!("the table {name} was deleted and made anew{when}"));
            after.gone.push(name.to_owned());
        }
        (None, Some(_)) => {
            after.changed.push(format!("the table {name} was created{when}, after the preflight"));
        }
        _ => {}
    }
}

/// Where a time on the store's clock lies, as far as is known, beside the quiet interval on ours.
fn when(created: Timestamp, quiet: Interval, clock: &StoreClock) -> String {
    let (first, last) = (created - clock.offset_high, created - clock.offset_low);
    let place = if last < quiet.start {
        "before the quiet interval"
    } else if first > quiet.end {
        "after the quiet interval"
    } else {
        "in the quiet interval"
    };
    format!(" at {created}, {place}")
}
