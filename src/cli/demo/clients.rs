//! Clients at a stand-in, and what they feel of its pauses.

use crate::sim::SimMember;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const CLIENTS: usize = 3;
const TRANSACTION: Duration = Duration::from_millis(8);
/// Between two transactions of a client, and before a refused one is tried again.
const THINKING: Duration = Duration::from_millis(40);
/// A transaction that took this much longer than it runs has waited at a closed gate.
const WAITED: Duration = Duration::from_millis(250);

/// Clients that work until this is dropped.
pub(super) struct Clients {
    counts: Arc<Counts>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    refused: AtomicU64,
    waited: AtomicU64,
    longest_milliseconds: AtomicU64,
    cut: AtomicU64,
}

/// What clients felt since this was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Felt {
    pub(super) refused: u64,
    pub(super) waited: u64,
    pub(super) longest: Duration,
    /// Transactions that were lost with a member that died.
    pub(super) cut: u64,
}

impl Clients {
    pub(super) fn start(member: &Arc<SimMember>, refuses: bool) -> Self {
        let counts = Arc::new(Counts::default());
        let one = |_| tokio::spawn(work(member.clone(), counts.clone(), refuses));
        let tasks = (0..CLIENTS).map(one).collect();
        Self { counts, tasks }
    }

    pub(super) fn felt(&self) -> Felt {
        Felt {
            refused: self.counts.refused.swap(0, Ordering::Relaxed),
            waited: self.counts.waited.swap(0, Ordering::Relaxed),
            longest: Duration::from_millis(self.counts.longest_milliseconds.swap(0, Ordering::Relaxed)),
            cut: self.counts.cut.swap(0, Ordering::Relaxed),
        }
    }
}

impl Felt {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            refused: self.refused + other.refused,
            waited: self.waited + other.waited,
            longest: self.longest.max(other.longest),
            cut: self.cut + other.cut,
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn work(member: Arc<SimMember>, counts: Arc<Counts>, refuses: bool) {
    loop {
        let began = crate::clock::instant();
        let done = member.transact(TRANSACTION).await;
        let took = began.elapsed();
        match done {
            true if took > WAITED => {
                counts.waited.fetch_add(1, Ordering::Relaxed);
                let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                counts.longest_milliseconds.fetch_max(milliseconds, Ordering::Relaxed);
            }
            true => {}
            // A refusal comes at once; a transaction whose member dies under it is told so at its end.
            false if refuses && took < TRANSACTION => {
                counts.refused.fetch_add(1, Ordering::Relaxed);
            }
            false => {
                counts.cut.fetch_add(1, Ordering::Relaxed);
            }
        }
        tokio::time::sleep(THINKING).await;
    }
}
