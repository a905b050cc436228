//! The connections that queries go over: a few, kept open while they are good.

use super::link::Link;
use futures_util::future::join_all;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, Connection, FromRow};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Reads at one time; more wait, with their deadline.
const MOST: u32 = 4;

/// Queries over connections of their own. Cheap to clone.
///
/// A query is asked once more on a new connection when the one that lay idle fails it or keeps silent: a server that
/// was restarted, or failed over, tells nobody. That is why no pool of the driver's is used, which hands out what may
/// be dead, waits for it when it is given back, and cannot be asked for a new connection.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    link: Link,
    idle: Arc<Mutex<Vec<AnyConnection>>>,
    places: Arc<Semaphore>,
}

/// What a statement is asked with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Number(i64),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl Lines {
    pub(super) fn new(link: Link) -> Self {
        Self { link, idle: Arc::default(), places: Arc::new(Semaphore::new(MOST as usize)) }
    }

    pub(super) const fn link(&self) -> &Link {
        &self.link
    }

    /// All that the statement finds. To be bounded by its caller; a connection that is left in the middle is dropped.
    pub(super) async fn ask<T>(&self, statement: &'static str, values: &[Value<'_>]) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        let _place = self.places.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle().pop();
        if let Some(mut connection) = idle {
            let asked = fetch(&mut connection, statement, values);
            let found = match self.link.patience() {
                None => Some(asked.await),
                Some(patience) => tokio::time::timeout(patience * 2, asked).await.ok(),
            };
            if let Some(Ok(found)) = found {
                self.idle().push(connection);
                return Ok(found);
            }
        }
        let mut connection = self.link.reader().await?;
        let found = fetch(&mut connection, statement, values).await?;
        self.idle().push(connection);
        Ok(found)
    }

    /// Waits for the queries under way, and answers no more.
    pub(super) async fn end(&self) {
        // It is closed already, if this fails.
        let all = self.places.acquire_many(MOST).await;
        self.places.close();
        drop(all);
        let idle: Vec<AnyConnection> = std::mem::take(&mut *self.idle());
        join_all(idle.into_iter().map(Connection::close)).await;
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<AnyConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn fetch<T>(
    connection: &mut AnyConnection,
    statement: &'static str,
    values: &[Value<'_>],
) -> Result<Vec<T>, sqlx::Error>
where
    T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
{
    let mut query = sqlx::query_as::<Any, T>(statement);
    for value in values {
        query = match value {
            Value::Text(text) => query.bind(*text),
            Value::Number(number) => query.bind(*number),
        };
    }
    query.fetch_all(connection).await
}
