//! The store against replayed answers.

use super::super::replay::{Answer, aws, json_error, place};
use super::*;
use crate::config::{Dynamodb, Materialize, Orphans, Prices};
use jiff::SignedDuration;
use serde_json::json;

pub fn config(include: &[&str], exclude: &[&str]) -> Dynamodb {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Dynamodb {
        aws: place(),
        include: texts(include),
        exclude: texts(exclude),
        prefix: String::new(),
        coordinator: Some("coordinator".to_owned()),
        metadata: Some("scalardb".to_owned()),
        materialize: Materialize::Always,
        indexes: true,
        restores_at_once: 10,
        materialize_limit: Duration::from_secs(7200),
        orphans: Orphans::Report,
        prices: Prices { restore: 0.15, backup: 0.1 },
    }
}

/// Tables `t.a` and `t.b`, and ScalarDB's own; `change` may answer in another way.
fn store(change: impl Fn(&str, &str) -> Option<Answer> + Send + Sync + 'static) -> Tables {
    let answers = move |operation: &str, body: &str| change(operation, body).unwrap_or_else(|| usual(operation, body));
    Tables::new(config(&["t.*"], &[]), aws(SignedDuration::ZERO, answers))
}

fn names() -> [&'static str; 4] {
    ["coordinator.state", "scalardb.metadata", "t.a", "t.b"]
}

fn usual(operation: &str, body: &str) -> Answer {
    let body: Value = serde_json::from_str(body).unwrap();
    let name = body["TableName"].as_str().unwrap_or_default();
    let answer = match operation {
        "ListTables" if body["Limit"] == 1 => json!({"TableNames": ["coordinator.state"]}),
        // Two pages.
        "ListTables" if body["ExclusiveStartTableName"].is_null() => {
            json!({"TableNames": names()[..2], "LastEvaluatedTableName": names()[1]})
        }
        "ListTables" => json!({"TableNames": names()[2..]}),
        "DescribeTable" => json!({"Table": table(name, &format!("id-{name}"), "ACTIVE")}),
        "DescribeContinuousBackups" => backups("ENABLED", 1_700_000_000),
        "DescribeTimeToLive" => json!({"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}),
        "ListTagsOfResource" => json!({"Tags": [{"Key": "team", "Value": "shop"}]}),
        "DescribeScalableTargets" => json!({"ScalableTargets": [{
            "ServiceNamespace": "dynamodb", "ResourceId": "table/t.a/index/by_time", "MinCapacity": 1, "MaxCapacity": 9,
            "ScalableDimension": "dynamodb:index:ReadCapacityUnits", "RoleARN": "arn:role", "CreationTime": 1}]}),
        "DescribeScalingPolicies" => json!({"ScalingPolicies": [{
            "PolicyARN": "arn:p", "PolicyName": "p", "ServiceNamespace": "dynamodb", "ResourceId": "table/t.a",
            "ScalableDimension": "dynamodb:table:ReadCapacityUnits", "PolicyType": "TargetTrackingScaling",
            "CreationTime": 1, "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 70.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"}}}]}),
        other => panic!("{other} is not asked"),
    };
    (200, answer.to_string())
}

fn table(name: &str, id: &str, status: &str) -> Value {
    json!({
        "TableName": name, "TableId": id, "TableStatus": status, "CreationDateTime": 1_600_000_000,
        "TableArn": format!("arn:aws:dynamodb:eu-west-1:123456789012:table/{name}"), "TableSizeBytes": 42,
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6, "NumberOfDecreasesToday": 0},
        "GlobalSecondaryIndexes": [{"IndexName": "by_time", "IndexStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"},
            "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2}}],
        "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "arn:key"},
        "DeletionProtectionEnabled": true, "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"},
    })
}

fn backups(status: &str, earliest: i64) -> Value {
    json!({"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": {
        "PointInTimeRecoveryStatus": status, "RecoveryPeriodInDays": 14, "EarliestRestorableDateTime": earliest,
        "LatestRestorableDateTime": earliest + 1000}}})
}

fn is_of(body: &str, name: &str) -> bool {
    body.contains(&format!("\"{name}\""))
}

fn sentences(found: &Found) -> Vec<String> {
    found.against.iter().map(ToString::to_string).collect()
}

fn quiet() -> Interval {
    Interval {
        start: Timestamp::from_second(1_600_000_100).unwrap(),
        end: Timestamp::from_second(1_600_000_200).unwrap(),
    }
}

#[tokio::test]
async fn a_look_before_a_window_captures_what_a_restore_does_not_bring_back() {
    let found = Store::find(&store(|_, _| None)).await.unwrap();
    assert_eq!(sentences(&found), Vec::<String>::new());
    assert_eq!(found.capture.parts.keys().map(String::as_str).collect::<Vec<_>>(), names());
    let part = &found.capture.parts["t.a"];
    assert_eq!((part.identity.as_str(), part.bytes), ("id-t.a", Some(42)));
    assert_eq!(found.capture.parts["t.b"].settings["ScalableTargets"], Value::Null);
    insta::assert_snapshot!(serde_json::to_string_pretty(&part.settings).unwrap());
    let clock = found.clock.unwrap();
    assert!(clock.offset_low <= SignedDuration::ZERO && SignedDuration::ZERO <= clock.offset_high, "{clock:?}");
    let width = clock.offset_high - clock.offset_low;
    assert!(width < SignedDuration::from_millis(600), "{width:?}");
}

#[tokio::test]
async fn each_kind_of_trouble_is_one_reason() {
    let future = wall().as_second() + 60;
    let found = Store::find(&store(move |operation, body| match operation {
        "DescribeContinuousBackups" if is_of(body, "t.b") => Some((200, backups("ENABLED", future).to_string())),
        "DescribeContinuousBackups" if is_of(body, "scalardb.metadata") => None,
        "DescribeContinuousBackups" => Some((200, backups("DISABLED", 0).to_string())),
        "DescribeTable" if is_of(body, "t.b") => Some((200, json!({"Table": table("t.b", "b", "ARCHIVED")}).to_string())),
        "DescribeTable" if is_of(body, "scalardb.metadata") => Some(json_error("ResourceNotFoundException", "gone")),
        "DescribeTimeToLive" => Some(json_error("AccessDeniedException", "User: u is not authorized to perform: dynamodb:DescribeTimeToLive on resource: arn:aws:dynamodb:eu-west-1:1:table/x")),
        "DescribeScalingPolicies" => Some(json_error("AccessDeniedException", "no")),
        _ => None,
    }))
    .await
    .unwrap();
    insta::assert_snapshot!(sentences(&found).join("\n"));
}

#[tokio::test]
async fn a_pattern_that_matches_nothing_is_a_reason() {
    let mut store = store(|_, _| None);
    store.config.include.push("z.*".to_owned());
    let found = Store::find(&store).await.unwrap();
    assert_eq!(sentences(&found), ["store_unready: no table matches the pattern z.*"]);
}

#[tokio::test]
async fn an_outage_ends_a_look_before_all_tables_were_asked() {
    let asked = std::sync::Arc::new(Mutex::new(0));
    let count = asked.clone();
    let names: Vec<String> = (0..200).map(|number| format!("t.n{number:03}")).collect();
    let found = Store::find(&store(move |operation, _| match operation {
        "ListTables" => Some((200, json!({"TableNames": names}).to_string())),
        "DescribeTable" => {
            *count.lock().unwrap() += 1;
            Some(json_error("InternalServerError", "down"))
        }
        _ => None,
    }))
    .await
    .unwrap();
    assert!(*asked.lock().unwrap() <= 32 * 4 + 20, "{asked:?}");
    assert!(sentences(&found)[0].starts_with("store_unreachable: DescribeTable: InternalServerError: down"));
}

#[tokio::test]
async fn what_was_created_deleted_or_made_anew_since_is_told() {
    let before = Store::find(&store(|_, _| None)).await.unwrap().capture;
    let listed = json!({"TableNames": ["coordinator.state", "scalardb.metadata", "t.b", "t.c"]}).to_string();
    let created = |name: &str| {
        let mut table = table(name, "new", "ACTIVE");
        table["CreationDateTime"] = 1_600_000_150.into();
        (200, json!({"Table": table}).to_string())
    };
    let after = store(move |operation, body| match operation {
        "ListTables" => Some((200, listed.clone())),
        "DescribeTable" if is_of(body, "t.a") => Some(json_error("ResourceNotFoundException", "gone")),
        "DescribeTable" if is_of(body, "t.b") => Some(created("t.b")),
        "DescribeTable" if is_of(body, "t.c") => Some(created("t.c")),
        _ => None,
    });
    let after = Store::after(&after, &before, quiet()).await.unwrap();
    assert_eq!(after.gone, ["t.a", "t.b"]);
    insta::assert_snapshot!(after.changed.join("\n"));
}

#[tokio::test]
async fn a_look_tells_how_far_recovery_reaches_and_what_is_gone() {
    let store = store(|operation, body| match operation {
        "DescribeContinuousBackups" if is_of(body, "t.b") => Some((200, backups("DISABLED", 0).to_string())),
        "DescribeContinuousBackups" if is_of(body, "t.c") => Some(json_error("TableNotFoundException", "gone")),
        _ => None,
    });
    let names = ["t.a", "t.b", "t.c"].map(ToOwned::to_owned);
    let seen = Store::look(&store, &names).await.unwrap();
    let seen: Vec<Seen> = seen.into_values().map(Result::unwrap).collect();
    let a = &seen[0];
    assert_eq!(
        (a.identity.as_deref(), a.recovery, a.retention),
        (Some("id-t.a"), true, Duration::from_secs(14 * 86_400))
    );
    assert_eq!(a.latest, Timestamp::from_second(1_700_001_000).ok());
    assert_eq!((seen[1].identity.as_deref(), seen[1].recovery, seen[1].latest), (Some("id-t.b"), false, None));
    assert_eq!((seen[2].identity.clone(), seen[2].recovery), (None, false));
}
