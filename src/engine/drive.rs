//! The loop that drives one window: input, decide, append, apply, due.

use super::status::Status;
use super::surroundings::Surroundings;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::domain::{Member, Now};
use crate::kubernetes::Change;
use crate::leadership::{Intent, Leadership, Tenure};
use crate::observe::Metrics;
use crate::scalar::{AdminClient, Answer, FailureKind};
use crate::window::{APPEND_DEADLINE, Call, Effect, Event, Input, Line, State, Window};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// An append that takes longer is reported as failed; it may still land, which the retry finds out.
const APPEND_LIMIT: Duration = Duration::from_secs(10);
/// How many inputs are taken in before the window decides.
const BATCH: usize = 1_024;

/// How old what a running window shows may be.
pub const SHOW_EVERY: Duration = Duration::from_millis(500);

struct Shown {
    members: Arc<[Member]>,
    last: Option<(State, bool, Duration)>,
    /// Something may have changed since.
    stale: bool,
}

/// Everything one window needs of the outside.
pub(super) struct Drive {
    pub clock: Clock,
    pub catalog: Catalog,
    pub metrics: Arc<Metrics>,
    pub leadership: Leadership,
    pub clients: Vec<AdminClient>,
    pub surroundings: Surroundings,
    pub commands: mpsc::Receiver<Input>,
    pub status: watch::Sender<Status>,
}

impl Drive {
    /// Runs the window to its durable end.
    pub async fn run(mut self, mut window: Window) {
        let clients: Vec<Arc<AdminClient>> = std::mem::take(&mut self.clients).into_iter().map(Arc::new).collect();
        let (replies, mut inputs) = mpsc::channel(2 * clients.len() + 64);
        let mut shown = Shown { members: window.members().into(), last: None, stale: false };
        let mut batch = Vec::with_capacity(BATCH);
        // What a dead process left is opened whoever leads.
        let mut tenure = self.leadership.tenure().filter(|_| !window.recovered());
        if let Some(tenure) = &tenure {
            window.absorb(self.clock.now(), Input::Leads { until: tenure.until() });
        }
        loop {
            let now = self.clock.now();
            for effect in window.advance(now) {
                self.carry_out(&clients, &shown.members, &window, effect, &replies);
            }
            if window.finished() {
                // Before anybody is told: a command ends its process then.
                self.surroundings.release().await;
                self.leadership.strike(&window.plan().window);
                self.status.send_replace(Status::of(&window, shown.members, now));
                return;
            }
            self.show(&window, now, &mut shown);
            let next_show = shown.last.filter(|_| shown.stale).map(|(.., at)| at + SHOW_EVERY);
            let deadline = window.deadline().into_iter().chain(next_show).min();
            tokio::select! {
                _ = inputs.recv_many(&mut batch, BATCH) => {}
                Some(command) = self.commands.recv() => batch.push(command),
                until = renewed(&mut tenure) => batch.push(Input::Leads { until }),
                change = self.surroundings.changed() => batch.push(changed(&window, change)),
                () = until(self.clock, deadline) => {}
            }
            let now = self.clock.now();
            for input in batch.drain(..) {
                log(&window, &input);
                window.absorb(now, input);
            }
        }
    }

    /// Shows the window when it came further, and now and then while it does not: a look costs all its members.
    fn show(&self, window: &Window, now: Now, shown: &mut Shown) {
        let (state, finished) = (window.state(now), window.finished());
        let same =
            shown.last.is_some_and(|(was, over, at)| (was, over) == (state, finished) && now.mono < at + SHOW_EVERY);
        shown.stale = same;
        if !same {
            shown.last = Some((state, finished, now.mono));
            self.status.send_replace(Status::of(window, shown.members.clone(), now));
        }
    }

    fn carry_out(
        &self,
        clients: &[Arc<AdminClient>],
        members: &Arc<[Member]>,
        window: &Window,
        effect: Effect,
        inputs: &mpsc::Sender<Input>,
    ) {
        let inputs = inputs.clone();
        match effect {
            Effect::Send { request, member, call, deadline, line } => {
                let client = clients[member].clone();
                let (clock, leadership) = (self.clock, self.leadership.clone());
                if line == Line::New {
                    client.reconnect();
                }
                tokio::spawn(async move {
                    let leads = !matches!(call, Call::Pause { .. }) || leadership.leads(clock.now().mono);
                    let answer = if leads { ask(&client, call, line, deadline).await } else { not_leading() };
                    // The loop is gone only when the window is finished: then nobody needs the answer.
                    let _ = inputs.send(Input::Reply { member, request, answer }).await;
                });
            }
            Effect::Append { number, event } => {
                let catalog = self.catalog.clone();
                let (metrics, clock) = (self.metrics.clone(), self.clock);
                let name = window.plan().window.clone();
                let leadership = self.leadership.clone();
                tokio::spawn(async move {
                    let begun = clock.now().mono;
                    let appended = async {
                        let appended = catalog.append(&name, number, &event).await;
                        metrics.catalog_appended(clock.now().mono.saturating_sub(begun));
                        if let Err(error) = &appended
                            && error.is_final()
                        {
                            // Whoever leads next goes on from what the catalog holds.
                            leadership.resign(error.to_string());
                        }
                        appended
                    };
                    // No pause leaves before its intent stands in both places.
                    let written =
                        tokio::time::timeout(APPEND_LIMIT, async { tokio::join!(appended, post(&leadership, &event)) })
                            .await;
                    let input = match written {
                        Ok((Ok(()), Ok(()))) => Input::Appended { number },
                        Ok((Ok(()), Err(error))) => Input::AppendFailed { number, error },
                        Ok((Err(error), _)) => Input::AppendFailed { number, error: error.to_string() },
                        Err(_) => Input::AppendFailed { number, error: "no answer from the disk".to_owned() },
                    };
                    if matches!(input, Input::AppendFailed { .. }) {
                        metrics.catalog_failed();
                    }
                    let _ = inputs.send(input).await;
                });
            }
            Effect::LookAtPods => {
                let found = self.surroundings.pods(members.clone());
                tokio::spawn(async move { inputs.send(found.await).await });
            }
            Effect::LookAtStores => {
                let (catalog, name) = (self.catalog.clone(), window.plan().window.clone());
                let looked = self.surroundings.stores(catalog, name, window.quiet());
                tokio::spawn(async move { inputs.send(looked.await).await });
            }
            Effect::TakeCensus => {
                let found = self.surroundings.census(window.unpause_started().is_some());
                tokio::spawn(async move { inputs.send(found.await).await });
            }
        }
    }
}

/// A change, at the member whose pod it is about.
fn changed(window: &Window, Change { uid, reason }: Change) -> Input {
    let pod = |member: &Member| member.pod.as_ref().map(|pod| &pod.uid) == uid.as_ref();
    let member = uid.as_ref().and_then(|_| window.members().iter().position(pod));
    Input::Changed { member, reason }
}

async fn renewed(tenure: &mut Option<Tenure>) -> Duration {
    match tenure {
        Some(tenure) => tenure.changed().await,
        None => std::future::pending().await,
    }
}

/// Puts an intent on the lease too.
async fn post(leadership: &Leadership, event: &Event) -> Result<(), String> {
    let Event::Intended { plan, members, .. } = event else { return Ok(()) };
    let drain_milliseconds = u64::try_from(plan.drain.as_millis()).unwrap_or(u64::MAX);
    let (window, group, members) = (plan.window.clone(), plan.group.clone(), members.clone());
    leadership.post(Intent { window, group, drain_milliseconds, members }, APPEND_DEADLINE).await
}

fn not_leading() -> Answer {
    Answer::failed(FailureKind::Rejected, "it was not sent: this daemon cannot be sure any more that it leads")
}

async fn until(clock: Clock, deadline: Option<Duration>) {
    match deadline {
        Some(deadline) => clock.sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn ask(client: &AdminClient, call: Call, line: Line, deadline: Duration) -> Answer {
    match call {
        Call::Pause { drain } => client.pause(drain, deadline).await,
        Call::Unpause => client.unpause(deadline).await,
        Call::CheckPaused if line == Line::Same => client.check_paused_on_this_line(deadline).await,
        Call::CheckPaused => client.check_paused(deadline).await,
    }
}

/// Failures are logged here, once, where they enter the window.
fn log(window: &Window, input: &Input) {
    let (name, group) = (&window.plan().window, &window.plan().group);
    match input {
        Input::Reply { member, answer: Answer::Failed(failure), .. } => {
            let member = &window.members()[*member];
            if failure.kind == FailureKind::Unknown {
                tracing::warn!(window = %name, %group, cluster = %member.cluster, member = %member.name, "{failure}");
            } else {
                tracing::info!(window = %name, %group, cluster = %member.cluster, member = %member.name, "{failure}");
            }
        }
        Input::Changed { reason, .. } => tracing::warn!(window = %name, %group, "{reason}"),
        Input::Pods(Err(why)) => {
            tracing::warn!(window = %name, %group, "ask whose pods are gone: {why}; members are opened all the same");
        }
        Input::AppendFailed { number, error } => {
            tracing::error!(window = %name, %group, "append event {number}: {error}");
        }
        _ => {}
    }
}
