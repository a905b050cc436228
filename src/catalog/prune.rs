//! Old windows leave the catalog, with all that belongs to them: in small transactions, between which appends have
//! their turn.

use super::error::{CatalogError, During};
use super::reader::Reader;
use super::tracked::RawCopy;
use super::{Catalog, sql};
use crate::tracking::copy::Copy;
use jiff::Timestamp;
use sqlx::AnyConnection;

/// About how many rows one transaction deletes: an append that comes meanwhile waits for no more than that.
const ROWS: u64 = 500;

/// A window that may be pruned, as far as was seen without holding up writers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stale {
    started: i64,
    pub window: String,
}

/// What one transaction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// How many of the windows are done with: gone, or to be kept.
    pub done: usize,
    /// How many are gone.
    pub windows: u64,
    pub rows: u64,
}

impl Reader {
    /// Windows begun before that instant which nobody needs any more, oldest first, after `last`, `limit` at most.
    ///
    /// # Errors
    /// The disk.
    pub async fn stale(&self, before: Timestamp, last: Option<&Stale>, limit: u32) -> Result<Vec<Stale>, CatalogError> {
        let (started, window) = last.map_or((i64::MIN, ""), |last| (last.started, last.window.as_str()));
        let values = [before.as_microsecond().into(), started.into(), window.into(), limit.into()];
        let rows: Vec<(i64, String)> = self.all("list old windows", sql::STALE, &values).await?;
        Ok(rows.into_iter().map(|(started, window)| Stale { started, window }).collect())
    }
}

impl Catalog {
    /// Deletes the first of these windows in one transaction, as many as that should hold: each is looked at again in
    /// it. A window with many copies takes several, and stays whole for readers but for those.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn prune(&self, before: Timestamp, windows: &[Stale]) -> Result<Pruned, CatalogError> {
        const ACTION: &str = "prune windows";
        let windows: Vec<String> = windows.iter().map(|stale| stale.window.clone()).collect();
        self.change(
            ACTION,
            Box::new(move |connection| {
                Box::pin(async move {
                    let mut pruned = Pruned::default();
                    for window in &windows {
                        if !prune(connection, ACTION, before, window, &mut pruned).await? || pruned.rows >= ROWS {
                            break;
                        }
                    }
                    Ok(pruned)
                })
            }),
        )
        .await
    }

    /// Deletes slots before that instant that are over, a bounded number; none: there are no more.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn prune_slots(&self, before: Timestamp) -> Result<u64, CatalogError> {
        const ACTION: &str = "prune slots";
        self.change(
            ACTION,
            Box::new(move |connection| {
                Box::pin(async move {
                    let prune = sqlx::query(sql::PRUNE_SLOTS).bind(before.as_microsecond());
                    let prune = prune.bind(i64::try_from(ROWS).unwrap_or(i64::MAX));
                    Ok(prune.execute(connection).await.during(ACTION)?.rows_affected())
                })
            }),
        )
        .await
    }
}

/// Deletes one window, or some of its copies; whether it is done with.
async fn prune(
    connection: &mut AnyConnection,
    action: &'static str,
    before: Timestamp,
    window: &str,
    pruned: &mut Pruned,
) -> Result<bool, CatalogError> {
    let stale = sqlx::query_scalar(sql::IS_STALE).bind(before.as_microsecond()).bind(window);
    let stale: i64 = stale.fetch_one(&mut *connection).await.during(action)?;
    if stale == 0 || left_behind(connection, action, window).await? {
        pruned.done += 1;
        return Ok(true);
    }
    let limit = i64::try_from(ROWS).unwrap_or(i64::MAX);
    let copies = sqlx::query(sql::PRUNE_COPIES).bind(window).bind(limit).execute(&mut *connection).await;
    let copies = copies.during(action)?.rows_affected();
    pruned.rows += copies;
    if copies >= ROWS {
        return Ok(false);
    }
    for statement in sql::PRUNE_WINDOW {
        let deleted = sqlx::query(statement).bind(window).execute(&mut *connection).await.during(action)?;
        pruned.rows += deleted.rows_affected();
    }
    pruned.windows += 1;
    pruned.done += 1;
    Ok(true)
}

/// Whether a copy that failed left something in the cloud that is not surely ours: its name is to be known on.
async fn left_behind(connection: &mut AnyConnection, action: &'static str, window: &str) -> Result<bool, CatalogError> {
    let failed = sqlx::query_as::<_, RawCopy>(sql::FAILED_COPIES).bind(window).fetch_all(connection);
    for row in failed.await.during(action)? {
        if Copy::try_from(row)?.left.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
