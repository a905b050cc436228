//! helm, and what it renders.

use crate::support::tools::kubernetes_program;
use serde::Deserialize;
use serde_json::Value;
use std::process::{Command, Output};

pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/stillpoint");
/// helm believes in the Kubernetes of its own build.
pub const VERSION: [&str; 2] = ["--kube-version", "1.37.0"];
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

/// The pod of the StatefulSet.
pub fn pod_spec(manifests: &str) -> Value {
    objects(manifests, "StatefulSet")[0]["spec"]["template"]["spec"].clone()
}
