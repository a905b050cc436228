//! Drives the copies of one restore point to rest, many at once.

use super::Shared;
use super::copy::{Copy, Step, Told};
use super::runner::{Due, Runner};
use crate::aws::FaultKind;
use crate::catalog::CatalogError;
use crate::stores::{Capture, Part, Store};
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How many tables are under way at once; those that wait for their turn to be restored count.
const AT_ONCE: usize = 256;
/// What one request may take, the wait for its turn included, before nothing is known of it.
const ASK_DEADLINE: Duration = Duration::from_secs(300);
/// How long after a save that failed it is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(5);

/// What is worked on.
pub(super) struct Work {
    pub shared: Shared,
    pub store: Arc<dyn Store>,
    pub window: String,
    pub name: String,
    pub slots: Arc<Semaphore>,
    pub limit: Duration,
    /// Whether the backups are to be deleted.
    pub expire: bool,
}

impl Work {
    /// Brings every copy of the restore point to rest, and answers with them.
    pub async fn run(self) -> Result<Vec<Copy>, CatalogError> {
        let catalog = &self.shared.catalog;
        let capture = catalog.capture_of(&self.window, &self.name).await?.unwrap_or_default();
        let copies = catalog.copies(&self.window, &self.name).await?;
        let all = futures_util::stream::iter(copies).for_each_concurrent(AT_ONCE, |copy| self.drive(copy, &capture));
        all.await;
        catalog.copies(&self.window, &self.name).await
    }

    async fn drive(&self, copy: Copy, capture: &Capture) {
        if self.expire && copy.step == Step::Waiting {
            // It was to be tried again, and nothing of it is there.
            return;
        }
        let part = capture.parts.get(&copy.source);
        let mut runner = Runner::new(copy, self.limit, self.shared.clock.now());
        if self.expire && runner.copy().step == Step::Done {
            let mut copy = runner.copy().clone();
            copy.step = Step::Expiring;
            self.save(&mut runner, copy).await;
        }
        let mut slot = None;
        loop {
            match runner.copy().step {
                // Only a semaphore that was closed gives none, and nobody closes it.
                Step::Waiting | Step::Restoring if slot.is_none() => slot = self.slots.acquire().await.ok(),
                Step::Waiting | Step::Restoring => {}
                _ => slot = None,
            }
            match runner.due(self.shared.clock.now()) {
                Due::Save(copy) => self.save(&mut runner, *copy).await,
                Due::Ask(ask) => {
                    let told = self.ask(runner.copy(), part, &ask).await;
                    if let Told::Fault { sentence, .. } = &told {
                        tracing::info!(window = %self.window, store = %self.name, table = %runner.copy().source, "{sentence}");
                    }
                    runner.told(self.shared.clock.now(), &ask, told);
                }
                Due::Wait(until) => self.shared.clock.sleep_until(until).await,
                Due::Rest => return,
            }
        }
    }

    async fn ask(&self, copy: &Copy, part: Option<&Part>, ask: &super::copy::Ask) -> Told {
        let Some(copies) = self.store.copies() else {
            let sentence = "the store is none that is materialized".to_owned();
            return Told::Fault { kind: FaultKind::Invalid, sentence };
        };
        let late = |_| Told::Fault { kind: FaultKind::Lost, sentence: "no answer within its deadline".to_owned() };
        tokio::time::timeout(ASK_DEADLINE, copies.ask(copy, part, ask)).await.unwrap_or_else(late)
    }

    /// Until it is durable, nothing that it allows is done.
    async fn save(&self, runner: &mut Runner, copy: Copy) {
        while let Err(error) = self.shared.catalog.save_copy(&self.name, &copy).await {
            self.shared.metrics.catalog_failed();
            tracing::error!(window = %self.window, store = %self.name, table = %copy.source, "save its step: {error}");
            tokio::time::sleep(SAVE_AGAIN).await;
        }
        let (source, step) = (&copy.source, copy.step.name());
        match &copy.failure {
            Some(why) if copy.step == Step::Failed => {
                tracing::warn!(window = %self.window, store = %self.name, table = %source, "not materialized: {why}");
            }
            _ => tracing::debug!(window = %self.window, store = %self.name, table = %source, "{source}: {step}"),
        }
        runner.saved(copy);
    }
}
