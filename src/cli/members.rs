//! `members`: who there is, and who is paused.

use super::Exit;
use super::output::{Format, complain, table};
use crate::config::{Config, Group};
use crate::engine::{Finder, Sighting, sweep};
use crate::kubernetes::{Depth, Unseen};
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
struct Row {
    group: String,
    cluster: String,
    member: String,
    address: String,
    paused: Option<bool>,
    error: Option<String>,
}

/// Asks every member of the groups once; `wide` tells, besides, which workloads no group names anywhere.
pub async fn members<'a>(
    config: &Arc<Config>,
    groups: impl Iterator<Item = &'a Group>,
    wide: bool,
    output: Format,
) -> anyhow::Result<Exit> {
    let finder = Finder::new(config.clone())?;
    let mut rows = Vec::new();
    let mut told = Vec::new();
    let mut exit = Exit::Good;
    for group in groups {
        match sweep(&finder, group, Depth::Workloads).await {
            Ok(swept) => {
                for reason in &swept.against {
                    complain(format_args!("{}: a window would be refused: {reason}", group.name));
                    told.push(reason.sentence.clone());
                }
                rows.extend(swept.clusters.into_values().flatten().map(|sighting| row(group, sighting)));
            }
            Err(reason) => {
                complain(format_args!("{}: {reason}", group.name));
                exit = Exit::Failed;
            }
        }
    }
    if rows.iter().any(|row| row.paused.is_none()) {
        exit = Exit::Failed;
    }
    output.print(&rows, |rows| {
        let lines = rows.iter().map(|row| {
            let state = match (row.paused, &row.error) {
                (Some(true), _) => "paused".to_owned(),
                (Some(false), _) => "open".to_owned(),
                (None, why) => format!("unknown: {}", why.as_deref().unwrap_or_default()),
            };
            vec![row.group.clone(), row.cluster.clone(), row.member.clone(), row.address.clone(), state]
        });
        table(&["GROUP", "CLUSTER", "MEMBER", "ADDRESS", "STATE"], lines)
    })?;
    if wide {
        tell_strays(&finder, &told).await;
    }
    Ok(exit)
}

/// Names what no group names and nobody told yet. Where the look is not permitted there is nothing to tell.
async fn tell_strays(finder: &Finder, told: &[String]) {
    for look in finder.look_wide().await {
        match look.found {
            Ok(strays) => {
                for stray in strays.iter().filter(|stray| !told.contains(&stray.to_string())) {
                    complain(stray);
                }
            }
            Err(Unseen::Denied(_)) => {}
            Err(Unseen::Failed(problem)) => complain(format_args!("look over all namespaces: {problem}")),
        }
    }
}

fn row(group: &Group, sighting: Sighting) -> Row {
    let (paused, error) = match sighting.paused {
        Ok(paused) => (Some(paused), None),
        Err(why) => (None, Some(why)),
    };
    let member = sighting.member;
    Row {
        group: group.name.clone(),
        cluster: member.cluster,
        member: member.name,
        address: member.address,
        paused,
        error,
    }
}
