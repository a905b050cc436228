//! Two PostgreSQL servers, two ScalarDB Servers over both, and accounts to move money between.

use super::admin;
use super::postgres::{Commit, Postgres, WalPosition};
use super::scalardb::{ScalardbServer, load_schema, scalar_admin};
use super::tools;
use super::transfers::{self, Hold, Transfers};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// Both servers are open.
pub const OPEN: [bool; 2] = [false, false];
/// Both servers are closed.
pub const CLOSED: [bool; 2] = [true, true];

/// Everything that a window on real servers needs.
pub struct World {
    /// Two servers over both databases; a transaction may go through either. They end before the databases do:
    /// fields are dropped in this order.
    pub servers: [ScalardbServer; 2],
    /// The coordinator's tables and bank1 lie in the first, bank2 in the second.
    pub databases: [Postgres; 2],
    folder: PathBuf,
}

impl World {
    /// The one world of this test binary, started by whoever asks first. A test has it to itself until it drops the
    /// guard, and finds both servers up and open, whatever the test before it did. It ends with the test process.
    pub fn shared() -> MutexGuard<'static, Self> {
        static WORLD: OnceLock<Mutex<World>> = OnceLock::new();
        let world = WORLD.get_or_init(|| Mutex::new(Self::start()));
        // a test that failed leaves the lock poisoned; what it did to the servers is mended
        let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
        world.mend();
        world
    }

    /// A world of its own, for a test that cannot share; returns when every account has its money.
    pub fn start() -> Self {
        tools::require_all();
        let folder = new_folder();
        let databases = in_parallel(["postgres1", "postgres2"], |name| Postgres::start(name, &folder));
        // the servers look for their tables when they are first asked, so all three can start at once
        let servers = thread::scope(|scope| {
            let loader = scope.spawn(|| load_schema(&folder, &databases));
            let servers = in_parallel(["scalardb1", "scalardb2"], |name| {
                let mut server = ScalardbServer::launch(name, &folder, &databases);
                server.wait_until_ready();
                server
            });
            joined(loader);
            servers
        });
        let world = Self { servers, databases, folder };
        transfers::init(&world.ports());
        world
    }

    /// Where logs and other files of a test can lie; swept when a later test process starts a world.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The servers' ports on 127.0.0.1.
    pub fn ports(&self) -> [u16; 2] {
        self.servers.each_ref().map(ScalardbServer::port)
    }

    /// The servers' addresses, as in a config.
    pub fn addresses(&self) -> [String; 2] {
        self.servers.each_ref().map(ScalardbServer::address)
    }

    /// Starts so many threads of transfers through both servers; returns when the first have committed.
    pub fn transfers(&self, threads: usize) -> Transfers {
        Transfers::start(&self.folder, &self.ports(), threads)
    }

    /// Opens a transaction on one server that stays open for that time.
    pub fn hold(&self, server: usize, time: Duration) -> Hold {
        Hold::start(&self.folder, self.ports()[server], time)
    }

    /// Whether each server is closed, by its own word.
    pub fn paused(&self) -> [bool; 2] {
        self.servers.each_ref().map(ScalardbServer::is_paused)
    }

    /// Both servers are open, by their own word and by Scalar's own command.
    pub fn assert_all_open(&self) {
        assert_eq!(self.paused(), OPEN);
        for port in self.ports() {
            let said = scalar_admin("check_paused", port).to_lowercase();
            assert!(said.contains("false") && !said.contains("true"), "{said}");
        }
    }

    /// Where each database's log ends now.
    pub fn wal_positions(&self) -> [WalPosition; 2] {
        self.databases.each_ref().map(Postgres::wal_position)
    }

    /// Every commit in each database from those places on.
    pub fn wal_commits(&self, since: &[WalPosition; 2]) -> [Vec<Commit>; 2] {
        [0, 1].map(|index| self.databases[index].wal_commits(&since[index]))
    }

    /// What all accounts hold, asked of the databases themselves; true only while no transfer is on its way. Panics
    /// when a record is left half-written.
    pub fn total_in_databases(&self) -> i64 {
        let mut total = 0;
        for (database, table) in self.databases.iter().zip(["bank1.account", "bank2.account"]) {
            // ScalarDB's state of a committed record is 3
            let row = database.query(&format!(
                "SELECT sum(balance), count(*) FILTER (WHERE tx_state IS DISTINCT FROM 3) FROM {table}"
            ));
            let (sum, unfinished) = row.split_once('|').unwrap_or_else(|| panic!("no sum in {row:?}"));
            assert_eq!(unfinished, "0", "records of {table} are not committed");
            total += sum.parse::<i64>().unwrap_or_else(|_| panic!("no sum in {row:?}"));
        }
        total
    }

    /// Brings both servers back: running, not frozen, open.
    pub fn mend(&mut self) {
        for server in &mut self.servers {
            server.thaw();
            let port = server.port();
            let open = || matches!(admin::unpause(port).and_then(|()| admin::check_paused(port)), Ok(false));
            if !server.process().is_running() || !open() {
                server.restart();
            }
        }
    }
}

/// A folder named after this process, once those of processes that have ended are gone.
/// A folder that is swept by a later test process.
pub fn new_folder() -> PathBuf {
    const PREFIX: &str = "stillpoint-tests-";
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let parent = std::env::temp_dir();
    for entry in std::fs::read_dir(&parent).expect("the temporary folder can be read").flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            // best effort: it may be somebody else's, or be swept by another test binary right now
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
    std::fs::create_dir(&folder).unwrap_or_else(|error| panic!("create {}: {error}", folder.display()));
    folder
}

fn in_parallel<T: Send>(names: [&str; 2], start: impl Fn(&str) -> T + Sync) -> [T; 2] {
    thread::scope(|scope| {
        let start = &start;
        names.map(|name| scope.spawn(move || start(name))).map(joined)
    })
}

/// What the thread made; its panic goes on here.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
