//! `/metrics`, `/healthz`, `/readyz` and an index: read-only, and unable to harm the daemon.
//!
//! Every connection carries one request and lives for a few seconds at most. There is a limit to them; beyond it the
//! oldest gives way, so that idle or slow clients cannot keep a probe or a scrape out.

#![allow(clippy::disallowed_methods, reason = "the pages are shell: a reading is shown, nothing is decided by it")]

use crate::observe::{Health, Metrics};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tracing_appender::non_blocking::ErrorCounter;

/// What the pages are made of.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Behind `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Behind `/healthz`, `/readyz` and two of the metrics.
    pub health: Arc<Health>,
    /// The log's count of dropped lines, read at each scrape; none: not exported.
    pub dropped_lines: Option<ErrorCounter>,
}

/// What clients are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; one more ends the oldest.
    pub connections: usize,
    /// How long a client may take to send its request's head.
    pub header: Duration,
    /// How long a connection may live, the response's way out included.
    pub connection: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, header: Duration::from_secs(5), connection: Duration::from_secs(15) }
    }
}

/// The largest request head, in bytes; hyper takes no less than 8 KiB.
const HEAD_BYTES: usize = 16 * 1024;
/// After a failed accept (no file descriptor left, say) the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the pages on a bound listener until `shutdown` completes; then every connection ends at once.
pub async fn serve(listener: TcpListener, pages: Pages, shutdown: impl Future<Output = ()>) {
    serve_with(listener, pages, Limits::default(), shutdown).await;
}

/// As `serve`, with other limits.
pub async fn serve_with(listener: TcpListener, pages: Pages, limits: Limits, shutdown: impl Future<Output = ()>) {
    let router = router(pages);
    // Dropped with this function, and with it every connection.
    let mut connections = JoinSet::new();
    let mut by_age: VecDeque<AbortHandle> = VecDeque::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => by_age.retain(|connection| !connection.is_finished()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if by_age.len() >= limits.connections && let Some(oldest) = by_age.pop_front() {
                        oldest.abort();
                    }
                    by_age.push_back(connections.spawn(converse(stream, router.clone(), limits)));
                }
                Err(error) => {
                    tracing::warn!(%error, "an HTTP connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// The pages without a server around them.
pub fn router(pages: Pages) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(|| async { text(StatusCode::NOT_FOUND, "not found; / lists what there is\n".to_owned()) })
        .with_state(pages)
}

async fn converse(stream: TcpStream, router: Router, limits: Limits) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(HEAD_BYTES)
        // An idle client must not hold one of the few connections.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // How a client went away is its own affair.
    let _ = tokio::time::timeout(limits.connection, connection).await;
}

async fn index() -> Response {
    let page = concat!(
        "stillpoint ",
        env!("CARGO_PKG_VERSION"),
        "\n\n/metrics  for Prometheus\n/healthz  200 while the daemon's loop is alive\n",
        "/readyz   200 when recovery is done, the catalog is writable and the schedules run;\n",
        "          or while another replica does that, and this one stands by\n"
    );
    text(StatusCode::OK, page.to_owned())
}

async fn metrics(State(pages): State<Pages>) -> Response {
    if let Some(counter) = &pages.dropped_lines {
        pages.metrics.log_lines_dropped(counter.dropped_lines() as u64);
    }
    match pages.metrics.render(&pages.health, crate::clock::instant()) {
        Ok(page) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], page).into_response(),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("render metrics: {error}\n")),
    }
}

async fn healthz(State(pages): State<Pages>) -> Response {
    match pages.health.alive(crate::clock::instant()) {
        Ok(()) => text(StatusCode::OK, "alive\n".to_owned()),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}

async fn readyz(State(pages): State<Pages>) -> Response {
    if let Some(why) = pages.health.standby() {
        return text(StatusCode::OK, format!("standby: {why}\n"));
    }
    let missing = pages.health.not_ready();
    if missing.is_empty() {
        return text(StatusCode::OK, "ready\n".to_owned());
    }
    text(StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n")
}

fn text(status: StatusCode, body: String) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests;
