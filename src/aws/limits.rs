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

/// After a call of a window, more of them are expected for this long: longer than [`REST`].
const MORE_FOLLOW: Duration = Duration::from_secs(2);
/// How long a call gives way to windows: longer than a thousand tables take before one.
const GIVES_WAY_FOR: Duration = Duration::from_secs(180);

/// Account, region and operation.
type Key = (String, String, &'static str);

/// Shared by all of a process's accounts. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    paces: Arc<Mutex<BTreeMap<Key, Arc<Pace>>>>,
}

#[derive(Debug)]
struct Pace {
    /// Whoever holds it is the next to leave.
    turn: tokio::sync::Mutex<()>,
    times: Mutex<Times>,
}

#[derive(Debug)]
struct Times {
    /// When the next call may leave.
    next: Instant,
    /// Until when calls of windows are expected.
    windows: Instant,
}

impl Limits {
    /// Waits until one more call may leave. Calls are spread evenly, by when they really left: no burst, not even after
    /// a stall of this process. One that `gives_way` waits, but not for ever, while windows ask for the same: they have
    /// to be ready at their slot.
    pub async fn wait(&self, account: &str, region: &str, operation: &'static str, gives_way: bool) {
        let (pace, patience) = (self.pace(account, region, operation), clock::instant() + GIVES_WAY_FOR);
        loop {
            if !gives_way {
                pace.more_follow();
            } else if let Some(windows) = pace.gives_way(patience) {
                tokio::time::sleep_until(windows.into()).await;
            }
            let turn = pace.turn.lock().await;
            if gives_way && pace.gives_way(patience).is_some() {
                continue;
            }
            pace.leave(operation).await;
            drop(turn);
            if !gives_way {
                pace.more_follow();
            }
            return;
        }
    }

    /// AWS said that there were too many: the operation rests for a moment.
    pub fn throttled(&self, account: &str, region: &str, operation: &'static str) {
        let pace = self.pace(account, region, operation);
        let mut times = pace.times();
        times.next = times.next.max(clock::instant() + REST);
    }

    fn pace(&self, account: &str, region: &str, operation: &'static str) -> Arc<Pace> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        paces.entry((account.to_owned(), region.to_owned(), operation)).or_default().clone()
    }
}

impl Default for Pace {
    fn default() -> Self {
        let now = clock::instant();
        Self { turn: tokio::sync::Mutex::default(), times: Mutex::new(Times { next: now, windows: now }) }
    }
}

impl Pace {
    async fn leave(&self, operation: &str) {
        loop {
            let next = self.times().next;
            if next <= clock::instant() {
                break;
            }
            tokio::time::sleep_until(next.into()).await;
        }
        self.times().next = clock::instant() + Duration::from_secs(1) / rate(operation);
    }

    fn more_follow(&self) {
        self.times().windows = clock::instant() + MORE_FOLLOW;
    }

    /// Until when a call waits for those of windows; none: it need not.
    fn gives_way(&self, patience: Instant) -> Option<Instant> {
        let until = self.times().windows.min(patience);
        (until > clock::instant()).then_some(until)
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        // Whole between any two statements under the lock.
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rate(operation: &str) -> u32 {
    RATES.iter().find(|(name, _)| *name == operation).map_or(OTHER, |(_, rate)| *rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::cell::Cell;

    /// The quickest of all.
    const LOOK: &str = "DescribeTable";

    async fn wait(limits: &Limits, account: &str, gives_way: bool) -> Instant {
        limits.wait(account, "eu-west-1", LOOK, gives_way).await;
        clock::instant()
    }

    #[tokio::test]
    async fn no_second_holds_more_calls_than_the_rate_whoever_asks_and_after_a_stall() {
        let limits = Limits::default();
        let calls = join_all((0..100).map(|number| wait(&limits, "1", number % 2 == 0)));
        // The process hangs: many calls are due at once when it goes on.
        let stall = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            std::thread::sleep(Duration::from_millis(500));
        };
        let (mut at, ()) = tokio::join!(calls, stall);
        at.sort_unstable();
        for (index, first) in at.iter().enumerate() {
            let within = at[index..].iter().filter(|at| **at < *first + Duration::from_secs(1)).count();
            assert!(within <= 51, "{within} calls in the second from the {index}th on");
        }
        let now = clock::instant();
        limits.wait("2", "eu-west-1", LOOK, false).await;
        assert!(clock::instant() < now + Duration::from_secs(1) / 50, "another account has its own");
    }

    #[tokio::test]
    async fn looks_give_way_to_a_window_that_asks_for_the_same() {
        let (limits, looked) = (Limits::default(), Cell::new(0));
        let looks = join_all((0..50).map(|_| async {
            wait(&limits, "1", true).await;
            looked.set(looked.get() + 1);
        }));
        let window = async {
            // The looks are under way already, and everyone is in the queue for its turn.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let before = looked.get();
            for _ in 0..3 {
                join_all((0..32).map(|_| wait(&limits, "1", false))).await;
            }
            assert!(looked.get() <= before + 1, "looks were sent while the window asked");
        };
        tokio::join!(looks, window);
        assert_eq!(looked.get(), 50, "after the window it is their turn");
    }

    #[tokio::test]
    async fn looks_do_not_give_way_for_ever() {
        let (pace, now) = (Pace::default(), clock::instant());
        pace.more_follow();
        assert!(pace.gives_way(now + GIVES_WAY_FOR).is_some());
        assert_eq!(pace.gives_way(now), None, "its patience is at an end");
    }
}
