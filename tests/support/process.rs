//! A child process that cannot outlive the test.

use super::{tools, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// How long a process may take to end when asked, before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A running child with its output in a file. Dropped, it is asked to stop, and killed when it does not.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    stop_signal: Signal,
}

impl Process {
    /// Starts the command; standard output and error go to `log`, which is emptied first. The command's program,
    /// arguments, variables and folder count; its own redirections don't. Input is a pipe, see [`Process::say`].
    /// The child gets SIGKILL when this test process ends.
    pub fn start(name: &str, command: &Command, log: &Path) -> Self {
        Self::start_ending_with(name, command, log, Signal::KILL)
    }

    /// The same, with the signal that the child gets when this process ends or drops it: for a child that must tidy
    /// up after itself.
    pub fn start_ending_with(name: &str, command: &Command, log: &Path, end: Signal) -> Self {
        let output = File::create(log).unwrap_or_else(|error| panic!("create {}: {error}", log.display()));
        let errors = output.try_clone().expect("a descriptor can be doubled");
        let mut guarded = guarded(command, end);
        guarded.stdin(Stdio::piped()).stdout(output).stderr(errors);
        let child = spawn(guarded).unwrap_or_else(|error| panic!("start {name}: {error}"));
        let stop_signal = if end == Signal::KILL { Signal::TERM } else { end };
        Self { name: name.into(), child, log: log.into(), stop_signal }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `Signal::KILL`, `STOP`, `CONT`, `TERM`, … Nothing happens when it has ended already.
    pub fn signal(&mut self, signal: Signal) {
        if self.exit_status().is_none() {
            let id = Pid::from_child(&self.child);
            kill_process(id, signal).unwrap_or_else(|error| panic!("signal {}: {error}", self.name));
            if signal == Signal::STOP {
                wait_until_stopped(self.id());
            }
        }
    }

    /// How it ended; `None` while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked for its status")
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.exit_status().is_none()
    }

    /// Waits until it has ended; panics with its output when that takes longer.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.exit_status() {
                return status;
            }
            assert!(Instant::now() < end, "{} did not end within {limit:?}\n{}", self.name, self.tail());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait(STOP_LIMIT);
    }

    /// Asks it to stop; kills it when it takes longer than 5 s.
    pub fn stop(&mut self) {
        if self.is_running() {
            // a stopped process would not hear anything but SIGKILL
            self.signal(Signal::CONT);
            self.signal(self.stop_signal);
        }
        let end = Instant::now() + STOP_LIMIT;
        while self.is_running() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        if self.is_running() {
            self.kill();
        }
    }

    /// Writes a line to its standard input.
    pub fn say(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("standard input is a pipe");
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("write to {}: {error}", self.name));
    }

    /// Everything that it has printed until now.
    pub fn output(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_else(|error| panic!("read {}: {error}", self.log.display()));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits for a whole line that contains `part` and returns it; panics with the output when the process ends
    /// without it or `limit` is over.
    pub fn wait_for_line(&mut self, part: &str, limit: Duration) -> String {
        let end = Instant::now() + limit;
        loop {
            // asked first: what it printed before it ended is then read
            let running = self.is_running();
            let output = self.output();
            let lines = output.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(line) = lines.map(str::trim_end).find(|line| line.contains(part)) {
                return line.into();
            }
            assert!(running, "{} ended before it said {part:?}\n{}", self.name, self.tail());
            assert!(Instant::now() < end, "{} did not say {part:?} within {limit:?}\n{}", self.name, self.tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The last lines of its output, for messages.
    pub fn tail(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits until each thread of a process is stopped: on a busy machine some run on for a moment after the signal.
pub fn wait_until_stopped(process: u32) {
    let stopped = || {
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("it has threads");
        threads.flatten().all(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            // The state follows the name in parentheses (`proc_pid_stat(5)`).
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        })
    };
    wait_until("it is stopped", STOP_LIMIT, || stopped().then_some(()));
}

/// Runs a command that ends by itself; returns its standard output, or panics with what it said.
pub fn run(name: &str, command: &Command, limit: Duration) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let mut guarded = guarded(command, Signal::KILL);
    guarded.stdin(Stdio::null());
    guarded.stdout(File::create(&out).expect("a file can be made"));
    guarded.stderr(File::create(&err).expect("a file can be made"));
    let child = spawn(guarded).unwrap_or_else(|error| panic!("start {name}: {error}"));
    let mut process = Process { name: name.into(), child, log: err, stop_signal: Signal::KILL };
    let status = process.wait(limit);
    let output = std::fs::read_to_string(&out).expect("the output is text");
    assert!(status.success(), "{name} failed: {status}\n{output}\n{}", process.tail());
    output
}

/// Waits until there is an answer about a process; panics at once with its output when it ends meanwhile.
pub fn wait_while_running<T>(process: &mut Process, limit: Duration, mut ask: impl FnMut(&Process) -> Option<T>) -> T {
    let what = format!("{} was to become ready", process.name);
    wait_until(&what, limit, || {
        let answer = ask(process);
        assert!(answer.is_some() || process.is_running(), "{} ended\n{}", process.name, process.tail());
        answer
    })
}

/// The same command under setpriv, which asks the kernel for a signal when the parent ends.
fn guarded(command: &Command, end: Signal) -> Command {
    let mut guarded = Command::new(tools::program("setpriv"));
    let program = Path::new(command.get_program());
    if program.file_name().is_some_and(|name| name == "setpriv") {
        // it drops privileges, which would forget an earlier wish: one setpriv must do both
        guarded.args(["--pdeathsig", signal_name(end)]);
    } else {
        guarded.args(["--pdeathsig", signal_name(end), "--"]).arg(program);
    }
    guarded.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => guarded.env(name, value),
            None => guarded.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        guarded.current_dir(folder);
    }
    guarded
}

fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::KILL => "KILL",
        Signal::QUIT => "QUIT",
        Signal::TERM => "TERM",
        _ => panic!("no end by {signal:?}"),
    }
}

/// Starts children from one thread that never ends: the kernel takes the end of the *thread* that started a child for
/// the end of its parent, and a test's thread ends with the test.
fn spawn(command: Command) -> std::io::Result<Child> {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static PARENT: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let parent = PARENT.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in orders {
                // whoever asked has gone only when its test has failed already
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (reply, answer) = mpsc::channel();
    let parent = parent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    parent.send((command, reply)).expect("the thread that starts children never ends");
    drop(parent);
    answer.recv().expect("the thread that starts children answers")
}
