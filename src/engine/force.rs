//! Opening without a journal: every member, whoever paused it.

use super::find;
use crate::config::Group;
use crate::domain::Reason;
use crate::scalar::discovery::Dns;
use crate::scalar::{AdminClient, Answer};
use crate::window::ASK_DEADLINE;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Unpauses every member of the group and asks it, until each was seen open. `left` holds those that were not yet;
/// `tell` is given a line for each failure. Answers with how many there are.
///
/// # Errors
/// The members cannot be found.
pub async fn force_open(
    dns: Dns,
    group: &Group,
    left: Arc<Mutex<BTreeSet<String>>>,
    tell: impl Fn(String),
) -> Result<usize, Reason> {
    let members = find::members(group, dns).await?;
    let clients = find::clients(group, &members)?;
    let count = members.len();
    let lock = || left.lock().unwrap_or_else(PoisonError::into_inner);
    lock().extend(members.iter().map(ToString::to_string));
    let tell = &tell;
    let each = members.iter().zip(&clients).map(|(member, client)| async move {
        let mut delay = FIRST_RETRY;
        while let Err(why) = open(client).await {
            tell(format!("{member}: {why}"));
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(LONGEST_RETRY);
            client.reconnect();
        }
        lock().remove(&member.to_string());
    });
    futures_util::future::join_all(each).await;
    Ok(count)
}

async fn open(client: &AdminClient) -> Result<(), String> {
    if let Answer::Failed(failure) = client.unpause(ASK_DEADLINE).await {
        return Err(failure.detail);
    }
    match client.check_paused(ASK_DEADLINE).await {
        Answer::Looked { paused: false } => Ok(()),
        Answer::Looked { paused: true } => Err("it is paused again".to_owned()),
        Answer::Failed(failure) => Err(failure.detail),
        Answer::Ok => Err("it answered a question with something else".to_owned()),
    }
}
