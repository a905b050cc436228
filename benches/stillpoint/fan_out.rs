//! How long a thousand members are closed beyond the quiet interval, beside the least that this takes.

use super::MANY;
use super::members::{Members, cpu, raise_open_files};
use super::table::{Table, median_of};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stillpoint::catalog::Catalog;
use stillpoint::config::{Cluster, Config, Coverage, Daemon, Group, Source, WindowSettings};
use stillpoint::domain::{Product, Trigger, Verdict};
use stillpoint::engine::{Clock, Engine, Finder, Order};
use stillpoint::leadership::Leadership;
use stillpoint::observe::Metrics;
use stillpoint::scalar::rpc::PauseRequest;
use stillpoint::scalar::rpc::admin_client::AdminClient;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

const ROUNDS: usize = 15;
/// Before each round: what the one before it left to do is done by then.
const REST: Duration = Duration::from_millis(300);

/// The two halves: until the last pause was acknowledged, and until the last unpause was.
#[derive(Clone, Copy)]
pub struct Closed {
    pausing: Duration,
    opening: Duration,
    /// From the first unpause request to the verdict; nothing for a bare fan-out.
    pub verdict: Duration,
    /// Processor time of this process, and of the members'.
    cpu: [Duration; 2],
}

/// Measures both, turn by turn, from one process and one thread.
pub fn measure(table: &mut Table) {
    raise_open_files();
    let members = Members::start(MANY);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let cluster = Cluster {
        name: "all".to_owned(),
        product: Product::Custom,
        stage: 0,
        source: Source::Addresses(members.addresses.clone()),
        tls: None,
    };
    let (bare, windows) = runtime.block_on(async {
        let clusters = BTreeMap::from([("all".to_owned(), cluster)]);
        let (engine, group) = engine(clusters, folder.path()).await;
        turns(&members, &engine, &group, ROUNDS).await
    });
    tell(table, "1,000 members", &bare, &windows);
}

/// Bare fan-outs and windows over the same members, turn by turn.
pub async fn turns(members: &Members, engine: &Engine, group: &Group, rounds: usize) -> (Vec<Closed>, Vec<Closed>) {
    let clients = warm(&members.addresses).await;
    let (mut bare, mut windows) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        tokio::time::sleep(REST).await;
        let floor = fan_out(&clients, members).await;
        tokio::time::sleep(REST).await;
        let window = window(engine, group, members).await;
        // The first round also warms caches and allocators, on both sides.
        if round > 0 {
            bare.push(floor);
            windows.push(window);
        }
    }
    (bare, windows)
}

/// Both, and what a window takes more.
pub fn tell(table: &mut Table, over: &str, bare: &[Closed], windows: &[Closed]) {
    let list = |rounds: &[Closed], of: fn(&Closed) -> Duration| -> Vec<f64> {
        rounds.iter().map(|round| of(round).as_secs_f64() * 1e3).collect()
    };
    let pausing: fn(&Closed) -> Duration = |round| round.pausing;
    let opening: fn(&Closed) -> Duration = |round| round.opening;
    let whole: fn(&Closed) -> Duration = |round| round.pausing + round.opening;
    for (name, rounds) in [("bare fan-out", bare), ("window", windows)] {
        table.add(&format!("{over}, {name}: pausing"), "ms", &list(rounds, pausing), "");
        table.add(&format!("{over}, {name}: opening"), "ms", &list(rounds, opening), "");
        table.add(&format!("{over}, {name}: both"), "ms", &list(rounds, whole), "");
        table.add(&format!("{over}, {name}: own CPU"), "ms", &list(rounds, |round| round.cpu[0]), "");
        table.add(&format!("{over}, {name}: members' CPU"), "ms", &list(rounds, |round| round.cpu[1]), "");
    }
    let ratio: Vec<f64> =
        bare.iter().zip(windows).map(|(a, b)| whole(b).as_secs_f64() / whole(a).as_secs_f64()).collect();
    table.add(&format!("{over}, window / bare fan-out beside it"), "times", &ratio, "1.0 to 1.2");
    for (name, of) in [("pausing", pausing), ("opening", opening), ("both", whole)] {
        let ratio = median_of(&list(windows, of)) / median_of(&list(bare, of));
        table.add(&format!("{over}, median window / median bare: {name}"), "times", &[ratio], "1.0 to 1.2");
    }
}

async fn warm(addresses: &[String]) -> Vec<AdminClient<Channel>> {
    let mut clients = Vec::new();
    for address in addresses {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let mut client = AdminClient::new(endpoint.connect().await.expect("the member listens"));
        assert!(!client.check_paused(()).await.expect("the member answers").into_inner().paused);
        clients.push(client);
    }
    clients
}

/// No journal, no checks: a request to each, all at once, and again.
async fn fan_out(clients: &[AdminClient<Channel>], members: &Members) -> Closed {
    let own = std::process::id();
    let before = [cpu(own), members.cpu()];
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    for client in clients {
        let mut client = client.clone();
        let request = PauseRequest { wait_outstanding: true, max_pause_wait_time: Some(10_000) };
        calls.spawn(async move { client.pause(request).await });
    }
    while let Some(paused) = calls.join_next().await {
        paused.expect("the call ends").expect("the member pauses");
    }
    let pausing = begun.elapsed();
    let begun = Instant::now();
    for client in clients {
        let mut client = client.clone();
        calls.spawn(async move { client.unpause(()).await });
    }
    while let Some(opened) = calls.join_next().await {
        opened.expect("the call ends").expect("the member opens");
    }
    let opening = begun.elapsed();
    let after = [cpu(own), members.cpu()];
    Closed { pausing, opening, verdict: Duration::ZERO, cpu: [after[0] - before[0], after[1] - before[1]] }
}

/// An engine with a new catalog, and one group over these clusters.
pub async fn engine(clusters: BTreeMap<String, Cluster>, folder: &Path) -> (Engine, Group) {
    let group = group("bench", clusters);
    (engine_of(BTreeMap::from([("bench".to_owned(), group.clone())]), folder).await, group)
}

/// A group over these clusters.
pub fn group(name: &str, clusters: BTreeMap<String, Cluster>) -> Group {
    let hold = Duration::from_secs(2);
    let window = WindowSettings { hold, drain: Duration::from_secs(10), max_pause: Duration::from_secs(20) };
    Group {
        name: name.to_owned(),
        schedule: None,
        objective: None,
        window,
        closed_budget: None,
        coverage: Coverage::Refuse,
        ignore: Vec::new(),
        clusters,
        stores: BTreeMap::new(),
        keep: stillpoint::config::Keep::default(),
        heartbeat: None,
    }
}

/// An engine with a new catalog, and these groups.
pub async fn engine_of(groups: BTreeMap<String, Group>, folder: &Path) -> Engine {
    let path = folder.join("catalog.db");
    let daemon = Daemon {
        leadership: None,
        catalog: path.clone().into(),
        http: None,
        socket: folder.join("catalog.sock"),
        sweep_interval: Duration::from_secs(60),
        coverage_interval: None,
        ignore: Vec::new(),
        history: None,
    };
    let catalog = Catalog::open(&path.into()).await.expect("a catalog");
    let (clock, config) = (Clock::start(), Arc::new(Config { daemon, groups, webhooks: BTreeMap::new() }));
    let metrics = Arc::new(Metrics::new("bench", clock.now().wall).expect("metrics"));
    let finder = Finder::new(config).expect("a finder");
    Engine::new(clock, catalog, metrics, finder, Leadership::alone())
}

/// A whole window: journal, checks, hold, verdict.
async fn window(engine: &Engine, group: &Group, members: &Members) -> Closed {
    let own = std::process::id();
    let before = [cpu(own), members.cpu()];
    let order = Order { trigger: Trigger::Command, slot: None, limit: None };
    let mut handle = engine.begin(group, order).expect("the group is idle");
    let status = handle.finished().await;
    let told = jiff::Timestamp::now();
    let after = [cpu(own), members.cpu()];
    let outcome = status.outcome.expect("a finished window has its outcome");
    assert_eq!(outcome.verdict, Verdict::Consistent, "{:?}", outcome.reasons);
    let quiet = outcome.quiet.expect("a consistent window was quiet").length();
    let beyond = outcome.closed.expect("it was closed") - quiet;
    let first = status.first_pause.expect("it paused");
    let paused = status.pause_completed.expect("all acknowledged").duration_since(first);
    let pausing = Duration::try_from(paused).expect("forward");
    let opened = status.unpause_started.expect("it opened");
    let verdict = Duration::try_from(told.duration_since(opened)).expect("forward");
    let cpu = [after[0] - before[0], after[1] - before[1]];
    Closed { pausing, opening: beyond - pausing, verdict, cpu }
}
