//! The way to the database, and what SQLite and PostgreSQL do not share: how a connection is made durable, how a
//! transaction begins, and which catalog there is.

use super::READ_DEADLINE;
use super::error::{LinkError, Unfit};
use crate::config::{CatalogPlace, PostgresUrl};
use sqlx::AnyConnection;
use sqlx::any::{AnyConnectOptions, AnyRow};
use sqlx::{ConnectOptions, Row};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Marks a catalog of ours ("STLP").
const MARK: i64 = 0x5354_4C50;
/// The oldest PostgreSQL that is tested for: 13.
const OLDEST: i64 = 130_000;
/// How long a line that lay idle may take to answer before a new one is tried: a server that is gone tells nobody.
const PATIENCE: Duration = Duration::from_millis(700);

/// Where the database is. Cheap to clone; connects anew whenever it is asked to.
#[derive(Debug, Clone)]
pub(super) enum Link {
    Sqlite(PathBuf),
    Postgres(PostgresUrl),
}

/// What was found where the catalog should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Ours,
    Theirs,
}

impl Link {
    pub(super) fn place(&self) -> CatalogPlace {
        match self {
            Self::Sqlite(file) => CatalogPlace::Sqlite(file.clone()),
            Self::Postgres(url) => CatalogPlace::Postgres(url.clone()),
        }
    }

    /// How long to wait on a line that lay idle; none: a file's is as good as a new one.
    pub(super) const fn patience(&self) -> Option<Duration> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(_) => Some(PATIENCE),
        }
    }

    /// A connection that changes nothing by being made.
    pub(super) async fn connect(&self) -> Result<AnyConnection, sqlx::Error> {
        let mut connection = self.options("rw")?.connect().await?;
        if let Self::Sqlite(_) = self {
            sqlx::raw_sql(BUSY).execute(&mut connection).await?;
        }
        Ok(connection)
    }

    /// A connection that cannot write.
    pub(super) async fn reader(&self) -> Result<AnyConnection, sqlx::Error> {
        let mut connection = self.options("ro")?.connect().await?;
        let session = match self {
            Self::Sqlite(_) => BUSY,
            Self::Postgres(_) => READING,
        };
        sqlx::raw_sql(session).execute(&mut connection).await?;
        Ok(connection)
    }

    /// A connection that is durable at every commit.
    pub(super) async fn writer(&self) -> Result<AnyConnection, LinkError> {
        let mut connection = self.connect().await?;
        self.harden(&mut connection).await?;
        Ok(connection)
    }

    /// From here on every commit is durable before it is acknowledged; what is in force is read back.
    pub(super) async fn harden(&self, connection: &mut AnyConnection) -> Result<(), LinkError> {
        let statements = match self {
            Self::Sqlite(_) => HARDEN_SQLITE,
            Self::Postgres(_) => HARDEN_POSTGRES,
        };
        let rows = sqlx::raw_sql(statements).fetch_all(connection).await?;
        let row = rows.last().ok_or(sqlx::Error::RowNotFound)?;
        match self {
            Self::Sqlite(_) => synchronous(row)?,
            Self::Postgres(_) => fit(row)?,
        }
        Ok(())
    }

    /// What is there, and nothing is changed by looking.
    pub(super) async fn look(&self, connection: &mut AnyConnection) -> Result<Found, sqlx::Error> {
        let statement = match self {
            Self::Sqlite(_) => LOOK_SQLITE,
            Self::Postgres(_) => LOOK_POSTGRES,
        };
        let (mark, others): (i64, i64) = sqlx::query_as(statement).fetch_one(connection).await?;
        Ok(match (mark, others) {
            (MARK, _) => Found::Ours,
            (0, 0) => Found::Nothing,
            _ => Found::Theirs,
        })
    }

    /// How the transaction begins that migrates: alone, and before any statement of its own.
    pub(super) const fn begin_opening(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
            Self::Postgres(_) => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        }
    }

    /// What that transaction says first: only one process at a time goes on from here.
    pub(super) const fn prepare_opening(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => MARK_SQLITE,
            Self::Postgres(_) => OPEN_POSTGRES,
        }
    }

    /// Begins a transaction and asks whose the catalog is, in one request. Whoever claims it next waits for the end of
    /// this transaction, and so does the same process's next transaction when it lost sight of this one.
    pub(super) const fn begin(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "BEGIN IMMEDIATE; SELECT epoch, holder FROM leader WHERE id = 1",
            Self::Postgres(_) => {
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SELECT epoch, holder FROM leader WHERE id = 1 FOR UPDATE"
            }
        }
    }

    /// The catalog's size in bytes, in one row.
    pub(super) const fn size(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            Self::Postgres(_) => SIZE_POSTGRES,
        }
    }

    fn options(&self, mode: &str) -> Result<AnyConnectOptions, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let odd = |path: &PathBuf| sqlx::Error::Configuration(format!("{} is no absolute path", path.display()).into());
        let url = match self {
            Self::Sqlite(path) => {
                let mut url = Url::from_file_path(path).map_err(|()| odd(path))?;
                url.set_query(Some(&format!("mode={mode}")));
                // The driver knows its own scheme only, and reads a path's %XX.
                url.as_str().replacen("file:", "sqlite:", 1)
            }
            Self::Postgres(url) => driver_url(url.secret()).into(),
        };
        let options: AnyConnectOptions = url.parse()?;
        Ok(options.disable_statement_logging())
    }
}

/// The driver takes an IPv6 address's brackets for a part of a name, unless the address is a parameter.
fn driver_url(url: &Url) -> Url {
    let mut url = url.clone();
    if let Some(url::Host::Ipv6(address)) = url.host_str().and_then(|host| url::Host::parse(host).ok()) {
        url.query_pairs_mut().append_pair("host", &address.to_string());
    }
    if !url.query_pairs().any(|(key, _)| key == "application_name") {
        url.query_pairs_mut().append_pair("application_name", "stillpoint");
    }
    url
}

fn synchronous(row: &AnyRow) -> Result<(), LinkError> {
    let (journal_mode, synchronous): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    // 2 is FULL.
    if journal_mode == "wal" && synchronous == 2 {
        return Ok(());
    }
    Err(Unfit::NotSynchronous { journal_mode, synchronous }.into())
}

fn fit(row: &AnyRow) -> Result<(), LinkError> {
    let (version, standby): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
    let (fsync, encoding, schema): (String, String, Option<String>) =
        (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
    if version < OLDEST {
        return Err(Unfit::TooOld { version: version / 10_000, oldest: OLDEST / 10_000 }.into());
    }
    if standby {
        return Err(Unfit::Standby.into());
    }
    if fsync != "on" {
        return Err(Unfit::NoFsync.into());
    }
    if encoding != "UTF8" {
        return Err(Unfit::Encoding(encoding).into());
    }
    if schema.is_none() {
        return Err(Unfit::NoSchema.into());
    }
    Ok(())
}

/// How long SQLite waits for someone else's lock (a person's `sqlite3`, say); below the shortest deadline, so that it
/// ends as an error of known outcome.
const BUSY: &str = "PRAGMA busy_timeout = 1500";
const HARDEN_SQLITE: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     SELECT journal_mode, synchronous FROM pragma_journal_mode(), pragma_synchronous()";
const LOOK_SQLITE: &str = "SELECT application_id, \
     (SELECT COUNT(*) FROM sqlite_master WHERE name NOT LIKE '%sqlx_migrations%') FROM pragma_application_id()";
const MARK_SQLITE: &str = "PRAGMA application_id = 1398033488";

/// A process that is stopped, or whose node is lost, holds what it locked for a second and a half at most. What waits is
/// given up before its caller gives up, so that the outcome is known. None of these cut a commit short that waits for a
/// standby. A synchronous commit is asked for whatever the role or the database is set to.
const HARDEN_POSTGRES: &str = "SET client_min_messages = warning; \
     SET default_transaction_read_only = off; SET default_transaction_isolation = 'read committed'; \
     SET idle_in_transaction_session_timeout = 1500; SET lock_timeout = 1000; SET statement_timeout = 1500; \
     SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3; \
     SET tcp_user_timeout = 5000; \
     SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
     WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false); \
     SELECT current_setting('server_version_num')::bigint, pg_is_in_recovery(), current_setting('fsync'), \
     current_setting('server_encoding'), current_schema()::text";
const READING: &str = "SET client_min_messages = warning; SET default_transaction_read_only = on; \
     SET statement_timeout = 5000";
const LOOK_POSTGRES: &str = "SELECT CASE WHEN to_regclass(quote_ident(current_schema()) || '.leader') IS NULL \
     OR to_regclass(quote_ident(current_schema()) || '._sqlx_migrations') IS NULL THEN 0 ELSE 1398033488 END, \
     (SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema() \
     AND tablename NOT IN ('_sqlx_migrations', 'lease'))";
/// A migration may take longer than any change. One opening at a time, by an advisory lock under our mark. SQLite
/// compares text byte by byte, and calls that "binary"; here that is C.
const OPEN_POSTGRES: &str = "SET LOCAL lock_timeout = 5000; SET LOCAL statement_timeout = 20000; \
     SELECT pg_advisory_xact_lock(1398033488); CREATE COLLATION IF NOT EXISTS \"binary\" FROM \"C\"";
const SIZE_POSTGRES: &str = "SELECT CAST(COALESCE(SUM(pg_total_relation_size(pg_class.oid)), 0) AS BIGINT) \
     FROM pg_class JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace \
     WHERE pg_namespace.nspname = current_schema() AND pg_class.relkind = 'r'";
const _: () = assert!(READ_DEADLINE.as_millis() == 5000, "READING says so too");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_reaches_the_driver_without_its_brackets() {
        let url = |text: &str| driver_url(&Url::parse(text).unwrap()).to_string();
        assert_eq!(url("postgres://[::1]:5/x"), "postgres://[::1]:5/x?host=%3A%3A1&application_name=stillpoint");
        assert_eq!(url("postgres://db/x?application_name=a"), "postgres://db/x?application_name=a");
    }
}
