//! Follows restore points in their stores until they can be restored, materializes them, and watches them until they
//! expire. `track.rs`, `copy.rs`, `runner.rs`, `keep.rs` and `names.rs` decide and do no IO; `follow.rs` is the loop of one store.

mod asked;
pub mod copy;
mod follow;
pub mod keep;
pub mod names;
mod queues;
pub mod runner;
mod sweep;
pub mod track;
mod work;

pub use asked::{Act, Command, Refusal};
pub use follow::Follower;

use crate::aws::Aws;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{Config, Dynamodb};
use crate::observe::Metrics;
use queues::Queues;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What all followers share. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    pub clock: Clock,
    pub catalog: Catalog,
    pub metrics: Arc<Metrics>,
    pub aws: Aws,
    queues: Queues,
}

impl Shared {
    #[must_use]
    pub fn new(clock: Clock, catalog: Catalog, metrics: Arc<Metrics>, aws: Aws) -> Self {
        Self { clock, catalog, metrics, aws: aws.giving_way(), queues: Queues::default() }
    }

    /// The queue of restores of one place: no more of them at once than the first store there allows.
    fn slots(&self, store: &Dynamodb) -> Arc<Semaphore> {
        self.queues.of(store)
    }

    /// The queues of restores are as long from here on as this config says.
    pub fn limit(&self, config: &Config) {
        self.queues.limit(config);
    }
}
