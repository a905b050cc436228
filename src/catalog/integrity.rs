//! Whether the catalog is whole.

use super::error::{CatalogError, is_damage};
use super::lines::fetch;
use super::link::Link;
use super::reader::{Reader, whole, within};
use super::rows::{WindowRow, parse};
use super::{INTEGRITY_DEADLINE, sql};
use crate::window::Journal;

/// How many journals are folded on PostgreSQL, the newest.
const FOLDED: u32 = 50;

impl Reader {
    /// Reads a whole file and checks it: pages, indices, references. May take seconds on a large catalog; the deadline
    /// is [`INTEGRITY_DEADLINE`]. A server looks after its own pages, and refuses dangling references: there the newest
    /// journals are folded and compared with the windows' rows.
    ///
    /// # Errors
    /// `Damaged` with what was found; or the disk.
    pub async fn integrity_check(&self) -> Result<(), CatalogError> {
        let found = match self.lines.link() {
            Link::Sqlite(_) => self.pages().await?,
            Link::Postgres(_) => self.journals().await?,
        };
        if found.is_empty() { Ok(()) } else { Err(CatalogError::Damaged(found)) }
    }

    async fn pages(&self) -> Result<Vec<String>, CatalogError> {
        let check = async {
            // Its own connection: one that outlives the deadline takes no place from other reads.
            let mut connection = self.lines.link().reader().await?;
            let pages: Vec<(String,)> = fetch(&mut connection, sql::INTEGRITY, &[]).await?;
            let dangling: Vec<(String, Option<i64>)> = fetch(&mut connection, sql::FOREIGN_KEYS, &[]).await?;
            let dangling = dangling.into_iter().map(|(table, row)| match row {
                Some(row) => format!("row {row} of {table} refers to nothing"),
                None => format!("a row of {table} refers to nothing"),
            });
            Ok(pages.into_iter().map(|(line,)| line).filter(|line| line != "ok").chain(dangling).collect())
        };
        match within("check itself", INTEGRITY_DEADLINE, check).await {
            Err(CatalogError::Database { source, .. }) if is_damage(&source) => Ok(vec![source.to_string()]),
            other => other,
        }
    }

    async fn journals(&self) -> Result<Vec<String>, CatalogError> {
        let rows: Vec<RawNewest> = self.all("check itself", sql::NEWEST_JOURNALS, &[FOLDED.into()]).await?;
        let journals = rows.chunk_by(|one, next| one.window_id == next.window_id);
        Ok(journals.filter_map(|rows| check(rows).err()).map(|error| error.to_string()).collect())
    }
}

/// One event of one of the newest windows, or a window that has none.
#[derive(sqlx::FromRow)]
struct RawNewest {
    window_id: String,
    verdict: Option<String>,
    restore_point: Option<i64>,
    number: Option<i64>,
    body: Option<String>,
}

/// The journal is whole, it folds, and the window's row says how it ended.
fn check(rows: &[RawNewest]) -> Result<(), CatalogError> {
    let Some(RawNewest { window_id: window, verdict, restore_point, .. }) = rows.first() else { return Ok(()) };
    let mut journal = Journal::default();
    for (index, row) in rows.iter().enumerate() {
        // A slot that was missed or skipped.
        let (Some(number), Some(body)) = (row.number, &row.body) else { return Ok(()) };
        whole(window, index, number)?;
        let (event, number) = (parse(window, number, body)?, journal.next);
        journal.apply(&event).map_err(|source| CatalogError::Illegal { window: window.clone(), number, source })?;
    }
    let folded = WindowRow::of(&journal);
    let ended = folded.as_ref().and_then(|row| row.verdict).map(|verdict| verdict.name());
    let point = folded.and_then(|row| row.restore_point).map(|point| point.as_microsecond());
    if (ended, point) == (verdict.as_deref(), *restore_point) {
        return Ok(());
    }
    Err(CatalogError::Row(format!("the row of window {window} is not what its journal says")))
}
