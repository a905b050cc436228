//! The Prometheus rules: tested by Prometheus's own promtool, their tests tested by breaking every rule, and all of it
//! by a real Prometheus beside a real daemon.

mod broken;
mod mutants;
mod prometheus;
#[allow(dead_code, reason = "the daemon's own tests use more of it")]
#[path = "../daemon/receiver.rs"]
mod receiver;
#[allow(dead_code, reason = "the daemon's own tests use more of it")]
#[path = "../daemon/rig.rs"]
mod rig;
mod rules;
mod scrape;

use rules::{DASHBOARDS, fixtures, is_alert, name, passes, promtool, rules_file, said};
use std::collections::BTreeSet;
use std::path::Path;

const SETTLED: [&str; 4] =
    ["StillpointWindowFailed", "StillpointNoConsistentWindow", "StillpointMemberLeftPaused", "StillpointDown"];

#[test]
fn promtool_accepts_the_rules_and_they_hold_in_every_fixture() {
    let check = promtool(&["check", "rules", "--lint-fatal"], &[rules_file()]);
    assert!(passes(&check), "{}", said(&check));
    let files = fixtures();
    assert!(files.len() >= 5, "fixtures are missing: {files:?}");
    std::thread::scope(|scope| {
        for file in files {
            scope.spawn(move || {
                let test = promtool(&["test", "rules"], &[file]);
                assert!(passes(&test), "{}", said(&test));
            });
        }
    });
}

#[test]
fn every_alert_says_how_bad_what_and_where_to_read_on() {
    let runbook = std::fs::read_to_string(Path::new(DASHBOARDS).join("runbook.md")).expect("the runbook");
    let alerts: Vec<_> = rules::rules().into_iter().filter(is_alert).collect();
    for settled in SETTLED {
        assert!(alerts.iter().any(|alert| name(alert) == settled), "no alert {settled}");
    }
    for alert in &alerts {
        let alert_name = name(alert);
        let severity = alert["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("warning" | "critical")), "{alert_name}: {severity:?}");
        for annotation in ["summary", "description"] {
            assert!(alert["annotations"][annotation].as_str().is_some_and(|text| text.len() > 20), "{alert_name}");
        }
        let link = format!("dashboards/runbook.md#{}", alert_name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"].as_str(), Some(link.as_str()));
        let (_, section) = runbook.split_once(&format!("\n## {alert_name}\n")).expect(&alert_name);
        let section = section.split("\n## ").next().expect("a section");
        for part in ["**What it means.**", "**What to look at.**", "**What to do.**"] {
            assert!(section.contains(part), "{alert_name}: the runbook lacks {part}");
        }
    }
    let sections: Vec<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let names: Vec<String> = alerts.iter().map(name).collect();
    assert!(sections.iter().all(|section| names.iter().any(|name| name == section)), "a section without its alert");
}

/// Whatever an alert is about, it says something definite when nothing ran: by itself, or because another fires.
#[test]
fn every_alert_has_a_fixture_in_which_nothing_ran() {
    let mut spoken_of = BTreeSet::new();
    for file in fixtures() {
        for test in rules::read(&file)["tests"].as_sequence().expect("tests") {
            if test["name"].as_str().is_some_and(|name| name.contains("nothing ran")) {
                spoken_of.extend(alerts_in(test));
            }
        }
    }
    let missing: Vec<String> = rules::rules().iter().filter(|rule| is_alert(rule)).map(name).collect();
    let missing: Vec<String> = missing.into_iter().filter(|alert| !spoken_of.contains(alert)).collect();
    assert!(missing.is_empty(), "no fixture named “nothing ran …” speaks of {missing:?}");
}

fn alerts_in(test: &serde_yaml::Value) -> Vec<String> {
    let text = serde_yaml::to_string(test).expect("YAML");
    let words = text.split(|character: char| !character.is_ascii_alphanumeric());
    words.filter(|word| word.starts_with("Stillpoint")).map(str::to_owned).collect()
}

#[test]
fn the_rules_and_fixtures_speak_only_of_metrics_that_exist() {
    let known: BTreeSet<&str> = stillpoint::observe::described::describe().iter().map(|metric| metric.name).collect();
    let mut files = fixtures();
    files.push(rules_file());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file");
        let code = text.lines().map(|line| line.split(" #").next().unwrap_or_default());
        for word in code.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')) {
            if word.starts_with("stillpoint_") {
                assert!(known.contains(word), "{}: no metric {word}", file.display());
            }
        }
    }
}
