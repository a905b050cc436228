//! Old windows leave the catalog, with all that belongs to them: in small transactions, between which appends have
//! their turn.

use super::error::{CatalogError, During};
use super::reader::Reader;
use super::tracked::RawCopy;
use super::{Catalog, sql};
use crate::tracking::copy::Copy;
use jiff::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe};
use std::collections::{BTreeMap, BTreeSet};

const ACTION: &str = "prune windows";
/// About how many copies one transaction deletes: an append that comes meanwhile waits for no more than that.
const ROWS: i64 = 500;
/// How many windows, each with a handful of rows.
const WINDOWS: usize = 50;

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
        let windows: Vec<String> = windows.iter().take(WINDOWS).map(|stale| stale.window.clone()).collect();
        self.change(
            ACTION,
            Box::new(move |connection| Box::pin(async move { prune(connection, before, &windows).await })),
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
                    let prune = prune.bind(ROWS);
                    Ok(prune.execute(connection).await.during(ACTION)?.rows_affected())
                })
            }),
        )
        .await
    }
}

/// A few statements, however many windows there are.
async fn prune(connection: &mut AnyConnection, before: Timestamp, windows: &[String]) -> Result<Pruned, CatalogError> {
    let mut pruned = Pruned::default();
    if windows.is_empty() {
        return Ok(pruned);
    }
    let among = |first| sql::places(first, windows.len());
    let stale = format!("{}{}", sql::STALE_OF, among(2));
    let stale = sqlx::query_scalar(AssertSqlSafe(stale)).persistent(false).bind(before.as_microsecond());
    let stale = windows.iter().fold(stale, |query, window| query.bind(window)).fetch_all(&mut *connection);
    let stale: BTreeSet<String> = stale.await.during(ACTION)?.into_iter().collect();
    let kept = left_behind(connection, windows).await?;
    let copies = format!("{}{}{}", sql::COPIES_OF, among(1), sql::BY_WINDOW);
    let copies = sqlx::query_as(AssertSqlSafe(copies)).persistent(false);
    let copies = windows.iter().fold(copies, |query, window| query.bind(window)).fetch_all(&mut *connection);
    let copies: BTreeMap<String, i64> = copies.await.during(ACTION)?.into_iter().collect();

    let (mut going, mut rows) = (Vec::new(), 0);
    for window in windows {
        if !stale.contains(window) || kept.contains(window) {
            pruned.done += 1;
            continue;
        }
        let of_it = copies.get(window).copied().unwrap_or_default();
        if of_it >= ROWS && going.is_empty() {
            let some = sqlx::query(sql::PRUNE_COPIES).bind(window).bind(ROWS).execute(connection).await;
            pruned.rows = some.during(ACTION)?.rows_affected();
            return Ok(pruned);
        }
        rows += of_it;
        if rows >= ROWS {
            break;
        }
        going.push(window);
        pruned.done += 1;
        pruned.windows += 1;
    }
    if going.is_empty() {
        return Ok(pruned);
    }
    for statement in sql::PRUNE_WINDOWS {
        let delete = format!("{statement}{}", sql::places(1, going.len()));
        let delete = sqlx::query(AssertSqlSafe(delete)).persistent(false);
        let delete = going.iter().fold(delete, |query, window| query.bind(window.as_str())).execute(&mut *connection);
        pruned.rows += delete.await.during(ACTION)?.rows_affected();
    }
    Ok(pruned)
}

/// The windows of which a copy that failed left something in the cloud that is not surely ours: its name is to be known
/// on.
async fn left_behind(connection: &mut AnyConnection, windows: &[String]) -> Result<BTreeSet<String>, CatalogError> {
    let failed = format!("{}{}", sql::FAILED_COPIES_OF, sql::places(1, windows.len()));
    let failed = sqlx::query_as::<_, RawCopy>(AssertSqlSafe(failed)).persistent(false);
    let failed = windows.iter().fold(failed, |query, window| query.bind(window)).fetch_all(connection);
    let mut kept = BTreeSet::new();
    for row in failed.await.during(ACTION)? {
        let copy = Copy::try_from(row)?;
        if copy.left.is_some() {
            kept.insert(copy.window);
        }
    }
    Ok(kept)
}
