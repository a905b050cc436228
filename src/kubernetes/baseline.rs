//! What a watch compares its events with: the census it begins at.

use super::Change;
use super::facts::{self, Workload};
use super::release::{self, APP, RELEASE};
use crate::config::{Cluster, Group, Pods};
use crate::domain::{self, Code, Product, Reason};
use k8s_openapi::api::core::v1::Pod;
use kube::core::{Selector, SelectorExt};
use std::collections::{BTreeMap, BTreeSet};
use wildmatch::WildMatch;

/// The census of one namespace, for comparing.
#[derive(Debug)]
pub(super) struct Baseline {
    pods: BTreeMap<String, Seen>,
    workloads: BTreeMap<(String, String), Stand>,
    /// The group's own releases: the app label and the release, with the cluster's name.
    releases: BTreeMap<(String, String), String>,
    /// The group's own selectors, with the cluster's name.
    selectors: Vec<(Selector, String)>,
    /// The other groups' releases and selectors.
    others: (BTreeSet<(String, String)>, Vec<Selector>),
    ignore: Vec<WildMatch>,
    refuse_unlisted: bool,
}

#[derive(Debug)]
struct Seen {
    cluster: String,
    pod: domain::Pod,
    address: String,
}

#[derive(Debug)]
struct Stand {
    cluster: String,
    uid: String,
    spec: String,
    generation: i64,
    wanted: u32,
}

/// Whether a group names a pod's workload.
pub(super) enum Listed {
    /// This group, as this cluster.
    Own(String),
    /// Another group does, or the config ignores it, or it runs nothing of Scalar's.
    Elsewhere,
    /// Nobody: what it is called.
    No(String),
}

impl Baseline {
    pub fn new(group: &Group) -> Self {
        Self {
            pods: BTreeMap::new(),
            workloads: BTreeMap::new(),
            releases: BTreeMap::new(),
            selectors: Vec::new(),
            others: Default::default(),
            ignore: group.ignore.iter().map(|pattern| WildMatch::new(pattern)).collect(),
            refuse_unlisted: false,
        }
    }

    pub fn own(&mut self, cluster: &Cluster, pods: &Pods) {
        match pods {
            Pods::Release(release) => {
                self.releases.insert(key(cluster.product, release), cluster.name.clone());
            }
            Pods::Selector { selector, .. } => self.selectors.push((selector.clone(), cluster.name.clone())),
        }
    }

    pub fn other(&mut self, cluster: &Cluster, pods: &Pods) {
        match pods {
            Pods::Release(release) => {
                self.others.0.insert(key(cluster.product, release));
            }
            Pods::Selector { selector, .. } => self.others.1.push(selector.clone()),
        }
    }

    pub const fn refuse_unlisted(&mut self, refuse: bool) {
        self.refuse_unlisted = refuse;
    }

    pub fn pod(&mut self, cluster: &str, object: &Pod, pod: domain::Pod) {
        let address = facts::address(object).unwrap_or_default().to_owned();
        self.pods.insert(pod.uid.clone(), Seen { cluster: cluster.to_owned(), pod, address });
    }

    pub fn workload(&mut self, cluster: &str, workload: &Workload) {
        let owner = &workload.owner;
        let stand = Stand {
            cluster: cluster.to_owned(),
            uid: owner.uid.clone(),
            spec: owner.spec.clone(),
            generation: workload.generation,
            wanted: owner.wanted,
        };
        self.workloads.insert((owner.kind.clone(), owner.name.clone()), stand);
    }

    pub fn listed(&self, pod: &Pod) -> Listed {
        if let Some(seen) = self.pods.get(facts::uid(pod)) {
            return Listed::Own(seen.cluster.clone());
        }
        let label = |key| facts::label(pod, key).unwrap_or_default().to_owned();
        let release = (label(APP), label(RELEASE));
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        let own = self.selectors.iter().find(|(selector, _)| selector.matches(&labels)).map(|(_, cluster)| cluster);
        if let Some(cluster) = self.releases.get(&release).or(own) {
            return Listed::Own(cluster.clone());
        }
        let (releases, selectors) = &self.others;
        let named = releases.contains(&release) || selectors.iter().any(|selector| selector.matches(&labels));
        let names = release::names(pod);
        let ignored = self.ignore.iter().any(|pattern| names.iter().any(|name| pattern.matches(name)));
        if named || ignored || Product::of_app_label(&release.0).is_none() {
            Listed::Elsewhere
        } else {
            Listed::No(release::called(pod))
        }
    }

    /// What a watch's event about a pod means.
    pub fn pod_event(&self, object: &Pod, deleted: bool) -> Option<Change> {
        let name = facts::name(object);
        let uid = facts::uid(object);
        if let Some(Seen { cluster, pod, address }) = self.pods.get(uid) {
            let what = if deleted {
                Some("is gone".to_owned())
            } else {
                let now = facts::pod(&pod.server, object, None);
                facts::difference((pod, address), (&now, facts::address(object)))
            };
            return what.map(|what| Change {
                uid: Some(uid.to_owned()),
                reason: Reason::new(Code::CensusChanged, format!("{cluster}: pod/{name} {what}")),
            });
        }
        if facts::ended(object) {
            return None;
        }
        let what = if deleted { "came and went" } else { "is new" };
        let reason = match self.listed(object) {
            Listed::Own(cluster) => Reason::new(Code::CensusChanged, format!("{cluster}: pod/{name} {what}")),
            Listed::No(called) if self.refuse_unlisted => {
                Reason::new(Code::Unlisted, format!("{called} belongs to no group: pod/{name} {what}"))
            }
            _ => return None,
        };
        Some(Change { uid: None, reason })
    }

    /// What a watch's event about a workload means: only what is asked for matters, its pods tell the rest.
    pub fn workload_event(&self, workload: &Workload, deleted: bool) -> Option<Change> {
        let owner = &workload.owner;
        let Stand { cluster, uid, spec, generation, wanted } =
            self.workloads.get(&(owner.kind.clone(), owner.name.clone()))?;
        let what = if deleted || workload.leaving || *uid != owner.uid {
            "is deleted".to_owned()
        } else if owner.wanted != *wanted {
            format!("is scaled: {wanted} → {} replicas", owner.wanted)
        } else if owner.spec != *spec {
            format!("is changed: generation {generation} → {}", workload.generation)
        } else {
            return None;
        };
        let sentence = format!("{cluster}: {} {what}", facts::called(owner));
        Some(Change { uid: None, reason: Reason::new(Code::CensusChanged, sentence) })
    }
}

fn key(product: Product, release: &str) -> (String, String) {
    (product.app_label().unwrap_or_default().to_owned(), release.to_owned())
}
