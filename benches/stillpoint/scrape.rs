//! A scrape of `/metrics` with 100 clusters of ten members each, beside the same bytes from a bare server.

use super::table::{Table, median_of};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stillpoint::config::{Cluster, Coverage, Group, Keep, Preflight, Source, Store, StoreKind, WindowSettings};
use stillpoint::domain::{Code, Product, Verdict};
use stillpoint::http::{Pages, serve};
use stillpoint::observe::metrics::{Ended, Look, Past};
use stillpoint::observe::{Health, Metrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CLUSTERS: usize = 100;
const MEMBERS_EACH: usize = 10;
const ROUNDS: usize = 50;

/// The clusters in one group, in ten, and each in its own; each group with two stores.
pub fn measure(table: &mut Table) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for groups in [1, 10, CLUSTERS] {
        runtime.block_on(one(table, groups));
    }
}

async fn one(table: &mut Table, groups: usize) {
    let metrics = Arc::new(filled(groups));
    let health = Arc::new(Health::new(Instant::now(), Duration::from_secs(60)));
    let page = metrics.render(&health, Instant::now()).expect("a page");
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    let pages = Pages { metrics: metrics.clone(), health: health.clone(), dropped_lines: None };
    let (ours, bare) = (bound().await, bound().await);
    let (ours_at, bare_at) = (ours.local_addr().expect("an address"), bare.local_addr().expect("an address"));
    let server = tokio::spawn(serve(ours, pages, std::future::pending()));
    let floor = tokio::spawn(answer(bare, page.clone()));
    let (mut rendering, mut scrapes, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let rendered = metrics.render(&health, Instant::now()).expect("a page");
        rendering.push(milliseconds(begun));
        let least = scrape(bare_at, rendered.len()).await;
        let full = scrape(ours_at, rendered.len()).await;
        floors.push(least);
        scrapes.push(full);
        ratios.push(full / least);
    }
    server.abort();
    floor.abort();
    let name = format!("/metrics, {CLUSTERS} clusters, {} members, {groups} group(s)", CLUSTERS * MEMBERS_EACH);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (bytes, series) = (page.len() as f64, series as f64);
    table.add(&format!("{name}: size"), "KiB", &[bytes / 1024.0], "");
    table.add(&format!("{name}: series"), "1", &[series], "");
    table.add(&format!("{name}: rendering"), "ms", &rendering, "");
    table.add(&format!("{name}: the same bytes from a bare server"), "ms", &floors, "");
    table.add(&format!("{name}: scrape"), "ms", &scrapes, "");
    table.add(&format!("{name}: scrape / bare server beside it"), "times", &ratios, "");
    println!("rendering is {:.0} % of a scrape", 100.0 * median_of(&rendering) / median_of(&scrapes));
}

/// Every series that a daemon has when all of it was looked at, and windows ended well and badly.
fn filled(groups: usize) -> Metrics {
    let metrics = Metrics::new("bench", at()).expect("metrics");
    for number in 0..groups {
        let group = group(number, CLUSTERS / groups);
        metrics.group_configured(&group);
        metrics
            .group_known(&group.name, &Past { first_seen: at(), last_consistent: Some(at()), discarded_in_a_row: 0 });
        metrics.scheduled(&group.name, Some(at()), Some(Duration::from_secs(86_400)));
        let look = Look { known: MEMBERS_EACH, paused: 0, unanswered: 0 };
        let looks: BTreeMap<String, Look> = group.clusters.keys().map(|cluster| (cluster.clone(), look)).collect();
        metrics.members_seen(&group.name, &looks);
        for store in group.stores.keys() {
            metrics.store_known(&group.name, store, true);
            metrics.store_recoverable(&group.name, store, true);
            metrics.store_clock(&group.name, store, -0.2, 0.4);
            metrics.tracked(&group.name, store, &[]);
        }
        for verdict in [Verdict::Consistent, Verdict::Discarded] {
            let reason = (verdict == Verdict::Discarded).then_some(Code::DrainTimeout);
            let seconds = Some(Duration::from_secs(10));
            let ended = Ended { verdict, reason, quiet: seconds, closed: seconds, drain: seconds, ..Ended::missed() };
            metrics.window_ended(&group.name, &ended);
        }
    }
    for operation in ["DescribeTable", "DescribeContinuousBackups", "ListTables", "CreateBackup", "DescribeBackup"] {
        metrics.aws_called("123456789012", "eu-west-1", operation, "ok");
    }
    metrics
}

fn group(number: usize, clusters: usize) -> Group {
    let cluster = |index: usize| {
        let name = format!("orders-{index}");
        let source = Source::Addresses(vec!["127.0.0.1:60053".to_owned()]);
        (name.clone(), Cluster { name, product: Product::ScalardbCluster, stage: 0, source, tls: None })
    };
    let store = |name: &str| {
        let aws =
            stillpoint::config::Aws { region: "eu-west-1".into(), role_arn: None, external_id: None, endpoint: None };
        let kind = StoreKind::Rds { aws, instance: name.to_owned() };
        (name.to_owned(), Store { name: name.to_owned(), preflight: Preflight::Refuse, kind })
    };
    Group {
        name: format!("payments-{number}"),
        schedule: None,
        objective: None,
        window: WindowSettings {
            hold: Duration::from_secs(10),
            drain: Duration::from_secs(30),
            max_pause: Duration::from_secs(60),
        },
        coverage: Coverage::Refuse,
        ignore: Vec::new(),
        clusters: (0..clusters).map(cluster).collect(),
        stores: ["tables", "ledger"].map(store).into(),
        keep: Keep::default(),
        closed_budget: None,
        heartbeat: None,
    }
}

fn at() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time")
}

async fn bound() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

/// The least that a scrape can take: a head and the bytes, nothing looked up, nothing formatted.
async fn answer(listener: TcpListener, page: String) {
    let page = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    while let Ok((mut stream, _)) = listener.accept().await {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(page.as_bytes()).await;
    }
}

/// In milliseconds, on a connection of its own.
async fn scrape(address: SocketAddr, least: usize) -> f64 {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it takes the request");
    let mut page = Vec::with_capacity(least + 1024);
    stream.read_to_end(&mut page).await.expect("it answers");
    assert!(page.len() >= least, "{} bytes of {least}", page.len());
    milliseconds(begun)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
