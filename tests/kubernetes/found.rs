//! Clusters found by the labels of their charts, and one clear error for each thing that is not right.

use crate::rig::{CHARTS, LIMIT, LONG, Rig, SHORT, shared};
use crate::support::kubernetes::ApiServer;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

#[test]
fn every_product_is_found_by_its_chart_and_a_window_over_all_is_consistent() {
    let rig = Rig::new(shared(), "products");
    for chart in &CHARTS {
        rig.release(chart.app, chart, 2);
    }
    rig.api.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: checkout, namespace: products, labels: {app: checkout}}\n\
         spec: {nodeName: test, containers: [{name: checkout, image: x, ports: [{containerPort: 60099}]}]}\n",
    );
    rig.wait_for_pods("app=checkout", 1);
    let clusters: Vec<(String, String)> = CHARTS
        .iter()
        .map(|it| (it.app.to_owned(), format!("product: {}, kubernetes: {{PLACE, release: {}}}", it.product, it.app)))
        .chain([(
            "checkout".into(),
            "product: custom, kubernetes: {PLACE, selector: \"app=checkout\", port: 60099}".into(),
        )])
        .collect();
    let clusters: Vec<(&str, &str)> = clusters.iter().map(|(name, what)| (name.as_str(), what.as_str())).collect();
    rig.config(SHORT, "", &clusters);
    let (code, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!(code, 0, "{output}{errors}");
    let report: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    assert_eq!(report["evidence"], "pod");
    assert_eq!(report["members"].as_array().unwrap().len(), 9, "{report}");
    assert_eq!(rig.paused(), 0);
    println!("closed {} s, quiet {} s", report["closed_seconds"], report["quiet_seconds"]);
}

#[test]
fn a_group_may_span_several_api_servers() {
    let (west, east) = (Rig::new(shared(), "west"), Rig::new(Arc::new(ApiServer::start(true)), "east"));
    west.release("orders", &CHARTS[0], 1);
    east.release("billing", &CHARTS[1], 2);
    let billing = "product: scalardb-server, kubernetes: {PLACE, context: t, release: billing}";
    east.config(SHORT, "", &[("billing", billing)]);
    let far = format!("kubeconfig: {}, namespace: east", east.api.account("east", "stillpoint").display());
    let orders = ("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}");
    west.config(SHORT, "", &[orders]);
    let account = west.api.account("west", "stillpoint");
    west.configure(&account, SHORT, "", &[orders, ("billing", &billing.replace("PLACE", &far))]);
    let (code, output, errors) = west.run(&["window", "shop", "-o", "json"]);
    assert_eq!(code, 0, "{output}{errors}");
    let report: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    let servers: BTreeSet<&str> =
        report["members"].as_array().unwrap().iter().filter_map(|member| member["pod"]["server"].as_str()).collect();
    assert_eq!((report["members"].as_array().unwrap().len(), servers.len()), (3, 2), "{report}");
    let lease = ["get", "lease", "stillpoint-scalardb-billing"];
    assert!(east.api.try_kubectl(&[&["-n", "east"], &lease[..]].concat()).is_ok(), "each Lease where its cluster is");
}

#[test]
fn each_thing_that_is_not_right_refuses_with_one_clear_sentence() {
    let rig = Rig::new(shared(), "wrong");
    rig.release("orders", &CHARTS[0], 1);
    rig.release("ledger", &CHARTS[2], 1);
    let told = |cluster: &str| {
        rig.config(SHORT, "    coverage: warn\n", &[("orders", cluster)]);
        refused(&rig)
    };
    let release =
        |product: &str, release: &str| format!("product: {product}, kubernetes: {{PLACE, release: {release}}}");
    let place = "namespace wrong";
    assert_eq!(
        told(&release("scalardb-cluster", "ledger")),
        (
            "discovery".into(),
            format!(
                "orders: release ledger in {place} runs scalardl-ledger (app.kubernetes.io/app=ledger), not scalardb-cluster"
            )
        )
    );
    let (_, sentence) = told(&release("scalardb-cluster", "nothing"));
    assert!(sentence.starts_with("orders: namespace wrong has no pods of release nothing"), "{sentence}");
    let (_, sentence) = told("product: custom, kubernetes: {PLACE, selector: \"app=nobody\", port: 1}");
    assert_eq!(sentence, "orders: namespace wrong has no pods that match app=nobody");
    let (_, sentence) = told("product: custom, kubernetes: {PLACE, context: nowhere, selector: \"app=a\", port: 1}");
    assert!(sentence.contains("has no context nowhere; it has t"), "{sentence}");

    rig.kubectl(&["get", "service", "orders-headless"]);
    rig.kubectl(&[
        "patch",
        "service",
        "orders-headless",
        "--type=json",
        "-p",
        r#"[{"op":"replace","path":"/spec/ports/0/name","value":"other"}]"#,
    ]);
    let orders = release("scalardb-cluster", "orders");
    assert_eq!(
        told(&orders).1,
        "orders: service/orders-headless in namespace wrong has no port scalardb-cluster; it has other"
    );
    rig.kubectl(&["patch", "service", "orders-headless", "--type=json", "-p", r#"[{"op":"replace","path":"/spec/ports/0/name","value":"scalardb-cluster"},{"op":"replace","path":"/spec/ports/0/targetPort","value":"no-such"}]"#]);
    let (_, sentence) = told(&orders);
    assert!(sentence.ends_with("has no container port no-such; it has admin"), "{sentence}");
    rig.kubectl(&["delete", "service", "orders-headless"]);
    assert_eq!(told(&orders).1, "orders: namespace wrong has no headless Service of release orders");
    for name in ["a", "b"] {
        rig.api.apply(&format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: wrong, labels: {{app.kubernetes.io/instance: orders, \
             app.kubernetes.io/app: scalardb-cluster}}}}\nspec: {{clusterIP: None, ports: [{{name: scalardb-cluster, port: 60053}}]}}\n"
        ));
    }
    assert_eq!(told(&orders).1, "orders: namespace wrong has several headless Services of release orders: a, b");
}

#[test]
fn a_workload_that_no_group_names_refuses_the_window_unless_told_otherwise() {
    let rig = Rig::new(shared(), "coverage");
    rig.release("orders", &CHARTS[0], 1);
    rig.release("reports", &CHARTS[1], 2);
    let orders = [("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")];
    rig.config(SHORT, "", &orders);
    let told = (
        "unlisted".into(),
        "scalardb-server release reports in namespace coverage (2 pods) belongs to no group".into(),
    );
    assert_eq!(refused(&rig), told);
    for more in ["    coverage: warn\n", "    ignore: [\"rep*\"]\n"] {
        rig.config(SHORT, more, &orders);
        let (code, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
        assert_eq!(code, 0, "{more}: {output}{errors}");
    }
}

#[test]
fn pods_that_are_not_at_rest_refuse_the_window() {
    let rig = Rig::new(shared(), "unsettled");
    rig.release("orders", &CHARTS[0], 2);
    rig.config(SHORT, "", &[("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")]);
    let pod = rig.a_pod("app.kubernetes.io/app=scalardb-cluster");
    let condition = |status: &str| serde_json::json!({"conditions": [{"type": "Ready", "status": status}]});
    rig.patch_status(&pod, condition("False"));
    let (code, sentence) = refused(&rig);
    assert_eq!((code.as_str(), sentence), ("unsettled", format!("orders: pod/{pod} is not ready")));
    // A controller takes one back that is older than two minutes.
    let now = jiff::Timestamp::now().to_string();
    let evicted = serde_json::json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "lastTransitionTime": now});
    rig.patch_status(&pod, serde_json::json!({"conditions": [{"type": "Ready", "status": "True"}, evicted]}));
    assert_eq!(refused(&rig).1, format!("orders: pod/{pod} is EvictionByEvictionAPI"));
}

#[test]
fn every_right_of_the_role_is_needed_and_its_lack_is_named() {
    let rig = Rig::new(shared(), "rights");
    rig.release("orders", &CHARTS[0], 1);
    rig.config(SHORT, "", &[("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")]);
    let role = rig.kubectl(&["get", "role", "stillpoint", "-o", "json"]);
    let role: Value = serde_json::from_str(&role).unwrap();
    let rules = role["rules"].as_array().unwrap();
    let lease = rig.path("lease.yaml").display().to_string();
    std::fs::write(
        &lease,
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: stillpoint-scalardb-cluster-orders}\n",
    )
    .unwrap();
    for (rule_index, rule) in rules.iter().enumerate() {
        for (verb_index, verb) in rule["verbs"].as_array().unwrap().iter().enumerate() {
            let resources: Vec<&str> = rule["resources"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
            let verb = verb.as_str().unwrap();
            if resources == ["events"] || verb == "get" && resources == ["pods"] {
                continue; // neither refuses a window: see told.rs and the test below
            }
            let mut less = role.clone();
            // Another verb in its place: a rule cannot be without any.
            less["rules"][rule_index]["verbs"][verb_index] = "deletecollection".into();
            for field in ["resourceVersion", "uid", "managedFields", "creationTimestamp"] {
                less["metadata"].as_object_mut().unwrap().remove(field);
            }
            rig.kubectl(&["delete", "role", "stillpoint"]);
            rig.api.apply(&less.to_string());
            match verb {
                // A Lease is made once, and written ever after.
                "create" => rig.kubectl(&["delete", "leases", "--all"]),
                "update" => rig.kubectl(&["create", "-f", &lease]),
                _ => String::new(),
            };
            let (code, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
            assert_eq!(code, 4, "without {verb} {resources:?}: {output}{errors}");
            let named = |resource: &&str| output.contains(&format!("cannot {verb} resource \\\"{resource}\\\""));
            assert!(resources.iter().any(named), "{verb} {resources:?}: {output}");
            assert_eq!(rig.paused(), 0);
        }
    }
}

#[test]
fn without_the_right_to_get_a_pod_the_recovery_goes_on_and_names_it() {
    let rig = Rig::new(shared(), "getless");
    rig.release("orders", &CHARTS[0], 1);
    rig.config(LONG, "", &[("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")]);
    let pod = rig.a_pod("app.kubernetes.io/app=scalardb-cluster");
    let mut window = rig.hold();
    window.kill();
    rig.kubectl(&["delete", "pod", &pod, "--grace-period=0", "--force"]);
    let verbs = |verbs: &str| {
        let patch = format!(r#"[{{"op": "replace", "path": "/rules/0/verbs", "value": {verbs}}}]"#);
        rig.kubectl(&["patch", "role", "stillpoint", "--type=json", "-p", &patch]);
    };
    verbs(r#"["list", "watch"]"#);
    let mut recover = rig.start(&["recover", "--log-level", "warn"]);
    recover.wait_for_line("cannot get resource \"pods\"", LIMIT);
    assert!(recover.is_running(), "nobody knows that its process is gone");
    verbs(r#"["get", "list", "watch"]"#);
    assert!(recover.wait(LIMIT).success(), "{}", recover.tail());
}

/// The window is refused: its reason's code and sentence.
fn refused(rig: &Rig) -> (String, String) {
    let (code, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!(code, 4, "{output}{errors}");
    let report: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    let text = |key: &str| report["reasons"][0][key].as_str().unwrap_or_default().to_owned();
    (text("code"), text("sentence"))
}
