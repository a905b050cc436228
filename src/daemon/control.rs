//! What the commands ask of a daemon, over its Unix socket or within one process: requests and responses as JSON,
//! one a line.

use super::Service;
use super::reload::Outcome;
use crate::domain::{Interval, Member, Reason, Trigger};
use crate::engine::{Handle, Order, Status};
use crate::tracking::Act;
pub use crate::window::Report;
use crate::window::{Input, State};
use jiff::Timestamp;
use rustix::fs::Mode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// The longest request.
const LONGEST_REQUEST: u64 = 64 * 1024;
/// How long a client may take to send its request, or to take a line.
const CLIENT_DEADLINE: Duration = Duration::from_secs(10);
/// How long a pause by hand may last unless the command says otherwise.
pub const HAND_LIMIT: Duration = Duration::from_secs(600);
/// How long a concluded window may take to be recorded before its report says that it is not.
const RECORD_LIMIT: Duration = Duration::from_secs(5);
/// How long reading the config again may take, the start of a daemon before it included.
const RELOAD_LIMIT: Duration = Duration::from_secs(60);

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// One window now.
    Window { group: String },
    /// Closes the group until it is opened by hand, or its limit passes.
    Pause { group: String, limit: Duration },
    /// Opens what a window or a pause by hand closed.
    Unpause { group: String },
    /// Materializes a restore point, or gives it up.
    Point { group: String, window: String, act: Act },
    /// The open windows; with a member's name, gives that member up.
    Recover { abandon: Option<String>, by: String },
    /// Reads the config again.
    Reload,
    /// Begins no further window, lets those that have closed members come to their ends, and ends the daemon.
    Stop,
}

impl Request {
    /// The group it names.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Window { group }
            | Self::Pause { group, .. }
            | Self::Unpause { group }
            | Self::Point { group, .. } => Some(group),
            Self::Recover { .. } | Self::Reload | Self::Stop => None,
        }
    }
}

/// One response; the last one of a request is neither `Progress` nor `Holding`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    Progress(Progress),
    /// A pause by hand stands.
    Holding(Progress),
    Ended(Box<Report>),
    /// The group is in no window.
    Idle,
    /// What is still being opened.
    Open {
        windows: Vec<Progress>,
    },
    /// What came of it, by store; none: it was begun.
    Point {
        stores: BTreeMap<String, Option<String>>,
    },
    /// What came of reading the config again.
    Reload(Outcome),
    Failed {
        message: String,
    },
}

/// How far a window is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub window: String,
    pub state: String,
    pub members: usize,
    pub pause_completed: Option<Timestamp>,
    pub unpause_started: Option<Timestamp>,
    /// Members that may still be closed.
    pub doubtful: Vec<String>,
}

impl Progress {
    /// What a status shows.
    #[must_use]
    pub fn of(handle: &Handle, status: &Status) -> Self {
        Self {
            window: handle.window.clone(),
            state: status.state.map_or("finding members", state_name).to_owned(),
            members: status.members.len(),
            pause_completed: status.pause_completed,
            unpause_started: status.unpause_started,
            doubtful: status.doubtful.clone(),
        }
    }
}

const fn state_name(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting for the slot",
        State::Looking => "looking at the members",
        State::Intending => "writing the intent",
        State::Pausing => "pausing",
        State::Rechecking => "asking again",
        State::Holding => "holding",
        State::LastLook => "asking for the last time",
        State::Opening => "opening",
        State::Recovering => "recovering",
        State::Verifying => "verifying",
        State::Concluding => "recording the verdict",
    }
}

/// How a window ended; none before its verdict.
fn report(handle: &Handle, status: &Status) -> Option<Report> {
    let outcome = status.outcome.clone()?;
    let seconds = |duration: Duration| duration.as_secs_f64();
    Some(Report {
        window: handle.window.clone(),
        group: status.plan.as_ref().map(|plan| plan.group.clone()).unwrap_or_default(),
        slot: status.plan.as_ref().and_then(|plan| plan.slot),
        verdict: outcome.verdict,
        reasons: outcome.reasons,
        pause_completed: status.pause_completed,
        unpause_started: status.unpause_started.filter(|_| status.first_pause.is_some()),
        restore_point: outcome.restore_point,
        quiet_seconds: outcome.quiet.as_ref().map(Interval::length).map(seconds),
        closed_seconds: outcome.closed.map(seconds),
        evidence: status.evidence,
        members: status.members.to_vec(),
        recorded: status.finished,
    })
}

/// Carries a request out. The receiver may go away: a window that was begun goes on.
pub async fn handle(service: &Service, request: Request, responses: mpsc::Sender<Response>) {
    let last = match request {
        Request::Window { group } => begin(service, &group, Trigger::Command, None, &responses).await,
        Request::Pause { group, limit } => begin(service, &group, Trigger::Hand, Some(limit), &responses).await,
        Request::Unpause { group } => unpause(service, &group, &responses).await,
        Request::Point { group, window, act } => point(service, &group, &window, act).await,
        Request::Recover { abandon: Some(member), by } => abandon(service, &member, &by),
        Request::Recover { abandon: None, .. } => Response::Open { windows: open_windows(service) },
        Request::Reload => reload(service).await,
        Request::Stop => {
            service.engine.drain().await;
            service.ending.notify_one();
            Response::Open { windows: open_windows(service) }
        }
    };
    let _ = responses.send(last).await;
}

async fn begin(
    service: &Service,
    group: &str,
    trigger: Trigger,
    limit: Option<Duration>,
    responses: &mpsc::Sender<Response>,
) -> Response {
    let config = service.engine.config();
    let Some(group) = config.groups.get(group) else {
        return Response::Failed { message: format!("the daemon's config has no group {group}") };
    };
    match service.begin(group, Order { trigger, slot: None, limit }) {
        Ok(handle) => follow(handle, trigger, responses).await,
        Err(busy) => Response::Failed { message: busy.to_string() },
    }
}

/// Tells how a window goes on until its verdict is recorded.
async fn follow(mut handle: Handle, trigger: Trigger, responses: &mpsc::Sender<Response>) -> Response {
    let mut told = None;
    loop {
        let status = handle.status.borrow_and_update().clone();
        let progress = Progress::of(&handle, &status);
        if told.as_ref() != Some(&progress) {
            let holding = trigger == Trigger::Hand && status.state == Some(State::Holding);
            let response = if holding { Response::Holding } else { Response::Progress };
            // Nobody listens any more: the window goes on all the same.
            let _ = responses.send(response(progress.clone())).await;
            told = Some(progress);
        }
        if status.concluded() {
            let _ = tokio::time::timeout(RECORD_LIMIT, handle.finished()).await;
            let status = handle.status.borrow().clone();
            return report(&handle, &status).map_or(Response::Idle, |report| Response::Ended(Box::new(report)));
        }
        if handle.status.changed().await.is_err() {
            return Response::Failed { message: format!("window {} ended without a verdict", handle.window) };
        }
    }
}

async fn point(service: &Service, group: &str, window: &str, act: Act) -> Response {
    let config = service.engine.config();
    let Some(group) = config.groups.get(group) else {
        return Response::Failed { message: format!("the daemon's config has no group {group}") };
    };
    let answers = service.followers.act(group, window, act).await;
    let stores = answers.into_iter().map(|(store, answer)| (store, answer.err().map(|why| why.to_string())));
    Response::Point { stores: stores.collect() }
}

async fn unpause(service: &Service, group: &str, responses: &mpsc::Sender<Response>) -> Response {
    let Some(handle) = service.engine.window_of(group) else { return Response::Idle };
    handle.open(Reason::new(crate::domain::Code::Opened, "a person opened it"));
    follow(handle, Trigger::Command, responses).await
}

/// At once where the daemon is at work; one that just starts reloads when it has recovered.
async fn reload(service: &Service) -> Response {
    let (who, outcome) = oneshot::channel();
    let asked = service.reloads.get().is_some_and(|reloads| reloads.try_send(who).is_ok());
    match tokio::time::timeout(RELOAD_LIMIT, outcome).await {
        Ok(Ok(outcome)) => Response::Reload(outcome),
        _ if !asked => Response::Failed { message: "there is nothing to reload here".to_owned() },
        _ => Response::Failed { message: "the daemon has not come to it".to_owned() },
    }
}

fn open_windows(service: &Service) -> Vec<Progress> {
    let windows = service.engine.windows();
    windows.iter().map(|handle| Progress::of(handle, &handle.status.borrow())).collect()
}

fn abandon(service: &Service, member: &str, by: &str) -> Response {
    for handle in service.engine.windows() {
        let status = handle.status.borrow().clone();
        let named = |there: &Member| there.name == member || there.address == member || there.to_string() == member;
        if let Some(index) = status.members.iter().position(named) {
            handle.command(Input::Abandon { member: index, by: by.to_owned() });
            tracing::warn!(window = %handle.window, %member, "{member} is given up by {by}");
            return Response::Open { windows: open_windows(service) };
        }
    }
    Response::Failed { message: format!("no open window names a member {member}") }
}

/// Binds the socket, readable by its owner only. A socket that a dead daemon left is replaced: the catalog's lock,
/// which is held by now, proves that it is dead.
///
/// # Errors
/// Those of the filesystem.
pub fn bind(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Never, not even for a moment, is it anybody else's to connect to.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    listener
}

/// Serves requests for ever.
pub async fn serve(service: Service, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(service.clone(), stream));
            }
            Err(error) => {
                tracing::warn!("accept at the control socket: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(service: Service, stream: UnixStream) {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(LONGEST_REQUEST));
    if !matches!(tokio::time::timeout(CLIENT_DEADLINE, reader.read_line(&mut line)).await, Ok(Ok(1..))) {
        return;
    }
    let (sender, mut responses) = mpsc::channel(16);
    match serde_json::from_str(&line) {
        Ok(request) => {
            tokio::spawn(async move { handle(&service, request, sender).await });
        }
        Err(error) => {
            let _ = sender.try_send(Response::Failed { message: format!("not a request: {error}") });
            drop(sender);
        }
    }
    while let Some(response) = responses.recv().await {
        let Ok(mut line) = serde_json::to_vec(&response) else { return };
        line.push(b'\n');
        if !matches!(tokio::time::timeout(CLIENT_DEADLINE, writer.write_all(&line)).await, Ok(Ok(()))) {
            return;
        }
    }
}
