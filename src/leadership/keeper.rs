//! The task that holds a replica's part in the election up, and what the rest of the process knows of it.

use super::election::{Ask, Election, Taken, Terms};
use super::intent::{Intent, Intents};
use crate::catalog::{self, LeaseRow};
use crate::clock::Clock;
use crate::kubernetes::LeaderLease;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How long letting the lease go may take; what cannot be let go runs out.
const RELEASE_DEADLINE: Duration = Duration::from_secs(3);

/// Where the lease is.
pub enum Record {
    /// A Lease of Kubernetes.
    Lease(LeaderLease),
    /// A row in PostgreSQL, timed by its clock.
    Row { row: LeaseRow, holder: String, lasts: Duration },
}

impl Record {
    /// Takes or renews the lease. `posted` is what is to stand on it of open windows, none: what stands there. Answers
    /// with what stands there afterwards, where the lease is this replica's.
    async fn ask(&self, ask: &Ask, posted: Option<&str>) -> (Taken, Option<String>) {
        let asked = async {
            match self {
                Self::Lease(lease) => lease.ask(ask, posted).await,
                Self::Row { row, holder, lasts } => (asked_row(row, holder, *lasts).await, None),
            }
        };
        let late = |_| (Taken::Unknown(format!("no answer within {:?}", ask.deadline)), None);
        tokio::time::timeout(ask.deadline, asked).await.unwrap_or_else(late)
    }

    /// Lets it go; `posted` is as for [`Record::ask`].
    async fn release(&self, posted: Option<&str>) {
        let released = async {
            match self {
                Self::Lease(lease) => lease.release(posted).await,
                Self::Row { row, holder, .. } => row.release(holder).await.map_err(|error| error.to_string()),
            }
        };
        if let Ok(Err(why)) | Err(why) =
            tokio::time::timeout(RELEASE_DEADLINE, released).await.map_err(|late| late.to_string())
        {
            tracing::warn!("let the lease go: {why}; it runs out by itself");
        }
    }
}

/// The row says itself when it may be taken.
async fn asked_row(row: &LeaseRow, name: &str, lasts: Duration) -> Taken {
    match row.take(name, lasts, "").await {
        Ok(catalog::Taken::Ours) => Taken::Ours,
        Ok(catalog::Taken::Theirs { holder, left, .. }) => {
            Taken::Theirs { record: holder.clone(), holder, lasts: left }
        }
        Err(error) => Taken::Unknown(format!("{:#}", anyhow::Error::from(error))),
    }
}

/// How the election stands for this replica.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Standing {
    /// It leads until then, by the process's clock.
    until: Option<Duration>,
    /// It led, and leads no more.
    lost: Option<String>,
    /// Who leads, where somebody else does.
    leader: Option<String>,
    /// Why nobody knows, if so.
    trouble: Option<String>,
    /// The last change of the open windows that stands on the lease.
    written: u64,
}

#[derive(Default)]
struct Posted {
    intents: Intents,
    /// The number of the last change.
    change: u64,
    /// What a predecessor left, once it is known.
    inherited: Option<Intents>,
}

struct Shared {
    standing: watch::Sender<Standing>,
    posted: Mutex<Posted>,
    hurry: Notify,
    end: Notify,
    released: watch::Sender<bool>,
}

impl Shared {
    fn posted(&self) -> MutexGuard<'_, Posted> {
        // Whole between any two statements under the lock.
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A replica's leadership, for everything in its process that depends on it. Cheap to clone.
#[derive(Clone)]
pub struct Leadership {
    /// None: there is no other replica.
    shared: Option<Arc<Shared>>,
}

impl Leadership {
    /// That of a daemon with no other beside it.
    #[must_use]
    pub const fn alone() -> Self {
        Self { shared: None }
    }

    /// Begins to campaign. Needs a tokio runtime, which it leaves a task on until it is let go.
    #[must_use]
    pub fn campaign(record: Record, terms: Terms, clock: Clock) -> Self {
        let shared = Arc::new(Shared {
            standing: watch::Sender::default(),
            posted: Mutex::default(),
            hurry: Notify::new(),
            end: Notify::new(),
            released: watch::Sender::new(false),
        });
        tokio::spawn(keep(shared.clone(), record, Election::new(terms), clock));
        Self { shared: Some(shared) }
    }

    /// Whether there may be other replicas.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Waits until this replica leads.
    pub async fn won(&self) {
        if let Some(shared) = &self.shared {
            let _ = shared.standing.subscribe().wait_for(|standing| standing.until.is_some()).await;
        }
    }

    /// Waits until it leads no more after it did, and says why.
    pub async fn lost(&self) -> String {
        if let Some(shared) = &self.shared
            && let Ok(standing) = shared.standing.subscribe().wait_for(|standing| standing.lost.is_some()).await
        {
            return standing.lost.clone().unwrap_or_default();
        }
        std::future::pending().await
    }

    /// Whether it may trust now that it leads.
    #[must_use]
    pub fn leads(&self, now: Duration) -> bool {
        self.shared.as_ref().is_none_or(|shared| shared.standing.borrow().until.is_some_and(|until| now < until))
    }

    /// Gives the leadership up: what this replica would write next cannot be written by it any more.
    pub fn resign(&self, why: String) {
        let Some(shared) = &self.shared else { return };
        shared.standing.send_if_modified(|standing| {
            let leads = standing.lost.is_none();
            if leads {
                (standing.until, standing.lost) = (None, Some(why));
            }
            leads
        });
        shared.hurry.notify_one();
    }

    /// Until when it may trust that it leads, each time that it changes; none: for ever.
    #[must_use]
    pub fn tenure(&self) -> Option<Tenure> {
        self.shared.as_ref().map(|shared| Tenure { standing: shared.standing.subscribe() })
    }

    /// Who leads, as far as this replica knows; or why it knows nothing.
    #[must_use]
    pub fn others(&self) -> String {
        let Some(shared) = &self.shared else { return "there is no other replica".to_owned() };
        let standing = shared.standing.borrow();
        match (&standing.trouble, &standing.leader) {
            (Some(trouble), _) => trouble.clone(),
            (None, Some(leader)) => format!("{leader} leads"),
            (None, None) => "nobody leads yet".to_owned(),
        }
    }

    /// What stands against being a healthy standby: the lease cannot be looked at.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.as_ref().and_then(|shared| shared.standing.borrow().trouble.clone())
    }

    /// Puts an open window on the lease, and comes back when it stands there.
    ///
    /// # Errors
    /// It does not stand there within `deadline`, or this replica leads no more: nothing may be paused.
    pub async fn post(&self, intent: Intent, deadline: Duration) -> Result<(), String> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let change = {
            let mut posted = shared.posted();
            posted.intents.0.insert(intent.window.clone(), intent);
            posted.intents.written()?;
            posted.change += 1;
            posted.change
        };
        shared.hurry.notify_one();
        let mut standing = shared.standing.subscribe();
        let written = standing.wait_for(|standing| standing.written >= change || standing.lost.is_some());
        match tokio::time::timeout(deadline, written).await {
            Ok(Ok(standing)) if standing.written >= change => Ok(()),
            Ok(_) => Err("this daemon leads no more".to_owned()),
            Err(_) => Err(format!("the lease was not written within {deadline:?}")),
        }
    }

    /// Takes a window off the lease: everything that it closed is open. It does not wait for it.
    pub fn strike(&self, window: &str) {
        let Some(shared) = &self.shared else { return };
        let mut posted = shared.posted();
        if posted.intents.0.remove(window).is_some() {
            posted.change += 1;
            shared.hurry.notify_one();
        }
    }

    /// What a predecessor left open on the lease, once this replica leads. It stands there until it is struck.
    #[must_use]
    pub fn inherited(&self) -> Intents {
        let inherited = self.shared.as_ref().and_then(|shared| shared.posted().inherited.clone());
        inherited.unwrap_or_default()
    }

    /// Lets the lease go, so that another replica need not wait for it to run out; comes back when that is done.
    pub async fn release(&self) {
        let Some(shared) = &self.shared else { return };
        shared.end.notify_one();
        let mut released = shared.released.subscribe();
        let _ = tokio::time::timeout(RELEASE_DEADLINE * 2, released.wait_for(|released| *released)).await;
    }
}

/// Until when a replica may trust that it leads.
#[derive(Debug)]
pub struct Tenure {
    standing: watch::Receiver<Standing>,
}

impl Tenure {
    /// As it stands now.
    #[must_use]
    pub fn until(&self) -> Duration {
        self.standing.borrow().until.unwrap_or_default()
    }

    /// Waits until something of the election changes.
    pub async fn changed(&mut self) -> Duration {
        if self.standing.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.standing.borrow_and_update().until.unwrap_or_default()
    }
}

async fn keep(shared: Arc<Shared>, record: Record, mut election: Election, clock: Clock) {
    let mut led = false;
    loop {
        let now = clock.now().mono;
        if let Some(ask) = election.due(now) {
            let (change, posted) = to_write(&shared);
            let (taken, stands) = tokio::select! {
                asked = record.ask(&ask, posted.as_deref()) => asked,
                () = shared.end.notified() => break,
            };
            let ours = taken == Taken::Ours;
            let trouble = if let Taken::Unknown(why) = &taken { Some(why.clone()) } else { None };
            election.answered(clock.now().mono, ask.request, now, taken);
            if ours {
                inherit(&shared, stands);
            }
            shared.standing.send_if_modified(|standing| {
                match (&standing.trouble, &trouble) {
                    (None, Some(why)) => tracing::warn!("the lease cannot be looked at: {why}"),
                    (Some(_), None) => tracing::info!("the lease can be looked at again"),
                    _ => {}
                }
                standing.trouble = trouble;
                standing.leader = election.leader().map(str::to_owned);
                if ours && posted.is_some() {
                    standing.written = change;
                }
                true
            });
        }
        if shared.standing.borrow().lost.is_some() {
            // It resigned, and ends: the lease is let go when everything is open.
            shared.end.notified().await;
            break;
        }
        let now = clock.now().mono;
        let until = election.leads(now);
        if led && until.is_none() {
            let why = election.leader().map_or_else(
                || {
                    format!(
                        "the lease could not be renewed: {}",
                        shared.standing.borrow().trouble.as_deref().unwrap_or("too late")
                    )
                },
                |leader| format!("{leader} holds the lease"),
            );
            shared.standing.send_modify(|standing| (standing.until, standing.lost) = (None, Some(why)));
            // A process leads once: it opens what it closed, and ends.
            shared.end.notified().await;
            break;
        }
        led |= until.is_some();
        shared.standing.send_if_modified(|standing| std::mem::replace(&mut standing.until, until) != until);
        let wake = until.map_or(election.deadline(), |until| until.min(election.deadline()));
        tokio::select! {
            () = clock.sleep_until(wake) => {}
            () = shared.hurry.notified() => election.hurry(),
            () = shared.end.notified() => break,
        }
    }
    if led {
        // What was struck last need not wait for another renewal, and whoever comes next need not open it again.
        record.release(to_write(&shared).1.as_deref()).await;
    }
    shared.released.send_replace(true);
}

/// What is to stand on the lease, and the number of its last change; nothing before it is known what stands there.
fn to_write(shared: &Shared) -> (u64, Option<String>) {
    let posted = shared.posted();
    let known = posted.inherited.is_some();
    // What cannot be written was refused when it was posted.
    (posted.change, known.then(|| posted.intents.written().unwrap_or_default()))
}

/// Takes over what a predecessor left on the lease.
fn inherit(shared: &Shared, stands: Option<String>) {
    let mut posted = shared.posted();
    if posted.inherited.is_some() {
        return;
    }
    let found = stands.filter(|text| !text.is_empty()).map_or_else(Intents::default, |text| {
        Intents::read(&text).unwrap_or_else(|why| {
            tracing::error!("what stands on the lease of open windows cannot be read: {why}: {text}");
            Intents::default()
        })
    });
    posted.intents.0.extend(found.0.clone());
    posted.inherited = Some(found);
    posted.change += 1;
}
