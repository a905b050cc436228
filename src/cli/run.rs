//! `run`.

use super::Exit;
use super::output::complain;
use crate::config::Loaded;
use crate::daemon::reload::Source;
use crate::daemon::run::{self, Ending};
use rustix::process::{Pid, Signal, getpid, getppid, kill_process};
use std::time::Duration;
use tracing_appender::non_blocking::ErrorCounter;

/// How often a daemon that ends with its parent looks whether the parent is there.
const PARENT_LOOK: Duration = Duration::from_millis(200);
/// What such a daemon has for opening: its parent's stand-ins are gone as well, and nobody waits for them.
const ORPHAN_LIMIT: Duration = Duration::from_secs(5);

/// The daemon. With a parent it ends when that process does, whatever way it goes.
pub async fn run(loaded: Loaded, source: Source, dropped: ErrorCounter, parent: Option<i32>) -> anyhow::Result<Exit> {
    if let Some(parent) = parent {
        tokio::spawn(end_with(parent));
    }
    match run::run(loaded, source, dropped).await? {
        Ending::Open => Ok(Exit::Good),
        Ending::StillClosed(members) => {
            complain(format_args!("may still be closed: {}", members.join(", ")));
            Ok(Exit::StillClosed)
        }
    }
}

/// Tells this process to stop when its parent is gone, and a second time when that takes too long.
async fn end_with(parent: i32) {
    while getppid().map(Pid::as_raw_nonzero).is_some_and(|now| now.get() == parent) {
        tokio::time::sleep(PARENT_LOOK).await;
    }
    tracing::error!("the process that started this daemon is gone");
    for _ in 0..2 {
        // One's own process takes one's signals.
        let _ = kill_process(getpid(), Signal::TERM);
        tokio::time::sleep(ORPHAN_LIMIT).await;
    }
}
