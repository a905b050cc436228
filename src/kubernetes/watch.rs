//! Watches from a census on, without a gap.

use super::census::{Census, Survey};
use super::client::{Ground, chain};
use super::{Change, Kubernetes, facts};
use crate::domain::{Code, Reason};
use futures_util::{
    StreamExt,
    future::{join_all, try_join_all},
};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// After this many seconds the API server ends a watch, and it is resumed.
const LASTS: u32 = 30;
/// The same while catching up: the API server's watch cache sends a bookmark 2 s before the end (its cacher's
/// `nextBookmarkTime`), about each second; measured: 0.55 s from the first unpause to a verdict that needed it.
const LASTS_CATCHING_UP: u32 = 3;
/// While catching up, how often the API server is made to learn of its newest version. A bookmark is sent only of a version
/// that is newer than what its watch cache knew when the request began (cacher's `processInterval`), and where nothing of
/// the kind changes, a consistent list alone makes the cache look at etcd's progress.
const NUDGE_EVERY: Duration = Duration::from_secs(1);
/// How much longer than that a silent connection is believed in.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(2);
const GONE: u16 = 410;

/// Watches a group's pods and workloads; dropped, it ends.
pub struct Watch {
    streams: Vec<Stream>,
    _tasks: JoinSet<()>,
}

struct Stream {
    survey: usize,
    what: What,
    progress: Arc<Progress>,
}

/// What one stream watches.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// By the selector that names them.
    Pods(String),
    Deployments,
    StatefulSets,
}

/// How far a stream has come.
struct Progress {
    /// The resource version up to which every event was seen.
    version: watch::Sender<u64>,
    /// What came of its last request; none: the first one is on its way.
    stands: watch::Sender<Option<Result<(), String>>>,
    hurry: Notify,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// The first change, or the gap.
    against: Option<Reason>,
}

impl Progress {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        // Whole between any two statements under the lock.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kubernetes {
    /// Watches from the census' resource versions on; each change that matters is sent. Must be called within a tokio
    /// runtime.
    pub fn watch(&self, census: &Census, changes: &mpsc::Sender<Change>) -> Watch {
        let mut watch = Watch { streams: Vec::new(), _tasks: JoinSet::new() };
        for (index, survey) in census.surveys.iter().enumerate() {
            for (selector, version) in &survey.pods {
                let baseline = survey.baseline.clone();
                let judge = move |pod: &Pod, deleted| baseline.pod_event(pod, deleted);
                watch.follow(index, survey, What::Pods(selector.clone()), version, changes, judge);
            }
            let baseline = survey.baseline.clone();
            let judge = move |it: &Deployment, deleted| baseline.workload_event(&facts::deployment(it), deleted);
            watch.follow(index, survey, What::Deployments, &survey.deployments, changes, judge);
            let baseline = survey.baseline.clone();
            let judge = move |it: &StatefulSet, deleted| baseline.workload_event(&facts::stateful_set(it), deleted);
            watch.follow(index, survey, What::StatefulSets, &survey.stateful_sets, changes, judge);
        }
        watch
    }
}

impl Watch {
    fn follow<K>(
        &mut self,
        survey: usize,
        Survey { ground, .. }: &Survey,
        what: What,
        version: &str,
        changes: &mpsc::Sender<Change>,
        judge: impl Fn(&K, bool) -> Option<Change> + Send + Sync + 'static,
    ) where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + 'static,
    {
        let (sender, _) = watch::channel(version.parse().unwrap_or_default());
        let (stands, _) = watch::channel(None);
        let progress = Arc::new(Progress { version: sender, stands, hurry: Notify::new(), told: Mutex::default() });
        let selector = if let What::Pods(selector) = &what { selector.clone() } else { String::new() };
        let follower = Follower {
            ground: ground.clone(),
            selector,
            version: version.to_owned(),
            catching_up: false,
            progress: progress.clone(),
            changes: changes.clone(),
        };
        self._tasks.spawn(follower.run(judge));
        self.streams.push(Stream { survey, what, progress });
    }

    /// Waits until every stream stands, so that a watch that cannot be had refuses a window before anything is paused.
    ///
    /// # Errors
    /// `discovery`: why one does not stand.
    pub async fn established(&self, deadline: Duration) -> Result<(), Reason> {
        let stands = join_all(self.streams.iter().map(Stream::stands));
        let within = tokio::time::timeout(deadline, stands).await;
        let problem = match within {
            Ok(_) => self.streams.iter().find_map(Stream::problem),
            Err(_) => Some(format!("a watch did not begin within {deadline:?}")),
        };
        problem.map_or(Ok(()), |problem| Err(Reason::new(Code::Discovery, problem)))
    }

    /// Shows that nothing was missed up to a later census of the same group.
    ///
    /// Resource versions of one resource type are compared as numbers (Kubernetes API Concepts, "Resource versions").
    ///
    /// # Errors
    /// The first change that was seen; `watch_gap` when it cannot be shown within the deadline.
    pub async fn catch_up(&self, census: &Census, deadline: Duration) -> Result<(), Reason> {
        let gap = |why: &str| Reason::new(Code::WatchGap, format!("what changed in the window is not known: {why}"));
        let mut waits = Vec::new();
        for stream in &self.streams {
            let version = census.surveys.get(stream.survey).and_then(|survey| match &stream.what {
                What::Pods(selector) => survey.pods.iter().find(|(by, _)| by == selector).map(|(_, version)| version),
                What::Deployments => Some(&survey.deployments),
                What::StatefulSets => Some(&survey.stateful_sets),
            });
            let Some(goal) = version.and_then(|version| version.parse::<u64>().ok()) else {
                return Err(gap("the API server's resource versions are no numbers"));
            };
            waits.push(stream.reached(goal));
        }
        let caught_up = tokio::time::timeout(deadline, try_join_all(waits)).await;
        for stream in &self.streams {
            if let Some(against) = &stream.progress.told().against {
                return Err(against.clone());
            }
        }
        match caught_up {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(())) => Err(gap("the watch has ended")),
            Err(_) => {
                let problem = self.streams.iter().find_map(Stream::problem);
                Err(gap(&problem.unwrap_or_else(|| format!("the watch did not catch up within {deadline:?}"))))
            }
        }
    }
}

impl Stream {
    async fn stands(&self) {
        // An error means that it ended, which its problem or its change tells.
        let _ = self.progress.stands.subscribe().wait_for(Option::is_some).await;
    }

    fn problem(&self) -> Option<String> {
        self.progress.stands.borrow().as_ref().and_then(|stands| stands.as_ref().err()).cloned()
    }

    async fn reached(&self, goal: u64) -> Result<(), ()> {
        let mut version = self.progress.version.subscribe();
        if *version.borrow() < goal {
            self.progress.hurry.notify_one();
        }
        version.wait_for(|version| *version >= goal).await.map(drop).map_err(drop)
    }
}

/// The task behind one stream.
struct Follower {
    ground: Ground,
    selector: String,
    /// Where the next request begins.
    version: String,
    catching_up: bool,
    progress: Arc<Progress>,
    changes: mpsc::Sender<Change>,
}

/// Why a request's events ended.
enum Ended {
    /// The API server or the wish to catch up ended it: it is resumed at once.
    InOrder,
    /// It is resumed after a while.
    Problem(String),
    /// The API server no longer has the events since the last one.
    Gap,
}

impl Follower {
    async fn run<K>(mut self, judge: impl Fn(&K, bool) -> Option<Change> + Send + Sync)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug + Send,
    {
        let mut delay = FIRST_RETRY;
        loop {
            match self.request(&judge).await {
                Ended::InOrder => delay = FIRST_RETRY,
                Ended::Problem(problem) => {
                    self.progress.stands.send_replace(Some(Err(problem)));
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(LONGEST_RETRY);
                }
                Ended::Gap => {
                    let sentence = format!("{}: the API server no longer has the changes since", self.ground.place());
                    let reason = Reason::new(Code::WatchGap, sentence);
                    self.tell(Change { uid: None, reason });
                    return;
                }
            }
        }
    }

    fn tell(&self, change: Change) {
        self.progress.told().against.get_or_insert_with(|| change.reason.clone());
        // Nobody has to wait any longer for this stream.
        self.progress.version.send_replace(u64::MAX);
        // A full queue holds sixteen changes already, each of which voids the window.
        let _ = self.changes.try_send(change);
    }

    async fn request<K>(&mut self, judge: &(impl Fn(&K, bool) -> Option<Change> + Send + Sync)) -> Ended
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug + Send,
    {
        let lasts = if self.catching_up { LASTS_CATCHING_UP } else { LASTS };
        let mut params = WatchParams::default().timeout(lasts);
        if !self.selector.is_empty() {
            params = params.labels(&self.selector);
        }
        let api = self.ground.api::<K>();
        let events = match tokio::time::timeout(PATIENCE, api.watch(&params, &self.version)).await {
            Ok(Ok(events)) => events,
            Ok(Err(error)) => return self.failed(&error),
            Err(_) => return Ended::Problem(format!("{} did not answer", self.ground.server.url)),
        };
        self.progress.stands.send_replace(Some(Ok(())));
        let mut events = std::pin::pin!(events);
        let patience = Duration::from_secs(lasts.into()) + PATIENCE;
        let mut heard = false;
        loop {
            let event = tokio::select! {
                event = tokio::time::timeout(patience, events.next()) => event,
                () = self.progress.hurry.notified() => {
                    self.catching_up = true;
                    return Ended::InOrder;
                }
                () = tokio::time::sleep(NUDGE_EVERY), if self.catching_up => {
                    // What it says does not matter.
                    let _ = tokio::time::timeout(PATIENCE, api.list_metadata(&ListParams::default().limit(1))).await;
                    continue;
                }
            };
            heard |= matches!(event, Ok(Some(Ok(_))));
            let (object, deleted) = match event {
                Err(_) => return Ended::Problem(format!("{} fell silent", self.ground.server.url)),
                // Without even a bookmark it did not last as long as it was to: no reason to ask again at once.
                Ok(None) if !heard => {
                    return Ended::Problem(format!("{} ended a watch", self.ground.server.url));
                }
                Ok(None) => return Ended::InOrder,
                Ok(Some(Err(error))) => return self.failed(&error),
                Ok(Some(Ok(WatchEvent::Error(status)))) => return self.failed(&kube::Error::Api(status)),
                Ok(Some(Ok(WatchEvent::Bookmark(bookmark)))) => {
                    self.seen(bookmark.metadata.resource_version);
                    continue;
                }
                Ok(Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)))) => (object, false),
                Ok(Some(Ok(WatchEvent::Deleted(object)))) => (object, true),
            };
            if let Some(change) = judge(&object, deleted) {
                self.tell(change);
            }
            self.seen(object.resource_version().unwrap_or_default());
        }
    }

    /// Everything up to this version was seen, and judged.
    fn seen(&mut self, version: String) {
        if let Ok(number) = version.parse() {
            self.progress.version.send_if_modified(|known| {
                *known < number && {
                    *known = number;
                    true
                }
            });
        }
        self.version = version;
    }

    fn failed(&self, error: &kube::Error) -> Ended {
        match error {
            kube::Error::Api(status) if status.code == GONE => Ended::Gap,
            kube::Error::Api(_) => Ended::Problem(self.ground.problem(error).sentence),
            other => Ended::Problem(chain(other)),
        }
    }
}
