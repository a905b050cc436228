//! Stand-in members in this process, and the real program beside them.

#[path = "../support/mod.rs"]
pub mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use stillpoint::sim::{Flavour, SimMember};
use support::ports::free_port;
use support::process::Process;

/// Longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Members, a config that names them, and a folder for the catalog.
pub struct Rig {
    runtime: tokio::runtime::Runtime,
    pub members: Vec<SimMember>,
    pub folder: tempfile::TempDir,
    starts: std::cell::Cell<u32>,
    pub http: u16,
}

impl Rig {
    /// Three clusters: ScalarDB, and ScalarDL in both its versions, of `each` members.
    pub fn new(each: usize, window: &str) -> Self {
        Self::with(each, window, "")
    }

    /// The same, with more lines for the group.
    pub fn with(each: usize, window: &str, more: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _guard = runtime.enter();
        let flavours = [Flavour::Scalardb, Flavour::ScalardlOld, Flavour::ScalardlNew];
        let members: Vec<SimMember> = flavours
            .iter()
            .flat_map(|flavour| (0..each).map(|_| *flavour))
            .map(|flavour| {
                let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
                SimMember::start(address, flavour, None).unwrap()
            })
            .collect();
        let addresses = |cluster: usize| {
            let of = members[cluster * each..(cluster + 1) * each].iter();
            of.map(|member| format!("\"{}\"", member.address())).collect::<Vec<_>>().join(", ")
        };
        let folder = tempfile::tempdir().unwrap();
        let http = free_port();
        let config = format!(
            "daemon:\n  catalog: sqlite://{}/catalog.db\n  http: 127.0.0.1:{http}\n  sweep_interval: 500ms\ngroups:\n  \
             shop:\n    window: {window}\n{more}    clusters:\n      orders: {{product: scalardb-server, addresses: [{}]}}\n      \
             old: {{product: scalardl-ledger, addresses: [{}]}}\n      new: {{product: scalardl-auditor, addresses: [{}]}}\n",
            folder.path().display(),
            addresses(0),
            addresses(1),
            addresses(2)
        );
        std::fs::write(folder.path().join("config.yaml"), config).unwrap();
        drop(_guard);
        Self { runtime, members, folder, starts: std::cell::Cell::new(0), http }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with its config.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
        command.arg("--config").arg(self.path("config.yaml")).args(arguments);
        command
    }

    /// Starts the program in the background.
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.starts.set(self.starts.get() + 1);
        Process::start(arguments[0], &self.command(arguments), &self.path(&format!("{}.log", self.starts.get())))
    }

    /// Runs the program to its end: exit code, standard output, standard error.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// The daemon, ready.
    pub fn daemon(&self) -> Process {
        let mut daemon =
            self.start(&["run", "--log-level", "debug,h2=warn,hyper=warn,tower=warn,hyper_util=warn,rustls=warn"]);
        daemon.wait_for_line("ready:", LIMIT);
        daemon
    }

    pub fn paused(&self) -> usize {
        self.members.iter().filter(|member| member.is_paused()).count()
    }

    pub fn wait_until_paused(&self, count: usize) {
        support::wait_until("members are paused", LIMIT, || (self.paused() == count).then_some(()));
    }

    /// Runs something of the members' on their runtime.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    /// The last JSON line of a command's output.
    pub fn json(output: &str) -> serde_json::Value {
        serde_json::from_str(output.lines().last().unwrap_or_default())
            .unwrap_or_else(|error| panic!("{error}: {output}"))
    }
}

/// A page of the daemon.
pub fn get(port: u16, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
