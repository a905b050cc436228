//! kill -9 in the middle of every step of materializing, then a new daemon: one backup a table, nothing left.

use crate::aws::{Effect, Rule};
use crate::rig::{HERE, LIMIT, Rig, STEPS};
use crate::support::wait_until;
use std::time::Duration;

const STORE: &str = "orders: {dynamodb: {region: ap-northeast-1, tables: {include: [\"shop.*\"]}}}";

/// Kills the daemon while the first request of each kind is under way, which meets this effect.
fn killed_at_every_step(effect: &Effect) {
    let rig = Rig::new(&[STORE], "");
    let tables = rig.application(3);
    let mut daemon = rig.daemon();
    rig.aws.clear_log();
    for (number, operation) in STEPS.into_iter().enumerate() {
        let rule = rig.aws.fault(Rule::new(operation, effect.clone()).nth(1));
        if number == 0 {
            rig.window();
            rig.write(HERE, &tables, "after");
        }
        wait_until(operation, LIMIT, || (rig.aws.fault_seen(rule) > 0).then_some(()));
        daemon.kill();
        rig.aws.clear_faults();
        daemon = rig.daemon();
    }
    rig.wait_for("materialized");
    rig.assert_one_backup_each(&tables);
    for table in &tables {
        assert_eq!(rig.rows(HERE, table), ["after", "before"], "{table} is as it was");
    }
}

#[test]
fn killed_while_requests_are_carried_out_the_next_daemon_finds_what_they_made() {
    killed_at_every_step(&Effect::Hang(Duration::from_secs(2)));
}

#[test]
fn killed_while_requests_are_lost_the_next_daemon_asks_again() {
    killed_at_every_step(&Effect::RequestLost);
}

#[test]
fn killed_while_requests_are_on_their_way_the_next_daemon_waits_for_them() {
    killed_at_every_step(&Effect::Late(Duration::from_secs(10)));
}
