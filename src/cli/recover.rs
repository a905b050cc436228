//! `recover`.

use super::Exit;
use super::ask::{Next, ask};
use super::kube::KubeFlags;
use super::output::{Format, NOTHING, complain, table};
use super::window::some;
use crate::config::Config;
use crate::daemon::control::{Request, Response};
use std::sync::Arc;

/// Opens what a dead process left; with a daemon, which does that by itself, shows what is still open to doubt.
pub async fn recover(
    config: &Arc<Config>,
    kube: &KubeFlags,
    abandon: Option<String>,
    output: Format,
) -> anyhow::Result<Exit> {
    let by = std::env::var("USER").unwrap_or_else(|_| "a person".to_owned());
    let mut asked = ask(config, kube, Request::Recover { abandon, by }, output).await?;
    let exit = loop {
        match asked.next().await? {
            Next::Response(Response::Open { windows }) => {
                output.print(&windows, |windows| {
                    if windows.is_empty() {
                        return "nothing is open to doubt\n".to_owned();
                    }
                    let rows = windows.iter().map(|window| {
                        let doubtful =
                            if window.doubtful.is_empty() { NOTHING.to_owned() } else { some(&window.doubtful) };
                        vec![window.window.clone(), window.state.clone(), doubtful]
                    });
                    table(&["WINDOW", "STATE", "NOT KNOWN TO BE OPEN"], rows)
                })?;
                break Exit::Good;
            }
            Next::Response(Response::Failed { message }) => {
                complain(format_args!("{message}"));
                break Exit::Failed;
            }
            Next::Response(_) | Next::Signal => {}
            Next::Over => break Exit::Failed,
        }
    };
    Ok(asked.end(exit).await)
}
