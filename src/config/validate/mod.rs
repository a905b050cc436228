//! From what was written to what cannot be wrong: every fault of the merged layers is found and placed.

mod aws;
mod cluster;
mod daemon;
mod dynamodb;
mod group;
mod leadership;
mod notifications;
mod schedule;
mod store;

use super::error::{Errors, Place, Problem, Wrong};
use super::layer::Layer;
use super::path::KeyPath;
use super::{Config, error, names, raw, span};
use std::collections::BTreeMap;
use std::time::Duration;

/// Validates the merged layers.
///
/// # Errors
/// Every fault, in the order of layers and lines.
pub fn validate(raw: raw::Root, layers: &[Layer]) -> Result<Config, Errors> {
    let mut check = Check { layers, problems: Vec::new(), members: BTreeMap::new(), stores: BTreeMap::new() };
    let daemon = daemon::daemon(&mut check, raw.daemon.unwrap_or_default());
    let path = KeyPath::root("groups");
    let raw_groups = raw.groups.unwrap_or_default();
    if raw_groups.is_empty() {
        let wrong = Wrong::new("the environment has no groups")
            .expected("at least one, such as groups: {payments: {clusters: …}}");
        check.fault(&path, wrong);
    }
    let all: Vec<String> = raw_groups.keys().cloned().collect();
    let mut groups = BTreeMap::new();
    for (name, raw) in raw_groups {
        let path = path.key(&name);
        let Some(raw) = check.something(&path, raw) else { continue };
        let group = group::group(&mut check, &path, &name, raw, &all);
        groups.insert(name, group);
    }
    let webhooks = notifications::webhooks(&mut check, raw.notifications.unwrap_or_default(), &all);
    check.problems.sort_by(|(left, _), (right, _)| left.cmp(right));
    if check.problems.is_empty() {
        Ok(Config { daemon, groups, webhooks })
    } else {
        Err(Errors(check.problems.into_iter().map(|(_, problem)| problem).collect()))
    }
}

/// What a duration may be.
#[derive(Debug, Clone, Copy)]
struct Range {
    default: &'static str,
    least: Duration,
    most: Duration,
}

impl Range {
    const fn millis(default: &'static str, least: u64, most: u64) -> Self {
        Self { default, least: Duration::from_millis(least), most: Duration::from_millis(most) }
    }
}

/// The faults found so far, and what must be seen only once in an environment.
struct Check<'a> {
    layers: &'a [Layer],
    problems: Vec<((usize, Place), Problem)>,
    /// Addresses and SRV names, with the path of their first use.
    members: BTreeMap<String, KeyPath>,
    /// Identities of stores, with the path of their first use.
    stores: BTreeMap<String, KeyPath>,
}

impl Check<'_> {
    /// Records a fault at the topmost layer that holds `path`, or else the nearest mapping around it.
    fn fault(&mut self, path: &KeyPath, wrong: Wrong) {
        let (layer, place) = self.place(path);
        self.problems.push(((layer, place.clone()), Problem::new(place, path, wrong)));
    }

    fn place(&self, path: &KeyPath) -> (usize, Place) {
        let mut around = Some(path.clone()).filter(|path| !path.0.is_empty());
        while let Some(path) = around {
            let found =
                self.layers.iter().enumerate().rev().find_map(|(index, layer)| Some((index, layer.place(&path)?)));
            if let Some(found) = found {
                return found;
            }
            around = path.parent().filter(|path| !path.0.is_empty());
        }
        let file = self.layers.iter().enumerate().rev().find(|(_, layer)| layer.text.is_some());
        match file {
            Some((index, layer)) => (index, Place::File { path: layer.name.clone(), at: None }),
            None => (0, Place::Default),
        }
    }

    /// `Some` if `result` is right; a fault at `path` if it is not.
    fn take<T>(&mut self, path: &KeyPath, result: Result<T, Wrong>) -> Option<T> {
        result.map_err(|wrong| self.fault(path, wrong)).ok()
    }

    /// Reads a duration within its range; none if it is faulty.
    fn span(&mut self, path: &KeyPath, raw: Option<&raw::Span>, range: Range) -> Option<Duration> {
        let parsed = match raw {
            None => span::parse(range.default),
            Some(raw::Span::Text(text)) => span::parse(text),
            Some(raw::Span::Bare(number)) => {
                let wrong =
                    Wrong::new(format!("{number} has no unit")).expected("a duration such as 10s, 1m30s or 500ms");
                Err(wrong.nearest(Some(format!("{number}s"))))
            }
        };
        let duration = self.take(path, parsed)?;
        let limit = if duration.is_zero() {
            Some(("must not be zero", format!("at least {}", span::write(range.least))))
        } else if duration < range.least {
            Some(("is too short", format!("at least {}", span::write(range.least))))
        } else if duration > range.most {
            Some(("is too long", format!("at most {}", span::write(range.most))))
        } else {
            None
        };
        match limit {
            None => Some(duration),
            Some((what, expected)) => {
                self.fault(path, Wrong::new(format!("{} {what}", span::write(duration))).expected(expected));
                None
            }
        }
    }

    /// Faults globs over workloads' names that match nothing.
    fn patterns(&mut self, path: &KeyPath, patterns: &[String]) {
        for (index, _) in patterns.iter().enumerate().filter(|(_, pattern)| pattern.is_empty()) {
            let wrong = Wrong::new("the pattern is empty").expected("a name pattern, such as batch-*");
            self.fault(&path.index(index), wrong);
        }
    }

    /// Reads an absolute path.
    fn absolute(&mut self, path: &KeyPath, text: &str) {
        if !text.starts_with('/') || text.ends_with('/') {
            let wrong = Wrong::new(format!("\"{text}\" is not the absolute path of a file"));
            self.fault(path, wrong.expected("a path that begins with / and names a file"));
        }
    }

    fn name(&mut self, path: &KeyPath, name: &str) {
        self.take(path, names::name(name));
    }

    /// What stands below a name; a fault if that is nothing.
    fn something<T>(&mut self, path: &KeyPath, raw: Option<T>) -> Option<T> {
        if raw.is_none() {
            self.fault(path, Wrong::new("nothing stands below this name").expected("its settings, indented"));
        }
        raw
    }

    /// Tells that `key` is missing in the mapping at `path`.
    fn missing(&mut self, path: &KeyPath, key: &str, expected: &str) {
        self.fault(path, Wrong::new(format!("{key} is missing")).expected(expected));
    }
}

/// The other name that a person may have meant by `name`, for a mapping that looks like a slip of the pen.
fn other_name(name: &str, all: &[String]) -> Option<String> {
    error::nearest(name, all.iter().map(String::as_str).filter(|other| *other != name))
}
