//! `history`: what the catalog knows of windows.

use super::Exit;
use super::output::{Format, NOTHING, or_nothing, short, table};
use crate::catalog::{Catalog, OpenError, WindowRow};
use crate::config::Config;
use serde::Serialize;
use std::sync::Arc;

/// A window as scripts read it.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    window: &'a str,
    group: &'a str,
    trigger: &'static str,
    slot: Option<jiff::Timestamp>,
    started: jiff::Timestamp,
    verdict: Option<&'static str>,
    reasons: &'a [crate::domain::Reason],
    evidence: Option<&'static str>,
    pause_completed: Option<jiff::Timestamp>,
    unpause_started: Option<jiff::Timestamp>,
    restore_point: Option<jiff::Timestamp>,
    closed_seconds: Option<f64>,
    members: u32,
}

impl<'a> From<&'a WindowRow> for Row<'a> {
    fn from(row: &'a WindowRow) -> Self {
        Self {
            window: &row.window,
            group: &row.group,
            trigger: row.trigger.name(),
            slot: row.slot,
            started: row.started,
            verdict: row.verdict.map(crate::domain::Verdict::name),
            reasons: &row.reasons,
            evidence: row.evidence.map(crate::domain::Evidence::name),
            pause_completed: row.pause_completed,
            unpause_started: row.unpause_started,
            restore_point: row.restore_point,
            closed_seconds: row.closed.map(|closed| closed.as_secs_f64()),
            members: row.members,
        }
    }
}

/// Windows, newest first.
pub async fn history(config: &Arc<Config>, group: Option<&str>, limit: u32, output: Format) -> anyhow::Result<Exit> {
    let rows = match Catalog::read(&config.daemon.catalog).await {
        Err(OpenError::NoCatalog(_) | OpenError::NoDirectory(_)) => Vec::new(),
        reader => reader?.history(group, limit).await?,
    };
    if let Some(exit) = unknown(config, group, rows.is_empty()) {
        return Ok(exit);
    }
    output.print(&rows.iter().map(Row::from).collect::<Vec<_>>(), |_| {
        let lines = rows.iter().map(|row| {
            let why = row.reasons.first().map_or_else(|| NOTHING.to_owned(), ToString::to_string);
            let verdict = row.verdict.map_or("open", crate::domain::Verdict::name).to_owned();
            let closed = row.closed.map(|closed| format!("{:.3}s", closed.as_secs_f64()));
            vec![row.window.clone(), short(row.started), row.trigger.to_string(), verdict, or_nothing(closed), why]
        });
        table(&["WINDOW", "STARTED (UTC)", "TRIGGER", "VERDICT", "CLOSED", "WHY"], lines)
    })?;
    Ok(Exit::Good)
}

/// A group that neither the config nor the catalog knows is a slip of the pen; one that was taken out of the config
/// keeps its history.
pub(super) fn unknown(config: &Config, group: Option<&str>, none: bool) -> Option<Exit> {
    if none { super::group(config, group?).err() } else { None }
}
