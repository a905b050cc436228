//! Follows restore points in their stores until they can be restored, materializes them, and watches them until they
//! expire. `track.rs`, `copy.rs`, `runner.rs`, `keep.rs` and `names.rs` decide and do no IO; `follow.rs` is the loop of one store.

mod asked;
pub mod copy;
mod follow;
pub mod keep;
pub mod names;
pub mod runner;
mod sweep;
pub mod track;
mod work;

pub use asked::{Act, Command, Refusal};
pub use follow::Follower;

use crate::aws::Aws;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config;
use crate::observe::Metrics;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// What all followers share. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    pub clock: Clock,
    pub catalog: Catalog,
    pub metrics: Arc<Metrics>,
    pub aws: Aws,
    slots: Arc<Mutex<BTreeMap<config::Aws, Arc<Semaphore>>>>,
}

impl Shared {
    #[must_use]
    pub fn new(clock: Clock, catalog: Catalog, metrics: Arc<Metrics>, aws: Aws) -> Self {
        Self { clock, catalog, metrics, aws: aws.giving_way(), slots: Arc::default() }
    }

    /// The queue of restores of one place: no more of them at once than the first store there allows.
    fn slots(&self, store: &config::Dynamodb) -> Arc<Semaphore> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(store.aws.clone()).or_insert_with(|| Arc::new(Semaphore::new(store.restores_at_once)));
        slot.clone()
    }
}
