use crate::config::CatalogPlace;
use crate::window::{Event, Illegal};
use sqlx::sqlite::SqliteError;
use std::path::PathBuf;
use std::time::Duration;

/// Why the catalog was not opened. Nothing is changed by a refused opening, and nothing is locked after it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the catalog's directory {} does not exist", .0.display())]
    NoDirectory(PathBuf),
    #[error("no catalog at {0}")]
    NoCatalog(CatalogPlace),
    #[error("the catalog {} is on {kind}, where its locks and fsync cannot be relied on; use a local filesystem", .path.display())]
    NotLocal { path: PathBuf, kind: &'static str },
    /// `pid` is what the holder wrote into the lock file; none, if it had not done so yet.
    #[error("the catalog {} is in use by {}; end that stillpoint first", .path.display(), holder(*.pid))]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("cannot {action} {}", .path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{0} is not an SQLite database")]
    NotSqlite(CatalogPlace),
    #[error("{0} is another program's, not a catalog of stillpoint")]
    NotOurs(CatalogPlace),
    #[error("the catalog {place} is corrupt; restore it from a copy, or move it away to begin a new one")]
    Corrupt { place: CatalogPlace, source: sqlx::Error },
    #[error("the catalog {place} was made by a newer stillpoint (schema {found}, this one knows {known})")]
    Newer { place: CatalogPlace, found: i64, known: i64 },
    #[error("the catalog {place} was made by an older stillpoint (schema {found}); `stillpoint run` migrates it")]
    Older { place: CatalogPlace, found: i64 },
    #[error("cannot migrate the catalog {place}")]
    Migrate { place: CatalogPlace, source: sqlx::migrate::MigrateError },
    #[error("the catalog {place} cannot be relied on")]
    Unfit { place: CatalogPlace, source: Unfit },
    #[error("cannot open the catalog {place}")]
    Database { place: CatalogPlace, source: sqlx::Error },
    #[error("opening the catalog {place} took longer than {after:?}: its disk or its server hangs")]
    Stalled { place: CatalogPlace, after: Duration },
    #[error("the system gives no random name for the catalog {0}")]
    NoRandomness(CatalogPlace),
}

/// What keeps a database from being a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("it is not durable: journal_mode is {journal_mode}, synchronous is {synchronous}")]
    NotSynchronous { journal_mode: String, synchronous: i64 },
    #[error("fsync is off on the server: what it acknowledges does not survive a crash")]
    NoFsync,
    #[error("the server is a standby, which takes no writes; name the primary, or what always leads to it")]
    Standby,
    #[error("the server is PostgreSQL {version}; at least {oldest} is needed")]
    TooOld { version: i64, oldest: i64 },
    #[error("the database's encoding is {0}; make one with UTF8")]
    Encoding(String),
    #[error("no schema of the search_path exists")]
    NoSchema,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

/// Why a query or a change failed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The outcome of a change is unknown: it may still land. Repeat it.
    #[error("the catalog did not {action} within {after:?}: its disk or its server hangs")]
    Stalled { action: &'static str, after: Duration },
    /// Another process has taken the catalog over: this one may not write any more. The epochs are the same when a
    /// database lost the claim to the other one.
    #[error("another process has taken the catalog over: it is of epoch {current}, this one of epoch {epoch}")]
    Fenced { epoch: i64, current: i64 },
    /// The disk is full, fails, or is read-only; the server cannot be reached. The outcome of a change is unknown, if its
    /// commit failed.
    #[error("the catalog cannot {action}")]
    Database { action: &'static str, source: sqlx::Error },
    /// A connection that was made anew led to a server that the catalog cannot be on: a standby, say.
    #[error("the catalog cannot {action}")]
    Unfit { action: &'static str, source: Unfit },
    #[error("event {number} of window {window} cannot be read")]
    Unreadable { window: String, number: u32, source: serde_json::Error },
    #[error("the journal of window {window} does not fold at event {number}")]
    Illegal { window: String, number: u32, source: Illegal },
    #[error("the journal of window {window} lacks event {number}")]
    Lacks { window: String, number: u32 },
    #[error("a row of the catalog cannot be read: {0}")]
    Row(String),
    /// The body of a capture, track or copy: `what` names it.
    #[error("{what} cannot be read")]
    Body { what: String, source: serde_json::Error },
    #[error("there is no {0} to save")]
    Missing(String),
    #[error("{copy} is {stands} and cannot become {asked}")]
    Backwards { copy: String, stands: &'static str, asked: &'static str },
    #[error("window {0} has its verdict: nothing more is captured for it")]
    Ended(String),
    #[error("the catalog is damaged: {}", .0.join("; "))]
    Damaged(Vec<String>),
    #[error("the catalog is closed")]
    Closed,
}

/// Why an event was not appended. Only [`AppendError::Catalog`] leaves open whether it landed; the same append may
/// always be repeated.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another process has taken the catalog over.
    #[error("another process has taken the catalog over: it is of epoch {current}, this one of epoch {epoch}")]
    Fenced { epoch: i64, current: i64 },
    /// Another event stands at that number: `stored`.
    #[error("window {window} has another event {number}: {}", .stored.name())]
    Conflict { window: String, number: u32, stored: Box<Event> },
    #[error("event {number} of window {window} is not the next one, {next} is")]
    OutOfOrder { window: String, number: u32, next: u32 },
    #[error("event {number} of window {window} is against the journal")]
    Illegal { window: String, number: u32, source: Illegal },
    #[error("the plan of window {planned} was appended to window {window}")]
    WrongWindow { window: String, planned: String },
    #[error(transparent)]
    Catalog(CatalogError),
}

impl AppendError {
    /// Whether this process can never append it: the catalog is another's, or has gone back to before what it builds on
    /// (an asynchronous standby took over).
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Fenced { .. } | Self::Conflict { .. } | Self::OutOfOrder { .. } | Self::Illegal { .. })
    }

    /// Whether the event may have landed, or may still land.
    #[must_use]
    pub const fn outcome_unknown(&self) -> bool {
        matches!(self, Self::Catalog(CatalogError::Stalled { .. } | CatalogError::Database { .. }))
    }
}

impl From<CatalogError> for AppendError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Fenced { epoch, current } => Self::Fenced { epoch, current },
            other => Self::Catalog(other),
        }
    }
}

/// Gives a failed statement its action.
pub(super) trait During<T> {
    fn during(self, action: &'static str) -> Result<T, CatalogError>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, action: &'static str) -> Result<T, CatalogError> {
        self.map_err(|source| CatalogError::Database { action, source })
    }
}

impl<T> During<T> for Result<T, LinkError> {
    fn during(self, action: &'static str) -> Result<T, CatalogError> {
        self.map_err(|error| match error {
            LinkError::Database(source) => CatalogError::Database { action, source },
            LinkError::Unfit(source) => CatalogError::Unfit { action, source },
        })
    }
}

pub(super) const CORRUPT: i32 = 11;
pub(super) const NOT_A_DATABASE: i32 = 26;

/// SQLite's result code without the extension in its upper bits; none: it is not SQLite's.
pub(super) fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<SqliteError>()?;
    let code: i32 = error.code()?.parse().ok()?;
    Some(code & 0xFF)
}

pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(sqlite_code(error), Some(CORRUPT | NOT_A_DATABASE))
}
