//! A catalog of 100,000 windows: what people ask of it, its start, and how what is old leaves it.

use super::FEW;
use super::appends::{Server, intended, journal};
use super::program::Place;
use super::table::Table;
use jiff::Timestamp;
use sqlx::{AnyConnection, Connection};
use std::time::{Duration, Instant};
use stillpoint::catalog::{Catalog, Stale};
use stillpoint::config::CatalogPlace;
use stillpoint::domain::{Interval, Verdict};
use stillpoint::stores::{Capture, Part};
use stillpoint::window::{End, Event, Outcome};

const WINDOWS: i64 = 100_000;
const ROUNDS: usize = 20;
const STARTS: usize = 5;
/// Four an hour: about three years.
const APART: i64 = 900;

/// Makes the catalog, and measures on it; in a file, and on a server.
pub fn measure(table: &mut Table) {
    let place = place();
    on(table, "SQLite", &place, &place.path("catalog.db").into());
    let (server, place) = (Server::start(), self::place());
    let config = place.path("config.yaml");
    let text = std::fs::read_to_string(&config).expect("the config");
    let file = format!("sqlite://{}", place.path("catalog.db").display());
    let socket = place.path("stillpoint.sock");
    let text = text.replace(&file, &format!("{}\n  socket: {}", server.place(), socket.display()));
    std::fs::write(&config, text).expect("the config is written");
    on(table, "PostgreSQL", &place, &server.place());
}

fn place() -> Place {
    let place = Place::over("1h", "2s", "      all: {product: custom, addresses: [\"127.0.0.1:1\"]}\n");
    let config = place.path("config.yaml");
    let text = std::fs::read_to_string(&config).expect("the config");
    std::fs::write(&config, text.replace("groups:\n", "  history: none\ngroups:\n")).expect("the config is written");
    place
}

fn on(table: &mut Table, database: &str, place: &Place, catalog: &CatalogPlace) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(make(catalog));
    runtime.block_on(asked(table, database, catalog));
    let ready: Vec<f64> = (0..STARTS).map(|_| place.ready_after()).collect();
    table.add(&format!("{database}, 100,000 windows: ready"), "ms", &ready, "1,000");
    runtime.block_on(pruned(table, database, catalog));
}

/// One window by the catalog itself, and its likes by SQL.
async fn make(place: &CatalogPlace) {
    let catalog = Catalog::open(place).await.expect("a catalog");
    catalog.capture("template", "tables", &capture()).await.expect("a capture");
    for (number, event) in (0..).zip(consistent()) {
        catalog.append("template", number, &event).await.expect("an append");
    }
    // The newest have journals of their own, which a start looks at.
    for index in 0..60 {
        let name = format!("newer-{index}");
        for (number, event) in (0..).zip(journal(&name)) {
            catalog.append(&name, number, &event).await.expect("an append");
        }
    }
    catalog.close().await.expect("it closes");
    let mut connection = raw(place).await;
    const NUMBERS: &str =
        "WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $1)";
    let name = "replace(body, 'template', 'w-' || i)";
    for copying in [
        format!(
            "INSERT INTO windows {NUMBERS} SELECT 'w-' || i, 'group-' || (i % 20), trigger_kind, slot, \
             started - i * {APART} * 1000000, phase, verdict, reasons, evidence, pause_completed, unpause_started, \
             restore_point - i * {APART} * 1000000, closed_microseconds, members FROM windows, n WHERE window_id = 'template'"
        ),
        format!(
            "INSERT INTO events {NUMBERS} SELECT 'w-' || i, number, epoch, written_at, kind, {name} FROM events, n \
             WHERE window_id = 'template'"
        ),
        format!(
            "INSERT INTO captures {NUMBERS} SELECT 'w-' || i, store_name, epoch, written_at, body FROM captures, n \
             WHERE window_id = 'template'"
        ),
        format!(
            "INSERT INTO tracks {NUMBERS} SELECT 'w-' || i, store_name, 'group-' || (i % 20), \
             restore_point - i * {APART} * 1000000, 'expired', changed_at, epoch, \
             replace({name}, '\"waiting\"', '\"expired\"') FROM tracks, n WHERE window_id = 'template'"
        ),
    ] {
        let copying = sqlx::query(sqlx::AssertSqlSafe(copying)).bind(WINDOWS);
        copying.execute(&mut connection).await.expect("copies");
    }
    // As a server does by itself after a while.
    sqlx::query("ANALYZE").execute(&mut connection).await.expect("statistics");
}

async fn raw(place: &CatalogPlace) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(&place.to_string()).await.expect("a connection")
}

async fn asked(table: &mut Table, database: &str, place: &CatalogPlace) {
    let reader = Catalog::read(place).await.expect("a catalog");
    #[allow(clippy::cast_precision_loss, reason = "a size to read")]
    let size = reader.size_bytes().await.expect("its size") as f64 / 1_048_576.0;
    table.add(&format!("{database}, 100,000 windows: its size"), "MiB", &[size], "");
    let (mut open, mut list, mut page) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let catalog = Catalog::open(place).await.expect("a catalog");
        catalog.open_windows().await.expect("the open windows");
        open.push(millis(begun));
        let begun = Instant::now();
        assert_eq!(catalog.history(None, 50).await.expect("windows").len(), 50);
        list.push(millis(begun));
        let begun = Instant::now();
        assert_eq!(catalog.points(None, 50).await.expect("points").len(), 50);
        assert_eq!(catalog.history(Some("group-7"), 50).await.expect("windows").len(), 50);
        catalog.totals().await.expect("totals");
        page.push(millis(begun));
        catalog.close().await.expect("it closes");
    }
    table.add(&format!("{database}, 100,000 windows: list"), "ms", &list, "10");
    table.add(&format!("{database}, 100,000 windows: page"), "ms", &page, "50");
    table.add(&format!("{database}, 100,000 windows: open"), "ms", &open, "1,000");
}

/// Half of them leave, while others are written.
async fn pruned(table: &mut Table, database: &str, place: &CatalogPlace) {
    let catalog = Catalog::open(place).await.expect("a catalog");
    let before = now().checked_sub(Duration::from_secs(WINDOWS.unsigned_abs() * APART.unsigned_abs() / 2));
    let before = before.expect("an instant");
    let begun = Instant::now();
    let (pruning, appends) = tokio::join!(prune(&catalog, before), append(&catalog));
    let (mut transactions, gone) = pruning;
    let all = begun.elapsed();
    transactions.sort_by(f64::total_cmp);
    let part = |times: &[f64], percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    for percent in [50, 99, 100] {
        table.add(
            &format!("{database}, pruning: a transaction, p{percent}"),
            "ms",
            &[part(&transactions, percent)],
            "",
        );
        table.add(
            &format!("{database}, pruning: an append meanwhile, p{percent}"),
            "ms",
            &[part(&appends, percent)],
            "",
        );
    }
    table.add(&format!("{database}, pruning: all {gone} windows"), "s", &[all.as_secs_f64()], "");
    catalog.integrity_check().await.expect("it is whole");
}

async fn prune(catalog: &Catalog, before: Timestamp) -> (Vec<f64>, u64) {
    let (mut times, mut gone, mut last): (Vec<f64>, u64, Option<Stale>) = (Vec::new(), 0, None);
    loop {
        let stale = catalog.stale(before, last.as_ref(), 200).await.expect("old windows");
        let mut left = stale.as_slice();
        while !left.is_empty() {
            let begun = Instant::now();
            let pruned = catalog.prune(before, left).await.expect("it prunes");
            times.push(millis(begun));
            gone += pruned.windows;
            left = &left[pruned.done..];
        }
        let Some(end) = stale.last() else { return (times, gone) };
        last = Some(end.clone());
    }
}

async fn append(catalog: &Catalog) -> Vec<f64> {
    let mut times = Vec::new();
    for window in 0..100 {
        let name = format!("meanwhile-{window}");
        for (number, event) in (0..).zip(journal(&name)) {
            let begun = Instant::now();
            catalog.append(&name, number, &event).await.expect("the catalog takes it");
            times.push(millis(begun));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    times.sort_by(f64::total_cmp);
    times
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn capture() -> Capture {
    let part = |index: usize| Part {
        identity: format!("id-{index}"),
        arn: format!("arn:aws:dynamodb:ap-northeast-1:123456789012:table/orders.t{index}"),
        bytes: Some(1_000_000),
        settings: serde_json::json!({"Tags": "x".repeat(300)}),
    };
    Capture {
        kind: "dynamodb".into(),
        account: "123456789012".into(),
        region: "ap-northeast-1".into(),
        parts: (0..3).map(|index| (format!("orders.t{index}"), part(index))).collect(),
        notes: Vec::new(),
    }
}

/// A consistent window of a few members.
fn consistent() -> Vec<Event> {
    let at = now();
    let quiet = Interval { start: at, end: at + Duration::from_secs(10) };
    let outcome = Outcome {
        verdict: Verdict::Consistent,
        reasons: Vec::new(),
        quiet: Some(quiet),
        restore_point: Some(at + Duration::from_secs(5)),
        closed: Some(Duration::from_secs(11)),
    };
    vec![
        intended("template", "group-0", Some(at), at),
        Event::Paused { at },
        Event::HoldOver { quiet },
        Event::Opened { at, ends: vec![End::SeenOpen; FEW] },
        Event::Verdict { outcome },
    ]
}
