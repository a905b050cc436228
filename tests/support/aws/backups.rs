//! Backups on demand: their states, conflicts, and a list without the hidden ones.

use super::answer::Answer;
use super::call::{Call, Scope, table_name};
use super::clock::json_seconds;
use super::dynamodb::Region;
use super::history;
use super::stand::Stand;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PAGE: usize = 100;

pub struct Backup {
    arn: String,
    name: String,
    pub table: String,
    created: Timestamp,
    ready: Instant,
    items: u64,
    /// The table as it was described then.
    pub source: Value,
    kind: &'static str,
}

impl Backup {
    /// Whether it is still being made.
    pub fn is_running(&self, stand: &Stand) -> bool {
        let stuck = || stand.is_stuck("CreateBackup", &self.table) || stand.is_stuck("CreateBackup", &self.name);
        Instant::now() < self.ready || stuck()
    }

    fn details(&self, stand: &Stand) -> Value {
        json!({
            "BackupArn": self.arn,
            "BackupName": self.name,
            "BackupStatus": if self.is_running(stand) { "CREATING" } else { "AVAILABLE" },
            "BackupType": self.kind,
            "BackupSizeBytes": self.items * 100,
            "BackupCreationDateTime": json_seconds(self.created),
        })
    }
}

pub async fn create(stand: &Stand, call: &Call, region: &mut Region) -> Answer {
    let table = table_name(call.text("TableName")).to_owned();
    if region.status(stand, &table).is_some_and(|status| status != "ACTIVE") {
        return Answer::refused(call, "TableInUseException", "The table is not active");
    }
    let there = stand.dynamodb(&call.scope, "DescribeTable", &json!({"TableName": table})).await;
    let answer = stand.forward(call).await;
    if !answer.is_good() {
        return answer;
    }
    let value = answer.value();
    let arn = value["BackupDetails"]["BackupArn"].as_str().unwrap_or_default();
    let delay = stand.settings().pace.backup;
    let backup = made(stand, arn, call.text("BackupName"), there.value()["Table"].take(), delay);
    let details = backup.details(stand);
    region.backups.insert(arn.to_owned(), backup);
    Answer::json(&json!({"BackupDetails": details}))
}

fn made(stand: &Stand, arn: &str, name: &str, source: Value, delay: Duration) -> Backup {
    Backup {
        arn: arn.into(),
        name: name.into(),
        table: source["TableName"].as_str().unwrap_or_default().into(),
        created: stand.settings().clock.now(),
        ready: Instant::now() + delay,
        items: source["ItemCount"].as_u64().unwrap_or(0),
        source,
        kind: "USER",
    }
}

/// The automatic backup of a table that had point-in-time recovery when it was deleted.
pub async fn keep_deleted(stand: &Stand, scope: &Scope, region: &mut Region, table: &str) {
    let there = stand.dynamodb(scope, "DescribeTable", &json!({"TableName": table})).await;
    if let Ok(arn) = history::copy(stand, scope, table).await {
        let name = format!("{table}$DeletedTableBackup");
        let mut backup = made(stand, &arn, &name, there.value()["Table"].take(), Duration::ZERO);
        backup.kind = "SYSTEM";
        region.backups.insert(arn, backup);
    }
}

pub fn unknown(call: &Call) -> Answer {
    Answer::refused(call, "BackupNotFoundException", &format!("Backup not found: {}", call.text("BackupArn")))
}

pub async fn describe(stand: &Stand, call: &Call, region: &Region) -> Answer {
    let Some(backup) = region.backups.get(call.text("BackupArn")) else { return unknown(call) };
    let answer = stand.forward(call).await;
    if !answer.is_good() {
        return answer;
    }
    let mut value = answer.value();
    value["BackupDescription"]["BackupDetails"] = backup.details(stand);
    let details = &mut value["BackupDescription"]["SourceTableDetails"];
    details["TableSizeBytes"] = json!(backup.items * 100);
    details["BillingMode"] = backup.source["BillingModeSummary"]["BillingMode"].clone();
    value["BackupDescription"]["SourceTableFeatureDetails"] = json!({
        "GlobalSecondaryIndexes": backup.source["GlobalSecondaryIndexes"],
        "LocalSecondaryIndexes": backup.source["LocalSecondaryIndexes"],
    });
    Answer::json(&value)
}

/// By pages, in the order of making, as AWS says nothing of another.
pub fn list(stand: &Stand, call: &Call, region: &Region) -> Answer {
    let input = &call.input;
    let table = input["TableName"].as_str().map(table_name);
    let kind = input["BackupType"].as_str().filter(|kind| *kind != "ALL");
    let (lower, upper) = (input["TimeRangeLowerBound"].as_f64(), input["TimeRangeUpperBound"].as_f64());
    let in_time = |backup: &Backup| {
        let created = backup.created.as_duration().as_secs_f64();
        lower.is_none_or(|lower| created >= lower) && upper.is_none_or(|upper| created < upper)
    };
    let wanted = |backup: &&Backup| {
        table.is_none_or(|table| backup.table == table)
            && kind.is_none_or(|kind| backup.kind == kind)
            && in_time(backup)
    };
    let mut all: Vec<&Backup> = region.backups.values().filter(wanted).collect();
    all.sort_by_key(|backup| (backup.created, &backup.arn));
    if let Some(last) = input["ExclusiveStartBackupArn"].as_str() {
        let seen = all.iter().position(|backup| backup.arn == last).map_or(all.len(), |index| index + 1);
        all.drain(..seen);
    }
    let limit = input["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE).min(PAGE);
    let more = all.len() > limit;
    all.truncate(limit);
    let summaries: Vec<Value> = all.iter().map(|backup| summary(stand, call, backup)).collect();
    let mut value = json!({"BackupSummaries": summaries});
    if more && let Some(last) = all.last() {
        value["LastEvaluatedBackupArn"] = json!(last.arn);
    }
    Answer::json(&value)
}

fn summary(stand: &Stand, call: &Call, backup: &Backup) -> Value {
    let mut summary = backup.details(stand);
    let scope = &call.scope;
    summary["TableName"] = json!(backup.table);
    summary["TableArn"] = json!(format!("arn:aws:dynamodb:{}:{}:table/{}", scope.region, scope.account, backup.table));
    summary
}

pub async fn delete(stand: &Stand, call: &Call, region: &mut Region) -> Answer {
    let arn = call.text("BackupArn");
    let Some(backup) = region.backups.get(arn) else { return unknown(call) };
    if backup.is_running(stand) {
        return Answer::refused(call, "BackupInUseException", "The backup is being created");
    }
    let answer = stand.forward(call).await;
    if !answer.is_good() {
        return answer;
    }
    let mut details = backup.details(stand);
    details["BackupStatus"] = json!("DELETED");
    region.backups.remove(arn);
    let mut value = answer.value();
    value["BackupDescription"]["BackupDetails"] = details;
    Answer::json(&value)
}
