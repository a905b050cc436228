//! The program beside a world: its config, its catalog, and what the databases say about its windows.

use crate::support::postgres::WalPosition;
use crate::support::process::Process;
use crate::support::scalardb::scalar_admin;
use crate::support::wait_until;
use crate::support::world::World;
use jiff::Timestamp;
use serde_json::Value;
use std::cell::{Cell, OnceCell};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use stillpoint::catalog::{Catalog, Entry, Reader};
use stillpoint::daemon::client::{self, Responses};
use stillpoint::daemon::control::Request;
use stillpoint::window::{Event, Outcome};

/// Longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(45);
/// How long opening may take once somebody sees to it.
pub const PROMPTLY: Duration = Duration::from_secs(5);
/// Both servers are open.
pub const OPEN: [bool; 2] = [false, false];
/// Both servers are closed.
pub const CLOSED: [bool; 2] = [true, true];

/// The program's config and catalog, one a test.
pub struct Rig {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    reader: OnceCell<Reader>,
    starts: Cell<u32>,
}

impl Rig {
    /// The world's two servers as one cluster of the group `bank`, which a person starts windows of.
    pub fn new(world: &World, window: &str) -> Self {
        Self::scheduled(world, window, "")
    }

    /// The same, with the group's schedule.
    pub fn scheduled(world: &World, window: &str, schedule: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = world.addresses();
        let schedule = if schedule.is_empty() { String::new() } else { format!("    schedule: {schedule}\n") };
        let config = format!(
            "daemon:\n  catalog: sqlite://{}/catalog.db\n  http: none\n  sweep_interval: 1s\ngroups:\n  bank:\n{schedule}    \
             window: {window}\n    clusters:\n      tellers: {{product: scalardb-server, addresses: [\"{first}\", \
             \"{second}\"]}}\n",
            folder.path().display()
        );
        std::fs::write(folder.path().join("config.yaml"), config).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { folder, runtime, reader: OnceCell::new(), starts: Cell::new(0) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program in the background.
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.start_under(&[], arguments)
    }

    /// The same, under another program that ends as it.
    pub fn start_under(&self, under: &[&str], arguments: &[&str]) -> Process {
        let program = [env!("CARGO_BIN_EXE_stillpoint")];
        let mut words = under.iter().chain(&program);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("--config").arg(self.path("config.yaml")).args(arguments);
        self.starts.set(self.starts.get() + 1);
        let log = self.path(&format!("{}-{}.log", self.starts.get(), arguments[0]));
        Process::start(arguments[0], &command, &log)
    }

    /// The daemon, ready.
    pub fn daemon(&self) -> Process {
        let mut daemon = self.start(&["run"]);
        daemon.wait_for_line("ready:", LIMIT);
        daemon
    }

    /// `stillpoint window` in the background.
    pub fn window(&self) -> Process {
        self.start(&["window", "bank", "-o", "json"])
    }

    /// Asks the daemon for a window through its socket; the request is with it when this returns.
    pub fn ask_for_window(&self) -> Responses {
        let request = Request::Window { group: "bank".to_owned() };
        self.runtime
            .block_on(client::send(&self.path("catalog.sock"), &request))
            .expect("the daemon takes requests")
            .expect("a daemon listens")
    }

    /// The newest window's journal; empty when there is none yet.
    pub fn journal(&self) -> Vec<Entry> {
        self.runtime.block_on(async {
            let Some(reader) = self.reader().await else { return Vec::new() };
            let newest = reader.history(None, 1).await.expect("the history can be read").pop();
            match newest {
                Some(row) => reader.journal(&row.window).await.expect("the journal can be read"),
                None => Vec::new(),
            }
        })
    }

    /// The names of the newest window's events.
    pub fn events(&self) -> Vec<&'static str> {
        self.journal().iter().map(|entry| entry.event.name()).collect()
    }

    /// Waits until the newest window has journalled the event.
    pub fn wait_for_event(&self, name: &str) -> Entry {
        wait_until(&format!("the event {name}"), LIMIT, || {
            self.journal().into_iter().find(|entry| entry.event.name() == name)
        })
    }

    /// The newest window's durable end.
    pub fn outcome(&self) -> Option<Outcome> {
        self.journal().into_iter().find_map(|entry| match entry.event {
            Event::Verdict { outcome } => Some(outcome),
            _ => None,
        })
    }

    /// How many restore points there are.
    pub fn points(&self) -> usize {
        self.runtime.block_on(async {
            let Some(reader) = self.reader().await else { return 0 };
            reader.points(None, 100).await.expect("the points can be read").len()
        })
    }

    /// The catalog, once the program has made it.
    async fn reader(&self) -> Option<&Reader> {
        if self.reader.get().is_none() {
            let reader = Catalog::read(&self.path("catalog.db")).await.ok()?;
            self.reader.get_or_init(|| reader);
        }
        self.reader.get()
    }

    /// Starts the daemon, which recovers; answers with it, and with how long it took until both servers were open.
    pub fn recover(&self, world: &World) -> (Process, Duration) {
        let start = Instant::now();
        let mut daemon = self.start(&["run"]);
        wait_until("the restarted daemon opens everything", PROMPTLY, || {
            assert!(daemon.is_running(), "{}", daemon.tail());
            (world.paused() == OPEN).then_some(())
        });
        (daemon, start.elapsed())
    }
}

/// What `stillpoint window -o json` said at its end.
pub struct Report {
    pub code: i32,
    json: Value,
}

impl Report {
    /// Waits for the command's end.
    pub fn of(mut window: Process) -> Self {
        let code = window.wait(LIMIT).code().expect("it was not killed");
        let output = window.output();
        let line = output.lines().rev().find(|line| line.starts_with('{'));
        let json = line.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_else(|| panic!("no JSON: {output}"));
        Self { code, json }
    }

    /// `consistent`, `discarded` or `refused`; the exit code says the same.
    pub fn verdict(&self) -> &str {
        let verdict = self.json["verdict"].as_str().unwrap();
        let code = ["consistent", "failed", "usage", "discarded", "refused"].iter().position(|name| *name == verdict);
        assert_eq!(code, usize::try_from(self.code).ok(), "{}", self.json);
        verdict
    }

    /// The codes of the reasons.
    pub fn reasons(&self) -> Vec<&str> {
        self.json["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap()).collect()
    }

    /// An instant, by its name.
    pub fn instant(&self, name: &str) -> Timestamp {
        self.json[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.json)).parse().unwrap()
    }

    /// Seconds, by their name.
    pub fn seconds(&self, name: &str) -> f64 {
        self.json[name].as_f64().unwrap_or_else(|| panic!("no {name}: {}", self.json))
    }

    /// It has no restore point, and its history has none either.
    pub fn assert_no_point(&self, rig: &Rig) {
        assert!(self.json["restore_point"].is_null(), "{}", self.json);
        assert!(rig.outcome().is_none_or(|outcome| outcome.restore_point.is_none()));
        assert_eq!(rig.points(), 0);
    }
}

/// From `pause completed` to `unpause started`, and the restore point in between.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    pub quiet: (Timestamp, Timestamp),
    pub point: Timestamp,
}

impl Claim {
    /// Holds it against the databases' logs: commits before and after, and none inside.
    pub fn assert_true(&self, world: &World, since: &[WalPosition; 2]) {
        let (from, to) = self.quiet;
        assert!(from <= self.point && self.point + Duration::from_secs(1) <= to, "{self:?}");
        assert_eq!(self.point.subsec_nanosecond(), 0);
        for (database, commits) in world.wal_commits(since).iter().enumerate() {
            let before = commits.iter().filter(|commit| commit.at < from).count();
            let inside = commits.iter().filter(|commit| from <= commit.at && commit.at <= to).count();
            let after = commits.iter().filter(|commit| commit.at > to).count();
            println!("database {database}: {before} commits before, {inside} inside, {after} after");
            assert_eq!(inside, 0, "commits inside the quiet interval of database {database}: {self:?}");
            assert!(before > 0 && after > 0, "no transfers around the quiet interval of database {database}");
        }
    }
}

impl From<&Report> for Claim {
    fn from(report: &Report) -> Self {
        let quiet = (report.instant("pause_completed"), report.instant("unpause_started"));
        Self { quiet, point: report.instant("restore_point") }
    }
}

/// Both servers are open, by their own word and by Scalar's own command.
pub fn assert_all_open(world: &World) {
    assert_eq!(world.paused(), OPEN);
    for port in world.ports() {
        let said = scalar_admin("check_paused", port).to_lowercase();
        assert!(said.contains("false") && !said.contains("true"), "{said}");
    }
}
