//! Slots: on time, once, never over each other, and missed ones are told.

use crate::rig::{LIMIT, Rig, get, now};
use crate::{SHORT, code, support};
use jiff::Timestamp;
use rustix::process::Signal;
use std::time::{Duration, Instant, SystemTime};
use stillpoint::sim::Request;

/// Once a minute, that many seconds from now.
fn in_seconds(seconds: i64) -> (String, Timestamp) {
    let slot = Timestamp::from_second(now().as_second() + seconds).unwrap();
    (format!("{} * * * * *", slot.as_second().rem_euclid(60)), slot)
}

fn scheduled(cron: &str, more: &str) -> Rig {
    Rig::with(1, SHORT, &format!("    schedule: {{cron: \"{cron}\", {more}}}\n"))
}

/// Rows of windows that the schedule began or missed for the slot, oldest first.
fn of_slot(rig: &Rig, slot: Timestamp) -> Vec<serde_json::Value> {
    let is =
        |row: &serde_json::Value| row["slot"].as_str().is_some_and(|text| text.parse::<Timestamp>().unwrap() == slot);
    rig.history().into_iter().rev().filter(is).collect()
}

fn verdicts(rows: &[serde_json::Value]) -> Vec<&str> {
    rows.iter().map(|row| row["verdict"].as_str().unwrap_or("open")).collect()
}

#[test]
fn slots_of_six_fields_fire_and_the_slot_is_the_pause() {
    let rig = scheduled("*/6 * * * * *", "lead: 3s, starting_deadline: 1m");
    let _daemon = rig.daemon();
    support::wait_until("two windows", LIMIT, || {
        (verdicts(&rig.history()).iter().filter(|verdict| **verdict == "consistent").count() >= 2).then_some(())
    });
    let (instant, wall) = (Instant::now(), SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let calls = rig.members[0].calls();
    let pauses = calls.iter().filter(|call| matches!(call.request, Request::Pause { .. }));
    let late: Vec<f64> = pauses.map(|call| (wall - (instant - call.at)).as_secs_f64().rem_euclid(6.0)).collect();
    assert!(late.len() >= 2 && late.iter().all(|late| *late < 1.0), "{late:?}");
    assert!(late.iter().any(|late| *late <= 0.1), "the pause came {late:?} s after its slots");
    let metrics = get(rig.http, "/metrics");
    assert!(metrics.contains("stillpoint_next_slot_timestamp_seconds{group=\"shop\"}"), "{metrics}");
}

#[test]
fn a_slot_waits_for_a_pause_by_hand_and_never_overlaps_it() {
    let (cron, slot) = in_seconds(7);
    let rig = scheduled(&cron, "lead: 1s, starting_deadline: 50s, refused_retry: 500ms");
    let _daemon = rig.daemon();
    assert_eq!(rig.run(&["pause", "shop", "--limit", "9s"]).0, 0);
    support::wait_until("the slot's window", LIMIT, || {
        (verdicts(&of_slot(&rig, slot)) == ["consistent"]).then_some(())
    });
    let history = rig.history();
    assert_eq!(verdicts(&history), ["consistent", "consistent"]);
    let instant = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(instant(&history[0], "pause_completed") > instant(&history[1], "unpause_started"));
}

#[test]
fn a_slot_that_finds_no_room_until_its_deadline_is_missed() {
    let (cron, slot) = in_seconds(6);
    let rig = scheduled(&cron, "lead: 1s, starting_deadline: 2s, refused_retry: 500ms");
    let _daemon = rig.daemon();
    assert_eq!(rig.run(&["pause", "shop", "--limit", "1m"]).0, 0);
    let rows = support::wait_until("the slot is missed", LIMIT, || {
        Some(of_slot(&rig, slot)).filter(|rows| verdicts(rows) == ["missed"])
    });
    assert_eq!(code(&rows[0]), "busy");
    assert_eq!(rig.run(&["unpause", "shop"]).0, 0);
}

#[test]
fn slots_that_pass_while_no_daemon_runs_are_recorded_as_missed() {
    let rig = scheduled("*/5 * * * * *", "lead: 500ms, starting_deadline: 1m");
    let mut daemon = rig.daemon();
    rig.wait_for_verdict("consistent");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(LIMIT).code(), Some(0));
    let stopped = now();
    support::wait_until("slots pass", LIMIT, || (now() > stopped + Duration::from_secs(11)).then_some(()));
    let _daemon = rig.daemon();
    let missed = support::wait_until("the missed slots", LIMIT, || {
        let rows: Vec<_> = rig.history().into_iter().filter(|row| row["verdict"] == "missed").collect();
        Some(rows).filter(|rows| rows.len() >= 2)
    });
    assert!(missed.iter().all(|row| code(row) == "not_running"), "{missed:?}");
    let line = format!("stillpoint_slots_missed_total{{group=\"shop\"}} {}", missed.len());
    support::wait_until(&line, LIMIT, || get(rig.http, "/metrics").contains(&line).then_some(()));
}

#[test]
fn a_refused_window_is_tried_again_until_it_can_be_had() {
    let (cron, slot) = in_seconds(5);
    let rig = scheduled(&cron, "lead: 1s, starting_deadline: 50s, refused_retry: 1s");
    rig.pause_as_someone_else(0);
    let _daemon = rig.daemon();
    support::wait_until("two refused windows", LIMIT, || {
        verdicts(&of_slot(&rig, slot)).starts_with(&["refused", "refused"]).then_some(())
    });
    assert_eq!(rig.unpauses(), 0);
    rig.unpause_as_someone_else(0);
    let rows = support::wait_until("a consistent one", LIMIT, || {
        Some(of_slot(&rig, slot)).filter(|rows| verdicts(rows).last() == Some(&"consistent"))
    });
    assert_eq!(verdicts(&rows).iter().filter(|verdict| **verdict == "consistent").count(), 1);
}

#[test]
fn a_discarded_window_is_tried_as_often_as_configured_and_the_slot_never_runs_again() {
    let (cron, slot) = in_seconds(5);
    let more = "lead: 1s, starting_deadline: 50s, attempts: 2, retry_delay: 500ms";
    let rig = Rig::with(1, SHORT, &format!("    schedule: {{cron: \"{cron}\", {more}}}\n"));
    let guard = rig.enter();
    let _transaction = rig.members[0].begin_transaction().unwrap();
    drop(guard);
    let mut daemon = rig.daemon();
    daemon.wait_for_line("is given up after 2 discarded windows", LIMIT);
    daemon.kill();
    let mut daemon = rig.daemon();
    support::wait_until("a sweep of the next daemon", LIMIT, || (rig.history().len() == 2).then_some(()));
    daemon.stop();
    let rows = of_slot(&rig, slot);
    assert_eq!(verdicts(&rows), ["discarded", "discarded"]);
    assert!(rows.iter().all(|row| code(row) == "drain_timeout"), "{rows:?}");
}

#[test]
fn a_daemon_that_dies_between_taking_a_slot_and_its_window_runs_it_once_after_its_start() {
    let (cron, slot) = in_seconds(9);
    let rig = scheduled(&cron, "lead: 7s, starting_deadline: 50s");
    let mut daemon = rig.daemon();
    support::wait_until("the preflight", LIMIT, || (!rig.members[2].calls().is_empty()).then_some(()));
    support::wait_until("the lead", LIMIT, || (now() > slot - Duration::from_secs(5)).then_some(()));
    daemon.kill();
    assert_eq!(rig.pauses(), 0);
    let _daemon = rig.daemon();
    support::wait_until("the slot's window", LIMIT, || {
        (verdicts(&of_slot(&rig, slot)) == ["consistent"]).then_some(())
    });
    assert_eq!(rig.pauses(), 3);
}

#[test]
fn the_newest_slot_that_passed_without_a_daemon_is_caught_up_once() {
    let schedule = "    schedule: {cron: \"*/20 * * * * *\", lead: 500ms, starting_deadline: 1m, catch_up: true}\n";
    let rig = Rig::with(1, "{hold: 2s, drain: 1s, max_pause: 4s}", schedule);
    let mut daemon = rig.daemon();
    rig.wait_for_verdict("consistent");
    daemon.stop();
    let newest = || Timestamp::from_second(now().as_second() / 20 * 20).unwrap();
    let last = newest();
    // Two slots pass, and the next one is not near.
    support::wait_until("slots pass", LIMIT * 2, || {
        (newest() > last + Duration::from_secs(20) && now() < newest() + Duration::from_secs(3)).then_some(())
    });
    let (begun, late) = (now(), newest());
    let _daemon = rig.daemon();
    let rows = support::wait_until("the late window", LIMIT, || {
        Some(of_slot(&rig, late)).filter(|rows| verdicts(rows) == ["consistent"])
    });
    assert!(rows[0]["started"].as_str().unwrap().parse::<Timestamp>().unwrap() >= begun, "{rows:?}");
    assert_eq!(verdicts(&of_slot(&rig, late - Duration::from_secs(20))), ["missed"]);
}

#[test]
fn blackouts_and_suspension_skip_slots_and_the_budget_counts_what_was_closed() {
    let until = Timestamp::from_second((now().as_second() / 6 + 3) * 6).unwrap();
    let more = format!("lead: 1s, starting_deadline: 1m, blackouts: [{{from: 2020-01-01, until: \"{until}\"}}]");
    let rig =
        Rig::with(1, SHORT, &format!("    closed_budget: 5m\n    schedule: {{cron: \"*/6 * * * * *\", {more}}}\n"));
    let mut daemon = rig.daemon();
    support::wait_until("a window", LIMIT, || verdicts(&rig.history()).contains(&"consistent").then_some(()));
    let rows = rig.history();
    let skipped: Vec<_> = rows.iter().filter(|row| row["verdict"] == "skipped").collect();
    assert!(!skipped.is_empty() && skipped.iter().all(|row| code(row) == "blackout"), "{rows:?}");
    assert_eq!(verdicts(&of_slot(&rig, until)), ["consistent"], "its end is outside");
    daemon.stop();
    rig.replace("lead: 1s", "suspend: true, lead: 1s");
    let closed: f64 = rig.history().iter().filter_map(|row| row["closed_seconds"].as_f64()).sum();
    let _daemon = rig.daemon();
    support::wait_until("a suspended slot", LIMIT, || {
        rig.history().iter().any(|row| row["verdict"] == "skipped" && code(row) == "suspended").then_some(())
    });
    let metrics = get(rig.http, "/metrics");
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name}{{group=\"shop\"}} ")));
        line.unwrap_or_else(|| panic!("{name} in {metrics}")).parse::<f64>().unwrap()
    };
    assert!((value("stillpoint_closed_seconds_total") - closed).abs() < 0.01, "{closed} in {metrics}");
    // A month may have begun meanwhile.
    assert!(value("stillpoint_closed_month_seconds") <= closed + 0.01);
    assert!((value("stillpoint_closed_budget_seconds") - 300.0).abs() < 0.01);
    assert_eq!(value("stillpoint_slots_missed_total").to_string(), "0");
    assert!(!metrics.contains("verdict=\"skipped\""), "{metrics}");
    assert!(!metrics.contains("stillpoint_next_slot_timestamp_seconds{"), "{metrics}");
}
