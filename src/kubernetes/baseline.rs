//! What a watch compares its events with: the census it begins at.

use super::Change;
use super::census::workload_of;
use super::facts::{self, Workload};
use super::release::{APP, RELEASE};
use crate::config::Group;
use crate::domain::{self, Code, Product, Reason};
use k8s_openapi::api::core::v1::Pod;
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
    selectors: BTreeMap<String, String>,
    others: BTreeSet<(String, String)>,
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
    /// Another group does, or the config ignores it.
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
            selectors: BTreeMap::new(),
            others: BTreeSet::new(),
            ignore: group.ignore.iter().map(|pattern| WildMatch::new(pattern)).collect(),
            refuse_unlisted: false,
        }
    }

    pub fn own_release(&mut self, product: Product, release: &str, cluster: &str) {
        self.releases.insert(key(product, release), cluster.to_owned());
    }

    pub fn own_selector(&mut self, selector: &str, cluster: &str) {
        self.selectors.insert(selector.to_owned(), cluster.to_owned());
    }

    pub fn others_release(&mut self, product: Product, release: &str) {
        self.others.insert(key(product, release));
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
            uid: workload.uid.clone(),
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
        if let Some(cluster) = self.releases.get(&release) {
            return Listed::Own(cluster.clone());
        }
        let (name, called) = workload_of(pod);
        if self.others.contains(&release) || self.ignore.iter().any(|pattern| pattern.matches(&name)) {
            Listed::Elsewhere
        } else {
            Listed::No(called)
        }
    }

    /// What a watch's event about a pod means; `selector` is the one that it was watched by.
    pub fn pod_event(&self, object: &Pod, deleted: bool, selector: &str) -> Option<Change> {
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
        let joined = |cluster: &str| Reason::new(Code::CensusChanged, format!("{cluster}: pod/{name} {what}"));
        let reason = match (self.selectors.get(selector), self.listed(object)) {
            (Some(cluster), _) => joined(cluster),
            (None, Listed::Own(cluster)) => joined(&cluster),
            (None, Listed::No(called)) if self.refuse_unlisted => {
                Reason::new(Code::Unlisted, format!("{called} belongs to no group: pod/{name} {what}"))
            }
            (None, _) => return None,
        };
        Some(Change { uid: None, reason })
    }

    /// What a watch's event about a workload means: only what is asked for matters, its pods tell the rest.
    pub fn workload_event(&self, workload: &Workload, deleted: bool) -> Option<Change> {
        let owner = &workload.owner;
        let Stand { cluster, uid, spec, generation, wanted } =
            self.workloads.get(&(owner.kind.clone(), owner.name.clone()))?;
        let what = if deleted || workload.leaving || *uid != workload.uid {
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
