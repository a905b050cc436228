//! The fixtures, tested by breaking the rules: each mutant must make one of them fail.

use crate::mutants::{self, Mutant};
use crate::rules::{Fixture, expression, file_of, fixtures_of, is_alert, name, passes, promtool, related, rules, said};
use serde_yaml::Value;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// One broken rules file.
struct Case {
    rule: String,
    mutant: Mutant,
    rules: Vec<Value>,
    fixtures: Arc<Vec<Fixture>>,
}

#[test]
fn a_fixture_fails_for_every_way_to_break_a_rule() {
    let start = Instant::now();
    let folder = tempfile::tempdir().expect("a directory");
    let picked = std::env::var("MUTATE").unwrap_or_default();
    let mut cases = Vec::new();
    for rule in rules().iter().filter(|rule| name(rule).contains(&picked)) {
        cases.extend(cases_of(rule, folder.path()));
    }
    let all = cases.len();
    let survivors = survivors(cases, folder.path());
    println!("{all} mutants in {:.0?}", start.elapsed());
    let text: Vec<String> =
        survivors.iter().map(|(rule, what, expression)| format!("{rule}: {what}\n    {expression}")).collect();
    assert!(survivors.is_empty(), "{} of {all} mutants survive:\n{}", survivors.len(), text.join("\n"));
}

/// Every mutant of a rule; first the rule as it is must stand.
fn cases_of(rule: &Value, folder: &Path) -> Vec<Case> {
    let (all, rule_name) = (rules(), name(rule));
    let related = related(&all, &rule_name);
    let users = related.iter().filter(|one| name(one) == rule_name || expression(one).contains(&rule_name));
    let names: Vec<String> = users.map(name).collect();
    let fixtures = Arc::new(fixtures_of(&names));
    let stands = run(&fixtures, &related, &folder.join(format!("stands-{}", rule_name.replace(':', "-"))));
    assert!(stands.is_ok(), "{rule_name} by itself: {}", stands.err().unwrap_or_default());
    let case = |(mutant, broken): (Mutant, Value)| {
        let replace = |one: &Value| if name(one) == rule_name { broken.clone() } else { one.clone() };
        Case {
            rule: rule_name.clone(),
            mutant,
            rules: related.iter().map(replace).collect(),
            fixtures: fixtures.clone(),
        }
    };
    broken(rule).into_iter().map(case).collect()
}

/// The rule with a broken expression, or with another patience.
fn broken(rule: &Value) -> Vec<(Mutant, Value)> {
    let mut all = mutants::mutants(expression(rule));
    let whole = |what: &str, expression: &str| Mutant { what: what.to_owned(), expression: expression.to_owned() };
    if is_alert(rule) {
        all.extend([whole("it never fires", "vector(0) > 1"), whole("it always fires", "vector(1)")]);
    }
    let with = |key: &str, value: &str| {
        let mut broken = rule.clone();
        broken[key] = Value::from(value);
        broken
    };
    let mut broken: Vec<(Mutant, Value)> =
        all.into_iter().map(|mutant| (mutant.clone(), with("expr", &mutant.expression))).collect();
    if let Some(patience) = rule.get("for").and_then(Value::as_str) {
        let minutes: u32 = patience.trim_end_matches('m').parse().expect("minutes");
        for seconds in [0, minutes * 30, minutes * 120] {
            let patience = format!("{seconds}s");
            broken.push((whole(&format!("for: {patience}"), expression(rule)), with("for", &patience)));
        }
    }
    broken
}

/// Runs them on every core; answers with those that no fixture noticed.
fn survivors(cases: Vec<Case>, folder: &Path) -> Vec<(String, String, String)> {
    let cases = Mutex::new(cases.into_iter().enumerate());
    let survivors = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let Some((number, case)) = cases.lock().expect("no worker panics").next() else { break };
                    if run(&case.fixtures, &case.rules, &folder.join(number.to_string())).is_ok() {
                        let survivor = (case.rule, case.mutant.what, case.mutant.expression);
                        survivors.lock().expect("no worker panics").push(survivor);
                    }
                }
            });
        }
    });
    let mut survivors = survivors.into_inner().expect("no worker panics");
    survivors.sort();
    survivors
}

/// Runs the fixtures beside these rules; what promtool said when one failed. A rule that is none is noticed as well.
fn run(fixtures: &[Fixture], rules: &[Value], folder: &Path) -> Result<(), String> {
    std::fs::create_dir(folder).expect("a directory");
    let done = fixtures.iter().try_for_each(|Fixture { interval, text, .. }| {
        let rules = file_of(rules.to_vec(), interval);
        let target = folder.join("fixture.yaml");
        std::fs::write(&target, text).expect("written");
        std::fs::write(folder.join("rules.yaml"), serde_yaml::to_string(&rules).expect("YAML")).expect("written");
        let output = promtool(&["test", "rules"], &[target]);
        if passes(&output) { Ok(()) } else { Err(said(&output)) }
    });
    std::fs::remove_dir_all(folder).expect("it was made above");
    done
}
