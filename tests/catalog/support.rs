use crate::servers::postgres::Postgres;
use crate::servers::process::wait_until_stopped;
use crate::servers::world::new_folder;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AnyConnection, Connection, Row};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use stillpoint::catalog::{Catalog, Reader};
use stillpoint::config::{CatalogPlace, PostgresUrl};
use stillpoint::domain::{Code, Evidence, Interval, Member, Reason, Trigger, Verdict};
use stillpoint::window::{End, Event, Outcome, Plan};

pub const START: i64 = 1_800_000_000;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

/// Where a test's catalog is, for as long as the test needs it.
pub struct Place {
    catalog: CatalogPlace,
    _folder: Option<tempfile::TempDir>,
}

impl std::ops::Deref for Place {
    type Target = CatalogPlace;
    fn deref(&self) -> &CatalogPlace {
        &self.catalog
    }
}

impl Place {
    /// A file that is not there yet.
    pub fn file() -> Self {
        let (folder, path) = place();
        Self { catalog: path.into(), _folder: Some(folder) }
    }

    /// A schema of its own, with nothing in it, on the server that all tests share.
    pub fn postgres() -> Self {
        Self { catalog: schema(server(), ""), _folder: None }
    }
}

/// The same promise holds on a file and on a server.
pub fn places() -> impl Iterator<Item = Place> {
    [Place::file as fn() -> Place, Place::postgres].into_iter().map(|make| {
        let place = make();
        println!("on {}", *place);
        place
    })
}

pub fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    (directory, path)
}

/// The server of this test binary: durable, with a database that does not compare text byte by byte.
pub fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Postgres::start_with("catalogs", &new_folder(), DURABLE);
        server.query(&format!(
            "CREATE DATABASE {DATABASE} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'"
        ));
        server
    })
}

const DATABASE: &str = "catalogs";

/// What a catalog demands of a server, unlike the usual ones of the tests, which also keep their logs for ever.
pub const DURABLE: &[&str] = &["fsync=on", "wal_keep_size=0", "max_wal_size=128MB", "min_wal_size=32MB"];

/// How many windows make a large catalog. What a server plans by is the same with fewer, which it takes sooner.
pub fn many(place: &CatalogPlace) -> i64 {
    match place {
        CatalogPlace::Sqlite(_) => 100_000,
        CatalogPlace::Postgres(_) => 10_000,
    }
}

/// A new schema on that server, and further parameters of the URL, such as `&application_name=x`.
pub fn schema(server: &Postgres, more: &str) -> CatalogPlace {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("s{}", COUNT.fetch_add(1, Ordering::Relaxed));
    server.query_in(DATABASE, &format!("CREATE SCHEMA {name}"));
    let url = server.url(&format!("{DATABASE}?options=-c%20search_path%3D{name}{more}"));
    url.parse().expect("the place of a catalog")
}

/// A database on a server of a test's own.
pub fn database(server: &Postgres) -> CatalogPlace {
    server.url("postgres").parse().expect("the place of a catalog")
}

pub fn url(place: &CatalogPlace) -> &PostgresUrl {
    match place {
        CatalogPlace::Postgres(url) => url,
        CatalogPlace::Sqlite(_) => panic!("it is no file"),
    }
}

/// A catalog that is opened must open here.
pub async fn open(place: &CatalogPlace) -> Catalog {
    Catalog::open(place).await.expect("the catalog opens")
}

pub fn plan(window: &str, group: &str, second: i64) -> Plan {
    Plan {
        window: window.into(),
        group: group.into(),
        trigger: Trigger::Schedule,
        slot: Some(at(second)),
        started: at(second) + Duration::from_nanos(123_456_789),
        hold: Duration::from_secs(10),
        drain: Duration::from_millis(1500),
        max_pause: Duration::from_secs(60),
    }
}

fn member(name: &str) -> Member {
    Member { cluster: "orders".into(), name: name.into(), address: format!("{name}:60053"), stage: 0, pod: None }
}

pub fn intent(window: &str, group: &str, second: i64) -> Event {
    Event::Intended {
        plan: plan(window, group, second),
        evidence: Evidence::Address,
        members: vec![member("127.0.0.1"), member("127.0.0.2")],
    }
}

pub fn refused(window: &str, group: &str, second: i64) -> Event {
    Event::Refused {
        plan: plan(window, group, second),
        reasons: vec![Reason::new(Code::AlreadyPaused, "orders/a was paused before the window")],
    }
}

/// The five events of a window that found its restore point.
pub fn consistent(window: &str, group: &str, second: i64) -> Vec<Event> {
    let quiet = Interval { start: at(second + 1), end: at(second + 11) };
    vec![
        intent(window, group, second),
        Event::Paused { at: at(second + 1) },
        Event::HoldOver { quiet },
        Event::Opened { at: at(second + 12), ends: vec![End::SeenOpen, End::SeenOpen] },
        Event::Verdict {
            outcome: Outcome {
                verdict: Verdict::Consistent,
                reasons: vec![],
                quiet: Some(quiet),
                restore_point: Some(at(second + 6)),
                closed: Some(Duration::from_micros(11_500_001)),
            },
        },
    ]
}

/// The events of a window that was interrupted in its hold.
pub fn discarded(window: &str, group: &str, second: i64) -> Vec<Event> {
    vec![
        intent(window, group, second),
        Event::Paused { at: at(second + 1) },
        Event::Interrupted { at: at(second + 30) },
        Event::Opened { at: at(second + 31), ends: vec![End::SeenOpen, End::NeverPaused] },
        Event::Verdict {
            outcome: Outcome {
                verdict: Verdict::Discarded,
                reasons: vec![Reason::new(Code::Interrupted, "the daemon died"), Reason::new(Code::Catalog, "x")],
                quiet: None,
                restore_point: None,
                closed: Some(Duration::from_secs(30)),
            },
        },
    ]
}

pub async fn append_all(catalog: &Catalog, window: &str, events: &[Event]) {
    for (number, event) in (0u32..).zip(events) {
        catalog.append(window, number, event).await.expect("the event is appended");
    }
}

/// The open windows, none of them damaged.
pub async fn journals(reader: &Reader) -> Vec<(String, Vec<Event>)> {
    let found = reader.open_windows().await.unwrap();
    assert!(found.iter().all(|window| window.damage.is_none()), "{found:?}");
    found.into_iter().map(|window| (window.window, window.events)).collect()
}

pub async fn events(catalog: &Catalog, window: &str) -> Vec<Event> {
    catalog.journal(window).await.unwrap().into_iter().map(|entry| entry.event).collect()
}

/// A connection past the catalog's own: the hand of a newer version, or of damage.
pub async fn raw(place: &CatalogPlace) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let url = match place {
        CatalogPlace::Sqlite(_) => place.to_string(),
        CatalogPlace::Postgres(url) => url.secret().to_string(),
    };
    AnyConnection::connect(&url).await.unwrap()
}

pub async fn execute(place: &CatalogPlace, statement: &'static str) {
    sqlx::raw_sql(statement).execute(&mut raw(place).await).await.unwrap();
}

/// How the database would find what is asked for: a line a step. On PostgreSQL with whole tables left out where any
/// index would do, since few rows are read at once.
pub async fn query_plan(connection: &mut AnyConnection, query: &str) -> Vec<String> {
    if connection.backend_name() == "SQLite" {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(connection).await.unwrap();
        return steps.into_iter().map(|(.., step)| step).collect();
    }
    let explain = sqlx::AssertSqlSafe(format!("SET enable_seqscan = off; EXPLAIN {query}"));
    let steps = sqlx::raw_sql(explain).fetch_all(connection).await.unwrap();
    steps.into_iter().map(|step| step.get(0)).collect()
}

/// This test binary once more, as one ignored test of it; killed when dropped.
pub struct Other {
    pub child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    pub fn run(mut command: Command, test: &str, place: &CatalogPlace) -> Self {
        let place = match place {
            CatalogPlace::Sqlite(_) => place.to_string(),
            CatalogPlace::Postgres(url) => url.secret().to_string(),
        };
        let mut child = command
            .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env("CATALOG", place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child process starts");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub fn start(test: &str, place: &CatalogPlace) -> Self {
        Self::run(Command::new(std::env::current_exe().unwrap()), test, place)
    }

    /// The next line that the child wrote by `say`; none at its end.
    pub fn next(&mut self) -> Option<String> {
        self.lines.by_ref().map(Result::unwrap).find_map(|line| line.strip_prefix("SAYS ").map(str::to_owned))
    }

    /// Writes it a line: it was waiting by `wait_for_the_end`.
    pub fn tell(&mut self) {
        writeln!(self.child.stdin.as_mut().expect("standard input is a pipe")).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        if signal == Signal::STOP {
            wait_until_stopped(self.child.id());
        }
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the child: where the parent wants the catalog. None, when someone runs all ignored tests: then it is no child.
pub fn told() -> Option<CatalogPlace> {
    std::env::var("CATALOG").ok().map(|text| text.parse().expect("the place of a catalog"))
}

pub fn say(line: &str) {
    println!("\nSAYS {line}");
}

/// In the child: waits until the parent ends it.
pub fn wait_for_the_end() {
    let _ = std::io::stdin().read_line(&mut String::new());
}
