//! The daemon: schedules, supervision, shutdown, and the socket that the commands speak to.

pub mod attempts;
pub mod client;
pub mod control;
mod coverage;
pub mod rescue;
pub mod run;
pub mod schedule;
mod sweeps;
mod watch;

use crate::config::Group;
use crate::engine::{Busy, Engine, Handle, Order};

/// What the daemon and the commands without a daemon work with. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub engine: Engine,
}

impl Service {
    /// Begins a window of the group, and tells log and metrics of it.
    ///
    /// # Errors
    /// The group is in a window, or the daemon is stopping.
    pub fn begin(&self, group: &Group, order: Order) -> Result<Handle, Busy> {
        let handle = self.engine.begin(group, order)?;
        self.watch(&group.name, &handle);
        Ok(handle)
    }

    /// Tells log and metrics of a window that was begun.
    pub fn watch(&self, group: &str, handle: &Handle) {
        tokio::spawn(watch::watch(self.engine.metrics.clone(), group.to_owned(), handle.clone()));
    }
}
