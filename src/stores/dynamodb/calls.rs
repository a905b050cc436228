//! The calls that materializing takes. What changes something names only what bears our name.

use super::super::ask::pages;
use super::super::{Copies, Listed, Part, clock};
use super::way::Way;
use super::{Tables, overrides::Overrides};
use crate::aws::{Fault, FaultKind};
use crate::tracking::copy::{Ask, BackupSeen, BackupStatus, Copy, TableSeen, TableStatus, Told};
use crate::tracking::names::PREFIX;
use aws_sdk_dynamodb::primitives::DateTime;
use aws_sdk_dynamodb::types::{self, BackupSummary, BackupType, IndexStatus, TableDescription, Tag};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

/// The key of the tag of our temporary tables; its value is the window.
pub const TAG: &str = "stillpoint:window";

impl Copies for Tables {
    fn ask<'a>(&'a self, copy: &'a Copy, part: Option<&'a Part>, ask: &'a Ask) -> BoxFuture<'a, Told> {
        self.told(copy, part, ask)
            .map(|told| told.unwrap_or_else(|fault| Told::Fault { kind: fault.kind, sentence: fault.sentence }))
            .boxed()
    }

    fn listed<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listed, Fault>> {
        async move {
            let way = self.way().await?;
            let (mut tables, mut backups) = tokio::try_join!(way.list_tables(), list_backups(&way, None))?;
            tables.retain(|name| name.starts_with(prefix));
            backups.retain(|backup| backup.name.starts_with(prefix) && backup.table.starts_with(prefix));
            Ok(Listed { tables, backups })
        }
        .boxed()
    }

    fn remove<'a>(&'a self, tables: &'a [String], backups: &'a [String]) -> BoxFuture<'a, Vec<Fault>> {
        self.removed(tables, backups).boxed()
    }
}

impl Tables {
    async fn told(&self, copy: &Copy, part: Option<&Part>, ask: &Ask) -> Result<Told, Fault> {
        let way = self.way().await?;
        match ask {
            Ask::Table => Ok(Told::Table(look_table(&way, copy).await?)),
            Ask::Restore => {
                let part = part.ok_or_else(|| invalid(format!("what {} was like is not known", copy.source)))?;
                restore(&way, copy, part, self.config.indexes).await
            }
            Ask::Tag { arn } => tag(&way, arn, &copy.window).await,
            Ask::Backups => Ok(Told::Backups(look_backups(&way, &copy.name).await?)),
            Ask::Backup { arn } => Ok(Told::Backup(look_backup(&way, arn).await?)),
            Ask::BackUp => back_up(&way, &copy.name).await,
            Ask::DeleteTable => delete_table(&way, &copy.name).await,
            Ask::DeleteBackup { arn } => delete_backup(&way, arn).await,
        }
    }

    async fn removed(&self, tables: &[String], backups: &[String]) -> Vec<Fault> {
        let way = match self.way().await {
            Ok(way) => way,
            Err(fault) => return vec![fault],
        };
        let mut faults = Vec::new();
        for name in tables {
            faults.extend(remove_table(&way, name).await.err());
        }
        for arn in backups {
            faults.extend(delete_backup(&way, arn).await.err());
        }
        // What is gone already need not be deleted.
        faults.retain(|fault| fault.kind != FaultKind::NotFound);
        faults
    }
}

/// Nothing but what bears our name is ever changed, whatever we are asked.
fn ours(name: &str) -> Result<(), Fault> {
    if name.starts_with(PREFIX) { Ok(()) } else { Err(invalid(format!("{name} is not ours to change"))) }
}

/// The same by an ARN: `…:table/NAME`, `…:table/NAME/backup/ID`.
fn ours_by_arn(arn: &str) -> Result<(), Fault> {
    let name = arn.split_once(":table/").map_or("", |(_, path)| path.split('/').next().unwrap_or_default());
    ours(name).map_err(|_| invalid(format!("{arn} is not ours to change")))
}

fn invalid(sentence: String) -> Fault {
    Fault { kind: FaultKind::Invalid, code: None, sentence }
}

async fn look_table(way: &Way, copy: &Copy) -> Result<Option<TableSeen>, Fault> {
    let Some(told) = Fault::found(way.describe_table(&copy.name).await)? else { return Ok(None) };
    let (arn, status) = (told.table_arn().unwrap_or_default().to_owned(), status(&told));
    // While it is being made it has no tag yet, and asking would cost a call at each look.
    let asked = status == TableStatus::Active || copy.tagged;
    let tags = if asked { way.tags(&arn).await } else { Ok(Vec::new()) };
    let Some(tags) = Fault::found(tags)? else { return Ok(None) };
    Ok(Some(TableSeen { arn, status, restored_from: restored_from(&told), tag: our_tag(&tags) }))
}

fn our_tag(tags: &[Tag]) -> Option<String> {
    tags.iter().find(|tag| tag.key() == TAG).map(|tag| tag.value().to_owned())
}

fn restored_from(table: &TableDescription) -> Option<(String, Timestamp)> {
    let restore = table.restore_summary()?;
    Some((restore.source_table_arn()?.to_owned(), clock::time(Some(restore.restore_date_time()))?))
}

fn status(table: &TableDescription) -> TableStatus {
    let restoring = table.restore_summary().is_some_and(|restore| restore.restore_in_progress());
    let whole = |index: &types::GlobalSecondaryIndexDescription| {
        index.index_status() == Some(&IndexStatus::Active) && index.backfilling() != Some(true)
    };
    match table.table_status() {
        Some(types::TableStatus::Deleting) => TableStatus::Deleting,
        Some(
            types::TableStatus::Archiving
            | types::TableStatus::Archived
            | types::TableStatus::InaccessibleEncryptionCredentials
            | types::TableStatus::ReplicationNotAuthorized,
        ) => TableStatus::Useless,
        Some(types::TableStatus::Active) if !restoring && table.global_secondary_indexes().iter().all(whole) => {
            TableStatus::Active
        }
        _ => TableStatus::Creating,
    }
}

/// Capacity and indexes are always named, since the documents disagree on what a restored table gets. Encryption is
/// not: it is that of the source, whose key may be the one that must not be named (`alias/aws/dynamodb`).
async fn restore(way: &Way, copy: &Copy, part: &Part, indexes: bool) -> Result<Told, Fault> {
    ours(&copy.name)?;
    let wanted = Overrides::of(&part.settings, indexes).map_err(invalid)?;
    let request = way
        .client
        .restore_table_to_point_in_time()
        .source_table_arn(&copy.source_arn)
        .target_table_name(&copy.name)
        .restore_date_time(DateTime::from_secs(copy.point.as_second()))
        .billing_mode_override(wanted.billing_mode)
        .set_provisioned_throughput_override(wanted.throughput)
        .set_on_demand_throughput_override(wanted.on_demand)
        .set_global_secondary_index_override(Some(wanted.global_indexes))
        .set_local_secondary_index_override(Some(wanted.local_indexes));
    way.account.once("RestoreTableToPointInTime", request.send()).await?;
    Ok(Told::Done)
}

async fn tag(way: &Way, arn: &str, window: &str) -> Result<Told, Fault> {
    ours_by_arn(arn)?;
    let tag = Tag::builder().key(TAG).value(window).build().map_err(|error| invalid(error.to_string()))?;
    way.account.once("TagResource", way.client.tag_resource().resource_arn(arn).tags(tag).send()).await?;
    Ok(Told::Done)
}

/// Backups of one name, of the table of that name; it need not be there any more.
async fn look_backups(way: &Way, name: &str) -> Result<Vec<BackupSeen>, Fault> {
    let mut backups = list_backups(way, Some(name)).await?;
    backups.retain(|backup| backup.name == name && backup.table == name);
    Ok(backups)
}

/// Those that somebody asked for, of one table or of all.
async fn list_backups(way: &Way, table: Option<&str>) -> Result<Vec<BackupSeen>, Fault> {
    let list = pages("ListBackups", |from: Option<String>| async move {
        let request = || way.client.list_backups().set_table_name(table.map(ToOwned::to_owned));
        let send = || {
            let request = request().backup_type(types::BackupTypeFilter::User);
            request.set_exclusive_start_backup_arn(from.clone()).send()
        };
        let answer = way.account.asked("ListBackups", send).await?;
        Ok((answer.backup_summaries.unwrap_or_default(), answer.last_evaluated_backup_arn))
    });
    let users = |backup: &BackupSummary| backup.backup_type().is_none_or(|kind| *kind == BackupType::User);
    Ok(list.await?.iter().filter(|backup| users(backup)).filter_map(summary).collect())
}

fn summary(told: &BackupSummary) -> Option<BackupSeen> {
    Some(BackupSeen {
        arn: told.backup_arn()?.to_owned(),
        name: told.backup_name()?.to_owned(),
        table: told.table_name()?.to_owned(),
        status: backup_status(told.backup_status()),
        created: clock::time(told.backup_creation_date_time())?,
        items: None,
        bytes: told.backup_size_bytes(),
    })
}

/// `AVAILABLE` is the word of the model's enumeration, whatever the documents' prose says.
fn backup_status(status: Option<&types::BackupStatus>) -> BackupStatus {
    match status {
        Some(types::BackupStatus::Available) => BackupStatus::Available,
        Some(types::BackupStatus::Deleted) => BackupStatus::Deleted,
        _ => BackupStatus::Creating,
    }
}

async fn look_backup(way: &Way, arn: &str) -> Result<Option<BackupSeen>, Fault> {
    let send = || way.client.describe_backup().backup_arn(arn).send();
    let Some(answer) = Fault::found(way.account.asked("DescribeBackup", send).await)? else { return Ok(None) };
    let seen = answer.backup_description.and_then(|told| {
        let details = told.backup_details()?;
        let source = told.source_table_details();
        Some(BackupSeen {
            arn: details.backup_arn().to_owned(),
            name: details.backup_name().to_owned(),
            table: source?.table_name().to_owned(),
            status: backup_status(Some(details.backup_status())),
            created: clock::time(Some(details.backup_creation_date_time()))?,
            items: source.and_then(|source| source.item_count()),
            bytes: details.backup_size_bytes(),
        })
    });
    seen.map(Some).ok_or_else(|| Fault::lost("DescribeBackup: the answer is empty"))
}

async fn back_up(way: &Way, name: &str) -> Result<Told, Fault> {
    ours(name)?;
    let request = way.client.create_backup().table_name(name).backup_name(name);
    let answer = way.account.once("CreateBackup", request.send()).await?;
    let details = answer.backup_details.ok_or_else(|| Fault::lost("CreateBackup: the answer is empty"))?;
    Ok(Told::Made { arn: details.backup_arn })
}

async fn delete_table(way: &Way, name: &str) -> Result<Told, Fault> {
    ours(name)?;
    way.account.once("DeleteTable", way.client.delete_table().table_name(name).send()).await?;
    Ok(Told::Done)
}

async fn delete_backup(way: &Way, arn: &str) -> Result<Told, Fault> {
    ours_by_arn(arn)?;
    way.account.once("DeleteBackup", way.client.delete_backup().backup_arn(arn).send()).await?;
    Ok(Told::Done)
}

/// Deletes a table that bears our name, when it was restored and bears our tag too.
async fn remove_table(way: &Way, name: &str) -> Result<(), Fault> {
    ours(name)?;
    let told = way.describe_table(name).await?;
    let tag = our_tag(&way.tags(told.table_arn().unwrap_or_default()).await?);
    if restored_from(&told).is_none() || tag.is_none() {
        return Err(invalid(format!("{name} is not deleted: it was not restored, or bears no tag of ours")));
    }
    delete_table(way, name).await.map(|_| ())
}
