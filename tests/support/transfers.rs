//! The load: money moved between the two databases through the ScalarDB Servers.

use super::process::{Process, run, wait_while_running};
use super::scalardb::java;
use super::tools::transfer_class_path;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// What all accounts hold together, always: two times 200 accounts of 10,000.
pub const TOTAL: i64 = 4_000_000;

/// What the transfers have done since they started; a fifth of a second old at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transfers that committed.
    pub committed: u64,
    /// Tries that met a closed or absent server.
    pub refused: u64,
    /// Tries that met another transfer.
    pub conflicted: u64,
    /// Tries that failed otherwise, as when their server is killed.
    pub failed: u64,
}

/// Transfers that go on until they are stopped or dropped.
pub struct Transfers {
    process: Process,
}

impl Transfers {
    /// Starts so many threads on the servers at these ports; returns when the first transfers have committed.
    pub fn start(folder: &Path, ports: &[u16], threads: usize) -> Self {
        let command = client(ports, &["run", &threads.to_string()]);
        let log = folder.join(format!("transfers-{}.log", super::ports::free_port()));
        let mut transfers = Self { process: Process::start("the transfers", &command, &log) };
        transfers.wait_for_commits(threads as u64);
        transfers
    }

    /// What they have done until now.
    pub fn counts(&self) -> Counts {
        counts(&self.process)
    }

    /// How many have committed.
    pub fn committed(&self) -> u64 {
        self.counts().committed
    }

    /// Waits until so many more have committed.
    pub fn wait_for_commits(&mut self, more: u64) {
        let goal = self.committed() + more;
        wait_while_running(&mut self.process, LIMIT, |process| (counts(process).committed >= goal).then_some(()));
    }

    /// Ends them when each thread's transfer is over; returns what they did altogether.
    pub fn stop(mut self) -> Counts {
        self.process.say("stop");
        self.process.wait_for_line("stopped", LIMIT);
        self.counts()
    }
}

/// By the last line that is whole.
fn counts(process: &Process) -> Counts {
    let output = process.output();
    output.split_inclusive('\n').filter(|line| line.ends_with('\n')).rev().find_map(parse).unwrap_or_default()
}

fn parse(line: &str) -> Option<Counts> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["committed", committed, "refused", refused, "conflicted", conflicted, "failed", failed] = words[..] else {
        return None;
    };
    Some(Counts {
        committed: committed.parse().ok()?,
        refused: refused.parse().ok()?,
        conflicted: conflicted.parse().ok()?,
        failed: failed.parse().ok()?,
    })
}

/// A transaction that has read and written in both databases and stays open.
pub struct Hold {
    process: Process,
}

impl Hold {
    /// Begins it on the server at this port; it commits by itself after `time`. Returns when it is open.
    pub fn start(folder: &Path, port: u16, time: Duration) -> Self {
        let command = client(&[port], &["hold", &time.as_secs_f64().to_string()]);
        let log = folder.join(format!("hold-{}.log", super::ports::free_port()));
        let mut process = Process::start("the open transaction", &command, &log);
        process.wait_for_line("open", LIMIT);
        Self { process }
    }

    /// Waits until it has ended; whether it committed.
    pub fn committed(mut self) -> bool {
        self.process.wait(LIMIT);
        self.process.output().lines().any(|line| line == "committed")
    }
}

/// Gives every account its money.
pub fn init(ports: &[u16]) {
    run("the transfers' init", &client(ports, &["init"]), LIMIT);
}

/// What all accounts hold, read in one transaction; for when no transfers run.
pub fn sum(ports: &[u16]) -> i64 {
    let output = run("the transfers' sum", &client(ports, &["sum"]), LIMIT);
    let total = output.lines().find_map(|line| line.strip_prefix("total "));
    total.and_then(|total| total.parse().ok()).unwrap_or_else(|| panic!("no total in {output:?}"))
}

fn client(ports: &[u16], arguments: &[&str]) -> Command {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let mut command = java("128m", &transfer_class_path());
    command.arg("Transfer").arg(ports.join(",")).args(arguments);
    command
}
