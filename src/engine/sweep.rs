//! Between windows: is every member open, whoever closed it?

use super::find::{self, Finder, Found};
use crate::config::Group;
use crate::domain::Reason;
use crate::kubernetes::Depth;
use crate::scalar::Answer;
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many members are asked at the same time: each costs a connection.
const AT_ONCE: usize = 64;
const LOOK_DEADLINE: Duration = Duration::from_secs(3);

/// What a sweep saw of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub member: crate::domain::Member,
    /// Whether it is paused; or why it did not say.
    pub paused: Result<bool, String>,
}

/// What a sweep saw of a group.
#[derive(Debug)]
pub struct Swept {
    /// By cluster, sorted.
    pub clusters: BTreeMap<String, Vec<Sighting>>,
    /// What would refuse a window, before any member is asked; workloads are told of only when they were read.
    pub against: Vec<Reason>,
    /// Scalar workloads in the group's namespaces that no group names.
    pub unlisted: Vec<String>,
}

/// Asks every member of the group once. Connections are closed again at once.
///
/// # Errors
/// The members cannot be found.
pub async fn sweep(finder: &Finder, group: &Group, depth: Depth) -> Result<Swept, Reason> {
    let Found { members, against, unlisted, .. } = finder.find(group, depth).await?;
    let connectors = find::connectors(finder, group)?;
    let looks = members.into_iter().filter_map(|member| {
        let connector = connectors.get(member.cluster.as_str())?;
        // Made when its turn comes: a thousand clients at once are more than the rest of the daemon.
        Some(async move {
            let paused = match connector.client(&member).check_paused(LOOK_DEADLINE).await {
                Answer::Looked { paused } => Ok(paused),
                Answer::Ok => Err("it answered a question with something else".to_owned()),
                Answer::Failed(failure) => Err(failure.detail),
            };
            Sighting { member, paused }
        })
    });
    let mut seen: Vec<Sighting> = futures_util::stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
    seen.sort_by(|a, b| a.member.cmp(&b.member));
    let mut clusters: BTreeMap<String, Vec<Sighting>> = BTreeMap::new();
    for sighting in seen {
        clusters.entry(sighting.member.cluster.clone()).or_default().push(sighting);
    }
    Ok(Swept { clusters, against, unlisted })
}
