//! Respectful: what someone else paused stays paused.

use crate::rig::{LIMIT, Rig, get};
use crate::{SHORT, code, support};

#[test]
fn a_member_that_someone_else_paused_refuses_the_window_and_is_never_unpaused() {
    let rig = Rig::new(2, SHORT);
    rig.pause_as_someone_else(1);
    let mut daemon = rig.daemon();
    let (exit, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!(exit, 4, "{output}{errors}");
    let report = Rig::json(&output);
    assert_eq!(code(&report), "already_paused");
    let sentence = report["reasons"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains(&rig.members[1].address().to_string()), "{sentence}");
    support::wait_until("a sweep counts it", LIMIT, || {
        let line = "stillpoint_members_paused{group=\"shop\",scalar_cluster=\"orders\"} 1";
        get(rig.http, "/metrics").contains(line).then_some(())
    });
    daemon.wait_for_line("is paused, and not by a window of ours", LIMIT);
    daemon.stop();
    assert_eq!((rig.pauses(), rig.unpauses(), rig.paused()), (1, 0, 1), "the one pause is someone else's");
}
