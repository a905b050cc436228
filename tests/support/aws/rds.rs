//! RDS and Aurora: times, and restores that are validated. Everything else is moto's.

use super::answer::Answer;
use super::call::Call;
use super::stand::Stand;
use super::xml;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Instant;

/// What the stand-in knows of an instance or a cluster, by kind and lower-case identifier.
pub type Databases = BTreeMap<(Kind, String), Database>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Instance,
    Cluster,
}

#[derive(Clone)]
pub struct Database {
    retention_days: i64,
    /// When its history began.
    since: Timestamp,
    /// When it is no longer being created.
    ready: Instant,
}

impl Kind {
    fn identifier(self) -> &'static str {
        match self {
            Self::Instance => "DBInstanceIdentifier",
            Self::Cluster => "DBClusterIdentifier",
        }
    }

    fn of(operation: &str) -> Self {
        if operation.contains("DBCluster") { Self::Cluster } else { Self::Instance }
    }
}

pub async fn execute(stand: &Stand, call: &Call) -> Answer {
    let region = stand.region(&call.scope);
    let databases = &mut region.lock().await.databases;
    let restores =
        matches!(call.operation.as_str(), "RestoreDBInstanceToPointInTime" | "RestoreDBClusterToPointInTime");
    if restores && let Some(refusal) = refused(stand, call, databases) {
        return refusal;
    }
    let mut answer = stand.forward(call).await;
    if answer.is_good() {
        remember(stand, call, databases);
        if answer.content_type.contains("xml") {
            answer.body = patched(stand, &answer.text(), databases).into();
        }
    }
    answer
}

/// What AWS would refuse a restore for; moto accepts anything.
fn refused(stand: &Stand, call: &Call, databases: &Databases) -> Option<Answer> {
    let kind = Kind::of(&call.operation);
    let (field, target_field) = match kind {
        Kind::Instance => ("RestoreTime", "TargetDBInstanceIdentifier"),
        Kind::Cluster => ("RestoreToTime", "DBClusterIdentifier"),
    };
    let time = call.text(field);
    let latest_wanted = call.text("UseLatestRestorableTime") == "true";
    if latest_wanted != time.is_empty() {
        let message = format!("Exactly one of {field} and UseLatestRestorableTime must be given");
        return Some(Answer::refused(call, "InvalidParameterCombination", &message));
    }
    if databases.contains_key(&(kind, call.text(target_field).to_lowercase())) {
        let code = if kind == Kind::Instance { "DBInstanceAlreadyExists" } else { "DBClusterAlreadyExistsFault" };
        return Some(Answer::refused(call, code, "it exists"));
    }
    let source =
        call.text(if kind == Kind::Instance { "SourceDBInstanceIdentifier" } else { "SourceDBClusterIdentifier" });
    // one that is not there is moto's to refuse
    let database = databases.get(&(kind, source.to_lowercase()))?;
    if database.retention_days == 0 {
        return Some(Answer::refused(call, "PointInTimeRestoreNotEnabled", "Automated backups are off"));
    }
    let (earliest, latest) = stand.settings().clock.restorable(source, database.since, database.retention_days);
    if latest_wanted {
        return None;
    }
    match time.parse::<Timestamp>() {
        Err(_) => Some(Answer::refused(call, "InvalidParameterValue", "The restore time is none")),
        Ok(time) if time < earliest || time >= latest => {
            let message = format!("{time} is not between {earliest} and before {latest}");
            Some(Answer::refused(call, "InvalidRestoreFault", &message))
        }
        Ok(_) => None,
    }
}

/// Keeps what later answers need of a call that went well.
fn remember(stand: &Stand, call: &Call, databases: &mut Databases) {
    let kind = Kind::of(&call.operation);
    let settings = stand.settings();
    let now = settings.clock.now();
    let retention = call.text("BackupRetentionPeriod").parse::<i64>().ok();
    let named = |field: &str| (kind, call.text(field).to_lowercase());
    let restored = |source: &str| {
        let retention_days = databases.get(&named(source)).map_or(1, |source| source.retention_days);
        Database { retention_days, since: now, ready: Instant::now() + settings.pace.database }
    };
    match call.operation.as_str() {
        "CreateDBInstance" | "CreateDBCluster" => {
            let database = Database { retention_days: retention.unwrap_or(1), since: now, ready: Instant::now() };
            databases.insert(named(kind.identifier()), database);
        }
        "RestoreDBInstanceToPointInTime" => {
            let database = restored("SourceDBInstanceIdentifier");
            databases.insert(named("TargetDBInstanceIdentifier"), database);
        }
        "RestoreDBClusterToPointInTime" => {
            let database = restored("SourceDBClusterIdentifier");
            databases.insert(named("DBClusterIdentifier"), database);
        }
        "ModifyDBInstance" | "ModifyDBCluster" => {
            if let (Some(days), Some(database)) = (retention, databases.get_mut(&named(kind.identifier()))) {
                if database.retention_days == 0 && days > 0 {
                    database.since = now;
                }
                database.retention_days = days;
            }
        }
        "DeleteDBInstance" | "DeleteDBCluster" => {
            databases.remove(&named(kind.identifier()));
        }
        _ => {}
    }
}

fn patched(stand: &Stand, text: &str, databases: &Databases) -> String {
    let text = xml::each(text, "DBInstance", |inside| described(stand, inside, databases, Kind::Instance));
    let text = xml::each(&text, "DBCluster", |inside| described(stand, inside, databases, Kind::Cluster));
    xml::each(&text, "DBInstanceAutomatedBackup", |inside| backed_up(stand, inside, databases))
}

fn times(stand: &Stand, inside: &str, databases: &Databases, kind: Kind) -> Option<(String, String)> {
    let name = xml::value_of(inside, kind.identifier()).unwrap_or_default();
    let database = databases.get(&(kind, name.to_lowercase()))?;
    if database.retention_days == 0 || Instant::now() < database.ready {
        return None;
    }
    let (earliest, latest) = stand.settings().clock.restorable(name, database.since, database.retention_days);
    Some((earliest.to_string(), latest.to_string()))
}

fn described(stand: &Stand, inside: &str, databases: &Databases, kind: Kind) -> String {
    let times = times(stand, inside, databases, kind);
    let name = xml::value_of(inside, kind.identifier()).unwrap_or_default().to_lowercase();
    let being_made = databases.get(&(kind, name)).is_some_and(|database| Instant::now() < database.ready);
    let latest = times.as_ref().map(|(_, latest)| latest.as_str());
    let mut inside = xml::with(inside, "LatestRestorableTime", latest);
    if kind == Kind::Cluster {
        inside = xml::with(&inside, "EarliestRestorableTime", times.as_ref().map(|(earliest, _)| earliest.as_str()));
    }
    if being_made {
        // the first Status of a cluster is its own
        inside =
            xml::with(&inside, if kind == Kind::Cluster { "Status" } else { "DBInstanceStatus" }, Some("creating"));
    }
    inside
}

fn backed_up(stand: &Stand, inside: &str, databases: &Databases) -> String {
    let window = times(stand, inside, databases, Kind::Instance)
        .map(|(earliest, latest)| format!("<EarliestTime>{earliest}</EarliestTime><LatestTime>{latest}</LatestTime>"));
    xml::with(inside, "RestoreWindow", window.as_deref())
}
