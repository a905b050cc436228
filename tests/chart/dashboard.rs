//! The Grafana dashboard: its expressions are Prometheus's, name only what the daemon serves, and find it.

use crate::support::panels::{dashboard, expressions};
use crate::support::tools::program;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use stillpoint::observe::described::{Kind, describe};

/// Prometheus's names of a metric.
fn series(name: &str, kind: Kind) -> Vec<String> {
    match kind {
        Kind::Counter | Kind::Gauge => vec![name.to_owned()],
        Kind::Histogram => ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).to_vec(),
    }
}

fn promtool(arguments: &[&str], file: &Path) -> Output {
    Command::new(program("promtool")).args(arguments).arg(file).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn it_speaks_only_of_metrics_that_exist_and_of_every_group_by_its_variable() {
    let known: BTreeSet<String> = describe().iter().flat_map(|metric| series(metric.name, metric.kind)).collect();
    let dashboard = dashboard();
    let queries = dashboard["templating"]["list"].as_array().unwrap().iter().map(|variable| {
        let query = variable["definition"].as_str().unwrap_or_default().to_owned();
        (variable["name"].as_str().unwrap().to_owned(), query)
    });
    for (title, expression) in expressions().into_iter().chain(queries) {
        for word in expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':') {
            assert!(!word.starts_with("stillpoint") || known.contains(word), "{title}: no metric {word}");
        }
        assert!(!expression.contains('$') || expression.contains("$job"), "{title}: {expression}");
    }
    let rows: Vec<&Value> = dashboard["panels"].as_array().unwrap().iter().filter(|one| one["type"] == "row").collect();
    assert!(rows.iter().any(|row| row["repeat"] == "group"), "a row for each group");
}

#[test]
fn what_people_look_for_first_is_there() {
    let all: String = expressions().into_iter().map(|(_, expression)| expression).collect();
    for name in [
        "stillpoint_last_consistent_timestamp_seconds",
        "stillpoint_next_slot_timestamp_seconds",
        "stillpoint_windows_total",
        "stillpoint_members_paused",
        "stillpoint_window_closed_seconds_sum",
        "stillpoint_restore_points",
        "stillpoint_last_restorable_timestamp_seconds",
        "stillpoint_aws_calls_total",
        "stillpoint_ready",
        "stillpoint_objective_seconds",
        "stillpoint_store_recoverable",
        "stillpoint_windows_discarded_in_a_row",
        "stillpoint_closed_month_seconds",
        "stillpoint_closed_budget_seconds",
        "stillpoint_config_reloads_total",
        "stillpoint_notifications_waiting",
        "stillpoint_notifications_total",
    ] {
        assert!(all.contains(name), "{name}");
    }
}

/// Every metric that exists, scraped for four hours, with everything growing.
fn scraped() -> Vec<Value> {
    let mut input = Vec::new();
    for metric in describe() {
        for name in series(metric.name, metric.kind) {
            let bucket = if name.ends_with("_bucket") { &["1", "+Inf"][..] } else { &[""] };
            for le in bucket {
                let mut labels = vec![r#"job="stillpoint""#.to_owned(), r#"instance="a""#.to_owned()];
                labels.extend(metric.labels.iter().map(|label| match *label {
                    "verdict" => r#"verdict="consistent""#.to_owned(),
                    label => format!(r#"{label}="x""#),
                }));
                if !le.is_empty() {
                    labels.push(format!(r#"le="{le}""#));
                }
                input.push(json!({"series": format!("{name}{{{}}}", labels.join(",")), "values": "1+1x240"}));
            }
        }
    }
    let discarded = r#"stillpoint_windows_total{job="stillpoint",group="x",verdict="discarded",reason="reopened"}"#;
    let throttled =
        r#"stillpoint_aws_calls_total{job="stillpoint",account="x",region="x",operation="x",outcome="throttled"}"#;
    for series in [discarded, throttled] {
        input.push(json!({"series": series, "values": "1+1x240"}));
    }
    input
}

#[test]
fn prometheus_answers_every_expression_with_something() {
    let expressions = expressions();
    assert!(expressions.len() > 20, "{expressions:?}");
    let tests = expressions.iter().map(|(_, expression)| {
        json!({"expr": format!("count({expression}) > bool 0"), "eval_time": "3h", "exp_samples": [{"labels": "{}", "value": 1}]})
    });
    let tests = tests.collect::<Vec<_>>();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.yaml");
    let write = |input: Vec<Value>| {
        let test = json!({"evaluation_interval": "1m", "tests": [{"interval": "1m", "input_series": input, "promql_expr_test": tests}]});
        std::fs::write(&file, serde_yaml::to_string(&test).unwrap()).unwrap();
    };
    write(scraped());
    let answered = promtool(&["test", "rules"], &file);
    assert!(answered.status.success(), "{}", said(&answered));
    // The test is one: without a metric, what is built on it is empty.
    write(scraped().into_iter().filter(|one| !one["series"].as_str().unwrap().contains("_closed_seconds")).collect());
    assert!(said(&promtool(&["test", "rules"], &file)).contains("stillpoint_window_closed_seconds"));
}
