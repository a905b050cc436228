//! Members whose addresses lead nowhere, reached through the API server and a kubelet that forwards ports with the real
//! one's code.

use crate::authority::Authority;
use crate::rig::{CHARTS, LIMIT, LONG, Node, Rig, SHORT, shared};
use crate::support::kubernetes::ApiServer;
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::tools::kubelet_program;
use crate::support::wait_until;
use rustix::process::Signal;
use serde_json::Value;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};
use stillpoint::config::{self, Files};
use stillpoint::kubernetes::{Depth, Kubernetes};
use stillpoint::scalar::{Answer, Connector};
use stillpoint::sim::SimTls;

/// Nobody listens at 127.21.0.0/16.
const FAR: u8 = 21;
const ORDERS: &str = "product: scalardb-cluster, kubernetes: {PLACE, release: orders, connect: port-forward}";
const CLUSTERS: [(&str, &str); 1] = [("orders", ORDERS)];

/// The kubelet of a node.
struct Kubelet {
    process: Process,
    command: Command,
    port: u16,
}

impl Kubelet {
    /// Starts it, and makes its node.
    fn new(api: &ApiServer, node: &str) -> Self {
        let port = free_port();
        api.apply(&format!("apiVersion: v1\nkind: Node\nmetadata: {{name: {node}}}\n"));
        let status = format!(
            r#"{{"status":{{"addresses":[{{"type":"InternalIP","address":"127.0.0.1"}}],"daemonEndpoints":{{"kubeletEndpoint":{{"Port":{port}}}}}}}}}"#
        );
        api.kubectl(&["patch", "node", node, "--subresource=status", "--type=merge", "-p", &status]);
        let mut command = Command::new(kubelet_program());
        command.arg(format!("127.0.0.1:{port}")).arg(api.folder());
        command.args([&format!("https://127.0.0.1:{}", api.port()), "127.21.", "127.20."]);
        let process = start(&command, port, api);
        Self { process, command, port }
    }

    /// Ends it, with every connection that it forwards, and starts it again.
    fn restart(&mut self, api: &ApiServer) {
        self.process.kill();
        self.process = start(&self.command, self.port, api);
    }
}

fn start(command: &Command, port: u16, api: &ApiServer) -> Process {
    let process = Process::start("kubelet", command, &api.folder().join(format!("kubelet-{port}.log")));
    wait_until("the kubelet listens", LIMIT, || TcpStream::connect(("127.0.0.1", port)).ok());
    process
}

/// Two members far away, on a node of their own.
fn far(name: &str, tls: Option<SimTls>) -> (Rig, Kubelet) {
    let api = shared();
    let kubelet = Kubelet::new(&api, name);
    let rig = Rig::with(api, name, Node { name: name.to_owned(), told: FAR, tls });
    rig.release("orders", &CHARTS[0], 2);
    (rig, kubelet)
}

#[test]
fn members_whose_addresses_lead_nowhere_are_paused_through_the_api_server() {
    let (rig, mut kubelet) = far("forwarded", None);
    rig.config(SHORT, "", &[("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")]);
    let (code, output, _) = rig.run(&["members"]);
    assert!(code == 1 && output.contains("connection refused by 127.21."), "{output}");
    assert!(!rig.run(&["rbac"]).1.contains("portforward"), "a right that nobody uses");
    rig.config(SHORT, "", &CLUSTERS);
    let (code, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!((code, rig.paused(), rig.pauses()), (0, 0, 2), "{output}{errors}");
    let report: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    assert_eq!(report["evidence"], "pod");
    println!("closed {} s, quiet {} s", report["closed_seconds"], report["quiet_seconds"]);
    kubelet.process.wait_for_line("forwarding forwarded/orders-node-", LIMIT);

    // The API server does not name what it asks for besides `get`.
    for (verb, told) in [("get", "cannot get resource \\\"pods/portforward\\\""), ("create", "is forbidden")] {
        let role: Value = serde_json::from_str(&rig.kubectl(&["get", "role", "stillpoint", "-o", "json"])).unwrap();
        let mut less = role.clone();
        let rules = less["rules"].as_array_mut().unwrap();
        let forwards = rules.iter_mut().find(|rule| rule["resources"][0] == "pods/portforward").unwrap();
        forwards["verbs"].as_array_mut().unwrap().retain(|other| other != verb);
        rig.kubectl(&["replace", "-f", manifest(&rig, &less).to_str().unwrap()]);
        let (code, output, _) = rig.run(&["window", "shop", "-o", "json"]);
        assert!(code == 4 && output.contains(told), "without {verb}: {output}");
        rig.config(SHORT, "", &CLUSTERS);
    }
}

fn manifest(rig: &Rig, object: &Value) -> std::path::PathBuf {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let path = rig.path("manifest.json");
    std::fs::write(&path, object.to_string()).unwrap();
    path
}

#[test]
fn tls_reaches_through_a_forwarded_port() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let (certificate, key) = ours.issue("orders", 2090);
    let (rig, _kubelet) = far("secret", Some(SimTls { certificate, key, client_ca: None }));
    for (authority, expected) in [(&ours, 0), (&others, 4)] {
        let ca = rig.path("ca.pem");
        std::fs::write(&ca, &authority.pem).unwrap();
        let cluster = format!("{ORDERS}, tls: {{ca_file: {}, server_name: orders}}", ca.display());
        rig.config(SHORT, "", &[("orders", &cluster)]);
        let (code, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
        assert_eq!((code, rig.paused()), (expected, 0), "{output}{errors}");
        assert!(expected == 0 || output.contains("unknown issuer"), "{output}");
    }
    assert_eq!(rig.pauses(), 2, "the second window paused nothing");
}

/// In the hold the kubelet is ended or stopped; the first unpause request leaves no later than a look's deadline after,
/// and once the kubelet is back everything opens.
fn discarded_without_a_kubelet(name: &str, away: impl FnOnce(&mut Kubelet), back: impl FnOnce(&Rig, &mut Kubelet)) {
    let (rig, mut kubelet) = far(name, None);
    rig.config("{hold: 30s, drain: 2s, max_pause: 40s}", "", &CLUSTERS);
    let mut window = rig.start(&["window", "shop"]);
    window.wait_for_line("pause completed at", LIMIT);
    assert_eq!(rig.paused(), 2);
    let since = Instant::now();
    away(&mut kubelet);
    window.wait_for_line("unpause started at", LIMIT);
    let found = since.elapsed();
    println!("{name}: {found:?} to the first unpause request");
    // A look each second, and 3 s for its answer.
    assert!(found < Duration::from_secs(8), "{found:?}");
    assert_eq!((rig.paused(), rig.first_unpause()), (2, None), "there is no way to them");
    back(&rig, &mut kubelet);
    assert_eq!(window.wait(LIMIT).code(), Some(3), "{}", window.tail());
    assert_eq!(rig.paused(), 0, "{}", window.tail());
    println!("{}", window.tail());
}

#[test]
fn forwarded_connections_that_die_in_the_hold_end_it_and_new_ones_open() {
    let back = |rig: &Rig, kubelet: &mut Kubelet| kubelet.restart(&rig.api);
    discarded_without_a_kubelet("dead", |kubelet| kubelet.process.kill(), back);
}

#[test]
fn forwarded_connections_that_hang_in_the_hold_are_found_by_the_deadline_of_a_look() {
    let back = |_: &Rig, kubelet: &mut Kubelet| kubelet.process.signal(Signal::CONT);
    discarded_without_a_kubelet("hanging", |kubelet| kubelet.process.signal(Signal::STOP), back);
}

#[test]
fn what_a_dead_process_left_is_opened_through_forwarded_ports() {
    let (rig, _kubelet) = far("crashed", None);
    rig.config(LONG, "", &CLUSTERS);
    rig.hold().kill();
    assert_eq!(rig.paused(), 2);
    let (code, output, errors) = rig.run(&["recover"]);
    assert_eq!((code, rig.paused()), (0, 0), "{output}{errors}");
}

#[test]
fn a_pause_is_not_sent_by_a_forward_that_was_opened_after_the_look() {
    let (rig, mut kubelet) = far("sealed", None);
    rig.config(SHORT, "", &CLUSTERS);
    let config = config::load(&Files::List(vec![rig.path("config.yaml")]), []).unwrap().config;
    let (group, kubernetes) = (&config.groups["shop"], Kubernetes::new());
    let census = rig.block_on(kubernetes.census(group, &[], Depth::Pods, LIMIT)).unwrap();
    let connector = Connector::new(&group.clusters["orders"], &kubernetes).unwrap();
    let client = rig.block_on(async { connector.client(&census.members[0]) });
    let look = || rig.block_on(client.check_paused(LIMIT));
    let pause = || rig.block_on(client.pause(Duration::from_secs(2), LIMIT));
    assert_eq!(look(), Answer::Looked { paused: false });
    kubelet.restart(&rig.api);
    let answer = pause();
    assert!(answer.failure().is_some_and(|it| it.detail.contains("lost just before the pause")), "{answer:?}");
    assert_eq!((rig.pauses(), rig.paused()), (0, 0));
    assert_eq!(look(), Answer::Looked { paused: false }, "a look may take a new connection");
    assert_eq!(pause(), Answer::Ok);
    assert_eq!((rig.pauses(), rig.paused()), (1, 1));
}

#[test]
fn a_port_that_nobody_listens_at_is_told_in_the_nodes_words() {
    let (rig, _kubelet) = far("deaf", None);
    let custom = "product: custom, kubernetes: {PLACE, selector: \"app.kubernetes.io/app=scalardb-cluster\", port: 9, \
                  connect: port-forward}";
    rig.config(SHORT, "    coverage: warn\n", &[("orders", custom)]);
    let (code, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert!(
        code == 4 && output.contains("error forwarding port 9 to pod") && output.contains("refused"),
        "{output}{errors}"
    );
}
