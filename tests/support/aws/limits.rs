//! How often an operation may be called a second, in each account's region.

use super::call::{Call, Scope};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// As AWS documents them.
const DOCUMENTED: [(&str, usize); 9] = [
    ("DescribeContinuousBackups", 10),
    ("CreateBackup", 50),
    ("DescribeBackup", 10),
    ("DeleteBackup", 10),
    ("RestoreTableFromBackup", 10),
    ("ListTagsOfResource", 10),
    ("ListBackups", 5),
    ("TagResource", 5),
    ("UntagResource", 5),
];

pub struct Limits {
    rates: BTreeMap<String, usize>,
    admitted: BTreeMap<(Scope, String), VecDeque<Instant>>,
    /// Restores that may run at once in a scope.
    pub restores: usize,
    /// Tables that may be made or deleted at once in a scope.
    pub table_operations: usize,
}

impl Limits {
    pub fn new() -> Self {
        let rates = DOCUMENTED.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect();
        Self { rates, admitted: BTreeMap::new(), restores: 50, table_operations: 500 }
    }

    pub fn set(&mut self, operation: &str, rate: Option<usize>) {
        match rate {
            Some(rate) => self.rates.insert(operation.into(), rate),
            None => self.rates.remove(operation),
        };
    }

    /// Whether the call stays below its rate; then it counts.
    pub fn admit(&mut self, call: &Call, now: Instant) -> bool {
        // TagResource is several services' name
        let limited = if call.service == "dynamodb" { self.rates.get(&call.operation) } else { None };
        let Some(rate) = limited else { return true };
        let key = (call.scope.clone(), call.operation.clone());
        let recent = self.admitted.entry(key).or_default();
        while recent.front().is_some_and(|first| now - *first >= Duration::from_secs(1)) {
            recent.pop_front();
        }
        if recent.len() >= *rate {
            return false;
        }
        recent.push_back(now);
        true
    }
}
