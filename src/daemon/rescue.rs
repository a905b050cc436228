//! A catalog that cannot be taken (a full disk, a read-only one) must not keep closed what it names.

use super::run::Signals;
use crate::catalog::{Catalog, OpenError, OpenWindow};
use crate::engine::{Finder, Unopened, open_intent, open_listed};
use crate::leadership::Leadership;
use futures_util::future::{join, join_all};

/// Something could not be opened again before the process was told to end.
#[derive(Debug, thiserror::Error)]
#[error("may still be closed: {}", .0.join(", "))]
pub struct StillClosed(pub Vec<String>);

/// Opens every member that the catalog's open intents name, and the lease's, with nothing but reading: the next process
/// that can take the catalog ends those windows. Not for a catalog that another process
/// holds: that is for the other process to recover.
///
/// # Errors
/// A signal ended the wait.
pub async fn rescue(finder: &Finder, leadership: &Leadership, signals: &mut Signals) -> Result<(), StillClosed> {
    let (intents, inherited) = (intents(finder).await, leadership.inherited().0);
    let left = Unopened::default();
    let listed = inherited.values().filter(|listed| intents.iter().all(|intent| intent.window != listed.window));
    let listed = listed.map(|listed| open_listed(finder, listed, &left));
    let opening = intents.iter().map(|intent| {
        tracing::warn!(window = %intent.window, "opening what a dead daemon left; the catalog cannot be written");
        if let Some(damage) = &intent.damage {
            tracing::error!(window = %intent.window, "{damage}");
        }
        open_intent(finder, intent, &left, |line| tracing::warn!(window = %intent.window, "{line}"))
    });
    tokio::select! {
        _ = join(join_all(opening), join_all(listed)) => Ok(()),
        () = signals.next() => match left.names() {
            names if names.is_empty() => Ok(()),
            names => Err(StillClosed(names)),
        },
    }
}

/// The catalog's open intents, as far as they can be read.
async fn intents(finder: &Finder) -> Vec<OpenWindow> {
    let reader = match Catalog::read(&finder.config().daemon.catalog).await {
        Ok(reader) => reader,
        Err(OpenError::NoCatalog(_) | OpenError::NoDirectory(_)) => return Vec::new(),
        Err(error) => {
            tracing::error!("look for open intents: {error}");
            return Vec::new();
        }
    };
    reader.open_windows().await.unwrap_or_else(|error| {
        tracing::error!("look for open intents: {error}");
        Vec::new()
    })
}
