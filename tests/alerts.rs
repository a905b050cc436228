//! The Prometheus rules, tested by Prometheus's own promtool, and the tests tested by breaking every rule.

use serde_yaml::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DASHBOARDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards");
const SETTLED: [&str; 4] =
    ["StillpointWindowFailed", "StillpointNoConsistentWindow", "StillpointMemberLeftPaused", "StillpointDown"];

fn promtool(arguments: &[&str], files: &[PathBuf]) -> Output {
    let run = Command::new("promtool").args(arguments).args(files).output();
    run.expect("promtool is missing: run tests/setup.sh (Debian's package prometheus)")
}

fn passes(output: &Output) -> bool {
    output.status.success()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn rules_file() -> PathBuf {
    Path::new(DASHBOARDS).join("stillpoint.rules.yaml")
}

fn rules() -> Value {
    let text = std::fs::read_to_string(rules_file()).expect("the rules");
    serde_yaml::from_str(&text).expect("YAML")
}

fn alerts(rules: &Value) -> Vec<Value> {
    let groups = rules["groups"].as_sequence().expect("groups");
    let all = groups.iter().flat_map(|group| group["rules"].as_sequence().expect("rules"));
    all.filter(|rule| rule.get("alert").is_some()).cloned().collect()
}

fn name(alert: &Value) -> String {
    alert["alert"].as_str().expect("a name").to_owned()
}

/// The fixtures under `dashboards`; the long healthy one last, since most mistakes show before it.
fn fixtures(dashboards: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dashboards.join("tests")).expect("fixtures");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort_by_key(|file| (file.ends_with("healthy.yaml"), file.clone()));
    files
}

/// Whether some fixture fails with `change` applied to the rule, an alert or a record, of that name.
fn a_fixture_fails(rule_name: &str, change: impl Fn(&mut Value)) -> bool {
    let copy = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(copy.path().join("tests")).expect("a directory");
    for file in fixtures(Path::new(DASHBOARDS)) {
        let target = copy.path().join("tests").join(file.file_name().expect("a name"));
        std::fs::copy(&file, target).expect("a copy");
    }
    let mut mutated = rules();
    let groups = mutated["groups"].as_sequence_mut().expect("groups");
    let mut all = groups.iter_mut().flat_map(|group| group["rules"].as_sequence_mut().expect("rules"));
    let named = |rule: &&mut Value| ["alert", "record"].iter().any(|kind| rule[*kind].as_str() == Some(rule_name));
    change(all.find(named).expect("the rule"));
    let target = copy.path().join("stillpoint.rules.yaml");
    std::fs::write(&target, serde_yaml::to_string(&mutated).expect("YAML")).expect("written");
    let check = promtool(&["check", "rules"], &[target]);
    assert!(passes(&check), "the mutated rule is no rule, so its failure would prove nothing: {}", said(&check));
    let mut files = fixtures(copy.path());
    // Where the rule is spoken of, its mistakes show.
    files.sort_by_key(|file| !std::fs::read_to_string(file).expect("a fixture").contains(rule_name));
    files.into_iter().any(|file| !passes(&promtool(&["test", "rules"], &[file])))
}

#[test]
fn promtool_accepts_the_rules_and_they_hold_in_every_fixture() {
    let check = promtool(&["check", "rules", "--lint-fatal"], &[rules_file()]);
    assert!(passes(&check), "{}", said(&check));
    let files = fixtures(Path::new(DASHBOARDS));
    assert!(files.len() >= 5, "fixtures are missing: {files:?}");
    let test = promtool(&["test", "rules"], &files);
    assert!(passes(&test), "{}", said(&test));
}

#[test]
fn every_alert_says_how_bad_what_and_where_to_read_on() {
    let runbook = std::fs::read_to_string(Path::new(DASHBOARDS).join("runbook.md")).expect("the runbook");
    let alerts = alerts(&rules());
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
        assert_eq!(alert["annotations"]["runbook"].as_str(), Some(link.as_str()));
        let (_, section) = runbook.split_once(&format!("\n## {alert_name}\n")).expect(&alert_name);
        let section = section.split("\n## ").next().expect("a section");
        for part in ["**What it means.**", "**What to look at.**", "**What to do.**"] {
            assert!(section.contains(part), "{alert_name}: the runbook lacks {part}");
        }
    }
}

#[test]
fn the_rules_and_fixtures_speak_only_of_metrics_and_labels_that_exist() {
    let known: BTreeSet<&str> = stillpoint::observe::described::describe().iter().map(|metric| metric.name).collect();
    let mut files = fixtures(Path::new(DASHBOARDS));
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

#[test]
fn an_alert_that_never_fires_fails_a_fixture() {
    for alert in alerts(&rules()) {
        let alert = name(&alert);
        let missed = a_fixture_fails(&alert, |rule| rule["expr"] = Value::from("vector(0) > 1"));
        assert!(missed, "no fixture misses {alert}");
    }
}

#[test]
fn an_alert_that_always_fires_fails_a_fixture() {
    for alert in alerts(&rules()) {
        let labels = alert["labels"].clone();
        let alert = name(&alert);
        assert!(labels["severity"].is_string());
        let noticed = a_fixture_fails(&alert, |rule| rule["expr"] = Value::from("vector(1)"));
        assert!(noticed, "no fixture notices that {alert} fires for nothing");
    }
}

#[test]
fn an_alert_without_its_patience_fails_a_fixture() {
    for alert in alerts(&rules()).iter().filter(|alert| alert.get("for").is_some()) {
        let alert = name(alert);
        let noticed = a_fixture_fails(&alert, |rule| rule["for"] = Value::from("0s"));
        assert!(noticed, "no fixture notices that {alert} waits for nothing");
    }
}

/// Every arm of an expression is there for a case, and every case has its fixture.
#[test]
fn an_alert_without_one_of_its_arms_fails_a_fixture() {
    let arms = [
        ("StillpointWindowFailed", "offset 1h)) or (", "offset 1h)) > 1e9 or ("),
        ("StillpointWindowFailed", "{verdict!=\"consistent\"}) > 0", "{verdict!=\"consistent\"}) > 1e9"),
        ("StillpointWindowFailed", ") and ignoring (verdict, reason) max", ") or ignoring (verdict, reason) max"),
        ("StillpointWindowFailed", "timestamp_seconds < 3600", "timestamp_seconds < -1e9"),
        ("StillpointWindowFailed", "[1h])) > 0", "[1h])) > 1e9"),
        ("StillpointNoConsistentWindow", " or stillpoint_group_first_seen_timestamp_seconds", ""),
        ("StillpointNoConsistentWindow", "stillpoint_last_consistent_timestamp_seconds or ", ""),
        ("StillpointMemberLeftPaused", "[6h])) unless", "[6h]) > 1e9) unless"),
        ("StillpointMemberLeftPaused", "(group, scalar_cluster) max", "(group, scalar_cluster) 1e9 < max"),
        ("StillpointMemberLeftPaused", " > time()", " > 1e12"),
        ("StillpointMemberLeftPaused", "ignoring (scalar_cluster)", "on ()"),
        ("StillpointReleaseOutstanding", " > time()", " > 1e12"),
        ("StillpointDown", "{job=~\".*stillpoint.*\"}) == 0 or", "{job=~\".*stillpoint.*\"}) == 2 or"),
        ("StillpointDown", "(stillpoint_loop_alive) == 0", "(stillpoint_loop_alive) == 2"),
        ("StillpointDown", "( group without", "( 1e9 < group without"),
        ("StillpointDown", "or absent(", "or 1e9 < absent("),
    ];
    each_is_noticed(&arms);
}

#[test]
fn an_alert_about_stores_without_one_of_its_arms_fails_a_fixture() {
    let newest = "stillpoint:newest_restorable:timestamp_seconds";
    let arms = [
        ("stillpoint:restore_points_ended:1d", "[1d]) > 0", "[1d]) > 1e9"),
        ("stillpoint:restore_points_ended:1d", " < 86400", " < -1e9"),
        ("stillpoint:restore_points_ended:1d", " < 86400", " < 1e9"),
        (newest, "max without (instance, pod) (stillpoint_last_restorable_timestamp_seconds) or", ""),
        (newest, "pod) (stillpoint_last_restorable", "pod, store) (stillpoint_last_restorable"),
        (newest, "restore_points > 0", "restore_points > 1e9"),
        (newest, "restore_points > 0", "restore_points >= 0"),
        (newest, "ended_total > 0", "ended_total > 1e9"),
        (newest, "ended_total > 0", "ended_total >= 0"),
        ("StillpointTrackingStuck", " > 1800", " > 1e12"),
        ("StillpointTrackingStuck", "{state=\"waiting\"}", ""),
        ("StillpointTrackingStuck", "or time() - ( min", "or time() - ( 1e12 < min"),
        ("StillpointTrackingStuck", " == min", " and min"),
        ("StillpointTrackingStuck", "offset 13h", "offset 12h"),
        ("StillpointRestorePointLost", "{state=\"lost\"}", ""),
        ("StillpointMaterializeFailed", "{state=\"failed\"}", ""),
        ("StillpointRestorePointNotRestorable", "2 * max", "1 * max"),
        ("StillpointRestorePointNotRestorable", " + 1800", ""),
        ("StillpointRestorePointNotRestorable", "timestamp_seconds < ignoring", "timestamp_seconds <= ignoring"),
        ("StillpointStoreClockSkewed", "{bound=\"low\"}) > 2", "{bound=\"low\"}) > 1e9"),
        ("StillpointStoreClockSkewed", "{bound=\"high\"}) > 2", "{bound=\"high\"}) > 1e9"),
        ("StillpointStoreClockSkewed", "{bound=\"low\"}", ""),
        ("StillpointStoreClockSkewed", "{bound=\"high\"}", ""),
        ("StillpointAwsDenied", "[30m]) > 0", "[30m]) > 1e9"),
        (
            "StillpointAwsDenied",
            "increase(stillpoint_aws_calls_total{outcome=\"denied\"}",
            "increase(stillpoint_aws_calls_total",
        ),
        ("StillpointAwsDenied", "> 0 unless", "> 1e9 unless"),
        ("StillpointAwsDenied", "unless last_over_time(", "unless 1e9 < last_over_time("),
        (
            "StillpointAwsDenied",
            "last_over_time(stillpoint_start_time_seconds[1h] offset 30m)",
            "stillpoint_start_time_seconds",
        ),
        ("StillpointAwsDenied", " < 1800", " < -1e9"),
        ("StillpointAwsDenied", " < 1800", " < 1e9"),
        ("StillpointOrphans", "max without (instance, pod) (stillpoint_orphans) and", ""),
        ("StillpointOrphans", "[1d])) > 0", "[1d])) >= 0"),
        ("StillpointOrphans", "min_over_time(", "max_over_time("),
        ("StillpointOrphans", "[6h] offset 1d", "[6h]"),
    ];
    each_is_noticed(&arms);
}

#[test]
fn an_alert_about_notifications_without_one_of_its_arms_fails_a_fixture() {
    let arms = [
        ("StillpointNotificationsFailing", "> 900", "> 1e12"),
        ("StillpointNotificationsFailing", "> 900", "> 60"),
        ("StillpointNotificationsFailing", "[1h])) > 0", "[1h])) > 1e9"),
        ("StillpointNotificationsFailing", "[1h])) > 0", "[1h])) >= 0"),
        ("StillpointNotificationsFailing", "{outcome=\"given_up\"}", ""),
        ("StillpointNotificationsFailing", "min without (instance, pod)", "min without (pod)"),
    ];
    each_is_noticed(&arms);
}

/// A fixture fails with the third in place of the second in the rule that is named first.
fn each_is_noticed(arms: &[(&str, &str, &str)]) {
    for (alert, arm, broken) in arms.iter().copied() {
        let noticed = a_fixture_fails(alert, |rule| {
            let expression = rule["expr"].as_str().expect("an expression");
            let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(expression.contains(arm), "{alert} has no {arm:?} any more:\n{expression}");
            rule["expr"] = Value::from(expression.replacen(arm, broken, 1));
        });
        assert!(noticed, "no fixture notices {alert} with {broken:?} in place of {arm:?}");
    }
}
