//! From a window to rows out of a backup: the main job in AWS, end to end.

use crate::rig::{HERE, LIMIT, OTHER, REGION, ROLE, Rig};
use crate::sdk;
use crate::support::wait_until;
use jiff::Timestamp;
use rustix::process::Signal;
use std::collections::BTreeSet;

const OURS: &str = "orders: {dynamodb: {region: ap-northeast-1, tables: {include: [\"shop.*\"]}}}";

fn named(stem: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{stem}{number}")).collect()
}

/// The tables that every account has beside its own.
fn with_scalardbs_own(mut names: Vec<String>) -> Vec<String> {
    names.extend(["coordinator.state", "scalardb.metadata"].map(str::to_owned));
    names
}

/// Restores a backup by plain calls, and answers with its rows.
fn restored(rig: &Rig, account: &str, arn: &str, target: &str) -> Vec<String> {
    let client = rig.client(account);
    rig.block_on(async {
        client.restore_table_from_backup().backup_arn(arn).target_table_name(target).send().await.unwrap();
    });
    wait_until("the backup is restored", LIMIT, || {
        let described = rig.block_on(client.describe_table().table_name(target).send()).unwrap();
        (described.table.unwrap().table_status.unwrap().as_str() == "ACTIVE").then_some(())
    });
    rig.rows(account, target)
}

#[test]
fn the_backups_of_twenty_tables_in_two_accounts_hold_exactly_the_rows_of_the_point() {
    let theirs = format!(
        "billing: {{dynamodb: {{region: {REGION}, role_arn: \"{ROLE}\", external_id: sesame, tables: {{include: \
         [\"bill.*\"]}}}}}}"
    );
    let rig = Rig::new(&[OURS, &theirs], "");
    rig.aws.require_external_id(ROLE, "sesame");
    let accounts = [(HERE, with_scalardbs_own(named("shop.t", 10))), (OTHER, with_scalardbs_own(named("bill.t", 10)))];
    for (account, tables) in &accounts {
        rig.tables(account, tables);
        rig.write(account, tables, "before");
    }
    let mut daemon = rig.daemon();
    rig.aws.clear_log();
    rig.window();
    for (account, tables) in &accounts {
        rig.write(account, tables, "after");
    }
    let point = rig.wait_for("materialized");
    assert_eq!(point["stores"]["orders"]["state"], "materialized");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(LIMIT).code(), Some(0));

    rig.assert_nothing_else_was_touched();
    let by = |operation: &str| rig.aws.mutating_calls().iter().filter(|call| call.is(operation)).count();
    for operation in ["RestoreTableToPointInTime", "TagResource", "CreateBackup", "DeleteTable"] {
        assert_eq!(by(operation), 24, "{operation} exactly once a table");
    }
    assert_eq!(by("DeleteBackup"), 0);
    for (account, tables) in &accounts {
        assert_eq!(rig.names(account).len(), tables.len(), "no temporary table is left: {:?}", rig.names(account));
        let backups = rig.backups(account);
        for table in tables {
            assert_eq!(rig.rows(account, table), ["after", "before"], "{table} is as it was");
            let [arn] = &backups[table][..] else { panic!("one backup of {table}: {backups:?}") };
            assert_eq!(restored(&rig, account, arn, &format!("back.{table}")), ["before"], "{table}");
        }
    }
}

#[test]
fn points_show_tells_tables_and_expire_deletes_their_backups_and_nothing_else() {
    let rig = Rig::new(&[OURS], "");
    let tables = with_scalardbs_own(named("shop.t", 2));
    rig.tables(HERE, &tables);
    let _daemon = rig.daemon();
    rig.window();
    let first = rig.wait_for("materialized")["window"].as_str().unwrap().to_owned();
    rig.window();
    rig.wait_for("materialized");
    let (code, shown, said) = rig.run(&["points", "show", &first, "-o", "json"]);
    assert_eq!(code, 0, "{said}");
    let parts = shown["stores"]["orders"]["parts"].as_array().unwrap();
    assert_eq!(parts.len(), tables.len(), "{said}");
    assert!(parts.iter().all(|part| part["step"] == "done" && part["backup"].is_string()), "{said}");
    assert_eq!(rig.backups(HERE).values().map(Vec::len).collect::<Vec<_>>(), [2; 4]);

    let newest = rig.point()["window"].as_str().unwrap().to_owned();
    let (code, _, said) = rig.run(&["points", "expire", &newest]);
    assert_eq!(code, 4, "the last good restore point is not given up: {said}");
    assert!(said.contains("--force"), "{said}");
    let (code, _, said) = rig.run(&["points", "expire", &first]);
    assert_eq!(code, 0, "{said}");
    wait_until("its backups are gone", LIMIT, || {
        rig.backups(HERE).values().all(|backups| backups.len() == 1).then_some(())
    });
    wait_until("it is expired", LIMIT, || {
        (rig.run(&["points", "show", &first, "-o", "json"]).1["state"] == "expired").then_some(())
    });
    assert_eq!(rig.point()["state"], "materialized", "the other one is untouched");
    rig.assert_nothing_else_was_touched();
}

#[test]
fn the_groups_rule_keeps_the_newest_backups() {
    let rig = Rig::new(&[OURS], "    keep: {last: 2}\n");
    rig.tables(HERE, &with_scalardbs_own(named("shop.t", 1)));
    let _daemon = rig.daemon();
    for _ in 0..3 {
        rig.window();
        rig.wait_for("materialized");
    }
    wait_until("the oldest is gone", LIMIT, || {
        rig.backups(HERE).values().all(|backups| backups.len() == 2).then_some(())
    });
    rig.assert_nothing_else_was_touched();
}

#[test]
fn without_a_daemon_points_materialize_goes_on_until_it_is_done() {
    let store = OURS.replace("tables:", "materialize: never, tables:");
    let rig = Rig::new(&[&store], "");
    let tables = with_scalardbs_own(named("shop.t", 2));
    rig.tables(HERE, &tables);
    {
        let mut daemon = rig.daemon();
        rig.window();
        rig.wait_for("restorable");
        daemon.stop();
    }
    assert!(rig.backups(HERE).is_empty(), "never is never");
    let window = rig.point()["window"].as_str().unwrap().to_owned();
    let (code, _, said) = rig.run(&["points", "materialize", &window]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(rig.point()["state"], "materialized");
    assert_eq!(rig.backups(HERE).into_keys().collect::<BTreeSet<_>>(), tables.into_iter().collect());
}

/// The stores of a group that lies in RDS and in Aurora.
const DATABASES: [&str; 2] = [
    "ledger: {rds: {region: ap-northeast-1, instance: ledger}}",
    "billing: {aurora: {region: ap-northeast-1, cluster: billing}}",
];

#[test]
fn an_instance_and_a_cluster_are_restored_to_the_point_once_it_is_restorable_and_not_before() {
    let rig = Rig::new(&DATABASES, "");
    let rds = aws_sdk_rds::Client::new(&sdk::patient(&rig.aws, HERE, REGION));
    rig.block_on(async {
        let instance = rds.create_db_instance().db_instance_identifier("ledger").db_instance_class("db.t3.medium");
        let instance = instance.engine("postgres").allocated_storage(20).backup_retention_period(7);
        instance.master_username("u").master_user_password("secret12").send().await.unwrap();
        let cluster = rds.create_db_cluster().db_cluster_identifier("billing").engine("aurora-postgresql");
        let cluster = cluster.master_username("u").master_user_password("secret12").backup_retention_period(7);
        cluster.send().await.unwrap();
    });
    let _daemon = rig.daemon();
    rig.aws.freeze_latest();
    rig.aws.clear_log();
    let report = rig.window();
    let point = report["restore_point"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let at = aws_sdk_rds::primitives::DateTime::from_secs(point.as_second());
    let instance = |target: &str| {
        let restore = rds.restore_db_instance_to_point_in_time().source_db_instance_identifier("ledger");
        rig.block_on(restore.target_db_instance_identifier(target).restore_time(at).send()).is_ok()
    };
    let cluster = |target: &str| {
        let restore = rds.restore_db_cluster_to_point_in_time().source_db_cluster_identifier("billing");
        rig.block_on(restore.db_cluster_identifier(target).restore_to_time(at).send()).is_ok()
    };
    let waiting = rig.point();
    assert_eq!(waiting["state"], "waiting", "{waiting}");
    assert!(!instance("early") && !cluster("early"), "what is waiting cannot be restored yet");
    rig.aws.unfreeze_latest();
    let restorable = rig.wait_for("restorable");
    for store in ["ledger", "billing"] {
        let latest = restorable["stores"][store]["latest"].as_str().unwrap().parse::<Timestamp>().unwrap();
        assert!(latest > point, "{store}: a point before the latest restorable time: {restorable}");
    }
    assert!(instance("back") && cluster("back"), "what is restorable can be restored");
    let asked = |operation: &str| {
        let calls = rig.aws.calls(|call| call.is(operation) && call.at < point);
        let after = rig.aws.calls(|call| call.is(operation) && call.at > point);
        (calls.len(), after.len())
    };
    for operation in ["DescribeDBInstances", "DescribeDBClusters"] {
        let (before, after) = asked(operation);
        assert!(before > 0 && after > 0, "{operation} before the window and after it: {before}, {after}");
    }
    let ours = rig.aws.mutating_calls();
    assert_eq!(ours.len(), 2, "only this test restored: {ours:?}");
}
