//! The rows of a table at every whole second, as hidden backups in moto.
//!
//! A version stands under the second in which the next write came, and holds the rows before that write. So the rows
//! at the beginning of second T are those of the first version at T or later, or the table's own when there is none.

use super::call::Scope;
use super::stand::Stand;
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;

pub struct Pitr {
    /// When it was switched on.
    pub since: Timestamp,
    pub days: i64,
    versions: BTreeMap<i64, String>,
    /// Versions up to this second were dropped, for they are bounded.
    dropped: Option<i64>,
}

impl Pitr {
    pub fn new(since: Timestamp) -> Self {
        Self { since, days: 35, versions: BTreeMap::new(), dropped: None }
    }

    /// To be called before each write, in the lock of the table's scope.
    pub async fn before_write(&mut self, stand: &Stand, scope: &Scope, table: &str) -> Result<(), String> {
        let (now, most) = {
            let settings = stand.settings();
            (settings.clock.now().as_second(), settings.pace.versions)
        };
        // a clock that was set back stays in the second of the last write: history has one direction
        let last = self.versions.last_key_value().map_or(i64::MIN, |(second, _)| *second);
        let second = now.max(last);
        if self.versions.contains_key(&second) {
            return Ok(());
        }
        self.versions.insert(second, copy(stand, scope, table).await?);
        while self.versions.len() > most {
            if let Some((second, arn)) = self.versions.pop_first() {
                self.dropped = Some(second);
                drop_copy(stand, scope, &arn).await;
            }
        }
        Ok(())
    }

    /// The version that holds the rows at the beginning of a second; `None` when those are the table's own.
    pub fn version(&self, second: i64) -> Result<Option<String>, String> {
        if self.dropped.is_some_and(|dropped| second <= dropped) {
            return Err("the stand-in has dropped this version; see keep_versions".into());
        }
        Ok(self.versions.range(second..).next().map(|(_, arn)| arn.clone()))
    }

    /// How many copies it holds.
    pub fn count(&self) -> usize {
        self.versions.len()
    }

    pub async fn forget(self, stand: &Stand, scope: &Scope) {
        for arn in self.versions.values() {
            drop_copy(stand, scope, arn).await;
        }
    }
}

/// A true copy of a table, hidden; its ARN.
pub async fn copy(stand: &Stand, scope: &Scope, table: &str) -> Result<String, String> {
    let input = json!({"TableName": table, "BackupName": "stand-in-version"});
    let answer = stand.dynamodb(scope, "CreateBackup", &input).await;
    let value = answer.value();
    let arn = value["BackupDetails"]["BackupArn"].as_str();
    arn.map(str::to_owned).ok_or_else(|| format!("no copy of {table}: {}", answer.text()))
}

pub async fn drop_copy(stand: &Stand, scope: &Scope, arn: &str) {
    stand.dynamodb(scope, "DeleteBackup", &json!({"BackupArn": arn})).await;
}
