//! The one connection that writes, owned by one task: jobs wait in a bounded queue, run one after another, and are
//! never cancelled half-way. A caller that gives up leaves its job running; what was not begun by then is skipped.

use super::error::{CatalogError, During, OpenError};
use super::files::Lock;
use super::sql;
use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many changes may wait. A hanging disk lets them pile up to here, then callers are told at once.
const QUEUE: usize = 256;
/// How long SQLite waits for someone else's lock (a person's `sqlite3`, say); below the shortest deadline, so that
/// it ends as an error of known outcome.
const BUSY: Duration = Duration::from_millis(1500);

/// The body of one change, run inside a transaction.
pub(super) type Body<T, E> = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, E>> + Send>;

/// The handle of the writing task; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Message>,
    epoch: i64,
}

enum Message {
    Run(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the task. It ends, and frees the lock, once every handle is dropped.
    pub(super) fn start(path: PathBuf, connection: SqliteConnection, epoch: i64, lock: Lock) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(serve(path, connection, epoch, lock, queue));
        Self { jobs, epoch }
    }

    pub(super) const fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Runs `body` in one transaction, fenced by the epoch, and waits for it for `deadline` at most.
    pub(super) async fn run<T, E>(&self, action: &'static str, deadline: Duration, body: Body<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let stalled = || E::from(CatalogError::Stalled { action, after: deadline });
        match self.jobs.try_send(Message::Run(Box::new(Change { action, body, reply }))) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(stalled()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(CatalogError::Closed.into()),
        }
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CatalogError::Closed.into()),
            Err(_) => Err(stalled()),
        }
    }

    /// Ends the task after what waits before it, and frees the lock.
    pub(super) async fn close(&self, deadline: Duration) -> Result<(), CatalogError> {
        let (reply, answer) = oneshot::channel();
        let closing = async {
            // An error means that it is closed already.
            if self.jobs.send(Message::Close(reply)).await.is_ok() {
                let _ = answer.await;
            }
        };
        tokio::time::timeout(deadline, closing)
            .await
            .map_err(|_| CatalogError::Stalled { action: "close", after: deadline })
    }
}

async fn serve(
    path: PathBuf,
    connection: SqliteConnection,
    epoch: i64,
    lock: Lock,
    mut queue: mpsc::Receiver<Message>,
) {
    let mut connection = Some(connection);
    let mut closing = None;
    while let Some(message) = queue.recv().await {
        match message {
            Message::Run(job) if job.given_up() => {}
            Message::Run(job) => connection = attempt(&path, connection, epoch, job).await,
            Message::Close(reply) => {
                closing = Some(reply);
                break;
            }
        }
    }
    if let Some(mut open) = connection {
        // Closing the last connection writes the log back on the caller's thread; after this there is nothing left
        // to write, so the runtime's thread is not held up.
        if sqlx::query(sql::CHECKPOINT).execute(&mut open).await.is_ok() {
            let _ = open.close().await;
        }
    }
    drop(lock);
    if let Some(reply) = closing {
        let _ = reply.send(());
    }
}

/// Runs one job. Answers with the connection, unless its transaction state is in doubt: then the next job gets a new
/// one (SQLite rolls some failures back by itself, which sqlx and a plain `ROLLBACK` stumble over).
async fn attempt(
    path: &Path,
    connection: Option<SqliteConnection>,
    epoch: i64,
    job: Box<dyn Job>,
) -> Option<SqliteConnection> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => match connect(path).await {
            Ok(connection) => connection,
            Err(source) => {
                job.fail(CatalogError::Database { action: "open its file again", source });
                return None;
            }
        },
    };
    if job.run(&mut connection, epoch).await {
        return Some(connection);
    }
    discard(connection);
    None
}

/// Drops a connection on a thread of its own: closing the last one writes to the disk.
fn discard(connection: SqliteConnection) {
    // Without a thread to be had it is dropped here.
    let _ = std::thread::Builder::new().name("catalog-close".into()).spawn(move || drop(connection));
}

trait Job: Send {
    /// The caller waits no more.
    fn given_up(&self) -> bool;
    /// Whether the connection may be used again.
    fn run(self: Box<Self>, connection: &mut SqliteConnection, epoch: i64) -> BoxFuture<'_, bool>;
    fn fail(self: Box<Self>, error: CatalogError);
}

struct Change<T, E> {
    action: &'static str,
    body: Body<T, E>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T: Send + 'static, E: From<CatalogError> + Send + 'static> Job for Change<T, E> {
    fn given_up(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(self: Box<Self>, connection: &mut SqliteConnection, epoch: i64) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let (result, usable) = transact(connection, self.action, epoch, self.body).await;
            let _ = self.reply.send(result);
            usable
        })
    }

    fn fail(self: Box<Self>, error: CatalogError) {
        let _ = self.reply.send(Err(error.into()));
    }
}

async fn transact<T, E: From<CatalogError>>(
    connection: &mut SqliteConnection,
    action: &'static str,
    epoch: i64,
    body: Body<T, E>,
) -> (Result<T, E>, bool) {
    if let Err(source) = sqlx::query(sql::BEGIN).execute(&mut *connection).await {
        return (Err(CatalogError::Database { action, source }.into()), false);
    }
    let result = match fence(connection, epoch).await {
        Ok(()) => body(&mut *connection).await,
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(value) => match sqlx::query(sql::COMMIT).execute(&mut *connection).await {
            Ok(_) => (Ok(value), true),
            Err(source) => (Err(CatalogError::Database { action, source }.into()), false),
        },
        Err(error) => {
            let usable = sqlx::query(sql::ROLLBACK).execute(&mut *connection).await.is_ok();
            (Err(error), usable)
        }
    }
}

/// Inside the transaction, which excludes every other writer: no write of an old epoch can follow a newer one's.
async fn fence(connection: &mut SqliteConnection, epoch: i64) -> Result<(), CatalogError> {
    let current: i64 = sqlx::query_scalar(sql::EPOCH).fetch_one(connection).await.during("read the epoch")?;
    if current == epoch { Ok(()) } else { Err(CatalogError::Fenced { epoch, current }) }
}

/// A connection that is durable at every commit.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = plain(path).connect().await?;
    harden(&mut connection).await?;
    Ok(connection)
}

/// From here on every commit is on the disk before it is acknowledged.
pub(super) async fn harden(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(sql::SET_WAL).execute(&mut *connection).await?;
    sqlx::query(sql::SET_FULL).execute(&mut *connection).await?;
    Ok(())
}

/// Options that change nothing in the file.
pub(super) fn plain(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).foreign_keys(true).disable_statement_logging()
}

/// Reads back what is in force on the connection.
pub(super) async fn durable(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let failed = |source| OpenError::Database { path: path.to_path_buf(), source };
    let journal_mode: String =
        sqlx::query_scalar(sql::JOURNAL_MODE).fetch_one(&mut *connection).await.map_err(failed)?;
    let synchronous: i64 = sqlx::query_scalar(sql::SYNCHRONOUS).fetch_one(connection).await.map_err(failed)?;
    // 2 is FULL.
    if journal_mode == "wal" && synchronous == 2 {
        return Ok(());
    }
    Err(OpenError::NotDurable { path: path.to_path_buf(), journal_mode, synchronous })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{AppendError, Catalog};
    use crate::domain::{Code, Reason, Trigger};
    use crate::window::{Event, Plan};
    use jiff::Timestamp;

    /// Keeps the writer's thread busy for some seconds, like a disk that hangs.
    fn hang() -> Body<(), CatalogError> {
        const SLOW: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500000) \
             SELECT COUNT(*) FROM n";
        Box::new(|connection| {
            Box::pin(async move { sqlx::query(SLOW).execute(connection).await.during("hang").map(|_| ()) })
        })
    }

    fn refused(window: &str) -> Event {
        let plan = Plan {
            window: window.into(),
            group: "payments".into(),
            trigger: Trigger::Command,
            slot: None,
            started: Timestamp::UNIX_EPOCH,
            hold: Duration::ZERO,
            drain: Duration::ZERO,
            max_pause: Duration::ZERO,
        };
        Event::Refused { plan, reasons: vec![Reason::new(Code::Busy, "busy")] }
    }

    async fn catalog() -> (tempfile::TempDir, Catalog) {
        let directory = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&directory.path().join("catalog.db")).await.unwrap();
        (directory, catalog)
    }

    #[tokio::test]
    async fn every_connection_that_writes_is_durable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        std::fs::write(&path, "").unwrap();
        let mut other = plain(&path).connect().await.unwrap();
        let error = durable(&path, &mut other).await.unwrap_err();
        assert!(matches!(error, OpenError::NotDurable { journal_mode, .. } if journal_mode == "delete"));
        let mut connection = connect(&path).await.unwrap();
        durable(&path, &mut connection).await.unwrap();
        sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut connection).await.unwrap();
        let error = durable(&path, &mut connection).await.unwrap_err();
        assert!(matches!(error, OpenError::NotDurable { synchronous: 1, .. }));
    }

    #[tokio::test]
    async fn what_was_begun_runs_to_its_end_and_what_was_given_up_before_is_left_out() {
        let (_directory, catalog) = catalog().await;
        let moment = Duration::from_millis(100);
        let stalled = catalog.writer.run("hang", moment, hang()).await;
        assert!(matches!(stalled, Err(CatalogError::Stalled { action: "hang", .. })));
        let event = refused("given-up");
        assert!(tokio::time::timeout(moment, catalog.append("given-up", 0, &event)).await.is_err());
        let read = tokio::time::timeout(moment * 20, catalog.history(None, 10)).await.expect("reads go on");
        assert_eq!(read.unwrap(), []);
        // On a busy machine what hangs does so for longer than a close has patience.
        let mut closed = catalog.close().await;
        for _ in 0..5 {
            if closed.is_err() {
                closed = catalog.close().await;
            }
        }
        closed.unwrap();
        let path = catalog.path().to_path_buf();
        let again = Catalog::open(&path).await.unwrap();
        assert_eq!(again.window("given-up").await.unwrap(), None);
        let closed = catalog.append("late", 0, &refused("late")).await;
        assert!(matches!(closed, Err(AppendError::Catalog(CatalogError::Closed))));
    }

    #[tokio::test]
    async fn a_full_queue_is_said_at_once() {
        let (_directory, catalog) = catalog().await;
        let waiting = (0..QUEUE + 50).map(|_| catalog.writer.run("hang", Duration::from_millis(100), hang()));
        let begun = tokio::time::Instant::now();
        let results = futures_util::future::join_all(waiting).await;
        assert!(results.iter().all(|result| matches!(result, Err(CatalogError::Stalled { .. }))));
        assert!(begun.elapsed() < Duration::from_secs(5), "none waited for the ones before it");
    }
}
