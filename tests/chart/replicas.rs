//! Who takes over: standbys on PostgreSQL, a guard beside the one daemon on SQLite; on other nodes, one drained at a time.

use crate::render::{GROUP, POSTGRES, objects, template, variable, workload};
use serde_json::{Value, json};

fn config(manifests: &str) -> Value {
    serde_yaml::from_str(objects(manifests, "ConfigMap")[0]["data"]["config.yaml"].as_str().unwrap()).unwrap()
}

fn pod(manifests: &str, component: &str) -> Value {
    workload(manifests, component).unwrap()["spec"]["template"]["spec"].clone()
}

#[test]
fn on_sqlite_one_daemon_runs_and_a_guard_beside_it_without_a_volume() {
    let manifests = template(&[GROUP]).unwrap();
    let daemon = workload(&manifests, "daemon").unwrap();
    assert_eq!((daemon["kind"].as_str(), daemon["spec"]["replicas"].as_u64()), (Some("StatefulSet"), Some(1)));
    assert_eq!(daemon["spec"]["volumeClaimTemplates"][0]["metadata"]["name"], "catalog");
    let guard = workload(&manifests, "guard").unwrap();
    assert_eq!((guard["kind"].as_str(), guard["spec"]["replicas"].as_u64()), (Some("Deployment"), Some(1)));
    let pod = pod(&manifests, "guard");
    assert_eq!(pod["containers"][0]["args"][0], "guard");
    let volumes = pod["volumes"].as_array().unwrap();
    assert_eq!(volumes.iter().map(|volume| volume["name"].as_str().unwrap()).collect::<Vec<_>>(), ["config"]);
    let grace = |component| self::pod(&manifests, component)["terminationGracePeriodSeconds"].clone();
    assert_eq!(grace("guard"), grace("daemon"), "what it opens has as much time");
}

#[test]
fn on_postgresql_two_daemons_run_or_as_many_as_are_asked_for_without_volumes() {
    let manifests = template(&[GROUP, POSTGRES]).unwrap();
    let daemon = workload(&manifests, "daemon").unwrap();
    assert_eq!((daemon["kind"].as_str(), daemon["spec"]["replicas"].as_u64()), (Some("Deployment"), Some(2)));
    assert!(daemon["spec"]["volumeClaimTemplates"].is_null());
    let update = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    assert_eq!(daemon["spec"]["strategy"], update);
    let pod = pod(&manifests, "daemon");
    assert_eq!(pod["volumes"][1], json!({"name": "run", "emptyDir": {"medium": "Memory"}}));
    assert_eq!(pod["containers"][0]["volumeMounts"][1]["mountPath"], "/run/stillpoint");
    assert!(workload(&manifests, "guard").is_none(), "a standby does what a guard does");
    let asked = template(&[GROUP, POSTGRES, "replicas=3", "guard.enabled=true"]).unwrap();
    assert_eq!(workload(&asked, "daemon").unwrap()["spec"]["replicas"], 3);
    assert!(workload(&asked, "guard").is_some());
}

#[test]
fn the_config_names_the_releases_own_lease_unless_it_names_another_one() {
    let leadership = |settings: &[&str]| config(&template(settings).unwrap())["daemon"]["leadership"].clone();
    let own = json!({"kubernetes": {"namespace": "ops", "name": "sp-stillpoint"}});
    assert_eq!(leadership(&[GROUP]), own);
    assert_eq!(leadership(&[GROUP, POSTGRES]), own);
    assert_eq!(leadership(&[GROUP, "guard.enabled=false"]), Value::Null);
    let written = leadership(&[
        "config.daemon.leadership.lasts=9s",
        "config.daemon.leadership.kubernetes.context=east",
        "config.daemon.leadership.kubernetes.name=mine",
    ]);
    let place = json!({"context": "east", "namespace": "ops", "name": "mine"});
    assert_eq!(written, json!({"lasts": "9s", "kubernetes": place}));
}

#[test]
fn a_workload_adopts_no_pod_of_the_other() {
    let manifests = template(&[GROUP]).unwrap();
    for component in ["daemon", "guard"] {
        let spec = &workload(&manifests, component).unwrap()["spec"];
        let selected = &spec["selector"]["matchLabels"];
        assert_eq!(selected["app.kubernetes.io/component"], component);
        for (label, value) in selected.as_object().unwrap() {
            assert_eq!(spec["template"]["metadata"]["labels"][label], *value);
        }
    }
}

#[test]
fn pods_keep_to_different_nodes_as_far_as_they_are_told_to() {
    let spread = |settings: &[&str], component| {
        pod(&template(settings).unwrap(), component)["topologySpreadConstraints"].clone()
    };
    for component in ["daemon", "guard"] {
        let constraint = spread(&[GROUP], component)[0].clone();
        assert_eq!(constraint["topologyKey"], "kubernetes.io/hostname");
        assert_eq!(constraint["whenUnsatisfiable"], "ScheduleAnyway");
        // Of both: the guard keeps away from the daemon.
        let both = json!({"app.kubernetes.io/name": "stillpoint", "app.kubernetes.io/instance": "sp"});
        assert_eq!(constraint["labelSelector"]["matchLabels"], both);
        assert!(constraint["matchLabelKeys"].is_null());
    }
    let hard = spread(&[GROUP, POSTGRES, "spread=hard"], "daemon")[0].clone();
    assert_eq!(hard["whenUnsatisfiable"], "DoNotSchedule");
    assert_eq!(hard["matchLabelKeys"], json!(["pod-template-hash"]), "an update on two nodes must go on");
    assert_eq!(spread(&[GROUP, "spread=none"], "daemon"), Value::Null);
    assert_eq!(spread(&[GROUP, "guard.enabled=false"], "daemon"), Value::Null);
    let zones = "topologySpreadConstraints[0].topologyKey=zone";
    assert_eq!(spread(&[GROUP, zones, "spread=none"], "daemon"), json!([{"topologyKey": "zone"}]));
    assert_eq!(spread(&[GROUP, zones], "guard")[1], json!({"topologyKey": "zone"}));
}

#[test]
fn one_of_several_pods_is_evicted_at_a_time_and_one_that_is_alone_blocks_no_drain() {
    let budgets = |settings: &[&str]| objects(&template(settings).unwrap(), "PodDisruptionBudget");
    for several in [&[GROUP][..], &[GROUP, POSTGRES]] {
        let budget = &budgets(several)[0]["spec"];
        assert_eq!((&budget["maxUnavailable"], &budget["minAvailable"]), (&json!(1), &Value::Null));
        assert_eq!(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow");
        assert!(budget["selector"]["matchLabels"]["app.kubernetes.io/component"].is_null(), "of both together");
    }
    for alone in ["guard.enabled=false", "podDisruptionBudget.enabled=false"] {
        assert!(budgets(&[GROUP, alone]).is_empty(), "{alone}");
    }
    assert!(budgets(&[GROUP, POSTGRES, "replicas=1"]).is_empty());
}

#[test]
fn the_databases_password_comes_from_a_secret_and_only_to_the_daemon() {
    let manifests = template(&[GROUP, POSTGRES, "database.existingSecret=db", "guard.enabled=true"]).unwrap();
    let password = variable(&pod(&manifests, "daemon")["containers"][0], "PGPASSWORD");
    assert_eq!(password["valueFrom"]["secretKeyRef"], json!({"name": "db", "key": "password"}));
    assert!(variable(&pod(&manifests, "guard")["containers"][0], "PGPASSWORD").is_null());
    assert!(!objects(&manifests, "ConfigMap")[0].to_string().contains("PGPASSWORD"));
}

#[test]
fn a_way_out_that_is_narrowed_leads_to_the_names_and_to_the_database_all_the_same() {
    let policy = |settings: &[&str]| {
        let manifests = template(&[&[GROUP, "networkPolicy.enabled=true"], settings].concat()).unwrap();
        objects(&manifests, "NetworkPolicy")[0]["spec"].clone()
    };
    assert_eq!(policy(&[])["policyTypes"], json!(["Ingress"]));
    let egress = "networkPolicy.egress[0].ports[0].port=6443";
    let names = json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]});
    let written = json!({"ports": [{"port": 6443}]});
    assert_eq!(policy(&[egress])["egress"], json!([names, written]));
    for (place, port) in [
        ("db", 5432),
        ("u@db:6000", 6000),
        ("db:6001/stillpoint?sslmode=require", 6001),
        ("[::1]:6002/s", 6002),
        ("u@db/a:7", 5432),
    ] {
        let catalog = format!("config.daemon.catalog=postgresql://{place}");
        let policy = policy(&[egress, &catalog]);
        assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
        assert_eq!(policy["egress"], json!([names, {"ports": [{"port": port}]}, written]), "{place}");
    }
}
