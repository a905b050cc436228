//! Two daemons on one catalog in PostgreSQL: one leads, the other opens what a leader left closed that died, was stopped,
//! or lost its way to the database.

use crate::rig::support::line::Line;
use crate::rig::support::postgres::Postgres;
use crate::rig::support::process::Process;
use crate::rig::support::wait_until;
use crate::rig::{LIMIT, Rig, get};
use rustix::process::Signal;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use stillpoint::catalog::{Catalog, Entry, Reader};
use stillpoint::config::CatalogPlace;
use stillpoint::daemon::client::{self, Responses};
use stillpoint::daemon::control::Request;
use stillpoint::domain::Verdict;

const WINDOW: &str = "{hold: 2s, drain: 1s, max_pause: 6s}";
/// Shorter than by default, so that tests are.
const LEADERSHIP: &str = "{lasts: 3s, retry: 300ms}";
const LASTS: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_millis(300);
/// What a fan-out to six stand-ins takes at most, the start of recovery before it included.
const FAN_OUT: Duration = Duration::from_millis(1_500);
/// The first replica's way to the database takes this long each way: time to act between an event and the next.
const SLOW: Duration = Duration::from_millis(40);

/// The databases' server, which the tests of this binary share.
fn server() -> &'static Postgres {
    static SERVER: OnceLock<(tempfile::TempDir, Postgres)> = OnceLock::new();
    let (_, server) = SERVER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let server = Postgres::start_with("replicas", folder.path(), &["fsync=on"]);
        (folder, server)
    });
    server
}

/// One group's members, and two replicas' places.
struct Two {
    rig: Rig,
    /// The way of the first replica to the database.
    line: Line,
    url: String,
    reader: tokio::sync::OnceCell<Reader>,
    starts: std::cell::Cell<u32>,
}

/// A replica: where its pages and its socket are.
struct Replica {
    process: Process,
    http: u16,
    socket: std::path::PathBuf,
    name: String,
}

impl Two {
    fn new(more: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let database = format!("replicas{}", NEXT.fetch_add(1, Ordering::Relaxed));
        server().query(&format!("CREATE DATABASE {database}"));
        let rig = Rig::with(2, WINDOW, more);
        let line = Line::to(server().port());
        let catalog = format!("sqlite://{}/catalog.db", rig.folder.path().display());
        let url = format!("postgres://postgres@127.0.0.1:{}/{database}", server().port());
        rig.replace(&format!("  catalog: {catalog}\n"), &format!("  leadership: {LEADERSHIP}\n"));
        Self { rig, line, url, reader: tokio::sync::OnceCell::new(), starts: std::cell::Cell::new(0) }
    }

    fn command(&self, url: &str, socket: &std::path::Path, arguments: &[&str]) -> Command {
        let mut command = self.rig.command(arguments);
        command.env("STILLPOINT__DAEMON__CATALOG", url).env("STILLPOINT__DAEMON__SOCKET", socket);
        command
    }

    /// Starts a replica: the first by the slow line, others straight.
    fn start(&self, first: bool) -> Replica {
        self.starts.set(self.starts.get() + 1);
        let name = format!("replica{}", self.starts.get());
        let (socket, http) = (self.rig.path(&format!("{name}.sock")), crate::rig::support::ports::free_port());
        let url = if first {
            self.url.replace(&server().port().to_string(), &self.line.port().to_string())
        } else {
            self.url.clone()
        };
        let mut command = self.command(&url, &socket, &["run", "--log-level", "info"]);
        command.env("STILLPOINT__DAEMON__HTTP", format!("127.0.0.1:{http}"));
        let process = Process::start(&name, &command, &self.rig.path(&format!("{name}.log")));
        Replica { process, http, socket, name }
    }

    /// A leader by the slow line, and its standby.
    fn both(&self) -> (Replica, Replica) {
        let mut leader = self.start(true);
        leader.leads();
        let mut standby = self.start(false);
        standby.stands_by();
        (leader, standby)
    }

    fn reader(&self) -> &Reader {
        self.rig.block_on(self.reader.get_or_init(|| async {
            let place: CatalogPlace = self.url.parse().unwrap();
            Catalog::read(&place).await.expect("the catalog can be read")
        }))
    }

    /// The newest window's journal.
    fn journal(&self) -> Vec<Entry> {
        let reader = self.reader();
        self.rig.block_on(async {
            let newest = reader.history(None, 1).await.expect("the history can be read").pop();
            match newest {
                Some(row) => reader.journal(&row.window).await.expect("the journal can be read"),
                None => Vec::new(),
            }
        })
    }

    fn last_event(&self) -> Option<&'static str> {
        self.journal().last().map(|entry| entry.event.name())
    }

    fn wait_for_event(&self, name: &str) {
        wait_until(&format!("the event {name}"), LIMIT, || (self.last_event() == Some(name)).then_some(()));
    }

    fn points(&self) -> usize {
        let reader = self.reader();
        self.rig.block_on(async { reader.points(None, 100).await.expect("points can be read").len() })
    }

    /// A window by the replica; the request is with it when this returns.
    fn ask_for_window(&self, of: &Replica) -> Responses {
        let request = Request::Window { group: "shop".to_owned() };
        let sent = self.rig.block_on(client::send(&of.socket, &request));
        sent.expect("it takes requests").expect("it listens")
    }

    /// Waits until nothing is paused; answers with when that was.
    fn all_open(&self) -> Instant {
        wait_until("everything is open", LIMIT, || (self.rig.paused() == 0).then(Instant::now))
    }
}

impl Replica {
    fn role(&self) -> String {
        let page = get(self.http, "/metrics");
        let line = page.lines().find(|line| line.starts_with("stillpoint_role{"));
        line.and_then(|line| line.split('"').nth(1)).unwrap_or_default().to_owned()
    }

    fn leads(&mut self) {
        self.process.wait_for_line("INFO ready: ", LIMIT);
        wait_until("its pages say that it leads", LIMIT, || (self.role() == "leader").then_some(()));
    }

    fn stands_by(&mut self) {
        self.process.wait_for_line("metrics and health at", LIMIT);
        wait_until("its pages say that it stands by", LIMIT, || {
            let page = get(self.http, "/readyz");
            (self.role() == "standby" && page.starts_with("HTTP/1.1 200") && page.contains(" leads")).then_some(())
        });
    }
}

/// At each event of the journal: the leader is struck, and what is closed is open within the bound.
fn struck_at_each_event(strike: impl Fn(&mut Replica), afterwards: impl Fn(&Two, Replica)) {
    let two = Two::new("");
    let (mut leader, mut standby) = two.both();
    two.line.slow(SLOW);
    for event in ["intended", "paused", "hold_over", "opened"] {
        let window = two.ask_for_window(&leader);
        two.wait_for_event(event);
        if event == "intended" {
            // Closed, and nothing but the intent is durable.
            wait_until("all are paused", LIMIT, || (two.rig.paused() == 6).then_some(()));
        }
        let since = Instant::now();
        strike(&mut leader);
        drop(window);
        let (closed, last) = (two.rig.paused(), two.last_event());
        let open = two.all_open() - since;
        println!("struck at {event} ({closed} closed, durable {last:?}): all open after {open:?}");
        assert!(open <= LASTS + RETRY + FAN_OUT, "{open:?}");
        standby.leads();
        two.wait_for_event("verdict");
        assert_eq!((two.rig.paused(), two.points()), (0, 0), "no point comes of it");
        afterwards(&two, leader);
        // It leads now; the next standby starts.
        two.line.slow(Duration::ZERO);
        let mut next = two.start(true);
        next.stands_by();
        standby.process.kill();
        next.leads();
        two.line.slow(SLOW);
        (leader, standby) = (next, two.start(false));
        standby.stands_by();
    }
}

#[test]
fn what_a_killed_leader_left_closed_its_standby_opens_within_the_leases_time() {
    struck_at_each_event(|leader| leader.process.kill(), |_, _| {});
}

#[test]
fn a_leader_that_wakes_up_after_another_took_over_opens_what_it_closed_and_ends() {
    struck_at_each_event(
        |leader| leader.process.signal(Signal::STOP),
        |two, mut leader| {
            let pauses = two.rig.pauses();
            leader.process.signal(Signal::CONT);
            let status = leader.process.wait(LIMIT);
            assert_eq!(status.code(), Some(1), "{}", leader.process.tail());
            assert!(leader.process.output().contains("leads no more"), "{}", leader.process.tail());
            assert_eq!(
                (two.rig.paused(), two.rig.pauses(), two.points()),
                (0, pauses, 0),
                "it paused nothing any more"
            );
        },
    );
}

#[test]
fn a_leader_stopped_between_its_intent_and_the_pauses_sends_none_when_it_wakes() {
    let two = Two::new("");
    let (mut leader, mut standby) = two.both();
    // Long enough for its answer to lie on the line when the process is stopped.
    two.line.slow(Duration::from_millis(80));
    let _window = two.ask_for_window(&leader);
    two.wait_for_event("intended");
    leader.process.signal(Signal::STOP);
    assert_eq!(two.rig.pauses(), 0, "it was stopped before it knew");
    standby.leads();
    two.wait_for_event("verdict");
    leader.process.signal(Signal::CONT);
    let status = leader.process.wait(LIMIT);
    assert_eq!((status.code(), two.rig.pauses(), two.points()), (Some(1), 0, 0), "{}", leader.process.tail());
}

#[test]
fn a_leader_without_its_database_opens_by_itself_before_another_may_lead() {
    let two = Two::new("");
    let (mut leader, mut standby) = two.both();
    let _window = two.ask_for_window(&leader);
    two.wait_for_event("paused");
    let since = Instant::now();
    two.line.refuse(true);
    let open = two.all_open() - since;
    println!("without its database: all open after {open:?}");
    assert!(open <= LASTS + FAN_OUT, "{open:?}");
    let status = leader.process.wait(LIMIT);
    assert_eq!(status.code(), Some(1), "{}", leader.process.tail());
    standby.leads();
    two.wait_for_event("verdict");
    assert_eq!((two.rig.paused(), two.points()), (0, 0));
}

/// As if a standby of the database had taken over that has not got the last event: nothing fits any more.
#[test]
fn a_leader_whose_catalog_went_back_opens_everything_and_lets_another_lead() {
    let two = Two::new("");
    let (mut leader, mut standby) = two.both();
    let _window = two.ask_for_window(&leader);
    two.wait_for_event("paused");
    let (_, database) = two.url.rsplit_once('/').unwrap();
    server().query_in(database, "DELETE FROM events WHERE kind = 'paused'");
    server().query_in(database, "UPDATE windows SET phase = 'intended'");
    let status = leader.process.wait(LIMIT);
    assert_eq!(status.code(), Some(1), "{}", leader.process.tail());
    assert!(leader.process.output().contains("leads no more"), "{}", leader.process.tail());
    standby.leads();
    two.wait_for_event("verdict");
    assert_eq!((two.rig.paused(), two.points()), (0, 0), "no point comes of it");
}

#[test]
fn a_leader_that_is_told_to_stop_lets_its_standby_lead_at_once() {
    let two = Two::new("");
    let (mut leader, mut standby) = two.both();
    let since = Instant::now();
    leader.process.signal(Signal::TERM);
    standby.leads();
    let took = since.elapsed();
    println!("told to stop: the other leads after {took:?}");
    assert!(took < LASTS, "it need not wait for the lease to run out: {took:?}");
    assert_eq!(leader.process.wait(LIMIT).code(), Some(0));
}

#[test]
fn stop_waits_for_the_window_that_has_closed_members_and_loses_it_not() {
    let two = Two::new("");
    let (mut leader, mut standby) = two.both();
    let _window = two.ask_for_window(&leader);
    wait_until("all are paused", LIMIT, || (two.rig.paused() == 6).then_some(()));
    let stopped = two.command(&two.url, &leader.socket, &["stop"]).output().unwrap();
    assert_eq!(stopped.status.code(), Some(0), "{}", String::from_utf8_lossy(&stopped.stderr));
    assert_eq!((two.rig.paused(), two.points()), (0, 1), "the window came to its own end");
    assert_eq!(leader.process.wait(LIMIT).code(), Some(0));
    standby.leads();
    let stopped = two.command(&two.url, &two.rig.path("nobody.sock"), &["stop"]).output().unwrap();
    assert_eq!(stopped.status.code(), Some(0), "a standby has nothing to wait for");
}

#[test]
fn no_slot_runs_twice_whoever_leads() {
    let two = Two::new("    schedule: {cron: \"*/4 * * * * *\", lead: 1s, retry_delay: 1s, starting_deadline: 2s}\n");
    let (mut leader, mut standby) = two.both();
    for round in 0..4 {
        wait_until("all are paused", LIMIT, || (two.rig.paused() == 6).then_some(()));
        let _ = round;
        leader.process.kill();
        standby.leads();
        (leader, standby) = (standby, two.start(false));
        standby.stands_by();
    }
    wait_until("a slot ran to its end", LIMIT, || (two.points() > 0).then_some(()));
    let reader = two.reader();
    let rows = two.rig.block_on(reader.history(None, 1_000)).unwrap();
    for row in rows.iter().filter(|row| row.verdict == Some(Verdict::Consistent)) {
        let others = rows.iter().filter(|other| other.slot == row.slot && other.window != row.window);
        assert!(others.clone().all(|other| other.verdict != Some(Verdict::Consistent)), "{row:?}");
    }
    println!("{} rows: {:?}", rows.len(), rows.iter().map(|row| row.verdict).collect::<Vec<_>>());
}

#[test]
fn a_command_beside_a_leader_elsewhere_is_told_where_to_go() {
    let two = Two::new("");
    let (leader, _standby) = two.both();
    let asked = two.command(&two.url, &two.rig.path("nobody.sock"), &["window", "shop"]).output().unwrap();
    let errors = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!(asked.status.code(), Some(1), "{errors}");
    assert!(errors.contains("leads") && two.rig.pauses() == 0, "{}: {errors}", leader.name);
}
