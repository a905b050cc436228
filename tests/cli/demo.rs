//! `stillpoint demo`, as a user and as a script run it.

use super::program;
use super::rig::support::process::Process;
use rustix::process::Signal;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn start(folder: &tempfile::TempDir, arguments: &[&str]) -> Process {
    let mut command = program(arguments);
    // What the demo leaves behind is then seen.
    std::fs::create_dir(folder.path().join("tmp")).unwrap();
    command.env("TMPDIR", folder.path().join("tmp"));
    Process::start("demo", &command, &folder.path().join("demo.log"))
}

fn left(folder: &tempfile::TempDir) -> usize {
    std::fs::read_dir(folder.path().join("tmp")).unwrap().count()
}

#[test]
fn three_windows_of_the_demo_show_a_restore_point_and_one_that_is_discarded() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = start(&folder, &["demo", "--windows", "3"]);
    let status = demo.wait(LIMIT);
    let output = demo.output();
    assert_eq!(status.code(), Some(0), "{output}");
    let lines = |label: &str, text: &str| {
        output.lines().filter(|line| line.trim_start().starts_with(label) && line.contains(text)).count()
    };
    assert!(lines("verdict", "consistent") >= 1, "{output}");
    assert_eq!(lines("verdict", "discarded"), 1, "{output}");
    assert_eq!(lines("because", "reopened:"), 1, "{output}");
    assert_eq!(lines("restore point", "UTC"), lines("verdict", "consistent"), "{output}");
    assert!(lines("clients", "refused by ScalarDB") >= 1 && lines("clients", "waited at ScalarDL") >= 1, "{output}");
    assert!(output.contains("Nothing is paused."), "{output}");
    assert!(output.lines().all(|line| line.chars().count() <= 100), "{output}");
    assert_eq!(left(&folder), 0);
}

#[test]
fn ctrl_c_in_the_middle_of_a_hold_leaves_nothing_paused() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = start(&folder, &["demo"]);
    demo.wait_for_line("pause completed at", LIMIT);
    demo.signal(Signal::INT);
    assert_eq!(demo.wait(LIMIT).code(), Some(0), "{}", demo.output());
    assert!(demo.output().contains("Nothing is paused."), "{}", demo.output());
    assert!(!demo.output().contains("verdict"), "it ended in the hold: {}", demo.output());
    assert_eq!(left(&folder), 0);
}

#[test]
fn a_demo_that_is_killed_takes_its_daemon_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = start(&folder, &["demo"]);
    let line = demo.wait_for_line("config  ", LIMIT);
    let socket = std::path::Path::new(line.trim_start_matches("config").trim()).with_file_name("catalog.sock");
    let listens = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    super::rig::support::wait_until("the daemon listens", LIMIT, || listens().then_some(()));
    demo.kill();
    super::rig::support::wait_until("the daemon has ended", LIMIT, || (!listens()).then_some(()));
}
