//! Full, hanging and read-only disks: windows are refused or void, and nothing stays closed for them.

use crate::rig::{LIMIT, Rig};
use crate::support::process::Process;
use crate::{LONG, SHORT, code};
use rustix::process::Signal;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};
use stillpoint::sim::Request;

/// Room for a drain that the test draws out.
const SLOW: &str = "{hold: 20s, drain: 15s, max_pause: 40s}";

/// Every sync of that process takes this much longer from here on, until the tracer is killed.
fn hang(rig: &Rig, process: &Process, seconds: u32) -> Process {
    let mut command = Command::new("strace");
    let inject = format!("inject=fsync,fdatasync:delay_enter={}", u64::from(seconds) * 1_000_000);
    command.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", &inject, "-o", "/dev/null"]);
    command.args(["-p", &process.id().to_string()]);
    let tracer = Process::start("strace", &command, &rig.path("strace.log"));
    let tasks = format!("/proc/{}/task", process.id());
    crate::support::wait_until("strace attaches", LIMIT, || {
        std::fs::read_dir(&tasks).unwrap().all(|task| traced(&task.unwrap().path())).then_some(())
    });
    tracer
}

fn traced(task: &std::path::Path) -> bool {
    // A thread may end while it is looked at.
    std::fs::read_to_string(task.join("status")).map_or(true, |status| !status.contains("TracerPid:\t0\n"))
}

#[test]
fn the_intent_is_synced_before_the_first_pause_request_leaves() {
    let rig = Rig::new(1, SHORT);
    let log = rig.path("strace.out");
    let mut command = Command::new("strace");
    command.args(["-f", "-ttt", "-T", "-y", "-s", "6000", "-e", "trace=fsync,fdatasync,pwrite64"]);
    // Without the delay a pause that did not wait could be taken for one that did.
    command.args(["-e", "inject=fsync,fdatasync:delay_exit=300000", "-o"]).arg(&log);
    let window = rig.command(&["window", "shop"]);
    command.arg(window.get_program()).args(window.get_args());
    let mut traced = Process::start("strace", &command, &rig.path("traced.log"));
    assert_eq!(traced.wait(LIMIT).code(), Some(0), "{}", traced.tail());
    let (now, wall) = (Instant::now(), SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let calls = rig.members.iter().flat_map(stillpoint::sim::SimMember::calls);
    let paused = calls.filter(|call| matches!(call.request, Request::Pause { .. })).map(|call| call.at).min().unwrap();
    let paused = (wall - (now - paused)).as_secs_f64();

    let text = crate::rig::read(&log);
    let lines: Vec<Vec<&str>> = text.lines().map(columns).collect();
    let at = |line: &[&str]| line[1].parse::<f64>().unwrap();
    let is_log = |line: &[&str]| line[2].contains("catalog.db-wal>");
    let written =
        lines.iter().position(|line| line[2].starts_with("pwrite64") && is_log(line) && line[2].contains("intended"));
    let written = written.expect("the intent is written to the log");
    let thread = lines[written][0];
    let mut after = lines[written..].iter().filter(|line| line[0] == thread);
    let sync = after.find(|line| (line[2].starts_with("fsync") || line[2].starts_with("fdatasync")) && is_log(line));
    let sync = sync.expect("the log is synced");
    let synced = match sync[2].contains("unfinished") {
        true => at(after.find(|line| line[2].contains("sync resumed")).expect("it comes back")),
        false => at(sync) + sync[2].rsplit('<').next().unwrap().trim_end_matches('>').parse::<f64>().unwrap(),
    };
    assert!(at(&lines[written]) < synced && synced <= paused, "synced at {synced}, paused at {paused}");
    assert!(paused - at(&lines[written]) >= 0.3, "the pause waited for the delayed sync");
}

/// Thread, instant, call: strace pads short thread ids with spaces.
fn columns(line: &str) -> Vec<&str> {
    let (thread, rest) = line.split_once(' ').expect("a thread id");
    let (at, call) = rest.trim_start().split_once(' ').expect("an instant");
    vec![thread, at, call]
}

#[test]
fn a_full_disk_in_the_window_opens_everything_at_once_and_the_verdict_is_recorded_when_there_is_room() {
    let rig = Rig::new(2, SLOW).on_a_small_disk();
    let mut daemon = rig.daemon();
    let guard = rig.enter();
    let transaction = rig.members[0].begin_transaction().unwrap();
    drop(guard);
    let mut window = rig.start(&["window", "shop", "-o", "json"]);
    rig.wait_until_paused(6);
    rig.fill();
    let since = Instant::now();
    drop(transaction);
    rig.wait_until_paused(0);
    assert!(since.elapsed() < Duration::from_secs(8), "the hold would be 20 s, this was {:?}", since.elapsed());
    assert_eq!(window.wait(LIMIT).code(), Some(3), "{}", window.tail());
    let report = Rig::json(&window.output());
    assert_eq!((code(&report), &report["recorded"]), ("catalog".to_owned(), &false.into()));
    rig.make_room();
    assert_eq!(rig.wait_for_verdict("discarded"), "catalog");
    rig.replace(SLOW, SHORT);
    daemon.stop();
    let _daemon = rig.daemon();
    assert_eq!(rig.run(&["window", "shop"]).0, 0);
}

#[test]
fn a_full_disk_before_the_window_refuses_it() {
    let rig = Rig::new(1, SHORT).on_a_small_disk();
    let _daemon = rig.daemon();
    rig.fill();
    let (exit, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!(exit, 4, "{output}{errors}");
    assert_eq!(code(&Rig::json(&output)), "catalog");
    assert_eq!(rig.pauses(), 0);
    rig.make_room();
    assert_eq!(rig.wait_for_verdict("refused"), "catalog");
    let again = || rig.run(&["window", "shop"]).0 == 0;
    crate::support::wait_until("a consistent window", LIMIT, || again().then_some(()));
}

#[test]
fn a_daemon_that_died_is_followed_by_one_that_opens_everything_though_the_disk_is_full() {
    opened_after("full", |rig| rig.fill(), Rig::make_room);
}

#[test]
fn a_daemon_that_died_is_followed_by_one_that_opens_everything_though_the_disk_is_read_only() {
    let remount = |rig: &Rig, how: &str| rig.on_disk(&format!("mount -o remount,{how} \"$0\""));
    opened_after("Read-only", |rig| remount(rig, "ro"), |rig| remount(rig, "rw"));
}

fn opened_after(why: &str, spoil: impl Fn(&Rig), mend: impl Fn(&Rig)) {
    let rig = Rig::new(2, LONG).on_a_small_disk();
    let mut daemon = rig.daemon();
    let _window = rig.start(&["window", "shop"]);
    rig.wait_until_paused(6);
    // Killed within an append it would leave room in the log, and the disk would not be full for the next one.
    rig.wait_until_recorded();
    daemon.kill();
    spoil(&rig);
    let mut next = rig.start(&["run"]);
    rig.wait_until_paused(0);
    assert_eq!(next.wait(LIMIT).code(), Some(1), "its supervisor starts it anew: {}", next.tail());
    let errors: Vec<String> =
        next.output().lines().filter(|line| line.starts_with("stillpoint: ")).map(str::to_owned).collect();
    assert_eq!(errors.len(), 1, "{}", next.tail());
    assert!(errors[0].contains("catalog") && errors[0].contains(why), "{}", errors[0]);
    assert_eq!(rig.run(&["recover"]).0, 1, "nor can a person's command take it");
    mend(&rig);
    let _daemon = rig.daemon();
    assert_eq!(rig.wait_for_verdict("discarded"), "interrupted");
}

#[test]
fn a_disk_that_hangs_in_the_window_opens_everything_long_before_it_comes_back() {
    let rig = Rig::new(2, SLOW);
    let daemon = rig.daemon();
    let guard = rig.enter();
    let transaction = rig.members[0].begin_transaction().unwrap();
    drop(guard);
    let mut window = rig.start(&["window", "shop", "-o", "json"]);
    rig.wait_until_paused(6);
    let mut tracer = hang(&rig, &daemon, 25);
    let since = Instant::now();
    drop(transaction);
    rig.wait_until_paused(0);
    let closed = since.elapsed();
    assert!(closed > Duration::from_millis(1500) && closed < Duration::from_secs(8), "{closed:?}");
    assert_eq!(window.wait(LIMIT).code(), Some(3), "{}", window.tail());
    assert_eq!(code(&Rig::json(&window.output())), "catalog");
    tracer.kill();
    assert_eq!(rig.wait_for_verdict("discarded"), "catalog");
}

#[test]
fn a_disk_that_hangs_before_the_window_refuses_it() {
    let rig = Rig::new(1, SHORT);
    let mut daemon = rig.daemon();
    let mut tracer = hang(&rig, &daemon, 25);
    let (exit, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!(exit, 4, "{output}{errors}");
    assert_eq!(code(&Rig::json(&output)), "catalog");
    assert_eq!(rig.pauses(), 0);
    tracer.kill();
    assert_eq!(rig.wait_for_verdict("refused"), "catalog");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(LIMIT).code(), Some(0));
}

#[test]
fn a_daemon_that_died_is_followed_by_one_that_opens_everything_though_the_disk_hangs() {
    let rig = Rig::new(1, LONG);
    let mut daemon = rig.daemon();
    let _window = rig.start(&["window", "shop"]);
    rig.wait_until_paused(3);
    daemon.kill();
    let mut command = Command::new("strace");
    // -D: the tracer is the grandchild, and ends with the daemon.
    command.args(["-D", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-e"]);
    command.args(["inject=fsync,fdatasync:delay_enter=25000000", "-o", "/dev/null"]);
    let run = rig.command(&["run"]);
    command.arg(run.get_program()).args(run.get_args());
    let since = Instant::now();
    let mut next = Process::start("strace", &command, &rig.path("hanging.log"));
    rig.wait_until_paused(0);
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert!(next.is_running(), "it still waits for the disk: {}", next.tail());
    // The tracer goes first: strace does not let go of a process that is killed in a delay.
    let status = crate::rig::read(std::path::Path::new(&format!("/proc/{}/status", next.id())));
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(tracer).unwrap(), Signal::KILL).unwrap();
    next.kill();
}

#[test]
fn a_journal_that_cannot_be_read_is_opened_all_the_same() {
    let rig = Rig::new(1, LONG);
    let mut daemon = rig.daemon();
    let _window = rig.start(&["window", "shop"]);
    rig.wait_until_paused(3);
    crate::support::wait_until("the second event", LIMIT, || {
        daemon.output().contains("pause completed at").then_some(())
    });
    daemon.kill();
    rig.block_on(async {
        use sqlx::ConnectOptions;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(rig.path("catalog.db"));
        let mut connection = options.connect().await.unwrap();
        let spoilt = sqlx::query("UPDATE events SET body = '{' WHERE number = 1").execute(&mut connection).await;
        assert!(spoilt.is_ok());
        // A second window, whole, of a group that the config does not have any more.
        for copy in [
            "INSERT INTO windows SELECT 'z', 'gone', trigger_kind, slot, started, phase, verdict, reasons, evidence, \
             pause_completed, unpause_started, restore_point, closed_microseconds, members FROM windows",
            "INSERT INTO events SELECT 'z', number, epoch, written_at, kind, \
             replace(replace(body, '\"shop\"', '\"gone\"'), window_id, 'z') FROM events WHERE number = 0",
        ] {
            sqlx::query(copy).execute(&mut connection).await.unwrap();
        }
    });
    let _daemon = rig.daemon();
    rig.wait_until_paused(0);
    crate::support::wait_until("the whole one ends", LIMIT, || {
        rig.history().iter().any(|row| row["window"] == "z" && row["verdict"] == "discarded").then_some(())
    });
    crate::support::wait_until("the group is free", LIMIT, || (rig.run(&["unpause", "shop"]).0 == 0).then_some(()));
}
