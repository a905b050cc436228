//! Restores of DynamoDB tables: validated as AWS does, with the rows of the very second.

use super::answer::Answer;
use super::backups;
use super::call::{Call, table_name};
use super::clock::json_seconds;
use super::dynamodb::{Region, Table, patched};
use super::stand::Stand;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What a restored table says about its origin.
pub struct Restored {
    source_table_arn: String,
    source_backup_arn: Option<String>,
    at: Timestamp,
    /// Local indexes that were left out; moto cannot take them away.
    without: Vec<String>,
}

impl Restored {
    pub fn patch(&self, description: &mut Value, in_progress: bool) {
        let mut summary = json!({
            "SourceTableArn": self.source_table_arn,
            "RestoreDateTime": json_seconds(self.at),
            "RestoreInProgress": in_progress,
        });
        if let Some(arn) = &self.source_backup_arn {
            summary["SourceBackupArn"] = json!(arn);
        }
        description["RestoreSummary"] = summary;
        if let Some(indexes) = description["LocalSecondaryIndexes"].as_array_mut() {
            indexes.retain(|index| !self.without.iter().any(|name| index["IndexName"] == name.as_str()));
        }
    }
}

pub async fn to_point_in_time(stand: &Stand, call: &Call, region: &mut Region) -> Answer {
    let named = call.input["SourceTableName"].as_str().unwrap_or_else(|| call.text("SourceTableArn"));
    let source = table_name(named).to_owned();
    if region.status(stand, &source).is_none_or(|status| status == "DELETING") {
        return Answer::refused(call, "TableNotFoundException", &format!("Table not found: {source}"));
    }
    if let Some(refusal) = target_refused(stand, call, region) {
        return refusal;
    }
    let Some(pitr) = region.tables.get(&source).and_then(|table| table.pitr.as_ref()) else {
        let message = format!("Point in time recovery is not enabled for table '{source}'");
        return Answer::refused(call, "PointInTimeRecoveryUnavailableException", &message);
    };
    let (earliest, latest) = stand.settings().clock.restorable(&source, pitr.since, pitr.days);
    let at = match chosen_time(&call.input, earliest, latest) {
        Ok(at) => at,
        Err(message) => return Answer::refused(call, "InvalidRestoreTimeException", &message),
    };
    let version = match pitr.version(at.as_second()) {
        Ok(version) => version,
        Err(message) => return Answer::error(call, 500, "StandInFailure", &message),
    };
    let mut described = stand.dynamodb(&call.scope, "DescribeTable", &json!({"TableName": source})).await.value();
    let settings_now = described["Table"].take();
    // without a later write the table's own rows are the ones
    let (operation, origin) = match version {
        Some(arn) => ("RestoreTableFromBackup", json!({"BackupArn": arn})),
        None => ("RestoreTableToPointInTime", json!({"SourceTableName": source, "UseLatestRestorableTime": true})),
    };
    let made = in_moto(stand, call, operation, origin).await;
    restored(stand, call, region, made, Origin { settings: settings_now, at, backup: None }).await
}

/// Where a restored table comes from.
struct Origin {
    /// The description of the table whose settings it takes over.
    settings: Value,
    at: Timestamp,
    backup: Option<String>,
}

/// Has moto restore the call's target out of `origin`.
async fn in_moto(stand: &Stand, call: &Call, operation: &str, mut origin: Value) -> Answer {
    origin["TargetTableName"] = call.input["TargetTableName"].clone();
    stand.dynamodb(&call.scope, operation, &origin).await
}

/// The whole second that is asked for, if it can be had.
fn chosen_time(input: &Value, earliest: Timestamp, latest: Timestamp) -> Result<Timestamp, String> {
    let latest_wanted = input["UseLatestRestorableTime"] == true;
    let asked = input["RestoreDateTime"].as_f64();
    let at = match (latest_wanted, asked) {
        (true, None) => latest,
        (false, Some(seconds)) => {
            let milliseconds = format!("{:.0}", seconds * 1000.0).parse().unwrap_or(0);
            Timestamp::from_millisecond(milliseconds).map_err(|error| error.to_string())?
        }
        _ => return Err("Exactly one of RestoreDateTime and UseLatestRestorableTime must be given".into()),
    };
    if at < earliest || at > latest {
        return Err(format!("{at} is not between {earliest} and {latest}"));
    }
    Timestamp::from_second(at.as_second()).map_err(|error| error.to_string())
}

pub async fn from_backup(stand: &Stand, call: &Call, region: &mut Region) -> Answer {
    let arn = call.text("BackupArn").to_owned();
    let Some(backup) = region.backups.get(&arn) else { return backups::unknown(call) };
    let source = backup.source.clone();
    if backup.is_running(stand) {
        return Answer::refused(call, "BackupInUseException", "The backup is being created");
    }
    if let Some(refusal) = target_refused(stand, call, region) {
        return refusal;
    }
    let at = stand.settings().clock.now();
    let made = in_moto(stand, call, "RestoreTableFromBackup", json!({"BackupArn": arn})).await;
    restored(stand, call, region, made, Origin { settings: source, at, backup: Some(arn) }).await
}

/// What both kinds of restore refuse.
fn target_refused(stand: &Stand, call: &Call, region: &Region) -> Option<Answer> {
    let target = call.text("TargetTableName");
    if region.tables.contains_key(target) {
        return Some(Answer::refused(call, "TableAlreadyExistsException", &format!("Table already exists: {target}")));
    }
    let running = running(stand, region);
    let (restores, operations) = {
        let limits = &stand.settings().limits;
        (limits.restores, limits.table_operations)
    };
    if running >= restores || region.table_operations(stand) >= operations {
        let message = format!("Subscriber limit exceeded: {running} restores are in progress");
        return Some(Answer::refused(call, "LimitExceededException", &message));
    }
    None
}

/// Restores in progress.
fn running(stand: &Stand, region: &Region) -> usize {
    let restoring =
        |(name, table): &(&String, &Table)| table.restored.is_some() && table.status(stand, name) == "CREATING";
    region.tables.iter().filter(restoring).count()
}

/// Makes what moto has restored the table that AWS would make of it.
async fn restored(stand: &Stand, call: &Call, region: &mut Region, made: Answer, origin: Origin) -> Answer {
    if !made.is_good() {
        return made;
    }
    let target = call.text("TargetTableName").to_owned();
    let description = made.value()["TableDescription"].take();
    let updated = apply_overrides(stand, call, &origin.settings, &description).await;
    if !updated.is_good() {
        stand.dynamodb(&call.scope, "DeleteTable", &json!({"TableName": target})).await;
        return updated;
    }
    let (now, delay) = {
        let settings = stand.settings();
        (settings.clock.now(), settings.pace.restore)
    };
    let mut table = Table::new(now, delay);
    table.also = said_of(&call.input, &origin.settings);
    table.restored = Some(Restored {
        source_table_arn: origin.settings["TableArn"].as_str().unwrap_or_default().into(),
        source_backup_arn: origin.backup,
        at: origin.at,
        without: left_out(&description["LocalSecondaryIndexes"], &call.input["LocalSecondaryIndexOverride"]),
    });
    region.tables.insert(target.clone(), table);
    let running = running(stand, region);
    {
        let mut log = stand.log();
        let highest = log.highest_restores.entry(call.scope.clone()).or_default();
        *highest = running.max(*highest);
    }
    patched(stand, updated, region, &target)
}

/// Brings capacity and global indexes to what the call asks for, else to the source's; moto's last answer.
async fn apply_overrides(stand: &Stand, call: &Call, source: &Value, made: &Value) -> Answer {
    let input = &call.input;
    let target = call.text("TargetTableName");
    let billing = input["BillingModeOverride"].as_str().or(source["BillingModeSummary"]["BillingMode"].as_str());
    let billing = billing.unwrap_or("PROVISIONED");
    let mut update = json!({"TableName": target, "BillingMode": billing});
    if billing == "PROVISIONED" {
        let asked = &input["ProvisionedThroughputOverride"];
        let given = if asked.is_object() { asked } else { &source["ProvisionedThroughput"] };
        update["ProvisionedThroughput"] = json!({
            "ReadCapacityUnits": given["ReadCapacityUnits"],
            "WriteCapacityUnits": given["WriteCapacityUnits"],
        });
    }
    let mut answer = stand.dynamodb(&call.scope, "UpdateTable", &update).await;
    for index in left_out(&made["GlobalSecondaryIndexes"], &input["GlobalSecondaryIndexOverride"]) {
        if !answer.is_good() {
            return answer;
        }
        let update = json!({"TableName": target, "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": index}}]});
        answer = stand.dynamodb(&call.scope, "UpdateTable", &update).await;
    }
    answer
}

/// The indexes that an override does not name.
fn left_out(indexes: &Value, wanted: &Value) -> Vec<String> {
    let Some(wanted) = wanted.as_array() else { return Vec::new() };
    let indexes = indexes.as_array().into_iter().flatten();
    let gone = indexes.filter(|index| !wanted.iter().any(|other| other["IndexName"] == index["IndexName"]));
    gone.filter_map(|index| index["IndexName"].as_str()).map(str::to_owned).collect()
}

/// Encryption, which moto's restored tables lack.
fn said_of(input: &Value, source: &Value) -> Map<String, Value> {
    let mut also = Map::new();
    let asked = &input["SSESpecificationOverride"];
    if asked["Enabled"] == true {
        let key = asked["KMSMasterKeyId"].as_str().unwrap_or("alias/aws/dynamodb");
        also.insert("SSEDescription".into(), json!({"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}));
    } else if !asked.is_object() && source["SSEDescription"].is_object() {
        also.insert("SSEDescription".into(), source["SSEDescription"].clone());
    }
    also
}
