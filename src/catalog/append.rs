//! One event into a journal, and its projection, in one transaction.

use super::error::{AppendError, CatalogError, During};
use super::outbox::Outbox;
use super::rows::{RawEvent, WindowRow, parse, phase_name};
use super::sql;
use crate::domain::{Notice, Trigger, Verdict};
use crate::notify::Happening;
use crate::tracking::track::Track;
use crate::window::{Event, Journal, Report};
use jiff::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe};

const ACTION: &str = "append";

/// What is to be appended, and by whom.
pub(super) struct Append {
    pub(super) epoch: i64,
    pub(super) window: String,
    pub(super) number: u32,
    pub(super) event: Event,
    pub(super) at: Timestamp,
    pub(super) outbox: Outbox,
}

impl Append {
    /// The projection is computed from the fold, never from the event alone: `windows` cannot drift from the journals.
    pub(super) async fn run(self, connection: &mut AnyConnection) -> Result<(), AppendError> {
        let before = self.stored(connection).await?;
        let next = u32::try_from(before.len()).unwrap_or(u32::MAX);
        if let Some(stored) = usize::try_from(self.number).ok().and_then(|number| before.get(number)) {
            return if *stored == self.event { Ok(()) } else { Err(self.conflict(stored)) };
        }
        if self.number != next {
            return Err(AppendError::OutOfOrder { window: self.window, number: self.number, next });
        }
        let (journal, row) = self.fold(&before)?;
        save(connection, &row).await?;
        self.insert(connection).await?;
        if row.verdict.is_some() {
            count(connection, &row).await?;
            count_closed(connection, &row).await?;
            self.follow(connection, &row).await?;
            self.tell(connection, &journal).await?;
        }
        Ok(())
    }

    /// What becomes of the captures: a restore point is followed in each captured store, else they serve no one.
    async fn follow(&self, connection: &mut AnyConnection, row: &WindowRow) -> Result<(), CatalogError> {
        let Some(point) = row.restore_point else {
            sqlx::query(sql::DELETE_CAPTURES).bind(&row.window).execute(connection).await.during(ACTION)?;
            return Ok(());
        };
        let stores: Vec<String> = sqlx::query_scalar(sql::CAPTURED_STORES)
            .bind(&row.window)
            .fetch_all(&mut *connection)
            .await
            .during(ACTION)?;
        if stores.is_empty() {
            return Ok(());
        }
        let statement = format!("{}{}", sql::INSERT_TRACKS, sql::rows(stores.len(), 8));
        let mut insert = sqlx::query(AssertSqlSafe(statement)).persistent(false);
        for store in stores {
            let track = Track::new(row.window.clone(), row.group.clone(), store, point);
            let body = json(&track)?;
            insert = insert
                .bind(track.window)
                .bind(track.store)
                .bind(track.group)
                .bind(point.as_microsecond())
                .bind(track.state.name())
                .bind(self.at.as_microsecond())
                .bind(self.epoch)
                .bind(body);
        }
        insert.execute(connection).await.during(ACTION)?;
        Ok(())
    }

    /// A pause by hand that ends is no window that anybody waits for.
    async fn tell(&self, connection: &mut AnyConnection, journal: &Journal) -> Result<(), CatalogError> {
        let by_hand = journal.plan.as_ref().is_none_or(|plan| plan.trigger == Trigger::Hand);
        if by_hand || self.outbox.is_empty() {
            return Ok(());
        }
        let Some(report) = Report::of(journal) else { return Ok(()) };
        let notice = match report.verdict {
            Verdict::Consistent => Notice::WindowConsistent,
            Verdict::Discarded => Notice::WindowDiscarded,
            Verdict::Refused => Notice::WindowRefused,
            Verdict::Missed => Notice::SlotMissed,
            // It was to be so.
            Verdict::Skipped => return Ok(()),
        };
        self.outbox.put(connection, self.epoch, &happening(notice, &report, self.at)?).await
    }

    async fn stored(&self, connection: &mut AnyConnection) -> Result<Vec<Event>, CatalogError> {
        let rows: Vec<RawEvent> =
            sqlx::query_as(sql::EVENTS).bind(&self.window).fetch_all(connection).await.during(ACTION)?;
        let mut events = Vec::with_capacity(rows.len());
        for (number, row) in (0u32..).zip(rows) {
            if row.number != i64::from(number) {
                return Err(CatalogError::Lacks { window: self.window.clone(), number });
            }
            events.push(parse(&self.window, row.number, &row.body)?);
        }
        Ok(events)
    }

    fn conflict(&self, stored: &Event) -> AppendError {
        AppendError::Conflict { window: self.window.clone(), number: self.number, stored: Box::new(stored.clone()) }
    }

    fn fold(&self, before: &[Event]) -> Result<(Journal, WindowRow), AppendError> {
        let illegal = |source| AppendError::Illegal { window: self.window.clone(), number: self.number, source };
        let mut journal = Journal::fold(before).map_err(illegal)?;
        journal.apply(&self.event).map_err(illegal)?;
        let row = WindowRow::of(&journal)
            .ok_or_else(|| CatalogError::Row(format!("the journal of window {} has no plan", self.window)))?;
        if row.window == self.window {
            Ok((journal, row))
        } else {
            Err(AppendError::WrongWindow { window: self.window.clone(), planned: row.window })
        }
    }

    async fn insert(&self, connection: &mut AnyConnection) -> Result<(), CatalogError> {
        sqlx::query(sql::INSERT_EVENT)
            .bind(&self.window)
            .bind(i64::from(self.number))
            .bind(self.epoch)
            .bind(self.at.as_microsecond())
            .bind(self.event.name())
            .bind(json(&self.event)?)
            .execute(connection)
            .await
            .during(ACTION)?;
        Ok(())
    }
}

/// The end of a window, or of a slot without one, as others are told of it.
pub(super) fn happening(notice: Notice, report: &Report, at: Timestamp) -> Result<Happening, CatalogError> {
    let (group, window) = (report.group.clone(), report.window.clone());
    Ok(Happening { notice, group, window, store: None, at, data: value(report)? })
}

/// Writes a window's row, new or changed.
pub(super) async fn save(connection: &mut AnyConnection, row: &WindowRow) -> Result<(), CatalogError> {
    let micros = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    sqlx::query(sql::UPSERT_WINDOW)
        .bind(&row.window)
        .bind(&row.group)
        .bind(row.trigger.name())
        .bind(micros(row.slot))
        .bind(row.started.as_microsecond())
        .bind(phase_name(row.phase))
        .bind(row.verdict.map(|verdict| verdict.name()))
        .bind(json(&row.reasons)?)
        .bind(row.evidence.map(|evidence| evidence.name()))
        .bind(micros(row.pause_completed))
        .bind(micros(row.unpause_started))
        .bind(micros(row.restore_point))
        .bind(row.closed.map(|closed| i64::try_from(closed.as_micros()).unwrap_or(i64::MAX)))
        .bind(i64::from(row.members))
        .execute(connection)
        .await
        .during(ACTION)?;
    Ok(())
}

/// Counts a window that ended; runs once for each, in the transaction that ends it. A person's pause is none: metrics
/// go on from these totals, and it would be a failure that nobody had after each restart.
pub(super) async fn count(connection: &mut AnyConnection, row: &WindowRow) -> Result<(), CatalogError> {
    if row.trigger == Trigger::Hand {
        return Ok(());
    }
    sqlx::query(sql::COUNT_WINDOW)
        .bind(&row.group)
        .bind(row.verdict.map(|verdict| verdict.name()))
        .bind(row.reason_code())
        .execute(connection)
        .await
        .during(ACTION)?;
    Ok(())
}

pub(super) fn value<T: serde::Serialize>(value: &T) -> Result<serde_json::Value, CatalogError> {
    serde_json::to_value(value).map_err(|error| CatalogError::Row(error.to_string()))
}

/// Counts how long the members were closed, whatever the verdict and whoever asked.
async fn count_closed(connection: &mut AnyConnection, row: &WindowRow) -> Result<(), CatalogError> {
    let Some(closed) = row.closed else { return Ok(()) };
    sqlx::query(sql::COUNT_CLOSED)
        .bind(&row.group)
        .bind(quarter(row.started))
        .bind(i64::try_from(closed.as_micros()).unwrap_or(i64::MAX))
        .execute(connection)
        .await
        .during(ACTION)?;
    Ok(())
}

/// The quarter of an hour of an instant.
pub(super) fn quarter(at: Timestamp) -> i64 {
    at.as_second().div_euclid(900)
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, CatalogError> {
    serde_json::to_string(value).map_err(|error| CatalogError::Row(error.to_string()))
}
