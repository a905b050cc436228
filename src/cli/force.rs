//! `unpause --force`: opens every member that the config names. Needs no catalog and no daemon.

use super::Exit;
use super::output::Format;
use crate::config::Group;
use crate::daemon::rescue::StillClosed;
use crate::daemon::run::Signals;
use crate::engine::{Unopened, force_open};
use crate::scalar::discovery::Dns;

/// Unpauses every member until it was seen open, whoever paused it.
pub async fn unpause(group: &Group, output: Format) -> anyhow::Result<Exit> {
    let mut signals = Signals::catch()?;
    let closed = Unopened::default();
    let opening = force_open(Dns::from_environment()?, group, &closed, |line| output.tell(line));
    tokio::select! {
        opened = opening => match opened {
            Ok(count) => {
                output.print(&serde_json::json!({"group": group.name, "opened": count}), |_| format!("{count} members are open\n"))?;
                Ok(Exit::Good)
            }
            Err(reason) => {
                eprintln!("stillpoint: {reason}");
                Ok(Exit::Failed)
            }
        },
        () = signals.next() => {
            eprintln!("stillpoint: {}", StillClosed(closed.names()));
            Ok(Exit::StillClosed)
        }
    }
}
