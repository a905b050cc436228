//! SIGTERM, and SIGSTOP with SIGCONT, in the hold.

use crate::rig::{CLOSED, Claim, LIMIT, OPEN, Report, Rig};
use crate::support::wait_until;
use crate::support::world::World;
use rustix::process::Signal;
use std::time::{Duration, Instant};

#[test]
fn sigterm_in_the_hold_opens_everything_before_the_daemon_ends() {
    let world = World::shared();
    let rig = Rig::new(&world, "{hold: 20s, drain: 3s, max_pause: 30s}");
    let mut transfers = world.transfers(4);
    let mut daemon = rig.daemon();
    let window = rig.window();
    rig.wait_for_event("paused");
    assert_eq!(world.paused(), CLOSED);
    let told = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(LIMIT).code(), Some(0), "{}", daemon.tail());
    println!("from SIGTERM to the end of the daemon {:?}", told.elapsed());
    assert_eq!(world.paused(), OPEN);
    let report = Report::of(window);
    assert_eq!((report.verdict(), report.reasons()), ("discarded", vec!["shutdown"]));
    rig.assert_no_point(&report);
    transfers.wait_for_commits(20);
    transfers.stop();
}

/// A daemon that does not run for a moment cannot know that it did not; the members were closed all the same.
#[test]
fn a_short_stop_of_the_daemon_leaves_a_window_that_is_true_or_none() {
    let world = World::shared();
    let rig = Rig::new(&world, "{hold: 5s, drain: 3s, max_pause: 12s}");
    let since = world.wal_positions();
    let mut transfers = world.transfers(4);
    let mut daemon = rig.daemon();
    let window = rig.window();
    rig.wait_for_event("paused");
    daemon.signal(Signal::STOP);
    // the time that it does not run for is what is tested
    std::thread::sleep(Duration::from_secs(2));
    daemon.signal(Signal::CONT);
    let report = Report::of(window);
    transfers.wait_for_commits(20);
    println!("stopped for 2 s: {} {:?}", report.verdict(), report.reasons());
    match report.verdict() {
        "consistent" => Claim::from(&report).assert_true(&world, &since),
        _ => assert_eq!(report.reasons(), ["unwatched"]),
    }
    assert_eq!(world.paused(), OPEN);
    transfers.stop();
}

/// Nobody can open anything while the daemon is stopped: this is where `max_pause` ends being a promise, and why the
/// service manager's watchdog matters.
#[test]
fn a_stop_beyond_max_pause_voids_the_window_which_opens_as_soon_as_the_daemon_goes_on() {
    let world = World::shared();
    let rig = Rig::new(&world, "{hold: 3s, drain: 2s, max_pause: 6s}");
    let mut transfers = world.transfers(4);
    let mut daemon = rig.daemon();
    let window = rig.window();
    let intent = rig.wait_for_event("intended");
    rig.wait_for_event("paused");
    daemon.signal(Signal::STOP);
    wait_until("the limit passes", LIMIT, || {
        (jiff::Timestamp::now() > intent.at + Duration::from_secs(7)).then_some(())
    });
    assert_eq!(world.paused(), CLOSED);
    let gone_on = Instant::now();
    daemon.signal(Signal::CONT);
    wait_until("everything opens", Duration::from_secs(2), || (world.paused() == OPEN).then_some(()));
    println!("from SIGCONT to all open {:?}", gone_on.elapsed());
    let report = Report::of(window);
    assert_eq!(report.verdict(), "discarded");
    println!("stopped beyond max_pause: {:?}", report.reasons());
    assert!(report.reasons().iter().any(|code| ["max_pause", "unwatched"].contains(code)), "{:?}", report.reasons());
    rig.assert_no_point(&report);
    transfers.wait_for_commits(20);
    transfers.stop();
}
