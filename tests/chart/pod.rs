//! The daemon's pod: with time to open, and a config that the program takes.

use crate::render::{GROUP, POSTGRES, objects, pod_spec, template, variable, workload};
use std::process::Command;

#[test]
fn a_pod_has_no_right_on_its_node_and_cannot_write_to_its_root() {
    let pod = pod_spec(&template(&[GROUP]).unwrap());
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
}

#[test]
fn before_a_pod_ends_its_window_comes_to_an_end() {
    for settings in [&[GROUP][..], &[GROUP, POSTGRES]] {
        let container = &pod_spec(&template(settings).unwrap())["containers"][0];
        let command = &container["lifecycle"]["preStop"]["exec"]["command"];
        assert_eq!(*command, serde_json::json!(["/usr/bin/stillpoint", "stop"]));
    }
}

#[test]
fn a_pod_that_is_told_to_end_gets_the_longest_max_pause_and_a_minute() {
    let grace = |settings: &[&str]| pod_spec(&template(settings).unwrap())["terminationGracePeriodSeconds"].clone();
    let program_default = 60;
    assert_eq!(grace(&[]), program_default + 60);
    for (max_pause, seconds) in
        [("90s", 90), ("2m", 120), ("1h", 3600), ("1m30s", 90), ("61s1ms", 62), ("1h1m1s1ms", 3662)]
    {
        let longest = format!("config.groups.a.window.max_pause={max_pause}");
        let written = stillpoint::config::parse_duration(max_pause).unwrap();
        assert_eq!(written.as_millis().div_ceil(1000), u128::try_from(seconds).unwrap());
        assert_eq!(grace(&[&longest, "config.groups.b.window.hold=3s"]), seconds + 60, "{max_pause}");
    }
    assert_eq!(grace(&["config.groups.a.window.max_pause=5s"]), 65);
    assert_eq!(grace(&["terminationGracePeriodSeconds=61"]), 61);
}

#[test]
fn a_grace_period_that_would_kill_a_window_before_its_members_are_open_is_refused() {
    let longest = "config.groups.a.window.max_pause=2m";
    for seconds in [5, 120] {
        let error = template(&[longest, &format!("terminationGracePeriodSeconds={seconds}")]).unwrap_err();
        let told = format!("terminationGracePeriodSeconds ({seconds}) must be longer than the longest max_pause");
        assert!(error.contains(&told) && error.contains("(120 s)"), "{error}");
    }
}

#[test]
fn the_daemon_knows_its_pod_and_is_probed_where_it_serves() {
    let manifests = template(&["config.daemon.http=0.0.0.0:9700", "service.port=80"]).unwrap();
    let container = &pod_spec(&manifests)["containers"][0];
    assert_eq!(container["ports"][0]["containerPort"], 9700);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "http");
    }
    assert_eq!(objects(&manifests, "Service")[0]["spec"]["ports"][0]["port"], 80);
    let field = |name| variable(container, name)["valueFrom"]["fieldRef"]["fieldPath"].clone();
    assert_eq!((field("POD_NAME"), field("POD_NAMESPACE")), ("metadata.name".into(), "metadata.namespace".into()));
}

#[test]
fn a_config_map_that_is_there_is_mounted_and_the_probes_still_find_the_daemon() {
    let manifests =
        template(&["existingConfigMap=mine", "terminationGracePeriodSeconds=90", "rbac.namespaces={shop}"]).unwrap();
    assert!(objects(&manifests, "ConfigMap").is_empty());
    let pod = pod_spec(&manifests);
    assert_eq!(pod["volumes"][0]["configMap"]["name"], "mine");
    let told = |name: &str| variable(&pod["containers"][0], &format!("STILLPOINT__DAEMON__{name}"))["value"].clone();
    assert_eq!(told("HTTP"), "0.0.0.0:9650");
    assert_eq!(told("CATALOG"), "sqlite:///var/lib/stillpoint/catalog.db");
    assert_eq!(told("LEADERSHIP__KUBERNETES__NAMESPACE"), "ops");
    assert_eq!(told("LEADERSHIP__KUBERNETES__NAME"), "sp-stillpoint");
}

#[test]
fn another_config_reaches_the_daemon_without_another_pod() {
    let template_of = |settings: &[&str]| workload(&template(settings).unwrap(), "daemon").unwrap()["spec"].clone();
    assert_eq!(template_of(&[GROUP]), template_of(&[GROUP, "config.groups.shop.window.hold=7s"]));
    let pod = pod_spec(&template(&[GROUP]).unwrap());
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let config = mounts.iter().find(|mount| mount["name"] == "config").unwrap();
    assert!(config["subPath"].is_null(), "a subPath is never updated: {config}");
    let file = variable(&pod["containers"][0], "STILLPOINT_CONFIG")["value"].clone();
    assert_eq!(file, format!("{}/config.yaml", config["mountPath"].as_str().unwrap()));
}

#[test]
fn the_config_in_the_chart_is_one_that_the_program_takes() {
    for catalog in ["config.daemon.catalog=sqlite:///var/lib/stillpoint/catalog.db", POSTGRES] {
        let manifests = template(&[
            GROUP,
            catalog,
            "config.groups.shop.clusters.orders.kubernetes.release=orders",
            "config.groups.shop.clusters.orders.product=scalardb-cluster",
        ]);
        check(&manifests.unwrap());
    }
}

fn check(manifests: &str) {
    let config = objects(manifests, "ConfigMap")[0]["data"]["config.yaml"].as_str().unwrap().to_owned();
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), config).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
    let output = check.arg("--config").arg(file.path()).args(["config", "check"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
