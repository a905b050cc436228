//! A real API server: what it says to every switch, and to the chart installed, changed and taken away again.

use crate::manifests::plain;
use crate::render::{CHART, GROUP, POSTGRES, answer, helm, pod_spec, template};
use crate::support::kubernetes::ApiServer;
use serde_json::{Value, json};

/// Each by itself; the first eight go together.
const SWITCHES: [&str; 13] = [
    "metrics.podMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
    "networkPolicy.enabled=true",
    "rbac.wideCoverage=true",
    "rbac.namespaces={shop,audit}",
    "spread=hard",
    "topologySpreadConstraints[0].topologyKey=zone,topologySpreadConstraints[0].maxSkew=1,\
     topologySpreadConstraints[0].whenUnsatisfiable=ScheduleAnyway",
    "metrics.serviceMonitor.enabled=true",
    "rbac.create=false",
    "serviceAccount.create=false",
    "guard.enabled=false",
    "podDisruptionBudget.enabled=false",
];
const TOGETHER: usize = 8;
const NAMESPACES: [&str; 3] = ["ops", "shop", "audit"];

/// With the definitions of the Prometheus operator and the namespaces; pods in `ops` have to be restricted.
fn start(controllers: bool) -> ApiServer {
    let api = ApiServer::start(controllers);
    for kind in ["PodMonitor", "ServiceMonitor", "PrometheusRule"] {
        api.apply(&definition(kind));
        let name = format!("crd/{}s.monitoring.coreos.com", kind.to_lowercase());
        api.kubectl(&["wait", "--for=condition=Established", "--timeout=20s", &name]);
    }
    for name in NAMESPACES {
        api.kubectl(&["create", "namespace", name]);
    }
    api.kubectl(&["label", "namespace", "ops", "pod-security.kubernetes.io/enforce=restricted"]);
    api
}

#[test]
fn a_real_api_server_takes_the_chart_with_every_switch() {
    let api = start(false);
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let existing = &["existingConfigMap=mine", "terminationGracePeriodSeconds=90", "rbac.namespaces={shop}"][..];
    let each = SWITCHES.map(|switch| vec![GROUP, switch]);
    let egress = "networkPolicy.egress[0].ports[0].port=6443";
    let postgres =
        &[GROUP, POSTGRES, "replicas=3", "networkPolicy.enabled=true", egress, "database.existingSecret=db"][..];
    for settings in [&[][..], existing, postgres].into_iter().chain(each.iter().map(|settings| &settings[..])) {
        std::fs::write(file.path(), template(settings).unwrap()).unwrap();
        let path = file.path().to_str().unwrap();
        api.kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", path]);
    }
    let manifests = template(&[&[GROUP], &SWITCHES[..TOGETHER]].concat()).unwrap();
    api.apply(&manifests);
    let spec = pod_spec(&manifests);
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sp-0", "namespace": "ops"}, "spec": spec});
    pod["spec"]["volumes"].as_array_mut().unwrap().push(json!({"name": "catalog", "emptyDir": {}}));
    api.apply(&pod.to_string());
    pod["metadata"]["name"] = "sp-1".into();
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
    std::fs::write(file.path(), pod.to_string()).unwrap();
    let refused = api.try_kubectl(&["apply", "-f", file.path().to_str().unwrap()]).unwrap_err();
    assert!(refused.contains("violates PodSecurity \"restricted"), "{refused}");
}

#[test]
fn a_real_api_server_takes_the_plain_manifests() {
    let api = ApiServer::start(false);
    for name in ["stillpoint", "shop"] {
        api.kubectl(&["create", "namespace", name]);
    }
    api.apply(&plain());
}

/// helm on that API server.
fn on(api: &ApiServer, arguments: &[&str]) -> Result<String, String> {
    let kubeconfig = api.kubeconfig();
    let kubeconfig = kubeconfig.to_str().unwrap();
    answer(&helm(&[arguments, &["--kubeconfig", kubeconfig, "--namespace", "ops"]].concat()))
}

#[test]
fn helm_installs_upgrades_and_uninstalls_it_and_the_catalog_stays() {
    let api = start(true);
    let notes = |answer: &str| answer.split_once("NOTES:\n").unwrap().1.to_owned();
    let bare = on(&api, &["install", "sp", CHART, "--dry-run=client", "--set", "rbac.create=false"]).unwrap();
    insta::assert_snapshot!("notes_without_groups_and_roles", notes(&bare));
    let several = on(&api, &["install", "sp", CHART, "--dry-run=client", "--set", GROUP, "--set", POSTGRES]).unwrap();
    insta::assert_snapshot!("notes_with_replicas", notes(&several));
    let before = "config.groups.shop.window.max_pause=60s";
    let monitored = "metrics.podMonitor.enabled=true,metrics.prometheusRule.enabled=true";
    let installed = on(&api, &["install", "sp", CHART, "--set", GROUP, "--set", before, "--set", monitored]).unwrap();
    insta::assert_snapshot!("notes", notes(&installed));
    let claim = ["get", "persistentvolumeclaim", "catalog-sp-stillpoint-0", "-n", "ops", "-o", "name"];
    let pod = || -> Result<Value, String> {
        let text = api.try_kubectl(&["get", "pod", "sp-stillpoint-0", "-n", "ops", "-o", "json"])?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    };
    let limit = std::time::Duration::from_secs(30);
    let first = crate::support::wait_until("the controllers make the pod", limit, || pod().ok());
    assert_eq!(first["spec"]["terminationGracePeriodSeconds"], 120);
    let account = "system:serviceaccount:ops:sp-stillpoint";
    let may = |verb: &str, what: &str, namespace: &str| {
        api.try_kubectl(&["auth", "can-i", verb, what, "-n", namespace, "--as", account]).is_ok()
    };
    assert!(may("watch", "pods", "shop") && may("update", "leases.coordination.k8s.io", "shop"));
    assert!(may("create", "events.events.k8s.io", "ops") && !may("list", "pods", "ops"));
    let lease = |name: &str| may("update", &format!("leases.coordination.k8s.io/{name}"), "ops");
    assert!(lease("sp-stillpoint") && !lease("other"), "the Lease of this release, and no other one");
    assert!(!may("list", "pods", "audit") && !may("delete", "pods", "shop"));

    let after = "config.groups.shop.window.max_pause=90s";
    on(&api, &["upgrade", "sp", CHART, "--set", GROUP, "--set", after, "--set", "rbac.wideCoverage=true"]).unwrap();
    assert!(may("list", "pods", "audit"), "the wide look");
    let template = api.kubectl(&["get", "statefulset", "sp-stillpoint", "-n", "ops", "-o", "json"]);
    let template: Value = serde_json::from_str(&template).unwrap();
    assert_eq!(template["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 150);

    on(&api, &["uninstall", "sp"]).unwrap();
    for kind in
        ["role", "rolebinding", "clusterrole", "clusterrolebinding", "service", "serviceaccount", "pdb", "deploy"]
    {
        let left = api.kubectl(&["get", kind, "-A", "-o", "name", "-l", "app.kubernetes.io/instance=sp"]);
        assert_eq!(left, "", "{kind}");
    }
    assert!(api.kubectl(&claim).contains("catalog-sp-stillpoint-0"), "whoever removes the volume does it by name");
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
