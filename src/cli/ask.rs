//! A request to the daemon beside this command, or, without one, to an engine in this process.

use super::Exit;
use super::kube::{KubeFlags, Misplaced};
use super::output::{Format, complain};
use crate::catalog::OpenError;
use crate::config::Config;
use crate::daemon::Service;
use crate::daemon::client::{self, Responses};
use crate::daemon::control::{self, Request, Response};
use crate::daemon::rescue::StillClosed;
use crate::daemon::run::{Candidate, Ending, Signals, lead, stop};
use crate::engine::SHOW_EVERY;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How often, and how far apart, a daemon that holds the catalog is asked again before it counts as not answering.
const STARTING_TRIES: u32 = 20;
const STARTING_WAIT: Duration = Duration::from_millis(100);

/// Where the answers come from.
enum Answers {
    Daemon(Responses),
    Here(mpsc::Receiver<Response>),
}

/// One request under way.
pub struct Asked {
    answers: Answers,
    signals: Signals,
    /// Without a daemon: what must be open before this command ends.
    service: Option<Service>,
}

/// What came next.
pub enum Next {
    Response(Response),
    /// SIGINT or SIGTERM.
    Signal,
    /// Nothing more comes.
    Over,
}

/// Sends a request. Without a daemon the catalog is taken, what is left open to doubt is opened, and the request is
/// carried out here.
///
/// # Errors
/// A daemon that does not answer, or that would not heed the flags; or a catalog that cannot be taken.
pub async fn ask(config: &Arc<Config>, kube: &KubeFlags, request: Request, output: Format) -> anyhow::Result<Asked> {
    let mut signals = Signals::catch().context("catch signals")?;
    let service = match daemon_or_catalog(config, kube, &request, &mut signals).await? {
        Ok(responses) => return Ok(Asked { answers: Answers::Daemon(responses), signals, service: None }),
        Err(service) => service,
    };
    for mut handle in service.recover().await? {
        output.tell(format_args!("opening what window {} left to doubt, which a process died over", handle.window));
        if !matches!(request, Request::Recover { .. }) {
            let named = request.group();
            let its_group = handle.status.borrow().plan.as_ref().map(|plan| plan.group.clone());
            if its_group.as_deref() == named {
                tokio::select! {
                    _ = handle.finished() => {}
                    () = signals.next() => return Err(StillClosed(handle.status.borrow().doubtful.clone()).into()),
                }
            }
        }
    }
    if matches!(request, Request::Window { .. } | Request::Pause { .. })
        && let Err(error) = lead(config, &service.engine.leadership).await
    {
        // What is being recovered opens before this process ends.
        stop(&service, &mut signals).await;
        return Err(error);
    }
    let (sender, responses) = mpsc::channel(16);
    let worker = service.clone();
    if let (Request::Point { .. }, Some(group)) = (&request, request.group().and_then(|it| config.groups.get(it))) {
        let group = Arc::new(group.clone());
        for store in group.stores.values() {
            // It ends with the process: what it was at goes on at the next start.
            tokio::spawn(service.followers.follower(&group, store).run(CancellationToken::new()));
        }
    }
    tokio::spawn(async move { control::handle(&worker, request, sender).await });
    Ok(Asked { answers: Answers::Here(responses), signals, service: Some(service) })
}

/// The daemon's answers, or else the catalog. A daemon that just starts holds the catalog before it listens.
async fn daemon_or_catalog(
    config: &Arc<Config>,
    kube: &KubeFlags,
    request: &Request,
    signals: &mut Signals,
) -> anyhow::Result<Result<Responses, Service>> {
    let socket = &config.daemon.socket;
    let mut tries = 0;
    let mut candidate = None;
    loop {
        let context = || format!("ask the daemon at {}", socket.display());
        if let Some(flag) = kube.given().first() {
            if client::listens(socket).await.with_context(context)? {
                let where_it_is = socket.display();
                let sentence =
                    format!("a daemon runs at {where_it_is} and goes by its own config: {flag} would change nothing");
                return Err(Misplaced(sentence).into());
            }
        } else if let Some(responses) = client::send(socket, request).await.with_context(context)? {
            return Ok(Ok(responses));
        }
        let candidate = match &mut candidate {
            Some(candidate) => candidate,
            none => none.insert(Candidate::new(config.clone())?),
        };
        if candidate.leads_first() {
            lead(config, &candidate.leadership).await?;
        }
        match candidate.service(signals).await {
            Err(error) if tries < STARTING_TRIES && matches!(error.downcast_ref(), Some(OpenError::InUse { .. })) => {
                tries += 1;
                tokio::time::sleep(STARTING_WAIT).await;
            }
            taken => return Ok(Err(taken?)),
        }
    }
}

impl Asked {
    /// Whether this command itself holds what is closed.
    pub const fn alone(&self) -> bool {
        self.service.is_some()
    }

    /// The next answer or signal.
    ///
    /// # Errors
    /// The daemon went away in the middle.
    pub async fn next(&mut self) -> anyhow::Result<Next> {
        let answer = async {
            match &mut self.answers {
                Answers::Daemon(responses) => responses.next().await.context("listen to the daemon"),
                Answers::Here(responses) => Ok(responses.recv().await),
            }
        };
        tokio::select! {
            answer = answer => Ok(answer?.map_or(Next::Over, Next::Response)),
            () = self.signals.next() => Ok(Next::Signal),
        }
    }

    /// The group's window ends well if it is a pause by hand, and is void otherwise; everything opens.
    pub fn open(&self, group: &str) {
        if let Some(handle) = self.service.as_ref().and_then(|service| service.engine.window_of(group)) {
            handle.open(crate::domain::Reason::new(crate::domain::Code::Opened, "told to stop"));
        }
    }

    /// Ends without waiting any longer: what is still closed is told.
    ///
    /// # Errors
    /// There is some.
    pub async fn give_up(self) -> anyhow::Result<Exit> {
        tokio::time::sleep(SHOW_EVERY).await;
        let handles = self.service.iter().flat_map(|service| service.engine.windows());
        let closed: Vec<String> = handles.flat_map(|handle| handle.status.borrow().doubtful.clone()).collect();
        if closed.is_empty() { Ok(Exit::Failed) } else { Err(StillClosed(closed).into()) }
    }

    /// Alone, waits until a window's restore point is at rest; a daemon goes on by itself. False: told to stop before.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn at_rest(&mut self, window: &str, poll: Duration) -> anyhow::Result<bool> {
        let Some(service) = &self.service else { return Ok(true) };
        while !service.at_rest(window).await.context("read the catalog")? {
            tokio::select! {
                () = tokio::time::sleep(poll) => {}
                () = self.signals.next() => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Ends: alone, not before everything is open.
    pub async fn end(mut self, exit: Exit) -> Exit {
        let Some(service) = self.service else { return exit };
        let ending = stop(&service, &mut self.signals).await;
        // A disk that hangs has been told of by the verdict.
        let _ = service.engine.catalog.close().await;
        service.engine.leadership.release().await;
        match ending {
            Ending::Open => exit,
            Ending::StillClosed(members) => {
                complain(format_args!("may still be closed: {}", members.join(", ")));
                Exit::StillClosed
            }
        }
    }
}
