//! The program beside a world: its config, its catalog, and what the databases say about its windows.

use crate::support::process::Process;
pub use crate::support::report::{Claim, Report};
use crate::support::wait_until;
use crate::support::world::World;
pub use crate::support::world::{CLOSED, OPEN};
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
            let reader = Catalog::read(&self.path("catalog.db").into()).await.ok()?;
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

    /// The window has no restore point, and the history has none either.
    pub fn assert_no_point(&self, report: &Report) {
        assert_eq!(report.text("restore_point"), "");
        assert!(self.outcome().is_none_or(|outcome| outcome.restore_point.is_none()));
        assert_eq!(self.points(), 0);
    }
}
