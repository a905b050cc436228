//! One request to a receiver, on a connection of its own, within a deadline. Redirects are not followed.

use super::backoff;
use crate::config::{self, Url};
use crate::scalar::tls;
use axum::body::Body;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// How long a request may take: finding the name, connecting, TLS and the answer's head.
pub const DEADLINE: Duration = Duration::from_secs(10);
const AGENT: &str = concat!("stillpoint/", env!("CARGO_PKG_VERSION"));

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 2xx.
    Taken,
    /// 410: the receiver does not want it any more.
    Gone,
    /// Another 4xx: it does not take this one, others it may.
    Refused(String),
    /// It takes nothing now; it may say after what time to come again.
    Failed(String, Option<Duration>),
}

/// The way to one receiver.
pub struct Sender {
    url: Url,
    ca_file: Option<PathBuf>,
    /// Kept while all goes well, read anew after a failure.
    tls: Option<Arc<ClientConfig>>,
}

impl Sender {
    #[must_use]
    pub const fn new(url: Url, ca_file: Option<PathBuf>) -> Self {
        Self { url, ca_file, tls: None }
    }

    /// Sends one request, and waits for its answer's head. No answer repeats path or query, which may be secret.
    pub async fn send(&mut self, method: Method, headers: HeaderMap, body: String) -> Answer {
        let answer = match tokio::time::timeout(DEADLINE, self.exchange(method, headers, body)).await {
            Ok(Ok(response)) => judged(&response),
            Ok(Err(why)) => Answer::Failed(why, None),
            Err(_) => Answer::Failed(format!("no answer within {} s", DEADLINE.as_secs()), None),
        };
        if matches!(answer, Answer::Failed(..)) {
            self.tls = None;
        }
        answer
    }

    async fn exchange(
        &mut self,
        method: Method,
        headers: HeaderMap,
        body: String,
    ) -> Result<Response<hyper::body::Incoming>, String> {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.url.path().parse().map_err(|_| "its path cannot be asked for".to_owned())?;
        *request.headers_mut() = headers;
        let host = HeaderValue::from_str(self.url.authority()).map_err(|_| "its host cannot be named".to_owned())?;
        for (name, value) in [
            (HOST, host),
            (USER_AGENT, HeaderValue::from_static(AGENT)),
            (CONNECTION, HeaderValue::from_static("close")),
        ] {
            request.headers_mut().insert(name, value);
        }
        let (host, port) = (self.url.host().to_owned(), self.url.port());
        let stream = TcpStream::connect((host.as_str(), port)).await;
        let stream = stream.map_err(|error| format!("cannot connect to {}: {error}", self.url.authority()))?;
        // What is sent is small and at once.
        let _ = stream.set_nodelay(true);
        if !self.url.is_secure() {
            return converse(stream, request).await;
        }
        let name = ServerName::try_from(host.clone()).map_err(|_| format!("{host} cannot be a certificate's name"))?;
        let connector = TlsConnector::from(self.tls().await?);
        let secured = connector.connect(name, stream).await;
        let secured = secured.map_err(|error| tls::handshake_problem(&error, self.url.authority(), &host))?;
        converse(secured, request).await
    }

    /// Reads the roots, on a thread that may block.
    async fn tls(&mut self) -> Result<Arc<ClientConfig>, String> {
        if let Some(tls) = &self.tls {
            return Ok(tls.clone());
        }
        let settings = config::Tls { ca_file: self.ca_file.clone(), ..config::Tls::default() };
        let read = tokio::task::spawn_blocking(move || tls::client_config(&settings)).await;
        let config = Arc::new(read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?);
        self.tls = Some(config.clone());
        Ok(config)
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> Result<Response<hyper::body::Incoming>, String> {
    let failed = |error: hyper::Error| format!("the request failed: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(sender.send_request(request));
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The answer may have come with the connection's end, and is there then.
        _ = &mut connection => answer.await,
    }
    .map_err(failed)
}

fn judged<B>(response: &Response<B>) -> Answer {
    let status = response.status();
    let why = format!("it answered {}", status.as_u16());
    if status.is_success() {
        return Answer::Taken;
    }
    let busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    if status == StatusCode::GONE {
        Answer::Gone
    } else if status.is_client_error() && !busy.contains(&status) {
        Answer::Refused(why)
    } else {
        let after = response.headers().get(RETRY_AFTER).and_then(|value| backoff::asked(value.to_str().ok()?));
        Answer::Failed(why, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Answer {
        judged(&Response::builder().status(status).body(()).unwrap())
    }

    #[test]
    fn an_answer_says_whether_to_come_again() {
        assert_eq!((answered(200), answered(202), answered(204)), (Answer::Taken, Answer::Taken, Answer::Taken));
        assert_eq!(answered(410), Answer::Gone);
        for status in [400, 401, 403, 404, 413, 422] {
            assert!(matches!(answered(status), Answer::Refused(_)), "{status}");
        }
        for status in [301, 302, 307, 408, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(answered(status), Answer::Failed(_, None)), "{status}");
        }
        let busy = Response::builder().status(429).header("Retry-After", "7").body(()).unwrap();
        assert!(matches!(judged(&busy), Answer::Failed(_, Some(after)) if after == Duration::from_secs(7)));
    }
}
