//! The chart's rights, its config and its ServiceAccount are enough for a window.

use crate::rig::{CHARTS, LIMIT, Rig, shared};
use crate::support::tools::kubernetes_program;
use crate::support::wait_until;
use std::process::{Command, Output};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/stillpoint");

/// Runs the rest of its arguments where the first one's files lie as a pod finds its ServiceAccount.
const AS_IN_A_POD: &str = "mount -t tmpfs none /var/run; there=/var/run/secrets/kubernetes.io/serviceaccount; mkdir -p $there; \
     cp $1/* $there; shift; exec \"$@\"";

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

    // The pod's config, its account where a kubelet puts it, and its variables, in a process of this machine.
    let get = ["get", "configmap", "sp-stillpoint", "-n", "charted-ops", "-o", "jsonpath={.data.config\\.yaml}"];
    std::fs::write(rig.path("config.yaml"), rig.api.kubectl(&get)).unwrap();
    let account = rig.path("serviceaccount");
    std::fs::create_dir(&account).unwrap();
    let token = rig.api.kubectl(&["create", "token", "sp-stillpoint", "-n", "charted-ops"]);
    std::fs::write(account.join("token"), token.trim()).unwrap();
    std::fs::write(account.join("namespace"), "charted-ops").unwrap();
    std::fs::copy(rig.api.folder().join("ca.crt"), account.join("ca.crt")).unwrap();
    let pod = ["get", "pod", "sp-stillpoint-0", "-n", "charted-ops", "-o", "jsonpath={.metadata.uid}"];
    let uid = wait_until("its pod is made", LIMIT, || rig.api.try_kubectl(&pod).ok());
    let stillpoint = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", AS_IN_A_POD, "sh"]).arg(&account).arg(env!("CARGO_BIN_EXE_stillpoint"));
        command.env_remove("KUBECONFIG").env("HOME", "/nonexistent");
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", rig.api.port().to_string());
        command.env("POD_NAME", "sp-stillpoint-0").env("POD_NAMESPACE", "charted-ops").env("POD_UID", &uid);
        command.arg("--config").arg(rig.path("config.yaml")).args(["--log-level", "warn"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.stderr.is_empty(), "a right lacks: {}", String::from_utf8_lossy(&output.stderr));
        succeeded(&output)
    };
    stillpoint(&["plan", "shop"]);
    let window = stillpoint(&["window", "shop"]);
    assert!(window.contains(": consistent; quiet "), "{window}");
    assert!(stillpoint(&["points", "shop"]).contains("shop"));
    assert_eq!(rig.paused(), 0);
    let described = rig.api.kubectl(&["describe", "pod", "sp-stillpoint-0", "-n", "charted-ops"]);
    assert!(described.contains("WindowConsistent"), "{described}");
}
