//! Stages, and groups that do not wait for each other.

use crate::rig::{LIMIT, Rig};
use crate::{SHORT, support};
use std::time::Instant;
use stillpoint::sim::{Request, SimMember};

fn first(member: &SimMember, wanted: fn(&Request) -> bool) -> Instant {
    member.calls().iter().find(|call| wanted(&call.request)).expect("it was asked").at
}

#[test]
fn the_second_stage_is_paused_when_the_first_has_acknowledged_and_opened_in_the_same_order() {
    let window = "{hold: 2s, drain: 4s, max_pause: 20s}";
    let rig = Rig::new(2, window);
    rig.replace("new: {product: scalardl-auditor", "new: {stage: 1, product: scalardl-auditor");
    let guard = rig.enter();
    let transaction = rig.members[0].begin_transaction().unwrap();
    drop(guard);
    let mut command = rig.start(&["window", "shop", "-o", "json"]);
    rig.wait_until_paused(4);
    support::wait_until("the drain of the first stage lasts", LIMIT, || {
        (first(&rig.members[0], |request| matches!(request, Request::Pause { .. })).elapsed().as_millis() > 700)
            .then_some(())
    });
    assert_eq!(rig.paused(), 4, "the second stage waits for the first one's drain");
    let released = Instant::now();
    drop(transaction);
    assert_eq!(command.wait(LIMIT).code(), Some(0), "{}", command.tail());
    for member in &rig.members[4..] {
        assert!(first(member, |request| matches!(request, Request::Pause { .. })) >= released);
    }
    assert_eq!(rig.paused(), 0);
    let members = Rig::json(&command.output())["members"].clone();
    let stages: Vec<u64> = members.as_array().unwrap().iter().map(|member| member["stage"].as_u64().unwrap()).collect();
    assert_eq!(stages, [0, 0, 0, 0, 1, 1], "paused in this order, and opened in it");
    let output = command.output();
    assert!(output.contains("consistent"), "{output}");
}

#[test]
fn a_group_whose_member_does_not_open_waits_and_the_others_go_on() {
    let rig = Rig::new(1, SHORT);
    let other = {
        let _guard = rig.enter();
        SimMember::start(([127, 0, 0, 1], 0).into(), stillpoint::sim::Flavour::Scalardb, None).unwrap()
    };
    let group = format!(
        "groups:\n  other:\n    window: {SHORT}\n    clusters:\n      solo: {{product: scalardb-server, \
         addresses: [\"{}\"]}}\n",
        other.address()
    );
    rig.replace("groups:\n", &group);
    let mut daemon = rig.daemon();
    rig.members[0].refuse_unpause(u32::MAX);
    let mut stuck = rig.start(&["window", "shop"]);
    rig.wait_until_paused(3);
    rig.wait_until_paused(1);
    assert_eq!(rig.run(&["window", "other"]).0, 0, "the other group's window goes on");
    let (exit, _, errors) = rig.run(&["window", "shop"]);
    assert_eq!(exit, 1, "{errors}");
    assert!(errors.contains("group shop is in window"), "{errors}");
    // And across a restart.
    daemon.kill();
    stuck.wait(LIMIT);
    let _daemon = rig.daemon();
    assert_eq!(rig.run(&["window", "other"]).0, 0);
    assert_eq!(rig.run(&["window", "shop"]).0, 1);
    rig.members[0].refuse_unpause(0);
    rig.wait_until_paused(0);
    rig.wait_for_verdict("consistent");
    support::wait_until("the group is free", LIMIT, || (rig.run(&["window", "shop"]).0 == 0).then_some(()));
}
