//! Windows that go well, told from the databases' side.

use crate::rig::{Claim, LIMIT, OPEN, Report, Rig};
use crate::support::world::World;
use rustix::process::Signal;
use std::time::Duration;
use stillpoint::domain::Verdict;

#[test]
fn a_window_of_the_schedule_falls_on_its_slot_and_holds_every_commit_back() {
    let world = World::shared();
    let rig = Rig::scheduled(
        &world,
        "{hold: 3s, drain: 3s, max_pause: 9s}",
        "{cron: \"*/20 * * * * *\", lead: 2s, starting_deadline: 10s, attempts: 1}",
    );
    let since = world.wal_positions();
    let mut transfers = world.transfers(6);
    let mut daemon = rig.daemon();
    let intent = rig.wait_for_event("intended");
    rig.wait_for_event("verdict");
    transfers.wait_for_commits(20);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(LIMIT).code(), Some(0), "{}", daemon.tail());
    transfers.stop();

    let outcome = rig.outcome().unwrap();
    assert_eq!(outcome.verdict, Verdict::Consistent, "{:?}", outcome.reasons);
    let (quiet, point) = (outcome.quiet.unwrap(), outcome.restore_point.unwrap());
    let stillpoint::window::Event::Intended { plan, .. } = intent.event else { unreachable!() };
    let slot = plan.slot.expect("it belongs to a slot");
    assert_eq!((slot.as_second() % 20, slot.subsec_nanosecond()), (0, 0));
    let late = intent.at.duration_since(slot);
    assert!(
        late >= jiff::SignedDuration::ZERO && late < jiff::SignedDuration::from_secs(2),
        "the intent is {late:?} late"
    );
    println!(
        "slot {slot}: intent {:?} after it, quiet {:?}, closed {:?}",
        late,
        quiet.length(),
        outcome.closed.unwrap()
    );
    Claim { quiet: (quiet.start, quiet.end), point }.assert_true(&world, &since);
    assert_eq!(rig.points(), 1);
    world.assert_all_open();
}

#[test]
fn a_window_by_command_holds_every_commit_back_and_says_so_in_json() {
    let world = World::shared();
    let rig = Rig::new(&world, "{hold: 3s, drain: 3s, max_pause: 9s}");
    let since = world.wal_positions();
    let mut transfers = world.transfers(8);
    let report = Report::of(rig.window());
    assert_eq!(world.paused(), OPEN, "the command ends when everything is open");
    transfers.wait_for_commits(20);
    let counts = transfers.stop();

    assert_eq!(report.verdict(), "consistent");
    assert!(report.reasons().is_empty());
    let (quiet, closed) = (report.seconds("quiet_seconds"), report.seconds("closed_seconds"));
    println!("quiet {quiet:.3} s, closed {closed:.3} s; {counts:?}");
    assert!(quiet >= 3.0 && closed >= quiet && closed < quiet + 3.0, "quiet {quiet} s, closed {closed} s");
    assert!(counts.refused > 0, "the transfers met closed servers");
    Claim::from(&report).assert_true(&world, &since);
    assert_eq!(rig.outcome().unwrap().restore_point, Some(report.instant("restore_point")));
    world.assert_all_open();
}

#[test]
fn windows_one_after_another_on_one_catalog_each_have_their_own_point() {
    let world = World::shared();
    let rig = Rig::new(&world, "{hold: 2s, drain: 3s, max_pause: 8s}");
    let since = world.wal_positions();
    let mut transfers = world.transfers(4);
    let mut points = Vec::new();
    for _ in 0..2 {
        let report = Report::of(rig.window());
        assert_eq!(report.verdict(), "consistent", "{:?}", report.reasons());
        transfers.wait_for_commits(10);
        Claim::from(&report).assert_true(&world, &since);
        points.push(report.instant("restore_point"));
    }
    assert!(points[0] + Duration::from_secs(2) <= points[1], "{points:?}");
    assert_eq!(rig.points(), 2);
}
