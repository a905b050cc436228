//! One window told to log and metrics.

use crate::domain::{Trigger, Verdict};
use crate::engine::{Handle, Status};
use crate::observe::metrics::{Ended, Look, Metrics};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What opening may take beyond `max_pause` before a member counts as left paused.
const OPENING: Duration = Duration::from_secs(10);

/// Follows a window to its end.
pub(super) async fn watch(metrics: Arc<Metrics>, group: String, mut handle: Handle) {
    metrics.window_started(&group);
    let mut told = Told::default();
    loop {
        let status = handle.status.borrow_and_update().clone();
        told.tell(&metrics, &group, &handle.window, &status);
        if status.finished || handle.status.changed().await.is_err() {
            break;
        }
    }
    metrics.members_doubtful(&group, 0);
    metrics.window_idle(&group);
}

/// What was told already.
#[derive(Default)]
struct Told {
    paused: bool,
    completed: bool,
    opening: bool,
    outcome: bool,
}

impl Told {
    fn tell(&mut self, metrics: &Metrics, group: &str, window: &str, status: &Status) {
        if let (Some(first), Some(plan), false) = (status.first_pause, &status.plan, self.paused) {
            self.paused = true;
            metrics.pause_started(group, first + plan.max_pause + OPENING);
        }
        if let (Some(at), false) = (status.pause_completed, self.completed) {
            self.completed = true;
            tracing::info!(%window, %group, "pause completed at {at:.3}");
        }
        if let (Some(at), false) = (status.unpause_started, self.opening) {
            self.opening = true;
            tracing::info!(%window, %group, "unpause started at {at:.3}");
        }
        if status.state.is_some() && !status.members.is_empty() {
            metrics.members_seen(group, &looks(status));
        }
        metrics.members_doubtful(group, status.doubtful.len());
        if let (Some(outcome), false) = (&status.outcome, self.outcome) {
            self.outcome = true;
            let drain = status.pause_completed.zip(status.first_pause).map(|(end, start)| end.duration_since(start));
            let drain = drain.and_then(|drain| drain.try_into().ok());
            let hold = status.plan.as_ref().map(|plan| plan.hold);
            let ended = Ended { drain, hold, ..Ended::from(outcome) };
            if status.plan.as_ref().is_none_or(|plan| plan.trigger != Trigger::Hand) {
                metrics.window_ended(group, &ended);
            }
            match (outcome.verdict, outcome.restore_point) {
                (Verdict::Consistent, Some(point)) => {
                    tracing::info!(%window, %group, "consistent: the restore point is {point}");
                }
                (verdict, _) => {
                    let reasons: Vec<String> = outcome.reasons.iter().map(ToString::to_string).collect();
                    tracing::warn!(%window, %group, "{verdict}: {}", reasons.join("; "));
                }
            }
        }
    }
}

fn looks(status: &Status) -> BTreeMap<String, Look> {
    let look = |(cluster, (known, paused)): (&String, &(usize, usize))| {
        (cluster.clone(), Look { known: *known, paused: *paused, unanswered: 0 })
    };
    status.seen.iter().map(look).collect()
}
