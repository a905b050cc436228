//! Roles: what the program asks for, where the config says, and nothing besides.

use crate::render::{GROUP, POSTGRES, objects, template};
use serde_json::{Value, json};
use stillpoint::kubernetes::rbac::{leading, rules};

const WIDE: &str = "rbac.wideCoverage=true";

/// What the program asks for in a namespace with clusters.
fn asked() -> Vec<Value> {
    rules(true).iter().map(|rule| json!(rule)).collect()
}

fn events() -> Value {
    json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]})
}

/// What it asks for where the Lease is that says who leads, which is its own namespace, and events.
fn own() -> Vec<Value> {
    let mut rules: Vec<Value> = leading("sp-stillpoint").iter().map(|rule| json!(rule)).collect();
    rules.push(events());
    sorted(rules)
}

fn sorted(mut rules: Vec<Value>) -> Vec<Value> {
    rules.sort_by_key(Value::to_string);
    rules
}

/// The rules of the Role in that namespace.
fn granted(manifests: &str, namespace: &str) -> Option<Vec<Value>> {
    let roles = objects(manifests, "Role");
    let role = roles.iter().find(|role| role["metadata"]["namespace"] == namespace)?;
    Some(sorted(role["rules"].as_array().unwrap().clone()))
}

#[test]
fn the_role_has_the_rights_that_the_program_asks_for_in_the_namespaces_that_the_config_names() {
    let manifests = template(&[GROUP, "config.groups.shop.clusters.audit.kubernetes.namespace=audit"]).unwrap();
    for namespace in ["audit", "shop"] {
        assert_eq!(granted(&manifests, namespace).unwrap(), sorted(asked()), "{namespace}");
    }
    assert_eq!(objects(&manifests, "Role").len(), 3);
    assert_eq!(objects(&manifests, "ClusterRole").len() + objects(&manifests, "ClusterRoleBinding").len(), 0);
    for binding in objects(&manifests, "RoleBinding") {
        let subject = json!([{"kind": "ServiceAccount", "name": "sp-stillpoint", "namespace": "ops"}]);
        assert_eq!(binding["subjects"], subject);
    }
}

#[test]
fn the_program_prints_the_same_rights_for_the_charts_config() {
    let cluster = "config.groups.shop.clusters.orders";
    let product = format!("{cluster}.product=scalardb-cluster");
    let release = format!("{cluster}.kubernetes.release=orders");
    let cases = [
        ("shop", "guard.enabled=true"),
        ("ops", "guard.enabled=true"),
        ("shop", "guard.enabled=false"),
        ("shop", POSTGRES),
        ("shop", "config.daemon.leadership.kubernetes.namespace=leases"),
    ];
    for (namespace, more) in cases {
        let place = format!("{cluster}.kubernetes.namespace={namespace}");
        let manifests = template(&[&place, &product, &release, more]).unwrap();
        let config = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        let text = objects(&manifests, "ConfigMap")[0]["data"]["config.yaml"].as_str().unwrap().to_owned();
        std::fs::write(config.path(), text).unwrap();
        let mut rbac = std::process::Command::new(env!("CARGO_BIN_EXE_stillpoint"));
        let account = ["rbac", "-o", "json", "--serviceaccount", "ops:sp-stillpoint"];
        let output = rbac.arg("--config").arg(config.path()).args(account).output().unwrap();
        let printed: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(printed.len(), objects(&manifests, "Role").len(), "{namespace} {more}");
        for grant in printed {
            let place = grant["role"]["metadata"]["namespace"].as_str().unwrap();
            let rules = sorted(grant["role"]["rules"].as_array().unwrap().clone());
            assert_eq!(granted(&manifests, place).unwrap(), rules, "{place} {more}");
        }
    }
}

#[test]
fn in_its_own_namespace_it_may_only_tell_events_and_lead_unless_clusters_are_there() {
    assert_eq!(granted(&template(&[GROUP]).unwrap(), "ops").unwrap(), own());
    assert_eq!(granted(&template(&[GROUP, POSTGRES]).unwrap(), "ops").unwrap(), own());
    assert_eq!(granted(&template(&[GROUP, "guard.enabled=false"]).unwrap(), "ops").unwrap(), [events()]);
    let here = template(&["config.groups.shop.clusters.orders.kubernetes.release=orders"]).unwrap();
    assert_eq!(granted(&here, "ops").unwrap(), sorted(asked()));
    assert_eq!(objects(&here, "Role").len(), 1);
}

#[test]
fn another_api_server_is_none_of_this_ones_business() {
    for elsewhere in ["context=east", "eks.cluster=shop"] {
        let far = template(&[GROUP, &format!("config.groups.shop.clusters.orders.kubernetes.{elsewhere}")]).unwrap();
        assert_eq!(granted(&far, "shop"), None);
        assert_eq!(granted(&far, "ops").unwrap(), own());
    }
    let far = template(&[GROUP, "config.daemon.leadership.kubernetes.context=east"]).unwrap();
    assert_eq!(granted(&far, "ops").unwrap(), [events()]);
}

#[test]
fn only_that_one_lease_may_be_changed() {
    let rules = granted(&template(&[GROUP, "fullnameOverride=other"]).unwrap(), "ops").unwrap();
    let leases: Vec<&Value> = rules.iter().filter(|rule| rule["resources"] == json!(["leases"])).collect();
    for rule in &leases {
        let creates = rule["verbs"] == json!(["create"]);
        assert!(creates || rule["resourceNames"] == json!(["other"]), "{rule}");
    }
    assert_eq!(leases.len(), 2);
}

#[test]
fn the_service_account_may_name_an_iam_role() {
    let role = "arn:aws:iam::123456789012:role/stillpoint";
    let named = format!(r"serviceAccount.annotations.eks\.amazonaws\.com/role-arn={role}");
    let manifests = template(&[GROUP, &named]).unwrap();
    let account = &objects(&manifests, "ServiceAccount")[0];
    assert_eq!(account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"], role);
}

#[test]
fn namespaces_that_are_written_are_taken_as_they_are() {
    let manifests = template(&[GROUP, "rbac.namespaces={east,west}"]).unwrap();
    assert_eq!(granted(&manifests, "east").unwrap(), sorted(asked()));
    assert_eq!(granted(&manifests, "west").unwrap(), sorted(asked()));
    assert_eq!(granted(&manifests, "shop"), None);
}

#[test]
fn the_look_at_every_namespace_is_asked_for_and_may_list_pods_only() {
    let manifests = template(&[GROUP, WIDE]).unwrap();
    let role = &objects(&manifests, "ClusterRole")[0];
    assert_eq!(role["rules"], json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]));
    let binding = &objects(&manifests, "ClusterRoleBinding")[0];
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    assert!(role["metadata"]["name"].as_str().unwrap().starts_with("ops-"), "a release of that name may be elsewhere");
}

#[test]
fn whoever_grants_rights_in_another_way_gets_none_from_the_chart() {
    let manifests = template(&[GROUP, WIDE, "rbac.create=false"]).unwrap();
    for kind in ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
        assert!(objects(&manifests, kind).is_empty(), "{kind}");
    }
}
