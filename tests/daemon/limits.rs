//! Limits of time: `max_pause`, and a daemon that was stopped meanwhile.

use crate::rig::{LIMIT, Rig};
use crate::{LONG, code};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use stillpoint::sim::Request;

#[test]
fn a_window_that_takes_too_long_is_opened_within_max_pause() {
    let rig = Rig::new(1, "{hold: 2s, drain: 2s, max_pause: 5s}");
    // Acknowledged after 2.5 s, looked at for 2.5 s at the end of the hold: 7 s in all.
    rig.members[0].delay(Duration::from_millis(2500));
    let mut window = rig.start(&["window", "shop", "-o", "json"]);
    assert_eq!(window.wait(LIMIT).code(), Some(3), "{}", window.tail());
    assert_eq!(code(&Rig::json(&window.output())), "max_pause");
    let calls: Vec<_> = rig.members.iter().flat_map(stillpoint::sim::SimMember::calls).collect();
    let first = |wanted: fn(&Request) -> bool| {
        calls.iter().filter(|call| wanted(&call.request)).map(|call| call.at).min().unwrap()
    };
    let closed: Duration =
        first(|request| *request == Request::Unpause) - first(|request| matches!(request, Request::Pause { .. }));
    assert!(closed > Duration::from_secs(4) && closed <= Duration::from_secs(5), "{closed:?}");
    assert_eq!(rig.paused(), 0);
}

#[test]
fn a_drain_that_runs_out_opens_everything_at_once() {
    let rig = Rig::new(2, LONG);
    let guard = rig.enter();
    let _transaction = rig.members[0].begin_transaction().unwrap();
    drop(guard);
    let since = Instant::now();
    let (exit, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!((exit, rig.paused()), (3, 0), "{output}{errors}");
    assert_eq!(code(&Rig::json(&output)), "drain_timeout");
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
}

#[test]
fn a_daemon_that_was_stopped_in_the_hold_does_not_call_the_window_consistent() {
    let rig = Rig::new(1, LONG);
    let mut daemon = rig.daemon();
    let mut window = rig.start(&["window", "shop", "-o", "json"]);
    // Stopped before it has read the acknowledgements it would rightly begin its hold after them.
    daemon.wait_for_line("pause completed at", LIMIT);
    // Nor with an append on its way: that would void the window first.
    rig.wait_until_recorded();
    daemon.signal(Signal::STOP);
    // The fault itself: stopped for longer than members may go unwatched.
    std::thread::sleep(Duration::from_millis(6500));
    assert_eq!(rig.paused(), 3);
    daemon.signal(Signal::CONT);
    let since = Instant::now();
    rig.wait_until_paused(0);
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    assert_eq!(window.wait(LIMIT).code(), Some(3), "{}", window.tail());
    // Whether a look was on its way when it was stopped decides which of the two it is.
    let code = code(&Rig::json(&window.output()));
    assert!(["unwatched", "unanswered"].contains(&code.as_str()), "{code}");
}
