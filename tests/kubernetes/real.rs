//! Pods behind which real ScalarDB Servers run over real databases, with transfers running through them.

use crate::rig::{CHARTS, Chart, LIMIT, LONG, Rig, running, shared};
use crate::support::report::{Claim, Report};
use crate::support::world::{CLOSED, OPEN, World};
use crate::support::{admin, wait_until};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const SERVER: &Chart = &CHARTS[1];
const CLUSTERS: [(&str, &str); 1] = [("tellers", "product: scalardb-server, kubernetes: {PLACE, release: tellers}")];
const PODS: [&str; 2] = ["tellers-0", "tellers-1"];
/// How long opening may take once somebody sees to it.
const PROMPTLY: Duration = Duration::from_secs(5);

/// The world's two servers as the pods of one release. Both bind the wildcard address, so they differ in the number of
/// their port, which the Service knows by its name.
fn tellers(name: &str, world: &World, window: &str) -> Rig {
    let rig = Rig::new(shared(), name);
    let Chart { app, port_name, port, .. } = SERVER;
    let labels = format!("{{app.kubernetes.io/instance: tellers, app.kubernetes.io/app: {app}}}");
    let mut manifests = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: tellers-headless, namespace: {name}, labels: {labels}}}\nspec:\n  \
         clusterIP: None\n  selector: {labels}\n  ports: [{{name: {port_name}, port: {port}, targetPort: transactions}}]\n"
    );
    for (pod, port) in PODS.iter().zip(world.ports()) {
        manifests.push_str(&format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {pod}, namespace: {name}, labels: {labels}}}\nspec:\n  \
             nodeName: real\n  containers: [{{name: {app}, image: {app}, ports: [{{name: transactions, containerPort: {port}}}]}}]\n"
        ));
    }
    rig.api.apply(&manifests);
    for pod in PODS {
        tell(&rig, pod, 0, true);
    }
    rig.config(window, "", &CLUSTERS);
    rig
}

/// Says what a kubelet says of a server's pod.
fn tell(rig: &Rig, pod: &str, restarts: u32, ready: bool) {
    rig.patch_status(pod, running(SERVER.app, Ipv4Addr::LOCALHOST, restarts, ready));
}

#[test]
fn a_window_over_real_servers_in_pods_holds_every_commit_back() {
    let world = World::shared();
    let rig = tellers("real-window", &world, "{hold: 3s, drain: 3s, max_pause: 9s}");
    let since = world.wal_positions();
    let mut transfers = world.transfers(6);
    let window = rig.window();
    wait_until("both are closed", LIMIT, || (world.paused() == CLOSED).then_some(()));
    let report = Report::of(window);
    assert_eq!(world.paused(), OPEN, "the command ends when everything is open");
    transfers.wait_for_commits(20);
    let counts = transfers.stop();

    assert_eq!(report.verdict(), "consistent", "{:?}", report.sentences());
    assert_eq!((report.text("evidence"), report.members()), ("pod", 2));
    println!("quiet {} s, closed {} s; {counts:?}", report.seconds("quiet_seconds"), report.seconds("closed_seconds"));
    assert!(counts.refused > 0, "the transfers met closed servers");
    Claim::from(&report).assert_true(&world, &since);
    world.assert_all_open();
}

#[test]
fn a_real_server_that_is_killed_in_the_hold_ends_it_and_the_other_opens_at_once() {
    let mut world = World::shared();
    let rig = tellers("real-killed", &world, LONG);
    let mut transfers = world.transfers(4);
    let window = rig.window();
    rig.wait_for_hold();
    assert_eq!(world.paused(), CLOSED);

    let [_, other] = world.ports();
    world.servers[0].kill();
    tell(&rig, PODS[0], 1, false);
    let told = Instant::now();
    wait_until("the other opens", PROMPTLY, || (!admin::check_paused(other).ok()?).then_some(()));
    println!("from the restart in the pod's status until the other was seen open: {:?}", told.elapsed());
    world.servers[0].restart();
    tell(&rig, PODS[0], 1, true);

    let report = Report::of(window);
    assert_eq!(report.verdict(), "discarded");
    let restarted = "tellers: pod/tellers-0 restarted: container scalardb, restart count 0 → 1";
    assert!(report.sentences().contains(&restarted), "{:?}", report.sentences());
    // A look may have met the dead server before its pod's status said so.
    assert!(
        report.reasons().iter().all(|code| ["census_changed", "unanswered"].contains(code)),
        "{:?}",
        report.reasons()
    );
    assert_eq!(report.text("restore_point"), "");
    transfers.wait_for_commits(20);
    transfers.stop();
    world.assert_all_open();
}

#[test]
fn a_command_killed_in_the_hold_is_followed_by_one_that_opens_the_real_servers() {
    let world = World::shared();
    let rig = tellers("real-crashed", &world, LONG);
    let mut transfers = world.transfers(4);
    let mut window = rig.window();
    rig.wait_for_hold();
    window.kill();
    assert_eq!(world.paused(), CLOSED, "nobody is there to open them");

    let started = Instant::now();
    let mut recover = rig.start(&["recover"]);
    wait_until("both open", PROMPTLY, || (world.paused() == OPEN).then_some(()));
    println!("from the start of recover until both were seen open: {:?}", started.elapsed());
    assert_eq!(recover.wait(LIMIT).code(), Some(0), "{}", recover.tail());
    let newest = rig.newest();
    assert_eq!(newest["verdict"], "discarded", "{newest}");
    assert_eq!(newest["reasons"][0]["code"], "interrupted", "{newest}");
    transfers.wait_for_commits(20);
    transfers.stop();
    world.assert_all_open();
}
