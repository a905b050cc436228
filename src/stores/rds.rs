//! An RDS instance.

use super::clock::time;
use super::database::{Kind, Told, Way, days, gibibytes, security_group, tag};
use super::json::{list, object, text};
use crate::aws::Fault;
use aws_sdk_rds::types::{DbInstance, RestoreWindow};
use serde_json::Value;

/// By its identifier.
pub struct Instance(pub String);

impl Kind for Instance {
    const KIND: &'static str = "rds";
    const NOUN: &'static str = "instance";

    fn name(&self) -> &str {
        &self.0
    }

    async fn look(&self, way: &Way) -> Result<Option<Told>, Fault> {
        let Some(instance) = self.describe(way).await? else { return Ok(None) };
        let identity = instance.dbi_resource_id().map(ToOwned::to_owned);
        let identity = identity.ok_or_else(|| Fault::lost("DescribeDBInstances: the answer tells no DbiResourceId"))?;
        let window =
            if days(instance.backup_retention_period()) > 0 { restore_window(way, &identity).await? } else { None };
        let cluster = instance.db_cluster_identifier();
        let member =
            cluster.map(|cluster| format!("that is a member of the cluster {cluster}, which is what is restored"));
        Ok(Some(Told {
            arn: instance.db_instance_arn().unwrap_or_default().to_owned(),
            status: instance.db_instance_status().unwrap_or("without a status").to_owned(),
            retention_days: days(instance.backup_retention_period()),
            earliest: time(window.as_ref().and_then(|window| window.earliest_time())),
            latest: time(instance.latest_restorable_time()),
            bytes: gibibytes(instance.allocated_storage()),
            settings: settings(&instance),
            unready: member.into_iter().collect(),
            identity,
        }))
    }

    async fn touch(&self, way: &Way) -> Result<(), Fault> {
        self.describe(way).await.map(|_| ())
    }
}

impl Instance {
    async fn describe(&self, way: &Way) -> Result<Option<DbInstance>, Fault> {
        let send = || way.client.describe_db_instances().db_instance_identifier(&self.0).send();
        let answer = Fault::found(way.account.asked("DescribeDBInstances", send).await)?;
        Ok(answer.and_then(|answer| answer.db_instances.unwrap_or_default().pop()))
    }
}

/// How far back an instance's automated backups reach; none: there are none yet.
async fn restore_window(way: &Way, identity: &str) -> Result<Option<RestoreWindow>, Fault> {
    let send = || way.client.describe_db_instance_automated_backups().dbi_resource_id(identity).send();
    let answer = Fault::found(way.account.asked("DescribeDBInstanceAutomatedBackups", send).await)?;
    let backups = answer.and_then(|answer| answer.db_instance_automated_backups).unwrap_or_default();
    Ok(backups.into_iter().find_map(|backup| backup.restore_window))
}

/// In the words of RestoreDBInstanceToPointInTime and ModifyDBInstance.
pub fn settings(instance: &DbInstance) -> Value {
    let parameters = instance.db_parameter_groups().first().and_then(|group| group.db_parameter_group_name());
    let options = instance.option_group_memberships().first().and_then(|group| group.option_group_name());
    let subnets = instance.db_subnet_group().and_then(|group| group.db_subnet_group_name());
    let name = |name: &String| Value::from(name.as_str());
    object([
        ("DBInstanceIdentifier", text(instance.db_instance_identifier())),
        ("DBInstanceClass", text(instance.db_instance_class())),
        ("Engine", text(instance.engine())),
        ("EngineVersion", text(instance.engine_version())),
        ("LicenseModel", text(instance.license_model())),
        ("Port", instance.endpoint().and_then(|endpoint| endpoint.port()).map(Value::from)),
        ("DBSubnetGroupName", text(subnets)),
        ("VpcSecurityGroupIds", list(instance.vpc_security_groups(), security_group)),
        ("DBParameterGroupName", text(parameters)),
        ("OptionGroupName", text(options)),
        ("AvailabilityZone", text(instance.availability_zone())),
        ("MultiAZ", instance.multi_az().map(Value::from)),
        ("PubliclyAccessible", instance.publicly_accessible().map(Value::from)),
        ("NetworkType", text(instance.network_type())),
        ("StorageType", text(instance.storage_type())),
        ("AllocatedStorage", instance.allocated_storage().map(Value::from)),
        ("MaxAllocatedStorage", instance.max_allocated_storage().map(Value::from)),
        ("Iops", instance.iops().map(Value::from)),
        ("StorageThroughput", instance.storage_throughput().map(Value::from)),
        ("DedicatedLogVolume", instance.dedicated_log_volume().map(Value::from)),
        ("StorageEncrypted", instance.storage_encrypted().map(Value::from)),
        ("KmsKeyId", text(instance.kms_key_id())),
        ("CACertificateIdentifier", text(instance.ca_certificate_identifier())),
        ("BackupRetentionPeriod", instance.backup_retention_period().map(Value::from)),
        ("PreferredBackupWindow", text(instance.preferred_backup_window())),
        ("PreferredMaintenanceWindow", text(instance.preferred_maintenance_window())),
        ("AutoMinorVersionUpgrade", instance.auto_minor_version_upgrade().map(Value::from)),
        ("CopyTagsToSnapshot", instance.copy_tags_to_snapshot().map(Value::from)),
        ("DeletionProtection", instance.deletion_protection().map(Value::from)),
        ("EnableIAMDatabaseAuthentication", instance.iam_database_authentication_enabled().map(Value::from)),
        ("EnableCloudwatchLogsExports", list(instance.enabled_cloudwatch_logs_exports(), name)),
        ("MonitoringInterval", instance.monitoring_interval().map(Value::from)),
        ("MonitoringRoleArn", text(instance.monitoring_role_arn())),
        ("EnablePerformanceInsights", instance.performance_insights_enabled().map(Value::from)),
        ("PerformanceInsightsKMSKeyId", text(instance.performance_insights_kms_key_id())),
        ("PerformanceInsightsRetentionPeriod", instance.performance_insights_retention_period().map(Value::from)),
        ("PromotionTier", instance.promotion_tier().map(Value::from)),
        ("ReadReplicaDBInstanceIdentifiers", list(instance.read_replica_db_instance_identifiers(), name)),
        ("Tags", list(instance.tag_list(), tag)),
    ])
}
