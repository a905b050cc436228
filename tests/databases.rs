//! The ground that the tests on real servers stand on: what these processes do, and what the databases' logs tell.

mod support;

use jiff::Timestamp;
use rustix::process::Signal;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::postgres::Commit;
use support::process::Process;
use support::scalardb::scalar_admin;
use support::transfers::{TOTAL, sum};
use support::world::World;
use support::{admin, wait_until};

const DRAIN: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(20);

#[test]
fn transfers_commit_in_both_databases_and_their_logs_say_when() {
    let world = World::shared();
    let (since, began) = (world.wal_positions(), Timestamp::now());
    let mut transfers = world.transfers(4);
    transfers.wait_for_commits(50);
    let counts = transfers.stop();
    let ended = Timestamp::now();

    assert!(counts.committed >= 50);
    assert_eq!((counts.refused, counts.failed), (0, 0));
    for commits in world.wal_commits(&since) {
        // a transfer prepares and commits its record in each database
        assert!(commits.len() as u64 >= 2 * counts.committed, "{} commits for {counts:?}", commits.len());
        assert!(commits.iter().all(|commit| began <= commit.at && commit.at <= ended));
        assert!(commits.windows(2).all(|pair| pair[0].xid != pair[1].xid));
    }
    assert!(world.wal_commits(&world.wal_positions()).iter().all(Vec::is_empty), "a quiet database has no commits");
    assert_eq!(world.total_in_databases(), TOTAL);
    assert_eq!(sum(&world.ports()), TOTAL);
}

#[test]
fn nothing_commits_from_the_last_pause_to_the_first_unpause() {
    let world = World::shared();
    let since = world.wal_positions();
    let mut transfers = world.transfers(8);
    transfers.wait_for_commits(20);

    for port in world.ports() {
        admin::pause(port, DRAIN).expect("a pause drains within its limit");
    }
    let quiet_from = Timestamp::now();
    assert_eq!(world.paused(), [true, true]);
    let total = world.total_in_databases();
    let refused = transfers.counts().refused;
    wait_until("transfers are refused", SOON, || (transfers.counts().refused > refused).then_some(()));
    assert_eq!(total, TOTAL);
    assert_eq!(world.total_in_databases(), TOTAL);
    let quiet_to = Timestamp::now();
    for port in world.ports() {
        admin::unpause(port).expect("an unpause is answered");
    }
    transfers.wait_for_commits(20);
    transfers.stop();

    for commits in world.wal_commits(&since) {
        let count = |wanted: &dyn Fn(&Commit) -> bool| commits.iter().filter(|commit| wanted(commit)).count();
        assert!(count(&|commit| commit.at < quiet_from) > 0, "commits before");
        assert_eq!(count(&|commit| quiet_from <= commit.at && commit.at <= quiet_to), 0, "commits while all is closed");
        assert!(count(&|commit| commit.at > quiet_to) > 0, "commits after");
    }
    assert_eq!(world.total_in_databases(), TOTAL);
}

#[test]
fn one_server_left_open_lets_every_transfer_through() {
    let world = World::shared();
    let mut transfers = world.transfers(4);
    admin::pause(world.ports()[0], DRAIN).expect("a pause drains within its limit");
    let (since, closed) = (world.wal_positions(), Timestamp::now());
    transfers.wait_for_commits(20);
    assert_eq!(world.paused(), [true, false]);
    assert!(world.wal_commits(&since).iter().all(|commits| commits.iter().any(|commit| commit.at > closed)));
    transfers.stop();
}

#[test]
fn scalars_own_command_agrees_on_what_is_closed() {
    let world = World::shared();
    let port = world.ports()[0];
    assert!(scalar_admin("check_paused", port).to_lowercase().contains("false"));
    admin::pause(port, DRAIN).expect("a pause drains within its limit");
    assert!(scalar_admin("check_paused", port).to_lowercase().contains("true"));
    scalar_admin("unpause", port);
    assert_eq!(world.paused(), [false, false]);
    scalar_admin("pause", port);
    assert_eq!(world.paused(), [true, false]);
}

#[test]
fn an_open_transaction_outlasts_a_short_drain_and_then_commits() {
    let world = World::shared();
    let hold = world.hold(0, Duration::from_secs(3));
    let refused = admin::pause(world.ports()[0], Duration::from_secs(1)).expect_err("it cannot drain");
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert_eq!(world.paused(), [false, false]);
    assert!(hold.committed());
}

#[test]
fn a_server_comes_back_open_whether_it_was_killed_or_frozen() {
    let mut world = World::shared();
    let port = world.ports()[0];
    admin::pause(port, DRAIN).expect("a pause drains within its limit");
    world.servers[0].kill();
    assert_eq!(admin::check_paused(port).expect_err("nobody listens").code(), tonic::Code::Unavailable);
    world.servers[0].restart();
    assert_eq!(world.paused(), [false, false]);

    world.servers[1].freeze();
    let frozen = world.servers[1].port();
    assert!(admin::check_paused(frozen).is_err(), "a frozen server does not answer");
    world.mend();
    assert_eq!(world.paused(), [false, false]);
}

#[test]
fn a_process_outlives_the_thread_that_started_it_but_not_its_guard() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let log = folder.path().join("log");
    let mut sleep = Command::new("sleep");
    sleep.arg("600");
    let mut process = std::thread::spawn(move || Process::start("sleep", &sleep, &log)).join().expect("it starts");
    assert!(process.is_running());
    // stopped, it hears nothing but SIGKILL: the guard must see to that
    process.signal(Signal::STOP);
    assert!(process.is_running());
    let entry = Path::new("/proc").join(process.id().to_string());
    assert!(entry.exists());
    drop(process);
    assert!(!entry.exists());
}
