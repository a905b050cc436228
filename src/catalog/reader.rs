use super::append::quarter;
use super::error::{CatalogError, During};
use super::lines::{Lines, Value};
use super::link::Link;
use super::rows::{Entry, RawEvent, RawSlot, RawTotal, RawWindow, SlotRow, Total, WindowRow, instant, parse};
use super::{READ_DEADLINE, sql};
use crate::window::{Event, Journal};
use jiff::Timestamp;
use sqlx::FromRow;
use sqlx::any::AnyRow;
use std::time::Duration;

/// The catalog's queries, on connections of their own that cannot write: a hanging write does not hold them up.
/// Cheap to clone. [`crate::catalog::Catalog`] has them all too.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) lines: Lines,
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
    pub(super) fn new(link: Link) -> Self {
        Self { lines: Lines::new(link) }
    }

    pub(super) async fn end(&self) {
        self.lines.end().await;
    }

    /// What one statement finds.
    pub(super) async fn all<T>(
        &self,
        action: &'static str,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<T>, CatalogError>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        within(action, READ_DEADLINE, self.lines.ask(statement, values)).await
    }

    /// What one statement finds first.
    pub(super) async fn one<T>(
        &self,
        action: &'static str,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<T>, CatalogError>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        Ok(self.all(action, statement, values).await?.into_iter().next())
    }

    /// A number that a statement always has an answer to.
    pub(super) async fn number(
        &self,
        action: &'static str,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<i64, CatalogError> {
        let row: Option<(i64,)> = self.one(action, statement, values).await?;
        row.map(|(number,)| number).ok_or(sqlx::Error::RowNotFound).during(action)
    }

    /// The journals without a verdict, oldest first: what recovery takes up. One that cannot be read does not hold up
    /// the others.
    ///
    /// # Errors
    /// The disk.
    pub async fn open_windows(&self) -> Result<Vec<OpenWindow>, CatalogError> {
        let rows: Vec<(String, i64, String)> = self.all("list open windows", sql::OPEN_EVENTS, &[]).await?;
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
        let rows: Vec<RawEvent> = self.all("read a journal", sql::EVENTS, &[window.into()]).await?;
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
        let statement = if group.is_some() { sql::HISTORY_OF_GROUP } else { sql::HISTORY };
        let values: Vec<Value<'_>> = [limit.into()].into_iter().chain(group.map(Value::from)).collect();
        let rows: Vec<RawWindow> = self.all("list windows", statement, &values).await?;
        rows.into_iter().map(WindowRow::try_from).collect()
    }

    /// One window by its name.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn window(&self, window: &str) -> Result<Option<WindowRow>, CatalogError> {
        let row: Option<RawWindow> = self.one("read a window", sql::WINDOW, &[window.into()]).await?;
        row.map(WindowRow::try_from).transpose()
    }

    /// Slots of the group that are planned or running, oldest first: what the daemon looks at when it starts.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn unfinished_slots(&self, group: &str) -> Result<Vec<SlotRow>, CatalogError> {
        let rows: Vec<RawSlot> = self.all("list slots", sql::UNFINISHED_SLOTS, &[group.into()]).await?;
        rows.into_iter().map(SlotRow::try_from).collect()
    }

    /// The group's latest slot up to an instant, whatever its state.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn last_slot(&self, group: &str, until: Timestamp) -> Result<Option<SlotRow>, CatalogError> {
        let values = [group.into(), until.as_microsecond().into()];
        let row: Option<RawSlot> = self.one("read a slot", sql::LAST_SLOT, &values).await?;
        row.map(SlotRow::try_from).transpose()
    }

    /// The group's newest restore point.
    ///
    /// # Errors
    /// The disk.
    pub async fn last_consistent(&self, group: &str) -> Result<Option<Timestamp>, CatalogError> {
        let action = "read the last restore point";
        let row: Option<(Option<i64>,)> = self.one(action, sql::LAST_POINT, &[group.into()]).await?;
        row.and_then(|(point,)| point).map(instant).transpose()
    }

    /// How many windows of the group were discarded since its last consistent one; a person's pauses are no windows.
    ///
    /// # Errors
    /// The disk.
    pub async fn discarded_in_a_row(&self, group: &str) -> Result<usize, CatalogError> {
        let count = self.number("count discarded windows", sql::DISCARDED_IN_A_ROW, &[group.into()]).await?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// How many windows ended how, since the catalog was made.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn totals(&self) -> Result<Vec<Total>, CatalogError> {
        let rows: Vec<RawTotal> = self.all("count windows", sql::TOTALS, &[]).await?;
        rows.into_iter().map(Total::try_from).collect()
    }

    /// How long the group's members were closed in windows that began since an instant, to the quarter of an hour; none:
    /// since the catalog was made. Whatever became of those windows, and whoever asked for them.
    ///
    /// # Errors
    /// The disk.
    pub async fn closed(&self, group: &str, since: Option<Timestamp>) -> Result<Duration, CatalogError> {
        let since = since.map_or(i64::MIN, quarter);
        let microseconds = self.number("add up the time closed", sql::CLOSED, &[group.into(), since.into()]).await?;
        Ok(Duration::from_micros(microseconds.unsigned_abs()))
    }

    /// The catalog's size in bytes, a file's write-ahead log not counted.
    ///
    /// # Errors
    /// The disk, or the server.
    pub async fn size_bytes(&self) -> Result<u64, CatalogError> {
        Ok(self.number("tell its size", self.lines.link().size(), &[]).await?.unsigned_abs())
    }

    pub(super) async fn first_seen(&self, group: &str) -> Result<Option<Timestamp>, CatalogError> {
        let row: Option<(i64,)> = self.one("read a group", sql::GROUP_SEEN, &[group.into()]).await?;
        row.map(|(seen,)| instant(seen)).transpose()
    }
}

pub(super) async fn within<T>(
    action: &'static str,
    deadline: Duration,
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, CatalogError> {
    match tokio::time::timeout(deadline, query).await {
        Err(_) => Err(CatalogError::Stalled { action, after: deadline }),
        Ok(Err(sqlx::Error::PoolClosed)) => Err(CatalogError::Closed),
        Ok(result) => result.during(action),
    }
}

/// The journal has no gap before this event.
pub(super) fn whole(window: &str, expected: usize, number: i64) -> Result<(), CatalogError> {
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
