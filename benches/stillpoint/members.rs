//! Stand-in members in a process of their own: the bench runs itself again, and asks it line by line.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use stillpoint::sim::{Call, Flavour, Request, SimMember};

/// The argument that makes this program the members' process.
pub const ROLE: &str = "members";

/// Each member takes a listener, and a connection of everyone who warmed it.
pub fn raise_open_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).expect("the soft limit may be raised");
}

/// The members' process: it ends when its standard input does. With a port, each listens there on an address of its
/// own; without, on any port of one address.
pub fn serve(count: usize, port: Option<u16>) {
    raise_open_files();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let place = |index: usize| port.map_or(any, |port| SocketAddr::from((own_address(index), port)));
    let flavours = Flavour::ALL.into_iter().cycle().take(count).enumerate();
    let members: Vec<SimMember> = flavours
        .map(|(index, flavour)| SimMember::start(place(index), flavour, None).expect("the address is free"))
        .collect();
    let addresses: Vec<String> = members.iter().map(|member| member.address().to_string()).collect();
    println!("{}", addresses.join(" "));
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        println!("{}", answer(&members, &line));
    }
}

/// To `closed`: how many are. To `pause T` and `unpause T`: the first and the last instant at which a member was
/// first asked that since T, and how many were; instants in nanoseconds since 1970.
fn answer(members: &[SimMember], line: &str) -> String {
    let (word, since) = line.split_once(' ').unwrap_or((line, "0"));
    if word == "closed" {
        return members.iter().filter(|member| member.is_paused()).count().to_string();
    }
    let since: u128 = since.parse().expect("nanoseconds");
    let (now, wall) = (Instant::now(), nanos(SystemTime::now()));
    let instant = |call: &Call| wall - now.duration_since(call.at).as_nanos();
    let asked = |call: &Call| matches!(call.request, Request::Pause { .. }) == (word == "pause");
    let firsts: Vec<u128> = members
        .iter()
        .filter_map(|member| {
            let calls = member.calls();
            let mut relevant = calls.iter().filter(|call| call.request != Request::CheckPaused && asked(call));
            relevant.find_map(|call| Some(instant(call)).filter(|at| *at >= since))
        })
        .collect();
    let (first, last) = (firsts.iter().min().copied().unwrap_or(0), firsts.iter().max().copied().unwrap_or(0));
    format!("{first} {last} {}", firsts.len())
}

/// Where the tests' pods are not.
fn own_address(index: usize) -> Ipv4Addr {
    let host = u32::try_from(index).expect("not that many") + 1;
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 40, 0, 0)) + host)
}

fn nanos(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).expect("after 1970").as_nanos()
}

/// The members' process, from the outside.
pub struct Members {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub addresses: Vec<String>,
}

/// When the members were first asked something.
pub struct Asked {
    /// From the instant that was named to the first member.
    pub first: Duration,
    /// From that instant to the last one.
    pub last: Duration,
    pub members: usize,
}

impl Members {
    /// Starts that many in a process of their own, on one address.
    pub fn start(count: usize) -> Self {
        Self::start_with(&[&count.to_string()], count)
    }

    /// The same, each on an address of its own and all on that port, as pods are.
    pub fn start_as_pods(count: usize, port: u16) -> Self {
        Self::start_with(&[&count.to_string(), &port.to_string()], count)
    }

    fn start_with(arguments: &[&str], count: usize) -> Self {
        let program = std::env::current_exe().expect("the bench's own path");
        let mut command = Command::new(program);
        command.arg(ROLE).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("start the members");
        let answers = BufReader::new(process.stdout.take().expect("standard output is a pipe"));
        let commands = process.stdin.take();
        let mut members = Self { process, commands, answers, addresses: Vec::new() };
        members.addresses = members.line().split(' ').map(str::to_owned).collect();
        assert_eq!(members.addresses.len(), count);
        members
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the members answer");
        line.trim_end().to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.commands.as_mut().expect("open until dropped"), "{line}").expect("the members listen");
        self.line()
    }

    /// How many are closed.
    pub fn closed(&mut self) -> usize {
        self.ask("closed").parse().expect("a number")
    }

    /// Waits until that many are closed; false: it takes too long.
    pub fn wait_until_closed(&mut self, count: usize) -> bool {
        let end = Instant::now() + Duration::from_secs(30);
        while self.closed() != count {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// When they were first asked to `pause` or to `unpause` since then.
    pub fn asked(&mut self, what: &str, since: SystemTime) -> Asked {
        let since = nanos(since);
        let answer = self.ask(&format!("{what} {since}"));
        let numbers: Vec<u128> = answer.split(' ').map(|number| number.parse().expect("a number")).collect();
        let after = |at: u128| Duration::from_nanos(u64::try_from(at.saturating_sub(since)).expect("not that long"));
        let count = usize::try_from(numbers[2]).expect("a count");
        Asked { first: after(numbers[0]), last: after(numbers[1]), members: count }
    }

    /// How much processor time they have used.
    pub fn cpu(&self) -> Duration {
        cpu(self.process.id())
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.process.wait();
    }
}

/// The processor time that all threads of a process have used, in user and system mode.
pub fn cpu(process: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    let nanos = tasks.flatten().filter_map(|task| {
        // A thread may end meanwhile.
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}
