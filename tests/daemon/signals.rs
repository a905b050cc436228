//! Told to stop: everything opens first, and whoever insists is told what does not.

use crate::rig::{LIMIT, Rig};
use crate::{LONG, SHORT};
use rustix::process::Signal;

#[test]
fn sigint_ends_the_daemon_like_sigterm() {
    let rig = Rig::new(1, LONG);
    let mut daemon = rig.daemon();
    let mut window = rig.start(&["window", "shop"]);
    rig.wait_until_paused(3);
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait(LIMIT).code(), Some(0), "{}", daemon.tail());
    assert_eq!((rig.paused(), window.wait(LIMIT).code()), (0, Some(3)));
}

#[test]
fn a_second_signal_says_what_may_still_be_closed() {
    let rig = Rig::new(1, LONG);
    let mut daemon = rig.daemon();
    let _window = rig.start(&["window", "shop"]);
    rig.wait_until_paused(3);
    let stubborn = rig.members[1].address().to_string();
    rig.members[1].refuse_unpause(u32::MAX);
    daemon.signal(Signal::TERM);
    rig.wait_until_paused(1);
    assert!(daemon.is_running(), "it goes on trying");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(LIMIT).code(), Some(5), "{}", daemon.tail());
    let closed = format!("may still be closed: old/{stubborn}");
    assert!(daemon.output().contains(&closed), "{}", daemon.tail());
}

#[test]
fn a_second_signal_ends_a_command_alone_too() {
    let rig = Rig::new(1, LONG);
    let mut window = rig.start(&["window", "shop"]);
    rig.wait_until_paused(3);
    rig.members[2].refuse_unpause(u32::MAX);
    window.signal(Signal::INT);
    rig.wait_until_paused(1);
    window.signal(Signal::INT);
    assert_eq!(window.wait(LIMIT).code(), Some(5), "{}", window.tail());
    let closed = format!("may still be closed: new/{}", rig.members[2].address());
    assert!(window.output().contains(&closed), "{}", window.tail());
    rig.members[2].refuse_unpause(0);
    assert_eq!(rig.run(&["recover"]).0, 0);
    assert_eq!(rig.paused(), 0);
}

#[test]
fn a_member_that_refuses_to_open_is_asked_until_it_does() {
    let rig = Rig::new(1, SHORT);
    rig.members[0].refuse_unpause(5);
    let (exit, output, errors) = rig.run(&["window", "shop"]);
    assert_eq!((exit, rig.paused()), (0, 0), "{output}{errors}");
    assert!(rig.counts(|request| *request == stillpoint::sim::Request::Unpause)[0] >= 6);
}
