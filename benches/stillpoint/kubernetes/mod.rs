//! 100 clusters of ten pods each, found, counted and watched through a real API server.

mod load;

use super::MANY;
use super::fan_out::{Closed, engine, tell, turns};
use super::members::{Members, raise_open_files};
use super::program::{Place, Program};
use super::support::kubernetes::ApiServer;
use super::table::Table;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use stillpoint::config::{Cluster, Connect, Kubernetes, Namespace, Pods, Source};
use stillpoint::domain::Product;
use stillpoint::kubernetes::Depth;

const CLUSTERS: usize = 100;
const PODS: usize = MANY / CLUSTERS;
const PRODUCT: Product = Product::ScalardbCluster;
const ROUNDS: usize = 10;
/// How long a daemon at rest is looked at; its sweeps are a minute apart.
const AT_REST: [Duration; 2] = [Duration::from_secs(60); 2];
/// Its first sweep is over by then.
const SETTLED: Duration = Duration::from_secs(10);
const ACCOUNT: &str = "stillpoint";

/// All clusters in one namespace, and each in its own.
pub fn measure(table: &mut Table) {
    raise_open_files();
    let port = PRODUCT.admin_port().expect("it has a chart");
    let members = Members::start_as_pods(MANY, port);
    for namespaces in [1, CLUSTERS] {
        let stage = Stage::new(&members, namespaces);
        let over = match namespaces {
            1 => "1,000 pods in a namespace".to_owned(),
            many => format!("1,000 pods in {many} namespaces"),
        };
        windows(table, &over, &members, &stage);
        at_rest(table, &over, &stage);
    }
}

/// An API server that holds the clusters, and a ServiceAccount with the program's own Role.
struct Stage {
    api: ApiServer,
    kubeconfig: PathBuf,
    namespaces: usize,
}

impl Stage {
    fn new(members: &Members, namespaces: usize) -> Self {
        let api = ApiServer::recording();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let begun = Instant::now();
        let places: Vec<String> = (0..namespaces).map(namespace).collect();
        let releases: Vec<load::Release> = members
            .addresses
            .chunks(PODS)
            .enumerate()
            .map(|(index, addresses)| load::Release {
                namespace: namespace(index % namespaces),
                name: release(index),
                addresses: addresses.to_vec(),
            })
            .collect();
        runtime.block_on(async { load::load(&api.client().await, &places, releases).await });
        println!("{MANY} pods of {CLUSTERS} releases loaded in {:.1} s", begun.elapsed().as_secs_f64());
        api.kubectl(&["create", "serviceaccount", ACCOUNT, "-n", &namespace(0)]);
        let stage = Self { kubeconfig: api.account(&namespace(0), ACCOUNT), api, namespaces };
        let roles = stage.place().output(&["rbac", "--serviceaccount", &format!("{}:{ACCOUNT}", namespace(0))]);
        stage.api.apply(&roles);
        stage
    }

    /// The clusters as the engine takes them.
    fn clusters(&self) -> BTreeMap<String, Cluster> {
        let cluster = |index: usize| {
            let namespace = Namespace {
                eks: None,
                kubeconfig: Some(self.kubeconfig.clone()),
                context: None,
                name: Some(namespace(index % self.namespaces)),
            };
            let pods = Pods::Release(release(index));
            let source = Source::Kubernetes(Kubernetes { namespace, pods, connect: Connect::Address });
            let name = release(index);
            (name.clone(), Cluster { name, product: PRODUCT, stage: 0, source, tls: None })
        };
        (0..CLUSTERS).map(cluster).collect()
    }

    /// The same as a config of the program, which sweeps as often as by default.
    fn place(&self) -> Place {
        let line = |index: usize| {
            let (kubeconfig, namespace) = (self.kubeconfig.display(), namespace(index % self.namespaces));
            format!(
                "      {0}: {{product: {PRODUCT}, kubernetes: {{kubeconfig: {kubeconfig}, namespace: {namespace}, release: {0}}}}}\n",
                release(index)
            )
        };
        Place::over("1m", "2s", &(0..CLUSTERS).map(line).collect::<String>())
    }

    /// How often the program has asked the API server, and how many bytes it was answered.
    fn asked(&self) -> Asked {
        let requests = self.api.requests();
        let metrics = self.api.kubectl(&["get", "--raw", "/metrics"]);
        let mut bytes = 0.0;
        for line in metrics.lines().filter(|line| line.starts_with("apiserver_response_sizes_sum{")) {
            let own = ["pods", "services", "deployments", "statefulsets", "replicasets"];
            let Some((labels, value)) = line.rsplit_once(' ') else { continue };
            if labels.contains("verb=\"LIST\"") && own.iter().any(|it| labels.contains(&format!("resource=\"{it}\""))) {
                bytes += value.parse::<f64>().expect("a number");
            }
        }
        Asked { requests, bytes }
    }
}

struct Asked {
    requests: BTreeMap<String, u64>,
    bytes: f64,
}

impl Asked {
    /// Requests and mebibytes since then.
    fn since(&self, before: &Self) -> (f64, f64) {
        let mut more = self.requests.clone();
        for (what, count) in &before.requests {
            *more.entry(what.clone()).or_default() -= count;
        }
        println!("asked: {more:?}");
        let count = u32::try_from(more.values().sum::<u64>()).expect("not that many");
        (count.into(), (self.bytes - before.bytes) / 1024.0 / 1024.0)
    }
}

fn namespace(index: usize) -> String {
    format!("shop-{index}")
}

fn release(index: usize) -> String {
    format!("orders-{index:02}")
}

/// Windows beside bare fan-outs, and what they ask of the API server.
fn windows(table: &mut Table, over: &str, members: &Members, stage: &Stage) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (engine, group) = runtime.block_on(engine(stage.clusters(), folder.path()));
    let mut censuses = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let found = runtime.block_on(engine.finder().find(&group, Depth::Workloads)).expect("the clusters are found");
        censuses.push(begun.elapsed().as_secs_f64() * 1e3);
        assert_eq!((found.members.len(), found.against), (MANY, Vec::new()));
    }
    table.add(&format!("{over}, census"), "ms", &censuses, "");
    let before = stage.asked();
    let (bare, windows) = runtime.block_on(turns(members, &engine, &group, ROUNDS));
    let (requests, mebibytes) = stage.asked().since(&before);
    tell(table, over, &bare, &windows);
    let verdicts: Vec<f64> = windows.iter().map(|window: &Closed| window.verdict.as_secs_f64()).collect();
    table.add(&format!("{over}, first unpause to verdict"), "s", &verdicts, "");
    let each = ROUNDS as f64 + 1.0;
    table.add(&format!("{over}, requests to the API server a window"), "1", &[requests / each], "");
    table.add(&format!("{over}, lists read a window"), "MiB", &[mebibytes / each], "");
}

/// The daemon between windows, its sweeps included.
fn at_rest(table: &mut Table, over: &str, stage: &Stage) {
    let place = stage.place();
    let daemon = place.daemon();
    std::thread::sleep(SETTLED);
    let (mut resident, mut seconds, mut requests, mut mebibytes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for length in AT_REST {
        let (asked, cpu) = (stage.asked(), daemon.cpu_seconds());
        watch(&daemon, length, &mut resident);
        seconds.push(daemon.cpu_seconds() - cpu);
        let (count, size) = stage.asked().since(&asked);
        requests.push(count);
        mebibytes.push(size);
    }
    quiet(&place.path("run.log"));
    table.add(&format!("{over}, daemon at rest: resident"), "MiB", &resident, "40");
    table.add(&format!("{over}, daemon at rest: resident at most"), "MiB", &[daemon.mebibytes("VmHWM")], "");
    table.add(&format!("{over}, daemon at rest: CPU a minute"), "s", &seconds, "");
    table.add(&format!("{over}, daemon at rest: requests a minute"), "1", &requests, "");
    table.add(&format!("{over}, daemon at rest: lists read a minute"), "MiB", &mebibytes, "");
    daemon.stop();
}

/// Notes each second what the daemon takes.
fn watch(daemon: &Program, length: Duration, resident: &mut Vec<f64>) {
    let end = Instant::now() + length;
    while Instant::now() < end {
        resident.push(daemon.mebibytes("VmRSS"));
        std::thread::sleep(Duration::from_secs(1).min(end.saturating_duration_since(Instant::now())));
    }
}

/// The sweeps found everybody open: otherwise what was measured is something else.
fn quiet(log: &Path) {
    let text = std::fs::read_to_string(log).expect("it logs");
    let unwell: Vec<&str> = text.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    assert!(unwell.is_empty(), "{unwell:#?}");
}
