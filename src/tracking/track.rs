//! One store's progress with one restore point, from what the store says of its parts.

use crate::aws::Fault;
use crate::stores::Seen;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How far a store's latest restorable time is typically behind ("Point-in-time backups for DynamoDB" and
/// "Restoring a DB instance to a specified time": within five minutes).
pub const TYPICAL_LAG: Duration = Duration::from_secs(300);
/// How long a restore point waits before its store counts as stuck.
pub const STUCK: Duration = Duration::from_secs(1800);
/// How often a restorable point's parts are looked at until it expires.
pub const WATCH_EVERY: Duration = Duration::from_secs(3600);

/// What of a capture tells whether its parts are still the same: their identities by name.
pub type Parts = BTreeMap<String, String>;

/// One store's progress with one restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    pub window: String,
    pub group: String,
    pub store: String,
    pub point: Timestamp,
    pub state: State,
    /// Why it failed or is lost; what it waits for.
    pub reason: Option<String>,
    /// The least of its parts' latest restorable times, when they were looked at last.
    pub latest: Option<Timestamp>,
    pub checked: Option<Timestamp>,
    pub restorable: Option<Timestamp>,
    pub materialized: Option<Timestamp>,
    /// When the point-in-time recovery of the first of its parts no longer reaches back to it.
    pub expires: Option<Timestamp>,
    /// Whether it is to be materialized; none: not decided yet.
    pub materialize: Option<bool>,
}

/// What a store's progress is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its latest restorable time has not passed the point.
    Waiting,
    /// It can be restored to the point.
    Restorable,
    /// Its tables are being restored to the point and backed up.
    Materializing,
    /// Each of its tables has a backup of the point.
    Materialized,
    /// A table could not be materialized; until it expires it can be restored by point-in-time recovery all the same.
    Failed,
    /// It can never again be restored to the point.
    Lost,
    /// Its backups are being deleted.
    Expiring,
    /// Its time is over.
    Expired,
}

impl State {
    /// Every state, in order.
    pub const ALL: &'static [Self] = &[
        Self::Waiting,
        Self::Restorable,
        Self::Materializing,
        Self::Materialized,
        Self::Failed,
        Self::Lost,
        Self::Expiring,
        Self::Expired,
    ];

    /// The name in catalog, pages and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Restorable => "restorable",
            Self::Materializing => "materializing",
            Self::Materialized => "materialized",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
        }
    }

    /// Whether what point-in-time recovery says of the parts still matters.
    #[must_use]
    pub const fn by_recovery(self) -> bool {
        matches!(self, Self::Waiting | Self::Restorable)
    }

    /// Whether the store can be restored to the point at all.
    #[must_use]
    pub const fn is_good(self) -> bool {
        !matches!(self, Self::Lost | Self::Expiring | Self::Expired)
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub const fn over(self) -> bool {
        matches!(self, Self::Lost | Self::Expired)
    }
}

/// Until when a restore point can be restored in all its stores: the earliest that any of them tells. None: its backups
/// stay, or that is not known, or some store cannot be restored to it at all.
#[must_use]
pub fn until(tracks: &[Track]) -> Option<Timestamp> {
    if !tracks.iter().all(|track| track.state.is_good()) {
        return None;
    }
    tracks.iter().filter_map(Track::until).min()
}

impl Track {
    /// Until when the store can be restored to the point. None: its backups stay, or it is not known, or it cannot be.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.expires.filter(|_| self.state.is_good() && self.state != State::Materialized)
    }

    /// A track that begins.
    #[must_use]
    pub fn new(window: String, group: String, store: String, point: Timestamp) -> Self {
        Self {
            window,
            group,
            store,
            point,
            state: State::Waiting,
            reason: None,
            latest: None,
            checked: None,
            restorable: None,
            materialized: None,
            expires: None,
            materialize: None,
        }
    }

    /// Takes in what the store says of its parts at `now`; `seen` holds at least those that are not known to have
    /// passed the point.
    pub fn look(&mut self, parts: &Parts, seen: &BTreeMap<String, Result<Seen, Fault>>, now: Timestamp) {
        if !self.state.by_recovery() {
            return;
        }
        let mut unknown = parts.is_empty().then(|| "nothing of it belongs to the restore point".to_owned());
        let mut latest: Option<Timestamp> = None;
        let mut waits = None;
        for (name, identity) in parts {
            match seen.get(name) {
                Some(Ok(seen)) => {
                    if let Some((state, why)) = self.against(name, identity, seen, now) {
                        (self.state, self.reason, self.checked) = (state, Some(why), Some(now));
                        return;
                    }
                    let expires = self.point + seen.retention;
                    self.expires = Some(self.expires.map_or(expires, |there| there.min(expires)));
                    latest = latest.into_iter().chain(seen.latest).min();
                    if seen.latest.is_none_or(|latest| latest <= self.point) {
                        waits.get_or_insert_with(|| format!("waiting for {name}"));
                    }
                }
                Some(Err(fault)) => unknown = Some(format!("{name}: {fault}")),
                None => unknown = Some(format!("{name} was not looked at")),
            }
        }
        (self.latest, self.checked) = (latest.or(self.latest), Some(now));
        if self.state != State::Waiting {
            return;
        }
        self.reason = unknown.or(waits);
        if self.reason.is_none() {
            (self.state, self.restorable) = (State::Restorable, Some(now));
        }
    }

    /// What one part says against the point.
    fn against(&self, name: &str, identity: &str, seen: &Seen, now: Timestamp) -> Option<(State, String)> {
        let lost = |why: String| Some((State::Lost, why));
        match &seen.identity {
            None => return lost(format!("{name} is gone")),
            Some(there) if there != identity => {
                return lost(format!("{name} was deleted and made anew"));
            }
            Some(_) if !seen.recovery => return lost(format!("point-in-time recovery of {name} is off")),
            Some(_) => {}
        }
        if seen.earliest.is_some_and(|earliest| earliest > self.point) {
            let age = Duration::try_from(now.duration_since(self.point)).unwrap_or_default();
            if age >= seen.retention {
                return Some((State::Expired, format!("{name} keeps {} days", seen.retention.as_secs() / 86_400)));
            }
            return lost(format!("the history of {name} begins after the point: it began anew, or keeps less"));
        }
        None
    }

    /// When the parts are to be looked at next.
    #[must_use]
    pub fn next_look(&self) -> Option<Timestamp> {
        if !self.state.by_recovery() {
            return None;
        }
        let Some(checked) = self.checked else { return Some(self.point) };
        if self.state != State::Waiting {
            return Some(checked + WATCH_EVERY);
        }
        let age = Duration::try_from(checked.duration_since(self.point)).unwrap_or_default();
        Some(checked + (age / 8).clamp(Duration::from_secs(2), Duration::from_secs(600)))
    }

    /// When it will be restorable, as it goes typically.
    #[must_use]
    pub fn expected(&self) -> Option<Timestamp> {
        (self.state == State::Waiting).then(|| self.point + TYPICAL_LAG)
    }
}
