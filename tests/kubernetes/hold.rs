//! What happens to a window when something changes in its hold.

use crate::rig::{CHARTS, LIMIT, LONG, Line, Rig, shared};
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
    assert_eq!(exit, 3, "{code}: {sentence}");
    // A pod that is deleted by force is gone before its process is: the kubelet ends that a moment later.
    wait_until("nothing is paused", LIMIT, || (rig.paused() == 0).then_some(()));
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
    assert!(
        [changed("orders: pod/POD is gone"), changed("orders: pod/POD is Terminating")].contains(&told),
        "{told:?}"
    );
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
    let verdict = rig.first_unpause().map(|at| at.elapsed().as_secs_f64());
    println!("from the first unpause to the verdict, the watch catching up in between: {verdict:?} s");
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
fn an_api_server_that_lost_the_history_voids_the_window() {
    let rig = Rig::new(Arc::new(ApiServer::start(true)), "compacted");
    rig.release("orders", &CHARTS[0], 2);
    rig.config(LONG, "", &CLUSTERS);
    let window = rig.hold();
    rig.kubectl(&["create", "configmap", "later"]);
    rig.api.compact();
    let (exit, code, sentence) = rig.ended(window);
    assert_eq!((exit, code.as_str(), rig.paused()), (3, "watch_gap", 0), "{sentence}");
}

/// A window over an API server behind a line that can be cut.
fn behind_a_line(name: &str, window: &str) -> (Rig, Line) {
    let rig = held(name, window);
    let line = Line::to(rig.api.port());
    let kubeconfig = rig.api.through(&rig.api.account(name, "stillpoint"), line.port());
    rig.configure(&kubeconfig, window, "", &CLUSTERS);
    (rig, line)
}

#[test]
fn a_watch_that_is_cut_is_resumed_without_a_gap() {
    let (rig, line) = behind_a_line("cut", "{hold: 4s, drain: 2s, max_pause: 20s}");
    let window = rig.hold();
    for _ in 0..5 {
        line.cut();
    }
    rig.kubectl(&["create", "configmap", "later"]);
    let (exit, code, sentence) = rig.ended(window);
    assert_eq!((exit, rig.paused()), (0, 0), "{code}: {sentence}");
}

#[test]
fn a_pod_that_came_and_went_while_the_watch_was_cut_is_told() {
    let (rig, line) = behind_a_line("flitted", LONG);
    let window = rig.hold();
    line.refuse(true);
    rig.api.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: stray, namespace: flitted, labels: {app.kubernetes.io/instance: orders, \
         app.kubernetes.io/app: scalardb-cluster}}\nspec: {containers: [{name: x, image: x}]}\n",
    );
    rig.kubectl(&["delete", "pod", "stray", "--grace-period=0", "--force"]);
    assert_eq!(rig.paused(), 2, "nobody knows yet");
    line.refuse(false);
    let (exit, code, sentence) = rig.ended(window);
    assert_eq!((exit, code.as_str(), rig.paused()), (3, "census_changed", 0), "{sentence}");
    assert_eq!(sentence, "orders: pod/stray is new");
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
fn an_address_that_fell_to_another_pod_is_not_unpaused_after_a_crash() {
    let rig = held("reused", LONG);
    let pod = rig.a_pod(ORDERS);
    let address = rig.address_of(&pod);
    let mut window = rig.hold();
    window.kill();
    rig.kubectl(&["delete", "pod", &pod, "--grace-period=0", "--force"]);
    let other = rig.someone_elses(&address);
    let (exit, output, errors) = rig.run(&["recover"]);
    assert_eq!((exit, rig.paused()), (0, 0), "{output}{errors}");
    assert!(other.is_paused(), "it was paused by someone else: {:?}", other.calls());
}
