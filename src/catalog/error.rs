use crate::window::Event;
use crate::window::Illegal;
use std::path::PathBuf;
use std::time::Duration;

/// Why the catalog was not opened. Nothing is changed by a refused opening, and nothing is locked after it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the catalog's directory {} does not exist", .0.display())]
    NoDirectory(PathBuf),
    #[error("no catalog at {}", .0.display())]
    NoCatalog(PathBuf),
    #[error("the catalog {} is on {kind}, where its locks and fsync cannot be relied on; use a local filesystem", .path.display())]
    NotLocal { path: PathBuf, kind: &'static str },
    /// `pid` is what the holder wrote into the lock file; none, if it had not done so yet.
    #[error("the catalog {} is in use by {}; end that stillpoint first", .path.display(), holder(*.pid))]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("cannot {action} {}", .path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is not an SQLite database", .0.display())]
    NotSqlite(PathBuf),
    #[error("{} is an SQLite database of another program, not a catalog of stillpoint", .0.display())]
    NotOurs(PathBuf),
    #[error("the catalog {} is corrupt; restore it from a copy, or move it away to begin a new one", .path.display())]
    Corrupt { path: PathBuf, source: sqlx::Error },
    #[error("the catalog {} was made by a newer stillpoint (schema {found}, this one knows {known})", .path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("the catalog {} was made by an older stillpoint (schema {found}); `stillpoint run` migrates it", .path.display())]
    Older { path: PathBuf, found: i64 },
    #[error("cannot migrate the catalog {}", .path.display())]
    Migrate { path: PathBuf, source: sqlx::migrate::MigrateError },
    #[error("the catalog {} is not durable: journal_mode is {journal_mode}, synchronous is {synchronous}", .path.display())]
    NotDurable { path: PathBuf, journal_mode: String, synchronous: i64 },
    #[error("cannot open the catalog {}", .path.display())]
    Database { path: PathBuf, source: sqlx::Error },
    #[error("opening the catalog {} took longer than {after:?}: the disk hangs", .path.display())]
    Stalled { path: PathBuf, after: Duration },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

/// Why a query or a change failed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The outcome of a change is unknown: it may still land. Repeat it.
    #[error("the catalog did not {action} within {after:?}: the disk hangs")]
    Stalled { action: &'static str, after: Duration },
    /// A later process has taken the catalog over: this one may not write any more.
    #[error("the catalog belongs to epoch {current} now, this process is of epoch {epoch}")]
    Fenced { epoch: i64, current: i64 },
    /// The disk is full, fails, or is read-only. The outcome of a change is unknown, if its commit failed.
    #[error("the catalog cannot {action}")]
    Database { action: &'static str, source: sqlx::Error },
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
    /// A later process has taken the catalog over.
    #[error("the catalog belongs to epoch {current} now, this process is of epoch {epoch}")]
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
