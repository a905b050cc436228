//! RDS and Aurora.

use super::{LIMIT, REGION, World, code};
use crate::sdk;
use crate::support::wait_until;
use aws_sdk_rds::Client;
use aws_sdk_rds::primitives::DateTime;
use aws_sdk_rds::types::{DbCluster, DbInstance};
use jiff::{SignedDuration, Timestamp};

fn client(world: &World) -> Client {
    Client::new(&sdk::config(&world.aws, &world.scope.account, REGION))
}

fn create_instance(world: &World, rds: &Client, name: &str, retention: i32) {
    let create =
        rds.create_db_instance().db_instance_identifier(name).db_instance_class("db.t3.micro").engine("postgres");
    let create = create.master_username("admin").master_user_password("password").allocated_storage(20);
    world.runtime.block_on(create.backup_retention_period(retention).send()).expect("the instance is made");
}

fn instance(world: &World, rds: &Client, name: &str) -> DbInstance {
    let described = world.runtime.block_on(rds.describe_db_instances().db_instance_identifier(name).send());
    described.expect("it answers").db_instances.expect("there are some").remove(0)
}

fn cluster(world: &World, rds: &Client, name: &str) -> DbCluster {
    let described = world.runtime.block_on(rds.describe_db_clusters().db_cluster_identifier(name).send());
    described.expect("it answers").db_clusters.expect("there are some").remove(0)
}

fn restore_instance(world: &World, rds: &Client, to: &str, at: Timestamp) -> Result<(), String> {
    let restore = rds.restore_db_instance_to_point_in_time().source_db_instance_identifier("ledger");
    let restore = restore.target_db_instance_identifier(to).restore_time(DateTime::from_secs(at.as_second()));
    world.runtime.block_on(restore.send()).map(|_| ()).map_err(code)
}

#[test]
fn an_instance_is_restored_to_a_time_before_its_latest_and_the_call_is_recorded() {
    let world = World::with_table("shop.orders");
    let rds = client(&world);
    create_instance(&world, &rds, "ledger", 7);
    world.aws.set_earliest("ledger", world.aws.now() - SignedDuration::from_secs(100));
    world.aws.freeze_latest();
    let latest = instance(&world, &rds, "ledger").latest_restorable_time.expect("backups are on");
    let latest = Timestamp::from_second(latest.secs()).expect("it is a time");
    let later = latest + SignedDuration::from_secs(1);
    assert_eq!(restore_instance(&world, &rds, "late", later), Err("InvalidRestoreFault".into()));
    let early = latest - SignedDuration::from_secs(200);
    assert_eq!(restore_instance(&world, &rds, "early", early), Err("InvalidRestoreFault".into()));
    let both = rds.restore_db_instance_to_point_in_time().source_db_instance_identifier("ledger");
    let both = both.target_db_instance_identifier("both").restore_time(DateTime::from_secs(latest.as_second()));
    let both = world.runtime.block_on(both.use_latest_restorable_time(true).send()).map(|_| ()).map_err(code);
    assert_eq!(both, Err("InvalidParameterCombination".into()));
    let at = latest - SignedDuration::from_secs(1);
    assert_eq!(restore_instance(&world, &rds, "restored", at), Ok(()));
    assert_eq!(restore_instance(&world, &rds, "restored", at), Err("DBInstanceAlreadyExists".into()));
    let restored = instance(&world, &rds, "restored");
    assert_eq!(restored.db_instance_status.as_deref(), Some("creating"));
    assert!(restored.latest_restorable_time.is_none());
    let done = || instance(&world, &rds, "restored").db_instance_status.as_deref() == Some("available");
    wait_until("the instance is there", LIMIT, || done().then_some(()));
    let calls = world.aws.mutating_calls();
    let call = calls.last().expect("there are calls");
    assert_eq!(call.operation, "RestoreDBInstanceToPointInTime");
    assert_eq!(call.text("RestoreTime").parse::<Timestamp>().expect("it is a time"), at);
}

#[test]
fn automated_backups_tell_the_restore_window_unless_retention_is_zero() {
    let world = World::with_table("shop.orders");
    let rds = client(&world);
    create_instance(&world, &rds, "ledger", 7);
    create_instance(&world, &rds, "scratch", 0);
    let backups = rds.describe_db_instance_automated_backups().db_instance_identifier("ledger");
    let backups = world.runtime.block_on(backups.send()).expect("it answers").db_instance_automated_backups;
    let window = backups.expect("there is one").remove(0).restore_window.expect("it has a window");
    assert!(window.earliest_time <= window.latest_time && window.earliest_time.is_some());
    assert!(instance(&world, &rds, "scratch").latest_restorable_time.is_none());
    let restore = rds.restore_db_instance_to_point_in_time().source_db_instance_identifier("scratch");
    let restore = restore.target_db_instance_identifier("again").use_latest_restorable_time(true);
    let refused = world.runtime.block_on(restore.send()).map(|_| ()).map_err(code);
    assert_eq!(refused, Err("PointInTimeRestoreNotEnabled".into()));
}

#[test]
fn a_cluster_is_restored_without_instances_and_has_no_times_until_then() {
    let world = World::with_table("shop.orders");
    let rds = client(&world);
    let create = rds.create_db_cluster().db_cluster_identifier("billing").engine("aurora-postgresql");
    let create = create.master_username("admin").master_user_password("password");
    world.runtime.block_on(create.send()).expect("the cluster is made");
    let member = rds.create_db_instance().db_instance_identifier("billing-1").db_cluster_identifier("billing");
    let member = member.engine("aurora-postgresql").db_instance_class("db.r5.large");
    world.runtime.block_on(member.send()).expect("the instance is made");
    world.aws.set_earliest("billing", world.aws.now() - SignedDuration::from_secs(100));
    let source = cluster(&world, &rds, "billing");
    let (earliest, latest) =
        (source.earliest_restorable_time.expect("it has one"), source.latest_restorable_time.expect("it has one"));
    assert!(earliest.secs() < latest.secs());
    let restore = |to: &str, seconds: i64| {
        let restore = rds.restore_db_cluster_to_point_in_time().source_db_cluster_identifier("billing");
        let restore = restore.db_cluster_identifier(to).restore_to_time(DateTime::from_secs(seconds));
        world.runtime.block_on(restore.send()).map(|_| ()).map_err(code)
    };
    assert_eq!(restore("late", latest.secs() + 60), Err("InvalidRestoreFault".into()));
    assert_eq!(restore("restored", latest.secs() - 1), Ok(()));
    let restored = cluster(&world, &rds, "restored");
    assert_eq!(restored.status.as_deref(), Some("creating"));
    assert!(restored.earliest_restorable_time.is_none() && restored.latest_restorable_time.is_none());
    assert!(restored.db_cluster_members.unwrap_or_default().is_empty());
    let done = || cluster(&world, &rds, "restored").latest_restorable_time.is_some();
    wait_until("the cluster is there", LIMIT, || done().then_some(()));
}
