//! The daemon's wall clock is stepped while it runs, and the monotonic one just goes on.

use crate::rig::{LIMIT, Rig, get, now};
use crate::{LONG, code, support};
use jiff::Timestamp;
use std::time::Duration;

/// A daemon with slots each minute, and its clock in hand.
struct Life {
    rig: Rig,
    ahead: i64,
    /// The drain in the config: another one makes the daemon look at its clock.
    drain: u32,
}

impl Life {
    /// The first slot comes that many seconds from now; it is answered with.
    fn new(seconds: i64, more: &str) -> (Self, Timestamp) {
        let slot = Timestamp::from_second(now().as_second() + seconds).unwrap();
        let schedule = format!(
            "    schedule: {{cron: \"{} * * * * *\", lead: 500ms, starting_deadline: 50s{more}}}\n",
            slot.as_second().rem_euclid(60)
        );
        let rig = Rig::with(1, "{hold: 2s, drain: 3000ms, max_pause: 10s}", &schedule).with_a_clock();
        (Self { rig, ahead: 0, drain: 3_000 }, slot)
    }

    /// Steps the daemon's clock to so many seconds after a slot. A new config wakes it, as half a minute does.
    fn step(&mut self, slot: Timestamp, after: i64) {
        self.ahead = slot.as_second() + after - now().as_second();
        self.rig.step(self.ahead);
        let (old, new) = (self.drain, self.drain + 1);
        self.rig.replace(&format!("drain: {old}ms"), &format!("drain: {new}ms"));
        self.drain = new;
        let (code, output, errors) = self.rig.run(&["reload"]);
        assert_eq!(code, 0, "{output}{errors}");
    }

    /// Waits until this is the slot that the daemon waits for.
    fn wait_for_plan(&self, slot: Timestamp) {
        let line = format!("stillpoint_next_slot_timestamp_seconds{{group=\"shop\"}} {}\n", slot.as_second());
        support::wait_until(&line, LIMIT, || get(self.rig.http, "/metrics").contains(&line).then_some(()));
    }

    fn missed_in_all(&self) -> String {
        let page = get(self.rig.http, "/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix("stillpoint_slots_missed_total{group=\"shop\"} "));
        line.unwrap_or_default().to_owned()
    }

    /// What became of the minutes from a slot on: their rows in the history.
    fn minutes(&self, slot: Timestamp, count: i64) -> Vec<Vec<String>> {
        let rows = self.rig.history();
        let of = |minute: i64| {
            let at = (slot + Duration::from_secs(60) * u32::try_from(minute).unwrap()).to_string();
            let rows = rows.iter().rev().filter(|row| row["slot"] == at.as_str());
            rows.map(|row| row["verdict"].as_str().unwrap_or("open").to_owned()).collect()
        };
        (0..count).map(of).collect()
    }

    fn wait_for_minutes(&self, slot: Timestamp, wanted: &[&[&str]]) {
        support::wait_until(&format!("{wanted:?}"), LIMIT, || {
            (self.minutes(slot, i64::try_from(wanted.len()).unwrap()) == wanted).then_some(())
        });
    }
}

#[test]
fn no_slot_runs_twice_when_the_clock_goes_back_over_it_and_those_it_jumps_over_are_missed_once() {
    let (mut life, slot) = Life::new(4, "");
    let minute = |number: u32| slot + Duration::from_secs(60) * number;
    let _daemon = life.rig.daemon();
    life.wait_for_minutes(slot, &[&["consistent"]]);
    life.wait_for_plan(minute(1));
    // Back over the slot that ran: it is waited for again, and its instant comes again.
    life.step(slot, -10);
    life.wait_for_plan(slot);
    life.step(slot, -1);
    life.wait_for_plan(minute(1));
    assert_eq!((life.minutes(slot, 1), life.rig.pauses()), (vec![vec!["consistent".to_owned()]], 3));
    // Past three slots, and past them once more.
    life.step(slot, 190);
    let jumped: &[&[&str]] = &[&["consistent"], &["missed"], &["missed"], &["missed"], &[]];
    life.wait_for_minutes(slot, jumped);
    life.wait_for_plan(minute(4));
    let rows = life.rig.history();
    assert!(rows.iter().filter(|row| row["verdict"] == "missed").all(|row| code(row) == "slept"), "{rows:?}");
    assert_eq!(life.missed_in_all(), "3");
    // Back to before the last of them: the clock that jumped was wrong, and the slot is still to come. Its window begins
    // before it.
    life.step(minute(3), -10);
    life.wait_for_plan(minute(3));
    life.step(minute(3), -1);
    let again: &[&[&str]] = &[&["consistent"], &["missed"], &["missed"], &["consistent", "missed"], &[]];
    life.wait_for_minutes(slot, again);
    assert_eq!((life.missed_in_all().as_str(), life.rig.pauses()), ("3", 6));
}

#[test]
fn the_newest_slot_that_the_clock_jumped_over_is_caught_up_once() {
    let (mut life, slot) = Life::new(60, ", catch_up: true");
    let _daemon = life.rig.daemon();
    life.wait_for_plan(slot);
    life.step(slot, 70);
    let caught_up: &[&[&str]] = &[&["missed"], &["consistent"], &[]];
    life.wait_for_minutes(slot, caught_up);
    // Back over it, and past it again.
    life.step(slot, 50);
    life.wait_for_plan(slot + Duration::from_secs(60));
    life.step(slot, 80);
    life.wait_for_plan(slot + Duration::from_secs(120));
    life.wait_for_minutes(slot, caught_up);
    assert_eq!((life.missed_in_all().as_str(), life.rig.pauses()), ("1", 3));
}

#[test]
fn a_clock_that_steps_in_the_hold_voids_the_window_and_everything_is_open() {
    for ahead in [3, -3] {
        let rig = Rig::new(1, LONG).with_a_clock();
        let _daemon = rig.daemon();
        let mut window = rig.start(&["window", "shop", "-o", "json"]);
        rig.wait_until_recorded();
        rig.step(ahead);
        assert_eq!(window.wait(LIMIT).code(), Some(3), "{}", window.tail());
        let report = Rig::json(&window.output());
        assert_eq!((report["verdict"].as_str(), code(&report).as_str()), (Some("discarded"), "clock_step"), "{report}");
        assert_eq!((rig.paused(), report["restore_point"].is_null()), (0, true), "{report}");
    }
}

#[test]
fn after_a_restart_with_another_schedule_only_the_slot_that_was_planned_was_missed() {
    let (life, slot) = Life::new(60, "");
    let mut daemon = life.rig.daemon();
    life.wait_for_plan(slot);
    daemon.stop();
    // It has the other one's slots, and as many between them.
    life.rig.replace(" * * * * *\"", &format!(",{} * * * * *\"", (slot.as_second() + 30).rem_euclid(60)));
    life.rig.step(190);
    let _daemon = life.rig.daemon();
    life.wait_for_minutes(slot, &[&["missed"]]);
    let rows = life.rig.history();
    let missed: Vec<_> = rows.iter().filter(|row| row["verdict"] == "missed").map(|row| row["slot"].as_str()).collect();
    assert_eq!(missed, [Some(slot.to_string().as_str())], "{rows:?}");
}
