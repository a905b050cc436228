//! Opening without a journal: every member, whoever paused it.

use super::find::{self, Finder};
use crate::catalog::OpenWindow;
use crate::clock::Clock;
use crate::config::Group;
use crate::domain::{Gone, Member, Reason};
use crate::kubernetes::Depth;
use crate::leadership::Intent;
use crate::scalar::{AdminClient, Answer};
use crate::window::{ASK_DEADLINE, DOUBT_POLL, GRACE, MARGIN, POD_DEADLINE};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// The members that were not seen open yet. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Unopened(Arc<Mutex<BTreeSet<String>>>);

impl Unopened {
    /// Their names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.set().iter().cloned().collect()
    }

    fn set(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        // Whole between any two statements under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unpauses every member of the group and asks it, until each was seen open; `tell` is given a line for each failure.
/// Answers with how many there are.
///
/// # Errors
/// The members cannot be found.
pub async fn force_open(
    finder: &Finder,
    group: &Group,
    left: &Unopened,
    tell: impl Fn(String),
) -> Result<usize, Reason> {
    let members = finder.find(group, Depth::Pods).await?.members;
    let clients = find::clients(finder, group, &members)?;
    let opening = Opening { finder, group: &group.name, doubt: Duration::ZERO, left, tell: &tell };
    opening.all(&members, &clients).await;
    Ok(members.len())
}

/// Opens what an intent names, without the catalog: every member that may still be closed and that nobody gave up,
/// and looks at it for as long as a pause of the dead process may still land.
pub async fn open_intent(finder: &Finder, intent: &OpenWindow, left: &Unopened, tell: impl Fn(String)) {
    let journal = intent.journal();
    let Some(plan) = journal.plan.as_ref().filter(|_| journal.open_intent()) else { return };
    let members = members_of(intent);
    let clients = find::clients_of_intent(finder, &plan.group, &members);
    let opening = Opening { finder, group: &plan.group, doubt: plan.drain + MARGIN + GRACE, left, tell: &tell };
    opening.all(&members, &clients).await;
}

/// Opens what stands on the lease of a window, as [`open_intent`] does; nobody gave any of its members up.
pub async fn open_listed(finder: &Finder, intent: &Intent, left: &Unopened) {
    let tell = |line: String| tracing::warn!(window = %intent.window, "{line}");
    let clients = find::clients_of_intent(finder, &intent.group, &intent.members);
    let opening = Opening { finder, group: &intent.group, doubt: intent.drain() + MARGIN + GRACE, left, tell: &tell };
    opening.all(&intent.members, &clients).await;
}

/// The members that an intent leaves open to doubt.
pub(super) fn members_of(intent: &OpenWindow) -> Vec<Member> {
    let journal = intent.journal();
    if !journal.open_intent() {
        return Vec::new();
    }
    let members = journal.members.iter().enumerate();
    members.filter(|(index, _)| !journal.abandoned.contains(index)).map(|(_, member)| member.clone()).collect()
}

struct Opening<'a, T> {
    finder: &'a Finder,
    group: &'a str,
    /// How long a pause of a dead process may still land.
    doubt: Duration,
    left: &'a Unopened,
    tell: &'a T,
}

impl<T: Fn(String)> Opening<'_, T> {
    async fn all(&self, members: &[Member], clients: &[AdminClient]) {
        self.left.set().extend(members.iter().map(ToString::to_string));
        let each = members.iter().zip(clients).map(|(member, client)| self.keep_open(member, client));
        futures_util::future::join_all(each).await;
    }

    /// Opens a member, and comes back when it was open to the end of the doubt, or its pod is gone.
    async fn keep_open(&self, member: &Member, client: &AdminClient) {
        let (clock, name) = (Clock::start(), member.to_string());
        let mut delay = FIRST_RETRY;
        let (mut unpause, mut sure, mut silent) = (true, false, false);
        loop {
            let asked = clock.now().mono;
            if !sure && self.gone(member, silent).await {
                self.left.set().remove(&name);
                (self.tell)(format!("{member}: its pod, or its process, is gone"));
                return;
            }
            match open(client, unpause).await {
                Ok(()) => {
                    self.left.set().remove(&name);
                    if asked >= self.doubt {
                        return;
                    }
                    (unpause, sure, silent, delay) = (false, true, false, FIRST_RETRY);
                    tokio::time::sleep(DOUBT_POLL).await;
                }
                Err(why) => {
                    self.left.set().insert(name.clone());
                    (self.tell)(format!("{member}: {why}"));
                    (unpause, sure, silent) = (true, false, true);
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(LONGEST_RETRY);
                    client.reconnect();
                }
            }
        }
    }

    /// Whether Kubernetes says that its process is gone. When it says nothing, the member is opened.
    async fn gone(&self, member: &Member, silent: bool) -> bool {
        if member.pod.is_none() {
            return false;
        }
        let gone = self.finder.gone(self.group, std::slice::from_ref(member), POD_DEADLINE).await;
        gone.is_ok_and(|gone| gone.iter().any(|(_, how)| *how == Gone::Pod || silent))
    }
}

async fn open(client: &AdminClient, unpause: bool) -> Result<(), String> {
    if unpause && let Answer::Failed(failure) = client.unpause(ASK_DEADLINE).await {
        return Err(failure.detail);
    }
    match client.check_paused(ASK_DEADLINE).await {
        Answer::Looked { paused: false } => Ok(()),
        Answer::Looked { paused: true } => Err("it is paused again".to_owned()),
        Answer::Failed(failure) => Err(failure.detail),
        Answer::Ok => Err("it answered a question with something else".to_owned()),
    }
}
