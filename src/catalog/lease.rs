//! Leadership where there is no Kubernetes: one row, which one process holds at a time, timed by the server's own clock.
//!
//! Its table is outside the schema's history: a standby of a newer version looks at it while an older leader still
//! writes. The limit is the server's clock. Where that is set forward, or a failover leads to a server whose clock is
//! ahead or which lost the last renewals, a lease ends early, and two processes may take themselves for the leader until
//! the first one's own clock says otherwise. The claim that each opening makes (`Term`) keeps them apart in the catalog.

use super::error::{CatalogError, During, LinkError};
use super::link::Link;
use crate::config::PostgresUrl;
use futures_util::future::{BoxFuture, FutureExt};
use sqlx::AnyConnection;
use std::time::Duration;
use tokio::sync::Mutex;

/// The row, over a connection of its own: no change that is under way holds it up.
#[derive(Debug)]
pub struct LeaseRow {
    link: Link,
    deadline: Duration,
    connection: Mutex<Option<AnyConnection>>,
}

/// Who holds the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The one who asked, from now on.
    Ours,
    /// Someone else, for so long still unless they renew it; `note` is what they left for people.
    Theirs { holder: String, note: String, left: Duration },
}

impl LeaseRow {
    /// The row of that database; nothing is asked yet. Every question is answered within `deadline`.
    #[must_use]
    pub fn new(place: &PostgresUrl, deadline: Duration) -> Self {
        Self { link: Link::Postgres(place.clone()), deadline, connection: Mutex::new(None) }
    }

    /// Takes the lease, or renews it, for so long from now on: if nobody else holds it. After an error it may be taken
    /// all the same.
    ///
    /// # Errors
    /// The server: it cannot be reached, keeps silent, or is a standby.
    pub async fn take(&self, holder: &str, lasts: Duration, note: &str) -> Result<Taken, CatalogError> {
        let (holder, note) = (holder.to_owned(), note.to_owned());
        let lasts = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
        self.bounded("take the lease", |line| take(line, holder.clone(), note.clone(), lasts).boxed()).await
    }

    /// Lets it go at once, if it is held by that holder.
    ///
    /// # Errors
    /// The server; it ends by itself then.
    pub async fn release(&self, holder: &str) -> Result<(), CatalogError> {
        let holder = holder.to_owned();
        self.bounded("let the lease go", |line| release(line, holder.clone()).boxed()).await
    }

    /// Asks, and once more on a new connection if the one that lay idle is lost: taking it twice is taking it once.
    async fn bounded<T>(
        &self,
        action: &'static str,
        ask: impl for<'c> Fn(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send,
    ) -> Result<T, CatalogError> {
        let work = async {
            let mut idle = self.connection.lock().await;
            if let Some(mut connection) = idle.take()
                && let Ok(Ok(answer)) = tokio::time::timeout(self.deadline / 2, ask(&mut connection)).await
            {
                *idle = Some(connection);
                return Ok(answer);
            }
            let mut connection = self.connect().await?;
            let answer = ask(&mut connection).await?;
            *idle = Some(connection);
            Ok::<T, LinkError>(answer)
        };
        let answer = tokio::time::timeout(self.deadline, work).await;
        answer.map_err(|_| CatalogError::Stalled { action, after: self.deadline })?.during(action)
    }

    async fn connect(&self) -> Result<AnyConnection, LinkError> {
        let mut connection = self.link.writer().await?;
        sqlx::raw_sql(PREPARE).execute(&mut connection).await?;
        Ok(connection)
    }
}

async fn take(connection: &mut AnyConnection, holder: String, note: String, lasts: i64) -> Result<Taken, sqlx::Error> {
    loop {
        let asked = sqlx::query_as(TAKE).bind(&holder).bind(&note).bind(lasts).fetch_one(&mut *connection);
        let (ours, holds, note, left): (bool, String, String, i64) = asked.await?;
        if ours {
            return Ok(Taken::Ours);
        }
        // What is shown was there before the statement. It shows ours where that was taken over meanwhile.
        if holds != holder {
            let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
            return Ok(Taken::Theirs { holder: holds, note, left });
        }
    }
}

async fn release(connection: &mut AnyConnection, holder: String) -> Result<(), sqlx::Error> {
    sqlx::query(RELEASE).bind(holder).execute(connection).await.map(drop)
}

/// One process at a time makes the table: two at once would trip over each other's catalogue entries.
const PREPARE: &str = "SELECT pg_advisory_xact_lock(1398033489); \
     CREATE TABLE IF NOT EXISTS lease (id BIGINT PRIMARY KEY CHECK (id = 1), holder TEXT NOT NULL, note TEXT NOT NULL, \
     until TIMESTAMPTZ NOT NULL); \
     INSERT INTO lease (id, holder, note, until) VALUES (1, '', '', clock_timestamp()) ON CONFLICT (id) DO NOTHING";
/// Of two that come at once, the second waits for the first's row, and finds it held. Whoever only looks writes nothing.
const TAKE: &str = "WITH taken AS (UPDATE lease SET holder = $1, note = $2, \
     until = clock_timestamp() + $3 * INTERVAL '1 millisecond' \
     WHERE id = 1 AND (holder = $1 OR until <= clock_timestamp()) RETURNING id) \
     SELECT EXISTS (SELECT 1 FROM taken), holder, note, \
     CAST(EXTRACT(EPOCH FROM (until - clock_timestamp())) * 1000 AS BIGINT) FROM lease WHERE id = 1";
const RELEASE: &str = "UPDATE lease SET until = clock_timestamp() WHERE id = 1 AND holder = $1";
