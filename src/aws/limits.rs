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

/// How long before it a call of a window is taken for the sign that more of them follow.
const MORE_FOLLOW: Duration = Duration::from_secs(1);
/// How long a call gives way to windows: longer than a thousand tables take before one.
const GIVES_WAY_FOR: Duration = Duration::from_secs(180);

/// Account, region and operation.
type Key = (String, String, &'static str);

/// Shared by all of a process's accounts. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    paces: Arc<Mutex<BTreeMap<Key, Pace>>>,
}

#[derive(Debug)]
struct Pace {
    /// When the next call may leave.
    next: Instant,
    /// Until when calls of windows are expected; others give way.
    windows: Instant,
}

impl Limits {
    /// Waits until one more call may leave. Calls are spread evenly: no burst, so that no second holds more. One that
    /// `gives_way` waits, but not for ever, while windows ask for the same: they have to be ready at their slot.
    pub async fn wait(&self, account: &str, region: &str, operation: &'static str, gives_way: bool) {
        let patience = gives_way.then(|| clock::instant() + GIVES_WAY_FOR);
        loop {
            match self.reserve(account, region, operation, patience, clock::instant()) {
                Ok(at) => return tokio::time::sleep_until(at.into()).await,
                Err(again) => tokio::time::sleep_until(again.into()).await,
            }
        }
    }

    /// When a call may leave; or, for one that gives way until `patience`, when to ask again, and nothing is reserved.
    fn reserve(
        &self,
        account: &str,
        region: &str,
        operation: &'static str,
        patience: Option<Instant>,
        now: Instant,
    ) -> Result<Instant, Instant> {
        self.pace(account, region, operation, now, |pace| {
            if let Some(again) = patience.map(|patience| pace.windows.min(patience)).filter(|again| *again > now) {
                return Err(again);
            }
            let at = now.max(pace.next);
            pace.next = at + Duration::from_secs(1) / rate(operation);
            if patience.is_none() {
                pace.windows = at + MORE_FOLLOW;
            }
            Ok(at)
        })
    }

    /// AWS said that there were too many: the operation rests for a moment.
    pub fn throttled(&self, account: &str, region: &str, operation: &'static str) {
        let now = clock::instant();
        self.pace(account, region, operation, now, |pace| pace.next = pace.next.max(now + REST));
    }

    fn pace<T>(
        &self,
        account: &str,
        region: &str,
        operation: &'static str,
        now: Instant,
        with: impl FnOnce(&mut Pace) -> T,
    ) -> T {
        // Whole between any two statements under the lock.
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (account.to_owned(), region.to_owned(), operation);
        with(paces.entry(key).or_insert(Pace { next: now, windows: now }))
    }
}

fn rate(operation: &str) -> u32 {
    RATES.iter().find(|(name, _)| *name == operation).map_or(OTHER, |(_, rate)| *rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: &str = "DescribeContinuousBackups";

    #[test]
    fn no_second_holds_more_calls_than_the_rate_whoever_asks() {
        let (limits, start) = (Limits::default(), clock::instant());
        let reserve = |account| limits.clone().reserve(account, "eu-west-1", LOOK, None, start).unwrap();
        let at: Vec<Duration> = (0..100).map(|_| reserve("1") - start).collect();
        for (index, first) in at.iter().enumerate() {
            let within = at[index..].iter().filter(|at| **at < *first + Duration::from_secs(1)).count();
            assert!(within <= 10, "{within} calls in the second from {first:?}");
        }
        assert!(at[99] > Duration::from_secs(10) && at[99] < Duration::from_secs(12), "{:?}", at[99]);
        assert_eq!(reserve("2"), start, "another account has its own");
    }

    #[test]
    fn looks_give_way_to_a_window_that_asks_for_the_same() {
        let (limits, start) = (Limits::default(), clock::instant());
        let reserve = |patience, now| limits.reserve("1", "eu-west-1", LOOK, patience, now);
        let patience = Some(start + GIVES_WAY_FOR);
        // As a store does it: so many are under way, and each that leaves lets another one in.
        let mut under_way: std::collections::VecDeque<Instant> =
            (0..32).filter_map(|_| reserve(None, start).ok()).collect();
        let (mut left, mut now) = (1_000 - under_way.len(), start);
        while let Some(leaves) = under_way.pop_front() {
            let again = reserve(patience, now).expect_err("it gives way");
            assert!(again > now && again <= now + Duration::from_secs(5), "and asks again soon");
            now = leaves;
            if left > 0 {
                under_way.extend(reserve(None, now));
                left -= 1;
            }
        }
        assert!(now - start < Duration::from_secs(112), "the window waited for looks: {:?}", now - start);
        assert!(reserve(patience, now + MORE_FOLLOW).is_ok(), "after the window it is their turn");
    }

    #[test]
    fn looks_do_not_give_way_for_ever() {
        let (limits, start) = (Limits::default(), clock::instant());
        let reserve = |patience, now| limits.reserve("1", "eu-west-1", LOOK, patience, now);
        let patience = start + GIVES_WAY_FOR;
        for _ in 0..10_000 {
            reserve(None, start).unwrap();
        }
        assert_eq!(reserve(Some(patience), start), Err(patience), "windows are expected for longer than that");
        assert!(reserve(Some(patience), patience).is_ok());
    }
}
