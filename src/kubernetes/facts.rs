//! What the census takes from Kubernetes' objects, and what it says about them in `kubectl`'s words.

use crate::domain::{Owner, Pod};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{ContainerPort, ContainerStatus, Pod as Object};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Serialize;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A workload's own state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Workload {
    pub owner: Owner,
    pub generation: i64,
    /// The generation that its controller has seen.
    observed: i64,
    /// How many pods its controller has made.
    pub made: u32,
    /// How many of them are of the newest template.
    pub updated: u32,
    pub leaving: bool,
}

/// A ReplicaSet.
#[derive(Debug, Clone)]
pub(super) enum Set {
    /// A Deployment's: it only leads there, and a Deployment keeps ten old ones.
    Of {
        name: String,
        owner: OwnerReference,
    },
    Alone(Workload),
}

/// The workloads of a namespace, by kind and name.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    by_name: BTreeMap<(String, String), Workload>,
    /// A ReplicaSet's own owner, by the ReplicaSet's name.
    behind: BTreeMap<String, OwnerReference>,
}

fn count(value: Option<i32>) -> u32 {
    u32::try_from(value.unwrap_or(0)).unwrap_or(0)
}

/// What the spec asks for; a workload without the field wants one.
fn wanted(value: Option<i32>) -> u32 {
    count(value.or(Some(1)))
}

pub(super) fn deployment(object: &Deployment) -> Workload {
    let status = object.status.clone().unwrap_or_default();
    let replicas = object.spec.replicas;
    workload(
        "Deployment",
        &object.metadata,
        replicas,
        (status.observed_generation, status.ready_replicas),
        Made { made: count(status.replicas), updated: count(status.updated_replicas), spec: fingerprint(&object.spec) },
    )
}

pub(super) fn stateful_set(object: &StatefulSet) -> Workload {
    let status = object.status.clone().unwrap_or_default();
    let replicas = object.spec.replicas;
    let made = count(Some(status.replicas));
    let (updated, left) = (count(status.updated_replicas), left_old(object));
    let settled = status.update_revision == status.current_revision || updated + left >= made;
    workload(
        "StatefulSet",
        &object.metadata,
        replicas,
        (status.observed_generation, status.ready_replicas),
        Made { made, updated: if settled { made } else { updated }, spec: fingerprint(&object.spec) },
    )
}

/// How many pods a partitioned update leaves old, for as long as a person wants; `OnDelete` may leave all of them.
fn left_old(object: &StatefulSet) -> u32 {
    match &object.spec.update_strategy {
        Some(strategy) if strategy.type_.as_deref() == Some("OnDelete") => u32::MAX / 2,
        Some(strategy) => count(strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition)),
        None => 0,
    }
}

pub(super) fn replica_set(object: &ReplicaSet) -> Set {
    if let Some(owner) = controller(&object.metadata) {
        return Set::Of { name: object.metadata.name.clone().unwrap_or_default(), owner: owner.clone() };
    }
    let status = object.status.clone().unwrap_or_default();
    let replicas = object.spec.replicas;
    let made = count(Some(status.replicas));
    Set::Alone(workload(
        "ReplicaSet",
        &object.metadata,
        replicas,
        (status.observed_generation, status.ready_replicas),
        Made { made, updated: made, spec: fingerprint(&object.spec) },
    ))
}

struct Made {
    made: u32,
    updated: u32,
    spec: String,
}

/// The same for the same spec, within this process and its version.
fn fingerprint(spec: &impl Serialize) -> String {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(spec).unwrap_or_default().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn workload(
    kind: &str,
    metadata: &ObjectMeta,
    replicas: Option<i32>,
    (observed, ready): (Option<i64>, Option<i32>),
    Made { made, updated, spec }: Made,
) -> Workload {
    Workload {
        owner: Owner {
            api_version: "apps/v1".to_owned(),
            kind: kind.to_owned(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            spec,
            wanted: wanted(replicas),
            ready: count(ready),
        },
        generation: metadata.generation.unwrap_or_default(),
        observed: observed.unwrap_or_default(),
        made,
        updated,
        leaving: metadata.deletion_timestamp.is_some(),
    }
}

impl Workloads {
    pub fn new(workloads: impl IntoIterator<Item = Workload>, replica_sets: Vec<Set>) -> Self {
        let mut all = Self::default();
        workloads.into_iter().for_each(|workload| all.add(workload));
        for set in replica_sets {
            match set {
                Set::Of { name, owner } => {
                    all.behind.insert(name, owner);
                }
                Set::Alone(workload) => all.add(workload),
            }
        }
        all
    }

    fn add(&mut self, workload: Workload) {
        self.by_name.insert((workload.owner.kind.clone(), workload.owner.name.clone()), workload);
    }

    pub fn get(&self, kind: &str, name: &str) -> Option<&Workload> {
        self.by_name.get(&(kind.to_owned(), name.to_owned()))
    }

    /// What keeps a pod running: its controller, or the one behind that.
    fn of(&self, pod: &ObjectMeta) -> Option<Owner> {
        let direct = controller(pod)?;
        let last = if direct.kind == "ReplicaSet" { self.behind.get(&direct.name).unwrap_or(direct) } else { direct };
        Some(self.get(&last.kind, &last.name).map_or_else(
            || Owner {
                api_version: last.api_version.clone(),
                kind: last.kind.clone(),
                name: last.name.clone(),
                uid: last.uid.clone(),
                spec: String::new(),
                wanted: 0,
                ready: 0,
            },
            |workload| workload.owner.clone(),
        ))
    }
}

fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.as_deref().unwrap_or_default().iter().find(|owner| owner.controller == Some(true))
}

/// The kind and the name of what keeps a pod running, from the pod alone: a ReplicaSet that a Deployment made is
/// called by that name, a dash and the pod's template hash.
pub(super) fn owner(pod: &Object) -> Option<(&str, &str)> {
    let owner = controller(&pod.metadata)?;
    let hash = label(pod, "pod-template-hash").filter(|_| owner.kind == "ReplicaSet");
    let made_by = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
    Some(made_by.map_or((owner.kind.as_str(), owner.name.as_str()), |name| ("Deployment", name)))
}

/// A pod as the census holds it.
pub(super) fn pod(server: &str, object: &Object, workloads: Option<&Workloads>) -> Pod {
    let status = object.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let holds = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True");
    let disrupted = holds("DisruptionTarget");
    let leaving = match (&object.metadata.deletion_timestamp, disrupted) {
        (Some(_), _) => Some("Terminating".to_owned()),
        (None, Some(condition)) => Some(condition.reason.clone().unwrap_or_else(|| "DisruptionTarget".to_owned())),
        (None, None) => None,
    };
    let mut containers: Vec<ContainerStatus> = status.container_statuses.unwrap_or_default();
    containers.extend(status.init_container_statuses.unwrap_or_default());
    Pod {
        server: server.to_owned(),
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        uid: uid(object).to_owned(),
        node: object.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        phase: status.phase.unwrap_or_default(),
        ready: holds("Ready").is_some(),
        leaving,
        restarts: containers.into_iter().map(|it| (it.name, count(Some(it.restart_count)))).collect(),
        owner: workloads.and_then(|workloads| workloads.of(&object.metadata)),
    }
}

pub(super) fn uid(object: &Object) -> &str {
    object.metadata.uid.as_deref().unwrap_or_default()
}

pub(super) fn name(object: &Object) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

pub(super) fn label<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

pub(super) fn address(object: &Object) -> Option<&str> {
    object.status.as_ref()?.pod_ip.as_deref().filter(|ip| !ip.is_empty())
}

/// A pod whose containers have ended, an evicted one that nobody has cleaned up for example: it has no process.
pub(super) fn ended(object: &Object) -> bool {
    let phase = object.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a container that may serve this port runs: the one that declares it; any, when none does.
pub(super) fn serves(object: &Object, port: Option<u16>) -> bool {
    let (Some(spec), Some(status)) = (&object.spec, &object.status) else { return true };
    let sidecars = spec.init_containers.iter().flatten();
    let declares = |ports: &[ContainerPort]| ports.iter().any(|it| u16::try_from(it.container_port).ok() == port);
    let mut containers = spec.containers.iter().chain(sidecars);
    let server = containers.find(|it| it.ports.as_deref().is_some_and(declares)).map(|container| &container.name);
    let statuses = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let runs = |status: &ContainerStatus| status.state.as_ref().is_none_or(|state| state.running.is_some());
    let mut may_serve = statuses.filter(|status| server.is_none_or(|name| *name == status.name)).peekable();
    may_serve.peek().is_none() || may_serve.any(runs)
}

/// What keeps a pod from being closed in good order now.
pub(super) fn unsettled(pod: &Pod) -> Option<String> {
    match pod {
        Pod { leaving: Some(how), .. } => Some(format!("is {how}")),
        Pod { phase, .. } if phase != "Running" => Some(format!("is {phase}")),
        Pod { ready: false, .. } => Some("is not ready".to_owned()),
        _ => None,
    }
}

/// What keeps a workload's pods from being closed in good order now.
pub(super) fn in_motion(workload: &Workload) -> Option<String> {
    let Workload { owner, made, updated, leaving, .. } = workload;
    if *leaving {
        Some("is being deleted".to_owned())
    } else if workload.observed < workload.generation {
        Some(format!("is at generation {}, its controller has seen {}", workload.generation, workload.observed))
    } else if *made != owner.wanted {
        Some(format!("is scaling: {made} of {} replicas", owner.wanted))
    } else if updated < made {
        Some(format!("is rolling out: {updated} of {made} updated"))
    } else if owner.ready < owner.wanted {
        Some(format!("has {} of {} replicas ready", owner.ready, owner.wanted))
    } else {
        None
    }
}

/// How a workload is called on `kubectl`'s command line.
pub(super) fn called(owner: &Owner) -> String {
    format!("{}/{}", owner.kind.to_lowercase(), owner.name)
}

/// What changed about a pod, as far as it matters to a window.
pub(super) fn difference(before: (&Pod, &str), after: (&Pod, Option<&str>)) -> Option<String> {
    let ((before, address), (after, new_address)) = (before, after);
    for (container, restarts) in &after.restarts {
        let was = before.restarts.get(container).copied().unwrap_or_default();
        if was != *restarts {
            return Some(format!("restarted: container {container}, restart count {was} → {restarts}"));
        }
    }
    if before.leaving != after.leaving || before.phase != after.phase || before.ready != after.ready {
        return Some(unsettled(after).unwrap_or_else(|| "is ready again".to_owned()));
    }
    (new_address != Some(address)).then(|| format!("has another address: {}", new_address.unwrap_or("none")))
}
