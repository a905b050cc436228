//! Pauses by hand, and what a person does about windows that a process died over.

use crate::rig::{LIMIT, Rig};
use crate::{LONG, SHORT, code, support};
use rustix::process::Signal;
use std::time::{Duration, Instant};

#[test]
fn a_pause_through_the_daemon_returns_when_closed_and_the_daemon_opens_it_at_the_limit() {
    let rig = Rig::new(1, SHORT);
    let _daemon = rig.daemon();
    let (exit, output, errors) = rig.run(&["pause", "shop", "--limit", "3s"]);
    assert_eq!((exit, rig.paused()), (0, 3), "{output}{errors}");
    let since = Instant::now();
    rig.wait_until_paused(0);
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
    rig.wait_for_verdict("consistent");
    assert_eq!(rig.history()[0]["trigger"], "hand");
}

#[test]
fn unpause_ends_a_pause_by_hand_and_its_verdict_stands() {
    let rig = Rig::new(1, SHORT);
    let _daemon = rig.daemon();
    assert_eq!(rig.run(&["pause", "shop", "--limit", "1m"]).0, 0);
    // The pause itself: a person's hold of a good two seconds.
    std::thread::sleep(Duration::from_millis(2200));
    let (exit, output, errors) = rig.run(&["unpause", "shop"]);
    assert_eq!((exit, rig.paused()), (0, 0), "{output}{errors}");
    assert!(output.contains("consistent"), "{output}");
    assert_eq!(rig.run(&["unpause", "shop"]).0, 0, "again: nothing to do");
}

#[test]
fn a_pause_in_the_foreground_is_opened_by_control_c() {
    let rig = Rig::new(1, SHORT);
    let mut pause = rig.start(&["pause", "shop", "--limit", "1m"]);
    pause.wait_for_line("closed; Ctrl-C opens it", LIMIT);
    assert_eq!(rig.paused(), 3);
    // The pause itself: a person's hold of a good two seconds.
    std::thread::sleep(Duration::from_millis(2200));
    pause.signal(Signal::INT);
    assert_eq!(pause.wait(LIMIT).code(), Some(0), "{}", pause.tail());
    assert_eq!(rig.paused(), 0);
}

#[test]
fn a_pause_in_the_foreground_opens_at_its_limit() {
    let rig = Rig::new(1, SHORT);
    let (exit, output, errors) = rig.run(&["pause", "shop", "--limit", "3s"]);
    assert_eq!((exit, rig.paused()), (0, 0), "{output}{errors}");
}

#[test]
fn unpause_by_force_needs_no_catalog() {
    let rig = Rig::new(2, SHORT);
    rig.replace("/catalog.db", "/nowhere/catalog.db");
    rig.pause_as_someone_else(0);
    rig.pause_as_someone_else(5);
    let (exit, output, errors) = rig.run(&["unpause", "shop", "--force"]);
    assert_eq!((exit, rig.paused()), (0, 0), "{output}{errors}");
    assert!(output.contains("6 members are open"), "{output}");
}

#[test]
fn recover_opens_what_a_killed_command_left() {
    let rig = Rig::new(2, LONG);
    killed_alone(&rig);
    let (exit, output, errors) = rig.run(&["recover"]);
    assert_eq!((exit, rig.paused()), (0, 0), "{output}{errors}");
    assert_eq!((&rig.history()[0]["verdict"], code(&rig.history()[0])), (&"discarded".into(), "interrupted".into()));
}

#[test]
fn a_window_alone_waits_for_what_a_killed_command_left() {
    let rig = Rig::new(1, LONG);
    killed_alone(&rig);
    rig.replace(LONG, SHORT);
    let (exit, output, errors) = rig.run(&["window", "shop"]);
    assert_eq!((exit, rig.paused()), (0, 0), "{output}{errors}");
    let verdicts: Vec<_> = rig.history().iter().map(|row| row["verdict"].as_str().unwrap().to_owned()).collect();
    assert_eq!(verdicts, ["consistent", "discarded"]);
}

fn killed_alone(rig: &Rig) {
    let mut window = rig.start(&["window", "shop"]);
    rig.wait_until_paused(rig.members.len());
    window.kill();
    assert_eq!(rig.paused(), rig.members.len());
}

#[test]
fn a_member_whose_process_is_gone_can_be_given_up_by_name() {
    let rig = Rig::new(1, LONG);
    killed_alone(&rig);
    rig.members[2].stop();
    let gone = rig.members[2].address().to_string();
    let daemon = rig.daemon();
    rig.wait_until_paused(0);
    let (exit, output, errors) = rig.run(&["recover"]);
    assert!(exit == 0 && output.contains(&gone), "{exit}: {output}{errors}{}", daemon.tail());
    let (exit, output, errors) = rig.run(&["recover", "--abandon", "nobody"]);
    assert_eq!(exit, 1, "{output}{errors}");
    assert_eq!(rig.run(&["recover", "--abandon", &gone]).0, 0);
    support::wait_until("nothing is open to doubt", LIMIT, || {
        rig.run(&["recover"]).1.contains("nothing is open to doubt").then_some(())
    });
    assert_eq!(rig.wait_for_verdict("discarded"), "interrupted");
}

#[test]
fn recover_without_a_daemon_gives_a_member_up_too() {
    let rig = Rig::new(1, LONG);
    killed_alone(&rig);
    rig.members[2].stop();
    let gone = rig.members[2].address().to_string();
    let (exit, output, errors) = rig.run(&["recover", "--abandon", &gone]);
    assert_eq!((exit, rig.paused()), (0, 0), "{output}{errors}");
    assert_eq!(rig.history()[0]["verdict"], "discarded");
}
