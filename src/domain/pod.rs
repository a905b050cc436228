use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the census holds of a member's pod. Two that are equal are the same pod in the same state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pod {
    /// The API server's URL: a UID says something only there.
    pub server: String,
    pub namespace: String,
    pub uid: String,
    /// The node it runs on.
    pub node: Option<String>,
    /// Pending, Running, Succeeded, Failed or Unknown.
    pub phase: String,
    /// The condition `Ready`.
    pub ready: bool,
    /// Why it is about to leave, as `kubectl` would show it: `Terminating`, `EvictionByEvictionAPI`, ….
    pub leaving: Option<String>,
    /// Every container's restart count, sidecars among the init containers too.
    pub restarts: BTreeMap<String, u32>,
    /// What keeps it running; none for a bare pod.
    pub owner: Option<Owner>,
}

/// What proves that a member's process is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gone {
    /// Its pod is gone or has ended: its address may be another's.
    Pod,
    /// Its pod is there, and no container that may serve the admin interface runs, in a crash loop for example. What
    /// Kubernetes says of containers is behind by a moment, so this counts only for a member that does not answer.
    Process,
}

/// The workload that keeps a pod running.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// `apps/v1`, or another.
    #[serde(default)]
    pub api_version: String,
    /// Deployment, StatefulSet, ReplicaSet or another kind.
    pub kind: String,
    pub name: String,
    #[serde(default)]
    pub uid: String,
    /// A fingerprint of its spec. Its generation would not do: an annotation on a Deployment changes that too.
    pub spec: String,
    /// Replicas asked for.
    pub wanted: u32,
    /// Replicas ready.
    pub ready: u32,
}
