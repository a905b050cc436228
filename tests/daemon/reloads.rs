//! A new config while the daemon runs: taken up or refused, and never in the way of a window.

use crate::rig::{LIMIT, Rig, get, now};
use crate::{LONG, SHORT, code, support};
use jiff::Timestamp;
use rustix::process::Signal;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::process::Process;

/// How long after a file was changed its config runs at the latest: two looks, and a busy machine.
const FOUND: Duration = Duration::from_secs(12);
/// A schedule whose next slot is far away.
const NEVER: &str = "0 0 0 29 2 *";

fn metric(rig: &Rig, series: &str) -> Option<f64> {
    let page = get(rig.http, "/metrics");
    page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

fn count(rig: &Rig, outcome: &str) -> f64 {
    metric(rig, &format!("stillpoint_config_reloads_total{{outcome=\"{outcome}\"}}")).unwrap()
}

fn successful(rig: &Rig) -> f64 {
    metric(rig, "stillpoint_config_last_reload_successful").unwrap()
}

fn wait_for(rig: &Rig, outcome: &str, wanted: f64) {
    support::wait_until(&format!("{wanted} are {outcome}"), LIMIT, || (count(rig, outcome) >= wanted).then_some(()));
}

/// Changes the config, tells the daemon by signal, and waits until it runs.
fn reload(rig: &Rig, daemon: &mut Process, old: &str, new: &str) {
    let before = count(rig, "applied");
    rig.replace(old, new);
    daemon.signal(Signal::HUP);
    wait_for(rig, "applied", before + 1.0);
}

/// A group of its own for the last cluster.
fn second_group(rig: &Rig) {
    rig.replace("      new: {", &format!("  other:\n    window: {SHORT}\n    clusters:\n      new: {{"));
}

/// The config without the lines of a group that is not the last one.
fn without(rig: &Rig, group: &str, next: &str) -> (String, String) {
    let text = crate::rig::read(&rig.path("config.yaml"));
    let (start, end) = (text.find(&format!("  {group}:\n")).unwrap(), text.find(&format!("  {next}:\n")).unwrap());
    (text[start..end].to_owned(), format!("{}{}", &text[..start], &text[end..]))
}

/// A command that reads a config of its own.
fn with_config(config: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
    let output = command.arg("--config").arg(config).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

fn missed(rig: &Rig) -> Vec<serde_json::Value> {
    rig.history().into_iter().filter(|row| row["verdict"] == "missed").collect()
}

#[test]
fn a_signal_takes_a_new_config_up_at_once() {
    let rig = Rig::new(1, SHORT);
    let mut daemon = rig.daemon();
    assert_eq!((count(&rig, "applied"), successful(&rig)), (0.0, 1.0));
    let hash = |rig: &Rig| {
        let page = get(rig.http, "/metrics");
        page.lines().find(|line| line.starts_with("stillpoint_config_info{")).unwrap().to_owned()
    };
    let before = hash(&rig);
    let asked = Instant::now();
    reload(&rig, &mut daemon, "hold: 2s", "hold: 3s");
    assert!(asked.elapsed() < Duration::from_secs(4), "before any look at the files: {:?}", asked.elapsed());
    daemon.wait_for_line("the new config is taken up: changed shop (window)", LIMIT);
    assert_ne!(hash(&rig), before);
    let (exit, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!(exit, 0, "{output}{errors}");
    assert!(Rig::json(&output)["quiet_seconds"].as_f64().unwrap() >= 3.0, "{output}");
    daemon.signal(Signal::HUP);
    wait_for(&rig, "unchanged", 1.0);
    assert_eq!((count(&rig, "applied"), count(&rig, "refused"), successful(&rig)), (1.0, 0.0, 1.0));
}

#[test]
fn a_changed_file_is_found_by_itself() {
    let rig = Rig::new(1, SHORT);
    let _daemon = rig.daemon();
    rig.replace("max_pause: 10s", "max_pause: 11s");
    let changed = Instant::now();
    wait_for(&rig, "applied", 1.0);
    assert!(changed.elapsed() < FOUND, "{:?}", changed.elapsed());
    let limit = "stillpoint_max_pause_seconds{group=\"shop\"}";
    support::wait_until("the new limit", LIMIT, || (metric(&rig, limit) == Some(11.0)).then_some(()));
}

#[test]
fn a_mounted_config_map_that_is_swapped_is_found_by_itself() {
    let rig = Rig::new(1, SHORT);
    let path = |name: &str| rig.path(name);
    let text = crate::rig::read(&path("config.yaml"));
    std::fs::remove_file(path("config.yaml")).unwrap();
    // As a kubelet lays a ConfigMap out.
    let lay = |folder: &str, text: &str| {
        std::fs::create_dir(path(folder)).unwrap();
        std::fs::write(path(folder).join("config.yaml"), text).unwrap();
        symlink(folder, path("..data_tmp")).unwrap();
        std::fs::rename(path("..data_tmp"), path("..data")).unwrap();
    };
    lay("..2026_11_26.1", &text);
    symlink("..data/config.yaml", path("config.yaml")).unwrap();
    let _daemon = rig.daemon();
    lay("..2026_11_26.2", &text.replace("hold: 2s", "hold: 3s"));
    std::fs::remove_dir_all(path("..2026_11_26.1")).unwrap();
    let swapped = Instant::now();
    wait_for(&rig, "applied", 1.0);
    assert!(swapped.elapsed() < FOUND, "{:?}", swapped.elapsed());
    assert_eq!(count(&rig, "refused"), 0.0);
}

#[test]
fn a_config_that_is_wrong_is_refused_and_the_old_one_goes_on() {
    let rig = Rig::new(1, SHORT);
    let mut daemon = rig.daemon();
    let good = rig.path("good.yaml");
    std::fs::copy(rig.path("config.yaml"), &good).unwrap();
    rig.replace("hold: 2s", "hold: 2");
    daemon.signal(Signal::HUP);
    let line = daemon.wait_for_line("the new config is refused, the old one goes on: ", LIMIT);
    let place = format!("{}:7:20: groups.shop.window.hold: 2 has no unit", rig.path("config.yaml").display());
    assert!(line.contains("ERROR") && line.contains(&place), "{line}");
    assert_eq!((count(&rig, "refused"), count(&rig, "applied"), successful(&rig)), (1.0, 0.0, 0.0));
    let (exit, said) = with_config(&good, &["reload"]);
    assert_eq!(exit, 2, "whoever asks for it is told: {said}");
    assert!(said.contains(&place), "{said}");
    let (exit, said) = with_config(&good, &["window", "shop"]);
    assert_eq!(exit, 0, "{said}");
    std::fs::copy(&good, rig.path("config.yaml")).unwrap();
    daemon.wait_for_line("the config that was refused was taken back", LIMIT);
    assert_eq!((count(&rig, "refused"), successful(&rig)), (2.0, 1.0));
}

#[test]
fn a_wrong_config_that_nobody_points_at_is_found_and_told_once() {
    let rig = Rig::new(1, SHORT);
    let mut daemon = rig.daemon();
    rig.replace("drain: 2s", "drain: two");
    daemon.wait_for_line("the new config is refused", LIMIT);
    let told = Instant::now();
    support::wait_until("two more looks", LIMIT, || (told.elapsed() > Duration::from_secs(11)).then_some(()));
    assert_eq!((count(&rig, "refused"), successful(&rig)), (1.0, 0.0));
}

#[test]
fn a_file_that_is_still_being_written_is_neither_taken_up_nor_refused() {
    let rig = Rig::new(1, SHORT);
    let _daemon = rig.daemon();
    let text = crate::rig::read(&rig.path("config.yaml"));
    let begun = Instant::now();
    let mut number = 0;
    support::wait_until("several looks at it", LIMIT, || {
        // Sometimes wrong, and sometimes right but not whole.
        let end = text.len() - if number % 2 == 0 { 40 } else { 0 };
        std::fs::write(rig.path("config.yaml"), format!("# draft {number}\n{}", &text[..end])).unwrap();
        number += 1;
        (begun.elapsed() > Duration::from_secs(11)).then_some(())
    });
    assert_eq!((count(&rig, "refused"), count(&rig, "applied"), count(&rig, "unchanged")), (0.0, 0.0, 0.0));
    std::fs::write(rig.path("config.yaml"), text.replace("hold: 2s", "hold: 3s")).unwrap();
    wait_for(&rig, "applied", 1.0);
    assert_eq!(count(&rig, "refused"), 0.0);
}

#[test]
fn reload_says_what_changed() {
    let rig = Rig::new(1, SHORT);
    let (exit, _, errors) = rig.run(&["reload"]);
    assert_eq!(exit, 1, "{errors}");
    assert!(errors.contains("no daemon runs at "), "{errors}");
    let _daemon = rig.daemon();
    assert_eq!(rig.run(&["reload"]), (0, "nothing changed\n".into(), String::new()));
    second_group(&rig);
    assert_eq!(rig.run(&["reload"]), (0, "added other; changed shop (clusters)\n".into(), String::new()));
    let (_, text) = without(&rig, "shop", "other");
    std::fs::write(rig.path("config.yaml"), text).unwrap();
    let (exit, output, _) = rig.run(&["reload", "-o", "json"]);
    let told = Rig::json(&output);
    assert_eq!((exit, &told["outcome"], &told["removed"]), (0, &"applied".into(), &serde_json::json!(["shop"])));
}

#[test]
fn what_takes_a_restart_is_refused_by_its_key() {
    let rig = Rig::new(1, SHORT);
    let _daemon = rig.daemon();
    rig.replace(&format!("http: 127.0.0.1:{}", rig.http), "http: 127.0.0.1:1");
    let (exit, _, errors) = rig.run(&["reload"]);
    assert_eq!(exit, 2, "{errors}");
    let sentence = "config.yaml:3:9: daemon.http: 127.0.0.1:1 is not what the running daemon has, and takes a restart";
    assert!(errors.contains(sentence), "{errors}");
    assert_eq!((count(&rig, "refused"), successful(&rig)), (1.0, 0.0));
}

#[test]
fn a_window_keeps_the_hold_that_it_began_with() {
    let rig = Rig::new(1, &LONG.replace("hold: 20s", "hold: 7s"));
    let mut daemon = rig.daemon();
    let mut window = rig.start(&["window", "shop", "-o", "json"]);
    rig.wait_until_paused(3);
    reload(&rig, &mut daemon, "hold: 7s, drain: 2s, max_pause: 30s", "hold: 2s, drain: 2s, max_pause: 10s");
    assert_eq!(rig.paused(), 3, "the hold goes on");
    assert_eq!(window.wait(LIMIT).code(), Some(0), "{}", window.tail());
    let quiet = |output: &str| Rig::json(output)["quiet_seconds"].as_f64().unwrap();
    assert!(quiet(&window.output()) >= 7.0, "{}", window.output());
    let (exit, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert_eq!(exit, 0, "{errors}");
    assert!((2.0..6.0).contains(&quiet(&output)), "the next one goes by the new config: {output}");
}

#[test]
fn a_group_that_leaves_the_config_in_its_window_ends_it_well_and_its_series_vanish() {
    let rig = Rig::new(1, &LONG.replace("hold: 20s", "hold: 6s"));
    second_group(&rig);
    let mut daemon = rig.daemon();
    let mut window = rig.start(&["window", "shop", "-o", "json"]);
    rig.wait_until_paused(2);
    let (lines, _) = without(&rig, "shop", "other");
    reload(&rig, &mut daemon, &lines, "");
    let running = "stillpoint_window_running{group=\"shop\"}";
    assert_eq!((rig.paused(), metric(&rig, running)), (2, Some(1.0)), "what runs is still told");
    assert_eq!(window.wait(LIMIT).code(), Some(0), "{}", window.tail());
    assert_eq!(Rig::json(&window.output())["verdict"], "consistent");
    assert_eq!(rig.paused(), 0);
    support::wait_until("its series vanish", LIMIT, || {
        (!get(rig.http, "/metrics").contains("group=\"shop\"")).then_some(())
    });
    assert!(get(rig.http, "/metrics").contains("stillpoint_members{group=\"other\""), "the other group's are there");
    reload(&rig, &mut daemon, "  other:\n", &format!("{lines}  other:\n"));
    support::wait_until("they are back, with what the catalog says", LIMIT, || {
        let windows = "stillpoint_windows_total{group=\"shop\",reason=\"\",verdict=\"consistent\"}";
        (metric(&rig, windows) == Some(1.0)).then_some(())
    });
}

#[test]
fn a_group_that_comes_gets_its_schedule_and_one_that_goes_loses_it() {
    let rig = Rig::new(1, SHORT);
    let mut daemon = rig.daemon();
    let group =
        format!("  other:\n    window: {SHORT}\n    schedule: {{cron: \"*/4 * * * * *\", lead: 1s}}\n    clusters:\n");
    reload(&rig, &mut daemon, "      new: {", &format!("{group}      new: {{"));
    let of = |group: &str| rig.history().iter().filter(|row| row["group"] == group).count();
    support::wait_until("two windows by its schedule", LIMIT, || (of("other") >= 2).then_some(()));
    assert!(metric(&rig, "stillpoint_next_slot_timestamp_seconds{group=\"other\"}").is_some());
    let text = crate::rig::read(&rig.path("config.yaml"));
    let end = text.find("  other:\n").unwrap();
    std::fs::write(rig.path("config.yaml"), &text[..end]).unwrap();
    daemon.signal(Signal::HUP);
    support::wait_until("its series vanish", LIMIT, || {
        (!get(rig.http, "/metrics").contains("group=\"other\"")).then_some(())
    });
    let (windows, since) = (of("other"), Instant::now());
    support::wait_until("a slot passes", LIMIT, || (since.elapsed() > Duration::from_secs(5)).then_some(()));
    assert_eq!((of("other"), rig.paused(), of("shop")), (windows, 0, 0));
}

#[test]
fn a_slot_that_the_new_schedule_does_not_have_was_not_missed_nor_one_from_before_it() {
    let often = "*/5 * * * * *";
    let rig = Rig::with(1, SHORT, &format!("    schedule: {{cron: \"{often}\", lead: 1s}}\n"));
    let mut daemon = rig.daemon();
    rig.wait_for_verdict("consistent");
    reload(&rig, &mut daemon, often, NEVER);
    let (since, from) = (Instant::now(), now());
    support::wait_until("slots pass", LIMIT, || (since.elapsed() > Duration::from_secs(11)).then_some(()));
    let windows = rig.history().len();
    daemon.stop();
    let mut daemon = rig.daemon();
    let until = now();
    reload(&rig, &mut daemon, NEVER, often);
    support::wait_until("windows again", LIMIT, || (rig.history().len() > windows).then_some(()));
    daemon.stop();
    let _daemon = rig.daemon();
    // One that passes while no daemon runs is, of course.
    let other = |row: &serde_json::Value| {
        let slot: Timestamp = row["slot"].as_str().unwrap().parse().unwrap();
        (from..until).contains(&slot)
    };
    assert!(!missed(&rig).iter().any(other), "from {from} until {until}: {:?}", missed(&rig));
}

#[test]
fn a_slot_that_is_refused_is_tried_again_by_the_config_that_was_mended() {
    let rig = Rig::with(1, SHORT, "    schedule: {cron: \"*/20 * * * * *\", lead: 1s, refused_retry: 1s}\n");
    let address = rig.members[0].address().to_string();
    rig.replace(&address, "127.0.0.1:1");
    let mut daemon = rig.daemon();
    rig.wait_for_verdict("refused");
    reload(&rig, &mut daemon, "127.0.0.1:1\"", &format!("{address}\""));
    rig.wait_for_verdict("consistent");
    let history = rig.history();
    let slot = |verdict: &str| history.iter().find(|row| row["verdict"] == verdict).unwrap()["slot"].clone();
    assert_eq!(slot("consistent"), slot("refused"), "{history:?}");
}

#[test]
fn killed_while_it_reloads_the_next_daemon_goes_by_the_new_config() {
    let (often, never) = ("cron: \"*/6 * * * * *\"", format!("cron: \"{NEVER}\""));
    let rig = Rig::with(1, SHORT, &format!("    schedule: {{{never}, lead: 1s}}\n"));
    let mut daemon = rig.daemon();
    for pause in [0, 1, 3, 6, 12, 25, 50] {
        let (from, to) = if pause % 2 == 0 { (&never[..], often) } else { (often, &never[..]) };
        if crate::rig::read(&rig.path("config.yaml")).contains(from) {
            rig.replace(from, to);
        }
        daemon.signal(Signal::HUP);
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_millis(pause) {
            std::hint::spin_loop();
        }
        daemon.kill();
        daemon = rig.daemon();
    }
    if crate::rig::read(&rig.path("config.yaml")).contains(&never) {
        reload(&rig, &mut daemon, &never, often);
    }
    rig.wait_for_verdict("consistent");
    rig.wait_until_paused(0);
    assert_eq!((count(&rig, "refused"), successful(&rig)), (0.0, 1.0));
    assert!(missed(&rig).iter().all(|row| code(row) == "not_running"), "{:?}", missed(&rig));
}
