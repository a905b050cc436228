//! The `daemon` part.

use super::super::error::Wrong;
use super::super::path::KeyPath;
use super::super::{CatalogPlace, Daemon, Leadership, defaults, raw};
use super::leadership::leadership;
use super::{Check, Range};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const SWEEP_INTERVAL: Range = Range::millis(defaults::SWEEP_INTERVAL, 100, 3_600_000);
/// At least a day: a restore point's way takes hours.
const HISTORY: Range = Range::millis(defaults::HISTORY, 24 * 3_600_000, 3_660 * 24 * 3_600_000);
const COVERAGE_INTERVAL: Range = Range::millis(defaults::COVERAGE_INTERVAL, 100, 24 * 3_600_000);

/// The kernel's limit for a Unix socket's path, less its closing zero.
const LONGEST_SOCKET: usize = 107;

pub fn daemon(check: &mut Check<'_>, raw: raw::Daemon) -> Daemon {
    let path = KeyPath::root("daemon");
    let text = raw.catalog.as_deref().unwrap_or(defaults::CATALOG);
    let catalog = check.take(&path.key("catalog"), text.parse()).unwrap_or_default();
    let http = match raw.http {
        None => check.take(&path.key("http"), address(defaults::HTTP)),
        Some(None) => None,
        Some(Some(text)) if text == raw::NONE => None,
        Some(Some(text)) => check.take(&path.key("http"), address(&text)),
    };
    let socket = socket(check, &path, raw.socket.as_deref(), &catalog);
    let replicated = matches!(catalog, CatalogPlace::Postgres(_));
    // Replicas of one catalog are never without a leader.
    let raw_leadership = raw.leadership.or_else(|| replicated.then(raw::Leadership::default));
    let leadership = raw_leadership.and_then(|raw| leadership(check, &path.key("leadership"), raw));
    if !replicated && leadership.as_ref().is_some_and(|leadership: &Leadership| leadership.lease.is_none()) {
        let wrong = Wrong::new("a catalog on SQLite has no row for replicas to find their leader by");
        check.fault(&path.key("leadership"), wrong.expected("kubernetes below it, or a catalog on PostgreSQL"));
    }
    let sweep_interval = check.span(&path.key("sweep_interval"), raw.sweep_interval.as_ref(), SWEEP_INTERVAL);
    let coverage_interval =
        or_none(check, &path.key("coverage_interval"), raw.coverage_interval.as_ref(), COVERAGE_INTERVAL);
    let history = or_none(check, &path.key("history"), raw.history.as_ref(), HISTORY);
    let ignore = raw.ignore.unwrap_or_default();
    check.patterns(&path.key("ignore"), &ignore);
    let sweep_interval = sweep_interval.unwrap_or_default();
    Daemon { catalog, http, socket, leadership, sweep_interval, coverage_interval, ignore, history }
}

/// Reads a duration in whose place `none` or null may stand.
fn or_none(
    check: &mut Check<'_>,
    path: &KeyPath,
    written: Option<&Option<raw::Span>>,
    range: Range,
) -> Option<Duration> {
    match written {
        Some(None) => None,
        Some(Some(raw::Span::Text(text))) if text == raw::NONE => None,
        written => check.span(path, written.and_then(Option::as_ref), range),
    }
}

fn address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let port = text.strip_prefix(':').or_else(|| text.strip_prefix("localhost:")).unwrap_or(text);
        let host = if text.starts_with(':') { "0.0.0.0" } else { "127.0.0.1" };
        let near = port.parse::<u16>().ok().map(|port| format!("{host}:{port}"));
        Wrong::new(format!("\"{text}\" is not an address to listen on"))
            .expected("ADDRESS:PORT in numbers, such as 0.0.0.0:9650 or [::1]:9650, or none")
            .nearest(near)
    })
}

fn socket(check: &mut Check<'_>, path: &KeyPath, written: Option<&str>, catalog: &CatalogPlace) -> PathBuf {
    let path = path.key("socket");
    if let Some(text) = written {
        check.absolute(&path, text);
    }
    let socket = match (written, catalog) {
        (Some(written), _) => PathBuf::from(written),
        (None, CatalogPlace::Sqlite(file)) => file.with_extension("sock"),
        (None, CatalogPlace::Postgres(_)) => PathBuf::from(defaults::SOCKET),
    };
    let length = socket.as_os_str().len();
    if length > LONGEST_SOCKET {
        let from = if written.is_some() { "the path" } else { "the path beside the catalog" };
        let wrong = Wrong::new(format!("{from} has {length} characters"))
            .expected(format!("at most {LONGEST_SOCKET}, as Unix sockets allow"));
        check.fault(&path, wrong);
    }
    socket
}
