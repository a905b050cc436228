//! The look over all namespaces: which Scalar workloads no group names. It takes a right over the whole of an API
//! server, and is left out without it.

use super::census::products;
use super::client::{Ground, Kubernetes};
use super::facts;
use super::release::{APP, RELEASE, called, names};
use crate::config::{self, Config, Group, Pods, Source};
use crate::domain::Product;
use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::core::{Selector, SelectorExt};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wildmatch::WildMatch;

/// How many pods a list answers with at once, and how many such pages there are at most.
const PAGE: u32 = 500;
const MOST_PAGES: usize = 1_000;
/// A pod that has ended has no process.
const RUNNING: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// A Scalar workload that no group names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    pub namespace: String,
    /// What it is and where, such as `scalardl-ledger release books in namespace shop`.
    pub workload: String,
    pub pods: usize,
    /// A group has clusters in that namespace, so that its own look tells of it too.
    pub beside_a_group: bool,
}

impl std::fmt::Display for Stray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} pods) belongs to no group", self.workload, self.pods)
    }
}

/// What one API server holds.
#[derive(Debug)]
pub struct WideLook {
    /// As the config names it; none: the current one.
    pub context: Option<String>,
    /// Those in which groups have clusters.
    pub namespaces: BTreeSet<String>,
    pub found: Result<Vec<Stray>, Unseen>,
}

/// Why there was no look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unseen {
    /// Its right is missing; the API server's own words.
    Denied(String),
    Failed(String),
}

/// One API server, and what the config names there.
struct Place {
    /// A ground for each context that leads to it.
    grounds: Vec<Ground>,
    named: Named,
}

/// What needs no telling.
#[derive(Default)]
struct Named {
    namespaces: BTreeSet<String>,
    /// By namespace, app label and release.
    releases: BTreeSet<[String; 3]>,
    /// Each in its namespace.
    selectors: Vec<(String, Selector)>,
    /// Globs over names; with a namespace, only there.
    ignore: Vec<(Option<String>, WildMatch)>,
}

impl Kubernetes {
    /// Looks over all namespaces of each API server that the config names.
    pub async fn look_wide(&self, config: &Config, deadline: Duration) -> Vec<WideLook> {
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        let mut lost: BTreeMap<Option<String>, String> = BTreeMap::new();
        for group in config.groups.values() {
            for cluster in group.clusters.values() {
                let Source::Kubernetes(config::Kubernetes { namespace, pods, .. }) = &cluster.source else { continue };
                let ground = tokio::time::timeout(deadline, self.ground(namespace)).await;
                match ground.unwrap_or_else(|_| Err(format!("no answer within {deadline:?}"))) {
                    Ok(ground) => {
                        let place = places.entry(ground.server.url.clone());
                        place.or_insert_with(|| Place::new(&config.daemon.ignore)).add(
                            &ground,
                            group,
                            cluster.product,
                            pods,
                        );
                    }
                    Err(problem) => {
                        lost.insert(namespace.way(), problem);
                    }
                }
            }
        }
        let mut looks = join_all(places.into_values().map(|place| self.look(place, deadline))).await;
        looks.extend(lost.into_iter().map(|(context, problem)| WideLook {
            context,
            namespaces: BTreeSet::new(),
            found: Err(Unseen::Failed(problem)),
        }));
        looks
    }

    async fn look(&self, place: Place, deadline: Duration) -> WideLook {
        let context = place.grounds.first().and_then(|ground| ground.server.context.clone());
        let namespaces = place.named.namespaces.clone();
        let late = |_| Err(Unseen::Failed(format!("the API server did not answer within {deadline:?}")));
        let found = tokio::time::timeout(deadline, self.strays(place)).await.unwrap_or_else(late);
        WideLook { context, namespaces, found }
    }

    async fn strays(&self, place: Place) -> Result<Vec<Stray>, Unseen> {
        let Place { grounds, named } = place;
        let mut unseen = Unseen::Failed("no context leads to it".to_owned());
        for ground in &grounds {
            match everywhere(ground).await {
                Ok(pods) => return Ok(named.strays(ground, &pods)),
                Err(kube::Error::Api(status)) if status.code == 403 => unseen = Unseen::Denied(status.message.clone()),
                Err(error) => unseen = Unseen::Failed(self.told(ground.problem(&error))),
            }
        }
        Err(unseen)
    }
}

/// The pods of every Scalar product in all namespaces, as far as their metadata.
async fn everywhere(ground: &Ground) -> Result<Vec<Pod>, kube::Error> {
    let api: Api<Pod> = Api::all(ground.server.client.clone());
    let mut params = ListParams::default().limit(PAGE).labels(&products()).fields(RUNNING);
    let mut pods = Vec::new();
    for _ in 0..MOST_PAGES {
        let page = api.list_metadata(&params).await?;
        pods.extend(page.items.into_iter().map(|pod| Pod { metadata: pod.metadata, ..Pod::default() }));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    Ok(pods)
}

impl Place {
    fn new(ignore: &[String]) -> Self {
        let everywhere = ignore.iter().map(|pattern| (None, WildMatch::new(pattern))).collect();
        Self { grounds: Vec::new(), named: Named { ignore: everywhere, ..Named::default() } }
    }

    fn add(&mut self, ground: &Ground, group: &Group, product: Product, pods: &Pods) {
        if !self.grounds.iter().any(|known| known.server.context == ground.server.context) {
            self.grounds.push(ground.clone());
        }
        let namespace = &ground.namespace;
        self.named.namespaces.insert(namespace.clone());
        let ignored = group.ignore.iter().map(|pattern| (Some(namespace.clone()), WildMatch::new(pattern)));
        self.named.ignore.extend(ignored);
        match pods {
            Pods::Release(release) => self.named.release(namespace, product, release),
            Pods::Selector { selector, .. } => self.named.selectors.push((namespace.clone(), selector.clone())),
        }
    }
}

impl Named {
    fn release(&mut self, namespace: &str, product: Product, release: &str) {
        let app = product.app_label().unwrap_or_default();
        self.releases.insert([namespace, app, release].map(str::to_owned));
    }

    /// Whether a group names the pod's workload, or the config ignores it.
    fn has(&self, pod: &Pod) -> bool {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let label = |key| facts::label(pod, key).unwrap_or_default();
        let release = [namespace, label(APP), label(RELEASE)].map(str::to_owned);
        let ignored = || {
            let names = names(pod);
            let mut here = self.ignore.iter().filter(|(only, _)| only.as_ref().is_none_or(|only| only == namespace));
            here.any(|(_, pattern)| names.iter().any(|name| pattern.matches(name)))
        };
        let selected = || {
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            let mut here = self.selectors.iter().filter(|(only, _)| only == namespace);
            here.any(|(_, selector)| selector.matches(&labels))
        };
        self.releases.contains(&release) || selected() || ignored()
    }

    /// The workloads of these pods that it does not have.
    fn strays(&self, ground: &Ground, pods: &[Pod]) -> Vec<Stray> {
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        for pod in pods.iter().filter(|pod| !self.has(pod)) {
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            *counts.entry((namespace, called(pod))).or_default() += 1;
        }
        let stray = |((namespace, called), pods): ((String, String), usize)| {
            let place = Ground { namespace: namespace.clone(), ..ground.clone() }.place();
            Stray {
                workload: format!("{called} in {place}"),
                beside_a_group: self.namespaces.contains(&namespace),
                pods,
                namespace,
            }
        };
        counts.into_iter().map(stray).collect()
    }
}

#[cfg(test)]
#[path = "wide_tests.rs"]
mod tests;
