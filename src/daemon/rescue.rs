//! A catalog that cannot be taken (a full disk, a read-only one) must not keep closed what it names.

use super::run::Signals;
use crate::catalog::{Catalog, OpenError};
use crate::engine::{Finder, Unopened, open_intent};

/// Something could not be opened again before the process was told to end.
#[derive(Debug, thiserror::Error)]
#[error("may still be closed: {}", .0.join(", "))]
pub struct StillClosed(pub Vec<String>);

/// Opens every member that the catalog's open intents name, with nothing but reading: the next process that can take
/// the catalog ends those windows. Not for a catalog that another process
/// holds: that is for the other process to recover.
///
/// # Errors
/// A signal ended the wait.
pub async fn rescue(finder: &Finder, signals: &mut Signals) -> Result<(), StillClosed> {
    let reader = match Catalog::read(&finder.config().daemon.catalog).await {
        Ok(reader) => reader,
        Err(OpenError::NoCatalog(_) | OpenError::NoDirectory(_)) => return Ok(()),
        Err(error) => {
            tracing::error!("look for open intents: {error}");
            return Ok(());
        }
    };
    let intents = match reader.open_windows().await {
        Ok(intents) => intents,
        Err(error) => {
            tracing::error!("look for open intents: {error}");
            return Ok(());
        }
    };
    let left = Unopened::default();
    let opening = intents.iter().map(|intent| {
        tracing::warn!(window = %intent.window, "opening what a dead daemon left; the catalog cannot be written");
        if let Some(damage) = &intent.damage {
            tracing::error!(window = %intent.window, "{damage}");
        }
        open_intent(finder, intent, &left, |line| tracing::warn!(window = %intent.window, "{line}"))
    });
    tokio::select! {
        _ = futures_util::future::join_all(opening) => Ok(()),
        () = signals.next() => match left.names() {
            names if names.is_empty() => Ok(()),
            names => Err(StillClosed(names)),
        },
    }
}
