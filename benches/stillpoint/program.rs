//! The real program: its start after SIGKILL, its first pause, its memory.

use super::members::Members;
use super::table::Table;
use super::{FEW, MANY};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const ROUNDS: usize = 10;
/// A recovered window is looked after until no pause of the dead daemon can land any more: 11 s a round.
const KILLS: usize = 6;
const LIMIT: Duration = Duration::from_secs(60);

/// A folder with a config for the members, and the program started in it.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(members: &Members, hold: &str) -> Self {
        let addresses: Vec<String> = members.addresses.iter().map(|address| format!("\"{address}\"")).collect();
        let cluster = format!("      all: {{product: custom, addresses: [{}]}}\n", addresses.join(", "));
        Self::over("1h", hold, &cluster)
    }

    /// With these lines below `clusters`.
    pub fn over(sweep_interval: &str, hold: &str, clusters: &str) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let config = format!(
            "daemon:\n  catalog: sqlite://{}/catalog.db\n  http: null\n  sweep_interval: {sweep_interval}\ngroups:\n  bench:\n    \
             window: {{hold: {hold}, drain: 5s, max_pause: 120s}}\n    clusters:\n{clusters}",
            folder.path().display()
        );
        std::fs::write(folder.path().join("config.yaml"), config).expect("the config is written");
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, arguments: &[&str]) -> Program {
        let log = std::fs::File::create(self.path(&format!("{}.log", arguments[0]))).expect("a log");
        let errors = log.try_clone().expect("a descriptor can be doubled");
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
        command.arg("--config").arg(self.path("config.yaml")).args(arguments);
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let begun = SystemTime::now();
        Program { process: command.spawn().expect("start stillpoint"), begun }
    }

    /// Waits until the window that was asked for has closed every member.
    fn wait_until_closed(&self, members: &mut Members) {
        assert!(
            members.wait_until_closed(MANY),
            "{}",
            std::fs::read_to_string(self.path("window.log")).unwrap_or_default()
        );
    }

    /// What a command of the program prints.
    pub fn output(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
        let output = command.arg("--config").arg(self.path("config.yaml")).args(arguments).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// How long the daemon takes until it is ready, in milliseconds; it is ended then.
    pub fn ready_after(&self) -> f64 {
        let mut daemon = self.start(&["run"]);
        let begun = Instant::now();
        wait_for(&self.path("run.log"), "ready:");
        let took = begun.elapsed().as_secs_f64() * 1e3;
        daemon.end();
        took
    }

    /// The daemon, ready.
    pub fn daemon(&self) -> Program {
        let daemon = self.start(&["run"]);
        wait_for(&self.path("run.log"), "ready:");
        daemon
    }
}

fn wait_for(log: &Path, part: &str) {
    let end = Instant::now() + LIMIT;
    while !std::fs::read_to_string(log).is_ok_and(|text| text.contains(part)) {
        assert!(Instant::now() < end, "no {part:?} in {}", log.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub struct Program {
    process: Child,
    begun: SystemTime,
}

impl Program {
    /// A field of `/proc/<id>/status`, in MiB.
    pub fn mebibytes(&self, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(field)).expect("the kernel tells");
        line.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok()).expect("kilobytes") / 1024.0
    }

    /// The processor time of all its threads until now, in steps of 10 ms.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        let (_, fields) = stat.rsplit_once(") ").expect("its name is in parentheses");
        let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks"));
        ticks.sum::<f64>() / 100.0
    }

    fn kill(mut self) {
        self.end();
    }

    /// Ends in order: a verdict that is known and not yet durable is not left to the next start.
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).expect("it runs");
        self.wait();
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Waits for the end by itself.
    fn wait(&mut self) {
        let end = Instant::now() + LIMIT;
        while self.process.try_wait().expect("a child can be asked").is_none() {
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// From the start of a daemon until everything that a killed one left closed was told to open.
pub fn start_after_kill(table: &mut Table) {
    let mut members = Members::start(MANY);
    let place = Place::new(&members, "60s");
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for _ in 0..KILLS {
        let daemon = place.daemon();
        let _window = place.start(&["window", "bench"]);
        place.wait_until_closed(&mut members);
        daemon.kill();
        assert_eq!(members.closed(), MANY);
        let again = place.start(&["run"]);
        assert!(members.wait_until_closed(0), "they do not open");
        let asked = members.asked("unpause", again.begun);
        assert_eq!(asked.members, MANY);
        firsts.push(asked.first.as_secs_f64() * 1e3);
        lasts.push(asked.last.as_secs_f64() * 1e3);
        // The verdict waits for the drain limit: pauses of the dead daemon may still be on their way.
        wait_for(&place.path("run.log"), "discarded");
        again.stop();
    }
    table.add("start after kill -9, 1,000 closed: first open", "ms", &firsts, "");
    table.add("start after kill -9, 1,000 closed: all open", "ms", &lasts, "1,000");
}

/// From the start of `stillpoint window` to its first pause request.
pub fn first_pause(table: &mut Table) {
    let mut members = Members::start(FEW);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        // The first window in a place makes the catalog, the second finds it.
        let place = Place::new(&members, "2s");
        for times in &mut times {
            let mut window = place.start(&["window", "bench"]);
            window.wait();
            let asked = members.asked("pause", window.begun);
            assert_eq!(asked.members, FEW);
            times.push(asked.first.as_secs_f64() * 1e3);
        }
    }
    let [new, old] = times;
    table.add("process start to first pause, 10 members", "ms", &old, "150");
    table.add("the same, with a new catalog", "ms", &new, "150");
}

/// What the daemon takes, idle and with a thousand members.
pub fn memory(table: &mut Table) {
    let few = Members::start(FEW);
    let place = Place::new(&few, "2s");
    let daemon = place.daemon();
    std::thread::sleep(Duration::from_secs(2));
    table.add("resident, idle, 10 members", "MiB", &[daemon.mebibytes("VmRSS")], "");
    daemon.kill();
    let mut members = Members::start(MANY);
    let place = Place::new(&members, "3s");
    let daemon = place.daemon();
    std::thread::sleep(Duration::from_secs(3));
    table.add("resident, idle, 1,000 members", "MiB", &[daemon.mebibytes("VmRSS")], "");
    let (mut during, mut after) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let mut window = place.start(&["window", "bench"]);
        place.wait_until_closed(&mut members);
        std::thread::sleep(Duration::from_secs(1));
        during.push(daemon.mebibytes("VmRSS"));
        window.wait();
        std::thread::sleep(Duration::from_secs(1));
        after.push(daemon.mebibytes("VmRSS"));
    }
    table.add("resident, in a window of 1,000 members", "MiB", &during, "");
    table.add("resident, after it", "MiB", &after, "");
    table.add("resident at most", "MiB", &[daemon.mebibytes("VmHWM")], "");
}
