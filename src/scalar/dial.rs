//! One connection to one member: TCP with bounds on silence or a forwarded port, then TLS, with one deadline over all.

use super::guard::{Connections, Guarded};
use super::tls::{ClientTls, handshake_problem};
use crate::domain::Pod;
use crate::kubernetes::Forward;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::pki_types::ServerName;
use tower::Service;

/// How long a connection may take, TLS included. Shorter than any request's deadline that matters, so that
/// "it never connected" is told apart from "it never answered".
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long bytes may stay unacknowledged by the member's kernel before the connection is given up: a request must
/// not lie in the kernel of a black-holed connection and arrive long after its deadline.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

/// No connection came about, so that no request has left. Its text is for people.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(super) struct DialError {
    sentence: String,
}

impl DialError {
    pub(super) const fn new(sentence: String) -> Self {
        Self { sentence }
    }
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Knows how to reach one member.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) address: String,
    /// The name that the certificate must carry; unused without TLS.
    pub(super) tls_name: String,
    pub(super) tls: Option<ClientTls>,
    /// Set: it is reached through Kubernetes, not at its address.
    pub(super) forwarded: Option<Forwarded>,
}

/// A port of a pod that Kubernetes forwards.
#[derive(Clone)]
pub(super) struct Forwarded {
    pub(super) by: Forward,
    pub(super) pod: Pod,
    pub(super) name: String,
}

impl Dialer {
    /// A connected stream, or why there is none, within [`CONNECT_TIMEOUT`].
    pub(super) async fn dial(self, connections: Arc<Connections>) -> Result<TokioIo<Box<dyn Stream>>, DialError> {
        if connections.closed_to_more() {
            return Err(DialError::new(format!("the connection to {} was lost just before the pause", self.address)));
        }
        match tokio::time::timeout(CONNECT_TIMEOUT, self.connect(&connections)).await {
            Ok(Ok(stream)) => {
                connections.made();
                Ok(TokioIo::new(stream))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(DialError::new(format!("{} could not be reached within {CONNECT_TIMEOUT:?}", self.address))),
        }
    }

    async fn connect(&self, connections: &Arc<Connections>) -> Result<Box<dyn Stream>, DialError> {
        let stream = match &self.forwarded {
            Some(forwarded) => self.forward(forwarded).await?,
            None => self.tcp().await?,
        };
        let Some(tls) = &self.tls else { return Ok(stream) };
        let name = ServerName::try_from(self.tls_name.clone())
            .map_err(|_| DialError::new(format!("{} is not a name that a certificate can carry", self.tls_name)))?;
        let stream = tls
            .connector
            .connect(name, stream)
            .await
            .map_err(|error| DialError::new(handshake_problem(&error, &self.address, &self.tls_name)))?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Ok(Box::new(Guarded::new(stream, connections.clone()))),
            _ => Err(DialError::new(format!("{} offers no HTTP/2 over TLS", self.address))),
        }
    }

    async fn tcp(&self) -> Result<Box<dyn Stream>, DialError> {
        let uri = format!("http://{}", self.address).parse().map_err(|_| self.no_address())?;
        let tcp = connector().call(uri).await;
        let tcp = tcp.map_err(|error| DialError::new(tcp_problem(&error, &self.address)))?;
        Ok(Box::new(tcp.into_inner()))
    }

    async fn forward(&self, Forwarded { by, pod, name }: &Forwarded) -> Result<Box<dyn Stream>, DialError> {
        let port = self.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port = port.ok_or_else(|| self.no_address())?;
        Ok(Box::new(by.open(pod, name, port).await.map_err(DialError::new)?))
    }

    fn no_address(&self) -> DialError {
        DialError::new(format!("{} is not host:port", self.address))
    }
}

/// Liveness is asked of the kernels, by TCP keepalive, and not by HTTP/2 pings: measured on ScalarDB Server 3.13.6
/// (grpc-java's default policy), a client that pings every 5 s loses its connection after 20 s, so that a drain longer
/// than that would end with an unknown outcome and every warm channel would be cold again. A peer that vanished is
/// noticed within 8 s; one whose kernel lives and whose process hangs, by the requests' deadlines.
fn connector() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_tcp_user_timeout(Some(USER_TIMEOUT));
    tcp.set_keepalive(Some(Duration::from_secs(5)));
    tcp.set_keepalive_interval(Some(Duration::from_secs(1)));
    tcp.set_keepalive_retries(Some(3));
    tcp
}

fn tcp_problem(error: &(dyn Error + 'static), address: &str) -> String {
    let mut deepest = error;
    let mut resolving = false;
    while let Some(source) = deepest.source() {
        resolving |= deepest.to_string().contains("dns error");
        deepest = source;
    }
    let kind = deepest.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    match kind {
        _ if resolving => format!("the host name of {address} cannot be resolved: {deepest}"),
        Some(ErrorKind::ConnectionRefused) => format!("connection refused by {address}"),
        Some(ErrorKind::HostUnreachable) => format!("no route to {address}"),
        Some(ErrorKind::NetworkUnreachable) => format!("the network of {address} is unreachable"),
        Some(ErrorKind::TimedOut) => format!("{address} could not be reached: timed out"),
        _ => format!("cannot connect to {address}: {deepest}"),
    }
}
