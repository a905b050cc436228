//! What was called, when, and what became of it.

use super::call::{Call, Scope};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One call.
#[derive(Clone, Debug)]
pub struct Entry {
    /// On the stand-in's clock.
    pub at: Timestamp,
    pub instant: Instant,
    pub scope: Scope,
    pub access_key: String,
    pub service: String,
    pub operation: String,
    pub targets: Vec<String>,
    /// The parameters; null for calls about rows.
    pub input: Value,
    /// Whether it changes something in AWS and is not about rows.
    pub mutates: bool,
    pub outcome: Outcome,
    /// Whether it took effect, whatever the client was told.
    pub executed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer yet.
    Open,
    Answered,
    /// Answered by an error: the HTTP status and the code.
    Refused(u16, String),
    /// The connection was cut in place of an answer.
    Cut,
}

impl Entry {
    pub fn new(call: &Call, at: Timestamp) -> Self {
        let rows = call.is_about_rows();
        Self {
            at,
            instant: Instant::now(),
            scope: call.scope.clone(),
            access_key: call.access_key.clone(),
            service: call.service.clone(),
            operation: call.operation.clone(),
            targets: call.targets.clone(),
            input: if rows { Value::Null } else { call.input.clone() },
            mutates: call.mutates() && !rows,
            outcome: Outcome::Open,
            executed: false,
        }
    }

    pub fn is(&self, operation: &str) -> bool {
        self.operation == operation
    }

    pub fn is_about(&self, target: &str) -> bool {
        self.targets.iter().any(|name| name == target)
    }

    /// A parameter that is text.
    pub fn text(&self, name: &str) -> &str {
        self.input[name].as_str().unwrap_or_default()
    }
}

#[derive(Default)]
pub struct Log {
    pub entries: Vec<Entry>,
    /// Entries before this one were cleared; numbers of entries stay good.
    cleared: usize,
    pub highest_restores: BTreeMap<Scope, usize>,
}

impl Log {
    pub fn begin(&mut self, entry: Entry) -> usize {
        self.entries.push(entry);
        self.cleared + self.entries.len() - 1
    }

    pub fn change(&mut self, number: usize, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = number.checked_sub(self.cleared).and_then(|index| self.entries.get_mut(index)) {
            change(entry);
        }
    }

    pub fn clear(&mut self) {
        self.cleared += self.entries.len();
        self.entries.clear();
        self.highest_restores.clear();
    }

    /// The most calls that came within any such time, to one scope.
    pub fn most_within(&self, operation: &str, span: Duration) -> usize {
        let mut by_scope: BTreeMap<&Scope, Vec<Instant>> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.is(operation)) {
            by_scope.entry(&entry.scope).or_default().push(entry.instant);
        }
        by_scope.values().map(|instants| highest(instants, span)).max().unwrap_or(0)
    }
}

fn highest(instants: &[Instant], span: Duration) -> usize {
    let mut first = 0;
    let mut highest = 0;
    for (index, instant) in instants.iter().enumerate() {
        while *instant - instants[first] >= span {
            first += 1;
        }
        highest = highest.max(index - first + 1);
    }
    highest
}
