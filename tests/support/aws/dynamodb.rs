//! DynamoDB's control plane: states, delays, conflicts, and the way to the rows of a point in time.

use super::answer::Answer;
use super::call::{Call, Scope, table_name};
use super::clock::json_seconds;
use super::history::Pitr;
use super::rds::Databases;
use super::stand::Stand;
use super::{backups, restores};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the stand-in knows of one account in one region.
#[derive(Default)]
pub struct Region {
    pub tables: BTreeMap<String, Table>,
    pub backups: BTreeMap<String, backups::Backup>,
    pub databases: Databases,
}

pub struct Table {
    /// Another for each table, also for one that is made anew under its name.
    id: u64,
    pub created: Timestamp,
    /// When it is no longer being created.
    pub ready: Instant,
    /// When it will be gone.
    pub deleted: Option<Instant>,
    pub restored: Option<restores::Restored>,
    pub pitr: Option<Pitr>,
    /// What its description says beyond moto's.
    pub also: Map<String, Value>,
}

impl Table {
    pub fn new(created: Timestamp, ready_in: Duration) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        Self {
            id,
            created,
            ready: Instant::now() + ready_in,
            deleted: None,
            restored: None,
            pitr: None,
            also: Map::new(),
        }
    }

    pub fn status(&self, stand: &Stand, name: &str) -> String {
        if self.deleted.is_some() {
            return "DELETING".into();
        }
        if Instant::now() < self.ready || stand.is_stuck(self.making(), name) {
            return "CREATING".into();
        }
        let settings = stand.settings();
        let told = settings.pace.statuses.iter().find(|(glob, _)| glob.matches(name));
        told.map_or("ACTIVE", |(_, status)| status).to_owned()
    }

    fn making(&self) -> &'static str {
        if self.restored.is_some() { "Restore" } else { "CreateTable" }
    }
}

impl Region {
    pub fn status(&self, stand: &Stand, name: &str) -> Option<String> {
        self.tables.get(name).map(|table| table.status(stand, name))
    }

    pub fn is_active(&self, stand: &Stand, name: &str) -> bool {
        self.status(stand, name).is_some_and(|status| status == "ACTIVE")
    }

    /// Tables that are being made or deleted now.
    pub fn table_operations(&self, stand: &Stand) -> usize {
        let changing = |status: &str| status == "CREATING" || status == "DELETING";
        self.tables.iter().filter(|(name, table)| changing(&table.status(stand, name))).count()
    }

    /// Deletes in moto what is due.
    async fn settle(&mut self, stand: &Stand, scope: &Scope) {
        let now = Instant::now();
        let due = |name: &str, table: &Table| {
            table.deleted.is_some_and(|due| due <= now) && !stand.is_stuck("DeleteTable", name)
        };
        let gone: Vec<String> =
            self.tables.iter().filter(|(name, table)| due(name, table)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            stand.dynamodb(scope, "DeleteTable", &json!({"TableName": name})).await;
            if let Some(pitr) = self.tables.remove(&name).and_then(|table| table.pitr) {
                pitr.forget(stand, scope).await;
            }
        }
    }
}

pub async fn execute(stand: &Stand, call: &Call) -> Answer {
    let region = stand.region(&call.scope);
    let region = &mut *region.lock().await;
    region.settle(stand, &call.scope).await;
    match call.operation.as_str() {
        "CreateTable" => create_table(stand, call, region).await,
        "DeleteTable" => delete_table(stand, call, region).await,
        "DescribeTable" => described(stand, call, region).await,
        "DescribeContinuousBackups" => continuous_backups(stand, call, region).await,
        "UpdateContinuousBackups" => switch_recovery(stand, call, region).await,
        "CreateBackup" => backups::create(stand, call, region).await,
        "DescribeBackup" => backups::describe(stand, call, region).await,
        "ListBackups" => backups::list(stand, call, region),
        "DeleteBackup" => backups::delete(stand, call, region).await,
        "RestoreTableToPointInTime" => restores::to_point_in_time(stand, call, region).await,
        "RestoreTableFromBackup" => restores::from_backup(stand, call, region).await,
        "UpdateTable" | "UpdateTimeToLive" | "TagResource" | "UntagResource" => settled_only(stand, call, region).await,
        _ if call.is_about_rows() => rows(stand, call, region).await,
        _ => stand.forward(call).await,
    }
}

async fn create_table(stand: &Stand, call: &Call, region: &mut Region) -> Answer {
    if region.table_operations(stand) >= stand.settings().limits.table_operations {
        return Answer::refused(
            call,
            "LimitExceededException",
            "Too many tables are being created, updated or deleted",
        );
    }
    let answer = stand.forward(call).await;
    if !answer.is_good() {
        return answer;
    }
    let name = call.text("TableName").to_owned();
    let mut table = {
        let settings = stand.settings();
        Table::new(settings.clock.now(), settings.pace.create_table)
    };
    if let Some(class) = call.input["TableClass"].as_str() {
        table.also.insert("TableClassSummary".into(), json!({"TableClass": class}));
    }
    region.tables.insert(name.clone(), table);
    patched(stand, answer, region, &name)
}

async fn delete_table(stand: &Stand, call: &Call, region: &mut Region) -> Answer {
    let name = table_name(call.text("TableName")).to_owned();
    let there = stand.dynamodb(&call.scope, "DescribeTable", &json!({"TableName": name})).await;
    if !there.is_good() {
        return there;
    }
    let in_use = |message: &str| Answer::refused(call, "ResourceInUseException", message);
    match region.status(stand, &name).as_deref() {
        Some("CREATING") => {
            return in_use("Attempt to change a resource which is still in use: Table is being created");
        }
        Some("DELETING") => {
            return in_use("Attempt to change a resource which is still in use: Table is being deleted");
        }
        _ => {}
    }
    if region.backups.values().any(|backup| backup.table == name && backup.is_running(stand)) {
        return in_use("Attempt to change a resource which is still in use: Table is being backed up");
    }
    let mut description = there.value()["Table"].take();
    if description["DeletionProtectionEnabled"] == true {
        return Answer::refused(
            call,
            "ValidationException",
            "Resource cannot be deleted as it is currently protected against deletion",
        );
    }
    if region.tables.get(&name).is_some_and(|table| table.pitr.is_some()) {
        // AWS keeps the last state of a table that had point-in-time recovery
        backups::keep_deleted(stand, &call.scope, region, &name).await;
    }
    let due = Instant::now() + stand.settings().pace.delete_table;
    if let Some(table) = region.tables.get_mut(&name) {
        table.deleted = Some(due);
    }
    patch(stand, region, &name, &mut description);
    Answer::json(&json!({"TableDescription": description}))
}

async fn described(stand: &Stand, call: &Call, region: &Region) -> Answer {
    let answer = stand.forward(call).await;
    patched(stand, answer, region, table_name(call.text("TableName")))
}

/// An answer with a table's description in it, corrected.
pub fn patched(stand: &Stand, answer: Answer, region: &Region, name: &str) -> Answer {
    if !answer.is_good() {
        return answer;
    }
    let mut value = answer.value();
    for field in ["Table", "TableDescription"] {
        if value.get(field).is_some() {
            patch(stand, region, name, &mut value[field]);
        }
    }
    Answer::json(&value)
}

fn patch(stand: &Stand, region: &Region, name: &str, description: &mut Value) {
    let Some(table) = region.tables.get(name) else { return };
    let status = table.status(stand, name);
    // an estimate, as in AWS; a hundred bytes a row is as good as any
    let size = description["ItemCount"].as_u64().unwrap_or(0) * 100;
    for index in description["GlobalSecondaryIndexes"].as_array_mut().into_iter().flatten() {
        index["IndexStatus"] = json!(if status == "CREATING" { "CREATING" } else { "ACTIVE" });
    }
    let in_progress = status == "CREATING";
    description["TableStatus"] = json!(status);
    description["TableId"] = json!(format!("00000000-0000-4000-8000-{:012x}", table.id));
    description["TableSizeBytes"] = json!(size);
    description["CreationDateTime"] = json_seconds(table.created);
    if let Some(restored) = &table.restored {
        restored.patch(description, in_progress);
    }
    for (field, value) in &table.also {
        description[field] = value.clone();
    }
}

async fn continuous_backups(stand: &Stand, call: &Call, region: &Region) -> Answer {
    let answer = stand.forward(call).await;
    let name = table_name(call.text("TableName"));
    with_times(stand, answer, region, name)
}

fn with_times(stand: &Stand, answer: Answer, region: &Region, name: &str) -> Answer {
    let pitr = region.tables.get(name).and_then(|table| table.pitr.as_ref());
    let (Some(pitr), true) = (pitr, answer.is_good()) else { return answer };
    let (earliest, latest) = stand.settings().clock.restorable(name, pitr.since, pitr.days);
    let mut value = answer.value();
    let description = &mut value["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    description["EarliestRestorableDateTime"] = json_seconds(earliest);
    description["LatestRestorableDateTime"] = json_seconds(latest);
    Answer::json(&value)
}

async fn switch_recovery(stand: &Stand, call: &Call, region: &mut Region) -> Answer {
    let name = table_name(call.text("TableName")).to_owned();
    if region.status(stand, &name).is_some_and(|status| status != "ACTIVE") {
        return Answer::refused(call, "ContinuousBackupsUnavailableException", "The table is not active");
    }
    let answer = stand.forward(call).await;
    let Some(table) = region.tables.get_mut(&name) else { return answer };
    if !answer.is_good() {
        return answer;
    }
    let wanted = &call.input["PointInTimeRecoverySpecification"];
    if wanted["PointInTimeRecoveryEnabled"] == true {
        let since = stand.settings().clock.now();
        let pitr = table.pitr.get_or_insert_with(|| Pitr::new(since));
        pitr.days = wanted["RecoveryPeriodInDays"].as_i64().unwrap_or(pitr.days);
    } else if let Some(pitr) = table.pitr.take() {
        pitr.forget(stand, &call.scope).await;
    }
    with_times(stand, answer, region, &name)
}

/// What a table that is being made or deleted refuses.
async fn settled_only(stand: &Stand, call: &Call, region: &Region) -> Answer {
    let name =
        table_name(call.text(if call.operation.contains("Resource") { "ResourceArn" } else { "TableName" })).to_owned();
    if region.status(stand, &name).is_some_and(|status| status == "CREATING" || status == "DELETING") {
        return Answer::refused(call, "ResourceInUseException", "Attempt to change a resource which is still in use");
    }
    let answer = stand.forward(call).await;
    if call.operation == "UpdateTable" { patched(stand, answer, region, &name) } else { answer }
}

/// Calls about rows: nothing while the table is being made or deleted; a copy before the first write of a second.
async fn rows(stand: &Stand, call: &Call, region: &mut Region) -> Answer {
    for name in &call.targets {
        let status = region.status(stand, name);
        if status.is_some_and(|status| status == "CREATING" || status == "DELETING") {
            return Answer::refused(call, "ResourceNotFoundException", "Requested resource not found");
        }
    }
    if call.may_write_rows() {
        for name in &call.targets {
            if let Some(pitr) = region.tables.get_mut(name).and_then(|table| table.pitr.as_mut())
                && let Err(error) = pitr.before_write(stand, &call.scope, name).await
            {
                return Answer::error(call, 500, "StandInFailure", &error);
            }
        }
    }
    stand.forward(call).await
}
