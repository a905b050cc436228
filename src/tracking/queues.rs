//! The queues of restores: no more of them at once in one place than its stores allow.

use crate::config::{Aws, Config, Dynamodb, StoreKind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// By place. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Queues {
    places: Arc<Mutex<BTreeMap<Aws, Queue>>>,
}

struct Queue {
    limit: usize,
    permits: Arc<Semaphore>,
}

impl Queues {
    /// The queue of a store's place; one that is new has the limit that the store asks for.
    pub fn of(&self, store: &Dynamodb) -> Arc<Semaphore> {
        self.places().entry(store.aws.clone()).or_insert_with(|| Queue::new(store.restores_at_once)).permits.clone()
    }

    /// Gives every place the limit that its first store in the config asks for. What is under way stays under way: a
    /// lower limit is reached as it ends.
    pub fn limit(&self, config: &Config) {
        let mut wanted: BTreeMap<&Aws, usize> = BTreeMap::new();
        for store in config.groups.values().flat_map(|group| group.stores.values()) {
            if let StoreKind::Dynamodb(store) = &store.kind {
                wanted.entry(&store.aws).or_insert(store.restores_at_once);
            }
        }
        let mut places = self.places();
        for (place, limit) in wanted {
            places.entry(place.clone()).or_insert_with(|| Queue::new(limit)).set(limit);
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<Aws, Queue>> {
        // Whole between any two statements under the lock.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn new(limit: usize) -> Self {
        Self { limit, permits: Arc::new(Semaphore::new(limit)) }
    }

    fn set(&mut self, limit: usize) {
        let before = std::mem::replace(&mut self.limit, limit);
        self.permits.add_permits(limit.saturating_sub(before));
        let over = before.saturating_sub(limit);
        let taken = u32::try_from(over - self.permits.forget_permits(over)).unwrap_or(u32::MAX);
        if taken > 0 {
            let permits = self.permits.clone();
            // It waits its turn for what is under way, and never gives it back.
            tokio::spawn(async move {
                if let Ok(given_back) = permits.acquire_many_owned(taken).await {
                    given_back.forget();
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lower_limit_is_reached_as_what_is_under_way_ends_and_a_higher_one_at_once() {
        let mut queue = Queue::new(3);
        let mut under_way: Vec<_> = (0..3).map(|_| queue.permits.clone().try_acquire_owned().unwrap()).collect();
        queue.set(1);
        tokio::task::yield_now().await;
        for left in [2, 1] {
            under_way.truncate(left);
            tokio::task::yield_now().await;
            assert_eq!(queue.permits.available_permits(), 0, "{left} under way are the limit or more");
        }
        under_way.clear();
        tokio::task::yield_now().await;
        assert_eq!(queue.permits.available_permits(), 1);
        queue.set(4);
        assert_eq!(queue.permits.available_permits(), 4);
        queue.set(2);
        assert_eq!(queue.permits.available_permits(), 2);
    }
}
