//! `guard`.

use super::Exit;
use super::output::complain;
use crate::config::Loaded;
use crate::daemon::guard::{self, NoLease};
use crate::daemon::reload::Source;
use crate::daemon::run::Ending;
use tracing_appender::non_blocking::ErrorCounter;

/// Opens what a dead leader left closed, until it is told to end.
pub async fn guard(loaded: Loaded, source: Source, dropped: ErrorCounter) -> anyhow::Result<Exit> {
    match guard::run(loaded, source, dropped).await {
        Ok(Ending::Open) => Ok(Exit::Good),
        Ok(Ending::StillClosed(members)) => {
            complain(format_args!("may still be closed: {}", members.join(", ")));
            Ok(Exit::StillClosed)
        }
        Err(error) if error.is::<NoLease>() => {
            complain(format_args!("{error}"));
            Ok(Exit::Usage)
        }
        Err(error) => Err(error),
    }
}
