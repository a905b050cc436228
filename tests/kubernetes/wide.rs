//! The look over all namespaces: with its right, and without.

use crate::rig::{CHARTS, LIMIT, Rig, SHORT, shared};
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::wait_until;
use serde_json::Value;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const CLUSTERS: [(&str, &str); 1] = [("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")];

/// A rig with a listed release, and in a namespace of its own a ledger that no group names, beside an Envoy and a pod
/// that has ended.
fn beside_an_unlisted_ledger(name: &str) -> (Rig, String) {
    let rig = Rig::new(shared(), name);
    rig.release("orders", &CHARTS[0], 1);
    let elsewhere = format!("{name}-elsewhere");
    rig.api.kubectl(&["create", "namespace", &elsewhere]);
    for (pod, app, release) in [("a", "ledger", "books"), ("b", "envoy", "proxies"), ("c", "auditor", "ended")] {
        rig.api.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {pod}, namespace: {elsewhere}, labels: \
             {{app.kubernetes.io/app: {app}, app.kubernetes.io/instance: {release}}}}}\n\
             spec: {{containers: [{{name: x, image: x}}]}}\n"
        ));
    }
    let ended =
        ["patch", "pod", "c", "-n", &elsewhere, "--subresource=status", "-p", r#"{"status":{"phase":"Failed"}}"#];
    rig.api.kubectl(&ended);
    rig.config(SHORT, "", &CLUSTERS);
    (rig, elsewhere)
}

/// Gives the rig's account what `rbac` prints with `--wide`.
fn grant(rig: &Rig) {
    // The ClusterRole is the same for all tests, and kubectl looks before it creates.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _granting = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let account = format!("{}:stillpoint", rig.namespace);
    let (code, roles, errors) = rig.run(&["rbac", "--wide", "--serviceaccount", &account]);
    assert_eq!(code, 0, "{errors}");
    rig.api.apply(&roles);
}

#[test]
fn members_names_what_no_group_names_anywhere_if_it_may_look() {
    let (rig, elsewhere) = beside_an_unlisted_ledger("strays");
    let (code, rows, errors) = rig.run(&["members"]);
    assert_eq!((code, errors.as_str()), (0, ""), "without the right nothing is told: {rows}");
    grant(&rig);
    let told = |name: &str, value: &str, arguments: &[&str]| {
        let mut command = rig.command(&[&["members", "-o", "json"], arguments].concat());
        let output = command.env(name, value).output().unwrap();
        let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), rows.as_array().unwrap().len()), (Some(0), 1), "{rows}");
        let errors = String::from_utf8(output.stderr).unwrap();
        // Other tests have namespaces of their own on this API server.
        errors.lines().filter(|line| line.contains(" namespace strays")).map(str::to_owned).collect::<Vec<_>>()
    };
    let line =
        format!("stillpoint: scalardl-ledger release books in namespace {elsewhere} (1 pods) belongs to no group");
    assert_eq!(told("UNUSED", "", &[]), [line]);
    assert_eq!(told("UNUSED", "", &["shop"]), [""; 0], "a person who names a group asks of that one");
    assert_eq!(told("STILLPOINT__DAEMON__IGNORE", "[\"boo*\"]", &[]), [""; 0]);
    assert_eq!(told("STILLPOINT__DAEMON__COVERAGE_INTERVAL", "none", &[]), [""; 0]);
}

#[test]
fn a_workload_that_a_selector_names_is_listed() {
    let (rig, elsewhere) = beside_an_unlisted_ledger("wideselected");
    let kubeconfig = rig.api.account("wideselected", "stillpoint");
    let books = format!(
        "product: custom, kubernetes: {{kubeconfig: {}, namespace: {elsewhere}, selector: \"app.kubernetes.io/instance in (books)\", \
         port: 1}}",
        kubeconfig.display()
    );
    rig.config(SHORT, "", &[CLUSTERS[0], ("books", &books)]);
    grant(&rig);
    let (_, _, errors) = rig.run(&["members"]);
    assert!(!errors.contains(&elsewhere) && !errors.contains("look over"), "{errors}");
}

#[test]
fn the_daemon_counts_and_logs_what_no_group_names() {
    let (rig, elsewhere) = beside_an_unlisted_ledger("widerun");
    let http = format!("127.0.0.1:{}", free_port());
    let mut command = rig.command(&["run"]);
    command.env("STILLPOINT__DAEMON__HTTP", &http).env("STILLPOINT__DAEMON__COVERAGE_INTERVAL", "200ms");
    let mut daemon = Process::start("run", &command, &rig.path("run.log"));
    let metrics = || {
        let page = Command::new("curl").args(["-fsS", "-m", "5", &format!("http://{http}/metrics")]).output().unwrap();
        let page = String::from_utf8(page.stdout).unwrap();
        let own = |line: &&str| line.starts_with("stillpoint_unlisted") && line.contains("namespace=\"widerun");
        page.lines().filter(own).map(str::to_owned).collect::<Vec<_>>()
    };
    let series = |namespace: &str, count: u32| {
        format!("stillpoint_unlisted_workloads{{context=\"\",kubernetes_namespace=\"{namespace}\"}} {count}")
    };
    let count = |daemon: &Process, part: &str| daemon.output().lines().filter(|line| line.contains(part)).count();
    let denied = "cannot list resource \"pods\" in API group \"\" at the cluster scope";
    let line = daemon.wait_for_line(denied, LIMIT);
    assert!(line.contains("INFO") && line.contains("rbac --wide"), "{line}");
    assert_eq!(metrics(), [""; 0]);

    grant(&rig);
    let both = [series("widerun", 0), series(&elsewhere, 1)];
    wait_until("both namespaces are counted", LIMIT, || (metrics() == both).then_some(()));
    let told = format!("scalardl-ledger release books in namespace {elsewhere} (1 pods) belongs to no group");
    let line = daemon.wait_for_line(&told, LIMIT);
    assert!(line.contains("WARN"), "{line}");
    rig.api.kubectl(&["delete", "pod", "a", "-n", &elsewhere, "--grace-period=0", "--force"]);
    wait_until("its namespace vanishes", LIMIT, || (metrics() == both[..1]).then_some(()));
    assert_eq!((count(&daemon, &told), count(&daemon, denied)), (1, 1), "each is told once:\n{}", daemon.tail());

    rig.api.kubectl(&["delete", "clusterrolebinding", "stillpoint-wide-widerun-stillpoint"]);
    wait_until("nothing is known any more", LIMIT, || metrics().is_empty().then_some(()));
}
