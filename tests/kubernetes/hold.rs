//! What happens to a window when something changes in its hold.

use crate::rig::{CHARTS, LIMIT, LONG, Rig, SHORT, shared};
use crate::support::kubernetes::ApiServer;
use crate::support::wait_until;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ORDERS: &str = "app.kubernetes.io/app=scalardb-cluster";
const CLUSTERS: [(&str, &str); 1] = [("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")];

fn held(name: &str, window: &str) -> Rig {
    let rig = Rig::new(shared(), name);
    rig.release("orders", &CHARTS[0], 2);
    rig.config(window, "", &CLUSTERS);
    rig
}

/// In the hold, this happens: everything opens at once, and the verdict says what it was.
fn discarded_by(name: &str, change: impl FnOnce(&Rig, &str)) -> (String, String) {
    let rig = held(name, LONG);
    let pod = rig.a_pod(ORDERS);
    let window = rig.hold();
    let since = Instant::now();
    change(&rig, &pod);
    let opened = wait_until("something opens", Duration::from_secs(10), || rig.first_unpause());
    println!("{name}: {:.0} ms from before the change to the first unpause", (opened - since).as_secs_f64() * 1e3);
    let (exit, code, sentence) = rig.ended(window);
    assert_eq!((exit, rig.paused()), (3, 0), "{code}: {sentence}");
    (code, sentence.replace(&pod, "POD"))
}

fn changed(sentence: &str) -> (String, String) {
    ("census_changed".to_owned(), sentence.to_owned())
}

#[test]
fn a_container_that_restarts_ends_the_hold() {
    let told = discarded_by("restart", |rig, pod| {
        let container =
            json!({"name": "scalardb-cluster", "image": "x", "imageID": "x", "restartCount": 1, "ready": true});
        rig.patch_status(pod, json!({"containerStatuses": [container]}));
    });
    assert_eq!(told, changed("orders: pod/POD restarted: container scalardb-cluster, restart count 0 → 1"));
}

#[test]
fn a_pod_that_is_deleted_ends_the_hold() {
    let told = discarded_by("deleted", |rig, pod| {
        rig.kubectl(&["delete", "pod", pod, "--wait=false"]);
    });
    assert_eq!(told, changed("orders: pod/POD is Terminating"));
}

#[test]
fn a_pod_that_vanishes_ends_the_hold_and_counts_as_open() {
    let told = discarded_by("vanished", |rig, pod| {
        rig.kubectl(&["delete", "pod", pod, "--grace-period=0", "--force"]);
    });
    assert_eq!(told, changed("orders: pod/POD is gone"));
}

#[test]
fn a_scale_up_ends_the_hold() {
    let (code, sentence) = discarded_by("scaled", |rig, _| {
        rig.kubectl(&["scale", "deployment", "orders-node", "--replicas=3"]);
    });
    assert_eq!(code, "census_changed");
    assert!(
        sentence == "orders: deployment/orders-node is scaled: 2 → 3 replicas" || sentence.ends_with("is new"),
        "{sentence}"
    );
}

#[test]
fn a_rollout_ends_the_hold() {
    let (code, sentence) = discarded_by("rollout", |rig, _| {
        rig.kubectl(&["rollout", "restart", "deployment", "orders-node"]);
    });
    assert_eq!(code, "census_changed");
    assert!(
        sentence == "orders: deployment/orders-node is changed: generation 1 → 2" || sentence.ends_with("is new"),
        "{sentence}"
    );
}

#[test]
fn a_pod_that_is_no_longer_ready_ends_the_hold() {
    let told = discarded_by("unready", |rig, pod| {
        rig.patch_status(pod, json!({"conditions": [{"type": "Ready", "status": "False"}]}));
    });
    assert_eq!(told, changed("orders: pod/POD is not ready"));
}

#[test]
fn a_pod_that_joins_from_elsewhere_ends_the_hold() {
    let (code, sentence) = discarded_by("joins", |rig, _| {
        rig.api.apply(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: stray, namespace: joins, labels: {app.kubernetes.io/instance: orders, \
             app.kubernetes.io/app: scalardb-cluster}}\nspec: {containers: [{name: x, image: x}]}\n",
        );
    });
    assert_eq!((code, sentence), changed("orders: pod/stray is new"));
}

#[test]
fn an_unlisted_workload_that_starts_ends_the_hold() {
    let (code, sentence) = discarded_by("unlisted", |rig, _| {
        rig.api.apply(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: stray, namespace: unlisted, labels: {app.kubernetes.io/instance: reports, \
             app.kubernetes.io/app: ledger}}\nspec: {containers: [{name: x, image: x}]}\n",
        );
    });
    assert_eq!(code, "unlisted");
    assert_eq!(sentence, "scalardl-ledger release reports belongs to no group: pod/stray is new");
}

#[test]
fn an_annotation_and_a_pod_of_no_cluster_change_nothing() {
    let rig = held("annotated", "{hold: 6s, drain: 2s, max_pause: 20s}");
    let pod = rig.a_pod(ORDERS);
    let window = rig.hold();
    rig.kubectl(&["annotate", "pod", &pod, "note=1"]);
    rig.kubectl(&["label", "pod", &pod, "team=a"]);
    rig.kubectl(&["annotate", "deployment", "orders-node", "note=1"]);
    rig.kubectl(&["delete", "pod", "orders-envoy", "--wait=false"]);
    let (exit, code, sentence) = rig.ended(window);
    assert_eq!((exit, rig.paused()), (0, 0), "{code}: {sentence}");
}

#[test]
fn an_api_server_that_is_away_delays_no_unpausing_and_the_verdict_is_discarded() {
    let api = Arc::new(ApiServer::start(true));
    let rig = Rig::new(api, "away");
    rig.release("orders", &CHARTS[0], 2);
    rig.config("{hold: 4s, drain: 2s, max_pause: 20s}", "", &CLUSTERS);
    let window = rig.hold();
    let held = Instant::now();
    rig.api.stop();
    let opened = wait_until("it opens", LIMIT, || rig.first_unpause());
    assert!(opened - held < Duration::from_millis(4_500), "{:?}", opened - held);
    let (exit, code, sentence) = rig.ended(window);
    assert_eq!((exit, code.as_str(), rig.paused()), (3, "discovery", 0), "{sentence}");
    assert!(sentence.contains("the API server at https://127.0.0.1:"), "{sentence}");
}

#[test]
fn an_api_server_that_comes_back_with_its_history_keeps_the_window_and_without_it_voids_it() {
    for (name, compacted) in [("resumed", false), ("compacted", true)] {
        let api = Arc::new(ApiServer::start(true));
        let rig = Rig::new(api, name);
        rig.release("orders", &CHARTS[0], 2);
        rig.config("{hold: 20s, drain: 2s, max_pause: 40s}", "", &CLUSTERS);
        let window = rig.hold();
        if compacted {
            rig.kubectl(&["create", "configmap", "later"]);
            rig.api.compact();
        } else {
            rig.api.stop();
            rig.api.start_again();
        }
        let (exit, code, sentence) = rig.ended(window);
        assert_eq!(rig.paused(), 0);
        println!("{name}: exit {exit}, {code}: {sentence}");
        if compacted {
            assert_eq!((exit, code.as_str()), (3, "watch_gap"), "{sentence}");
        }
        // Without compaction a restarted API server may still not have the history in its cache: never wrong, only lost.
        assert!(exit == 0 || code == "watch_gap", "{code}: {sentence}");
    }
}

#[test]
fn rights_that_are_taken_away_in_the_hold_discard_it() {
    let rig = held("revoked", "{hold: 3s, drain: 2s, max_pause: 20s}");
    let window = rig.hold();
    rig.kubectl(&["delete", "rolebinding", "stillpoint"]);
    let (exit, code, sentence) = rig.ended(window);
    assert_eq!((exit, code.as_str(), rig.paused()), (3, "discovery", 0), "{sentence}");
    assert!(sentence.contains("is forbidden"), "{sentence}");
}

#[test]
fn a_dead_windows_members_are_opened_and_those_whose_pods_are_gone_count_as_open() {
    let rig = held("killed", LONG);
    let pod = rig.a_pod(ORDERS);
    let mut window = rig.hold();
    window.kill();
    rig.kubectl(&["delete", "pod", &pod, "--grace-period=0", "--force"]);
    let (exit, output, errors) = rig.run(&["recover"]);
    assert_eq!((exit, rig.paused()), (0, 0), "{output}{errors}");
    let _ = SHORT;
}
