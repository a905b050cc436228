//! A namespace of a real API server, a kubelet that runs stand-in members, and the program beside them.

use crate::support::kubernetes::ApiServer;
pub use crate::support::line::Line;
use crate::support::process::Process;
use crate::support::wait_until;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use stillpoint::domain::{Member, Product};
use stillpoint::scalar::{Answer, Connector};
use stillpoint::sim::{Flavour, Request, SimMember, SimTls};

/// Longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(40);
pub const SHORT: &str = "{hold: 2s, drain: 2s, max_pause: 10s}";
pub const LONG: &str = "{hold: 20s, drain: 2s, max_pause: 30s}";

/// The API server that the tests of this binary share.
pub fn shared() -> Arc<ApiServer> {
    static SHARED: OnceLock<Arc<ApiServer>> = OnceLock::new();
    SHARED.get_or_init(|| Arc::new(ApiServer::start(true))).clone()
}

/// Where pods run, and what their members are like.
#[derive(Clone)]
pub struct Node {
    pub name: String,
    /// The second number of the addresses that pods' statuses tell; the members listen at [`LISTENING`].
    pub told: u8,
    pub tls: Option<SimTls>,
}

pub const LISTENING: u8 = 20;

type Members = Arc<Mutex<BTreeMap<String, SimMember>>>;

pub struct Rig {
    pub api: Arc<ApiServer>,
    pub namespace: String,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    client: Client,
    /// By the pod's UID.
    members: Members,
    starts: std::cell::Cell<u32>,
    node: String,
}

impl Rig {
    /// A namespace of its own on that API server, with the program's Role bound.
    pub fn new(api: Arc<ApiServer>, name: &str) -> Self {
        Self::with(api, name, Node { name: "test".to_owned(), told: LISTENING, tls: None })
    }

    /// The same on that node.
    pub fn with(api: Arc<ApiServer>, name: &str, node: Node) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(api.client());
        let folder = tempfile::tempdir().unwrap();
        api.kubectl(&["create", "namespace", name]);
        api.kubectl(&["create", "serviceaccount", "stillpoint", "-n", name]);
        let (members, on) = (Members::default(), node.name.clone());
        runtime.spawn(kubelet(client.clone(), name.to_owned(), node, members.clone()));
        let starts = std::cell::Cell::new(0);
        Self { api, namespace: name.to_owned(), folder, runtime, client, members, starts, node: on }
    }

    /// Writes the config: these lines below `clusters`, each a name and what it is, and grants what it needs.
    pub fn config(&self, window: &str, more: &str, clusters: &[(&str, &str)]) {
        self.configure(&self.api.account(&self.namespace, "stillpoint"), window, more, clusters);
        let roles = self.run(&["rbac", "--serviceaccount", &format!("{}:stillpoint", self.namespace)]);
        assert_eq!(roles.0, 0, "{}", roles.2);
        self.api.apply(&roles.1);
    }

    /// Writes the config for that kubeconfig.
    pub fn configure(&self, kubeconfig: &std::path::Path, window: &str, more: &str, clusters: &[(&str, &str)]) {
        let place = format!("kubeconfig: {}, namespace: {}", kubeconfig.display(), self.namespace);
        let folder = self.folder.path().display();
        let mut text = format!(
            "daemon: {{catalog: \"sqlite://{folder}/catalog.db\", http: none}}\ngroups:\n  shop:\n    window: {window}\n\
             {more}    clusters:\n"
        );
        for (name, what) in clusters {
            text.push_str(&format!("      {name}: {{{}}}\n", what.replace("PLACE", &place)));
        }
        std::fs::write(self.path("config.yaml"), text).unwrap();
    }

    /// Adds to the config: another group.
    pub fn append(&self, text: &str) {
        let path = self.path("config.yaml");
        let config = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, config + text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
        command.arg("--config").arg(self.path("config.yaml")).args(arguments);
        command
    }

    /// Runs the program to its end: exit code, standard output, standard error.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        self.run_with(&[], arguments)
    }

    /// The same beside another program: with a catalog of its own.
    pub fn run_elsewhere(&self, arguments: &[&str]) -> (i32, String, String) {
        let catalog = format!("sqlite://{}", self.path("other.db").display());
        self.run_with(&[("STILLPOINT__DAEMON__CATALOG", &catalog)], arguments)
    }

    /// The same with these variables.
    pub fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).envs(variables.iter().copied()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Starts the program in the background.
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.starts.set(self.starts.get() + 1);
        Process::start(arguments[0], &self.command(arguments), &self.path(&format!("{}.log", self.starts.get())))
    }

    /// A window in its hold: every member is paused.
    pub fn hold(&self) -> Process {
        let window = self.window();
        let all = self.members.lock().unwrap().len();
        wait_until("all are paused", LIMIT, || (self.paused() == all).then_some(()));
        self.wait_for_hold();
        window
    }

    /// Starts a window.
    pub fn window(&self) -> Process {
        self.start(&["window", "shop", "-o", "json"])
    }

    /// Waits until the newest window has journalled its pause.
    pub fn wait_for_hold(&self) {
        wait_until("the pause is recorded", LIMIT, || self.newest()["pause_completed"].is_string().then_some(()));
    }

    /// The newest window, as `history` tells it.
    pub fn newest(&self) -> Value {
        let history: Value = serde_json::from_str(&self.run(&["history", "-o", "json"]).1).unwrap_or_default();
        history[0].clone()
    }

    /// How a window ended: exit code, verdict's first reason as code and sentence.
    pub fn ended(&self, mut window: Process) -> (i32, String, String) {
        let status = window.wait(LIMIT);
        let output = window.output();
        let report: Value = output.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let text = |key: &str| report["reasons"][0][key].as_str().unwrap_or_default().to_owned();
        (status.code().unwrap_or(-1), text("code"), text("sentence"))
    }

    pub fn paused(&self) -> usize {
        self.members.lock().unwrap().values().filter(|member| member.is_paused()).count()
    }

    /// How many pause requests have reached members.
    pub fn pauses(&self) -> usize {
        let members = self.members.lock().unwrap();
        let calls = members.values().flat_map(SimMember::calls);
        calls.filter(|call| matches!(call.request, Request::Pause { .. })).count()
    }

    /// Lets that future run to its end.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// When the first unpause request of all reached a member.
    pub fn first_unpause(&self) -> Option<Instant> {
        let members = self.members.lock().unwrap();
        let calls = members.values().flat_map(SimMember::calls);
        calls.filter(|call| call.request == Request::Unpause).map(|call| call.at).min()
    }

    /// A release as Scalar's charts make it, with an Envoy beside it.
    pub fn release(&self, name: &str, product: &Chart, replicas: u32) {
        self.api.apply(&product.release(&self.namespace, name, replicas, &self.node));
        self.wait_for_pods(
            &format!("app.kubernetes.io/instance={name},app.kubernetes.io/app={}", product.app),
            replicas,
        );
    }

    /// Waits until that many pods of the selector are ready, and their workloads at rest.
    pub fn wait_for_pods(&self, selector: &str, count: u32) {
        wait_until("pods are ready", LIMIT, || {
            let pods = self.pods(selector);
            let ready = |pod: &&Value| {
                let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
                conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            };
            let at_rest = self.kubectl(&["get", "deployments", "-o", "json"]);
            let at_rest: Value = serde_json::from_str(&at_rest).unwrap();
            let rests = at_rest["items"].as_array().unwrap().iter().all(|it| {
                it["metadata"]["generation"] == it["status"]["observedGeneration"]
                    && it["spec"]["replicas"].as_u64() == Some(it["status"]["readyReplicas"].as_u64().unwrap_or(0))
                    && it["spec"]["replicas"].as_u64() == Some(it["status"]["updatedReplicas"].as_u64().unwrap_or(0))
            });
            (rests && pods.len() == count as usize && pods.iter().filter(ready).count() == count as usize).then_some(())
        });
    }

    pub fn pods(&self, selector: &str) -> Vec<Value> {
        let list = self.kubectl(&["get", "pods", "-l", selector, "-o", "json"]);
        serde_json::from_str::<Value>(&list).unwrap()["items"].as_array().unwrap().clone()
    }

    /// The name of one of a selector's pods.
    pub fn a_pod(&self, selector: &str) -> String {
        self.pods(selector)[0]["metadata"]["name"].as_str().unwrap().to_owned()
    }

    /// kubectl in the rig's namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.api.kubectl(&[&["-n", &self.namespace], arguments].concat())
    }

    /// Where a pod serves the admin interface.
    pub fn address_of(&self, pod: &str) -> SocketAddr {
        let ip = self.kubectl(&["get", "pod", pod, "-o", "jsonpath={.status.podIP}"]);
        SocketAddr::from((ip.parse::<Ipv4Addr>().unwrap(), CHARTS[0].port))
    }

    /// Another member at that address, as soon as it is free, paused by someone else.
    pub fn someone_elses(&self, address: &SocketAddr) -> SimMember {
        let _guard = self.runtime.enter();
        let start = || SimMember::start(*address, Flavour::Scalardb, None).ok();
        let member = wait_until("the address is free", LIMIT, start);
        let address = address.to_string();
        let named = Member { cluster: "other".into(), name: address.clone(), address, stage: 0, pod: None };
        let paused = self
            .runtime
            .block_on(async { Connector::plaintext(Product::Custom).client(&named).pause(LIMIT, LIMIT).await });
        assert_eq!(paused, Answer::Ok);
        member
    }

    /// A pod's process ends, and nothing starts it again.
    pub fn end_process(&self, pod: &str) {
        let uid = self.kubectl(&["get", "pod", pod, "-o", "jsonpath={.metadata.uid}"]);
        self.members.lock().unwrap().remove(&uid);
    }

    /// Waits until a workload's controller has seen its newest generation.
    pub fn wait_for_observed(&self, workload: &str) {
        wait_until("its controller has seen it", LIMIT, || {
            let object: Value = serde_json::from_str(&self.kubectl(&["get", workload, "-o", "json"])).unwrap();
            (object["metadata"]["generation"] == object["status"]["observedGeneration"]).then_some(())
        });
    }

    /// Patches a pod's status, as a kubelet does.
    pub fn patch_status(&self, pod: &str, status: Value) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        self.runtime.block_on(async {
            let patch = Patch::Strategic(json!({"status": status}));
            pods.patch_status(pod, &PatchParams::default(), &patch).await.unwrap();
        });
    }
}

/// What one of Scalar's charts makes.
pub struct Chart {
    pub app: &'static str,
    pub product: &'static str,
    pub port_name: &'static str,
    pub port: u16,
    /// The headless Service names its target port.
    pub named: bool,
}

pub const CHARTS: [Chart; 4] = [
    Chart {
        app: "scalardb-cluster",
        product: "scalardb-cluster",
        port_name: "scalardb-cluster",
        port: 60053,
        named: true,
    },
    Chart { app: "scalardb", product: "scalardb-server", port_name: "scalardb", port: 60051, named: false },
    Chart { app: "ledger", product: "scalardl-ledger", port_name: "scalardl-admin", port: 50053, named: true },
    Chart {
        app: "auditor",
        product: "scalardl-auditor",
        port_name: "scalardl-auditor-admin",
        port: 40053,
        named: false,
    },
];

impl Chart {
    fn release(&self, namespace: &str, name: &str, replicas: u32, node: &str) -> String {
        let Self { app, port_name, port, named, .. } = self;
        let labels = |app: &str| {
            format!(
                "{{app.kubernetes.io/name: {app}, app.kubernetes.io/instance: {name}, app.kubernetes.io/app: {app}}}"
            )
        };
        let (own, envoy) = (labels(app), labels("envoy"));
        let target = if *named { "admin".to_owned() } else { port.to_string() };
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}-node, namespace: {namespace}, labels: {own}}}\n\
             spec:\n  replicas: {replicas}\n  selector: {{matchLabels: {own}}}\n  template:\n    metadata: {{labels: {own}}}\n    \
             spec:\n      nodeName: {node}\n      terminationGracePeriodSeconds: 90\n      containers:\n      - name: {app}\n        \
             image: {app}\n        ports: [{{name: admin, containerPort: {port}}}]\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: {name}-headless, namespace: {namespace}, labels: {own}}}\n\
             spec:\n  clusterIP: None\n  selector: {own}\n  ports: [{{name: {port_name}, port: {port}, targetPort: {target}}}]\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}-envoy, namespace: {namespace}, labels: {envoy}}}\n\
             spec:\n  nodeName: {node}\n  containers: [{{name: envoy, image: envoy}}]\n"
        )
    }
}

/// Does for a node's pods what a kubelet does: runs a stand-in member for each, on an address of its own, and says so.
async fn kubelet(client: Client, namespace: String, node: Node, members: Members) {
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    loop {
        let Ok(list) = pods.list(&Default::default()).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut there = Vec::new();
        for pod in list.items {
            let on = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            if on.is_some_and(|name| name != node.name) {
                continue;
            }
            let (name, uid) = (pod.metadata.name.clone().unwrap(), pod.metadata.uid.clone().unwrap());
            if pod.metadata.deletion_timestamp.is_some() {
                members.lock().unwrap().remove(&uid);
                let _ = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
                continue;
            }
            if pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()).is_none() {
                let status = run(&pod, &uid, &node, &members);
                let _ =
                    pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await;
            }
            there.push(uid);
        }
        members.lock().unwrap().retain(|uid, _| there.contains(uid));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Starts what is in a pod, and answers with its status.
fn run(pod: &Pod, uid: &str, node: &Node, members: &Members) -> Value {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    // Another checkout's tests may run beside these.
    let host = (std::process::id() % 250) << 8 | NEXT.fetch_add(1, Ordering::Relaxed);
    let ip = |second| Ipv4Addr::from(u32::from(Ipv4Addr::new(127, second, 0, 0)) + host);
    let container = &pod.spec.as_ref().unwrap().containers[0];
    if let Some(port) = container.ports.iter().flatten().next() {
        let address = SocketAddr::from((ip(LISTENING), u16::try_from(port.container_port).unwrap()));
        let member = SimMember::start(address, Flavour::Scalardb, node.tls.clone()).unwrap();
        members.lock().unwrap().insert(uid.to_owned(), member);
    }
    running(&container.name, ip(node.told), 0, true)
}

/// The status of a pod whose container runs.
pub fn running(container: &str, ip: Ipv4Addr, restarts: u32, ready: bool) -> Value {
    let condition = |kind: &str| {
        let holds = ready || ["PodScheduled", "Initialized"].contains(&kind);
        let status = if holds { "True" } else { "False" };
        json!({"type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let conditions: Vec<Value> =
        ["PodScheduled", "Initialized", "ContainersReady", "Ready"].into_iter().map(condition).collect();
    json!({
        "phase": "Running", "podIP": ip.to_string(), "podIPs": [{"ip": ip.to_string()}], "conditions": conditions,
        "containerStatuses": [{
            "name": container, "image": "x", "imageID": "x", "containerID": "test://x", "restartCount": restarts,
            "ready": ready, "started": true, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }],
    })
}
