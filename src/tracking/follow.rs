//! The loop of one store: it alone changes the tracks of its restore points.

use super::asked::Command;
use super::copy::{Copy, Step};
use super::keep::{day, kept, week};
use super::track::{Parts, State, Track};
use super::work::Work;
use super::{Shared, names};
use crate::aws::Fault;
use crate::catalog::CatalogError;
use crate::config::{Group, Keep, Materialize, Store as StoreConfig, StoreKind};
use crate::stores::{Looks, Part, Seen, Store};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long it waits when the catalog could not be read or written.
const CATALOG_AGAIN: Duration = Duration::from_secs(5);
/// How often it looks for new restore points although nobody told of one.
const REFRESH: Duration = Duration::from_secs(60);
/// How long after a look that failed as a whole the next one comes.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Follows the restore points of one store.
pub struct Follower {
    pub(super) shared: Shared,
    pub(super) group: Arc<Group>,
    pub(super) config: StoreConfig,
    pub(super) store: Arc<dyn Store>,
    commands: mpsc::Receiver<Command>,
    /// Changes when there may be a new restore point.
    news: watch::Receiver<u64>,
    pub(super) followed: BTreeMap<String, Followed>,
    /// Answers with the window, and with its copies at rest.
    working: JoinSet<(String, Result<Vec<Copy>, CatalogError>)>,
    look_again: Option<Timestamp>,
    pub(super) sweep_at: Option<Timestamp>,
}

/// One restore point that is followed.
pub(super) struct Followed {
    pub(super) track: Track,
    /// None: not needed, or not read yet.
    parts: Option<Arc<Parts>>,
    /// Those of its parts that have passed the point, while it waits for others.
    passed: BTreeMap<String, Seen>,
    /// The task that drives its copies.
    working: Option<Id>,
}

impl Follower {
    #[must_use]
    pub fn new(
        shared: Shared,
        group: Arc<Group>,
        config: StoreConfig,
        store: Arc<dyn Store>,
        commands: mpsc::Receiver<Command>,
        news: watch::Receiver<u64>,
    ) -> Self {
        let sweep_at = Some(shared.clock.now().wall);
        let (followed, working) = (BTreeMap::new(), JoinSet::new());
        Self { shared, group, config, store, commands, news, followed, working, look_again: None, sweep_at }
    }

    /// Follows until it is told to stop. What it was at goes on with the store's next follower, as after a crash; all
    /// that it started has ended when it comes back.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.follow() => {}
            () = stop.cancelled() => {}
        }
        self.working.shutdown().await;
    }

    async fn follow(&mut self) {
        loop {
            let wait = match self.round().await {
                Ok(()) => self.next(),
                Err(error) => {
                    self.shared.metrics.catalog_failed();
                    tracing::error!(group = %self.group.name, store = %self.config.name, "follow it in the catalog: {error}");
                    CATALOG_AGAIN
                }
            };
            tokio::select! {
                Some(command) = self.commands.recv() => self.obey(command).await,
                Some(worked) = self.working.join_next() => self.worked(worked).await,
                Ok(()) = self.news.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.shared.clock.now().wall
    }

    /// How long nothing is due.
    fn next(&self) -> Duration {
        let looks = self.followed.values().filter_map(|it| it.track.next_look());
        let looks = looks.map(|at| self.look_again.map_or(at, |again| at.max(again)));
        let due = looks.chain(self.sweep_at).min();
        let until = due.map(|due| Duration::try_from(due.duration_since(self.now())).unwrap_or_default());
        until.unwrap_or(REFRESH).clamp(Duration::from_millis(100), REFRESH)
    }

    async fn round(&mut self) -> Result<(), CatalogError> {
        self.reload().await?;
        self.look().await?;
        self.decide().await?;
        self.retain().await?;
        self.work();
        self.sweep().await?;
        self.tell().await
    }

    pub(super) async fn reload(&mut self) -> Result<(), CatalogError> {
        let tracks = self.shared.catalog.live_tracks(&self.group.name, &self.config.name).await?;
        let there: BTreeSet<String> = tracks.iter().map(|track| track.window.clone()).collect();
        self.followed.retain(|window, _| there.contains(window));
        for track in tracks {
            let new = || Followed { track: track.clone(), parts: None, passed: BTreeMap::new(), working: None };
            self.followed.entry(track.window.clone()).or_insert_with(new);
        }
        Ok(())
    }

    /// Looks once at the parts of every restore point that is due.
    async fn look(&mut self) -> Result<(), CatalogError> {
        let now = self.now();
        if self.look_again.is_some_and(|again| now < again) {
            return Ok(());
        }
        let due: Vec<String> =
            self.followed.iter().filter(|(_, it)| it.due(now)).map(|(name, _)| name.clone()).collect();
        let mut wanted = BTreeSet::new();
        for window in &due {
            let parts = self.parts(window).await?;
            if let Some(followed) = self.followed.get(window) {
                wanted.extend(parts.keys().filter(|name| !followed.passed.contains_key(*name)).cloned());
            }
        }
        let wanted: Vec<String> = wanted.into_iter().collect();
        // A restore point that nothing belongs to is looked at as well: it would be due again at once.
        let seen = match if wanted.is_empty() { Ok(BTreeMap::new()) } else { self.store.look(&wanted).await } {
            Ok(seen) => seen,
            Err(fault) => {
                tracing::warn!(group = %self.group.name, store = %self.config.name, "look at its restore points: {fault}");
                self.look_again = Some(self.now() + LOOK_AGAIN);
                return Ok(());
            }
        };
        self.tell_recoverable(&seen);
        for window in due {
            self.looked(&window, &seen).await?;
        }
        Ok(())
    }

    /// One part that cannot be restored to a point in time is enough; that all can takes an answer for each.
    fn tell_recoverable(&self, seen: &Looks) {
        let off = seen.values().any(|look| look.as_ref().is_ok_and(|seen| seen.identity.is_some() && !seen.recovery));
        if off || (!seen.is_empty() && seen.values().all(Result::is_ok)) {
            self.shared.metrics.store_recoverable(&self.group.name, &self.config.name, !off);
        }
    }

    async fn parts(&mut self, window: &str) -> Result<Arc<Parts>, CatalogError> {
        if let Some(parts) = self.followed.get(window).and_then(|it| it.parts.clone()) {
            return Ok(parts);
        }
        let capture = self.shared.catalog.capture_of(window, &self.config.name).await?.unwrap_or_default();
        let parts: Parts = capture.parts.into_iter().map(|(name, part)| (name, part.identity)).collect();
        let parts = Arc::new(parts);
        if let Some(followed) = self.followed.get_mut(window) {
            followed.parts = Some(parts.clone());
        }
        Ok(parts)
    }

    async fn looked(&mut self, window: &str, seen: &BTreeMap<String, Result<Seen, Fault>>) -> Result<(), CatalogError> {
        let now = self.now();
        let parts = self.parts(window).await?;
        let Some(followed) = self.followed.get_mut(window) else { return Ok(()) };
        let mut all = seen.clone();
        all.extend(followed.passed.iter().map(|(name, seen)| (name.clone(), Ok(seen.clone()))));
        let mut track = followed.track.clone();
        track.look(&parts, &all, now);
        if track.state == State::Waiting {
            let point = track.point;
            let passed = |seen: &Seen| seen.latest.is_some_and(|latest| latest > point);
            let new = seen.iter().filter_map(|(name, seen)| Some((name.clone(), seen.as_ref().ok()?.clone())));
            followed.passed.extend(new.filter(|(_, seen)| passed(seen)));
        } else {
            followed.passed.clear();
        }
        self.change(track).await
    }

    /// Makes a track durable, and tells where it has come.
    pub(super) async fn change(&mut self, track: Track) -> Result<(), CatalogError> {
        self.shared.catalog.save_track(&track).await?;
        self.changed(track);
        Ok(())
    }

    /// A track is durable as it is here.
    fn changed(&mut self, track: Track) {
        let Some(followed) = self.followed.get_mut(&track.window) else { return };
        let (group, store, window, state) = (&track.group, &track.store, &track.window, track.state.name());
        if followed.track.state != track.state {
            self.shared.metrics.track_ended(group, store, track.state);
            let why = track.reason.as_deref().unwrap_or_default();
            match track.state {
                State::Lost | State::Failed => {
                    tracing::error!(%group, %store, %window, "restore point {} is {state}: {why}", track.point);
                }
                _ => tracing::info!(%group, %store, %window, "restore point {} is {state}", track.point),
            }
        }
        followed.track = track;
    }

    /// Which of the restorable points are materialized.
    async fn decide(&mut self) -> Result<(), CatalogError> {
        let ready = |it: &&Followed| it.track.state == State::Restorable && it.track.materialize != Some(false);
        let ready: Vec<Track> = self.followed.values().filter(ready).map(|it| it.track.clone()).collect();
        for mut track in ready {
            let wanted = track.materialize.unwrap_or_else(|| self.wanted(&track));
            track.materialize = Some(wanted);
            if wanted {
                self.begin(track).await?;
            } else {
                self.change(track).await?;
            }
        }
        Ok(())
    }

    fn wanted(&self, track: &Track) -> bool {
        let StoreKind::Dynamodb(config) = &self.config.kind else { return false };
        let zone = self.zone();
        let others = self.followed.values().map(|it| &it.track).filter(|other| other.window != track.window);
        let mut made = others.filter(|other| matches!(other.state, State::Materializing | State::Materialized));
        match config.materialize {
            Materialize::Always => true,
            Materialize::Never => false,
            Materialize::Daily => !made.any(|other| day(&zone, other.point) == day(&zone, track.point)),
            Materialize::Weekly => !made.any(|other| week(&zone, other.point) == week(&zone, track.point)),
        }
    }

    fn zone(&self) -> TimeZone {
        self.group.time_zone()
    }

    pub(super) async fn begin(&mut self, mut track: Track) -> Result<(), CatalogError> {
        let capture = self.shared.catalog.capture_of(&track.window, &self.config.name).await?.unwrap_or_default();
        let identity = self.shared.catalog.identity().to_owned();
        let copy = |(source, part): (&String, &Part)| {
            let name = names::temporary(&identity, &track.group, &track.store, track.point, source);
            Copy::waiting(source, &part.arn, &track.window, track.point, name)
        };
        let copies: Vec<Copy> = capture.parts.iter().map(copy).collect();
        (track.state, track.reason) = (State::Materializing, None);
        self.shared.catalog.begin_copies(&track, &copies).await?;
        self.changed(track);
        Ok(())
    }

    /// Lets the backups go that the group's rule does not keep.
    async fn retain(&mut self) -> Result<(), CatalogError> {
        let tracks = || self.followed.values().map(|it| &it.track);
        let made: BTreeSet<Timestamp> =
            tracks().filter(|it| it.state == State::Materialized).map(|it| it.point).collect();
        let kept = kept(self.group.keep, &self.zone(), &made);
        // Without a rule everything is kept, also what failed in part.
        let Some(oldest) = kept.first().filter(|_| self.group.keep != Keep::default()) else { return Ok(()) };
        let over = |it: &&Track| match it.state {
            State::Materialized => !kept.contains(&it.point),
            State::Failed => it.point < *oldest,
            _ => false,
        };
        let over: Vec<Track> = tracks().filter(over).cloned().collect();
        for mut track in over {
            (track.state, track.reason) = (State::Expiring, Some("the group's rule keeps it no longer".to_owned()));
            self.change(track).await?;
        }
        Ok(())
    }

    /// Drives the copies of what is being materialized, and of what expires.
    fn work(&mut self) {
        let StoreKind::Dynamodb(config) = &self.config.kind else { return };
        for (window, followed) in &mut self.followed {
            if followed.working.is_some() || !matches!(followed.track.state, State::Materializing | State::Expiring) {
                continue;
            }
            let work = Work {
                shared: self.shared.clone(),
                store: self.store.clone(),
                window: window.clone(),
                name: self.config.name.clone(),
                slots: self.shared.slots(config),
                limit: config.materialize_limit,
                expire: followed.track.state == State::Expiring,
            };
            let window = window.clone();
            let task = self.working.spawn(async move { (window, work.run().await) });
            followed.working = Some(task.id());
        }
    }

    async fn worked(&mut self, worked: Result<(String, Result<Vec<Copy>, CatalogError>), tokio::task::JoinError>) {
        let (window, copies) = match worked {
            Ok(worked) => worked,
            Err(error) => {
                tracing::error!(group = %self.group.name, store = %self.config.name, "materializing died: {error}");
                // Of the others, each has its own driver still.
                let its = self.followed.values_mut().find(|it| it.working == Some(error.id()));
                its.into_iter().for_each(|it| it.working = None);
                return;
            }
        };
        let Some(followed) = self.followed.get_mut(&window) else { return };
        followed.working = None;
        let result = match copies {
            Ok(copies) => {
                let track = rested(followed.track.clone(), &copies, self.now());
                self.change(track).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            self.shared.metrics.catalog_failed();
            tracing::error!(group = %self.group.name, store = %self.config.name, %window, "end its materialization: {error}");
        }
    }

    async fn tell(&self) -> Result<(), CatalogError> {
        let (catalog, metrics) = (&self.shared.catalog, &self.shared.metrics);
        let (group, store) = (&self.group.name, &self.config.name);
        let tracks: Vec<&Track> = self.followed.values().map(|it| &it.track).collect();
        metrics.tracked(group, store, &tracks);
        let mut steps: BTreeMap<Step, usize> = BTreeMap::new();
        for track in tracks.iter().filter(|track| track.state == State::Materializing) {
            for (step, count) in catalog.copy_counts(&track.window, store).await? {
                *steps.entry(step).or_default() += count;
            }
        }
        metrics.copies(group, store, &steps);
        let sums = catalog.materialized(group, store).await?;
        metrics.materialized(group, &self.config, sums.restored, sums.restored_bytes);
        Ok(())
    }
}

impl Followed {
    fn due(&self, now: Timestamp) -> bool {
        self.track.next_look().is_some_and(|at| at <= now)
    }
}

/// What a track has come to when all its copies rest.
fn rested(mut track: Track, copies: &[Copy], now: Timestamp) -> Track {
    if track.state == State::Expiring {
        track.state = State::Expired;
        return track;
    }
    let failed: Vec<&Copy> = copies.iter().filter(|copy| copy.step != Step::Done).collect();
    match failed.first() {
        None => (track.state, track.materialized, track.reason) = (State::Materialized, Some(now), None),
        Some(first) => {
            let why = first.failure.as_deref().unwrap_or("it did not end well");
            let (many, all) = (failed.len(), copies.len());
            track.state = State::Failed;
            track.reason = Some(format!("{many} of {all} tables were not materialized; {}: {why}", first.source));
        }
    }
    track
}
