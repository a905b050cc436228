//! At most so many calls a second, for each account, region and operation, whoever calls.

use crate::clock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Calls a second, below what AWS allows ("Service, account, and table quotas in Amazon DynamoDB", and the rates in
/// its API reference): others call too.
const RATES: &[(&str, u32)] = &[
    ("DescribeContinuousBackups", 9),
    ("ListTagsOfResource", 9),
    ("DescribeTimeToLive", 9),
    ("CreateBackup", 20),
    ("DescribeBackup", 9),
    ("DeleteBackup", 9),
    ("ListBackups", 4),
    ("TagResource", 4),
    ("DescribeTable", 50),
    ("DescribeScalableTargets", 5),
    ("DescribeScalingPolicies", 5),
];
/// What nothing is documented for.
const OTHER: u32 = 10;
/// How long an operation is left alone after it was throttled.
const REST: Duration = Duration::from_secs(1);

/// Account, region and operation.
type Key = (String, String, &'static str);

/// Shared by all of a process's accounts. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    next: Arc<Mutex<BTreeMap<Key, Instant>>>,
}

impl Limits {
    /// Waits until one more call may leave. Calls are spread evenly: no burst, so that no second holds more.
    pub async fn wait(&self, account: &str, region: &str, operation: &'static str) {
        let at = self.reserve(account, region, operation, clock::instant());
        tokio::time::sleep_until(at.into()).await;
    }

    fn reserve(&self, account: &str, region: &str, operation: &'static str, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next.entry((account.to_owned(), region.to_owned(), operation)).or_insert(now);
        let at = now.max(*next);
        *next = at + Duration::from_secs(1) / rate(operation);
        at
    }

    /// AWS said that there were too many: the operation rests for a moment.
    pub fn throttled(&self, account: &str, region: &str, operation: &'static str) {
        let until = clock::instant() + REST;
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next.entry((account.to_owned(), region.to_owned(), operation)).or_insert(until);
        *next = (*next).max(until);
    }
}

fn rate(operation: &str) -> u32 {
    RATES.iter().find(|(name, _)| *name == operation).map_or(OTHER, |(_, rate)| *rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_holds_more_calls_than_the_rate_whoever_asks() {
        let (limits, start) = (Limits::default(), clock::instant());
        let reserve = |account| limits.clone().reserve(account, "eu-west-1", "DescribeContinuousBackups", start);
        let at: Vec<Duration> = (0..100).map(|_| reserve("1") - start).collect();
        for (index, first) in at.iter().enumerate() {
            let within = at[index..].iter().filter(|at| **at < *first + Duration::from_secs(1)).count();
            assert!(within <= 10, "{within} calls in the second from {first:?}");
        }
        assert!(at[99] > Duration::from_secs(10) && at[99] < Duration::from_secs(12), "{:?}", at[99]);
        assert_eq!(reserve("2"), start, "another account has its own");
    }
}
