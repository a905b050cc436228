//! The one connection that writes, owned by one task: jobs wait in a bounded queue, run one after another, and are
//! never cancelled half-way by their callers. A caller that gives up leaves its job running; what was not begun by then
//! is skipped.

use super::error::{CatalogError, During};
use super::files::Lock;
use super::link::Link;
use super::sql;
use futures_util::future::BoxFuture;
use sqlx::AnyConnection;
use sqlx::{Connection, Row};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many changes may wait. A hanging disk lets them pile up to here, then callers are told at once.
const QUEUE: usize = 256;

/// The body of one change, run inside a transaction. What fails in it must fail it: PostgreSQL does not go on after that.
pub(super) type Body<T, E> = Box<dyn for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, E>> + Send>;

/// The claim of one opening: what the fence of each of its writes looks for. The number alone is not enough. A standby
/// that took its primary's place without the last opening gives the same one out again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) epoch: i64,
    pub(super) holder: Arc<str>,
}

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

/// What the task needs for each job.
struct Line {
    link: Link,
    term: Term,
    /// None: the next job makes one.
    connection: Option<AnyConnection>,
}

impl Writer {
    /// Starts the task. It ends, and frees the lock, once every handle is dropped.
    pub(super) fn start(link: Link, connection: AnyConnection, term: Term, lock: Option<Lock>) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let epoch = term.epoch;
        tokio::spawn(serve(Line { link, term, connection: Some(connection) }, lock, queue));
        Self { jobs, epoch }
    }

    pub(super) const fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Runs `body` in one transaction, fenced by the claim, and waits for it for `deadline` at most.
    pub(super) async fn run<T, E>(&self, action: &'static str, deadline: Duration, body: Body<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let stalled = || E::from(CatalogError::Stalled { action, after: deadline });
        match self.jobs.try_send(Message::Run(Box::new(Change { action, deadline, body, reply }))) {
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

async fn serve(mut line: Line, lock: Option<Lock>, mut queue: mpsc::Receiver<Message>) {
    let mut closing = None;
    while let Some(message) = queue.recv().await {
        match message {
            Message::Run(job) if job.given_up() => {}
            Message::Run(job) => job.run(&mut line).await,
            Message::Close(reply) => {
                closing = Some(reply);
                break;
            }
        }
    }
    match (&line.link, line.connection) {
        // Closing the last connection writes the log back on the caller's thread; after this there is nothing left
        // to write, so the runtime's thread is not held up.
        (Link::Sqlite(_), Some(mut open)) => {
            if sqlx::query(sql::CHECKPOINT).execute(&mut open).await.is_ok() {
                let _ = open.close().await;
            }
        }
        // A server that hangs finds the connection gone sooner or later.
        (Link::Postgres(_), Some(open)) => {
            let _ = tokio::time::timeout(GOODBYE, open.close()).await;
        }
        (_, None) => {}
    }
    drop(lock);
    if let Some(reply) = closing {
        let _ = reply.send(());
    }
}

/// How long saying goodbye to a server may take.
const GOODBYE: Duration = Duration::from_millis(500);

trait Job: Send {
    /// The caller waits no more.
    fn given_up(&self) -> bool;
    fn run(self: Box<Self>, line: &mut Line) -> BoxFuture<'_, ()>;
}

struct Change<T, E> {
    action: &'static str,
    deadline: Duration,
    body: Body<T, E>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T: Send + 'static, E: From<CatalogError> + Send + 'static> Job for Change<T, E> {
    fn given_up(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(self: Box<Self>, line: &mut Line) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Self { action, deadline, body, reply } = *self;
            let on_file = matches!(line.link, Link::Sqlite(_));
            let work = transact(line, action, body);
            let result = if on_file {
                // What a disk was asked for cannot be taken back.
                work.await
            } else {
                // The connection goes with it. What the server makes of a commit that was sent, nobody knows; the next
                // transaction waits for that at the fence.
                let stalled = |_| Err(CatalogError::Stalled { action, after: deadline }.into());
                tokio::time::timeout(deadline, work).await.unwrap_or_else(stalled)
            };
            let _ = reply.send(result);
        })
    }
}

/// Takes the connection, and puts it back unless the state of its transaction is in doubt: then the next job gets a new
/// one (SQLite rolls some failures back by itself, which sqlx and a plain `ROLLBACK` stumble over).
async fn transact<T, E: From<CatalogError>>(line: &mut Line, action: &'static str, body: Body<T, E>) -> Result<T, E> {
    let (mut connection, fenced) = begin(line, action).await?;
    let result = match fenced {
        Ok(()) => body(&mut connection).await,
        Err(error) => Err(error.into()),
    };
    let (result, usable) = match result {
        Ok(value) => match sqlx::raw_sql(sql::COMMIT).execute(&mut connection).await {
            Ok(_) => (Ok(value), true),
            Err(source) => (Err(CatalogError::Database { action, source }.into()), false),
        },
        Err(error) => (Err(error), sqlx::raw_sql(sql::ROLLBACK).execute(&mut connection).await.is_ok()),
    };
    if usable {
        line.connection = Some(connection);
    } else {
        discard(connection);
    }
    result
}

/// Begins a transaction, on a new connection if the old one is lost: nothing was asked for yet. Answers with what the
/// fence says too.
async fn begin(
    line: &mut Line,
    action: &'static str,
) -> Result<(AnyConnection, Result<(), CatalogError>), CatalogError> {
    if let Some(mut connection) = line.connection.take() {
        let fenced = match line.link.patience() {
            None => Some(fence(&line.link, &line.term, &mut connection).await),
            Some(patience) => tokio::time::timeout(patience, fence(&line.link, &line.term, &mut connection)).await.ok(),
        };
        match fenced {
            Some(Ok(fenced)) => return Ok((connection, fenced)),
            Some(Err(source)) if line.link.patience().is_none() => {
                discard(connection);
                return Err(CatalogError::Database { action, source });
            }
            Some(Err(_)) | None => discard(connection),
        }
    }
    let mut connection = line.link.writer().await.during("be opened again")?;
    match fence(&line.link, &line.term, &mut connection).await {
        Ok(fenced) => Ok((connection, fenced)),
        Err(source) => {
            discard(connection);
            Err(CatalogError::Database { action, source })
        }
    }
}

/// Begins the transaction, which excludes every other writer: no write of an old claim can follow a newer one's.
async fn fence(
    link: &Link,
    term: &Term,
    connection: &mut AnyConnection,
) -> Result<Result<(), CatalogError>, sqlx::Error> {
    let rows = sqlx::raw_sql(link.begin()).fetch_all(connection).await?;
    let row = rows.last().ok_or(sqlx::Error::RowNotFound)?;
    let (current, holder): (i64, Option<&str>) = (row.try_get(0)?, row.try_get(1)?);
    let ours = current == term.epoch && holder == Some(&*term.holder);
    Ok(if ours { Ok(()) } else { Err(CatalogError::Fenced { epoch: term.epoch, current }) })
}

/// Drops a connection on a thread of its own: closing the last one of a file writes to the disk.
fn discard(connection: AnyConnection) {
    // Without a thread to be had it is dropped here.
    let _ = std::thread::Builder::new().name("catalog-close".into()).spawn(move || drop(connection));
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
        let catalog = Catalog::open(&directory.path().join("catalog.db").into()).await.unwrap();
        (directory, catalog)
    }

    #[tokio::test]
    async fn every_connection_that_writes_is_durable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        std::fs::write(&path, "").unwrap();
        let mut connection = Link::Sqlite(path).writer().await.unwrap();
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut connection).await.unwrap();
        assert_eq!((mode.as_str(), synchronous), ("wal", 2));
        // A database in memory has no log.
        let mut other = sqlx::AnyConnection::connect("sqlite::memory:").await.unwrap();
        let error = Link::Sqlite("none".into()).harden(&mut other).await.unwrap_err();
        assert_eq!(error.to_string(), "it is not durable: journal_mode is memory, synchronous is 2");
    }

    #[tokio::test]
    async fn what_was_begun_runs_to_its_end_and_what_was_given_up_before_is_left_out() {
        let (directory, catalog) = catalog().await;
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
        let again = Catalog::open(&directory.path().join("catalog.db").into()).await.unwrap();
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
