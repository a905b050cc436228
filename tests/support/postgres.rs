//! A PostgreSQL server on loopback, and what its write-ahead log says was committed when.

use super::ports::free_port;
use super::process::{Process, run, wait_while_running};
use super::tools::{postgres_program, program};
use super::wait_until;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A server with its own data folder, which nobody but the tests writes to: no vacuum runs by itself, so every commit
/// in its log is a client's.
pub struct Postgres {
    process: Process,
    server: Command,
    log: PathBuf,
    data: PathBuf,
    port: u16,
}

/// A place in the write-ahead log, as PostgreSQL writes it: `0/1559A70`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalPosition(String);

/// One commit record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// The transaction's id in that server.
    pub xid: u32,
    /// When it committed, to the microsecond, by the server's wall clock.
    pub at: Timestamp,
}

impl Postgres {
    /// Makes a data folder and starts a server on a free port; returns when it answers.
    pub fn start(name: &str, folder: &Path) -> Self {
        Self::start_with(name, folder, &[])
    }

    /// The same with settings that count more than the usual ones.
    pub fn start_with(name: &str, folder: &Path, settings: &[&str]) -> Self {
        let data = folder.join(name);
        make_owned(&data);
        let mut initdb = unprivileged(&postgres_program("initdb"));
        initdb.args(["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]);
        initdb.arg("-D").arg(&data);
        run("initdb", &initdb, LIMIT);
        Self::launch(name, folder, data, settings)
    }

    /// A standby that follows this server by streaming, asynchronously; returns when it answers.
    pub fn standby(&self, name: &str, folder: &Path, settings: &[&str]) -> Self {
        let data = folder.join(name);
        make_owned(&data);
        let mut copy = unprivileged(&postgres_program("pg_basebackup"));
        copy.args(["-h", "127.0.0.1", "-U", "postgres", "-R", "--checkpoint=fast", "--no-sync"]);
        copy.args(["-p", &self.port.to_string(), "-D"]).arg(&data);
        run("pg_basebackup", &copy, LIMIT);
        Self::launch(name, folder, data, settings)
    }

    fn launch(name: &str, folder: &Path, data: PathBuf, settings: &[&str]) -> Self {
        let port = free_port();
        let mut server = unprivileged(&postgres_program("postgres"));
        server.arg("-D").arg(&data).args(usual_settings(port));
        server.args(settings.iter().flat_map(|setting| ["-c", setting]));
        let log = folder.join(format!("{name}.log"));
        let process = begin(&server, &log);
        let mut postgres = Self { process, server, log, data, port };
        postgres.wait_until_ready();
        postgres
    }

    /// Ends it by SIGKILL; its children end by themselves when they find that out.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was, after it ended; returns when it answers.
    pub fn start_again(&mut self) {
        let mut ask = self.is_ready();
        wait_until("the server starts again", LIMIT, || {
            if !self.process.is_running() {
                // the children of one that was killed hold its shared memory for a moment, which keeps it from starting
                self.process = begin(&self.server, &self.log);
            }
            ask.status().ok()?.success().then_some(())
        });
    }

    /// Makes a standby a primary; returns when it is one.
    pub fn promote(&self) {
        self.query("SELECT pg_promote(true, 60)");
    }

    /// A URL of a database in it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1; user and database are `postgres`, any password will do.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process, for signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its processes: the one that listens first, then one a connection and the helpers.
    pub fn processes(&self) -> Vec<Pid> {
        let parent = self.process.id();
        let of_it = |entry: std::fs::DirEntry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // the name in brackets may hold anything; the parent is the second field after it
            let is_child = stat.rsplit_once(')')?.1.split_whitespace().nth(1)? == parent.to_string();
            is_child.then_some(id)
        };
        let processes = std::fs::read_dir("/proc").expect("/proc is there").flatten().filter_map(of_it);
        let raw = std::iter::once(parent).chain(processes).filter_map(|id| i32::try_from(id).ok());
        raw.filter_map(Pid::from_raw).collect()
    }

    /// Sends all of them a signal: SIGSTOP makes a server that hangs, SIGCONT ends that.
    pub fn signal_all(&self, signal: Signal) {
        for process in self.processes() {
            // one of them may have ended since
            let _ = kill_process(process, signal);
        }
    }

    /// What psql prints for the statement: rows as lines, columns parted by `|`.
    pub fn query(&self, sql: &str) -> String {
        self.query_in("postgres", sql)
    }

    /// The same in another database.
    pub fn query_in(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres", "-d", database]);
        psql.args(["-p", &self.port.to_string(), "-c", sql]);
        run("psql", &psql, LIMIT).trim_end().to_owned()
    }

    /// Where the log ends now.
    pub fn wal_position(&self) -> WalPosition {
        WalPosition(self.query("SELECT pg_current_wal_flush_lsn()"))
    }

    /// Every commit from that place on until now, in the order of the log.
    pub fn wal_commits(&self, since: &WalPosition) -> Vec<Commit> {
        let end = self.wal_position();
        if end == *since {
            return Vec::new();
        }
        let mut waldump = Command::new(postgres_program("pg_waldump"));
        waldump.args(["--rmgr=Transaction", "--start", &since.0, "--end", &end.0]);
        waldump.arg("--path").arg(self.data.join("pg_wal"));
        // it prints local time
        waldump.env("TZ", "UTC");
        run("pg_waldump", &waldump, LIMIT).lines().filter_map(parse_commit).collect()
    }

    fn is_ready(&self) -> Command {
        let mut ask = Command::new(postgres_program("pg_isready"));
        ask.args(["-q", "-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string()]);
        ask
    }

    fn wait_until_ready(&mut self) {
        let mut ask = self.is_ready();
        wait_while_running(&mut self.process, LIMIT, |_| ask.status().ok()?.success().then_some(()));
    }
}

fn begin(server: &Command, log: &Path) -> Process {
    // SIGQUIT: at once, but with its shared memory given back
    Process::start_ending_with("PostgreSQL", server, log, Signal::QUIT)
}

/// `rmgr: Transaction … tx: 745, lsn: … desc: COMMIT 2026-11-22 21:00:00.123456 UTC; …`
fn parse_commit(line: &str) -> Option<Commit> {
    let (head, description) = line.split_once(" desc: COMMIT ")?;
    let (_, after) = head.split_once(" tx: ")?;
    let xid = after.split(',').next()?.trim().parse().unwrap_or_else(|_| panic!("no transaction id in {line:?}"));
    let time = description.split(" UTC").next()?.replacen(' ', "T", 1);
    let at = format!("{time}Z").parse().unwrap_or_else(|_| panic!("no time of UTC in {line:?}"));
    Some(Commit { xid, at })
}

fn usual_settings(port: u16) -> Vec<String> {
    let settings = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=300",
        "shared_buffers=32MB",
        // the data is thrown away
        "fsync=off",
        // two servers' shared memory stays within their processes and folders
        "dynamic_shared_memory_type=mmap",
        "wal_level=replica",
        // nothing may be removed from the log, and nothing but clients may write to it
        "wal_keep_size=16GB",
        "max_wal_size=16GB",
        "checkpoint_timeout=1d",
        "autovacuum=off",
    ];
    let port = format!("port={port}");
    settings.into_iter().map(str::to_owned).chain([port]).flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The command as a user that PostgreSQL accepts: it refuses to run as root.
fn unprivileged(program_path: &Path) -> Command {
    if !is_root() {
        return Command::new(program_path);
    }
    let mut command = Command::new(program("setpriv"));
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program_path);
    command.current_dir("/");
    command
}

fn make_owned(data: &Path) {
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(data)
        .unwrap_or_else(|error| panic!("create {}: {error}", data.display()));
    if is_root() {
        let mut chown = Command::new(program("chown"));
        run("chown", chown.arg("postgres:postgres").arg(data), LIMIT);
    }
}
