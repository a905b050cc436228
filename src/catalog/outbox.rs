//! What is still to be told to webhooks and heartbeats: written in the transaction that it tells of.

use super::error::{CatalogError, During};
use super::reader::Reader;
use super::rows::instant;
use super::{Catalog, sql};
use crate::domain::Notice;
use crate::notify::Happening;
use jiff::Timestamp;
use sqlx::AnyConnection;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// One that is told of some of what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its rows' name.
    pub name: String,
    /// None: all groups.
    pub groups: Option<BTreeSet<String>>,
    pub notices: BTreeSet<Notice>,
}

impl Listener {
    fn hears(&self, happening: &Happening) -> bool {
        self.notices.contains(&happening.notice)
            && self.groups.as_ref().is_none_or(|groups| groups.contains(&happening.group))
    }
}

/// Something that one listener is still to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub id: String,
    pub since: Timestamp,
}

/// Who listens. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    identity: Arc<str>,
    listeners: Arc<Mutex<Arc<[Listener]>>>,
    /// Changes when something may have been written.
    news: Arc<watch::Sender<u64>>,
}

impl Outbox {
    pub(super) fn new(identity: Arc<str>) -> Self {
        Self { identity, listeners: Arc::new(Mutex::new(Arc::new([]))), news: Arc::new(watch::Sender::new(0)) }
    }

    fn listeners(&self) -> Arc<[Listener]> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether anybody listens at all: nothing is read or written for nobody.
    pub(super) fn is_empty(&self) -> bool {
        self.listeners().is_empty()
    }

    /// There may be something new to tell.
    pub(super) fn wake(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    /// Writes a row for each that listens. The same happening again changes nothing.
    pub(super) async fn put(
        &self,
        connection: &mut AnyConnection,
        epoch: i64,
        happening: &Happening,
    ) -> Result<(), CatalogError> {
        const ACTION: &str = "note what is to be told";
        let listeners = self.listeners();
        let hearing: Vec<&str> = listeners.iter().filter(|it| it.hears(happening)).map(|it| it.name.as_str()).collect();
        for name in hearing {
            sqlx::query(sql::PUT)
                .bind(name)
                .bind(happening.id())
                .bind(happening.at.as_microsecond())
                .bind(epoch)
                .bind(happening.cloud_event(&self.identity))
                .execute(&mut *connection)
                .await
                .during(ACTION)?;
        }
        Ok(())
    }
}

impl Catalog {
    /// From here on these are told; who is not among them any more gets no new rows.
    pub fn listen(&self, listeners: Vec<Listener>) {
        *self.outbox.listeners.lock().unwrap_or_else(PoisonError::into_inner) = listeners.into();
    }

    /// Changes whenever there may be something new to tell.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.outbox.news.subscribe()
    }

    /// It was told, or never will be: its row goes.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn told(&self, listener: &str, id: &str) -> Result<(), CatalogError> {
        const ACTION: &str = "strike what was told";
        let (listener, id) = (listener.to_owned(), id.to_owned());
        self.change(
            ACTION,
            Box::new(move |connection| {
                Box::pin(async move {
                    sqlx::query(sql::TOLD).bind(listener).bind(id).execute(connection).await.during(ACTION)?;
                    Ok(())
                })
            }),
        )
        .await
    }

    /// Gives up what waits since before that, and the oldest of what waits beyond so many; answers with how many.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn give_up(&self, listener: &str, before: Timestamp, most: u32) -> Result<u64, CatalogError> {
        const ACTION: &str = "give up what was not told";
        let listener = listener.to_owned();
        self.change(
            ACTION,
            Box::new(move |connection| {
                Box::pin(async move {
                    let old = sqlx::query(sql::GIVE_UP_OLD).bind(&listener).bind(before.as_microsecond());
                    let old = old.execute(&mut *connection).await.during(ACTION)?.rows_affected();
                    let many = sqlx::query(sql::GIVE_UP_MANY).bind(&listener).bind(i64::from(most));
                    Ok(old + many.execute(connection).await.during(ACTION)?.rows_affected())
                })
            }),
        )
        .await
    }

    /// Strikes whatever waits for those that do not listen any more; answers with their names.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn forget_others(&self) -> Result<Vec<String>, CatalogError> {
        const ACTION: &str = "strike what nobody listens for";
        let addressed: Vec<(String,)> = self.all(ACTION, sql::ADDRESSED, &[]).await?;
        let listeners = self.outbox.listeners();
        let heard = |name: &String| listeners.iter().any(|listener| listener.name == *name);
        let others: Vec<String> = addressed.into_iter().map(|(name,)| name).filter(|name| !heard(name)).collect();
        for listener in others.clone() {
            let strike: super::writer::Body<(), CatalogError> = Box::new(move |connection| {
                Box::pin(async move {
                    sqlx::query(sql::FORGET).bind(listener).execute(connection).await.during(ACTION)?;
                    Ok(())
                })
            });
            self.change(ACTION, strike).await?;
        }
        Ok(others)
    }
}

impl Reader {
    /// What one listener is still to be told, in the order in which it happened.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    pub async fn waiting(&self, listener: &str) -> Result<Vec<Waiting>, CatalogError> {
        let rows: Vec<(String, i64)> = self.all("list what is to be told", sql::WAITING, &[listener.into()]).await?;
        rows.into_iter().map(|(id, since)| Ok(Waiting { id, since: instant(since)? })).collect()
    }

    /// The event itself; none: it does not wait any more.
    ///
    /// # Errors
    /// The disk.
    pub async fn message(&self, listener: &str, id: &str) -> Result<Option<String>, CatalogError> {
        let values = [listener.into(), id.into()];
        let row: Option<(String,)> = self.one("read what is to be told", sql::MESSAGE, &values).await?;
        Ok(row.map(|(body,)| body))
    }
}
