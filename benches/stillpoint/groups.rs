//! What one daemon can lead: hundreds of groups, of which many have a slot at the same instant.

use super::fan_out::{engine_of, group};
use super::members::{Members, cpu, raise_open_files};
use super::table::Table;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use stillpoint::config::{Cluster, Group, Source};
use stillpoint::domain::{Member, Pod, Product, Trigger, Verdict};
use stillpoint::engine::{Engine, Order};
use stillpoint::leadership::{Intent, Intents};

const GROUPS: usize = 300;
/// How many of them have a slot at the same instant, and what each of those closes.
const AT_ONCE: [usize; 3] = [1, 10, 30];
const MEMBERS: usize = 10;
const ROUNDS: usize = 5;
const REST: Duration = Duration::from_millis(300);

/// Windows of many groups at once, by one process, one thread and one writer; and how large their intents are.
pub fn measure(table: &mut Table) {
    raise_open_files();
    let members = Members::start(AT_ONCE[2] * MEMBERS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let groups: BTreeMap<String, Group> = (0..GROUPS).map(|number| one(number, &members.addresses)).collect();
    runtime.block_on(async {
        let engine = engine_of(groups.clone(), folder.path()).await;
        for count in AT_ONCE {
            let chosen: Vec<&Group> = groups.values().take(count).collect();
            windows(table, &engine, &chosen).await;
        }
    });
    for count in AT_ONCE {
        written(table, count);
    }
}

fn one(number: usize, addresses: &[String]) -> (String, Group) {
    let name = format!("group-{number:03}");
    let own = addresses.iter().cycle().skip(number * MEMBERS).take(MEMBERS).cloned().collect();
    let (product, source) = (Product::Custom, Source::Addresses(own));
    let cluster = Cluster { name: "all".to_owned(), product, stage: 0, source, tls: None };
    (name.clone(), group(&name, BTreeMap::from([("all".to_owned(), cluster)])))
}

/// What a window is closed for beyond its quiet interval, and when all of them have their verdicts.
async fn windows(table: &mut Table, engine: &Engine, groups: &[&Group]) {
    let (mut beyond, mut longest, mut all, mut own) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        tokio::time::sleep(REST).await;
        let (begun, before) = (Instant::now(), cpu(std::process::id()));
        let order = Order { trigger: Trigger::Command, slot: None, limit: None };
        let handles: Vec<_> = groups.iter().map(|group| engine.begin(group, order).expect("it is idle")).collect();
        let mut closed = Vec::new();
        for mut handle in handles {
            let outcome = handle.finished().await.outcome.expect("a finished window has its outcome");
            assert_eq!(outcome.verdict, Verdict::Consistent, "{:?}", outcome.reasons);
            let quiet = outcome.quiet.expect("a consistent window was quiet").length();
            closed.push((outcome.closed.expect("it was closed") - quiet).as_secs_f64() * 1e3);
        }
        if round > 0 {
            all.push(begun.elapsed().as_secs_f64() * 1e3);
            own.push((cpu(std::process::id()) - before).as_secs_f64() * 1e3);
            longest.push(closed.iter().copied().fold(0.0, f64::max));
            beyond.extend(closed);
        }
    }
    let over = format!("{} of {GROUPS} groups at once, {MEMBERS} members each", groups.len());
    table.add(&format!("{over}: closed beyond the quiet interval"), "ms", &beyond, "");
    table.add(&format!("{over}: the longest of them"), "ms", &longest, "");
    table.add(&format!("{over}: from the slot to the last verdict"), "ms", &all, "");
    table.add(&format!("{over}: own CPU"), "ms", &own, "");
}

/// The intents of so many open windows, as they stand on the Lease.
fn written(table: &mut Table, count: usize) {
    let member = |number: usize| {
        let pod = Pod {
            server: "https://10.0.0.1:6443/".into(),
            namespace: "shop".into(),
            uid: format!("0a1b2c3d-0000-4000-8000-{number:012}"),
            node: Some("ip-10-0-128-17.ap-northeast-1.compute.internal".into()),
            phase: "Running".into(),
            ready: true,
            leaving: None,
            restarts: BTreeMap::from([("scalardb-cluster".to_owned(), 0)]),
            owner: None,
        };
        let name = format!("orders-scalardb-cluster-node-7d4f9c5b8-{number:05}");
        Member { cluster: "orders".into(), name, address: format!("10.0.{number}.1:60053"), stage: 0, pod: Some(pod) }
    };
    let intents = (0..count).map(|number| {
        let (window, group) = (format!("group-{number:03}-2026-11-26T03:00:00Z"), format!("group-{number:03}"));
        let members = (0..MEMBERS).map(member).collect();
        (window.clone(), Intent { window, group, drain_milliseconds: 30_000, members })
    });
    let intents = Intents(intents.collect());
    let begun = Instant::now();
    let text = intents.written().expect("they fit");
    let took = begun.elapsed().as_secs_f64() * 1e3;
    let over = format!("{count} windows of {MEMBERS} pods on the Lease");
    table.add(
        &format!("{over}: size"),
        "KiB",
        &[f64::from(u32::try_from(text.len()).expect("it fits")) / 1024.0],
        "240",
    );
    table.add(&format!("{over}: to write it"), "ms", &[took], "");
}
