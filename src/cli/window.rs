//! `window`, `pause` and `unpause`.

use super::Exit;
use super::ask::{Asked, Next, ask};
use super::kube::KubeFlags;
use super::output::{self, Format, complain, instant};
use crate::config::{Config, Group};
use crate::daemon::control::{Progress, Report, Request, Response};
use crate::domain::Verdict;
use jiff::tz::TimeZone;
use std::sync::Arc;
use std::time::Duration;

/// One window now.
pub async fn window(config: &Arc<Config>, kube: &KubeFlags, group: &Group, output: Format) -> anyhow::Result<Exit> {
    let request = Request::Window { group: group.name.clone() };
    follow(ask(config, kube, request, output).await?, group, output, false).await
}

/// A pause by hand. With a daemon it enforces the limit; alone this command does, in the foreground.
pub async fn pause(
    config: &Arc<Config>,
    kube: &KubeFlags,
    group: &Group,
    limit: Duration,
    output: Format,
) -> anyhow::Result<Exit> {
    let request = Request::Pause { group: group.name.clone(), limit };
    follow(ask(config, kube, request, output).await?, group, output, true).await
}

/// Opens what a window or a pause by hand closed.
pub async fn unpause(config: &Arc<Config>, kube: &KubeFlags, group: &Group, output: Format) -> anyhow::Result<Exit> {
    let request = Request::Unpause { group: group.name.clone() };
    let exit = follow(ask(config, kube, request, output).await?, group, output, false).await?;
    // The window ended as it was told to: that is what was asked for.
    Ok(if matches!(exit, Exit::Discarded | Exit::Refused) { Exit::Good } else { exit })
}

async fn follow(mut asked: Asked, group: &Group, output: Format, by_hand: bool) -> anyhow::Result<Exit> {
    let mut lines =
        Lines { output, zone: output::zone(Some(group)), completed: false, started: false, state: String::new() };
    let mut told_to_stop = false;
    let exit = loop {
        match asked.next().await? {
            Next::Response(Response::Progress(progress)) => lines.tell(&progress),
            Next::Response(Response::Holding(progress)) => {
                lines.tell(&progress);
                if by_hand && !asked.alone() {
                    let _ =
                        output.print(&progress, |_| format!("closed; stillpoint unpause {} opens it\n", group.name));
                    return Ok(Exit::Good);
                }
                output.tell("closed; Ctrl-C opens it");
            }
            Next::Response(Response::Ended(report)) => {
                output.print(&report, |report| lines.report(report))?;
                break verdict(&report);
            }
            Next::Response(Response::Idle) => {
                output.tell(format_args!("group {} is in no window of ours", group.name));
                output.tell(format_args!(
                    "stillpoint members {0} shows who is paused; unpause {0} --force opens it",
                    group.name
                ));
                break Exit::Good;
            }
            Next::Response(Response::Failed { message }) => {
                complain(format_args!("{message}"));
                break Exit::Failed;
            }
            Next::Response(Response::Open { .. } | Response::Point { .. } | Response::Reload(_)) => {}
            Next::Signal if told_to_stop => return asked.give_up().await,
            Next::Signal if asked.alone() => {
                told_to_stop = true;
                output.tell("told to stop: everything opens");
                asked.open(&group.name);
            }
            Next::Signal => {
                output
                    .tell(format_args!("the window goes on in the daemon; stillpoint unpause {} opens it", group.name));
                return Ok(Exit::Failed);
            }
            Next::Over => {
                complain(format_args!("the daemon went away; its next start opens what it closed"));
                break Exit::Failed;
            }
        }
    };
    Ok(asked.end(exit).await)
}

const fn verdict(report: &Report) -> Exit {
    match report.verdict {
        Verdict::Consistent => Exit::Good,
        Verdict::Discarded | Verdict::Missed | Verdict::Skipped => Exit::Discarded,
        Verdict::Refused => Exit::Refused,
    }
}

/// Members that take longer to open are named.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was told already.
struct Lines {
    output: Format,
    zone: TimeZone,
    completed: bool,
    started: bool,
    state: String,
}

impl Lines {
    fn tell(&mut self, progress: &Progress) {
        if let (Some(at), false) = (progress.pause_completed, self.completed) {
            self.completed = true;
            self.output.tell(format_args!("pause completed at {}", instant(at, &self.zone)));
        }
        if let (Some(at), true, false) = (progress.unpause_started, self.completed, self.started) {
            self.started = true;
            self.output.tell(format_args!("unpause started at {}", instant(at, &self.zone)));
        }
        if progress.state != self.state {
            self.state.clone_from(&progress.state);
            self.output.tell(format_args!("{}: {} ({} members)", progress.window, progress.state, progress.members));
        }
        let slow = progress.unpause_started.is_some_and(|at| crate::clock::wall() > at + PATIENCE);
        if !progress.doubtful.is_empty() && slow {
            self.output.tell(format_args!("not known to be open yet: {}", some(&progress.doubtful)));
        }
    }

    fn report(&self, report: &Report) -> String {
        let mut text = String::new();
        for reason in &report.reasons {
            text.push_str(&format!("{reason}\n"));
        }
        let seconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3} s"));
        if let Some(point) = report.restore_point {
            text.push_str(&format!("restore point {}\n", instant(point, &self.zone)));
        }
        let (quiet, closed) = (seconds(report.quiet_seconds), seconds(report.closed_seconds));
        text.push_str(&format!("{}: {}; quiet {quiet}, closed {closed}\n", report.window, report.verdict));
        if !report.recorded {
            text.push_str("the catalog has not recorded it\n");
        }
        text
    }
}

/// The first few of many.
pub(super) fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let first = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{first} and {} more", names.len() - SHOWN) } else { first }
}
