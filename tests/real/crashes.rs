//! SIGKILL of the daemon, after every event of its journal and at random; then the next start.

use crate::rig::{LIMIT, OPEN, Rig};
use crate::support::process::Process;
use crate::support::transfers::Transfers;
use crate::support::wait_until;
use crate::support::world::World;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stillpoint::domain::{Code, Verdict};

/// An intent is closed a drain limit and six seconds after the recovery began: requests of the dead process may still land.
const WINDOW: &str = "{hold: 2s, drain: 2s, max_pause: 8s}";

/// Every write to the disk takes this much longer: time to kill the daemon before its next event is durable.
const SLOW_DISK: [&str; 9] = [
    "strace",
    "-D",
    "-f",
    "-qq",
    "--seccomp-bpf",
    "-o/dev/null",
    "-etrace=fsync,fdatasync",
    "-einject=fsync,fdatasync:delay_exit=150000",
    "--",
];

/// What a start after a crash must bring about, whatever the dead daemon had reached.
fn assert_recovers(world: &World, rig: &Rig, transfers: &mut Transfers, was: &str) -> Process {
    let before = rig.events();
    let verdict_before = rig.outcome();
    let points = rig.points();
    let closed = world.paused();
    let (daemon, time) = rig.recover(world);
    transfers.wait_for_commits(10);
    if before.is_empty() {
        println!("{was}: no intent, closed {closed:?}, all open {time:?} after the start");
        assert_eq!(closed, OPEN, "nothing is paused without an intent");
        assert_eq!(rig.events(), before);
        return daemon;
    }
    rig.wait_for_event("verdict");
    let outcome = rig.outcome().unwrap();
    println!("{was}: died after {before:?}, closed {closed:?}, all open {time:?} after the start, {}", outcome.verdict);
    match verdict_before {
        // what was durable stands, consistent or not
        Some(verdict) => {
            assert_eq!(outcome, verdict);
            assert_eq!(closed, OPEN, "nothing is closed after a verdict, nor before an intent");
        }
        None => {
            assert_eq!(outcome.verdict, Verdict::Discarded);
            assert_eq!(outcome.reasons[0].code, Code::Interrupted);
            assert_eq!(outcome.restore_point, None);
        }
    }
    assert_eq!(rig.points(), points, "recovery makes no restore point");
    assert_eq!(world.paused(), OPEN);
    daemon
}

#[test]
fn a_daemon_killed_after_any_event_is_followed_by_one_that_opens_everything() {
    let world = World::shared();
    let rig = Rig::new(&world, WINDOW);
    let mut transfers = world.transfers(4);
    for event in ["intended", "paused", "hold_over", "opened"] {
        let mut daemon = rig.start_under(&SLOW_DISK, &["run"]);
        daemon.wait_for_line("ready:", LIMIT);
        let before = rig.journal();
        let _window = rig.ask_for_window();
        wait_until(event, LIMIT, || {
            let journal = rig.journal();
            (journal != before && journal.last()?.event.name() == event).then_some(())
        });
        daemon.kill();
        assert_eq!(rig.events().last(), Some(&event), "it was killed in time");
        let mut daemon = assert_recovers(&world, &rig, &mut transfers, event);
        daemon.kill();
    }
    assert_eq!(rig.points(), 0);
    transfers.stop();
    world.assert_all_open();
}

#[test]
fn a_daemon_killed_at_any_moment_is_followed_by_one_that_opens_everything() {
    const ROUNDS: usize = 6;
    let world = World::shared();
    // a pause that does not drain in time is one more state to die in
    let rig = Rig::new(&world, "{hold: 2s, drain: 1s, max_pause: 6s}");
    let mut transfers = world.transfers(4);
    let mut random = Random::seeded();
    for round in 0..ROUNDS {
        let mut daemon = rig.daemon();
        let before = rig.journal().len();
        // while pauses are on their way, while unpauses are, and anywhere
        let (from, to) = [(0, 120), (1_950, 2_250), (0, 2_600)][round % 3];
        let delay = Duration::from_micros(random.below((to - from) * 1_000) + from * 1_000);
        let window = rig.ask_for_window();
        // a moment of the daemon's life, nothing that could be waited for
        std::thread::sleep(delay);
        daemon.kill();
        drop(window);
        let was = format!("round {round}, killed after {delay:?}, {before} events before");
        let mut daemon = assert_recovers(&world, &rig, &mut transfers, &was);
        daemon.kill();
    }
    transfers.stop();
    world.assert_all_open();
}

#[test]
fn a_daemon_killed_while_it_recovers_is_followed_by_one_that_recovers() {
    let world = World::shared();
    let rig = Rig::new(&world, "{hold: 10s, drain: 2s, max_pause: 14s}");
    let mut transfers = world.transfers(4);
    let mut daemon = rig.daemon();
    let _window = rig.ask_for_window();
    rig.wait_for_event("paused");
    daemon.kill();
    assert_eq!(world.paused(), [true, true], "nobody is there to open them");
    let (mut daemon, _) = rig.recover(&world);
    rig.wait_for_event("interrupted");
    daemon.kill();
    assert_recovers(&world, &rig, &mut transfers, "in the recovery");
    assert_eq!(rig.events().iter().filter(|name| **name == "interrupted").count(), 2);
    transfers.stop();
}

/// xorshift64: a seed, printed, gives the same delays again.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let given = std::env::var("STILLPOINT_SEED").ok().map(|seed| seed.parse().expect("a seed is a number"));
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").subsec_nanos();
        let seed = given.unwrap_or_else(|| u64::from(clock()) + 1);
        println!("STILLPOINT_SEED={seed}");
        Self(seed.max(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
