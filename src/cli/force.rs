//! `unpause --force`: opens every member that the config names. Needs no catalog and no daemon.

use super::Exit;
use super::output::{Format, complain};
use crate::config::{Config, Group};
use crate::daemon::rescue::StillClosed;
use crate::daemon::run::Signals;
use crate::engine::{Finder, Unopened, force_open};
use std::sync::Arc;

/// Unpauses every member until it was seen open, whoever paused it.
pub async fn unpause(config: &Arc<Config>, group: &Group, output: Format) -> anyhow::Result<Exit> {
    let finder = Finder::new(config.clone())?;
    let mut signals = Signals::catch()?;
    let closed = Unopened::default();
    let opening = force_open(&finder, group, &closed, |line| output.tell(line));
    tokio::select! {
        opened = opening => match opened {
            Ok(count) => {
                output.print(&serde_json::json!({"group": group.name, "opened": count}), |_| format!("{count} members are open\n"))?;
                Ok(Exit::Good)
            }
            Err(reason) => {
                complain(format_args!("{reason}"));
                Ok(Exit::Failed)
            }
        },
        () = signals.next() => {
            complain(StillClosed(closed.names()));
            Ok(Exit::StillClosed)
        }
    }
}
