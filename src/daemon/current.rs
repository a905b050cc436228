//! One group as the config has it now.

use crate::config::{Group, Schedule};
use crate::engine::{Engine, Finder};
use jiff::Timestamp;
use std::time::Duration;
use tokio::sync::watch;

/// A group by name, and the news of it. Cheap to clone.
#[derive(Clone)]
pub struct Current {
    environments: watch::Receiver<Finder>,
    name: String,
}

impl Current {
    #[must_use]
    pub fn new(engine: &Engine, name: &str) -> Self {
        Self { environments: engine.environments(), name: name.to_owned() }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The group; none: it is in the config no more.
    #[must_use]
    pub fn group(&self) -> Option<Group> {
        self.environments.borrow().config().groups.get(&self.name).cloned()
    }

    /// The group and its schedule, as long as they have the slot.
    #[must_use]
    pub fn with_slot(&self, slot: Timestamp) -> Option<(Group, Schedule)> {
        let group = self.group()?;
        let schedule = group.schedule.clone().filter(|schedule| schedule.slots.has(slot))?;
        Some((group, schedule))
    }

    /// Comes back when the group is another one than this, or none.
    pub async fn changed(&self, from: &Group) {
        let mut environments = self.environments.clone();
        let other = |finder: &Finder| finder.config().groups.get(&self.name) != Some(from);
        if environments.wait_for(other).await.is_err() {
            // The engine is gone, and this task with it.
            std::future::pending::<()>().await;
        }
    }

    /// Waits; ends early when the slot is gone from the group.
    pub async fn wait_for_slot(&self, wait: Duration, slot: Timestamp) {
        let gone = async {
            while let Some((group, _)) = self.with_slot(slot) {
                self.changed(&group).await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = gone => {}
        }
    }
}
