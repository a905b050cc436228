//! Stand-in members in this process, and the real program beside them.

#[path = "../support/mod.rs"]
pub mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use stillpoint::domain::{Member, Product};
use stillpoint::scalar::{AdminClient, Connector};
use stillpoint::sim::{Flavour, Request, SimMember};
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
    /// Keeps the small disk's mount namespace.
    disk: Option<Process>,
    /// The programs' wall clock is another one than this machine's: see [`Rig::step`].
    stepped: bool,
}

/// A command in that process's mount namespace.
fn inside(keeper: &Process) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--user", "--mount", "--preserve-credentials", "--target", &keeper.id().to_string(), "--"]);
    command
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
        let members: Vec<SimMember> =
            flavours.iter().flat_map(|flavour| (0..each).map(|_| *flavour)).map(member).collect();
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
        Self { runtime, members, folder, starts: std::cell::Cell::new(0), http, disk: None, stepped: false }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the config.
    pub fn replace(&self, old: &str, new: &str) {
        let text = read(&self.path("config.yaml"));
        assert!(text.contains(old), "{old:?} is not in {text}");
        std::fs::write(self.path("config.yaml"), text.replace(old, new)).unwrap();
    }

    /// The program with its config.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.disk {
            None => Command::new(env!("CARGO_BIN_EXE_stillpoint")),
            Some(keeper) => {
                let mut command = inside(keeper);
                command.arg(env!("CARGO_BIN_EXE_stillpoint"));
                command
            }
        };
        command.arg("--config").arg(self.path("config.yaml")).args(arguments);
        if self.stepped {
            command.env("LD_PRELOAD", wall_clock()).env("WALL_CLOCK", self.path("wall-clock"));
        }
        command
    }

    /// Puts the catalog on a disk of 4 MB, which only the commands of this rig see.
    pub fn on_a_small_disk(mut self) -> Self {
        let disk = self.path("disk");
        std::fs::create_dir(&disk).unwrap();
        let folder = self.folder.path().display().to_string();
        self.replace("/catalog.db\n", &format!("/disk/catalog.db\n  socket: {folder}/stillpoint.sock\n"));
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs -o size=4m none \"$0\" && echo mounted && exec sleep 600";
        command.args(["--mount", "--map-root-user", "sh", "-c", script]).arg(&disk);
        let mut keeper = Process::start("the disk's keeper", &command, &self.path("keeper.log"));
        keeper.wait_for_line("mounted", LIMIT);
        self.disk = Some(keeper);
        self
    }

    /// The programs have a wall clock of their own, which can be stepped while they run.
    pub fn with_a_clock(mut self) -> Self {
        self.stepped = true;
        self.step(0);
        self
    }

    /// Sets the programs' wall clock to so many seconds ahead of this machine's; their monotonic clock just goes on.
    pub fn step(&self, ahead: i64) {
        // In place, and in one write: it is mapped.
        let file = std::fs::File::options().create(true).truncate(false).write(true).open(self.path("wall-clock"));
        file.unwrap().write_all(&ahead.to_ne_bytes()).unwrap();
    }

    /// Runs a shell line where the small disk is.
    pub fn on_disk(&self, script: &str) {
        let mut command = inside(self.disk.as_ref().expect("there is a small disk"));
        let done = command.args(["sh", "-c", script]).arg(self.path("disk")).output().unwrap();
        assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Nothing more fits on the small disk.
    pub fn fill(&self) {
        let blocks = [65_536, 4_096, 1].map(|size| format!("dd if=/dev/zero bs={size} count=1000000 2>&1"));
        self.on_disk(&format!("({}) >> \"$0/ballast\" || true", blocks.map(|dd| format!("{dd} || true")).join("; ")));
    }

    pub fn make_room(&self) {
        self.on_disk("rm \"$0/ballast\"");
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
        // Not "ready:" alone: hyper logs of its poll_ready.
        daemon.wait_for_line("INFO ready: ", LIMIT);
        daemon
    }

    pub fn paused(&self) -> usize {
        self.members.iter().filter(|member| member.is_paused()).count()
    }

    /// Waits until the catalog holds that all were paused: no append is under way from then until the hold ends.
    pub fn wait_until_recorded(&self) {
        support::wait_until("the pause is recorded", LIMIT, || {
            let history = Self::json(&self.run(&["history", "-o", "json"]).1);
            history[0]["pause_completed"].is_string().then_some(())
        });
    }

    pub fn wait_until_paused(&self, count: usize) {
        support::wait_until("members are paused", LIMIT, || (self.paused() == count).then_some(()));
    }

    /// How many requests of that kind each member got.
    pub fn counts(&self, wanted: impl Fn(&Request) -> bool) -> Vec<usize> {
        let count = |member: &SimMember| member.calls().iter().filter(|call| wanted(&call.request)).count();
        self.members.iter().map(count).collect()
    }

    pub fn pauses(&self) -> usize {
        self.counts(|request| matches!(request, Request::Pause { .. })).iter().sum()
    }

    pub fn unpauses(&self) -> usize {
        self.counts(|request| *request == Request::Unpause).iter().sum()
    }

    /// Someone else pauses a member.
    pub fn pause_as_someone_else(&self, member: usize) {
        let answer = self.client(member, |client| async move { client.pause(LIMIT, LIMIT).await });
        assert_eq!(answer, stillpoint::scalar::Answer::Ok);
    }

    /// Someone else unpauses a member.
    pub fn unpause_as_someone_else(&self, member: usize) {
        let answer = self.client(member, |client| async move { client.unpause(LIMIT).await });
        assert_eq!(answer, stillpoint::scalar::Answer::Ok);
    }

    fn client<T, F: Future<Output = T>>(&self, member: usize, ask: impl FnOnce(AdminClient) -> F) -> T {
        let address = self.members[member].address().to_string();
        let member = Member { cluster: "orders".into(), name: address.clone(), address, stage: 0, pod: None };
        self.block_on(async { ask(Connector::plaintext(Product::Custom).client(&member)).await })
    }

    /// The history's rows, newest first.
    pub fn history(&self) -> Vec<serde_json::Value> {
        let (code, output, errors) = self.run(&["history", "-o", "json"]);
        assert_eq!(code, 0, "{errors}");
        Self::json(&output).as_array().unwrap().clone()
    }

    /// Waits until the newest window has that verdict, and answers with its first reason's code.
    pub fn wait_for_verdict(&self, verdict: &str) -> String {
        support::wait_until(verdict, LIMIT, || {
            let rows = self.history();
            let row = rows.first().filter(|row| row["verdict"] == verdict)?;
            Some(row["reasons"][0]["code"].as_str().unwrap_or_default().to_owned())
        })
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

/// The library that gives a program a wall clock of its own, compiled once.
fn wall_clock() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = format!("{}/wall-clock.so", env!("CARGO_TARGET_TMPDIR"));
        let made = format!("{library}.{}", std::process::id());
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/wall_clock.c");
        let mut compiler = Command::new(support::tools::program("cc"));
        let done =
            compiler.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", &made, source]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::rename(made, &library).unwrap();
        library
    })
}

/// A page of the daemon.
pub fn get(port: u16, path: &str) -> String {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// What this machine's wall clock says.
pub fn now() -> jiff::Timestamp {
    std::time::SystemTime::now().try_into().unwrap()
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A member on a port below the ephemeral ones, so that it can be started there again.
fn member(flavour: Flavour) -> SimMember {
    for _ in 0..20 {
        match SimMember::start(SocketAddr::from(([127, 0, 0, 1], free_port())), flavour, None) {
            // Another test binary was quicker.
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            started => return started.unwrap(),
        }
    }
    panic!("every free port is taken before it is used");
}
