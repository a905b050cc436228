//! One daemon a catalog, and starts that fail for another reason.

use crate::rig::{LIMIT, Rig};
use crate::{LONG, SHORT};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_second_daemon_on_the_catalog_ends_with_one_error_and_touches_nothing() {
    let rig = Rig::new(1, LONG);
    let mut daemon = rig.daemon();
    let mode = std::fs::metadata(rig.path("catalog.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut window = rig.start(&["window", "shop", "-o", "json"]);
    rig.wait_until_paused(3);
    let (exit, output, errors) = rig.run(&["run"]);
    assert_eq!((exit, output.as_str()), (1, ""));
    let told: Vec<&str> = errors.lines().filter(|line| line.starts_with("stillpoint: ")).collect();
    assert_eq!(told.len(), 1, "{errors}");
    assert!(told[0].contains(&format!("is in use by process {}", daemon.id())), "{errors}");
    assert_eq!((rig.paused(), rig.unpauses()), (3, 0), "the window of the first goes on");
    assert!(rig.path("catalog.sock").exists() && daemon.is_running());
    assert_eq!(rig.run(&["unpause", "shop"]).0, 0);
    assert_eq!(window.wait(LIMIT).code(), Some(3));
}

#[test]
fn a_start_that_fails_at_its_address_opens_first_what_a_dead_daemon_left() {
    let rig = Rig::new(1, LONG);
    let mut daemon = rig.daemon();
    let _window = rig.start(&["window", "shop"]);
    rig.wait_until_paused(3);
    daemon.kill();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", rig.http)).unwrap();
    let (exit, _, errors) = rig.run(&["run"]);
    assert_eq!((exit, rig.paused()), (1, 0), "{errors}");
    assert!(errors.contains(&format!("stillpoint: listen on 127.0.0.1:{}", rig.http)), "{errors}");
    assert_eq!(rig.history()[0]["verdict"], "discarded");
}

#[test]
fn a_recovered_window_is_counted() {
    let rig = Rig::new(1, LONG);
    let mut daemon = rig.daemon();
    let _window = rig.start(&["window", "shop"]);
    rig.wait_until_paused(3);
    daemon.kill();
    rig.replace(LONG, SHORT);
    let _daemon = rig.daemon();
    rig.wait_for_verdict("discarded");
    let line = "stillpoint_windows_total{group=\"shop\",reason=\"interrupted\",verdict=\"discarded\"} 1";
    crate::support::wait_until(line, LIMIT, || crate::rig::get(rig.http, "/metrics").contains(line).then_some(()));
}
