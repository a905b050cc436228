//! The durable record on SQLite: journals, their projection, slots, restore points' tracks, and what metrics are
//! counted from.
//!
//! One process owns a catalog (a lock beside the file) and writes through one connection; every write is one
//! transaction, fenced by the leader's epoch and on the disk (WAL, `synchronous=FULL`) before it is acknowledged.
//! Reads go through other connections. Nothing here ever blocks a thread of the runtime, and nothing waits without
//! a deadline. Instants are stored as microseconds UTC in columns, and to the nanosecond in the events' JSON.

mod append;
mod error;
mod files;
mod outbox;
mod prune;
mod reader;
mod rows;
mod slots;
mod sql;
mod tracked;
mod tracking;
mod writer;

pub use error::{AppendError, CatalogError, OpenError};
pub use outbox::{Listener, Waiting};
pub use prune::{Pruned, Stale};
pub use reader::{OpenWindow, Reader};
pub use rows::{Entry, SlotRow, SlotState, Total, WindowRow};
pub use tracked::{Known, Materialized, Point};

use crate::window::{APPEND_DEADLINE, Event};
use error::During;
use jiff::Timestamp;
use outbox::Outbox;
use sqlx::ConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::SqliteConnection;
use std::path::{Path, PathBuf};
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

/// Marks a file as ours ("STLP"); set by the first migration.
const APPLICATION_ID: i64 = 0x5354_4C50;

static MIGRATIONS: Migrator = sqlx::migrate!("src/catalog/migrations");

/// The catalog of the one process that may write it. Cheap to clone; the lock is freed after the last clone is
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
    /// Takes the catalog for this process: checks the filesystem, locks, creates or migrates, and takes the next
    /// epoch. Needs a tokio runtime, which it leaves a task on.
    ///
    /// # Errors
    /// See [`OpenError`]; within [`OPEN_DEADLINE`].
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        bounded(path, async {
            let asked = path.to_path_buf();
            let (path, lock) = apart(path, move || files::claim(&asked)).await?;
            let mut connection = writer::plain(&path).connect().await.map_err(|error| opening(&path, error))?;
            version(&path, &mut connection).await?;
            writer::harden(&mut connection).await.map_err(|error| opening(&path, error))?;
            writer::durable(&path, &mut connection).await?;
            MIGRATIONS.run(&mut connection).await.map_err(|error| migrating(&path, error))?;
            let (epoch, identity) = next_epoch(&mut connection).await.map_err(|error| opening(&path, error))?;
            let reader = Reader::new(&path);
            let identity: Arc<str> = identity.into();
            let outbox = Outbox::new(identity.clone());
            Ok(Self { reader, writer: Writer::start(path, connection, epoch, lock), identity, outbox })
        })
        .await
    }

    /// Opens the catalog for queries only, beside a running daemon or without one. Takes no lock, changes nothing.
    ///
    /// # Errors
    /// See [`OpenError`]; within [`OPEN_DEADLINE`].
    pub async fn read(path: &Path) -> Result<Reader, OpenError> {
        bounded(path, async {
            let asked = path.to_path_buf();
            let path = apart(path, move || {
                let place = files::place(&asked)?;
                if place.exists() { Ok(place) } else { Err(OpenError::NoCatalog(place)) }
            })
            .await?;
            let mut connection =
                writer::plain(&path).read_only(true).connect().await.map_err(|error| opening(&path, error))?;
            match version(&path, &mut connection).await? {
                None => Err(OpenError::NoCatalog(path)),
                Some(found) if found < known() => Err(OpenError::Older { path, found }),
                Some(_) => Ok(Reader::new(&path)),
            }
        })
        .await
    }

    /// The leader's epoch that every write of this process carries; the next opening's is greater.
    #[must_use]
    pub const fn epoch(&self) -> i64 {
        self.writer.epoch()
    }

    /// What tells this catalog from every other; the same as long as there is the file.
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

async fn bounded<T>(path: &Path, opening: impl Future<Output = Result<T, OpenError>>) -> Result<T, OpenError> {
    let stalled = |_| OpenError::Stalled { path: path.to_path_buf(), after: OPEN_DEADLINE };
    tokio::time::timeout(OPEN_DEADLINE, opening).await.map_err(stalled)?
}

/// Runs blocking work on a thread of its own: one of the runtime's would hold up the process's end on a dead disk.
async fn apart<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    let failed = |source| OpenError::File { action: "start a thread to open", path: path.to_path_buf(), source };
    std::thread::Builder::new()
        .name("catalog-open".into())
        .spawn(move || {
            let _ = reply.send(work());
        })
        .map_err(failed)?;
    answer.await.unwrap_or_else(|_| Err(failed(std::io::Error::other("the thread died"))))
}

/// The schema's version; none for an empty file. Refuses what is not ours, and what is newer than this program.
async fn version(path: &Path, connection: &mut SqliteConnection) -> Result<Option<i64>, OpenError> {
    let failed = |error| opening(path, error);
    let id: i64 = sqlx::query_scalar(sql::APPLICATION_ID).fetch_one(&mut *connection).await.map_err(failed)?;
    let tables: i64 = sqlx::query_scalar(sql::FOREIGN_TABLES).fetch_one(&mut *connection).await.map_err(failed)?;
    match (id, tables) {
        (APPLICATION_ID, _) => {}
        (0, 0) => return Ok(None),
        _ => return Err(OpenError::NotOurs(path.to_path_buf())),
    }
    let found: Option<i64> = sqlx::query_scalar(sql::APPLIED).fetch_one(connection).await.map_err(failed)?;
    match found {
        Some(found) if found > known() => Err(OpenError::Newer { path: path.to_path_buf(), found, known: known() }),
        found => Ok(found),
    }
}

fn known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// The next epoch, and the catalog's identity. In an explicit transaction, so that the commit's own failure is seen.
async fn next_epoch(connection: &mut SqliteConnection) -> Result<(i64, String), sqlx::Error> {
    sqlx::query(sql::BEGIN).execute(&mut *connection).await?;
    let leader = sqlx::query_as(sql::NEXT_EPOCH).fetch_one(&mut *connection).await?;
    sqlx::query(sql::COMMIT).execute(connection).await?;
    Ok(leader)
}

fn opening(path: &Path, source: sqlx::Error) -> OpenError {
    let path: PathBuf = path.to_path_buf();
    match primary_code(&source) {
        Some(NOT_A_DATABASE) => OpenError::NotSqlite(path),
        Some(CORRUPT) => OpenError::Corrupt { path, source },
        _ => OpenError::Database { path, source },
    }
}

fn migrating(path: &Path, source: MigrateError) -> OpenError {
    match source {
        MigrateError::VersionMissing(found) => OpenError::Newer { path: path.to_path_buf(), found, known: known() },
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => opening(path, source),
        source => OpenError::Migrate { path: path.to_path_buf(), source },
    }
}

const CORRUPT: i32 = 11;
const NOT_A_DATABASE: i32 = 26;

/// SQLite's result code without the extension in its upper bits.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xFF)
}

fn is_damage(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(CORRUPT | NOT_A_DATABASE))
}
