//! One follower a store at a time, told of new restore points and of what people ask.

use super::Service;
use crate::config::{Config, Group, Store};
use crate::stores::open;
use crate::tracking::{Act, Command, Follower, Refusal, Shared};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How many commands may wait for a follower that is looking at its store.
const COMMANDS: usize = 16;
/// How long a command may wait: a store of a thousand tables is looked at for two minutes.
const COMMAND_DEADLINE: Duration = Duration::from_secs(240);

/// By group and store.
type Lines = BTreeMap<(String, String), mpsc::Sender<Command>>;

/// The followers of a process. Cheap to clone.
#[derive(Clone)]
pub struct Followers {
    shared: Shared,
    commands: Arc<Mutex<Lines>>,
    news: Arc<watch::Sender<u64>>,
}

impl Followers {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared, commands: Arc::default(), news: Arc::new(watch::Sender::new(0)) }
    }

    /// A follower for a store of the group, which is told from here on what people ask. The one before it must have
    /// ended when this one runs.
    pub fn follower(&self, group: &Arc<Group>, store: &Store) -> Follower {
        let (sender, receiver) = mpsc::channel(COMMANDS);
        let key = (group.name.clone(), store.name.clone());
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).insert(key, sender);
        let way = open(store, &self.shared.aws);
        let (shared, news) = (self.shared.clone(), self.news.subscribe());
        Follower::new(shared, group.clone(), store.clone(), way, receiver, news)
    }

    /// No more restores at once from here on than this config says.
    pub fn limit(&self, config: &Config) {
        self.shared.limit(config);
    }

    /// There may be a new restore point.
    pub fn wake(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    /// Carries out what a person asks of a restore point, in every store of its group; by store: what came of it.
    pub async fn act(&self, group: &Group, window: &str, act: Act) -> BTreeMap<String, Result<(), Refusal>> {
        let mut answers = BTreeMap::new();
        for store in group.stores.keys() {
            let answer = self.ask(&group.name, store, window, act).await;
            answers
                .insert(store.clone(), answer.unwrap_or_else(|| Err(Refusal("its follower does not answer".into()))));
        }
        answers
    }

    async fn ask(&self, group: &str, store: &str, window: &str, act: Act) -> Option<Result<(), Refusal>> {
        let key = (group.to_owned(), store.to_owned());
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner).get(&key)?.clone();
        let (reply, answer) = oneshot::channel();
        let command = Command { window: window.to_owned(), act, reply };
        commands.try_send(command).ok()?;
        tokio::time::timeout(COMMAND_DEADLINE, answer).await.ok()?.ok()
    }
}

impl Service {
    /// Whether a window's restore point needs nothing more of anybody, in any store.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn at_rest(&self, window: &str) -> Result<bool, crate::catalog::CatalogError> {
        use crate::tracking::track::State;
        let tracks = self.engine.catalog.tracks(window).await?;
        Ok(!tracks.iter().any(|track| matches!(track.state, State::Materializing | State::Expiring)))
    }
}
