//! A group's stores around one window: what they say before it, and again after it.

use crate::aws::Aws;
use crate::catalog::Catalog;
use crate::config::{Group, Preflight};
use crate::domain::{Code, Interval, Reason, StoreClock};
use crate::observe::Metrics;
use crate::stores::{After, Capture, Looked, Store, find_all};
use crate::window::Input;
use futures_util::future::{BoxFuture, try_join_all};
use std::sync::Arc;

/// A group's stores as they were found before a window.
#[derive(Clone, Default)]
pub(super) struct Stores {
    group: String,
    found: Arc<Vec<Known>>,
}

struct Known {
    name: String,
    store: Arc<dyn Store>,
    preflight: Preflight,
    capture: Capture,
}

impl Stores {
    /// Looks at every store of the group at the same time; answers with them and with their clocks.
    ///
    /// # Errors
    /// What refuses the window.
    pub async fn find(aws: &Aws, metrics: &Metrics, group: &Group) -> Result<(Self, Vec<StoreClock>), Vec<Reason>> {
        let (looked, mut against) = find_all(group.stores.values(), aws).await;
        let (mut known, mut clocks) = (Vec::new(), Vec::new());
        for Looked { config, store, capture, clock, recoverable } in looked {
            if let Some(recoverable) = recoverable {
                metrics.store_recoverable(&group.name, &config.name, recoverable);
            }
            for note in &capture.notes {
                tracing::warn!(group = %group.name, store = %config.name, "{note}");
            }
            match clock {
                Some(clock) => {
                    let (low, high) = (clock.offset_low.as_secs_f64(), clock.offset_high.as_secs_f64());
                    metrics.store_clock(&group.name, &config.name, low, high);
                    clocks.push(clock);
                }
                None => {
                    let sentence = format!("{}: its clock is not known", config.name);
                    against.push(Reason::new(Code::StoreUnreachable, sentence));
                }
            }
            let (name, preflight) = (config.name.clone(), config.preflight);
            known.push(Known { name, store, preflight, capture });
        }
        if against.is_empty() {
            Ok((Self { group: group.name.clone(), found: Arc::new(known) }, clocks))
        } else {
            Err(against)
        }
    }

    /// Looks again after a window, and makes what the stores were like durable: before the verdict, so that no restore
    /// point lacks it.
    pub fn after(&self, catalog: Catalog, window: String, quiet: Interval) -> BoxFuture<'static, Input> {
        let stores = self.clone();
        Box::pin(async move {
            let looks = stores.found.iter().map(|known| stores.look(known, &catalog, &window, quiet));
            Input::Stores(try_join_all(looks).await)
        })
    }

    async fn look(
        &self,
        known: &Known,
        catalog: &Catalog,
        window: &str,
        quiet: Interval,
    ) -> Result<StoreClock, Reason> {
        let named = |code, what: String| Reason::new(code, format!("{}: {what}", known.name));
        let after = known.store.after(&known.capture, quiet).await;
        let After { clock, changed, gone } = after.map_err(|reason| named(reason.code, reason.sentence))?;
        if known.preflight == Preflight::Refuse && !changed.is_empty() {
            return Err(named(Code::StoreChanged, changed.join("; ")));
        }
        let mut capture = known.capture.clone();
        for change in changed {
            tracing::warn!(group = %self.group, store = %known.name, "{change}; it is left out of the restore point");
            capture.notes.push(change);
        }
        capture.parts.retain(|name, _| !gone.contains(name));
        let kept = catalog.capture(window, &known.name, &capture).await;
        kept.map_err(|error| named(Code::Catalog, error.to_string()))?;
        Ok(clock)
    }
}
