//! `run`.

use super::Exit;
use crate::config::Config;
use crate::daemon::run::{self, Ending};
use std::sync::Arc;
use tracing_appender::non_blocking::ErrorCounter;

/// The daemon.
pub async fn run(config: Arc<Config>, dropped: ErrorCounter) -> anyhow::Result<Exit> {
    match run::run(config, dropped).await? {
        Ending::Open => Ok(Exit::Good),
        Ending::StillClosed(members) => {
            eprintln!("stillpoint: may still be closed: {}", members.join(", "));
            Ok(Exit::StillClosed)
        }
    }
}
