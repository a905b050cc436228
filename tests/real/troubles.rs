//! What happens to the members in a window: one restarts, one cannot drain.

use crate::rig::{CLOSED, LIMIT, OPEN, Report, Rig};
use crate::support::wait_until;
use crate::support::world::World;
use std::time::{Duration, Instant};

#[test]
fn a_server_killed_and_restarted_in_the_hold_ends_it_early() {
    let mut world = World::shared();
    let rig = Rig::new(&world, "{hold: 20s, drain: 3s, max_pause: 30s}");
    let mut transfers = world.transfers(4);
    let window = rig.window();
    rig.wait_for_event("paused");
    assert_eq!(world.paused(), CLOSED);
    let killed = Instant::now();
    world.servers[0].kill();
    wait_until("the other server opens", PROMPT, || (!world.servers[1].is_paused()).then_some(()));
    let other_open = killed.elapsed();
    world.servers[0].restart();
    let report = Report::of(window);
    let closed = report.seconds("closed_seconds");
    println!(
        "killed in the hold: the other open after {other_open:?}, {:?}, closed {closed:.3} s of a hold of 20 s",
        report.reasons()
    );
    assert_eq!(report.verdict(), "discarded");
    assert!(report.reasons().iter().all(|code| ["unanswered", "reopened"].contains(code)), "{:?}", report.reasons());
    assert!(closed < 17.0, "closed for {closed} s");
    rig.assert_no_point(&report);
    assert_eq!(world.paused(), OPEN);
    transfers.wait_for_commits(20);
    transfers.stop();
}

/// A look a second finds it; then the unpause.
const PROMPT: Duration = Duration::from_secs(4);

#[test]
fn a_transaction_open_beyond_the_drain_limit_voids_the_window_and_everything_opens_within_a_second() {
    let world = World::shared();
    const DRAIN: Duration = Duration::from_secs(2);
    let rig = Rig::new(&world, "{hold: 2s, drain: 2s, max_pause: 8s}");
    let mut transfers = world.transfers(4);
    // it loses against the transfers in the end, or commits: both are its own affair
    let _hold = world.hold(0, Duration::from_secs(8));
    let window = rig.window();
    let intent = rig.wait_for_event("intended");
    wait_until("a server closes", LIMIT, || world.paused().contains(&true).then_some(()));
    let open = wait_until("everything opens", LIMIT, || {
        (world.paused() == OPEN).then(|| jiff::Timestamp::now().duration_since(intent.at))
    });
    let report = Report::of(window);
    assert_eq!((report.verdict(), report.reasons()), ("discarded", vec!["drain_timeout"]));
    let closed = report.seconds("closed_seconds");
    println!("drain limit {DRAIN:?}: all open {open:?} after the intent, closed {closed:.3} s by its own account");
    let limit = DRAIN + Duration::from_secs(1);
    assert!(closed <= limit.as_secs_f64(), "closed for {closed} s");
    assert!(open <= jiff::SignedDuration::try_from(limit).unwrap(), "open {open:?} after the intent");
    rig.assert_no_point(&report);
    transfers.wait_for_commits(20);
    transfers.stop();
}
