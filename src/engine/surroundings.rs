//! What a window is told of besides its members' answers: who they are now, and what Kubernetes sees of their pods.

use super::find::Finder;
use crate::config::Group;
use crate::domain::{Code, Member, Reason};
use crate::kubernetes::{Census, Change, Watch};
use crate::window::{Input, POD_DEADLINE};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many changes may wait to be read; the first one voids the window.
const CHANGES: usize = 16;
/// How long proving that the watch missed nothing may take.
const ESTABLISH_DEADLINE: Duration = Duration::from_secs(5);
const CATCH_UP_DEADLINE: Duration = Duration::from_secs(8);

/// A window's way to the members' whereabouts.
pub(super) struct Surroundings {
    finder: Finder,
    group: String,
    /// None for a window that a dead process left: it needs no census any more.
    config: Option<Arc<Group>>,
    watch: Option<Arc<Watch>>,
    changes: Option<mpsc::Receiver<Change>>,
}

impl Surroundings {
    /// Watches the members' pods from when they were found on.
    pub fn new(finder: Finder, group: &Group, census: Option<&Census>) -> Self {
        let (sender, changes) = mpsc::channel(CHANGES);
        let watch = census.map(|census| Arc::new(finder.kubernetes.watch(census, &sender)));
        let changes = watch.is_some().then_some(changes);
        Self { finder, group: group.name.clone(), config: Some(Arc::new(group.clone())), watch, changes }
    }

    /// Waits until the watch stands.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn established(&self) -> Result<(), Reason> {
        match &self.watch {
            Some(watch) => watch.established(ESTABLISH_DEADLINE).await,
            None => Ok(()),
        }
    }

    /// Those of a window that a dead process left.
    pub fn recovered(finder: Finder, group: String) -> Self {
        Self { finder, group, config: None, watch: None, changes: None }
    }

    /// The next change that Kubernetes tells of.
    pub async fn changed(&mut self) -> Change {
        if let Some(changes) = &mut self.changes
            && let Some(change) = changes.recv().await
        {
            return change;
        }
        std::future::pending().await
    }

    /// Finds the members again; `after` the window, with proof that the watch missed nothing in between.
    pub fn census(&self, after: bool) -> BoxFuture<'static, Input> {
        let (finder, group, watch) = (self.finder.clone(), self.config.clone(), self.watch.clone());
        Box::pin(async move {
            let found = match group {
                Some(group) => census(&finder, &group, watch.filter(|_| after)).await,
                None => Err(Reason::new(Code::Interrupted, "recovered")),
            };
            Input::Census(found)
        })
    }

    /// Asks which members' pods are gone.
    pub fn pods(&self, members: Arc<[Member]>) -> BoxFuture<'static, Input> {
        let (finder, group) = (self.finder.clone(), self.group.clone());
        Box::pin(async move { Input::Pods(finder.gone(&group, &members, POD_DEADLINE).await) })
    }
}

async fn census(finder: &Finder, group: &Group, watch: Option<Arc<Watch>>) -> Result<Vec<Member>, Reason> {
    let found = finder.find(group).await?;
    if let (Some(watch), Some(census)) = (watch, &found.census) {
        watch.catch_up(census, CATCH_UP_DEADLINE).await?;
    }
    match found.against.into_iter().next() {
        Some(reason) => Err(reason),
        None => Ok(found.members),
    }
}
