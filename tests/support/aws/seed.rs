//! Tables for a test to begin with, made quickly.

use super::call::Scope;
use super::dynamodb::Table;
use super::history::Pitr;
use super::stand::Stand;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;

const AT_ONCE: usize = 4;

/// A table with the text key `id`, by request, with point-in-time recovery unless told otherwise.
#[derive(Clone, Debug)]
pub struct NewTable {
    name: String,
    recovery: bool,
    index: Option<String>,
}

impl NewTable {
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), recovery: true, index: None }
    }

    #[must_use]
    pub fn without_recovery(mut self) -> Self {
        self.recovery = false;
        self
    }

    /// With a global index over the text attribute `owner`.
    #[must_use]
    pub fn with_index(mut self, name: &str) -> Self {
        self.index = Some(name.into());
        self
    }

    fn definition(&self) -> Value {
        let mut attributes = vec![json!({"AttributeName": "id", "AttributeType": "S"})];
        let mut definition = json!({
            "TableName": self.name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        });
        if let Some(index) = &self.index {
            attributes.push(json!({"AttributeName": "owner", "AttributeType": "S"}));
            definition["GlobalSecondaryIndexes"] = json!([{
                "IndexName": index,
                "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }]);
        }
        definition["AttributeDefinitions"] = json!(attributes);
        definition
    }
}

pub async fn tables(stand: &Stand, scope: &Scope, tables: &[NewTable]) {
    let made = futures_util::stream::iter(tables).for_each_concurrent(AT_ONCE, |table| make(stand, scope, table));
    made.await;
    let now = stand.settings().clock.now();
    let region = stand.region(scope);
    let mut region = region.lock().await;
    for table in tables {
        let mut known = Table::new(now, Duration::ZERO);
        known.pitr = table.recovery.then(|| Pitr::new(now));
        region.tables.insert(table.name.clone(), known);
    }
}

async fn make(stand: &Stand, scope: &Scope, table: &NewTable) {
    let made = stand.dynamodb(scope, "CreateTable", &table.definition()).await;
    assert!(made.is_good(), "create {}: {}", table.name, made.text());
    if table.recovery {
        let wanted = json!({"PointInTimeRecoveryEnabled": true});
        let input = json!({"TableName": table.name, "PointInTimeRecoverySpecification": wanted});
        let switched = stand.dynamodb(scope, "UpdateContinuousBackups", &input).await;
        assert!(switched.is_good(), "switch recovery of {} on: {}", table.name, switched.text());
    }
}
