//! The members of one cluster among the pods of its namespace.

use super::client::Ground;
use super::facts::{self, Workloads};
use crate::config::{Cluster, Pods};
use crate::domain::{Member, Product};
use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::net::{IpAddr, SocketAddr};

/// The label that says which of Scalar's products a pod runs.
pub(super) const APP: &str = "app.kubernetes.io/app";
/// The label that says which release it belongs to.
pub(super) const RELEASE: &str = "app.kubernetes.io/instance";

/// What a pod's workload may be called: its release, its owner, itself.
pub(super) fn names(pod: &Pod) -> Vec<&str> {
    let owner = facts::owner(pod).map(|(_, name)| name);
    facts::label(pod, RELEASE).into_iter().chain(owner).chain([facts::name(pod)]).collect()
}

/// How a pod's workload is called: by its release, or else by what keeps it running.
pub(super) fn called(pod: &Pod) -> String {
    let app = facts::label(pod, APP).unwrap_or_default();
    let product = Product::of_app_label(app).map_or(app, |product| product.name());
    match (facts::label(pod, RELEASE), facts::owner(pod)) {
        (Some(release), _) => format!("{product} release {release}"),
        (None, Some((kind, name))) => format!("{product} {}/{name}", kind.to_lowercase()),
        (None, None) => format!("{product} pod/{}", facts::name(pod)),
    }
}

/// What a namespace holds that members are found among.
pub(super) struct Holdings<'a> {
    pub ground: &'a Ground,
    /// Pods of any of Scalar's products.
    pub products: &'a [Pod],
    pub services: &'a [Service],
    pub workloads: &'a Workloads,
}

/// Where a pod serves the admin interface.
enum Port {
    Number(u16),
    /// A container's port of this name.
    Named(String),
}

impl Holdings<'_> {
    /// The cluster's pods, ended ones left out; `selected` are those of its own selector.
    ///
    /// # Errors
    /// There is none, or they run something else.
    pub fn pods<'p>(&'p self, cluster: &Cluster, pods: &Pods, selected: &'p [Pod]) -> Result<Vec<&'p Pod>, String> {
        let place = self.ground.place();
        let (found, who): (Vec<&Pod>, String) = match (pods, cluster.product.app_label()) {
            (Pods::Release(release), Some(app)) => {
                let of_release: Vec<&Pod> =
                    self.products.iter().filter(|pod| facts::label(pod, RELEASE) == Some(release)).collect();
                let right = |pod: &&&Pod| facts::label(pod, APP) == Some(app);
                if let Some(other) = of_release.first().filter(|_| !of_release.iter().any(|pod| right(&pod))) {
                    let label = facts::label(other, APP).unwrap_or_default();
                    let runs = Product::of_app_label(label).map_or(label, |product| product.name());
                    let wanted = cluster.product.name();
                    return Err(format!("release {release} in {place} runs {runs} ({APP}={label}), not {wanted}"));
                }
                let who = format!("of release {release} ({RELEASE}={release}, {APP}={app})");
                (of_release.into_iter().filter(|pod| right(&pod)).collect(), who)
            }
            (Pods::Release(release), None) => {
                return Err(format!("release {release}: {} has no chart", cluster.product));
            }
            (Pods::Selector { selector, .. }, _) => (selected.iter().collect(), format!("that match {selector}")),
        };
        let running: Vec<&Pod> = found.into_iter().filter(|pod| !facts::ended(pod)).collect();
        if running.is_empty() { Err(format!("{place} has no pods {who}")) } else { Ok(running) }
    }

    /// The cluster's members: its pods that run and have an address.
    ///
    /// # Errors
    /// Its Service or its port is not there.
    pub fn members(&self, cluster: &Cluster, source: &Pods, pods: &[&Pod]) -> Result<Vec<Member>, String> {
        let port = match source {
            Pods::Selector { port, .. } => Port::Number(*port),
            Pods::Release(release) => self.service_port(cluster.product, release)?,
        };
        let mut members = Vec::new();
        for pod in pods {
            let Some(ip) = facts::address(pod).and_then(|ip| ip.parse::<IpAddr>().ok()) else { continue };
            members.push(Member {
                cluster: cluster.name.clone(),
                name: facts::name(pod).to_owned(),
                address: SocketAddr::new(ip, port.of(pod)?).to_string(),
                stage: cluster.stage,
                pod: Some(facts::pod(&self.ground.server.url, pod, Some(self.workloads))),
            });
        }
        Ok(members)
    }

    /// What the release's one headless Service says about the admin port.
    fn service_port(&self, product: Product, release: &str) -> Result<Port, String> {
        let (place, app, wanted) = (self.ground.place(), product.app_label(), product.port_name());
        let is = |service: &&Service, key: &str, value: Option<&str>| {
            service.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str) == value
        };
        let headless = |service: &&Service| {
            service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()).is_some_and(|ip| ip == "None")
        };
        let own = self.services.iter().filter(|it| is(it, RELEASE, Some(release)) && is(it, APP, app));
        let found: Vec<&Service> = own.filter(headless).collect();
        let named = |service: &Service| service.metadata.name.clone().unwrap_or_default();
        let service = match found.as_slice() {
            [one] => one,
            [] => return Err(format!("{place} has no headless Service of release {release}")),
            several => {
                let names: Vec<String> = several.iter().map(|service| named(service)).collect();
                return Err(format!(
                    "{place} has several headless Services of release {release}: {}",
                    names.join(", ")
                ));
            }
        };
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        let Some(port) = ports.iter().find(|port| port.name.as_deref() == wanted) else {
            let names: Vec<&str> = ports.iter().filter_map(|port| port.name.as_deref()).collect();
            let (service, wanted) = (named(service), wanted.unwrap_or_default());
            return Err(format!("service/{service} in {place} has no port {wanted}; it has {}", names.join(", ")));
        };
        Ok(Port::new(port))
    }
}

impl Port {
    fn new(port: &ServicePort) -> Self {
        let number = |number: i32| Self::Number(u16::try_from(number).unwrap_or_default());
        match &port.target_port {
            Some(IntOrString::String(name)) => name.parse().map_or_else(|_| Self::Named(name.clone()), Self::Number),
            Some(IntOrString::Int(target)) if *target != 0 => number(*target),
            _ => number(port.port),
        }
    }

    /// On this pod; each may give a name another number.
    fn of(&self, pod: &Pod) -> Result<u16, String> {
        let wanted = match self {
            Self::Number(number) => return Ok(*number),
            Self::Named(name) => name,
        };
        let spec = pod.spec.as_ref();
        let sidecars = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
        let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let ports = || containers.iter().chain(sidecars).flat_map(|it| it.ports.as_deref().unwrap_or_default());
        let port = ports().find(|port| port.name.as_deref() == Some(wanted));
        port.and_then(|port| u16::try_from(port.container_port).ok()).ok_or_else(|| {
            let names: Vec<&str> = ports().filter_map(|port| port.name.as_deref()).collect();
            let there = if names.is_empty() { "no named ports".to_owned() } else { names.join(", ") };
            format!("pod/{} has no container port {wanted}; it has {there}", facts::name(pod))
        })
    }
}
