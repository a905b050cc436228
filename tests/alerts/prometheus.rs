//! A real Prometheus with the rules scaled down: what they call a minute is a second here.

use crate::rig::support::ports::free_port;
use crate::rig::support::process::Process;
use crate::rig::support::tools::program;
use crate::rig::support::wait_until;
use crate::rules::{expression, read, rules_file};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Longer than any alert takes to fire or to resolve.
const LIMIT: Duration = Duration::from_secs(150);

/// The server, and where it answers.
pub struct Prometheus {
    port: u16,
    _process: Process,
}

impl Prometheus {
    /// It scrapes the target as the job `stillpoint`, once a second, and evaluates the rules as often.
    pub fn start(folder: &Path, target: u16) -> Self {
        std::fs::write(folder.join("rules.yaml"), scaled()).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yaml]\n\
             scrape_configs:\n- {{job_name: stillpoint, static_configs: [{{targets: [\"127.0.0.1:{target}\"]}}]}}\n"
        );
        std::fs::write(folder.join("prometheus.yaml"), config).unwrap();
        let port = free_port();
        let mut command = Command::new(program("prometheus"));
        command.arg(format!("--config.file={}", folder.join("prometheus.yaml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        // What a process leaves when it is gone counts as gone after this, as five minutes do unscaled.
        command.arg("--query.lookback-delta=5s");
        let process = Process::start("prometheus", &command, &folder.join("prometheus.log"));
        let prometheus = Self { port, _process: process };
        wait_until("Prometheus scrapes", LIMIT, || (!prometheus.query("up == 1").is_empty()).then_some(()));
        prometheus
    }

    /// An instant query's samples; panics when Prometheus refuses the expression.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let Some(answer) = self.get(&format!("/api/v1/query?query={}", escaped(expression))) else { return Vec::new() };
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// Its only sample's value, if there is one.
    pub fn value(&self, expression: &str) -> Option<f64> {
        self.query(expression).first()?["value"][1].as_str()?.parse().ok()
    }

    /// The alerts that fire, with their groups.
    pub fn firing(&self) -> Vec<(String, String)> {
        let Some(answer) = self.get("/api/v1/alerts") else { return Vec::new() };
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing");
        let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        let mut firing: Vec<_> = alerts.map(|alert| (label(alert, "alertname"), label(alert, "group"))).collect();
        firing.sort();
        firing.dedup();
        firing
    }

    pub fn wait_for(&self, alert: &str, group: &str) {
        let wanted = (format!("Stillpoint{alert}"), group.to_owned());
        wait_until(&format!("{alert} fires for {group:?}"), LIMIT, || self.firing().contains(&wanted).then_some(()));
        println!("{alert} {group} fires");
    }

    pub fn wait_until_resolved(&self, alert: &str, group: &str) {
        let wanted = (format!("Stillpoint{alert}"), group.to_owned());
        let what = format!("{alert} is resolved for {group:?}");
        wait_until(&what, LIMIT, || (!self.firing().contains(&wanted)).then_some(()));
        println!("{alert} {group} is resolved");
    }

    pub fn assert_silent(&self, alert: &str) {
        let name = format!("Stillpoint{alert}");
        assert!(self.firing().iter().all(|(firing, _)| *firing != name), "{name} fires: {:?}", self.firing());
    }

    /// None while it does not answer yet.
    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        serde_json::from_str(page.split_once("\r\n\r\n")?.1).ok()
    }
}

/// The rules with a second for each minute, in `for` and in every range.
fn scaled() -> String {
    let mut file = read(&rules_file());
    for group in file["groups"].as_sequence_mut().unwrap() {
        group["interval"] = "1s".into();
        for rule in group["rules"].as_sequence_mut().unwrap() {
            let scaled = scale(expression(rule));
            rule["expr"] = scaled.into();
            if let Some(patience) = rule.get("for").and_then(serde_yaml::Value::as_str) {
                let minutes = patience.strip_suffix('m').expect("minutes").to_owned();
                rule["for"] = format!("{minutes}s").into();
            }
        }
    }
    serde_yaml::to_string(&file).unwrap()
}

fn scale(expression: &str) -> String {
    let units = BTreeMap::from([('m', 1), ('h', 60), ('d', 1_440)]);
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_:.".contains(character);
    let mut scaled = String::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let length =
            if is_part(first) { rest.find(|next| !is_part(next)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let word = &rest[..length];
        let number = word.get(..length - 1).and_then(|number| number.parse::<u32>().ok());
        match (number, word.chars().last().and_then(|unit| units.get(&unit))) {
            (Some(number), Some(unit)) => scaled.push_str(&format!("{}s", number * unit)),
            _ => scaled.push_str(word),
        }
        rest = &rest[length..];
    }
    scaled
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[test]
fn a_minute_is_a_second() {
    assert_eq!(
        scale("x{a=\"b\"}[1d] offset 1h > 1800 or stillpoint:a:1d[30m]"),
        "x{a=\"b\"}[1440s] offset 60s > 1800 or stillpoint:a:1d[30s]"
    );
}
