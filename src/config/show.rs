//! The merged environment as YAML, each value with the place it came from.

use super::error::Place;
use super::layer::Layer;
use super::path::KeyPath;
use super::place::hide;
use super::{Config, Group, Keep, StoreKind, defaults, yaml};
use config::{Value, ValueKind};
use std::collections::BTreeMap;
use std::fmt;

/// A line of the merged YAML: the text, and where its value came from (none for the line of a mapping's key).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    text: String,
    origin: Option<String>,
}

/// The merged environment; its `Display` is YAML whose comments tell the origins. Secrets are hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    lines: Vec<Line>,
}

/// Comments further right than this are no help on a usual terminal.
const WIDEST: usize = 72;

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commented = self.lines.iter().filter(|line| line.origin.is_some());
        let width = commented.map(|line| line.text.chars().count()).filter(|width| *width <= WIDEST).max().unwrap_or(0);
        for line in &self.lines {
            match &line.origin {
                Some(origin) => writeln!(f, "{:width$}  # {origin}", line.text)?,
                None => writeln!(f, "{}", line.text)?,
            }
        }
        Ok(())
    }
}

/// Draws the view of what was merged, with the built-in defaults filled in.
pub fn view(merged: &Value, layers: &[Layer], config: &Config) -> View {
    let mut merged = merged.clone();
    fill(&mut merged, config);
    let mut drawing = Drawing { layers, lines: Vec::new() };
    if let ValueKind::Table(table) = &merged.kind {
        drawing.table(table, &KeyPath::default(), 0);
    }
    View { lines: drawing.lines }
}

type Table = config::Map<String, Value>;

fn table<'a>(parent: &'a mut Table, key: &str) -> &'a mut Table {
    let value = parent.entry(key.to_owned()).or_insert_with(|| Value::from(Table::new()));
    if !matches!(value.kind, ValueKind::Table(_)) {
        *value = Value::from(Table::new());
    }
    match &mut value.kind {
        ValueKind::Table(table) => table,
        _ => unreachable!("made a table two lines above"),
    }
}

fn default(table: &mut Table, key: &str, value: &str) {
    // Null means the default but for these, which are filled in only where nothing was written.
    let is_written =
        table.get(key).is_some_and(|value| NULLABLE.contains(&key) || !matches!(value.kind, ValueKind::Nil));
    if !is_written {
        table.insert(key.to_owned(), Value::from(value));
    }
}

/// Keys whose null says none.
const NULLABLE: [&str; 5] = ["http", "coverage_interval", "history", "coordinator", "metadata"];

/// Puts the built-in defaults where nobody wrote anything.
fn fill(merged: &mut Value, config: &Config) {
    let ValueKind::Table(root) = &mut merged.kind else { return };
    let daemon = table(root, "daemon");
    default(daemon, "catalog", defaults::CATALOG);
    default(daemon, "http", defaults::HTTP);
    default(daemon, "socket", &yaml::scalar(&config.daemon.socket.display().to_string()));
    if let Some(leadership) = &config.daemon.leadership {
        let written = table(daemon, "leadership");
        default(written, "lasts", defaults::LEASE_LASTS);
        default(written, "retry", defaults::LEASE_RETRY);
        if leadership.lease.is_some() {
            default(table(written, "kubernetes"), "name", defaults::LEASE_NAME);
        }
    }
    default(daemon, "sweep_interval", defaults::SWEEP_INTERVAL);
    default(daemon, "coverage_interval", defaults::COVERAGE_INTERVAL);
    default(daemon, "history", defaults::HISTORY);
    let groups = table(root, "groups");
    for (name, group) in &config.groups {
        let written = table(groups, name);
        if group.schedule.is_some() {
            let schedule = table(written, "schedule");
            default(schedule, "time_zone", defaults::TIME_ZONE);
            default(schedule, "lead", defaults::LEAD);
            default(schedule, "starting_deadline", defaults::STARTING_DEADLINE);
            default(schedule, "refused_retry", defaults::REFUSED_RETRY);
            default(schedule, "attempts", &defaults::ATTEMPTS.to_string());
            default(schedule, "retry_delay", defaults::RETRY_DELAY);
            default(schedule, "catch_up", &false.to_string());
            default(schedule, "suspend", &false.to_string());
        }
        let window = table(written, "window");
        default(window, "hold", defaults::HOLD);
        default(window, "drain", defaults::DRAIN);
        default(window, "max_pause", defaults::MAX_PAUSE);
        for name in group.clusters.keys() {
            default(table(table(written, "clusters"), name), "stage", &defaults::STAGE.to_string());
        }
        fill_stores(written, group);
    }
}

fn fill_stores(written: &mut Table, group: &Group) {
    if group.keep != Keep::default() {
        for key in ["last", "daily", "weekly", "monthly"] {
            default(table(written, "keep"), key, "0");
        }
    }
    for (name, store) in &group.stores {
        let written = table(table(written, "stores"), name);
        default(written, "preflight", defaults::PREFLIGHT);
        let StoreKind::Dynamodb(_) = store.kind else { continue };
        let dynamodb = table(written, "dynamodb");
        default(dynamodb, "coordinator", defaults::COORDINATOR);
        default(dynamodb, "metadata", defaults::METADATA);
        default(dynamodb, "materialize", defaults::MATERIALIZE);
        default(dynamodb, "indexes", &defaults::INDEXES.to_string());
        default(dynamodb, "restores_at_once", &defaults::RESTORES_AT_ONCE.to_string());
        default(dynamodb, "materialize_limit", defaults::MATERIALIZE_LIMIT);
        default(dynamodb, "orphans", defaults::ORPHANS);
        let prices = table(dynamodb, "prices");
        default(prices, "restore", &defaults::RESTORE_PRICE.to_string());
        default(prices, "backup", &defaults::BACKUP_PRICE.to_string());
    }
}

/// Keys in the order in which people write them; others follow by name.
const ORDER: [&str; 80] = [
    "daemon",
    "groups",
    "notifications",
    "catalog",
    "http",
    "socket",
    "sweep_interval",
    "coverage_interval",
    "history",
    "schedule",
    "objective",
    "window",
    "closed_budget",
    "coverage",
    "ignore",
    "clusters",
    "cron",
    "time_zone",
    "lead",
    "starting_deadline",
    "refused_retry",
    "attempts",
    "retry_delay",
    "catch_up",
    "jitter",
    "blackouts",
    "suspend",
    "from",
    "until",
    "for",
    "hold",
    "drain",
    "max_pause",
    "product",
    "addresses",
    "srv",
    "kubernetes",
    "eks",
    "stage",
    "tls",
    "ca_file",
    "server_name",
    "cert_file",
    "key_file",
    "stores",
    "keep",
    "heartbeat",
    "webhooks",
    "url",
    "secret_file",
    "secret_env",
    "types",
    "dynamodb",
    "rds",
    "aurora",
    "preflight",
    "region",
    "role_arn",
    "external_id",
    "endpoint",
    "instance",
    "cluster",
    "tables",
    "include",
    "exclude",
    "prefix",
    "coordinator",
    "metadata",
    "materialize",
    "indexes",
    "restores_at_once",
    "materialize_limit",
    "orphans",
    "prices",
    "restore",
    "backup",
    "last",
    "daily",
    "weekly",
    "monthly",
];

fn rank(key: &str) -> usize {
    ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len())
}

struct Drawing<'a> {
    layers: &'a [Layer],
    lines: Vec<Line>,
}

impl Drawing<'_> {
    fn table(&mut self, table: &Table, path: &KeyPath, depth: usize) {
        let sorted: BTreeMap<(usize, &String), &Value> =
            table.iter().map(|(key, value)| ((rank(key), key), value)).collect();
        for ((_, key), value) in sorted {
            self.entry(key, value, &path.key(key), depth);
        }
    }

    fn entry(&mut self, key: &str, value: &Value, path: &KeyPath, depth: usize) {
        let front = format!("{}{}:", "  ".repeat(depth), yaml::scalar(key));
        match &value.kind {
            ValueKind::Table(table) if !table.is_empty() => {
                self.lines.push(Line { text: front, origin: None });
                self.table(table, path, depth + 1);
            }
            ValueKind::Array(list) if !list.is_empty() => {
                self.push(front, value, path);
                for element in list {
                    self.lines
                        .push(Line { text: format!("{}- {}", "  ".repeat(depth + 1), leaf(element)), origin: None });
                }
            }
            // Null says "the default", and where there is none the key is as good as not written.
            ValueKind::Nil if !NULLABLE.contains(&key) => {}
            _ => self.push(format!("{front} {}", leaf(value)), value, path),
        }
    }

    fn push(&mut self, text: String, value: &Value, path: &KeyPath) {
        let layer = value.origin().and_then(|name| self.layers.iter().rev().find(|layer| layer.name == name));
        let origin = match layer.and_then(|layer| layer.key_place(path)) {
            // A line is enough to find it, and keeps the comments short.
            Some(Place::File { path, at: Some((line, _)) }) => format!("{path}:{line}"),
            Some(place) => place.to_string(),
            None => value.origin().unwrap_or("default").to_owned(),
        };
        self.lines.push(Line { text, origin: Some(origin) });
    }
}

fn leaf(value: &Value) -> String {
    match &value.kind {
        ValueKind::Nil => "null".to_owned(),
        // In one line: the mappings of a list are short.
        ValueKind::Table(table) => {
            let sorted: BTreeMap<(usize, &String), &Value> =
                table.iter().map(|(key, value)| ((rank(key), key), value)).collect();
            let entries = sorted.iter().map(|((_, key), value)| {
                let text = leaf(value);
                let parted = text.contains([',', '[', ']', '{', '}']) && !text.starts_with(['"', '\'']);
                let text = if parted { format!("{text:?}") } else { text };
                format!("{}: {text}", yaml::scalar(key))
            });
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        ValueKind::Array(_) => "[]".to_owned(),
        ValueKind::String(text) if value.origin().is_some() => yaml::scalar(&hide(text)),
        // Numbers, and defaults, which are stored as their own YAML.
        other => other.to_string(),
    }
}
