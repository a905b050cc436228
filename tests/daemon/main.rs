//! The real program against stand-in members that keep the measured rules.

#[path = "../support/authority.rs"]
mod authority;
mod disks;
mod foreign;
mod hand;
mod history;
mod limits;
mod names;
mod notify;
mod receiver;
mod reloads;
mod replicas;
mod rig;
mod schedules;
mod second;
mod signals;
mod stages;
mod tls;

use rig::{LIMIT, Rig, get, support};
use rustix::process::Signal;

const SHORT: &str = "{hold: 2s, drain: 2s, max_pause: 10s}";
const LONG: &str = "{hold: 20s, drain: 2s, max_pause: 30s}";

#[test]
fn a_window_alone_is_consistent_and_told_as_settled() {
    let rig = Rig::new(2, SHORT);
    let (code, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!(code, 0, "{output}{errors}");
    let report = Rig::json(&output);
    assert_eq!(report["verdict"], "consistent");
    assert_eq!(report["reasons"], serde_json::json!([]));
    assert_eq!(report["evidence"], "address");
    assert_eq!(report["members"].as_array().unwrap().len(), 6);
    assert!(report["quiet_seconds"].as_f64().unwrap() >= 2.0);
    assert!(report["closed_seconds"].as_f64().unwrap() >= report["quiet_seconds"].as_f64().unwrap());
    let instant = |name: &str| report[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let point = instant("restore_point");
    assert_eq!(point.subsec_nanosecond(), 0);
    assert!(
        instant("pause_completed") <= point && point + std::time::Duration::from_secs(1) <= instant("unpause_started")
    );
    assert_eq!(rig.paused(), 0);
}

#[test]
fn a_window_through_the_daemon_is_counted_and_remembered() {
    let rig = Rig::new(1, SHORT);
    let mut daemon = rig.daemon();
    let (code, output, _) = rig.run(&["window", "shop"]);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("pause completed at ") && output.contains("unpause started at "), "{output}");
    let metrics = get(rig.http, "/metrics");
    assert!(
        metrics.contains("stillpoint_windows_total{group=\"shop\",reason=\"\",verdict=\"consistent\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("stillpoint_members_paused{group=\"shop\",scalar_cluster=\"orders\"} 0"), "{metrics}");
    assert!(get(rig.http, "/readyz").starts_with("HTTP/1.1 200"));
    let (code, output, _) = rig.run(&["points", "-o", "json"]);
    assert_eq!((code, Rig::json(&output).as_array().unwrap().len()), (0, 1));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(LIMIT).code(), Some(0), "{}", daemon.tail());
}

#[test]
fn sigkill_in_the_hold_is_opened_by_the_next_start() {
    let rig = Rig::new(2, LONG);
    let mut daemon = rig.daemon();
    let _window = rig.start(&["window", "shop"]);
    rig.wait_until_paused(6);
    daemon.kill();
    assert_eq!(rig.paused(), 6);
    let _daemon = rig.daemon();
    rig.wait_until_paused(0);
    let history = || Rig::json(&rig.run(&["history", "-o", "json"]).1);
    let verdict = support::wait_until("the verdict", LIMIT, || history()[0]["verdict"].as_str().map(str::to_owned));
    assert_eq!(verdict, "discarded");
    assert_eq!(history()[0]["reasons"][0]["code"], "interrupted");
}

#[test]
fn sigterm_in_the_hold_opens_everything_before_the_end() {
    let rig = Rig::new(2, LONG);
    let mut daemon = rig.daemon();
    let mut window = rig.start(&["window", "shop", "-o", "json"]);
    rig.wait_until_paused(6);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(LIMIT).code(), Some(0), "{}", daemon.tail());
    assert_eq!(rig.paused(), 0);
    assert_eq!(window.wait(LIMIT).code(), Some(3), "{}", window.tail());
    assert_eq!(Rig::json(&window.output())["reasons"][0]["code"], "shutdown");
}

/// The first reason's code of a report or a row of the history.
fn code(report: &serde_json::Value) -> String {
    report["reasons"][0]["code"].as_str().unwrap_or_default().to_owned()
}
