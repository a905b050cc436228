//! `plan`: what a window would do now.

use super::Exit;
use super::output::{Format, or_nothing, table, zone};
use crate::aws::Aws;
use crate::config::{self, Config, Group, StoreKind};
use crate::engine::{Clock, Finder, Swept, sweep};
use crate::kubernetes::Depth;
use crate::stores::{Capture, find_all};
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
struct Plan {
    group: String,
    would: &'static str,
    reasons: Vec<String>,
    clusters: Vec<Cluster>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stores: Vec<StorePlan>,
    hold_seconds: f64,
    drain_seconds: f64,
    max_pause_seconds: f64,
    next_slot: Option<jiff::Timestamp>,
}

#[derive(Serialize)]
struct Cluster {
    stage: u32,
    cluster: String,
    product: crate::domain::Product,
    members: usize,
}

/// What a restore point is made of in a store, and what materializing it costs. Sizes are AWS's own estimates.
#[derive(Serialize)]
struct StorePlan {
    store: String,
    kind: String,
    parts: usize,
    bytes: i64,
    /// None: its points are not materialized.
    restore_dollars: Option<f64>,
    backup_dollars_a_month: Option<f64>,
    notes: Vec<String>,
}

impl StorePlan {
    fn of(config: &config::Store, capture: Capture) -> Self {
        let bytes: i64 = capture.parts.values().filter_map(|part| part.bytes).sum();
        let prices = match &config.kind {
            StoreKind::Dynamodb(dynamodb) if config.materializes() => Some(dynamodb.prices),
            _ => None,
        };
        Self {
            store: config.name.clone(),
            kind: capture.kind,
            parts: capture.parts.len(),
            bytes,
            restore_dollars: prices.map(|prices| prices.restore * gigabytes(bytes)),
            backup_dollars_a_month: prices.map(|prices| prices.backup * gigabytes(bytes)),
            notes: capture.notes,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn gigabytes(bytes: i64) -> f64 {
    bytes as f64 / 1e9
}

/// Looks at every member, and says whether a window would begin. Nothing is paused.
pub async fn plan(config: &Arc<Config>, group: &Group, output: Format) -> anyhow::Result<Exit> {
    let mut reasons = Vec::new();
    let mut clusters = Vec::new();
    match sweep(&Finder::new(config.clone())?, group, Depth::Workloads).await {
        Err(reason) => reasons.push(reason.to_string()),
        Ok(Swept { clusters: seen, against, .. }) => {
            reasons.extend(against.iter().map(ToString::to_string));
            for sighting in seen.values().flatten() {
                match &sighting.paused {
                    Ok(false) => {}
                    Ok(true) => reasons.push(format!("already_paused: {} is paused", sighting.member)),
                    Err(why) => reasons.push(format!("unreachable: {}: {why}", sighting.member)),
                }
            }
            clusters.extend(group.clusters.values().map(|cluster| Cluster {
                stage: cluster.stage,
                cluster: cluster.name.clone(),
                product: cluster.product,
                members: seen.get(&cluster.name).map_or(0, Vec::len),
            }));
        }
    }
    let (stores, against) = find_all(group.stores.values(), &Aws::default()).await;
    reasons.extend(against.iter().map(ToString::to_string));
    let stores = stores.into_iter().map(|it| StorePlan::of(it.config, it.capture)).collect();
    clusters.sort_by(|a, b| (a.stage, &a.cluster).cmp(&(b.stage, &b.cluster)));
    let would = if reasons.is_empty() { "begin" } else { "refuse" };
    let exit = if reasons.is_empty() { Exit::Good } else { Exit::Refused };
    let now = Clock::start().now().wall;
    let plan = Plan {
        group: group.name.clone(),
        would,
        reasons,
        clusters,
        stores,
        hold_seconds: group.window.hold.as_secs_f64(),
        drain_seconds: group.window.drain.as_secs_f64(),
        max_pause_seconds: group.window.max_pause.as_secs_f64(),
        next_slot: group.schedule.as_ref().and_then(|schedule| schedule.slots.next_run(now)),
    };
    output.print(&plan, |plan| text(plan, group))?;
    Ok(exit)
}

fn text(plan: &Plan, group: &Group) -> String {
    let rows = plan.clusters.iter().map(|cluster| {
        let product = serde_json::to_value(cluster.product).ok().and_then(|name| name.as_str().map(str::to_owned));
        vec![
            cluster.stage.to_string(),
            cluster.cluster.clone(),
            product.unwrap_or_default(),
            cluster.members.to_string(),
        ]
    });
    let mut text = table(&["STAGE", "CLUSTER", "PRODUCT", "MEMBERS"], rows);
    if !plan.stores.is_empty() {
        let rows = plan.stores.iter().map(|store| {
            let dollars = |cost: Option<f64>| or_nothing(cost.map(|cost| format!("${cost:.2}")));
            let (bytes, parts) = (store.bytes.to_string(), store.parts.to_string());
            let (restore, backup) = (dollars(store.restore_dollars), dollars(store.backup_dollars_a_month));
            vec![store.store.clone(), store.kind.clone(), parts, bytes, restore, backup]
        });
        text.push('\n');
        text.push_str(&table(&["STORE", "KIND", "PARTS", "BYTES", "MATERIALIZING", "BACKUP A MONTH"], rows));
        for note in plan.stores.iter().flat_map(|store| &store.notes) {
            text.push_str(&format!("{note}\n"));
        }
    }
    text.push_str(&format!(
        "\nhold {} s after a drain of at most {} s a stage; opened again after {} s at the latest\n",
        plan.hold_seconds, plan.drain_seconds, plan.max_pause_seconds
    ));
    if let Some(slot) = plan.next_slot {
        text.push_str(&format!("next slot {}\n", super::output::instant(slot, &zone(Some(group)))));
    }
    for reason in &plan.reasons {
        text.push_str(&format!("{reason}\n"));
    }
    text.push_str(&format!("a window would {}\n", if plan.would == "begin" { "begin now" } else { "be refused now" }));
    text
}
