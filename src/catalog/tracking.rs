//! What is written of restore points after their windows: captures, tracks and copies.

use super::append::{json, value};
use super::error::{CatalogError, During};
use super::outbox::Outbox;
use super::tracked::{copy_of, step_named};
use super::{Catalog, sql};
use crate::domain::Notice;
use crate::notify::Happening;
use crate::stores::Capture;
use crate::tracking::copy::{Copy, Step};
use crate::tracking::track::{State, Track};
use jiff::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe};

/// How many copies one statement writes.
const ROWS: usize = 200;

impl Catalog {
    /// Makes durable what a store was like at a window, before the window's verdict; repeating it replaces. The append
    /// of a consistent verdict begins a track for each; any other verdict deletes them.
    ///
    /// # Errors
    /// The disk, a later epoch; `Ended`, when the window has its verdict.
    pub async fn capture(&self, window: &str, store: &str, capture: &Capture) -> Result<(), CatalogError> {
        const ACTION: &str = "keep a capture";
        let (window, store, epoch) = (window.to_owned(), store.to_owned(), self.epoch());
        let (body, at) = (json(capture)?, crate::clock::wall().as_microsecond());
        self.change(
            ACTION,
            Box::new(move |connection| {
                Box::pin(async move {
                    let ended = sqlx::query_scalar(sql::ENDED).bind(&window).fetch_one(&mut *connection);
                    let ended: i64 = ended.await.during(ACTION)?;
                    if ended > 0 {
                        return Err(CatalogError::Ended(window));
                    }
                    let write = sqlx::query(sql::UPSERT_CAPTURE).bind(window).bind(store).bind(epoch);
                    write.bind(at).bind(body).execute(connection).await.during(ACTION)?;
                    Ok(())
                })
            }),
        )
        .await
    }

    /// Deletes the captures of windows that earlier processes died over before their first event, and answers with how
    /// many they were. Once after the start is enough. Nobody waits for the search: it looks over all captures.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn drop_stray_captures(&self) -> Result<u64, CatalogError> {
        const ACTION: &str = "delete stray captures";
        let windows: Vec<(String,)> = self.all(ACTION, sql::STRAY_CAPTURES, &[]).await?;
        let (mut dropped, epoch) = (0, self.epoch());
        for (window,) in windows {
            let delete: super::writer::Body<u64, CatalogError> = Box::new(move |connection| {
                Box::pin(async move {
                    let delete = sqlx::query(sql::DELETE_STRAY_CAPTURES).bind(window).bind(epoch);
                    Ok(delete.execute(connection).await.during(ACTION)?.rows_affected())
                })
            });
            dropped += self.change(ACTION, delete).await?;
        }
        Ok(dropped)
    }

    /// Saves a track, which the append of its window's verdict began.
    ///
    /// # Errors
    /// The disk, a later epoch; `Missing`, when there is no such track.
    pub async fn save_track(&self, track: &Track) -> Result<(), CatalogError> {
        self.begin_copies(track, &[]).await
    }

    /// Saves the track, and in the same transaction the copies that are to be made for it. Where there is a copy of
    /// the same source already, that one stays as it is: repeating it is harmless.
    ///
    /// # Errors
    /// The disk, a later epoch; `Missing`, when there is no such track; a name that another copy has.
    pub async fn begin_copies(&self, track: &Track, copies: &[Copy]) -> Result<(), CatalogError> {
        let rows = copies.iter().map(|copy| Ok((copy.clone(), json(copy)?))).collect::<Result<_, CatalogError>>()?;
        let (outbox, at) = (self.outbox.clone(), crate::clock::wall());
        let begin = Begin { track: track.clone(), body: json(track)?, rows, epoch: self.epoch(), at, outbox };
        let action = if copies.is_empty() { "save a track" } else { "begin copies" };
        let changed = self.change(action, Box::new(move |connection| Box::pin(begin.run(action, connection)))).await;
        if notice(track.state).is_some() {
            self.outbox.wake();
        }
        changed
    }

    /// Saves a copy, which [`Catalog::begin_copies`] began. One that failed may wait again, no other goes back.
    ///
    /// # Errors
    /// The disk, a later epoch; `Missing`, when there is no such copy; `Backwards`.
    pub async fn save_copy(&self, store: &str, copy: &Copy) -> Result<(), CatalogError> {
        let save =
            Save { store: store.to_owned(), copy: copy.clone(), body: json(copy)?, epoch: self.epoch(), at: micros() };
        self.change("save a copy", Box::new(move |connection| Box::pin(save.run("save a copy", connection)))).await
    }
}

fn micros() -> i64 {
    crate::clock::wall().as_microsecond()
}

/// A track, and the copies that begin with it.
struct Begin {
    track: Track,
    body: String,
    rows: Vec<(Copy, String)>,
    epoch: i64,
    at: Timestamp,
    outbox: Outbox,
}

impl Begin {
    async fn run(self, action: &'static str, connection: &mut AnyConnection) -> Result<(), CatalogError> {
        self.tell(action, connection).await?;
        let Self { track, body, rows, epoch, at, outbox: _ } = self;
        let at = at.as_microsecond();
        let update = sqlx::query(sql::UPDATE_TRACK).bind(&track.window).bind(&track.store);
        let update = update.bind(track.state.name()).bind(at).bind(epoch).bind(body);
        if update.execute(&mut *connection).await.during(action)?.rows_affected() == 0 {
            return Err(CatalogError::Missing(format!("track of store {} in window {}", track.store, track.window)));
        }
        if let Some((copy, _)) = rows.iter().find(|(copy, _)| copy.window != track.window) {
            let what = copy_of(&copy.window, &track.store, &copy.source);
            return Err(CatalogError::Row(format!("{what} does not belong to window {}", track.window)));
        }
        for rows in rows.chunks(ROWS) {
            let statement = format!("{}{}{}", sql::INSERT_COPIES, sql::rows(rows.len(), 11), sql::UNLESS_THERE);
            let mut insert = sqlx::query(AssertSqlSafe(statement)).persistent(false);
            for (copy, body) in rows {
                insert = insert
                    .bind(&track.window)
                    .bind(&track.store)
                    .bind(&copy.source)
                    .bind(&track.group)
                    .bind(copy.step.name())
                    .bind(&copy.name)
                    .bind(&copy.arn)
                    .bind(copy.bytes)
                    .bind(at)
                    .bind(epoch)
                    .bind(body);
            }
            insert.execute(&mut *connection).await.during(action)?;
        }
        Ok(())
    }
}

impl Begin {
    /// Tells of a state that the track comes to now, and only now: saving it again tells nothing.
    async fn tell(&self, action: &'static str, connection: &mut AnyConnection) -> Result<(), CatalogError> {
        let track = &self.track;
        let Some(notice) = notice(track.state).filter(|_| !self.outbox.is_empty()) else { return Ok(()) };
        let before = sqlx::query_scalar(sql::STATE_OF_TRACK).bind(&track.window).bind(&track.store);
        let before: Option<String> = before.fetch_optional(&mut *connection).await.during(action)?;
        if before.is_none_or(|before| before == track.state.name()) {
            return Ok(());
        }
        let happening = Happening {
            notice,
            group: track.group.clone(),
            window: track.window.clone(),
            store: Some(track.store.clone()),
            at: self.at,
            data: value(track)?,
        };
        self.outbox.put(connection, self.epoch, &happening).await
    }
}

/// What others are told of a state, if anything.
const fn notice(state: State) -> Option<Notice> {
    match state {
        State::Restorable => Some(Notice::PointRestorable),
        State::Materialized => Some(Notice::PointMaterialized),
        State::Failed => Some(Notice::PointFailed),
        State::Lost => Some(Notice::PointLost),
        State::Expired => Some(Notice::PointExpired),
        State::Waiting | State::Materializing | State::Expiring => None,
    }
}

/// One copy, further than before.
struct Save {
    store: String,
    copy: Copy,
    body: String,
    epoch: i64,
    at: i64,
}

impl Save {
    async fn run(self, action: &'static str, connection: &mut AnyConnection) -> Result<(), CatalogError> {
        let Self { store, copy, body, epoch, at } = self;
        let what = || copy_of(&copy.window, &store, &copy.source);
        let stands = sqlx::query_as(sql::STEP_OF_COPY).bind(&copy.window).bind(&store).bind(&copy.source);
        let stands: Option<(String, String, String)> = stands.fetch_optional(&mut *connection).await.during(action)?;
        let Some((group, stands, name)) = stands else { return Err(CatalogError::Missing(what())) };
        let stands = step_named(&stands)?;
        if name != copy.name {
            return Err(CatalogError::Row(format!("{} is named {name}, not {}", what(), copy.name)));
        }
        if copy.step < stands && (stands, copy.step) != (Step::Failed, Step::Waiting) {
            let (stands, asked) = (stands.name(), copy.step.name());
            return Err(CatalogError::Backwards { copy: what(), stands, asked });
        }
        sqlx::query(sql::UPDATE_COPY)
            .bind(&copy.window)
            .bind(&store)
            .bind(&copy.source)
            .bind(copy.step.name())
            .bind(&copy.arn)
            .bind(copy.bytes)
            .bind(at)
            .bind(epoch)
            .bind(body)
            .execute(&mut *connection)
            .await
            .during(action)?;
        if copy.step == Step::Done && stands != Step::Done {
            let count = sqlx::query(sql::COUNT_RESTORED).bind(group).bind(store);
            count.bind(copy.bytes.unwrap_or_default()).execute(connection).await.during(action)?;
        }
        Ok(())
    }
}
