//! Two Stillpoints with the same cluster in their configs: a laptop's and the daemon.

use crate::rig::{CHARTS, LIMIT, LONG, Rig, SHORT, shared};
use crate::support::wait_until;
use serde_json::Value;

const ORDERS: [(&str, &str); 1] = [("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")];
const LEASE: &str = "stillpoint-scalardb-cluster-orders";

fn holder(rig: &Rig) -> String {
    rig.kubectl(&["get", "lease", LEASE, "-o", "jsonpath={.spec.holderIdentity}"])
}

/// A second program over the same cluster, with a catalog of its own.
fn refused(rig: &Rig) -> (i32, String, String) {
    let (exit, output, errors) = rig.run_elsewhere(&["window", "shop", "-o", "json"]);
    let report: Value = serde_json::from_str(output.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {output}{errors}"));
    let text = |key: &str| report["reasons"][0][key].as_str().unwrap_or_default().to_owned();
    (exit, text("code"), text("sentence"))
}

#[test]
fn a_cluster_in_a_window_of_one_is_refused_to_the_other_until_that_has_ended() {
    let rig = Rig::new(shared(), "apart");
    rig.release("orders", &CHARTS[0], 2);
    rig.config("{hold: 4s, drain: 2s, max_pause: 20s}", "", &ORDERS);
    let window = rig.hold();
    let held = holder(&rig);
    let (host, catalog) = held.rsplit_once('/').unwrap();
    assert!(!host.is_empty() && catalog.len() == 16, "{held}");
    let (exit, code, sentence) = refused(&rig);
    assert_eq!((exit, code.as_str()), (4, "leased"), "{sentence}");
    let told = format!("orders: the Lease {LEASE} in namespace apart is held by {held} until ");
    assert!(sentence.starts_with(&told), "{sentence}");
    let (exit, code, sentence) = rig.ended(window);
    assert_eq!((exit, rig.paused()), (0, 0), "{code}: {sentence}");
    assert_eq!(holder(&rig), "", "it was let go");
    let (exit, code, sentence) = refused(&rig);
    assert_eq!((exit, code.as_str()), (0, ""), "{sentence}");
}

#[test]
fn a_dead_holders_lease_is_taken_again_by_its_own_next_start_and_by_others_when_it_ran_out() {
    let rig = Rig::new(shared(), "stale");
    rig.release("orders", &CHARTS[0], 1);
    rig.config(LONG, "", &ORDERS);
    let mut window = rig.hold();
    window.kill();
    let (_, code, _) = refused(&rig);
    assert_eq!(code, "leased", "the dead one's Lease still stands");
    let (exit, output, errors) = rig.run(&["recover"]);
    assert_eq!((exit, rig.paused()), (0, 0), "{output}{errors}");
    assert_eq!(holder(&rig), "", "the recovery let it go");
    let past = r#"{"spec": {"holderIdentity": "gone:/catalog.db", "renewTime": "2026-01-01T00:00:00.000000Z"}}"#;
    rig.kubectl(&["patch", "lease", LEASE, "--type=merge", "-p", past]);
    rig.config(SHORT, "", &ORDERS);
    let (exit, output, errors) = rig.run(&["window", "shop"]);
    assert_eq!(exit, 0, "{output}{errors}");
}

#[test]
fn a_lease_that_somebody_takes_in_the_hold_discards_the_window() {
    let rig = Rig::new(shared(), "stolen");
    rig.release("orders", &CHARTS[0], 1);
    rig.config("{hold: 40s, drain: 2s, max_pause: 60s}", "", &ORDERS);
    let window = rig.hold();
    let now = jiff::Timestamp::now();
    let stolen = format!(r#"{{"spec": {{"holderIdentity": "thief", "renewTime": "{now:.6}"}}}}"#);
    rig.kubectl(&["patch", "lease", LEASE, "--type=merge", "-p", &stolen]);
    wait_until("it opens at its next renewal", LIMIT, || rig.first_unpause());
    let (exit, code, sentence) = rig.ended(window);
    assert_eq!((exit, code.as_str(), rig.paused()), (3, "leased", 0), "{sentence}");
    assert_eq!(holder(&rig), "thief", "somebody else's Lease is left alone");
}
