//! The chart's rights, its config and its ServiceAccount are enough for a window.

use crate::rig::{CHARTS, Rig, shared};
use crate::support::tools::kubernetes_program;
use std::process::{Command, Output};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/stillpoint");

fn succeeded(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn what_the_chart_installs_is_enough_for_a_first_consistent_window() {
    let rig = Rig::new(shared(), "charted");
    rig.release("orders", &CHARTS[0], 2);
    let catalog = format!("config.daemon.catalog=sqlite://{}", rig.path("catalog.db").display());
    let mut install = Command::new(kubernetes_program("helm"));
    install.args(["install", "sp", CHART, "--namespace", "charted-ops", "--create-namespace", "--kubeconfig"]);
    install.arg(rig.api.kubeconfig()).args(["--set", &catalog]);
    for setting in ["product=scalardb-cluster", "kubernetes.namespace=charted", "kubernetes.release=orders"]
        .map(|setting| format!("config.groups.shop.clusters.orders.{setting}"))
    {
        install.args(["--set", &setting]);
    }
    install.args(["--set", "config.groups.shop.window.hold=2s"]);
    succeeded(&install.output().unwrap());

    // The pod's config and account, in a process of this machine.
    let get = ["get", "configmap", "sp-stillpoint", "-n", "charted-ops", "-o", "jsonpath={.data.config\\.yaml}"];
    std::fs::write(rig.path("config.yaml"), rig.api.kubectl(&get)).unwrap();
    let account = rig.api.account("charted-ops", "sp-stillpoint");
    let stillpoint = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
        command.env("KUBECONFIG", &account).arg("--config").arg(rig.path("config.yaml")).args(arguments);
        succeeded(&command.output().unwrap())
    };
    stillpoint(&["plan", "shop"]);
    let window = stillpoint(&["window", "shop"]);
    assert!(window.contains(": consistent; quiet "), "{window}");
    assert!(stillpoint(&["points", "shop"]).contains("shop"));
    assert_eq!(rig.paused(), 0);
}
