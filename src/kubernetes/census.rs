//! One consistent read of everything that belongs to a group.

use super::baseline::{Baseline, Listed};
use super::client::{Ground, Kubernetes, Problem};
use super::facts::{self, Set, Workload, Workloads};
use super::release::{APP, Holdings};
use crate::config::{self, Cluster, Coverage, Group, Namespace, Pods, Source};
use crate::domain::{Code, Member, Product, Reason};
use futures_util::future::try_join_all;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The members of a group that Kubernetes knows, at one moment.
#[derive(Debug)]
pub struct Census {
    pub members: Vec<Member>,
    /// What keeps a window from closing them in good order now.
    pub troubles: Vec<Reason>,
    /// Scalar workloads in the group's namespaces that no group names.
    pub unlisted: Vec<String>,
    pub(super) surveys: Vec<Survey>,
}

/// What was found in one namespace, and the resource versions it is of.
pub(super) struct Survey {
    pub ground: Ground,
    pub baseline: Arc<Baseline>,
    /// Pods: by the selector that names them.
    pub pods: Vec<(String, String)>,
    pub deployments: String,
    pub stateful_sets: String,
    members: Vec<Member>,
    troubles: Vec<Reason>,
    unlisted: Vec<String>,
}

impl std::fmt::Debug for Survey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Survey").field("namespace", &self.ground.namespace).field("pods", &self.pods).finish()
    }
}

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Members and their pods, and what no group names: enough to ask and to open them.
    Pods,
    /// The workloads behind them too, and whether those are at rest: what a window asks for.
    Workloads,
}

/// A group's clusters in one namespace, and the other groups' clusters.
struct Wanted<'a> {
    group: &'a Group,
    namespace: &'a Namespace,
    clusters: Vec<(&'a Cluster, &'a Pods)>,
    others: &'a [&'a Cluster],
    depth: Depth,
}

/// What the API server answered.
struct Lists {
    products: (Vec<Pod>, String),
    selected: Vec<(Vec<Pod>, String)>,
    services: Vec<Service>,
    deployments: (Vec<Workload>, String),
    stateful_sets: (Vec<Workload>, String),
    replica_sets: Vec<Set>,
}

/// Names the pods of every product that has a chart.
pub(super) fn products() -> String {
    let labels: Vec<&str> = Product::CHARTED.iter().filter_map(|product| product.app_label()).collect();
    format!("{APP} in ({})", labels.join(","))
}

impl Kubernetes {
    /// Reads everything that belongs to the group's clusters in Kubernetes. `others` are the other groups' clusters: their
    /// workloads count as listed.
    ///
    /// # Errors
    /// `discovery`: a cluster whose members cannot be found; one sentence that begins with its name.
    pub async fn census(
        &self,
        group: &Group,
        others: &[&Cluster],
        depth: Depth,
        deadline: Duration,
    ) -> Result<Census, Reason> {
        let mut namespaces: BTreeMap<&Namespace, Vec<(&Cluster, &Pods)>> = BTreeMap::new();
        for cluster in group.clusters.values() {
            if let Source::Kubernetes(config::Kubernetes { namespace, pods, .. }) = &cluster.source {
                namespaces.entry(namespace).or_default().push((cluster, pods));
            }
        }
        let mut surveys = Vec::new();
        for (namespace, clusters) in namespaces {
            let wanted = Wanted { group, namespace, clusters, others, depth };
            surveys.push(self.survey_in_time(wanted, deadline));
        }
        let mut surveys = try_join_all(surveys).await?;
        let mut census =
            Census { members: Vec::new(), troubles: Vec::new(), unlisted: Vec::new(), surveys: Vec::new() };
        for survey in &mut surveys {
            census.members.append(&mut survey.members);
            census.troubles.append(&mut survey.troubles);
            census.unlisted.append(&mut survey.unlisted);
        }
        census.surveys = surveys;
        Ok(census)
    }

    async fn survey_in_time(&self, wanted: Wanted<'_>, deadline: Duration) -> Result<Survey, Reason> {
        let who = match wanted.clusters.as_slice() {
            [] | [_] => wanted.clusters.first().map(|(cluster, _)| cluster.name.clone()).unwrap_or_default(),
            [first, rest @ ..] => format!("{} and {} more", first.0.name, rest.len()),
        };
        let told = |sentence: String| Reason::new(Code::Discovery, format!("{who}: {sentence}"));
        let Ok(surveyed) = tokio::time::timeout(deadline, self.survey(&wanted)).await else {
            return Err(told(format!("the API server did not answer within {deadline:?}")));
        };
        match surveyed {
            Ok(survey) => survey,
            Err(problem) => Err(told(self.told(problem))),
        }
    }

    async fn survey(&self, wanted: &Wanted<'_>) -> Result<Result<Survey, Reason>, Problem> {
        let ground = self.ground(wanted.namespace).await.map_err(Problem::other)?;
        let lists = lists(&ground, wanted).await?;
        Ok(survey(ground, wanted, lists))
    }
}

async fn lists(ground: &Ground, wanted: &Wanted<'_>) -> Result<Lists, Problem> {
    let mut selected = Vec::new();
    for (_, pods) in &wanted.clusters {
        if let Pods::Selector { selector, .. } = pods {
            selected.push(async move { ground.list::<Pod>(&selector.to_string()).await });
        }
    }
    let products = products();
    let releases = wanted.clusters.iter().any(|(_, pods)| matches!(pods, Pods::Release(_)));
    let services = async { if releases { Ok(ground.list::<Service>(&products).await?.0) } else { Ok(Vec::new()) } };
    let workloads = async {
        if wanted.depth == Depth::Pods {
            return Ok(Default::default());
        }
        tokio::try_join!(ground.list::<Deployment>(""), ground.list::<StatefulSet>(""), ground.list::<ReplicaSet>(""),)
    };
    let (products, selected, services, (deployments, stateful_sets, replica_sets)) =
        tokio::try_join!(ground.list::<Pod>(&products), try_join_all(selected), services, workloads)?;
    Ok(Lists { products, selected, services, deployments, stateful_sets, replica_sets: replica_sets.0 })
}

fn survey(ground: Ground, wanted: &Wanted<'_>, lists: Lists) -> Result<Survey, Reason> {
    let workloads = Workloads::new(lists.deployments.0.into_iter().chain(lists.stateful_sets.0), lists.replica_sets);
    let holdings =
        Holdings { ground: &ground, products: &lists.products.0, services: &lists.services, workloads: &workloads };
    let mut baseline = Baseline::new(wanted.group);
    let mut selected = lists.selected.iter();
    let mut watched = vec![(products(), lists.products.1.clone())];
    let (mut members, mut troubles) = (Vec::new(), Vec::new());
    for (cluster, source) in &wanted.clusters {
        let told = |sentence| Reason::new(Code::Discovery, format!("{}: {sentence}", cluster.name));
        let own = match source {
            Pods::Selector { selector, .. } => {
                let found = selected.next();
                watched.push((selector.to_string(), found.map(|(_, version)| version.clone()).unwrap_or_default()));
                found.map(|(pods, _)| pods.as_slice()).unwrap_or_default()
            }
            Pods::Release(_) => &[],
        };
        baseline.own(cluster, source);
        let pods = holdings.pods(cluster, source, own).map_err(told)?;
        let found = holdings.members(cluster, source, &pods).map_err(told)?;
        for pod in &pods {
            let seen = facts::pod(&ground.server.url, pod, None);
            if let Some(what) = facts::unsettled(&seen) {
                let sentence = format!("{}: pod/{} {what}", cluster.name, facts::name(pod));
                troubles.push(Reason::new(Code::Unsettled, sentence));
            }
            baseline.pod(&cluster.name, pod, seen);
        }
        troubles.extend(motions(cluster, &found, &workloads, &mut baseline));
        members.extend(found);
    }
    let unlisted = unlisted(&ground, wanted, &lists.products.0, &mut baseline);
    let (deployments, stateful_sets) = (lists.deployments.1, lists.stateful_sets.1);
    let baseline = Arc::new(baseline);
    Ok(Survey { ground, baseline, pods: watched, deployments, stateful_sets, members, troubles, unlisted })
}

/// Notes the workloads behind a cluster's members, and tells which of them are not at rest.
fn motions(cluster: &Cluster, members: &[Member], workloads: &Workloads, baseline: &mut Baseline) -> Vec<Reason> {
    let owners = members.iter().filter_map(|member| member.pod.as_ref()?.owner.as_ref());
    let owners: BTreeSet<(&str, &str)> = owners.map(|owner| (owner.kind.as_str(), owner.name.as_str())).collect();
    let mut troubles = Vec::new();
    for workload in owners.into_iter().filter_map(|(kind, name)| workloads.get(kind, name)) {
        baseline.workload(&cluster.name, workload);
        if let Some(what) = facts::in_motion(workload) {
            let sentence = format!("{}: {} {what}", cluster.name, facts::called(&workload.owner));
            troubles.push(Reason::new(Code::Unsettled, sentence));
        }
    }
    troubles
}

/// The Scalar workloads of the namespace that no group names.
fn unlisted(ground: &Ground, wanted: &Wanted<'_>, products: &[Pod], baseline: &mut Baseline) -> Vec<String> {
    let own = wanted.namespace;
    for other in wanted.others {
        let Source::Kubernetes(config::Kubernetes { namespace, pods, .. }) = &other.source else { continue };
        if namespace.is_beside(own) && ground.server.namespace(namespace) == ground.namespace {
            baseline.other(other, pods);
        }
    }
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for pod in products.iter().filter(|pod| !facts::ended(pod)) {
        if let Listed::No(workload) = baseline.listed(pod) {
            *found.entry(workload).or_default() += 1;
        }
    }
    baseline.refuse_unlisted(wanted.group.coverage == Coverage::Refuse);
    let place = ground.place();
    found.into_iter().map(|(workload, pods)| format!("{workload} in {place} ({pods} pods)")).collect()
}
