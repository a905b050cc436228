//! A new config while the daemon runs: told by a signal or a command, or found in the files.
//!
//! The files are read, never watched: a look at their contents every few seconds finds a saved file, a mounted ConfigMap
//! that was swapped, and a file on a network's disk alike.

use super::changes::{Changes, fixed};
use crate::config::{Files, Loaded, glance};
use crate::engine::Engine;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long after a look that saw something new the next one comes: what was the same twice is not being written.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long reading may take: a disk of a network may hang.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// How many people may wait for an answer.
const ASKED: usize = 4;

/// Where the daemon's config comes from, to be read again.
#[derive(Clone)]
pub struct Source {
    pub files: Files,
    /// Reads and checks all of it; an error is for people, a line for each fault.
    pub read: Arc<dyn Fn() -> Result<Loaded, String> + Send + Sync>,
}

/// What came of reading the config again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is what runs now.
    Applied {
        #[serde(flatten)]
        changes: Changes,
    },
    /// It is what ran already.
    Unchanged,
    /// The old one goes on; a line for each fault.
    Refused { message: String },
}

/// Who is to be told what came of it.
pub type Asked = oneshot::Sender<Outcome>;

/// The one who may change the config.
pub struct Reloads {
    engine: Engine,
    source: Source,
    /// Of what runs.
    fingerprint: String,
    /// The files as they were when they were taken up or refused.
    settled: Option<String>,
    /// The files as they were at the last look, if that was another state.
    seen: Option<String>,
    /// Taken while the files are being read: one that hangs is not joined by others.
    reading: Arc<Semaphore>,
    /// A read that hangs was told.
    hangs: bool,
    /// The last one was refused.
    refused: bool,
}

impl Reloads {
    /// `fingerprint`: of the config that the engine began with.
    #[must_use]
    pub fn new(engine: Engine, source: Source, fingerprint: String) -> Self {
        engine.metrics.config_begun(&fingerprint, engine.clock.now().wall);
        let reading = Arc::new(Semaphore::new(1));
        Self { engine, source, fingerprint, settled: None, seen: None, reading, hangs: false, refused: false }
    }

    /// The way to ask for a reload.
    #[must_use]
    pub fn line() -> (mpsc::Sender<Asked>, mpsc::Receiver<Asked>) {
        mpsc::channel(ASKED)
    }

    /// Reloads for ever: at once when a signal or a person asks for it.
    pub async fn run(mut self, mut hangup: Signal, mut asked: mpsc::Receiver<Asked>) {
        loop {
            let wait = if self.seen.is_some() { LOOK_AGAIN } else { LOOK_EVERY };
            tokio::select! {
                Some(who) = asked.recv() => {
                    let outcome = self.reload().await;
                    // Whoever asked may be gone.
                    let _ = who.send(outcome);
                }
                Some(()) = hangup.recv() => drop(self.reload().await),
                () = tokio::time::sleep(wait) => self.look().await,
            }
        }
    }

    /// Looks at the files. Something new must be there twice: a file may be half written, and be wrong, or right but
    /// lack its end.
    async fn look(&mut self) {
        let files = self.source.files.clone();
        let Some(now) = self.read(move || glance(&files)).await else { return };
        if self.settled.as_ref() == Some(&now) {
            self.seen = None;
        } else if self.seen.as_ref() == Some(&now) {
            self.settle(true, now).await;
        } else {
            self.seen = Some(now);
        }
    }

    /// Reads the config because somebody asked for it.
    async fn reload(&mut self) -> Outcome {
        let files = self.source.files.clone();
        match self.read(move || glance(&files)).await {
            Some(now) => self.settle(false, now).await,
            None => self.refuse(slow()),
        }
    }

    /// Takes up what the files say, which looked like this before they are read; or refuses it. By itself it tells
    /// nothing of an environment that is what runs.
    async fn settle(&mut self, by_itself: bool, files: String) -> Outcome {
        let read = self.source.read.clone();
        let Some(loaded) = self.read(move || read()).await else { return self.refuse(slow()) };
        (self.settled, self.seen) = (Some(files), None);
        let same = |loaded: &Loaded| loaded.fingerprint == self.fingerprint;
        match loaded {
            Ok(loaded) if by_itself && same(&loaded) => {
                if std::mem::take(&mut self.refused) {
                    self.engine.metrics.config_stands();
                    tracing::info!("the config that was refused was taken back");
                }
                Outcome::Unchanged
            }
            Ok(loaded) => match fixed(&self.engine.config().daemon, &loaded) {
                Ok(()) => self.apply(loaded),
                Err(errors) => self.refuse(errors.to_string()),
            },
            Err(message) => self.refuse(message),
        }
    }

    fn apply(&mut self, loaded: Loaded) -> Outcome {
        let changes = Changes::between(&self.engine.config(), &loaded.config);
        (self.fingerprint, self.refused) = (loaded.fingerprint, false);
        // Kubeconfigs are read anew by that, also where nothing changed.
        self.engine.take_up(Arc::new(loaded.config));
        self.engine.metrics.config_reloaded(!changes.is_empty(), &self.fingerprint, self.engine.clock.now().wall);
        if changes.is_empty() {
            tracing::info!("the config was read again: {changes}");
            return Outcome::Unchanged;
        }
        tracing::info!("the new config is taken up: {changes}");
        Outcome::Applied { changes }
    }

    fn refuse(&mut self, message: String) -> Outcome {
        self.refused = true;
        self.engine.metrics.config_refused();
        let faults = message.lines().collect::<Vec<_>>().join(" | ");
        tracing::error!("the new config is refused, the old one goes on: {faults}");
        Outcome::Refused { message }
    }

    /// Does something with the files on a thread that may hang; none: it does.
    async fn read<T: Send + 'static>(&mut self, what: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let permit = self.reading.clone().try_acquire_owned().ok();
        let reading = permit.map(|permit| {
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                what()
            })
        });
        let read = match reading {
            Some(reading) => tokio::time::timeout(READ_DEADLINE, reading).await.ok().and_then(Result::ok),
            None => None,
        };
        let hung = std::mem::replace(&mut self.hangs, read.is_none());
        if read.is_none() && !hung {
            tracing::error!("look at the config: {}", slow());
        }
        read
    }
}

fn slow() -> String {
    format!("its files could not be read within {} s", READ_DEADLINE.as_secs())
}
