//! What a new config changes.

use crate::config::{Config, Daemon, Errors, Group, Loaded, Problem, Wrong};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What one config has that another one has not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    /// Groups that are new.
    pub added: Vec<String>,
    /// Groups that are gone.
    pub removed: Vec<String>,
    /// By group: which of its parts are other ones.
    pub changed: BTreeMap<String, Vec<String>>,
    /// Whether anything changed that is no group's.
    pub daemon: bool,
}

impl Changes {
    /// From one config to another.
    #[must_use]
    pub fn between(old: &Config, new: &Config) -> Self {
        let missing = |of: &Config, from: &Config| {
            of.groups.keys().filter(|name| !from.groups.contains_key(*name)).cloned().collect::<Vec<_>>()
        };
        let both = old.groups.values().filter_map(|group| Some((group, new.groups.get(&group.name)?)));
        let changed = both.filter(|(old, new)| old != new).map(|(old, new)| (old.name.clone(), parts(old, new)));
        let others = Config { groups: new.groups.clone(), ..old.clone() };
        Self {
            added: missing(new, old),
            removed: missing(old, new),
            changed: changed.collect(),
            daemon: others != *new,
        }
    }

    /// Whether both are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn parts(old: &Group, new: &Group) -> Vec<String> {
    let parts = [
        ("schedule", old.schedule != new.schedule),
        ("window", old.window != new.window),
        ("clusters", old.clusters != new.clusters),
        ("stores", old.stores != new.stores),
        ("keep", old.keep != new.keep),
        ("coverage", (old.coverage, &old.ignore) != (new.coverage, &new.ignore)),
    ];
    let changed: Vec<String> = parts.iter().filter(|(_, is)| *is).map(|(part, _)| (*part).to_owned()).collect();
    if changed.is_empty() { vec!["settings".to_owned()] } else { changed }
}

impl fmt::Display for Changes {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changed");
        }
        let changed = self.changed.iter().map(|(group, parts)| format!("{group} ({})", parts.join(", "))).collect();
        let mut told = Vec::new();
        for (what, groups) in [("added", &self.added), ("removed", &self.removed), ("changed", &changed)] {
            if !groups.is_empty() {
                told.push(format!("{what} {}", groups.join(", ")));
            }
        }
        if self.daemon {
            told.push("other settings changed".to_owned());
        }
        f.write_str(&told.join("; "))
    }
}

/// What a daemon cannot change while it runs.
///
/// # Errors
/// The keys that the new config changes all the same.
pub fn fixed(old: &Daemon, new: &Loaded) -> Result<(), Errors> {
    let mut problems = Vec::new();
    let mut fault = |key: &str, written: String, runs: String| {
        let wrong = Wrong::new(format!("{written} is not what the running daemon has, and takes a restart"));
        problems.push(Problem::new(new.place(key), key, wrong.expected(format!("{runs} until then"))));
    };
    let http = |daemon: &Daemon| daemon.http.map_or_else(|| "none".to_owned(), |address| address.to_string());
    let daemon = &new.config.daemon;
    if daemon.http != old.http {
        fault("daemon.http", http(daemon), http(old));
    }
    if daemon.leadership != old.leadership {
        fault("daemon.leadership", "what stands here".to_owned(), "what it began with".to_owned());
    }
    if daemon.catalog != old.catalog {
        fault("daemon.catalog", daemon.catalog.to_string(), old.catalog.to_string());
    } else if daemon.socket != old.socket {
        // It lies beside the catalog unless it is written, and moves with it.
        fault("daemon.socket", daemon.socket.display().to_string(), old.socket.display().to_string());
    }
    if problems.is_empty() { Ok(()) } else { Err(Errors(problems)) }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
