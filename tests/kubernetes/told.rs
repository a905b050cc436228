//! What `kubectl describe` shows of windows.

use crate::rig::{CHARTS, LIMIT, LONG, Rig, SHORT, shared};
use crate::support::wait_until;
use serde_json::Value;

const ORDERS: [(&str, &str); 1] = [("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")];

/// The events on a workload, oldest first: type, reason, note.
fn events(rig: &Rig, kind: &str, name: &str) -> Vec<(String, String, String)> {
    let list = rig.kubectl(&["get", "events.events.k8s.io", "-o", "json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let mut found: Vec<&Value> = list["items"].as_array().unwrap().iter().collect();
    found.retain(|event| {
        let (regarding, by) = (&event["regarding"], &event["reportingController"]);
        regarding["kind"] == kind && regarding["name"] == name && by == "stillpoint"
    });
    found.sort_by_key(|event| event["eventTime"].as_str().unwrap().to_owned());
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    found.into_iter().map(|event| (text(event, "type"), text(event, "reason"), text(event, "note"))).collect()
}

fn reasons(events: &[(String, String, String)]) -> Vec<&str> {
    events.iter().map(|(_, reason, _)| reason.as_str()).collect()
}

#[test]
fn a_window_leaves_events_on_its_workloads_and_on_the_daemons_own_pod() {
    let rig = Rig::new(shared(), "told");
    rig.release("orders", &CHARTS[0], 2);
    rig.api.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: sp-0, namespace: told}\nspec: {containers: [{name: x, image: x}]}\n",
    );
    rig.config(SHORT, "", &ORDERS);
    let uid = rig.kubectl(&["get", "pod", "sp-0", "-o", "jsonpath={.metadata.uid}"]);
    let kubeconfig = rig.api.account("told", "stillpoint").display().to_string();
    let own = [("POD_NAME", "sp-0"), ("POD_NAMESPACE", "told"), ("POD_UID", &uid), ("KUBECONFIG", &kubeconfig)];
    let (exit, output, errors) = rig.run_with(&own, &["window", "shop"]);
    assert_eq!(exit, 0, "{output}{errors}");
    let on = events(&rig, "Deployment", "orders-node");
    assert_eq!(reasons(&on), ["WindowStarted", "ClusterOpened", "WindowConsistent"], "{on:?}");
    assert!(on.iter().all(|(kind, ..)| kind == "Normal"), "{on:?}");
    assert!(on[2].2.contains(": restore point 2"), "{on:?}");
    let own = events(&rig, "Pod", "sp-0");
    assert_eq!(reasons(&own), ["WindowConsistent"], "{own:?}");
    // As kubectl finds them: by the object's UID.
    let described = rig.kubectl(&["describe", "deployment", "orders-node"]);
    assert!(described.contains("WindowConsistent") && described.contains("stillpoint"), "{described}");
    assert!(rig.kubectl(&["describe", "pod", "sp-0"]).contains("WindowConsistent"));
}

#[test]
fn a_discarded_window_and_a_recovery_say_why() {
    let rig = Rig::new(shared(), "tolddiscarded");
    rig.release("orders", &CHARTS[0], 1);
    rig.config(LONG, "", &ORDERS);
    let pod = rig.a_pod("app.kubernetes.io/app=scalardb-cluster");
    let window = rig.hold();
    rig.patch_status(&pod, serde_json::json!({"conditions": [{"type": "Ready", "status": "False"}]}));
    assert_eq!(rig.ended(window).0, 3);
    let on = events(&rig, "Deployment", "orders-node");
    assert_eq!(reasons(&on), ["WindowStarted", "ClusterOpened", "WindowDiscarded"], "{on:?}");
    let (kind, _, note) = &on[2];
    assert_eq!(kind, "Warning");
    assert!(note.ends_with(&format!("census_changed: orders: pod/{pod} is not ready")), "{note}");

    rig.patch_status(&pod, serde_json::json!({"conditions": [{"type": "Ready", "status": "True"}]}));
    rig.wait_for_pods("app.kubernetes.io/app=scalardb-cluster", 1);
    let mut window = rig.hold();
    window.kill();
    let (exit, output, errors) = rig.run(&["recover"]);
    assert_eq!(exit, 0, "{output}{errors}");
    let on = events(&rig, "Deployment", "orders-node");
    assert_eq!(reasons(&on[3..]), ["WindowStarted", "ClusterOpened", "WindowDiscarded"], "{on:?}");
    assert!(on[5].2.contains("interrupted"), "{on:?}");
}

#[test]
fn a_window_goes_on_where_events_are_forbidden_and_the_log_names_the_right() {
    let rig = Rig::new(shared(), "toldnothing");
    rig.release("orders", &CHARTS[0], 1);
    rig.config(SHORT, "", &ORDERS);
    let role: Value = serde_json::from_str(&rig.kubectl(&["get", "role", "stillpoint", "-o", "json"])).unwrap();
    let index = role["rules"].as_array().unwrap().iter().position(|rule| rule["resources"][0] == "events").unwrap();
    let less = format!(r#"[{{"op": "remove", "path": "/rules/{index}"}}]"#);
    rig.kubectl(&["patch", "role", "stillpoint", "--type=json", "-p", &less]);
    let (exit, output, errors) = rig.run(&["--log-level", "warn", "window", "shop"]);
    assert_eq!(exit, 0, "{output}{errors}");
    let told = "cannot create resource \"events\"";
    assert_eq!(errors.matches(told).count(), 1, "named once: {errors}");
    wait_until("nothing is paused", LIMIT, || (rig.paused() == 0).then_some(()));
}
