//! A new config in the middle of materializing: one backup a table, nothing left, and never two followers of a store.

use crate::aws::{Effect, Rule};
use crate::rig::{HERE, LIMIT, Rig, STEPS};
use crate::support::wait_until;
use rustix::process::Signal;
use std::time::Duration;

const STORE: &str =
    "orders: {dynamodb: {region: ap-northeast-1, restores_at_once: 4, tables: {include: [\"shop.*\"]}}}";

#[test]
fn a_store_that_changes_while_it_is_materialized_is_materialized_once() {
    let rig = Rig::new(&[STORE], "");
    let tables = rig.application(3);
    let mut daemon = rig.daemon();
    rig.aws.clear_log();
    let mut limit = 4;
    let taken_up = "the new config is taken up: changed shop (stores)";
    for (number, operation) in STEPS.into_iter().enumerate() {
        // Carried out, but not answered: whoever asked is told to end meanwhile.
        let rule = rig.aws.fault(Rule::new(operation, Effect::Hang(Duration::from_secs(2))).nth(1));
        if number == 0 {
            rig.window();
            rig.write(HERE, &tables, "after");
        }
        wait_until(operation, LIMIT, || (rig.aws.fault_seen(rule) > 0).then_some(()));
        let config = std::fs::read_to_string(rig.path("config.yaml")).unwrap();
        let with = |limit: u32| format!("restores_at_once: {limit},");
        std::fs::write(rig.path("config.yaml"), config.replace(&with(limit), &with(limit % 4 + 1))).unwrap();
        limit = limit % 4 + 1;
        daemon.signal(Signal::HUP);
        wait_until(taken_up, LIMIT, || (daemon.output().matches(taken_up).count() > number).then_some(()));
        rig.aws.clear_faults();
    }
    rig.wait_for("materialized");
    rig.assert_one_backup_each(&tables);
    let begun = rig.aws.mutating_calls().iter().filter(|call| call.is("RestoreTableToPointInTime")).count();
    assert_eq!(begun, tables.len(), "each table was restored once");
    assert!(daemon.is_running());
}
