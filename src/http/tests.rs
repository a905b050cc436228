use super::*;
use crate::observe::health::{CATALOG, RECOVERY, SCHEDULES};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

struct Server {
    address: SocketAddr,
    pages: Pages,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

async fn server(limits: Limits, beat_limit: Duration) -> Server {
    let metrics = Arc::new(Metrics::new("0.1.0", jiff::Timestamp::UNIX_EPOCH).expect("metrics"));
    let health = Arc::new(Health::new(crate::clock::instant(), beat_limit));
    let pages = Pages { metrics, health, dropped_lines: None };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve_with(listener, pages.clone(), limits, async {
        let _ = stopped.await;
    }));
    Server { address, pages, stop: Some(stop), task }
}

impl Server {
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        rest(&mut stream).await
    }

    async fn stop(mut self) {
        self.stop.take().expect("once").send(()).expect("still serving");
        timeout(PATIENCE, self.task).await.expect("an end").expect("no panic");
    }
}

/// Everything until the server closes; a reset counts as closed.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes in time");
    String::from_utf8(answer).expect("text")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

#[tokio::test]
async fn readiness_lists_what_is_missing_until_nothing_is() {
    let server = server(Limits::default(), PATIENCE).await;
    let answer = server.ask("GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(body(&answer), "catalog: not done yet\nrecovery: not done yet\nschedules: not done yet\n");
    assert!(server.ask("GET /metrics").await.contains("\nstillpoint_ready 0\n"));
    for name in [RECOVERY, CATALOG, SCHEDULES] {
        server.pages.health.ready(name);
    }
    let answer = server.ask("GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && body(&answer) == "ready\n", "{answer}");
    assert!(server.ask("GET /metrics").await.contains("\nstillpoint_ready 1\n"));
    server.stop().await;
}

#[tokio::test]
async fn a_loop_that_stands_still_is_unhealthy() {
    let still = server(Limits::default(), Duration::ZERO).await;
    let answer = still.ask("GET /healthz").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(body(&answer).contains("has not come round"), "{answer}");
    assert!(still.ask("GET /metrics").await.contains("\nstillpoint_loop_alive 0\n"));
    still.stop().await;
    let turning = server(Limits::default(), PATIENCE).await;
    assert!(turning.ask("GET /healthz").await.starts_with("HTTP/1.1 200 "));
    turning.stop().await;
}

#[tokio::test]
async fn the_pages_are_read_only_and_others_are_not_found() {
    let server = server(Limits::default(), PATIENCE).await;
    let metrics = server.ask("GET /metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("stillpoint_build_info{version=\"0.1.0\"} 1"), "{metrics}");
    assert!(server.ask("GET /").await.contains("/readyz"));
    let head = server.ask("HEAD /healthz").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body(&head).is_empty(), "{head}");
    for request in ["POST /metrics", "DELETE /healthz", "PUT /readyz", "POST /"] {
        let answer = server.ask(request).await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET,HEAD"), "{request}: {answer}");
    }
    assert!(server.ask("GET /api").await.starts_with("HTTP/1.1 404 "));
    assert!(server.ask("GET /../etc/passwd").await.starts_with("HTTP/1.1 404 "));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_never_finishes_its_request_is_cut_off() {
    let limits = Limits { header: Duration::from_millis(200), ..Limits::default() };
    let server = server(limits, PATIENCE).await;
    let mut slow = TcpStream::connect(server.address).await.expect("a connection");
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: loc").await.expect("sent");
    let answer = rest(&mut slow).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_a_body_for_ever_is_cut_off() {
    let limits = Limits { connection: Duration::from_millis(300), ..Limits::default() };
    let server = server(limits, PATIENCE).await;
    let mut endless = TcpStream::connect(server.address).await.expect("a connection");
    endless.write_all(b"GET / HTTP/1.1\r\nHost: l\r\nContent-Length: 99999999\r\n\r\n").await.expect("sent");
    rest(&mut endless).await;
    server.stop().await;
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let server = server(Limits::default(), PATIENCE).await;
    let answer = server.ask(&format!("GET /{}", "x".repeat(HEAD_BYTES * 2))).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn idle_clients_beyond_the_limit_cannot_keep_a_probe_out() {
    let server = server(Limits { connections: 4, ..Limits::default() }, PATIENCE).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(server.address).await.expect("a connection"));
    }
    assert!(server.ask("GET /healthz").await.starts_with("HTTP/1.1 200 "));
    // The oldest gave way long before its own deadline.
    assert_eq!(rest(&mut idle[0]).await, "");
    server.stop().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_clients() {
    let server = server(Limits::default(), PATIENCE).await;
    let mut idle = TcpStream::connect(server.address).await.expect("a connection");
    assert!(server.ask("GET /healthz").await.starts_with("HTTP/1.1 200 "));
    server.stop().await;
    assert_eq!(rest(&mut idle).await, "");
}
