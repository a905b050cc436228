//! Whose process is proven gone.

use super::census::products;
use super::client::{Ground, Kubernetes};
use super::facts;
use crate::config::{self, Cluster, Namespace, Pods, Source};
use crate::domain::{Gone, Member};
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;
use std::time::Duration;

impl Kubernetes {
    /// Which of these members' processes are gone, by index: no pod of their name is there, or one with another UID, or
    /// it has ended, or does not run. `cluster` gives a cluster's config by its name.
    ///
    /// # Errors
    /// No API server answered, or they are others than those the members were found through.
    pub async fn gone<'a>(
        &self,
        cluster: impl Fn(&str) -> Option<&'a Cluster>,
        members: &[Member],
        deadline: Duration,
    ) -> Result<Vec<(usize, Gone)>, String> {
        let mut places: BTreeMap<(&Namespace, String), Vec<usize>> = BTreeMap::new();
        let mut unknown = None;
        for (index, member) in members.iter().enumerate().filter(|(_, member)| member.pod.is_some()) {
            match cluster(&member.cluster).map(|cluster| &cluster.source) {
                Some(Source::Kubernetes(config::Kubernetes { namespace, pods, .. })) => {
                    let selector = match pods {
                        Pods::Release(_) => products(),
                        Pods::Selector { selector, .. } => selector.to_string(),
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
    ) -> Result<Vec<(usize, Gone)>, String> {
        let ground = self.ground(namespace).await?;
        let (pods, _) = ground.list::<Pod>(selector).await.map_err(|problem| self.told(problem))?;
        let there: BTreeMap<&str, &Pod> = pods.iter().map(|pod| (facts::uid(pod), pod)).collect();
        let mut gone = Vec::new();
        for index in those {
            let member = &members[*index];
            let Some(pod) = &member.pod else { continue };
            let why = if let Some(found) = there.get(pod.uid.as_str()) {
                how_gone(found, member)
            } else if pod.server != ground.server.url {
                return Err(format!("{member} was found through {}, not {}", pod.server, ground.server.url));
            } else {
                // It may only have lost its labels.
                let ground = Ground { namespace: pod.namespace.clone(), ..ground.clone() };
                let found = ground.api::<Pod>().get_opt(&member.name).await;
                let found = found.map_err(|error| ground.problem(&error).sentence)?;
                let same = found.filter(|found| facts::uid(found) == pod.uid);
                same.map_or(Some(Gone::Pod), |found| how_gone(&found, member))
            };
            gone.extend(why.map(|why| (*index, why)));
        }
        Ok(gone)
    }
}

/// What a pod that is there says about a member's process.
fn how_gone(pod: &Pod, member: &Member) -> Option<Gone> {
    let port = member.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    if facts::ended(pod) {
        Some(Gone::Pod)
    } else if facts::serves(pod, port) {
        None
    } else {
        Some(Gone::Process)
    }
}
