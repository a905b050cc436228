//! Flags that stand in where a cluster of the config says nothing of where it is in Kubernetes.

use crate::config::{Cluster, Config, Namespace, Source};
use clap::builder::{NonEmptyStringValueParser, TypedValueParser};
use std::path::PathBuf;

/// Where Kubernetes is, as kubectl's flags say it. Each stands in where the config names nothing.
#[derive(Debug, Default, clap::Args)]
pub struct KubeFlags {
    /// The kubeconfig for clusters that name neither a kubeconfig nor a context
    #[arg(long, global = true, value_name = "FILE", value_parser = NonEmptyStringValueParser::new().map(PathBuf::from))]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context for clusters that name neither a kubeconfig nor a context
    #[arg(long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub context: Option<String>,
    /// The namespace for clusters that name none
    #[arg(short, long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub namespace: Option<String>,
}

/// Flags that cannot mean what they say here; the sentence says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misplaced(pub String);

impl KubeFlags {
    /// Those that were given, as they were written.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        let flags = [
            ("--kubeconfig", self.kubeconfig.is_some()),
            ("--context", self.context.is_some()),
            ("--namespace", self.namespace.is_some()),
        ];
        flags.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag).collect()
    }

    /// Puts them where the config names nothing.
    ///
    /// # Errors
    /// No cluster takes one of them up.
    pub fn stand_in(&self, config: &mut Config) -> Result<(), Misplaced> {
        let mut taken = Vec::new();
        let mut any = false;
        for cluster in config.groups.values_mut().flat_map(|group| group.clusters.values_mut()) {
            if let Some(namespace) = namespace_of(cluster) {
                any = true;
                self.complete(namespace, &mut taken);
            }
        }
        let Some(flag) = self.given().into_iter().find(|flag| !taken.contains(flag)) else { return Ok(()) };
        let why = match flag {
            _ if !any => "no cluster of this config is found through Kubernetes",
            "--namespace" => "every cluster of this config names its own namespace",
            _ => "every cluster of this config names its own kubeconfig, context or EKS cluster",
        };
        Err(Misplaced(format!("{flag} stands in where the config names nothing, and {why}")))
    }

    fn complete(&self, namespace: &mut Namespace, taken: &mut Vec<&'static str>) {
        if namespace.kubeconfig.is_none() && namespace.context.is_none() && namespace.eks.is_none() {
            namespace.kubeconfig.clone_from(&self.kubeconfig);
            namespace.context.clone_from(&self.context);
            taken.extend(["--kubeconfig", "--context"]);
        }
        if namespace.name.is_none() {
            namespace.name.clone_from(&self.namespace);
            taken.push("--namespace");
        }
    }

    /// For commands that ask nothing of Kubernetes.
    ///
    /// # Errors
    /// One was given.
    pub fn none_for(&self, command: &str) -> Result<(), Misplaced> {
        match self.given().first() {
            Some(flag) => {
                Err(Misplaced(format!("{flag} has no meaning for {command}, which asks nothing of Kubernetes")))
            }
            None => Ok(()),
        }
    }
}

const fn namespace_of(cluster: &mut Cluster) -> Option<&mut Namespace> {
    match &mut cluster.source {
        Source::Kubernetes(source) => Some(&mut source.namespace),
        Source::Addresses(_) | Source::Srv(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Files};

    /// The namespaces of clusters a, b, … with these settings, once the flags have been put in.
    fn completed(flags: &KubeFlags, clusters: &[&str]) -> Result<Vec<Namespace>, String> {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
        let mut text = "groups:\n  shop:\n    clusters:\n".to_owned();
        for (name, cluster) in ('a'..).zip(clusters) {
            text.push_str(&format!("      {name}: {{product: scalardb-cluster, {cluster}}}\n"));
        }
        std::fs::write(file.path(), text).expect("write the config");
        let mut config = config::load(&Files::List(vec![file.path().to_owned()]), []).expect("a config").config;
        flags.stand_in(&mut config).map_err(|misplaced| misplaced.0)?;
        let clusters = config.groups.values_mut().flat_map(|group| group.clusters.values_mut());
        Ok(clusters.filter_map(namespace_of).map(|namespace| namespace.clone()).collect())
    }

    fn flags(kubeconfig: Option<&str>, context: Option<&str>, namespace: Option<&str>) -> KubeFlags {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        KubeFlags { kubeconfig: kubeconfig.map(PathBuf::from), context: owned(context), namespace: owned(namespace) }
    }

    fn namespace(kubeconfig: Option<&str>, context: Option<&str>, name: Option<&str>) -> Namespace {
        let KubeFlags { kubeconfig, context, namespace } = flags(kubeconfig, context, name);
        Namespace { kubeconfig, context, eks: None, name: namespace }
    }

    #[test]
    fn flags_stand_in_where_a_cluster_names_nothing() {
        let flags = flags(Some("k"), Some("c"), Some("n"));
        let all = completed(
            &flags,
            &[
                "kubernetes: {release: orders}",
                "kubernetes: {namespace: shop, release: orders}",
                "kubernetes: {context: east, release: orders}",
                "kubernetes: {kubeconfig: /k8s, release: orders}",
                "addresses: [\"a:1\"]",
            ],
        );
        let expected = [
            namespace(Some("k"), Some("c"), Some("n")),
            namespace(Some("k"), Some("c"), Some("shop")),
            namespace(None, Some("east"), Some("n")),
            namespace(Some("/k8s"), None, Some("n")),
        ];
        assert_eq!(all, Ok(expected.to_vec()));
    }

    #[test]
    fn without_flags_nothing_changes() {
        let none = KubeFlags::default();
        assert_eq!(completed(&none, &["kubernetes: {release: orders}"]), Ok(vec![namespace(None, None, None)]));
        assert_eq!(completed(&none, &["addresses: [\"a:1\"]"]), Ok(Vec::new()));
    }

    #[test]
    fn a_flag_that_no_cluster_takes_up_is_told() {
        let told = |flags: KubeFlags, cluster| completed(&flags, &[cluster]).expect_err("nobody takes it");
        assert_eq!(
            told(flags(None, Some("c"), None), "kubernetes: {kubeconfig: /k8s, release: orders}"),
            "--context stands in where the config names nothing, and every cluster of this config names its own kubeconfig, context or EKS cluster"
        );
        assert_eq!(
            told(flags(Some("k"), None, Some("n")), "kubernetes: {namespace: shop, release: orders}"),
            "--namespace stands in where the config names nothing, and every cluster of this config names its own namespace"
        );
        assert_eq!(
            told(flags(None, None, Some("n")), "addresses: [\"a:1\"]"),
            "--namespace stands in where the config names nothing, and no cluster of this config is found through Kubernetes"
        );
    }
}
