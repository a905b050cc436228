//! Events on the workloads that a window closes and opens, where `kubectl describe` and `kubectl get events` show them.

use super::client::{Ground, Kubernetes};
use crate::config::{self, Cluster, Namespace, Source};
use crate::domain::{Member, Pod};
use futures_util::future::join_all;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one event may take to be written.
const DEADLINE: Duration = Duration::from_secs(3);
/// How many are written at the same time.
const AT_ONCE: usize = 16;
/// The API server takes no longer note (Kubernetes API reference, events.k8s.io/v1, "note").
const LONGEST_NOTE: usize = 1_024;

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The machine's word, such as `WindowConsistent`.
    pub reason: &'static str,
    /// What was done.
    pub action: &'static str,
    /// For people.
    pub note: String,
    pub warning: bool,
}

/// The daemon's own pod, as the downward API tells it in `POD_NAMESPACE`, `POD_NAME` and `POD_UID`.
#[derive(Debug, Clone)]
pub struct OwnPod {
    namespace: String,
    name: String,
    uid: Option<String>,
}

impl OwnPod {
    /// None: it runs in no pod, or is not told which.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Some(Self { namespace: variable("POD_NAMESPACE")?, name: variable("POD_NAME")?, uid: variable("POD_UID") })
    }
}

impl Kubernetes {
    /// Publishes the news on what keeps these members running, once each. `cluster` gives a cluster's config by its
    /// name.
    ///
    /// # Errors
    /// Why the first one that failed did; the others were tried all the same.
    pub async fn tell_workloads<'a>(
        &self,
        cluster: impl Fn(&str) -> Option<&'a Cluster>,
        members: &[Member],
        news: &News,
    ) -> Result<(), String> {
        let mut wanted: BTreeMap<(&Namespace, (&str, &str)), ObjectReference> = BTreeMap::new();
        for member in members {
            if let (Some(pod), Some(Source::Kubernetes(config::Kubernetes { namespace, .. }))) =
                (&member.pod, cluster(&member.cluster).map(|cluster| &cluster.source))
            {
                let (identity, regarding) = regarding(member, pod);
                wanted.entry((namespace, identity)).or_insert(regarding);
            }
        }
        let mut told = Ok(());
        let wanted: Vec<(&Namespace, ObjectReference)> =
            wanted.into_iter().map(|((namespace, _), regarding)| (namespace, regarding)).collect();
        for some in wanted.chunks(AT_ONCE) {
            let these = some.iter().map(|(namespace, regarding)| self.publish(namespace, regarding, news));
            for result in join_all(these).await {
                told = told.and(result);
            }
        }
        told
    }

    /// Publishes the news on the daemon's own pod.
    ///
    /// # Errors
    /// Why it could not.
    pub async fn tell_own_pod(&self, pod: &OwnPod, news: &News) -> Result<(), String> {
        let namespace = Namespace { kubeconfig: None, context: None, eks: None, name: Some(pod.namespace.clone()) };
        let regarding = reference(("v1", "Pod", &pod.name), &pod.namespace, pod.uid.clone());
        self.publish(&namespace, &regarding, news).await
    }

    async fn publish(&self, namespace: &Namespace, regarding: &ObjectReference, news: &News) -> Result<(), String> {
        let event = Event {
            type_: if news.warning { EventType::Warning } else { EventType::Normal },
            reason: news.reason.to_owned(),
            note: Some(shortened(&news.note)),
            action: news.action.to_owned(),
            secondary: None,
        };
        let published = async {
            let ground = self.ground(namespace).await?;
            // A recorder of its own each time: one that saw the same reason lately would keep that one's note.
            let recorder = Recorder::new(ground.server.client.clone(), Reporter::from("stillpoint"));
            let failed = |error| self.told(ground.in_namespace(regarding).problem(&error));
            recorder.publish(&event, regarding).await.map_err(failed)
        };
        let late = |_| format!("an event could not be written within {DEADLINE:?}");
        tokio::time::timeout(DEADLINE, published).await.map_err(late)?
    }
}

impl Ground {
    fn in_namespace(&self, regarding: &ObjectReference) -> Self {
        Self { namespace: regarding.namespace.clone().unwrap_or_default(), ..self.clone() }
    }
}

/// The workload behind a member; the pod itself where nothing keeps it running.
fn regarding<'a>(member: &'a Member, pod: &'a Pod) -> ((&'a str, &'a str), ObjectReference) {
    match &pod.owner {
        Some(owner) => {
            let it = (owner.api_version.as_str(), owner.kind.as_str(), owner.name.as_str());
            ((&owner.kind, &owner.name), reference(it, &pod.namespace, Some(owner.uid.clone())))
        }
        None => {
            let it = ("v1", "Pod", member.name.as_str());
            (("Pod", &member.name), reference(it, &pod.namespace, Some(pod.uid.clone())))
        }
    }
}

fn reference((api_version, kind, name): (&str, &str, &str), namespace: &str, uid: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        uid: uid.filter(|uid| !uid.is_empty()),
        ..ObjectReference::default()
    }
}

fn shortened(note: &str) -> String {
    if note.len() <= LONGEST_NOTE {
        return note.to_owned();
    }
    let dots = "…";
    let mut end = LONGEST_NOTE - dots.len();
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{dots}", &note[..end])
}
