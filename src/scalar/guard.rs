//! Tells a TLS handshake that the member refused from a connection that was lost.
//!
//! In TLS 1.3 the client is done first: the member's refusal (an alert) may cross our first request, which the member
//! then never decrypts. Whether hyper meets the alert, a broken pipe or a closed connection is a matter of luck, so
//! the alert is caught here, at the stream, and its connection counted as refused.

use super::dial::Stream;
use super::tls::refusal;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::Error;

/// The connections that one channel has made so far.
#[derive(Debug, Default)]
pub(super) struct Connections {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    made: u64,
    refused: u64,
    reason: String,
    /// No further connection is to be made.
    sealed: bool,
}

impl Connections {
    /// One more was made: requests may leave by it.
    pub(super) fn made(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).made += 1;
    }

    /// While it is sealed, no new connection is made in place of a lost one: the address may lead to another process by
    /// now than the one that was looked at.
    pub(super) fn seal(&self, sealed: bool) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).sealed = sealed;
    }

    /// Whether a new connection would stand in for a lost one although none may.
    pub(super) fn closed_to_more(&self) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.sealed && counts.made > 0
    }

    fn refused(&self, reason: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.refused += 1;
        reason.clone_into(&mut counts.reason);
    }

    /// Why the member refused the handshake, if it refused every connection of this channel: only then is it certain
    /// that a request which left by one of them was not read.
    pub(super) fn all_refused(&self) -> Option<String> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        (counts.made > 0 && counts.made == counts.refused).then(|| counts.reason.clone())
    }
}

/// A TLS stream until the member has said its first word, and after.
pub(super) struct Guarded {
    stream: TlsStream<Box<dyn Stream>>,
    connections: Arc<Connections>,
    /// The member said something, or refused: nothing more to learn.
    settled: bool,
    /// A write failed before the member said anything; what it said last is still to be read.
    write_failed: Option<io::Error>,
}

impl Guarded {
    pub(super) const fn new(stream: TlsStream<Box<dyn Stream>>, connections: Arc<Connections>) -> Self {
        Self { stream, connections, settled: false, write_failed: None }
    }

    fn judge(&mut self, error: &io::Error) -> bool {
        let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).and_then(|error| match error {
            Error::AlertReceived(alert) => refusal(*alert),
            _ => None,
        });
        if let Some(reason) = alert {
            self.settled = true;
            self.connections.refused(reason);
        }
        alert.is_some()
    }

    /// A write that failed may have met a connection whose alert lies unread in the kernel, or of which the reactor
    /// has not told yet: it fails when the reading side has spoken, which a broken connection soon does.
    fn written<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let error = match result {
            Poll::Ready(Err(error)) if !self.settled => error,
            other => return other,
        };
        let mut space = [0; 64];
        let mut buffer = ReadBuf::new(&mut space);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => {
                self.write_failed = Some(error);
                Poll::Pending
            }
            Poll::Ready(Err(last)) if self.judge(&last) => Poll::Ready(Err(last)),
            Poll::Ready(_) => {
                self.settled = true;
                Poll::Ready(Err(error))
            }
        }
    }

    /// The write that failed before, as if it failed now.
    fn failed_before<T>(&mut self) -> Option<Poll<io::Result<T>>> {
        self.write_failed.take().map(|error| Poll::Ready(Err(error)))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if !self.settled {
            match &result {
                Poll::Ready(Err(error)) => {
                    self.judge(error);
                }
                Poll::Ready(Ok(())) => self.settled = buffer.filled().len() > before,
                Poll::Pending => {}
            }
        }
        result
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = match self.failed_before() {
            Some(failed) => failed,
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        };
        self.written(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = match self.failed_before() {
            Some(failed) => failed,
            None => Pin::new(&mut self.stream).poll_flush(cx),
        };
        self.written(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = match self.failed_before() {
            Some(failed) => failed,
            None => Pin::new(&mut self.stream).poll_shutdown(cx),
        };
        self.written(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_when_every_connection_was_refused_is_it_certain() {
        let connections = Connections::default();
        assert_eq!(connections.all_refused(), None);
        connections.made();
        assert_eq!(connections.all_refused(), None);
        connections.refused("no");
        assert_eq!(connections.all_refused().as_deref(), Some("no"));
        connections.made();
        assert_eq!(connections.all_refused(), None);
    }
}
