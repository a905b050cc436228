//! One cluster: its product, where its members are, and TLS to them.

use super::super::error::Wrong;
use super::super::path::KeyPath;
use super::super::selector::selector;
use super::super::{Cluster, Connect, Eks, Kubernetes, Namespace, Pods, Source, Tls, defaults, names, raw};
use super::aws::{self, Access};
use super::{Check, other_name};
use crate::domain::Product;
use kube::core::Selector;
use std::path::PathBuf;

const PRODUCTS: &str = "one of scalardb-cluster, scalardb-server, scalardl-ledger, scalardl-auditor, custom";
const ONE_SOURCE: &str = "exactly one of addresses, srv, kubernetes";

/// None when a part without which there is no cluster is faulty; the fault is recorded.
pub fn cluster(
    check: &mut Check<'_>,
    path: &KeyPath,
    name: &str,
    raw: raw::Cluster,
    all: &[String],
) -> Option<Cluster> {
    check.name(path, name);
    let sources: Vec<&str> = [
        raw.addresses.as_ref().map(|_| "addresses"),
        raw.srv.as_ref().map(|_| "srv"),
        raw.kubernetes.as_ref().map(|_| "kubernetes"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if raw.product.is_none() && sources.is_empty() {
        // Most likely a layer that misspelled the cluster it meant to change.
        let wrong = Wrong::new("the cluster has neither a product nor members")
            .expected(format!("a product, and {ONE_SOURCE}"));
        check.fault(path, wrong.nearest(other_name(name, all)));
        return None;
    }
    if raw.product.is_none() {
        check.missing(path, "product", PRODUCTS);
    }
    let tls = raw.tls.map(|raw| tls(check, &path.key("tls"), raw));
    only_one(check, path, &sources);
    let kubernetes =
        raw.kubernetes.and_then(|raw_source| in_kubernetes(check, &path.key("kubernetes"), raw_source, raw.product));
    let addresses = raw.addresses.map(|list| addresses(check, &path.key("addresses"), &list, raw.product));
    let srv = raw.srv.and_then(|text| srv(check, &path.key("srv"), &text));
    let source = addresses.map(Source::Addresses).or(srv.map(Source::Srv)).or(kubernetes.map(Source::Kubernetes))?;
    Some(Cluster {
        name: name.to_owned(),
        product: raw.product?,
        stage: raw.stage.unwrap_or(defaults::STAGE),
        source,
        tls,
    })
}

fn only_one(check: &mut Check<'_>, path: &KeyPath, sources: &[&str]) {
    match sources {
        [] => check.fault(path, Wrong::new("nothing says where the members are").expected(ONE_SOURCE)),
        [_] => {}
        [first, rest @ ..] => {
            let (_, place) = check.place(&path.key(first));
            for other in rest {
                let wrong = Wrong::new(format!("{other} stands beside {first} ({place})"));
                check.fault(
                    &path.key(other),
                    wrong.expected(format!("{ONE_SOURCE} (null in a later file takes one back)")),
                );
            }
        }
    }
}

fn addresses(check: &mut Check<'_>, path: &KeyPath, list: &[String], product: Option<Product>) -> Vec<String> {
    if list.is_empty() {
        check.fault(path, Wrong::new("the list is empty").expected("at least one HOST:PORT"));
    }
    let mut all = Vec::new();
    for (index, text) in list.iter().enumerate() {
        let path = path.index(index);
        if let Some(address) = check.take(&path, names::address(text, product)) {
            once(check, &path, &address.to_lowercase(), text, "each member in one cluster, once");
            all.push(address);
        }
    }
    all
}

fn srv(check: &mut Check<'_>, path: &KeyPath, text: &str) -> Option<String> {
    check.take(path, names::srv(text))?;
    let identity = text.to_lowercase();
    once(check, path, identity.trim_end_matches('.'), text, "each SRV name in one cluster");
    Some(text.to_owned())
}

/// Faults the second use of what may be used once in an environment.
fn once(check: &mut Check<'_>, path: &KeyPath, identity: &str, text: &str, expected: &str) {
    if let Some(first) = check.members.get(identity).cloned() {
        let (_, place) = check.place(&first);
        check.fault(path, Wrong::new(format!("\"{text}\" is already {first} ({place})")).expected(expected));
    } else {
        check.members.insert(identity.to_owned(), path.clone());
    }
}

fn in_kubernetes(
    check: &mut Check<'_>,
    path: &KeyPath,
    raw: raw::Kubernetes,
    product: Option<Product>,
) -> Option<Kubernetes> {
    let named = |check: &mut Check<'_>, key: &str, value: &Option<String>, expected: &str| {
        if value.as_deref() == Some("") {
            check.fault(&path.key(key), Wrong::new(format!("the {key} is empty")).expected(expected));
        }
    };
    named(check, "namespace", &raw.namespace, "the namespace of the pods, or no such key: the context's own");
    named(check, "context", &raw.context, "a context of the kubeconfig");
    named(check, "release", &raw.release, "the Helm release");
    if let Some(file) = &raw.kubeconfig {
        check.absolute(&path.key("kubeconfig"), file);
    }
    let has_eks = raw.eks.is_some();
    for (key, is_set) in [("kubeconfig", raw.kubeconfig.is_some()), ("context", raw.context.is_some())] {
        if is_set && has_eks {
            let wrong = Wrong::new(format!("{key} stands beside eks"));
            check.fault(&path.key(key), wrong.expected("eks, or kubeconfig and context"));
        }
    }
    let eks = raw.eks.map(|raw| eks(check, &path.key("eks"), raw));
    if raw.port == Some(0) {
        check.fault(&path.key("port"), Wrong::new("0 is not a port").expected("1 to 65535"));
    }
    let pods = match (raw.release, raw.selector) {
        (Some(_), Some(_)) => {
            let wrong = Wrong::new("selector stands beside release").expected("release, or selector and port");
            check.fault(&path.key("selector"), wrong);
            return None;
        }
        (None, None) => {
            check.missing(path, "release", "release, or selector and port");
            return None;
        }
        (Some(_), None) if product == Some(Product::Custom) => {
            let wrong = Wrong::new("a custom product has no chart of Scalar's, and so no release");
            check.fault(&path.key("release"), wrong.expected("selector and port"));
            return None;
        }
        (Some(_), None) if raw.port.is_some() => {
            let wrong = Wrong::new("port stands beside release, whose headless Service names it");
            check.fault(&path.key("port"), wrong.expected("release alone, or selector and port"));
            return None;
        }
        (Some(release), None) => Pods::Release(release),
        (None, Some(selector)) => {
            let selector = check.take(&path.key("selector"), label_selector(&selector));
            if raw.port.is_none() {
                check.missing(path, "port", "the admin port of the selected pods");
            }
            Pods::Selector { selector: selector?, port: raw.port? }
        }
    };
    let eks = match eks {
        None => None,
        Some(eks) => Some(Box::new(eks?)),
    };
    let kubeconfig = raw.kubeconfig.map(PathBuf::from);
    let namespace = Namespace { kubeconfig, context: raw.context, eks, name: raw.namespace };
    let who = match &pods {
        Pods::Release(release) => format!("release {release}"),
        Pods::Selector { selector, .. } => format!("selector {selector}"),
    };
    let identity = format!("{namespace:?} {who} {product:?}");
    once(check, path, &identity, &who, "each release or selector in one cluster");
    let connect = match raw.connect {
        Some(raw::Connect::PortForward) => Connect::PortForward,
        Some(raw::Connect::Address) | None => Connect::Address,
    };
    Some(Kubernetes { namespace, pods, connect })
}

fn eks(check: &mut Check<'_>, path: &KeyPath, raw: raw::Eks) -> Option<Eks> {
    let access =
        Access { region: raw.region, role_arn: raw.role_arn, external_id: raw.external_id, endpoint: raw.endpoint };
    let aws = aws::aws(check, path, access);
    let Some(cluster) = raw.cluster.filter(|name| !name.is_empty()) else {
        check.missing(path, "cluster", "the EKS cluster's name");
        return None;
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if cluster.len() > 100 || cluster.starts_with(['-', '_']) || !cluster.chars().all(fits) {
        let wrong = Wrong::new(format!("\"{cluster}\" cannot be the name of an EKS cluster"));
        let expected = "letters, digits, inner dashes and underscores, at most 100, not its ARN";
        check.fault(&path.key("cluster"), wrong.expected(expected));
    }
    Some(Eks { aws: aws?, cluster })
}

fn label_selector(text: &str) -> Result<Selector, Wrong> {
    selector(text).map_err(|part| {
        let wrong = Wrong::new(match part.as_str() {
            part if part == text.trim() => format!("\"{text}\" is no label selector"),
            part => format!("\"{part}\" in \"{text}\" is no label selector"),
        });
        wrong.expected("such as app=checkout,tier!=cache,env in (a,b)")
    })
}

fn tls(check: &mut Check<'_>, path: &KeyPath, raw: raw::Tls) -> Tls {
    let files = [("ca_file", &raw.ca_file), ("cert_file", &raw.cert_file), ("key_file", &raw.key_file)];
    for (key, file) in files {
        match file.as_deref() {
            Some(text) if text.contains("-----BEGIN") => {
                let wrong = Wrong::new("PEM text stands here")
                    .expected("the absolute path of a file; secrets are never written in YAML");
                check.fault(&path.key(key), wrong);
            }
            Some(text) => check.absolute(&path.key(key), text),
            None => {}
        }
    }
    match (&raw.cert_file, &raw.key_file) {
        (Some(_), None) => check
            .fault(&path.key("cert_file"), Wrong::new("cert_file stands without key_file").expected("both or neither")),
        (None, Some(_)) => check
            .fault(&path.key("key_file"), Wrong::new("key_file stands without cert_file").expected("both or neither")),
        _ => {}
    }
    if let Some(name) = &raw.server_name
        && let Err(what) = names::host_name(name)
    {
        let wrong =
            Wrong::new(format!("\"{name}\" {what}")).expected("the name in the certificate, without scheme and port");
        check.fault(&path.key("server_name"), wrong);
    }
    let path_of = |file: Option<String>| file.map(PathBuf::from);
    Tls {
        ca_file: path_of(raw.ca_file),
        server_name: raw.server_name,
        cert_file: path_of(raw.cert_file),
        key_file: path_of(raw.key_file),
    }
}
