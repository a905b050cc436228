//! What a list reads of the API server's answers. A pod says nine kilobytes, most of them about how it is made and who
//! set which field; decoded whole, a thousand of them take more than the rest of the daemon.

use super::facts::{self, Set, Workload};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStatus, ReplicaSet, ReplicaSetSpec, ReplicaSetStatus, StatefulSet,
    StatefulSetSpec, StatefulSetStatus,
};
use k8s_openapi::api::core::v1::{Container, ContainerPort, Pod, PodSpec, PodStatus, Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta, OwnerReference, Time};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::collections::BTreeMap;

/// An object of a list: what is read of it, and what is kept of that.
pub(super) trait Slim {
    type Read: DeserializeOwned;
    type Kept;

    fn keep(read: Self::Read) -> Self::Kept;
}

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    #[serde(default)]
    pub metadata: ListMeta,
    pub items: Option<Vec<T>>,
}

/// What is read of any object.
#[derive(Deserialize)]
pub(super) struct Read<Spec, Status> {
    metadata: Metadata,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    deletion_timestamp: Option<Time>,
}

/// Where a pod runs, and which ports it declares.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ports {
    node_name: Option<String>,
    containers: Option<Vec<Named>>,
    init_containers: Option<Vec<Named>>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    ports: Option<Vec<ContainerPort>>,
}

impl From<Metadata> for ObjectMeta {
    fn from(read: Metadata) -> Self {
        let Metadata { name, namespace, uid, generation, labels, owner_references, deletion_timestamp } = read;
        Self { name, namespace, uid, generation, labels, owner_references, deletion_timestamp, ..Self::default() }
    }
}

impl From<Named> for Container {
    fn from(Named { name, ports }: Named) -> Self {
        Self { name, ports, ..Self::default() }
    }
}

fn containers(named: Vec<Named>) -> Vec<Container> {
    named.into_iter().map(Container::from).collect()
}

impl From<Ports> for PodSpec {
    fn from(Ports { node_name, containers: named, init_containers }: Ports) -> Self {
        let init_containers = init_containers.map(containers);
        Self { node_name, containers: named.map(containers).unwrap_or_default(), init_containers, ..Self::default() }
    }
}

impl Slim for Pod {
    type Read = Read<Ports, PodStatus>;
    type Kept = Self;

    fn keep(read: Self::Read) -> Self {
        Self { metadata: read.metadata.into(), spec: read.spec.map(PodSpec::from), status: read.status }
    }
}

impl Slim for Service {
    type Read = Read<ServiceSpec, IgnoredAny>;
    type Kept = Self;

    fn keep(read: Self::Read) -> Self {
        Self { metadata: read.metadata.into(), spec: read.spec, status: None }
    }
}

impl Slim for Deployment {
    type Read = Read<DeploymentSpec, DeploymentStatus>;
    type Kept = Workload;

    fn keep(read: Self::Read) -> Workload {
        let (metadata, spec) = (read.metadata.into(), read.spec.unwrap_or_default());
        facts::deployment(&Self { metadata, spec, status: read.status })
    }
}

impl Slim for StatefulSet {
    type Read = Read<StatefulSetSpec, StatefulSetStatus>;
    type Kept = Workload;

    fn keep(read: Self::Read) -> Workload {
        let (metadata, spec) = (read.metadata.into(), read.spec.unwrap_or_default());
        facts::stateful_set(&Self { metadata, spec, status: read.status })
    }
}

impl Slim for ReplicaSet {
    type Read = Read<ReplicaSetSpec, ReplicaSetStatus>;
    type Kept = Set;

    fn keep(read: Self::Read) -> Set {
        let (metadata, spec) = (read.metadata.into(), read.spec.unwrap_or_default());
        facts::replica_set(&Self { metadata, spec, status: read.status })
    }
}
