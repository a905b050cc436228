use super::append::quarter;
use super::error::{CatalogError, During};
use super::rows::{Entry, RawEvent, RawSlot, RawTotal, RawWindow, SlotRow, Total, WindowRow, instant, parse};
use super::{INTEGRITY_DEADLINE, READ_DEADLINE, sql, writer};
use crate::window::{Event, Journal};
use jiff::Timestamp;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Reads at one time; more wait, with their deadline.
const CONNECTIONS: u32 = 4;

/// The catalog's queries, on connections of their own that cannot write: a hanging write does not hold them up.
/// Cheap to clone. [`crate::catalog::Catalog`] has them all too.
#[derive(Debug, Clone)]
pub struct Reader {
    path: PathBuf,
    pub(super) pool: SqlitePool,
}

/// A window without a verdict, as recovery finds it.
#[derive(Debug)]
pub struct OpenWindow {
    pub window: String,
    /// Its journal, up to the first event that cannot be read or does not follow the ones before it.
    pub events: Vec<Event>,
    /// Why the journal ends there; none: it is whole.
    pub damage: Option<CatalogError>,
    fold: Journal,
}

impl OpenWindow {
    fn new(window: String) -> Self {
        Self { window, events: Vec::new(), damage: None, fold: Journal::default() }
    }

    /// What the readable part says.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.fold
    }

    fn take(&mut self, number: i64, body: &str) {
        if self.damage.is_none() {
            match self.read(number, body) {
                Ok(event) => self.events.push(event),
                Err(damage) => self.damage = Some(damage),
            }
        }
    }

    fn read(&mut self, number: i64, body: &str) -> Result<Event, CatalogError> {
        whole(&self.window, self.events.len(), number)?;
        let event = parse(&self.window, number, body)?;
        let number = self.fold.next;
        let illegal = |source| CatalogError::Illegal { window: self.window.clone(), number, source };
        self.fold.apply(&event).map_err(illegal)?;
        Ok(event)
    }
}

impl Reader {
    pub(super) fn new(path: &Path) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(READ_DEADLINE)
            .connect_lazy_with(writer::plain(path).read_only(true));
        Self { path: path.to_path_buf(), pool }
    }

    /// Where the file really is, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn end(&self) {
        self.pool.close().await;
    }

    /// The journals without a verdict, oldest first: what recovery takes up. One that cannot be read does not hold up
    /// the others.
    ///
    /// # Errors
    /// The disk.
    pub async fn open_windows(&self) -> Result<Vec<OpenWindow>, CatalogError> {
        let query = sqlx::query_as(sql::OPEN_EVENTS).fetch_all(&self.pool);
        let rows: Vec<(String, i64, String)> = within("list open windows", READ_DEADLINE, query).await?;
        let mut windows: Vec<OpenWindow> = Vec::new();
        for (window, number, body) in rows {
            if windows.last().is_none_or(|last| last.window != window) {
                windows.push(OpenWindow::new(window));
            }
            if let Some(last) = windows.last_mut() {
                last.take(number, &body);
            }
        }
        Ok(windows)
    }

    /// A window's journal; empty, if there is no such window or its slot was missed.
    ///
    /// # Errors
    /// The disk, or an event that cannot be read.
    pub async fn journal(&self, window: &str) -> Result<Vec<Entry>, CatalogError> {
        let query = sqlx::query_as(sql::EVENTS).bind(window).fetch_all(&self.pool);
        let rows: Vec<RawEvent> = within("read a journal", READ_DEADLINE, query).await?;
        let mut entries = Vec::with_capacity(rows.len());
        for (index, row) in rows.into_iter().enumerate() {
            whole(window, index, row.number)?;
            entries.push(row.entry(window)?);
        }
        folds(window, entries.iter().map(|entry| &entry.event))?;
        Ok(entries)
    }

    /// Windows and missed slots of one group or all, newest first, `limit` at most.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn history(&self, group: Option<&str>, limit: u32) -> Result<Vec<WindowRow>, CatalogError> {
        let query = sqlx::query_as::<_, RawWindow>(if group.is_some() { sql::HISTORY_OF_GROUP } else { sql::HISTORY })
            .bind(i64::from(limit));
        let query = match group {
            Some(group) => query.bind(group),
            None => query,
        };
        let rows = within("list windows", READ_DEADLINE, query.fetch_all(&self.pool)).await?;
        rows.into_iter().map(WindowRow::try_from).collect()
    }

    /// One window by its name.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn window(&self, window: &str) -> Result<Option<WindowRow>, CatalogError> {
        let query = sqlx::query_as::<_, RawWindow>(sql::WINDOW).bind(window).fetch_optional(&self.pool);
        within("read a window", READ_DEADLINE, query).await?.map(WindowRow::try_from).transpose()
    }

    /// Slots of the group that are planned or running, oldest first: what the daemon looks at when it starts.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn unfinished_slots(&self, group: &str) -> Result<Vec<SlotRow>, CatalogError> {
        let query = sqlx::query_as::<_, RawSlot>(sql::UNFINISHED_SLOTS).bind(group).fetch_all(&self.pool);
        within("list slots", READ_DEADLINE, query).await?.into_iter().map(SlotRow::try_from).collect()
    }

    /// The group's latest slot up to an instant, whatever its state.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn last_slot(&self, group: &str, until: Timestamp) -> Result<Option<SlotRow>, CatalogError> {
        let query = sqlx::query_as::<_, RawSlot>(sql::LAST_SLOT).bind(group).bind(until.as_microsecond());
        let query = query.fetch_optional(&self.pool);
        within("read a slot", READ_DEADLINE, query).await?.map(SlotRow::try_from).transpose()
    }

    /// The schedule that the group's slots were last planned by; none: none since it last had no schedule.
    ///
    /// # Errors
    /// The disk.
    pub async fn planned_by(&self, group: &str) -> Result<Option<String>, CatalogError> {
        let query = sqlx::query_scalar(sql::PLANNED_BY).bind(group).fetch_optional(&self.pool);
        within("read a schedule", READ_DEADLINE, query).await
    }

    /// The group's newest restore point.
    ///
    /// # Errors
    /// The disk.
    pub async fn last_consistent(&self, group: &str) -> Result<Option<Timestamp>, CatalogError> {
        let query = sqlx::query_scalar::<_, Option<i64>>(sql::LAST_POINT).bind(group).fetch_one(&self.pool);
        within("read the last restore point", READ_DEADLINE, query).await?.map(instant).transpose()
    }

    /// How many windows of the group were discarded since its last consistent one; a person's pauses are no windows.
    ///
    /// # Errors
    /// The disk.
    pub async fn discarded_in_a_row(&self, group: &str) -> Result<usize, CatalogError> {
        let query = sqlx::query_scalar::<_, i64>(sql::DISCARDED_IN_A_ROW).bind(group).fetch_one(&self.pool);
        let count = within("count discarded windows", READ_DEADLINE, query).await?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// How many windows ended how, since the catalog was made.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn totals(&self) -> Result<Vec<Total>, CatalogError> {
        let query = sqlx::query_as::<_, RawTotal>(sql::TOTALS).fetch_all(&self.pool);
        within("count windows", READ_DEADLINE, query).await?.into_iter().map(Total::try_from).collect()
    }

    /// How long the group's members were closed in windows that began since an instant, to the quarter of an hour; none:
    /// since the catalog was made. Whatever became of those windows, and whoever asked for them.
    ///
    /// # Errors
    /// The disk.
    pub async fn closed(&self, group: &str, since: Option<Timestamp>) -> Result<Duration, CatalogError> {
        let since = since.map_or(i64::MIN, quarter);
        let query = sqlx::query_scalar::<_, i64>(sql::CLOSED).bind(group).bind(since).fetch_one(&self.pool);
        let microseconds = within("add up the time closed", READ_DEADLINE, query).await?;
        Ok(Duration::from_micros(microseconds.unsigned_abs()))
    }

    /// The database's size in bytes, its write-ahead log not counted.
    ///
    /// # Errors
    /// The disk.
    pub async fn size_bytes(&self) -> Result<u64, CatalogError> {
        let size = async {
            let mut connection = self.pool.acquire().await?;
            let pages: i64 = sqlx::query_scalar(sql::PAGE_COUNT).fetch_one(&mut *connection).await?;
            let page: i64 = sqlx::query_scalar(sql::PAGE_SIZE).fetch_one(&mut *connection).await?;
            Ok(pages.unsigned_abs() * page.unsigned_abs())
        };
        within("tell its size", READ_DEADLINE, size).await
    }

    /// Reads the whole file and checks it: pages, indices, references. May take seconds on a large catalog; the
    /// deadline is [`INTEGRITY_DEADLINE`].
    ///
    /// # Errors
    /// `Damaged` with what was found; or the disk.
    pub async fn integrity_check(&self) -> Result<(), CatalogError> {
        let check = async {
            // Its own connection: one that outlives the deadline takes no place from other reads.
            let mut connection = writer::plain(&self.path).read_only(true).connect().await?;
            let pages: Vec<String> = sqlx::query_scalar(sql::INTEGRITY).fetch_all(&mut connection).await?;
            let dangling: Vec<(String, Option<i64>)> =
                sqlx::query_as(sql::FOREIGN_KEYS).fetch_all(&mut connection).await?;
            let dangling = dangling.into_iter().map(|(table, row)| match row {
                Some(row) => format!("row {row} of {table} refers to nothing"),
                None => format!("a row of {table} refers to nothing"),
            });
            Ok(pages.into_iter().filter(|line| line != "ok").chain(dangling).collect::<Vec<_>>())
        };
        let found = match within("check itself", INTEGRITY_DEADLINE, check).await {
            Err(CatalogError::Database { source, .. }) if super::is_damage(&source) => vec![source.to_string()],
            other => other?,
        };
        if found.is_empty() { Ok(()) } else { Err(CatalogError::Damaged(found)) }
    }

    pub(super) async fn first_seen(&self, group: &str) -> Result<Option<Timestamp>, CatalogError> {
        let query = sqlx::query_scalar::<_, i64>(sql::GROUP_SEEN).bind(group).fetch_optional(&self.pool);
        within("read a group", READ_DEADLINE, query).await?.map(instant).transpose()
    }
}

pub(super) async fn within<T>(
    action: &'static str,
    deadline: Duration,
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, CatalogError> {
    match tokio::time::timeout(deadline, query).await {
        Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => Err(CatalogError::Stalled { action, after: deadline }),
        Ok(Err(sqlx::Error::PoolClosed)) => Err(CatalogError::Closed),
        Ok(result) => result.during(action),
    }
}

/// The journal has no gap before this event.
fn whole(window: &str, expected: usize, number: i64) -> Result<(), CatalogError> {
    let expected = u32::try_from(expected).unwrap_or(u32::MAX);
    if i64::from(expected) == number {
        return Ok(());
    }
    Err(CatalogError::Lacks { window: window.to_owned(), number: expected })
}

fn folds<'a>(window: &str, events: impl Iterator<Item = &'a Event>) -> Result<(), CatalogError> {
    let mut journal = Journal::default();
    for event in events {
        let number = journal.next;
        journal.apply(event).map_err(|source| CatalogError::Illegal { window: window.to_owned(), number, source })?;
    }
    Ok(())
}
