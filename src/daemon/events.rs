//! One window told to Kubernetes, as events on the workloads that it closes and on the daemon's own pod.
//!
//! Nothing of a window waits for them: they follow it in a task of their own, and one that cannot be written is logged.

use crate::domain::{Member, Reason, Verdict};
use crate::engine::{Finder, Handle, Status};
use crate::kubernetes::{News, OwnPod};
use std::collections::BTreeSet;

/// Follows a window to its end.
pub(super) async fn tell(finder: Finder, group: String, mut handle: Handle) {
    let mut teller =
        Teller { finder, group, window: handle.window.clone(), own_pod: OwnPod::from_environment(), failed: false };
    let (mut started, mut opened) = (false, BTreeSet::new());
    loop {
        let status = handle.status.borrow_and_update().clone();
        if status.first_pause.is_some() && !started {
            started = true;
            teller.workloads(&status.members, &started_news(&teller.window, &status)).await;
        }
        if may_have_been_closed(&status) && status.unpause_started.is_some() {
            for cluster in opened_clusters(&status) {
                if opened.insert(cluster.clone()) {
                    let members: Vec<Member> =
                        status.members.iter().filter(|member| member.cluster == cluster).cloned().collect();
                    let note = format!("window {}: all {} members are open again", teller.window, members.len());
                    let news = News { reason: "ClusterOpened", action: "Unpause", note, warning: false };
                    teller.workloads(&members, &news).await;
                }
            }
        }
        if let Some(news) = verdict_news(&teller.window, &status) {
            if may_have_been_closed(&status) {
                teller.workloads(&status.members, &news).await;
            }
            teller.own_pod(&news).await;
            return;
        }
        if handle.status.changed().await.is_err() {
            return;
        }
    }
}

fn may_have_been_closed(status: &Status) -> bool {
    status.first_pause.is_some() || status.recovered
}

fn opened_clusters(status: &Status) -> BTreeSet<String> {
    let all = status.members.iter().map(|member| &member.cluster);
    all.filter(|cluster| !status.unopened.contains_key(*cluster)).cloned().collect()
}

fn started_news(window: &str, status: &Status) -> News {
    let hold = status.plan.as_ref().map_or(0.0, |plan| plan.hold.as_secs_f64());
    let note = format!("window {window}: pausing {} members, then holding for {hold} s", status.members.len());
    News { reason: "WindowStarted", action: "Pause", note, warning: false }
}

/// None while it has no verdict: there is none before every member is done.
fn verdict_news(window: &str, status: &Status) -> Option<News> {
    let outcome = status.outcome.as_ref()?;
    let reasons = || outcome.reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; ");
    let (reason, what) = match (outcome.verdict, outcome.restore_point) {
        (Verdict::Consistent, Some(point)) => {
            let seconds = |length: Option<std::time::Duration>| length.unwrap_or_default().as_secs_f64();
            let (quiet, closed) = (seconds(outcome.quiet.map(|quiet| quiet.length())), seconds(outcome.closed));
            ("WindowConsistent", format!("restore point {point}; quiet {quiet:.3} s, closed {closed:.3} s"))
        }
        (Verdict::Refused, _) => ("WindowRefused", format!("nothing was paused: {}", reasons())),
        _ => ("WindowDiscarded", reasons()),
    };
    let warning = outcome.verdict != Verdict::Consistent;
    Some(News { reason, action: "Window", note: format!("window {window}: {what}"), warning })
}

struct Teller {
    finder: Finder,
    group: String,
    window: String,
    own_pod: Option<OwnPod>,
    /// A failure was logged already.
    failed: bool,
}

impl Teller {
    async fn workloads(&mut self, members: &[Member], news: &News) {
        let told = self.finder.tell_workloads(&self.group, members, news).await;
        self.log(news, told);
    }

    async fn own_pod(&mut self, news: &News) {
        if let Some(pod) = &self.own_pod {
            let told = self.finder.tell_own_pod(pod, news).await;
            self.log(news, told);
        }
    }

    fn log(&mut self, news: &News, told: Result<(), String>) {
        if let Err(why) = told
            && !std::mem::replace(&mut self.failed, true)
        {
            tracing::warn!(window = %self.window, group = %self.group, "write the event {}: {why}", news.reason);
        }
    }
}
