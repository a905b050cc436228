use super::*;
use kube::core::Expression;
use serde_json::json;

fn pod(namespace: &str, name: &str, labels: serde_json::Value, owner: Option<(&str, &str)>) -> Pod {
    let owners: Vec<serde_json::Value> = owner
        .map(
            |(kind, name)| json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "o", "controller": true}),
        )
        .into_iter()
        .collect();
    let metadata = json!({
        "namespace": namespace, "name": name, "uid": format!("{namespace}/{name}"), "labels": labels, "ownerReferences": owners,
    });
    serde_json::from_value(json!({"metadata": metadata})).expect("a pod")
}

fn of_release(namespace: &str, app: &str, release: &str) -> Pod {
    let owner = format!("{release}-node-5d4f");
    pod(
        namespace,
        &format!("{owner}-x1"),
        json!({APP: app, RELEASE: release, "pod-template-hash": "5d4f"}),
        Some(("ReplicaSet", &owner)),
    )
}

fn orders_in_shop() -> Named {
    let mut named = Named::default();
    named.release("shop", Product::ScalardbCluster, "orders");
    named
}

fn ignoring(namespace: Option<&str>, pattern: &str) -> Named {
    Named { ignore: vec![(namespace.map(str::to_owned), WildMatch::new(pattern))], ..Named::default() }
}

#[test]
fn a_release_is_listed_in_its_namespace_and_as_its_product_only() {
    let named = orders_in_shop();
    assert!(named.has(&of_release("shop", "scalardb-cluster", "orders")));
    assert!(!named.has(&of_release("shop", "scalardb-cluster", "reports")));
    assert!(!named.has(&of_release("test", "scalardb-cluster", "orders")));
    assert!(!named.has(&of_release("shop", "ledger", "orders")));
    assert!(!named.has(&pod("shop", "orders", json!({APP: "scalardb-cluster"}), None)), "without a release");
}

#[test]
fn pods_that_a_selector_names_are_listed() {
    let ledgers: Selector = [Expression::Equal("team".to_owned(), "books".to_owned())].into_iter().collect();
    let named = Named { selectors: vec![("shop".to_owned(), ledgers)], ..Named::default() };
    let of = |namespace, team: &str| pod(namespace, "a", json!({APP: "ledger", "team": team}), None);
    assert!(named.has(&of("shop", "books")));
    assert!(!named.has(&of("shop", "bills")));
    assert!(!named.has(&of("test", "books")), "in its namespace only");
}

#[test]
fn what_is_ignored_is_not_told_by_any_of_its_names() {
    let batch = of_release("shop", "scalardb", "batch-1");
    assert!(ignoring(None, "batch-*").has(&batch), "its release");
    assert!(ignoring(None, "batch-?-node").has(&batch), "its Deployment");
    assert!(ignoring(None, "batch-1-node-5d4f-x1").has(&batch), "itself");
    assert!(!ignoring(None, "batch").has(&batch));
    assert!(ignoring(Some("shop"), "batch-*").has(&batch), "by a group, in its namespace");
    assert!(!ignoring(Some("other"), "batch-*").has(&batch), "by a group, elsewhere");
}

#[test]
fn a_workload_is_called_by_its_release_or_else_by_what_keeps_it_running() {
    let hashed = json!({APP: "scalardb", "pod-template-hash": "5d4f"});
    assert_eq!(called(&of_release("shop", "ledger", "books")), "scalardl-ledger release books");
    assert_eq!(called(&pod("shop", "a", hashed, Some(("ReplicaSet", "a-5d4f")))), "scalardb-server deployment/a");
    let labels = json!({APP: "auditor"});
    assert_eq!(
        called(&pod("shop", "b-0", labels.clone(), Some(("StatefulSet", "b")))),
        "scalardl-auditor statefulset/b"
    );
    assert_eq!(called(&pod("shop", "c", labels, None)), "scalardl-auditor pod/c");
}
