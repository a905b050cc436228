//! What is read of restore points: how far each store has come with them.

use super::error::CatalogError;
use super::lines::Value;
use super::reader::Reader;
use super::rows::{RawWindow, WindowRow};
use super::sql;
use crate::stores::Capture;
use crate::tracking::copy::{Copy, Step};
use crate::tracking::track::Track;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// How many names are read at a time.
const NAMES: i64 = 10_000;

/// A restore point, and how far each captured store has come with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub window: WindowRow,
    /// By the store's name.
    pub tracks: Vec<Track>,
}

/// What the catalog knows of a temporary table's, and its backup's, name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub step: Step,
    pub backup_arn: Option<String>,
}

/// What a store's materialized restore points amount to: what AWS asks to be paid for. Sizes are AWS's estimates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Materialized {
    /// Backups that are kept, or are being deleted.
    pub backups: u64,
    pub backup_bytes: u64,
    /// Tables that were restored and backed up, since the catalog was made.
    pub restored: u64,
    pub restored_bytes: u64,
}

impl Reader {
    /// Restore points of one group or all, newest first, `limit` at most, each with its tracks.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn points(&self, group: Option<&str>, limit: u32) -> Result<Vec<Point>, CatalogError> {
        let statement = if group.is_some() { sql::POINTS_OF_GROUP } else { sql::POINTS };
        let values: Vec<Value<'_>> = [limit.into()].into_iter().chain(group.map(Value::from)).collect();
        gather(self.all("list restore points", statement, &values).await?)
    }

    /// The restore points that `which` names: a window, or an instant in RFC 3339; of one group or all. Empty: there is
    /// none. More than one: groups that share the instant.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn point(&self, which: &str, group: Option<&str>) -> Result<Vec<Point>, CatalogError> {
        let (statement, value) = match which.parse::<Timestamp>() {
            Ok(instant) => (sql::POINT_BY_INSTANT, instant.as_microsecond().into()),
            Err(_) => (sql::POINT_BY_WINDOW, which.into()),
        };
        let rows = self.all("find a restore point", statement, &[value]).await?;
        let asked = |point: &Point| group.is_none_or(|group| point.window.group == group);
        Ok(gather(rows)?.into_iter().filter(asked).collect())
    }

    /// The store's tracks that may still change (not lost, not expired), oldest restore point first.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn live_tracks(&self, group: &str, store: &str) -> Result<Vec<Track>, CatalogError> {
        let values = [group.into(), store.into()];
        let rows: Vec<RawTrack> = self.all("list live tracks", sql::LIVE_TRACKS, &values).await?;
        rows.into_iter().map(Track::try_from).collect()
    }

    /// The tracks of a window's restore point, by the store's name.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn tracks(&self, window: &str) -> Result<Vec<Track>, CatalogError> {
        let rows: Vec<RawTrack> = self.all("list tracks", sql::TRACKS, &[window.into()]).await?;
        rows.into_iter().map(Track::try_from).collect()
    }

    /// What a store was like at a window.
    ///
    /// # Errors
    /// The disk, or a body that cannot be read.
    pub async fn capture_of(&self, window: &str, store: &str) -> Result<Option<Capture>, CatalogError> {
        let body: Option<(String,)> = self.one("read a capture", sql::CAPTURE, &[window.into(), store.into()]).await?;
        let what = || format!("the capture of store {store} in window {window}");
        body.map(|(body,)| parsed(&body, what)).transpose()
    }

    /// The copies of one store at a restore point, by their source.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn copies(&self, window: &str, store: &str) -> Result<Vec<Copy>, CatalogError> {
        let rows: Vec<RawCopy> = self.all("list copies", sql::COPIES, &[window.into(), store.into()]).await?;
        rows.into_iter().map(Copy::try_from).collect()
    }

    /// How many of these copies are at which step; a step that none is at is left out.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn copy_counts(&self, window: &str, store: &str) -> Result<BTreeMap<Step, usize>, CatalogError> {
        let rows: Vec<(String, i64)> =
            self.all("count copies", sql::COPY_COUNTS, &[window.into(), store.into()]).await?;
        let counted = |(step, count): (String, i64)| Ok((step_named(&step)?, usize::try_from(count).unwrap_or(0)));
        rows.into_iter().map(counted).collect()
    }

    /// All copies of the whole catalog whose names lie between these two, both included: what a sweep has to know of
    /// what it found. Read in pieces, so that years of them hold nothing up.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn known_names(&self, first: &str, last: &str) -> Result<BTreeMap<String, Known>, CatalogError> {
        let mut known = BTreeMap::new();
        let mut from = first.to_owned();
        let mut statement = sql::FIRST_KNOWN_NAMES;
        loop {
            let values = [from.as_str().into(), last.into(), NAMES.into()];
            let rows: Vec<(String, String, Option<String>)> = self.all("list names", statement, &values).await?;
            let Some((end, ..)) = rows.last() else { return Ok(known) };
            (from, statement) = (end.clone(), sql::KNOWN_NAMES);
            for (name, step, backup_arn) in rows {
                known.insert(name, Known { step: step_named(&step)?, backup_arn });
            }
        }
    }

    /// What a store's materialized restore points amount to.
    ///
    /// # Errors
    /// The disk.
    pub async fn materialized(&self, group: &str, store: &str) -> Result<Materialized, CatalogError> {
        let values = [group.into(), store.into()];
        let kept: Option<(i64, i64)> = self.one("sum backups", sql::KEPT, &values).await?;
        let (backups, backup_bytes) = kept.unwrap_or_default();
        let restored: Option<(i64, i64)> = self.one("sum restored tables", sql::RESTORED, &values).await?;
        let (restored, restored_bytes) = restored.unwrap_or_default();
        Ok(Materialized {
            backups: backups.unsigned_abs(),
            backup_bytes: backup_bytes.unsigned_abs(),
            restored: restored.unsigned_abs(),
            restored_bytes: restored_bytes.unsigned_abs(),
        })
    }
}

#[derive(sqlx::FromRow)]
struct RawPoint {
    #[sqlx(flatten)]
    window: RawWindow,
    track_store: Option<String>,
    track_state: Option<String>,
    track_body: Option<String>,
}

/// One row a track becomes one point with its tracks.
fn gather(rows: Vec<RawPoint>) -> Result<Vec<Point>, CatalogError> {
    let mut points: Vec<Point> = Vec::new();
    for RawPoint { window, track_store, track_state, track_body } in rows {
        let window = WindowRow::try_from(window)?;
        if points.last().is_none_or(|last| last.window.window != window.window) {
            points.push(Point { window, tracks: Vec::new() });
        }
        let Some(point) = points.last_mut() else { continue };
        if let (Some(store_name), Some(state), Some(body)) = (track_store, track_state, track_body) {
            let window_id = point.window.window.clone();
            point.tracks.push(RawTrack { window_id, store_name, state, body }.try_into()?);
        }
    }
    Ok(points)
}

#[derive(sqlx::FromRow)]
struct RawTrack {
    window_id: String,
    store_name: String,
    state: String,
    body: String,
}

impl TryFrom<RawTrack> for Track {
    type Error = CatalogError;
    fn try_from(raw: RawTrack) -> Result<Self, CatalogError> {
        let what = || format!("the track of store {} in window {}", raw.store_name, raw.window_id);
        let track: Self = parsed(&raw.body, what)?;
        let told = (raw.window_id.as_str(), raw.store_name.as_str(), raw.state.as_str());
        agree(what, told, (&track.window, &track.store, track.state.name()))?;
        Ok(track)
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct RawCopy {
    window_id: String,
    store_name: String,
    source: String,
    step: String,
    body: String,
}

impl TryFrom<RawCopy> for Copy {
    type Error = CatalogError;
    fn try_from(raw: RawCopy) -> Result<Self, CatalogError> {
        let what = || format!("the {}", copy_of(&raw.window_id, &raw.store_name, &raw.source));
        let copy: Self = parsed(&raw.body, what)?;
        let told = (raw.window_id.as_str(), raw.source.as_str(), raw.step.as_str());
        agree(what, told, (&copy.window, &copy.source, copy.step.name()))?;
        Ok(copy)
    }
}

/// What a person calls a copy.
pub(super) fn copy_of(window: &str, store: &str, source: &str) -> String {
    format!("copy of {source} of store {store} in window {window}")
}

pub(super) fn step_named(name: &str) -> Result<Step, CatalogError> {
    let step = Step::ALL.iter().find(|step| step.name() == name);
    step.copied().ok_or_else(|| CatalogError::Row(format!("not a copy's step: {name}")))
}

fn parsed<T: DeserializeOwned>(body: &str, what: impl Fn() -> String) -> Result<T, CatalogError> {
    serde_json::from_str(body).map_err(|source| CatalogError::Body { what: what(), source })
}

/// The columns say what the body says.
fn agree(what: impl Fn() -> String, columns: (&str, &str, &str), body: (&str, &str, &str)) -> Result<(), CatalogError> {
    if columns == body {
        return Ok(());
    }
    Err(CatalogError::Row(format!("{} is of {columns:?}, its body of {body:?}", what())))
}
