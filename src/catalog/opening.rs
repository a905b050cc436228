//! Opening: whose catalog it is, its schema, and the claim to it.

use super::error::{LinkError, OpenError};
use super::files;
use super::link::{Found, Link};
use super::outbox::Outbox;
use super::writer::{Term, Writer};
use super::{Catalog, OPEN_DEADLINE, Reader, sql};
use crate::config::CatalogPlace;
use ring::rand::{SecureRandom, SystemRandom};
use sqlx::AnyConnection;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, Transaction};
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// The schema's history, for both databases. The transaction around it locks.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("src/catalog/migrations");
    migrations.set_locking(false);
    migrations
});

impl Catalog {
    /// Takes the catalog for this process: checks what it is on, locks a file, creates or migrates, and takes the next
    /// epoch. Needs a tokio runtime, which it leaves a task on.
    ///
    /// # Errors
    /// See [`OpenError`]; within [`OPEN_DEADLINE`].
    pub async fn open(place: &CatalogPlace) -> Result<Self, OpenError> {
        bounded(place, async {
            let (link, lock) = match place {
                CatalogPlace::Sqlite(file) => {
                    let asked = file.clone();
                    let (file, lock) = apart(file, move || files::claim(&asked)).await?;
                    (Link::Sqlite(file), Some(lock))
                }
                CatalogPlace::Postgres(url) => (Link::Postgres(url.clone()), None),
            };
            let mut connection = link.connect().await.map_err(|error| opening(&link, error))?;
            version(&link, &mut connection).await?;
            link.harden(&mut connection).await.map_err(|error| unfit(&link, error))?;
            let (term, identity) = claim(&link, &mut connection).await?;
            let reader = Reader::new(link.clone());
            let outbox = Outbox::new(identity.clone());
            Ok(Self { reader, writer: Writer::start(link, connection, term, lock), identity, outbox })
        })
        .await
    }

    /// Opens the catalog for queries only, beside a running daemon or without one. Takes no lock, changes nothing.
    ///
    /// # Errors
    /// See [`OpenError`]; within [`OPEN_DEADLINE`].
    pub async fn read(place: &CatalogPlace) -> Result<Reader, OpenError> {
        bounded(place, async {
            let link = match place {
                CatalogPlace::Sqlite(file) => {
                    let asked = file.clone();
                    let found = apart(file, move || {
                        let file = files::place(&asked)?;
                        Ok(if file.exists() { Ok(file) } else { Err(file) })
                    });
                    match found.await? {
                        Ok(file) => Link::Sqlite(file),
                        Err(none) => return Err(OpenError::NoCatalog(none.into())),
                    }
                }
                CatalogPlace::Postgres(url) => Link::Postgres(url.clone()),
            };
            let mut connection = link.reader().await.map_err(|error| opening(&link, error))?;
            match version(&link, &mut connection).await? {
                None => Err(OpenError::NoCatalog(link.place())),
                Some(found) if found < known() => Err(OpenError::Older { place: link.place(), found }),
                Some(_) => Ok(Reader::new(link)),
            }
        })
        .await
    }
}

async fn bounded<T>(place: &CatalogPlace, opening: impl Future<Output = Result<T, OpenError>>) -> Result<T, OpenError> {
    let stalled = |_| OpenError::Stalled { place: place.clone(), after: OPEN_DEADLINE };
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

/// The schema's version; none where there is nothing yet. Refuses what is not ours, and what is newer than this program.
async fn version(link: &Link, connection: &mut AnyConnection) -> Result<Option<i64>, OpenError> {
    let failed = |error| opening(link, error);
    match link.look(connection).await.map_err(failed)? {
        Found::Ours => {}
        Found::Nothing => return Ok(None),
        Found::Theirs => return Err(OpenError::NotOurs(link.place())),
    }
    let found: Option<i64> = sqlx::query_scalar(sql::APPLIED).fetch_one(connection).await.map_err(failed)?;
    match found {
        Some(found) if found > known() => Err(OpenError::Newer { place: link.place(), found, known: known() }),
        found => Ok(found),
    }
}

fn known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Migrates, and takes the next epoch under a name of this opening's own, all in one transaction. Answers with the
/// catalog's identity too.
async fn claim(link: &Link, connection: &mut AnyConnection) -> Result<(Term, Arc<str>), OpenError> {
    let failed = |error| opening(link, error);
    let mut alone = connection.begin_with(link.begin_opening()).await.map_err(failed)?;
    sqlx::raw_sql(link.prepare_opening()).execute(&mut *alone).await.map_err(failed)?;
    MIGRATIONS.run(&mut *alone).await.map_err(|error| migrating(link, error))?;
    let (holder, fresh): (Arc<str>, Arc<str>) = (random(link)?, random(link)?);
    let claimed = next_epoch(&mut alone, &holder, &fresh).await;
    let (epoch, identity): (i64, String) = claimed.map_err(failed)?;
    alone.commit().await.map_err(failed)?;
    Ok((Term { epoch, holder }, identity.into()))
}

async fn next_epoch(
    alone: &mut Transaction<'_, sqlx::Any>,
    holder: &str,
    identity: &str,
) -> Result<(i64, String), sqlx::Error> {
    sqlx::query_as(sql::NEXT_EPOCH).bind(holder).bind(identity).fetch_one(&mut **alone).await
}

/// Sixteen hexadecimal digits that nobody else has.
fn random(link: &Link) -> Result<Arc<str>, OpenError> {
    let mut bytes = [0; 8];
    let none = || OpenError::NoRandomness(link.place());
    SystemRandom::new().fill(&mut bytes).map_err(|_| none())?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)).into())
}

fn unfit(link: &Link, error: LinkError) -> OpenError {
    match error {
        LinkError::Database(source) => opening(link, source),
        LinkError::Unfit(source) => OpenError::Unfit { place: link.place(), source },
    }
}

fn opening(link: &Link, source: sqlx::Error) -> OpenError {
    let place = link.place();
    match super::error::sqlite_code(&source) {
        Some(super::error::NOT_A_DATABASE) => OpenError::NotSqlite(place),
        Some(super::error::CORRUPT) => OpenError::Corrupt { place, source },
        _ => OpenError::Database { place, source },
    }
}

fn migrating(link: &Link, source: MigrateError) -> OpenError {
    match source {
        MigrateError::VersionMissing(found) => OpenError::Newer { place: link.place(), found, known: known() },
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => opening(link, source),
        source => OpenError::Migrate { place: link.place(), source },
    }
}
