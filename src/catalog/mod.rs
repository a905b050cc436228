//! The durable record on SQLite or PostgreSQL: journals, their projection, slots, restore points' tracks, and what
//! metrics are counted from.
//!
//! One process writes, through one connection; every write is one transaction, fenced by the claim of the last opening,
//! and on the disk (WAL, `synchronous=FULL`; a synchronous commit) before it is acknowledged. A file is locked besides.
//! Reads go through other connections. Nothing here ever blocks a thread of the runtime, and nothing waits without
//! a deadline. Instants are stored as microseconds UTC in columns, and to the nanosecond in the events' JSON.
//! What the two databases do not share is in `link.rs`; every other statement is one for both.

mod append;
mod error;
mod files;
mod integrity;
mod lease;
mod lines;
mod link;
mod opening;
mod outbox;
mod prune;
mod reader;
mod rows;
mod slots;
mod sql;
mod tracked;
mod tracking;
mod writer;

pub use error::{AppendError, CatalogError, OpenError, Unfit};
pub use lease::{LeaseRow, Taken};
pub use outbox::{Listener, Waiting};
pub use prune::{Pruned, Stale};
pub use reader::{OpenWindow, Reader};
pub use rows::{Entry, SlotRow, SlotState, Total, WindowRow};
pub use tracked::{Known, Materialized, Point};

use crate::window::{APPEND_DEADLINE, Event};
use error::During;
use jiff::Timestamp;
use outbox::Outbox;
use std::sync::Arc;
use std::time::Duration;
use writer::Writer;

/// How long opening may take, migrations included.
pub const OPEN_DEADLINE: Duration = Duration::from_secs(30);
/// How long a query may take.
pub const READ_DEADLINE: Duration = Duration::from_secs(5);
/// How long a change other than an append may take; an append has [`APPEND_DEADLINE`].
pub const CHANGE_DEADLINE: Duration = Duration::from_secs(5);
/// How long [`Reader::integrity_check`] may take.
pub const INTEGRITY_DEADLINE: Duration = Duration::from_secs(120);

/// The catalog of the one process that may write it. Cheap to clone; a file's lock is freed after the last clone is
/// dropped, once nothing of it can write any more, or by [`Catalog::close`]. Dropping it waits for nothing.
#[derive(Debug, Clone)]
pub struct Catalog {
    reader: Reader,
    writer: Writer,
    identity: Arc<str>,
    outbox: Outbox,
}

impl std::ops::Deref for Catalog {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl Catalog {
    /// The leader's epoch that every write of this process carries; the next opening's is greater.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.writer.epoch()
    }

    /// What tells this catalog from every other; the same as long as there is the file, or the database.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Makes one event durable, and the window's row with it. Repeating it is harmless: the same event again at its
    /// number is `Ok`.
    ///
    /// Appends run one after another, in the order of calling. When the deadline passes or the future is dropped, one
    /// that was begun still runs to its end (it may land), one that was not is left out.
    ///
    /// # Errors
    /// See [`AppendError`]; within [`APPEND_DEADLINE`].
    pub async fn append(&self, window: &str, number: u32, event: &Event) -> Result<(), AppendError> {
        let append = append::Append {
            epoch: self.epoch(),
            window: window.to_owned(),
            number,
            event: event.clone(),
            at: crate::clock::wall(),
            outbox: self.outbox.clone(),
        };
        let body: writer::Body<(), AppendError> = Box::new(|connection| Box::pin(append.run(connection)));
        let appended = self.writer.run("append", APPEND_DEADLINE, body).await;
        // Nothing else of a window is told.
        if matches!(event, Event::Refused { .. } | Event::Verdict { .. }) {
            self.outbox.wake();
        }
        appended
    }

    /// When the group was first seen by this catalog: `now`, if it was never seen before. Stored once.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn group_seen(&self, group: &str, now: Timestamp) -> Result<Timestamp, CatalogError> {
        if let Some(seen) = self.reader.first_seen(group).await? {
            return Ok(seen);
        }
        let name = group.to_owned();
        let body: writer::Body<i64, CatalogError> = Box::new(move |connection| {
            Box::pin(async move {
                sqlx::query(sql::SEE_GROUP)
                    .bind(&name)
                    .bind(now.as_microsecond())
                    .execute(&mut *connection)
                    .await
                    .during("see a group")?;
                sqlx::query_scalar(sql::GROUP_SEEN).bind(name).fetch_one(connection).await.during("see a group")
            })
        });
        rows::instant(self.writer.run("see a group", CHANGE_DEADLINE, body).await?)
    }

    /// Waits until whatever was being written before has landed, or never will.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn settled(&self) -> Result<(), CatalogError> {
        self.change("wait for what is being written", Box::new(|_| Box::pin(async { Ok(()) }))).await
    }

    async fn change<T: Send + 'static>(
        &self,
        action: &'static str,
        body: writer::Body<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        self.writer.run(action, CHANGE_DEADLINE, body).await
    }

    /// Ends the catalog in good order: what waits is written, the log is written back, the lock is free afterwards.
    ///
    /// # Errors
    /// `Stalled`, when the disk hangs: it then ends by itself whenever it can.
    pub async fn close(&self) -> Result<(), CatalogError> {
        let ending = tokio::time::timeout(CHANGE_DEADLINE, self.reader.end());
        if ending.await.is_err() {
            return Err(CatalogError::Stalled { action: "close", after: CHANGE_DEADLINE });
        }
        self.writer.close(CHANGE_DEADLINE).await
    }
}
