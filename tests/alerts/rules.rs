//! The rules and their fixtures, as YAML, whole and cut down to what concerns a few of the rules.

use serde_yaml::{Mapping, Value};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const DASHBOARDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards");

pub fn promtool(arguments: &[&str], files: &[PathBuf]) -> Output {
    let run = Command::new("promtool").args(arguments).args(files).output();
    run.expect("promtool is missing: run tests/setup.sh (Debian's package prometheus)")
}

pub fn passes(output: &Output) -> bool {
    output.status.success()
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub fn rules_file() -> PathBuf {
    Path::new(DASHBOARDS).join("stillpoint.rules.yaml")
}

pub fn read(file: &Path) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(file).expect("a file")).expect("YAML")
}

/// All rules in their order.
pub fn rules() -> Vec<Value> {
    let file = read(&rules_file());
    let groups = file["groups"].as_sequence().expect("groups");
    groups.iter().flat_map(|group| group["rules"].as_sequence().expect("rules").clone()).collect()
}

pub fn is_alert(rule: &Value) -> bool {
    rule.get("alert").is_some()
}

/// An alert's, or a record's.
pub fn name(rule: &Value) -> String {
    rule.get("alert").or_else(|| rule.get("record")).and_then(Value::as_str).expect("a name").to_owned()
}

pub fn expression(rule: &Value) -> &str {
    rule["expr"].as_str().expect("an expression")
}

/// Every fixture file.
pub fn fixtures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(DASHBOARDS).join("tests")).expect("fixtures");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// The rule, what it is built on, and what is built on it, in their order.
pub fn related(rules: &[Value], rule: &str) -> Vec<Value> {
    let uses = |user: &Value, used: &str| expression(user).contains(used);
    let subject = rules.iter().find(|one| name(one) == rule).expect("the rule");
    let wanted = |one: &&Value| name(one) == rule || uses(one, rule) || uses(subject, &name(one));
    // What is built on the rule may be built on other records too.
    let users: Vec<&Value> = rules.iter().filter(|one| uses(one, rule)).collect();
    let below = |one: &Value| !is_alert(one) && users.iter().any(|user| uses(user, &name(one)));
    rules.iter().filter(|one| wanted(one) || below(one)).cloned().collect()
}

/// A rules file of these rules, evaluated at that interval.
pub fn file_of(rules: Vec<Value>, interval: &str) -> Value {
    let mut group = Mapping::new();
    group.insert("name".into(), "stillpoint".into());
    group.insert("interval".into(), interval.into());
    group.insert("rules".into(), rules.into());
    let mut file = Mapping::new();
    file.insert("groups".into(), Value::Sequence(vec![Value::Mapping(group)]));
    Value::Mapping(file)
}

/// What is said of a few rules, in one test of one fixture file, as a file of its own; `rules.yaml` is beside it.
pub struct Fixture {
    /// Between two samples. To evaluate the rules no oftener is what makes mutants quick.
    pub interval: String,
    pub text: String,
    /// How many times the rules are evaluated.
    length: u32,
}

/// Every test that speaks of these rules, and of nothing else; the shortest first, since most mistakes show there.
pub fn fixtures_of(names: &[String]) -> Vec<Fixture> {
    let mut found = Vec::new();
    for file in fixtures() {
        for mut test in read(&file)["tests"].as_sequence().expect("tests").clone() {
            let kept = ["alert_rule_test", "promql_expr_test"].map(|kind| keep(&mut test, kind, names));
            if kept.into_iter().any(|count| count > 0) {
                found.push(fixture(test));
            }
        }
    }
    found.sort_by_key(|fixture| fixture.length);
    found
}

fn fixture(test: Value) -> Fixture {
    let interval = test["interval"].as_str().expect("an interval").to_owned();
    let minutes = |time: &Value| -> u32 {
        let number = time.as_str().and_then(|time| time.strip_suffix('m')?.parse().ok());
        number.expect("whole minutes")
    };
    let checks = ["alert_rule_test", "promql_expr_test"].iter().filter_map(|kind| test.get(*kind)?.as_sequence());
    let last = checks.flatten().map(|check| minutes(&check["eval_time"])).max().expect("something is checked");
    let length = last / minutes(&test["interval"]);
    let mut file = Mapping::new();
    file.insert("rule_files".into(), Value::Sequence(vec!["rules.yaml".into()]));
    file.insert("evaluation_interval".into(), interval.as_str().into());
    file.insert("tests".into(), Value::Sequence(vec![test]));
    Fixture { interval, text: serde_yaml::to_string(&file).expect("YAML"), length }
}

/// Keeps what a test says of these rules; answers with how much that is.
fn keep(test: &mut Value, kind: &str, names: &[String]) -> usize {
    let Some(checks) = test.get_mut(kind).and_then(Value::as_sequence_mut) else { return 0 };
    checks.retain(|check| {
        let text = check["alertname"].as_str().or_else(|| check["expr"].as_str()).expect("what is checked");
        let mut words = text.split(|character: char| !character.is_ascii_alphanumeric() && !"_:".contains(character));
        words.any(|word| names.iter().any(|name| name == word))
    });
    checks.len()
}
