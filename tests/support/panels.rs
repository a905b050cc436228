//! The Grafana dashboard's queries.

use serde_json::Value;

pub fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../dashboards/stillpoint.json")).unwrap()
}

/// Every expression with its panel's title, Grafana's variables filled in.
pub fn expressions() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    });
    let filled = |text: String| text.replace("$job", ".*").replace("$group", ".*").replace("$__rate_interval", "5m");
    targets.map(|(title, expression)| (title, filled(expression))).collect()
}
