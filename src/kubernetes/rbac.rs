//! The rights that a config needs.

use crate::config::{Config, Connect, Kubernetes, Namespace, Pods, Source};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// Who is bound to a Role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub namespace: String,
    pub name: String,
}

/// The Kubernetes group of the daemon's IAM role in EKS clusters, for `aws eks create-access-entry --kubernetes-groups`.
const GROUP: &str = "stillpoint";

/// What one API server is to be told.
#[derive(Debug)]
pub struct Grant {
    /// The way to it; none: the current context.
    pub context: Option<String>,
    /// None: the context's own namespace.
    pub namespace: Option<String>,
    pub role: Role,
    pub binding: RoleBinding,
}

/// The rights in a namespace with clusters; each verb is used, and none besides.
#[must_use]
pub fn rules(releases: bool) -> Vec<PolicyRule> {
    let mut rules = vec![rule("", &["pods"], &["get", "list", "watch"])];
    if releases {
        rules.push(rule("", &["services"], &["list"]));
    }
    rules.push(rule("apps", &["deployments", "statefulsets"], &["list", "watch"]));
    rules.push(rule("apps", &["replicasets"], &["list"]));
    rules.push(rule("coordination.k8s.io", &["leases"], &["get", "create", "update"]));
    rules.push(events());
    rules
}

/// The rights where the Lease is that says who leads; a right to create cannot name what will be created.
#[must_use]
pub fn leading(lease: &str) -> Vec<PolicyRule> {
    let of_that_name = PolicyRule {
        resource_names: Some(vec![lease.to_owned()]),
        ..rule("coordination.k8s.io", &["leases"], &["get", "update"])
    };
    vec![rule("coordination.k8s.io", &["leases"], &["create"]), of_that_name]
}

/// To tell of windows.
fn events() -> PolicyRule {
    rule("events.k8s.io", &["events"], &["create"])
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(resources.iter().map(ToString::to_string).collect()),
        verbs: verbs.iter().map(ToString::to_string).collect(),
        ..PolicyRule::default()
    }
}

/// A Role and its binding for every namespace that the config names, and what it takes besides where none of them is: the
/// leader's Lease, and events on the daemon's own pod where its account's namespace is on an API server of the config's.
#[must_use]
pub fn grants(config: &Config, account: &Account) -> Vec<Grant> {
    let mut namespaces: BTreeMap<&Namespace, (bool, bool)> = BTreeMap::new();
    for cluster in config.groups.values().flat_map(|group| group.clusters.values()) {
        if let Source::Kubernetes(Kubernetes { namespace, pods, connect }) = &cluster.source {
            let (releases, forwards) = namespaces.entry(namespace).or_default();
            *releases |= matches!(pods, Pods::Release(_));
            *forwards |= *connect == Connect::PortForward;
        }
    }
    let besides = besides(config, namespaces.keys().copied(), account);
    let grant = |(namespace, (releases, forwards))| {
        let mut rules = rules(releases);
        if forwards {
            // A WebSocket begins as GET; newer API servers ask for `create` besides.
            rules.push(rule("", &["pods/portforward"], &["create", "get"]));
        }
        grant(namespace, rules, account)
    };
    let mut grants: Vec<Grant> = namespaces.into_iter().map(grant).collect();
    grants.extend(besides.into_iter().map(|(namespace, rules)| self::grant(&namespace, rules, account)));
    grants
}

/// What it takes in namespaces without clusters; whatever has clusters has these rights already.
fn besides<'a>(
    config: &Config,
    clusters: impl Iterator<Item = &'a Namespace>,
    account: &Account,
) -> BTreeMap<Namespace, Vec<PolicyRule>> {
    let here = |namespace: &Namespace| {
        namespace.kubeconfig.is_none() && namespace.context.is_none() && namespace.eks.is_none()
    };
    // Where it runs, what is not named is its own.
    let named = |namespace: &Namespace| {
        let own = here(namespace).then(|| account.namespace.clone());
        Namespace { name: namespace.name.clone().or(own), ..namespace.clone() }
    };
    let clusters: Vec<Namespace> = clusters.map(named).collect();
    let mut besides: BTreeMap<Namespace, Vec<PolicyRule>> = BTreeMap::new();
    if let Some(lease) = config.daemon.leadership.as_ref().and_then(|leadership| leadership.lease.as_ref()) {
        besides.insert(named(&lease.namespace), leading(&lease.name));
    }
    if clusters.iter().chain(besides.keys()).any(here) {
        let own = Namespace { kubeconfig: None, context: None, eks: None, name: Some(account.namespace.clone()) };
        besides.entry(own).or_default().push(events());
    }
    besides.retain(|namespace, _| !clusters.contains(namespace));
    besides
}

fn grant(namespace: &Namespace, rules: Vec<PolicyRule>, account: &Account) -> Grant {
    let name = "stillpoint".to_owned();
    let metadata = ObjectMeta { name: Some(name.clone()), namespace: namespace.name.clone(), ..ObjectMeta::default() };
    let role = Role { metadata: metadata.clone(), rules: Some(rules) };
    let binding =
        RoleBinding { metadata, role_ref: role_ref("Role", name), subjects: Some(vec![subject(account, namespace)]) };
    Grant { context: namespace.way(), namespace: namespace.name.clone(), role, binding }
}

fn role_ref(kind: &str, name: String) -> RoleRef {
    RoleRef { api_group: Some("rbac.authorization.k8s.io".to_owned()), kind: kind.to_owned(), name }
}

/// An EKS cluster knows who asks by an IAM role, and takes its access entry for the group's.
fn subject(account: &Account, namespace: &Namespace) -> Subject {
    if namespace.eks.is_some() {
        let api_group = Some("rbac.authorization.k8s.io".to_owned());
        return Subject { kind: "Group".to_owned(), name: GROUP.to_owned(), namespace: None, api_group };
    }
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: account.name.clone(),
        namespace: Some(account.namespace.clone()),
        api_group: None,
    }
}

/// What one API server is to be told for the look over all its namespaces.
#[derive(Debug)]
pub struct WideGrant {
    /// None: the current context.
    pub context: Option<String>,
    pub role: ClusterRole,
    pub binding: ClusterRoleBinding,
}

/// A ClusterRole and its binding for every API server that the config names.
#[must_use]
pub fn wide_grants(config: &Config, account: &Account) -> Vec<WideGrant> {
    let clusters = config.groups.values().flat_map(|group| group.clusters.values());
    let servers: BTreeMap<_, _> = clusters
        .filter_map(|cluster| match &cluster.source {
            Source::Kubernetes(source) => {
                let namespace = &source.namespace;
                Some(((&namespace.kubeconfig, &namespace.context, &namespace.eks), namespace))
            }
            Source::Addresses(_) | Source::Srv(_) => None,
        })
        .collect();
    let named = |name: &str| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    // Whoever else looks over the same API server has a binding of their own.
    let bound = format!("stillpoint-wide-{}-{}", account.namespace, account.name);
    let grant = |namespace: &Namespace| WideGrant {
        context: namespace.way(),
        role: ClusterRole {
            metadata: named("stillpoint-wide"),
            rules: Some(vec![rule("", &["pods"], &["list"])]),
            aggregation_rule: None,
        },
        binding: ClusterRoleBinding {
            metadata: named(&bound),
            role_ref: role_ref("ClusterRole", "stillpoint-wide".to_owned()),
            subjects: Some(vec![subject(account, namespace)]),
        },
    };
    servers.into_values().map(grant).collect()
}
