//! What Prometheus and Grafana get, each by a switch of its own.

use crate::render::{objects, template, workload};
use serde_json::Value;

#[test]
fn nothing_for_prometheus_or_grafana_unless_it_is_switched_on() {
    let manifests = template(&[]).unwrap();
    for kind in ["PodMonitor", "ServiceMonitor", "PrometheusRule", "NetworkPolicy"] {
        assert!(objects(&manifests, kind).is_empty(), "{kind}");
    }
    assert_eq!(objects(&manifests, "ConfigMap").len(), 1);
}

#[test]
fn a_monitor_selects_what_serves_the_metrics() {
    let pods = template(&["metrics.podMonitor.enabled=true", "metrics.podMonitor.labels.release=prom"]).unwrap();
    let monitor = &objects(&pods, "PodMonitor")[0];
    assert_eq!(monitor["metadata"]["labels"]["release"], "prom");
    for component in ["daemon", "guard"] {
        let pod = &workload(&pods, component).unwrap()["spec"]["template"];
        selects(&monitor["spec"]["selector"]["matchLabels"], &pod["metadata"]["labels"]);
        // A label `container` that differed would make two sources of the two.
        assert_eq!(pod["spec"]["containers"][0]["name"], "stillpoint");
    }
    let services = template(&["metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.interval=15s"]).unwrap();
    let monitor = &objects(&services, "ServiceMonitor")[0];
    assert_eq!(monitor["spec"]["endpoints"][0]["interval"], "15s");
    let service = &objects(&services, "Service")[0];
    selects(&monitor["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"]);
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(service["spec"]["publishNotReadyAddresses"], true);
}

fn selects(selector: &Value, labels: &Value) {
    for (key, value) in selector.as_object().unwrap() {
        assert_eq!(labels[key], *value, "{key}");
    }
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
fn the_dashboard_in_the_chart_is_that_in_dashboards_and_grafanas_sidecar_finds_it() {
    let source = include_str!("../../dashboards/stillpoint.json");
    assert!(
        include_str!("../../deploy/helm/stillpoint/files/stillpoint.json") == source,
        "cp dashboards/stillpoint.json deploy/helm/stillpoint/files/"
    );
    let manifests = template(&["metrics.dashboard.enabled=true", "metrics.dashboard.labels.team=data"]).unwrap();
    let maps = objects(&manifests, "ConfigMap");
    let map = maps.iter().find(|map| map["metadata"]["name"] == "sp-stillpoint-dashboard").unwrap();
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(map["metadata"]["labels"]["team"], "data");
    assert!(map["data"]["stillpoint.json"] == source, "the ConfigMap's text is another");
}
