//! Whose pod is gone: the proof that a process is, and that its address may be another's.

use super::census::products;
use super::client::{Ground, Kubernetes};
use super::facts;
use crate::config::{self, Cluster, Namespace, Pods, Source};
use crate::domain::Member;
use k8s_openapi::api::core::v1::Pod;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Kubernetes {
    /// Which of these members' pods are gone, by index: no pod of their name is there, or one with another UID.
    /// `cluster` gives a cluster's config by its name.
    ///
    /// # Errors
    /// No API server answered, or they are others than those the members were found through.
    pub async fn gone<'a>(
        &self,
        cluster: impl Fn(&str) -> Option<&'a Cluster>,
        members: &[Member],
        deadline: Duration,
    ) -> Result<Vec<usize>, String> {
        let mut places: BTreeMap<(&Namespace, String), Vec<usize>> = BTreeMap::new();
        let mut unknown = None;
        for (index, member) in members.iter().enumerate().filter(|(_, member)| member.pod.is_some()) {
            match cluster(&member.cluster).map(|cluster| &cluster.source) {
                Some(Source::Kubernetes(config::Kubernetes { namespace, pods, .. })) => {
                    let selector = match pods {
                        Pods::Release(_) => products(),
                        Pods::Selector { selector, .. } => selector.clone(),
                    };
                    places.entry((namespace, selector)).or_default().push(index);
                }
                _ => unknown = Some(format!("the config no longer says where {member} is in Kubernetes")),
            }
        }
        let asked = places.into_iter().map(|((namespace, selector), those)| async move {
            let asked = tokio::time::timeout(deadline, self.gone_of(namespace, &selector, members, &those)).await;
            asked.unwrap_or_else(|_| Err(format!("the API server did not answer within {deadline:?}")))
        });
        let mut gone = Vec::new();
        let mut answered = false;
        for answer in futures_util::future::join_all(asked).await {
            match answer {
                Ok(those) => {
                    answered = true;
                    gone.extend(those);
                }
                Err(problem) => unknown = Some(problem),
            }
        }
        match unknown {
            Some(problem) if !answered => Err(problem),
            _ => Ok(gone),
        }
    }

    async fn gone_of(
        &self,
        namespace: &Namespace,
        selector: &str,
        members: &[Member],
        those: &[usize],
    ) -> Result<Vec<usize>, String> {
        let ground = self.ground(namespace).await?;
        let (pods, _) = ground.list::<Pod>(selector).await.map_err(|problem| self.told(problem))?;
        let there: BTreeSet<&str> = pods.iter().map(facts::uid).collect();
        let mut gone = Vec::new();
        for index in those {
            let member = &members[*index];
            let Some(pod) = member.pod.as_ref().filter(|pod| !there.contains(pod.uid.as_str())) else { continue };
            if pod.server != ground.server.url {
                return Err(format!("{member} was found through {}, not {}", pod.server, ground.server.url));
            }
            // It may only have lost its labels.
            if !is_there(&ground, &pod.namespace, &member.name, &pod.uid).await? {
                gone.push(*index);
            }
        }
        Ok(gone)
    }
}

async fn is_there(ground: &Ground, namespace: &str, name: &str, uid: &str) -> Result<bool, String> {
    let ground = Ground { namespace: namespace.to_owned(), ..ground.clone() };
    let found = ground.api::<Pod>().get_opt(name).await.map_err(|error| ground.problem(&error).sentence)?;
    Ok(found.is_some_and(|pod| facts::uid(&pod) == uid && !facts::ended(&pod)))
}
