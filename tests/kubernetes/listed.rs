//! What counts as listed in a group's namespaces, and what is at rest although it looks otherwise.

use crate::rig::{CHARTS, LONG, Rig, SHORT, shared};
use serde_json::{Value, json};

const ORDERS: [(&str, &str); 1] = [("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")];

/// A window of the group shop: exit code, and its first reason's sentence.
fn window(rig: &Rig) -> (i32, String) {
    let (code, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    let report: Value = serde_json::from_str(output.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {output}{errors}"));
    (code, report["reasons"][0]["sentence"].as_str().unwrap_or_default().to_owned())
}

fn other_group(cluster: &str) -> String {
    format!("  other:\n    window: {SHORT}\n    clusters:\n      reports: {{{cluster}}}\n")
}

#[test]
fn another_groups_cluster_counts_as_listed_only_in_its_own_namespace() {
    let rig = Rig::new(shared(), "elsewhere");
    rig.release("orders", &CHARTS[0], 1);
    rig.release("reports", &CHARTS[1], 1);
    let unlisted = "scalardb-server release reports in namespace elsewhere (1 pods) belongs to no group";
    let account = rig.api.account("elsewhere", "stillpoint");
    // Its context's own namespace is `default`.
    let nowhere = format!("kubeconfig: {}", account.display());
    rig.config(SHORT, "", &ORDERS);
    rig.append(&other_group(&format!("product: scalardb-server, kubernetes: {{{nowhere}, release: reports}}")));
    assert_eq!(window(&rig), (4, unlisted.to_owned()));
    for there in ["release: reports", "selector: \"app.kubernetes.io/instance in (reports,bills)\", port: 60051"] {
        rig.config(SHORT, "", &ORDERS);
        let place = format!("{nowhere}, namespace: elsewhere");
        rig.append(&other_group(&format!("product: scalardb-server, kubernetes: {{{place}, {there}}}")));
        assert_eq!(window(&rig), (0, String::new()), "{there}");
    }
}

#[test]
fn a_workload_is_ignored_by_its_release_its_owners_name_or_its_own() {
    let rig = Rig::new(shared(), "ignored");
    rig.release("orders", &CHARTS[0], 1);
    rig.release("reports", &CHARTS[1], 1);
    rig.api.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: by-hand, namespace: ignored, labels: {app.kubernetes.io/app: ledger}}\n\
         spec: {containers: [{name: x, image: x}]}\n",
    );
    rig.config(SHORT, "    ignore: [reports]\n", &ORDERS);
    let told = "scalardl-ledger pod/by-hand in namespace ignored (1 pods) belongs to no group";
    assert_eq!(window(&rig), (4, told.to_owned()));
    for patterns in ["reports, by-*", "reports-node, by-hand"] {
        rig.config(SHORT, &format!("    ignore: [{patterns}]\n"), &ORDERS);
        assert_eq!(window(&rig), (0, String::new()), "{patterns}");
    }
}

#[test]
fn a_stateful_set_that_keeps_old_pods_on_purpose_is_at_rest() {
    let rig = Rig::new(shared(), "ondelete");
    let set = |strategy: &str, note: &str, node: &str| {
        format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: checkout, namespace: ondelete}}\nspec:\n  serviceName: c\n  \
             replicas: 2\n  selector: {{matchLabels: {{app: checkout}}}}\n  updateStrategy: {strategy}\n  template:\n    \
             metadata: {{labels: {{app: checkout}}, annotations: {{note: \"{note}\"}}}}\n    spec: {{nodeName: {node}, containers: \
             [{{name: c, image: x, ports: [{{containerPort: 60099}}]}}]}}\n"
        )
    };
    let checkout = [("checkout", "product: custom, kubernetes: {PLACE, selector: \"app=checkout\", port: 60099}")];
    rig.api.apply(&set("{type: OnDelete}", "1", "test"));
    rig.wait_for_pods("app=checkout", 2);
    for (strategy, note, node, code) in [
        ("{type: OnDelete}", "2", "test", 0),
        ("{type: RollingUpdate, rollingUpdate: {partition: 2}}", "3", "test", 0),
        // On a node that is not there, so that the update does not come to its end.
        ("{type: RollingUpdate, rollingUpdate: {partition: 0}}", "4", "nowhere", 4),
    ] {
        rig.config(SHORT, "", &checkout);
        rig.api.apply(&set(strategy, note, node));
        rig.wait_for_observed("statefulset/checkout");
        let (ended, sentence) = window(&rig);
        assert_eq!(ended, code, "{strategy}: {sentence}");
    }
}

#[test]
fn a_member_whose_pod_was_evicted_after_a_crash_counts_as_open() {
    ended_after_a_crash("evicted", json!({"phase": "Failed", "reason": "Evicted"}));
}

#[test]
fn a_member_whose_container_does_not_come_back_after_a_crash_counts_as_open() {
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let status = json!({"name": "scalardb-cluster", "image": "x", "imageID": "x", "restartCount": 3, "ready": false, "state": waiting});
    ended_after_a_crash("crashloop", json!({"containerStatuses": [status]}));
}

/// The program dies in the hold, and a member's process with it, its pod is still listed: the recovery ends.
fn ended_after_a_crash(name: &str, status: Value) {
    let rig = Rig::new(shared(), name);
    rig.release("orders", &CHARTS[0], 2);
    rig.config(LONG, "", &ORDERS);
    let pod = rig.a_pod("app.kubernetes.io/app=scalardb-cluster");
    let mut window = rig.hold();
    window.kill();
    rig.end_process(&pod);
    rig.patch_status(&pod, status);
    let (exit, output, errors) = rig.run(&["recover"]);
    assert_eq!((exit, rig.paused()), (0, 0), "{output}{errors}");
    let history: Value = serde_json::from_str(&rig.run(&["history", "-o", "json"]).1).unwrap();
    assert_eq!(history[0]["verdict"], "discarded", "{history}");
}
