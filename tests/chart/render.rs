//! helm, and what it renders.

use crate::support::tools::kubernetes_program;
use serde::Deserialize;
use serde_json::Value;
use std::process::{Command, Output};

pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/stillpoint");
/// helm believes in the Kubernetes of its own build.
pub const VERSION: [&str; 2] = ["--kube-version", "1.37.0"];
/// The catalog on PostgreSQL.
pub const POSTGRES: &str = "config.daemon.catalog=postgres://stillpoint@db.example/stillpoint";
/// A group with one cluster in another namespace than the release's.
pub const GROUP: &str = "config.groups.shop.clusters.orders.kubernetes.namespace=shop";

pub fn helm(arguments: &[&str]) -> Output {
    Command::new(kubernetes_program("helm")).args(arguments).output().unwrap()
}

/// The release `sp` in namespace `ops` with those settings: its manifests, or helm's error.
pub fn template(settings: &[&str]) -> Result<String, String> {
    let mut arguments = vec!["template", "sp", CHART, "--namespace", "ops"];
    arguments.extend(VERSION);
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    answer(&helm(&arguments))
}

pub fn answer(output: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The rendered objects of that kind.
pub fn objects(manifests: &str, kind: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(manifests).map(|one| Value::deserialize(one).unwrap());
    documents.filter(|object| object["kind"] == kind).collect()
}

/// The workload of that component: `daemon` or `guard`.
pub fn workload(manifests: &str, component: &str) -> Option<Value> {
    let all = ["StatefulSet", "Deployment"].into_iter().flat_map(|kind| objects(manifests, kind));
    all.into_iter().find(|it| it["metadata"]["labels"]["app.kubernetes.io/component"] == component)
}

/// The daemon's pod.
pub fn pod_spec(manifests: &str) -> Value {
    workload(manifests, "daemon").unwrap()["spec"]["template"]["spec"].clone()
}

pub fn variable(container: &Value, name: &str) -> Value {
    let variables = container["env"].as_array().unwrap();
    variables.iter().find(|variable| variable["name"] == name).cloned().unwrap_or_default()
}
