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

/// The workload that keeps a pod running.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Deployment, StatefulSet, ReplicaSet or another kind.
    pub kind: String,
    pub name: String,
    /// A fingerprint of its spec. Its generation would not do: an annotation on a Deployment changes that too.
    pub spec: String,
    /// Replicas asked for.
    pub wanted: u32,
    /// Replicas ready.
    pub ready: u32,
}
