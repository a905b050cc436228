//! What a restore does not bring back of a table, in the words of the requests that set it (CreateTable,
//! UpdateTimeToLive, UpdateContinuousBackups, RegisterScalableTarget, PutScalingPolicy).

use super::super::json::{list, object, text};
use aws_sdk_applicationautoscaling::types::{ScalableTarget, ScalingPolicy, TargetTrackingScalingPolicyConfiguration};
use aws_sdk_dynamodb::types::{
    BillingMode, ContinuousBackupsDescription, GlobalSecondaryIndexDescription, KeySchemaElement,
    LocalSecondaryIndexDescription, OnDemandThroughput, PointInTimeRecoveryStatus, Projection,
    ProvisionedThroughputDescription, ReplicaDescription, SseDescription, SseStatus, TableDescription, Tag,
    TimeToLiveDescription, TimeToLiveStatus,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What DescribeTable tells.
pub fn table(table: &TableDescription) -> Value {
    let mode = table.billing_mode_summary().and_then(|summary| summary.billing_mode()).cloned();
    let mode = mode.unwrap_or(BillingMode::Provisioned);
    let provisioned = mode == BillingMode::Provisioned;
    let attributes = |attribute: &aws_sdk_dynamodb::types::AttributeDefinition| json!({"AttributeName": attribute.attribute_name(), "AttributeType": attribute.attribute_type().as_str()});
    let class = table.table_class_summary().and_then(|summary| summary.table_class());
    object([
        ("AttributeDefinitions", list(table.attribute_definitions(), attributes)),
        ("KeySchema", list(table.key_schema(), key)),
        ("LocalSecondaryIndexes", list(table.local_secondary_indexes(), local_index)),
        ("GlobalSecondaryIndexes", list(table.global_secondary_indexes(), |index| global_index(index, provisioned))),
        ("BillingMode", Some(mode.as_str().into())),
        ("ProvisionedThroughput", table.provisioned_throughput().filter(|_| provisioned).map(throughput)),
        ("OnDemandThroughput", table.on_demand_throughput().map(on_demand)),
        ("StreamSpecification", table.stream_specification().map(stream)),
        ("SSESpecification", table.sse_description().map(encryption)),
        ("TableClass", class.map(|class| class.as_str().into())),
        ("DeletionProtectionEnabled", table.deletion_protection_enabled().map(Value::from)),
        ("GlobalTableVersion", text(table.global_table_version())),
        ("Replicas", list(table.replicas(), replica)),
    ])
}

fn key(key: &KeySchemaElement) -> Value {
    json!({"AttributeName": key.attribute_name(), "KeyType": key.key_type().as_str()})
}

fn projection(projection: &Projection) -> Value {
    object([
        ("ProjectionType", projection.projection_type().map(|kind| kind.as_str().into())),
        ("NonKeyAttributes", list(projection.non_key_attributes(), |name| Value::from(name.as_str()))),
    ])
}

fn local_index(index: &LocalSecondaryIndexDescription) -> Value {
    object([
        ("IndexName", text(index.index_name())),
        ("KeySchema", list(index.key_schema(), key)),
        ("Projection", index.projection().map(projection)),
    ])
}

fn global_index(index: &GlobalSecondaryIndexDescription, provisioned: bool) -> Value {
    object([
        ("IndexName", text(index.index_name())),
        ("KeySchema", list(index.key_schema(), key)),
        ("Projection", index.projection().map(projection)),
        ("ProvisionedThroughput", index.provisioned_throughput().filter(|_| provisioned).map(throughput)),
        ("OnDemandThroughput", index.on_demand_throughput().map(on_demand)),
    ])
}

fn throughput(throughput: &ProvisionedThroughputDescription) -> Value {
    object([
        ("ReadCapacityUnits", throughput.read_capacity_units().map(Value::from)),
        ("WriteCapacityUnits", throughput.write_capacity_units().map(Value::from)),
    ])
}

fn on_demand(throughput: &OnDemandThroughput) -> Value {
    object([
        ("MaxReadRequestUnits", throughput.max_read_request_units().map(Value::from)),
        ("MaxWriteRequestUnits", throughput.max_write_request_units().map(Value::from)),
    ])
}

fn stream(stream: &aws_sdk_dynamodb::types::StreamSpecification) -> Value {
    object([
        ("StreamEnabled", Some(stream.stream_enabled().into())),
        ("StreamViewType", stream.stream_view_type().map(|kind| kind.as_str().into())),
    ])
}

fn encryption(encryption: &SseDescription) -> Value {
    let on = matches!(encryption.status(), Some(SseStatus::Enabled | SseStatus::Enabling | SseStatus::Updating));
    object([
        ("Enabled", Some(on.into())),
        ("SSEType", encryption.sse_type().map(|kind| kind.as_str().into())),
        ("KMSMasterKeyId", text(encryption.kms_master_key_arn())),
    ])
}

fn replica(replica: &ReplicaDescription) -> Value {
    let read = |units: &aws_sdk_dynamodb::types::ProvisionedThroughputOverride| {
        object([("ReadCapacityUnits", units.read_capacity_units().map(Value::from))])
    };
    let read_on_demand = |units: &aws_sdk_dynamodb::types::OnDemandThroughputOverride| {
        object([("MaxReadRequestUnits", units.max_read_request_units().map(Value::from))])
    };
    let index = |index: &aws_sdk_dynamodb::types::ReplicaGlobalSecondaryIndexDescription| {
        object([
            ("IndexName", text(index.index_name())),
            ("ProvisionedThroughputOverride", index.provisioned_throughput_override().map(read)),
            ("OnDemandThroughputOverride", index.on_demand_throughput_override().map(read_on_demand)),
        ])
    };
    let class = replica.replica_table_class_summary().and_then(|summary| summary.table_class());
    object([
        ("RegionName", text(replica.region_name())),
        ("KMSMasterKeyId", text(replica.kms_master_key_id())),
        ("ProvisionedThroughputOverride", replica.provisioned_throughput_override().map(read)),
        ("OnDemandThroughputOverride", replica.on_demand_throughput_override().map(read_on_demand)),
        ("GlobalSecondaryIndexes", list(replica.global_secondary_indexes(), index)),
        ("TableClassOverride", class.map(|class| class.as_str().into())),
    ])
}

/// What DescribeContinuousBackups tells.
pub fn recovery(backups: &ContinuousBackupsDescription) -> Value {
    let recovery = backups.point_in_time_recovery_description();
    let on = recovery.and_then(|recovery| recovery.point_in_time_recovery_status())
        == Some(&PointInTimeRecoveryStatus::Enabled);
    object([
        ("PointInTimeRecoveryEnabled", Some(on.into())),
        ("RecoveryPeriodInDays", recovery.and_then(|recovery| recovery.recovery_period_in_days()).map(Value::from)),
    ])
}

/// What DescribeTimeToLive tells.
pub fn time_to_live(told: &TimeToLiveDescription) -> Value {
    let on = matches!(told.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling));
    object([("Enabled", Some(on.into())), ("AttributeName", text(told.attribute_name()))])
}

/// What ListTagsOfResource tells.
pub fn tags(tags: &[Tag]) -> Value {
    let tag = |tag: &Tag| json!({"Key": tag.key(), "Value": tag.value()});
    list(tags, tag).unwrap_or_else(|| json!([]))
}

/// What Application Auto Scaling tells of all tables: by table, with its indexes.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Scaling(BTreeMap<String, (Vec<Value>, Vec<Value>)>);

impl Scaling {
    pub fn new(targets: &[ScalableTarget], policies: &[ScalingPolicy]) -> Self {
        let mut tables = Self::default();
        for told in targets {
            tables.of(told.resource_id()).0.push(target(told));
        }
        for told in policies {
            tables.of(told.resource_id()).1.push(policy(told));
        }
        tables
    }

    /// `table/orders.a` and `table/orders.a/index/by_time` are both of `orders.a`.
    fn of(&mut self, resource: &str) -> &mut (Vec<Value>, Vec<Value>) {
        let table = resource.split('/').nth(1).unwrap_or_default();
        self.0.entry(table.to_owned()).or_default()
    }

    /// Adds a table's to its settings.
    pub fn add(&self, table: &str, settings: &mut Value) {
        if let Some((targets, policies)) = self.0.get(table) {
            settings["ScalableTargets"] = targets.clone().into();
            settings["ScalingPolicies"] = policies.clone().into();
        }
    }
}

fn target(target: &ScalableTarget) -> Value {
    let suspended = |state: &aws_sdk_applicationautoscaling::types::SuspendedState| {
        object([
            ("DynamicScalingInSuspended", state.dynamic_scaling_in_suspended().map(Value::from)),
            ("DynamicScalingOutSuspended", state.dynamic_scaling_out_suspended().map(Value::from)),
            ("ScheduledScalingSuspended", state.scheduled_scaling_suspended().map(Value::from)),
        ])
    };
    object([
        ("ServiceNamespace", Some(target.service_namespace().as_str().into())),
        ("ResourceId", Some(target.resource_id().into())),
        ("ScalableDimension", Some(target.scalable_dimension().as_str().into())),
        ("MinCapacity", Some(target.min_capacity().into())),
        ("MaxCapacity", Some(target.max_capacity().into())),
        ("RoleARN", Some(target.role_arn().into())),
        ("SuspendedState", target.suspended_state().map(suspended)),
    ])
}

fn policy(policy: &ScalingPolicy) -> Value {
    object([
        ("PolicyName", Some(policy.policy_name().into())),
        ("ServiceNamespace", Some(policy.service_namespace().as_str().into())),
        ("ResourceId", Some(policy.resource_id().into())),
        ("ScalableDimension", Some(policy.scalable_dimension().as_str().into())),
        ("PolicyType", Some(policy.policy_type().as_str().into())),
        (
            "TargetTrackingScalingPolicyConfiguration",
            policy.target_tracking_scaling_policy_configuration().map(target_tracking),
        ),
    ])
}

/// DynamoDB scales by target tracking alone.
fn target_tracking(tracking: &TargetTrackingScalingPolicyConfiguration) -> Value {
    let predefined = |metric: &aws_sdk_applicationautoscaling::types::PredefinedMetricSpecification| {
        object([
            ("PredefinedMetricType", Some(metric.predefined_metric_type().as_str().into())),
            ("ResourceLabel", text(metric.resource_label())),
        ])
    };
    let dimension = |dimension: &aws_sdk_applicationautoscaling::types::MetricDimension| json!({"Name": dimension.name(), "Value": dimension.value()});
    let customized = |metric: &aws_sdk_applicationautoscaling::types::CustomizedMetricSpecification| {
        object([
            ("MetricName", text(metric.metric_name())),
            ("Namespace", text(metric.namespace())),
            ("Dimensions", list(metric.dimensions(), dimension)),
            ("Statistic", metric.statistic().map(|statistic| statistic.as_str().into())),
            ("Unit", text(metric.unit())),
        ])
    };
    object([
        ("TargetValue", Some(tracking.target_value().into())),
        ("PredefinedMetricSpecification", tracking.predefined_metric_specification().map(predefined)),
        ("CustomizedMetricSpecification", tracking.customized_metric_specification().map(customized)),
        ("ScaleOutCooldown", tracking.scale_out_cooldown().map(Value::from)),
        ("ScaleInCooldown", tracking.scale_in_cooldown().map(Value::from)),
        ("DisableScaleIn", tracking.disable_scale_in().map(Value::from)),
    ])
}
