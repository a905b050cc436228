//! `stop`.

use super::Exit;
use super::output::complain;
use crate::config::Config;
use crate::daemon::client;
use crate::daemon::control::{Request, Response};
use anyhow::Context;

/// Asks the daemon to begin no further window, and waits until those that have closed members came to their ends.
pub async fn stop(config: &Config) -> anyhow::Result<Exit> {
    let socket = &config.daemon.socket;
    let context = || format!("ask the daemon at {}", socket.display());
    let Some(mut responses) = client::send(socket, &Request::Stop).await.with_context(context)? else {
        // A standby has no socket, and nothing to wait for.
        return Ok(Exit::Good);
    };
    match responses.next().await.context("listen to the daemon")? {
        Some(Response::Open { .. }) => Ok(Exit::Good),
        Some(Response::Failed { message }) => {
            complain(message);
            Ok(Exit::Failed)
        }
        _ => {
            complain("the daemon went away");
            Ok(Exit::Failed)
        }
    }
}
