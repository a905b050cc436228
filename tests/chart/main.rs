//! The Helm chart: rendered with its default and every switch, applied on a real API server, and no right too many.

#![allow(clippy::disallowed_methods, reason = "tests look at the clock")]

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::process::{Command, Output};
use stillpoint::kubernetes::rbac::rules;
use support::kubernetes::ApiServer;
use support::tools::kubernetes_program;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/stillpoint");
const GROUP: &str = "config.groups.shop.clusters.orders.kubernetes.namespace=shop";
const SWITCHES: [&str; 4] = [
    "metrics.podMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "networkPolicy.enabled=true",
    "rbac.create=false",
];

fn helm(arguments: &[&str]) -> Output {
    Command::new(kubernetes_program("helm")).args(arguments).output().unwrap()
}

fn template(settings: &[&str]) -> Result<String, String> {
    let mut arguments = vec!["template", "sp", CHART, "--namespace", "ops", "--kube-version", "1.37.0"];
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    let output = helm(&arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The rendered objects of that kind.
fn objects(manifests: &str, kind: &str) -> Vec<Value> {
    let documents = manifests.split("\n---\n").map(|text| serde_yaml::from_str::<Value>(text).unwrap());
    documents.filter(|object| object["kind"] == kind).collect()
}

#[test]
fn the_chart_is_in_order() {
    let output = helm(&["lint", "--strict", "--kube-version", "1.37.0", CHART]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn values_that_cannot_be_right_are_refused() {
    for (setting, told) in [
        ("replicas=2", "replicas"),
        ("terminationGracePeriodSeconds=5", "terminationGracePeriodSeconds"),
        ("service.port=web", "port"),
        ("persistence.accessModes={ReadWriteMany}", "accessModes"),
        ("config.group=x", "group"),
    ] {
        let error = template(&[setting]).expect_err(setting);
        assert!(error.contains(told), "{setting}: {error}");
    }
}

#[test]
fn the_role_has_the_rights_that_the_program_asks_for_in_the_namespaces_that_the_config_names() {
    let manifests = template(&[GROUP]).unwrap();
    let roles = objects(&manifests, "Role");
    assert_eq!(roles.len(), 1, "{manifests}");
    assert_eq!(roles[0]["metadata"]["namespace"], "shop");
    assert_eq!(roles[0]["rules"], json!(rules(true)));
    assert_eq!(objects(&manifests, "ClusterRole").len() + objects(&manifests, "ClusterRoleBinding").len(), 0);
    let far = template(&[GROUP, "config.groups.shop.clusters.orders.kubernetes.context=east"]).unwrap();
    assert!(objects(&far, "Role").is_empty(), "another API server is none of this one's business");
}

#[test]
fn one_daemon_with_time_to_open_and_nothing_that_blocks_a_drain() {
    let manifests = template(&[GROUP]).unwrap();
    let set = &objects(&manifests, "StatefulSet")[0]["spec"];
    assert_eq!(set["replicas"], 1);
    assert!(objects(&manifests, "PodDisruptionBudget").is_empty());
    let pod = &set["template"]["spec"];
    let longest_by_default = 60;
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > longest_by_default);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
}

#[test]
fn the_rules_in_the_chart_are_those_in_dashboards() {
    assert_eq!(
        include_str!("../../deploy/helm/stillpoint/files/stillpoint.rules.yaml"),
        include_str!("../../dashboards/stillpoint.rules.yaml"),
        "cp dashboards/stillpoint.rules.yaml deploy/helm/stillpoint/files/"
    );
    let manifests = template(&["metrics.prometheusRule.enabled=true"]).unwrap();
    let groups = &objects(&manifests, "PrometheusRule")[0]["spec"]["groups"];
    let source: Value = serde_yaml::from_str(include_str!("../../dashboards/stillpoint.rules.yaml")).unwrap();
    assert_eq!(*groups, source["groups"]);
}

#[test]
fn the_config_in_the_chart_is_one_that_the_program_takes() {
    let manifests = template(&[
        GROUP,
        "config.groups.shop.clusters.orders.kubernetes.release=orders",
        "config.groups.shop.clusters.orders.product=scalardb-cluster",
    ])
    .unwrap();
    let config = objects(&manifests, "ConfigMap")[0]["data"]["config.yaml"].as_str().unwrap().to_owned();
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), config).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
    let output = check.arg("--config").arg(file.path()).args(["config", "check"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_real_api_server_takes_the_chart_with_every_switch_and_its_pod_is_restricted() {
    let api = ApiServer::start(false);
    for kind in ["PodMonitor", "PrometheusRule"] {
        api.apply(&definition(kind));
    }
    for name in ["ops", "shop"] {
        api.kubectl(&["create", "namespace", name]);
    }
    api.kubectl(&["label", "namespace", "ops", "pod-security.kubernetes.io/enforce=restricted"]);
    for established in ["podmonitors", "prometheusrules"] {
        let name = format!("crd/{established}.monitoring.coreos.com");
        api.kubectl(&["wait", "--for=condition=Established", "--timeout=20s", &name]);
    }
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    for switch in SWITCHES {
        std::fs::write(file.path(), template(&[GROUP, switch]).unwrap()).unwrap();
        let path = file.path().to_str().unwrap();
        api.kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", path]);
    }
    let manifests = template(&[&[GROUP], &SWITCHES[..3]].concat()).unwrap();
    api.apply(&manifests);
    let spec = &objects(&manifests, "StatefulSet")[0]["spec"]["template"];
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sp-0", "namespace": "ops"}, "spec": spec["spec"]});
    pod["spec"]["volumes"].as_array_mut().unwrap().push(json!({"name": "catalog", "emptyDir": {}}));
    api.apply(&pod.to_string());
    pod["metadata"]["name"] = "sp-1".into();
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
    std::fs::write(file.path(), pod.to_string()).unwrap();
    let refused = api.try_kubectl(&["apply", "-f", file.path().to_str().unwrap()]).unwrap_err();
    assert!(refused.contains("violates PodSecurity \"restricted"), "{refused}");
}

fn definition(kind: &str) -> String {
    let plural = format!("{}s", kind.to_lowercase());
    format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {plural}.monitoring.coreos.com}}\n\
         spec:\n  group: monitoring.coreos.com\n  scope: Namespaced\n  names: {{kind: {kind}, plural: {plural}}}\n  versions:\n  \
         - name: v1\n    served: true\n    storage: true\n    schema: {{openAPIV3Schema: {{type: object, \
         x-kubernetes-preserve-unknown-fields: true}}}}\n"
    )
}
