//! An Aurora cluster. Its instances have no data of their own; a restore has to make them again.

use super::ask::pages;
use super::clock::time;
use super::database::{Kind, Told, Way, days, gibibytes, security_group, tag};
use super::json::{list, object, text};
use super::rds;
use crate::aws::Fault;
use aws_sdk_rds::types::{
    DbCluster, DbClusterMember, DbInstance, Filter, ScalingConfigurationInfo, ServerlessV2ScalingConfigurationInfo,
};
use serde_json::Value;

/// By its identifier.
pub struct Cluster(pub String);

impl Kind for Cluster {
    const KIND: &'static str = "aurora";
    const NOUN: &'static str = "cluster";

    fn name(&self) -> &str {
        &self.0
    }

    async fn look(&self, way: &Way) -> Result<Option<Told>, Fault> {
        let Some(cluster) = self.describe(way).await? else { return Ok(None) };
        let identity = cluster.db_cluster_resource_id().map(ToOwned::to_owned);
        let identity =
            identity.ok_or_else(|| Fault::lost("DescribeDBClusters: the answer tells no DbClusterResourceId"))?;
        let instances = self.instances(way).await?;
        Ok(Some(Told {
            arn: cluster.db_cluster_arn().unwrap_or_default().to_owned(),
            status: cluster.status().unwrap_or("without a status").to_owned(),
            retention_days: days(cluster.backup_retention_period()),
            earliest: time(cluster.earliest_restorable_time()),
            latest: time(cluster.latest_restorable_time()),
            bytes: gibibytes(cluster.allocated_storage()),
            settings: settings(&cluster, &instances),
            unready: Vec::new(),
            identity,
        }))
    }

    async fn touch(&self, way: &Way) -> Result<(), Fault> {
        self.describe(way).await.map(|_| ())
    }
}

impl Cluster {
    async fn describe(&self, way: &Way) -> Result<Option<DbCluster>, Fault> {
        let send = || way.client.describe_db_clusters().db_cluster_identifier(&self.0).send();
        let answer = Fault::found(way.account.asked("DescribeDBClusters", send).await)?;
        Ok(answer.and_then(|answer| answer.db_clusters.unwrap_or_default().pop()))
    }

    async fn instances(&self, way: &Way) -> Result<Vec<DbInstance>, Fault> {
        pages("DescribeDBInstances", |from: Option<String>| async move {
            let filter = Filter::builder().name("db-cluster-id").values(&self.0).build();
            let request = || way.client.describe_db_instances().filters(filter.clone()).set_marker(from.clone());
            let answer = way.account.asked("DescribeDBInstances", || request().send()).await?;
            Ok((answer.db_instances.unwrap_or_default(), answer.marker.filter(|marker| !marker.is_empty())))
        })
        .await
    }
}

/// In the words of RestoreDBClusterToPointInTime and CreateDBInstance; its instances by themselves.
fn settings(cluster: &DbCluster, instances: &[DbInstance]) -> Value {
    let name = |name: &String| Value::from(name.as_str());
    object([
        ("DBClusterIdentifier", text(cluster.db_cluster_identifier())),
        ("Engine", text(cluster.engine())),
        ("EngineVersion", text(cluster.engine_version())),
        ("EngineMode", text(cluster.engine_mode())),
        ("Port", cluster.port().map(Value::from)),
        ("AvailabilityZones", list(cluster.availability_zones(), name)),
        ("DBSubnetGroupName", text(cluster.db_subnet_group())),
        ("VpcSecurityGroupIds", list(cluster.vpc_security_groups(), security_group)),
        ("DBClusterParameterGroupName", text(cluster.db_cluster_parameter_group())),
        ("NetworkType", text(cluster.network_type())),
        ("StorageType", text(cluster.storage_type())),
        ("Iops", cluster.iops().map(Value::from)),
        ("StorageEncrypted", cluster.storage_encrypted().map(Value::from)),
        ("KmsKeyId", text(cluster.kms_key_id())),
        ("BackupRetentionPeriod", cluster.backup_retention_period().map(Value::from)),
        ("PreferredBackupWindow", text(cluster.preferred_backup_window())),
        ("PreferredMaintenanceWindow", text(cluster.preferred_maintenance_window())),
        ("BacktrackWindow", cluster.backtrack_window().map(Value::from)),
        ("DeletionProtection", cluster.deletion_protection().map(Value::from)),
        ("CopyTagsToSnapshot", cluster.copy_tags_to_snapshot().map(Value::from)),
        ("EnableIAMDatabaseAuthentication", cluster.iam_database_authentication_enabled().map(Value::from)),
        ("EnableHttpEndpoint", cluster.http_endpoint_enabled().map(Value::from)),
        ("EnableCloudwatchLogsExports", list(cluster.enabled_cloudwatch_logs_exports(), name)),
        ("GlobalClusterIdentifier", text(cluster.global_cluster_identifier())),
        ("ScalingConfiguration", cluster.scaling_configuration_info().map(serverless)),
        ("ServerlessV2ScalingConfiguration", cluster.serverless_v2_scaling_configuration().map(serverless_v2)),
        ("Tags", list(cluster.tag_list(), tag)),
        ("DBClusterMembers", list(cluster.db_cluster_members(), member)),
        ("DBInstances", list(instances, rds::settings)),
    ])
}

/// Who writes; the rest is with the instances.
fn member(member: &DbClusterMember) -> Value {
    object([
        ("DBInstanceIdentifier", text(member.db_instance_identifier())),
        ("IsClusterWriter", member.is_cluster_writer().map(Value::from)),
        ("PromotionTier", member.promotion_tier().map(Value::from)),
    ])
}

fn serverless(scaling: &ScalingConfigurationInfo) -> Value {
    object([
        ("MinCapacity", scaling.min_capacity().map(Value::from)),
        ("MaxCapacity", scaling.max_capacity().map(Value::from)),
        ("AutoPause", scaling.auto_pause().map(Value::from)),
        ("SecondsUntilAutoPause", scaling.seconds_until_auto_pause().map(Value::from)),
        ("TimeoutAction", text(scaling.timeout_action())),
        ("SecondsBeforeTimeout", scaling.seconds_before_timeout().map(Value::from)),
    ])
}

fn serverless_v2(scaling: &ServerlessV2ScalingConfigurationInfo) -> Value {
    object([
        ("MinCapacity", scaling.min_capacity().map(Value::from)),
        ("MaxCapacity", scaling.max_capacity().map(Value::from)),
        ("SecondsUntilAutoPause", scaling.seconds_until_auto_pause().map(Value::from)),
    ])
}
