//! The chart installed, and a kubelet that runs its pods as processes of this machine: hooks, signals, grace periods.

use crate::rig::{LIMIT, Rig, running};
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::tools::kubernetes_program;
use crate::support::wait_until;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/stillpoint");

/// Runs the rest of its arguments where the first one's files lie as a pod finds its ServiceAccount.
const AS_IN_A_POD: &str = "mount -t tmpfs none /var/run; there=/var/run/secrets/kubernetes.io/serviceaccount; mkdir -p $there; \
     cp $1/* $there; shift; exec \"$@\"";

/// A program under the release's ServiceAccount, with a pod's variables.
#[derive(Clone)]
pub struct Account {
    folder: PathBuf,
    port: u16,
}

/// One pod's process.
struct Running {
    name: String,
    http: u16,
    /// What the pod's container is run with, and its hook.
    variables: Vec<(String, String)>,
    process: Arc<Mutex<Process>>,
    ending: Option<Arc<AtomicBool>>,
    restarts: u32,
    ready: bool,
}

type Pods = Arc<Mutex<BTreeMap<String, Running>>>;

pub struct Release {
    pub rig: Rig,
    pub namespace: String,
    account: Account,
    pods: Pods,
    stop: Arc<AtomicBool>,
}

/// helm installs the chart as `sp` in that namespace, for the rig's cluster `orders`.
pub fn install(rig: &Rig, namespace: &str, settings: &[String]) {
    let mut install = Command::new(kubernetes_program("helm"));
    install.args(["install", "sp", CHART, "--namespace", namespace, "--create-namespace", "--kubeconfig"]);
    install.arg(rig.api.kubeconfig());
    let place = format!("kubernetes.namespace={}", rig.namespace);
    let cluster = ["product=scalardb-cluster", &place, "kubernetes.release=orders"];
    let cluster = cluster.map(|setting| format!("config.groups.shop.clusters.orders.{setting}"));
    for setting in cluster.iter().chain(settings) {
        install.args(["--set", setting]);
    }
    let output = install.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Account {
    /// The files that a kubelet puts into the release's pods, and its config.
    pub fn new(rig: &Rig, namespace: &str) -> Self {
        let get = ["get", "configmap", "sp-stillpoint", "-n", namespace, "-o", "jsonpath={.data.config\\.yaml}"];
        std::fs::write(rig.path("config.yaml"), rig.api.kubectl(&get)).unwrap();
        let folder = rig.path("serviceaccount");
        std::fs::create_dir(&folder).unwrap();
        let token = rig.api.kubectl(&["create", "token", "sp-stillpoint", "-n", namespace]);
        std::fs::write(folder.join("token"), token.trim()).unwrap();
        std::fs::write(folder.join("namespace"), namespace).unwrap();
        std::fs::copy(rig.api.folder().join("ca.crt"), folder.join("ca.crt")).unwrap();
        Self { folder, port: rig.api.port() }
    }

    /// The program as it runs in a pod.
    pub fn command(&self) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", AS_IN_A_POD, "sh"]).arg(&self.folder);
        command.arg(env!("CARGO_BIN_EXE_stillpoint")).env_remove("KUBECONFIG").env("HOME", "/nonexistent");
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", self.port.to_string());
        command
    }
}

impl Release {
    /// Installs the chart beside the rig's members, and runs its pods. The volume is a file of the rig's.
    pub fn start(rig: Rig, settings: &[String]) -> Self {
        let namespace = format!("{}-ops", rig.namespace);
        install(&rig, &namespace, settings);
        let account = Account::new(&rig, &namespace);
        let it = Self { rig, namespace, account, pods: Pods::default(), stop: Arc::default() };
        it.run_kubelet();
        it
    }

    fn run_kubelet(&self) {
        let node = Node {
            namespace: self.namespace.clone(),
            folder: self.rig.path("."),
            config: self.rig.path("config.yaml"),
            account: self.account.clone(),
            pods: self.pods.clone(),
        };
        let (api, stop) = (self.rig.api.clone(), self.stop.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let kubectl = |arguments: &[&str]| api.try_kubectl(&[&["-n", &node.namespace], arguments].concat());
                node.look(&kubectl);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
    }

    /// kubectl in the release's namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.rig.api.kubectl(&[&["-n", &self.namespace], arguments].concat())
    }

    /// The pods that are ready, by name.
    pub fn ready(&self) -> Vec<String> {
        let pods = lock(&self.pods);
        let mut names: Vec<String> =
            pods.values().filter(|pod| pod.ready && pod.ending.is_none()).map(|pod| pod.name.clone()).collect();
        names.sort();
        names
    }

    /// Waits until so many pods are ready, and one of them leads; answers with that one's name.
    pub fn wait_for_leader(&self, ready: usize) -> String {
        wait_until("it is ready, and one leads", LIMIT, || {
            let names = self.ready();
            let leads = |port| page(port, "metrics").contains("stillpoint_role{role=\"leader\"} 1");
            let leader = names.iter().find(|name| self.port(name).is_some_and(leads))?;
            (names.len() == ready).then(|| leader.clone())
        })
    }

    /// Whether a window runs.
    pub fn running(&self) -> bool {
        let ports: Vec<u16> = lock(&self.pods).values().map(|pod| pod.http).collect();
        ports.into_iter().any(|port| page(port, "metrics").contains("stillpoint_window_running{group=\"shop\"} 1"))
    }

    fn port(&self, name: &str) -> Option<u16> {
        lock(&self.pods).values().find(|pod| pod.name == name && pod.ending.is_none()).map(|pod| pod.http)
    }

    /// Starts a command in a pod, as `kubectl exec` does.
    pub fn exec(&self, pod: &str, arguments: &[&str]) -> Process {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let log = self.rig.path(&format!("exec-{}.log", NEXT.fetch_add(1, Ordering::Relaxed)));
        let variables = lock(&self.pods).values().find(|one| one.name == pod).map(|one| one.variables.clone());
        let mut command = self.account.command();
        command.args(arguments).envs(variables.expect("the pod runs"));
        Process::start(arguments[0], &command, &log)
    }

    /// The newest window, as the leader's `history` tells it.
    pub fn newest(&self, pod: &str) -> Value {
        let mut history = self.exec(pod, &["history", "-o", "json"]);
        history.wait(LIMIT);
        let all: Value = serde_json::from_str(&history.output()).unwrap_or_default();
        all[0].clone()
    }

    /// Asks for a pod's eviction, as `kubectl drain` does.
    pub fn evict(&self, pod: &str) -> Result<String, String> {
        let file = self.rig.path("eviction.json");
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self.namespace}});
        std::fs::write(&file, eviction.to_string()).unwrap();
        let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", self.namespace);
        self.rig.api.try_kubectl(&["create", "--raw", &path, "-f", file.to_str().unwrap()])
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A kubelet of one namespace.
struct Node {
    namespace: String,
    folder: PathBuf,
    config: PathBuf,
    account: Account,
    pods: Pods,
}

impl Node {
    fn look(&self, kubectl: &dyn Fn(&[&str]) -> Result<String, String>) {
        let Ok(list) = kubectl(&["get", "pods", "-o", "json"]) else { return };
        let list: Value = serde_json::from_str(&list).unwrap();
        let mut pods = lock(&self.pods);
        let mut there = Vec::new();
        for pod in list["items"].as_array().unwrap() {
            let uid = text(&pod["metadata"]["uid"]);
            there.push(uid.clone());
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                self.end(&mut pods, pod, kubectl);
            } else if let Some(running) = pods.get_mut(&uid) {
                self.keep(running, pod, kubectl);
            } else {
                self.bind(&text(&pod["metadata"]["name"]), kubectl);
                let running = self.begin(pod);
                show(&running, pod, kubectl);
                pods.insert(uid, running);
            }
        }
        // What was deleted by force has no process any more.
        let gone: Vec<Running> = pods.extract_if(.., |uid, _| !there.contains(uid)).map(|(_, pod)| pod).collect();
        drop(pods);
        gone.iter().for_each(|pod| lock(&pod.process).kill());
    }

    /// Does for a pod what a scheduler does: one that is on no node has no grace period.
    fn bind(&self, name: &str, kubectl: &dyn Fn(&[&str]) -> Result<String, String>) {
        let file = self.folder.join("binding.json");
        let node = json!({"apiVersion": "v1", "kind": "Node", "name": "test"});
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": node});
        std::fs::write(&file, binding.to_string()).unwrap();
        let path = format!("/api/v1/namespaces/{}/pods/{name}/binding", self.namespace);
        let _ = kubectl(&["create", "--raw", &path, "-f", file.to_str().unwrap()]);
    }

    fn begin(&self, pod: &Value) -> Running {
        let (name, uid) = (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]));
        let http = free_port();
        let mut variables: Vec<(String, String)> = Vec::new();
        for variable in pod["spec"]["containers"][0]["env"].as_array().unwrap() {
            let value = match variable.pointer("/valueFrom/fieldRef/fieldPath").and_then(Value::as_str) {
                Some(path) => text(&pod[path.split_once('.').unwrap().0][path.split_once('.').unwrap().1]),
                None => text(&variable["value"]),
            };
            variables.push((text(&variable["name"]), value));
        }
        // What pods have to themselves, and processes of one machine do not.
        let socket = self.folder.join(format!("{}.sock", &uid[..8]));
        variables.extend([
            ("STILLPOINT_CONFIG".to_owned(), self.config.display().to_string()),
            ("STILLPOINT__DAEMON__HTTP".to_owned(), format!("127.0.0.1:{http}")),
            ("STILLPOINT__DAEMON__SOCKET".to_owned(), socket.display().to_string()),
        ]);
        let process = Arc::new(Mutex::new(self.process(pod, &name, &variables)));
        Running { name, http, variables, process, ending: None, restarts: 0, ready: false }
    }

    fn process(&self, pod: &Value, name: &str, variables: &[(String, String)]) -> Process {
        let mut command = self.account.command();
        let arguments = pod["spec"]["containers"][0]["args"].as_array().unwrap();
        command.args(arguments.iter().map(|argument| argument.as_str().unwrap())).envs(variables.iter().cloned());
        Process::start(name, &command, &self.folder.join(format!("{name}-{}.log", free_port())))
    }

    /// Starts a container that ended again, and tells whether it is ready.
    fn keep(&self, running: &mut Running, pod: &Value, kubectl: &dyn Fn(&[&str]) -> Result<String, String>) {
        if !lock(&running.process).is_running() {
            println!("{} ended:\n{}", running.name, lock(&running.process).tail());
            *lock(&running.process) = self.process(pod, &running.name, &running.variables);
            running.restarts += 1;
            running.ready = false;
            show(running, pod, kubectl);
            return;
        }
        let ready = page(running.http, "readyz").starts_with("HTTP/1.1 200");
        if ready != running.ready {
            running.ready = ready;
            show(running, pod, kubectl);
        }
    }

    /// The hook, SIGTERM, and after the grace period SIGKILL; then the pod is gone.
    fn end(
        &self,
        pods: &mut BTreeMap<String, Running>,
        pod: &Value,
        kubectl: &dyn Fn(&[&str]) -> Result<String, String>,
    ) {
        let (name, uid) = (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]));
        let Some(running) = pods.get_mut(&uid) else {
            let _ = kubectl(&["delete", "pod", &name, "--grace-period=0", "--force"]);
            return;
        };
        if let Some(ended) = &running.ending {
            if ended.load(Ordering::Relaxed) {
                pods.remove(&uid);
                let _ = kubectl(&["delete", "pod", &name, "--grace-period=0", "--force"]);
            }
            return;
        }
        let ended = Arc::new(AtomicBool::new(false));
        running.ending = Some(ended.clone());
        let grace = Duration::from_secs(pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap());
        let hook = pod.pointer("/spec/containers/0/lifecycle/preStop/exec/command/1").map(text);
        let mut command = self.account.command();
        command.args(&hook).envs(running.variables.iter().cloned());
        let (process, log) = (running.process.clone(), self.folder.join(format!("{name}-hook-{}.log", free_port())));
        std::thread::spawn(move || {
            let last = Instant::now() + grace;
            if hook.is_some() {
                let mut hook = Process::start("preStop", &command, &log);
                while hook.is_running() && Instant::now() < last {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            lock(&process).signal(Signal::TERM);
            while lock(&process).is_running() && Instant::now() < last {
                std::thread::sleep(Duration::from_millis(10));
            }
            if lock(&process).is_running() {
                println!("its grace period is over, and it runs:\n{}", lock(&process).tail());
            }
            lock(&process).kill();
            ended.store(true, Ordering::Relaxed);
        });
    }
}

/// Tells the API server of a pod's container.
fn show(running_pod: &Running, pod: &Value, kubectl: &dyn Fn(&[&str]) -> Result<String, String>) {
    let container = text(&pod["spec"]["containers"][0]["name"]);
    let status = running(&container, Ipv4Addr::LOCALHOST, running_pod.restarts, running_pod.ready);
    let patch = json!({"status": status}).to_string();
    let _ = kubectl(&["patch", "pod", &running_pod.name, "--subresource=status", "--type=merge", "-p", &patch]);
}

/// What a process serves at that path, with the status line.
fn page(port: u16, path: &str) -> String {
    let url = format!("http://127.0.0.1:{port}/{path}");
    let output = Command::new("curl").args(["-sSi", "-m", "2", &url]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
