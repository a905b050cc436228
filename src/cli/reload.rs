//! `reload`.

use super::Exit;
use super::output::{Format, complain};
use crate::config::Config;
use crate::daemon::client;
use crate::daemon::control::{Request, Response};
use crate::daemon::reload::Outcome;
use anyhow::Context;
use std::sync::Arc;

/// Asks the daemon to read its config again. A config that is wrong here as well is told before anything is asked.
pub async fn reload(config: &Arc<Config>, output: Format) -> anyhow::Result<Exit> {
    let socket = &config.daemon.socket;
    let context = || format!("ask the daemon at {}", socket.display());
    let Some(mut responses) = client::send(socket, &Request::Reload).await.with_context(context)? else {
        complain(format_args!("no daemon runs at {}", socket.display()));
        return Ok(Exit::Failed);
    };
    let outcome = match responses.next().await.context("listen to the daemon")? {
        Some(Response::Reload(outcome)) => outcome,
        Some(Response::Failed { message }) => {
            complain(message);
            return Ok(Exit::Failed);
        }
        _ => {
            complain("the daemon went away");
            return Ok(Exit::Failed);
        }
    };
    output.print(&outcome, |outcome| match outcome {
        Outcome::Applied { changes } => format!("{changes}\n"),
        Outcome::Unchanged => "nothing changed\n".to_owned(),
        Outcome::Refused { .. } => String::new(),
    })?;
    if let Outcome::Refused { message } = outcome {
        complain(message);
        return Ok(Exit::Usage);
    }
    Ok(Exit::Good)
}
