//! Where the catalog is: a file, or a database of PostgreSQL.

use super::error::{Wrong, nearest, one_of};
use super::names;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

const EXPECTED: &str = "sqlite:// and an absolute path, such as sqlite:///var/lib/stillpoint/catalog.db, or a database of \
    PostgreSQL, such as postgres://stillpoint@db.example:5432/stillpoint";
const POSTGRES: &str = "postgres://USER@HOST:PORT/DATABASE, such as \
    postgres://stillpoint@db.example:5432/stillpoint?sslmode=verify-full";
const SOCKET: &str = "an absolute path, such as host=/run/postgresql";

/// What may follow the question mark: what the driver takes from there, less what has a place in front of it.
const PARAMETERS: [&str; 7] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "application_name", "options", "host"];
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Where the catalog is. `Display` and `Debug` hide the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogPlace {
    /// The file behind `sqlite://…`.
    Sqlite(PathBuf),
    /// `postgres://…`.
    Postgres(PostgresUrl),
}

impl Default for CatalogPlace {
    fn default() -> Self {
        Self::Sqlite(PathBuf::new())
    }
}

impl From<PathBuf> for CatalogPlace {
    fn from(file: PathBuf) -> Self {
        Self::Sqlite(file)
    }
}

impl FromStr for CatalogPlace {
    type Err = Wrong;

    /// What is wrong with it is told without its password.
    fn from_str(text: &str) -> Result<Self, Wrong> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return postgres(text).map(Self::Postgres);
        }
        let shown = hide(text);
        let wrong = |what: &str| Wrong::new(format!("\"{shown}\" {what}")).expected(EXPECTED);
        let Some(file) = text.strip_prefix("sqlite://") else {
            let near = match text.split_once(':') {
                Some((scheme, rest)) => nearest(scheme, ["sqlite", "postgres", "postgresql"])
                    .map(|scheme| hide(&format!("{scheme}://{}", rest.strip_prefix("//").unwrap_or(rest)))),
                None => text.starts_with('/').then(|| format!("sqlite://{text}")),
            };
            return Err(wrong("is no catalog this version knows").nearest(near));
        };
        if !file.starts_with('/') {
            return Err(wrong("is not an absolute path"));
        }
        if file.ends_with('/') {
            return Err(wrong("names a directory, not a file"));
        }
        if file.contains(['?', '#']) {
            return Err(wrong("has parameters; the daemon sets its own"));
        }
        Ok(Self::Sqlite(PathBuf::from(file)))
    }
}

impl fmt::Display for CatalogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite://{}", file.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// A database of PostgreSQL: scheme, host (or a socket's folder) and database are there, and every parameter is one
/// that the driver knows.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(Arc<url::Url>);

impl PostgresUrl {
    /// All of it, with the password if it has one: nothing that anybody reads.
    #[must_use]
    pub fn secret(&self) -> &url::Url {
        &self.0
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hide(self.0.as_str()))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

/// Replaces the password of a URL, wherever a person may have written it.
pub fn hide(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        // A slip of the pen in the scheme must not show what follows.
        return match (text.split_once(':'), text.rfind('@')) {
            (Some((front, _)), Some(at)) if front.len() < at && front.contains("postgres") => {
                format!("{front}:***{}", &text[at..])
            }
            _ => text.to_owned(),
        };
    };
    // To the last @, because a password may hold one itself.
    let rest = match (rest.split_once(':'), rest.rfind('@')) {
        (Some((user, _)), Some(at)) if user.len() < at => format!("{user}:***{}", &rest[at..]),
        _ => rest.to_owned(),
    };
    let Some((front, query)) = rest.split_once('?') else { return format!("{scheme}://{rest}") };
    let hidden = |pair: &str| match pair.split_once('=') {
        Some((key, _)) if key.to_lowercase().contains("passw") => format!("{key}=***"),
        _ => pair.to_owned(),
    };
    let query: Vec<String> = query.split('&').map(hidden).collect();
    format!("{scheme}://{front}?{}", query.join("&"))
}

fn postgres(text: &str) -> Result<PostgresUrl, Wrong> {
    let shown = hide(text);
    let wrong = |what: &str| Wrong::new(format!("\"{shown}\" {what}")).expected(POSTGRES);
    let authority =
        text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if hosts.contains(',') {
        let one = "one host: a name or an address that follows the primary";
        return Err(wrong("names several hosts").expected(one));
    }
    let url = url::Url::parse(text).map_err(|error| wrong(&format!("cannot be read ({error})")))?;
    if url.port() == Some(0) {
        return Err(wrong("has the port 0, not one of 1 to 65535"));
    }
    if url.fragment().is_some() {
        return Err(wrong("has a # in it, which is written %23"));
    }
    let socket = parameters(&url, &wrong)?;
    match url.host_str().unwrap_or_default() {
        "" if socket => {}
        "" => return Err(wrong("has no host")),
        _ if socket => return Err(wrong("has two hosts: one before the / and one after the ?")),
        host if host.starts_with(['[', '%']) => {}
        host => names::host_name(host).map_err(|what| wrong(&what))?,
    }
    match url.path().trim_start_matches('/') {
        "" => Err(wrong("has no database")),
        path if path.contains('/') => Err(wrong("has more than a database's name behind the host")),
        _ => Ok(PostgresUrl(Arc::new(url))),
    }
}

/// Checks what follows the question mark. True: it names a socket's folder.
fn parameters(url: &url::Url, wrong: &impl Fn(&str) -> Wrong) -> Result<bool, Wrong> {
    let mut seen = Vec::new();
    for (key, value) in url.query_pairs() {
        if key == "password" || key == "passfile" {
            return Err(wrong(&format!("has the parameter {key}")).expected(
                "the password in PGPASSWORD, in the file that PGPASSFILE names, or between the user and the @",
            ));
        }
        if !PARAMETERS.contains(&key.as_ref()) {
            let near = nearest(&key, PARAMETERS);
            return Err(wrong(&format!("has the unknown parameter {key}")).expected(one_of(&PARAMETERS)).nearest(near));
        }
        if seen.contains(&key) {
            return Err(wrong(&format!("has the parameter {key} twice")));
        }
        let told = |expected: String| wrong(&format!("has {key}={value}")).expected(expected);
        match key.as_ref() {
            "sslmode" if !SSL_MODES.contains(&value.as_ref()) => {
                return Err(told(one_of(&SSL_MODES)).nearest(nearest(&value, SSL_MODES)));
            }
            "host" if !value.starts_with('/') => return Err(told(SOCKET.to_owned())),
            "sslrootcert" | "sslcert" | "sslkey" if !value.starts_with('/') => {
                return Err(told(format!("an absolute path, such as {key}=/etc/stillpoint/tls/{key}.pem")));
            }
            _ => {}
        }
        seen.push(key);
    }
    let has = |key: &str| seen.iter().any(|seen| seen == key);
    if has("sslcert") != has("sslkey") {
        return Err(wrong("has only one of sslcert and sslkey").expected("both, or none"));
    }
    Ok(has("host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_hidden() {
        for (written, shown) in [
            ("postgres://me:secret@db/x", "postgres://me:***@db/x"),
            ("postgres://me:se@cr:et@db:5432/x?sslmode=require", "postgres://me:***@db:5432/x?sslmode=require"),
            ("postgres://db/x?user=me&PassWord=secret&port=1", "postgres://db/x?user=me&PassWord=***&port=1"),
            ("postgres://me@db:5432/x", "postgres://me@db:5432/x"),
            ("postgres:/me:secret@db/x", "postgres:***@db/x"),
            ("arn:aws:iam::1:role/a@b", "arn:aws:iam::1:role/a@b"),
            ("sqlite:///a@b", "sqlite:///a@b"),
            ("10s", "10s"),
        ] {
            assert_eq!(hide(written), shown);
        }
    }

    #[test]
    fn nothing_that_is_printed_has_the_password() {
        let url = PostgresUrl(Arc::new(url::Url::parse("postgres://me:hunter2@db/x").unwrap()));
        let place = CatalogPlace::Postgres(url.clone());
        for told in [format!("{url}"), format!("{url:?}"), format!("{place}"), format!("{place:?}")] {
            assert!(told.contains("me:***@db/x") && !told.contains("hunter2"), "{told}");
        }
    }
}
