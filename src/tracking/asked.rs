//! What people ask of a restore point.

use super::copy::Step;
use super::follow::{Followed, Follower};
use super::track::{State, Track};
use crate::catalog::CatalogError;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// What a person asks of a restore point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Materialize it, or try again what failed.
    Materialize,
    /// Delete its backups, and give it up.
    Expire {
        /// Although it is the last good one.
        force: bool,
    },
}

/// That, of one store.
#[derive(Debug)]
pub struct Command {
    pub window: String,
    pub act: Act,
    pub reply: oneshot::Sender<Result<(), Refusal>>,
}

/// Why that is not done: one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Follower {
    pub(super) async fn obey(&mut self, Command { window, act, reply }: Command) {
        let answer = match act {
            Act::Materialize => self.materialize(&window).await,
            Act::Expire { force } => self.expire(&window, force).await,
        };
        // Whoever asked may be gone.
        let _ = reply.send(answer);
    }

    fn track(&self, window: &str) -> Result<Track, Refusal> {
        let none = || Refusal(format!("store {} has no restore point of window {window} to act on", self.config.name));
        self.followed.get(window).map(|it| it.track.clone()).ok_or_else(none)
    }

    async fn materialize(&mut self, window: &str) -> Result<(), Refusal> {
        self.reload().await.map_err(refused)?;
        let mut track = self.track(window)?;
        let refuse = |why: &str| Err(Refusal(format!("store {}: {why}", track.store)));
        match track.state {
            State::Materializing | State::Materialized => return Ok(()),
            State::Lost | State::Expiring | State::Expired => {
                return refuse(&format!("the restore point is {}", track.state.name()));
            }
            _ if self.store.copies().is_none() => return refuse("it is none that is materialized"),
            State::Waiting => {
                track.materialize = Some(true);
                return self.change(track).await.map_err(refused);
            }
            State::Restorable | State::Failed => {}
        }
        track.materialize = Some(true);
        self.again(window).await.map_err(refused)?;
        self.begin(track).await.map_err(refused)
    }

    /// What failed begins anew.
    async fn again(&self, window: &str) -> Result<(), CatalogError> {
        for mut copy in self.shared.catalog.copies(window, &self.config.name).await? {
            if copy.step == Step::Failed {
                (copy.step, copy.begun, copy.failure, copy.arn) = (Step::Waiting, None, None, None);
                (copy.tagged, copy.left) = (false, None);
                self.shared.catalog.save_copy(&self.config.name, &copy).await?;
            }
        }
        Ok(())
    }

    async fn expire(&mut self, window: &str, force: bool) -> Result<(), Refusal> {
        self.reload().await.map_err(refused)?;
        let mut track = self.track(window)?;
        let refuse = |why: &str| Err(Refusal(format!("store {}: {why}", track.store)));
        if track.state == State::Materializing {
            return refuse("the restore point is being materialized");
        }
        let good = |it: &&Followed| matches!(it.track.state, State::Restorable | State::Materialized);
        let last = self.followed.values().filter(good).max_by_key(|it| it.track.point);
        if !force && last.is_some_and(|last| last.track.window == window) {
            return refuse("it is the last good restore point; --force gives it up all the same");
        }
        (track.state, track.reason) = (State::Expiring, Some("a person gave it up".to_owned()));
        if self.store.copies().is_none() {
            track.state = State::Expired;
        }
        self.change(track).await.map_err(refused)
    }
}

fn refused(error: CatalogError) -> Refusal {
    Refusal(format!("the catalog: {error}"))
}
