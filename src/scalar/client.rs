//! The admin client of one member: one request, one answer, no retries.

use super::answer::{Answer, FailureKind};
use super::dial::{Dialer, Forwarded};
use super::guard::Connections;
use super::rpc::PauseRequest;
use super::rpc::admin_client::AdminClient as Rpc;
use super::status::{self, Asked, Request};
use super::tls::{ClientTls, TlsError};
use crate::config::{self, Connect, Source};
use crate::domain::{Member, Product};
use crate::kubernetes::{Forward, Kubernetes};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

/// No answer of the admin interface is anywhere near this many bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// What HTTP/2 flow control lets a member send unasked; the smallest that the protocol starts with.
const WINDOW_BYTES: u32 = 65_535;

/// What the members of one cluster have in common: product, TLS, and the way there. Its files are read once, when it is
/// made.
#[derive(Clone)]
pub struct Connector {
    product: Product,
    tls: Option<ClientTls>,
    forward: Option<Forward>,
}

impl Connector {
    /// Reads the cluster's PEM files. `kubernetes` forwards the ports of a cluster that asks for that.
    ///
    /// # Errors
    /// A file that is missing, is not PEM or doesn't fit; the sentence names it.
    pub fn new(cluster: &config::Cluster, kubernetes: &Kubernetes) -> Result<Self, TlsError> {
        let tls = cluster.tls.as_ref().map(ClientTls::load).transpose()?;
        let forward = match &cluster.source {
            Source::Kubernetes(source) if source.connect == Connect::PortForward => {
                Some(Forward::new(kubernetes.clone(), source.namespace.clone()))
            }
            _ => None,
        };
        Ok(Self { product: cluster.product, tls, forward })
    }

    /// Without TLS, at the members' addresses.
    #[must_use]
    pub const fn plaintext(product: Product) -> Self {
        Self { product, tls: None, forward: None }
    }

    /// What the cluster runs.
    #[must_use]
    pub const fn product(&self) -> Product {
        self.product
    }

    /// The client of a member. It connects with its first request ([`AdminClient::check_paused`] warms it), and
    /// again by itself when the connection was lost. Must be called within a tokio runtime.
    ///
    /// A certificate has to carry the configured server name, or else the host in the member's name
    /// (SRV: its target; a plain address: that host).
    #[must_use]
    pub fn client(&self, member: &Member) -> AdminClient {
        let host = tls_host(member);
        let tls_name = self.tls.as_ref().and_then(|tls| tls.server_name.clone()).unwrap_or(host);
        // A member that is only an address has no pod to forward to.
        let way = self.forward.clone().zip(member.pod.clone());
        let forwarded = way.map(|(by, pod)| Forwarded { by, pod, name: member.name.clone() });
        let dialer = Dialer { address: member.address.clone(), tls_name, tls: self.tls.clone(), forwarded };
        let line = Mutex::new(Line::open(&dialer));
        AdminClient { dialer, line, answered: AtomicBool::new(false) }
    }
}

/// The admin interface of one member. Cheap to call from several tasks at once; dropping it closes the connection
/// when the last answer is in.
pub struct AdminClient {
    dialer: Dialer,
    line: Mutex<Line>,
    /// Whether this member ever answered: if not, a lost plaintext connection may mean that it expects TLS.
    answered: AtomicBool,
}

impl AdminClient {
    /// `host:port` as it is dialled.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.dialer.address
    }

    /// Closes the member and waits until its open transactions have ended, for at most `drain` (at least 1 ms is
    /// sent, because 0 means 30 s to older servers). `deadline` bounds the call and should be the longer one:
    /// the server goes on after it. It takes the connection of the request before it: if that is lost, nothing is sent.
    pub async fn pause(&self, drain: Duration, deadline: Duration) -> Answer {
        let limit_ms = i64::try_from(drain.as_millis()).unwrap_or(i64::MAX).max(1);
        let message = PauseRequest { wait_outstanding: true, max_pause_wait_time: Some(limit_ms) };
        self.bounded(Request::Pause, true, deadline, async move |mut rpc| rpc.pause(timed(message, deadline)).await)
            .await
            .map_or_else(|failed| failed, |_| Answer::Ok)
    }

    /// Opens the member; acknowledged too when it was open.
    pub async fn unpause(&self, deadline: Duration) -> Answer {
        self.bounded(Request::Unpause, false, deadline, async move |mut rpc| rpc.unpause(timed((), deadline)).await)
            .await
            .map_or_else(|failed| failed, |_| Answer::Ok)
    }

    /// Asks the member whether it is closed.
    pub async fn check_paused(&self, deadline: Duration) -> Answer {
        self.look(false, deadline).await
    }

    /// The same over the connection of the request before it: if that is lost, nothing is sent.
    pub async fn check_paused_on_this_line(&self, deadline: Duration) -> Answer {
        self.look(true, deadline).await
    }

    async fn look(&self, sealed: bool, deadline: Duration) -> Answer {
        let call = async move |mut rpc: Rpc<Channel>| rpc.check_paused(timed((), deadline)).await;
        self.bounded(Request::CheckPaused, sealed, deadline, call)
            .await
            .map_or_else(|failed| failed, |answer| Answer::Looked { paused: answer.into_inner().paused })
    }

    /// Requests from now on take a new connection; those under way keep theirs. Call it before the retry of a request
    /// that was not answered: a black-holed connection looks healthy for long.
    pub fn reconnect(&self) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Line::open(&self.dialer);
    }

    async fn bounded<T>(
        &self,
        request: Request,
        sealed: bool,
        deadline: Duration,
        call: impl AsyncFnOnce(Rpc<Channel>) -> Result<T, Status>,
    ) -> Result<T, Answer> {
        let address = self.address();
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let rpc = Rpc::new(line.channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        line.connections.seal(sealed);
        let answered = tokio::time::timeout(deadline, call(rpc)).await;
        line.connections.seal(false);
        match answered {
            Ok(Ok(answer)) => {
                self.answered.store(true, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(status)) => {
                let plaintext_unproven = self.dialer.tls.is_none() && !self.answered.load(Ordering::Relaxed);
                let refused = line.connections.all_refused();
                let refused = refused.as_deref();
                Err(status::answer(request, &status, &Asked { address, deadline, plaintext_unproven, refused }))
            }
            Err(_) => Err(Answer::failed(FailureKind::Unknown, status::no_answer(address, deadline))),
        }
    }
}

/// With `grpc-timeout`, so that the server too may stop caring.
fn timed<T>(message: T, deadline: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(deadline);
    request
}

/// A channel, which makes one connection after the other, and the count of those.
#[derive(Clone)]
struct Line {
    channel: Channel,
    connections: Arc<Connections>,
}

impl Line {
    fn open(dialer: &Dialer) -> Self {
        // The dialer knows the address; this one only has to be a URI without TLS of tonic's own.
        let mut endpoint = Endpoint::from_static("http://member.invalid")
            .buffer_size(16)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        if let Some(origin) = origin(dialer) {
            endpoint = endpoint.origin(origin);
        }
        let connections = Arc::new(Connections::default());
        let (dialer, counted) = (dialer.clone(), connections.clone());
        let dial = tower::service_fn(move |_: Uri| dialer.clone().dial(counted.clone()));
        Self { channel: endpoint.connect_with_connector_lazy(dial), connections }
    }
}

/// What `:scheme` and `:authority` say; none for an address that no dial will accept either.
fn origin(dialer: &Dialer) -> Option<Uri> {
    let port = dialer.address.rsplit_once(':')?.1;
    match &dialer.tls {
        None => format!("http://{}", dialer.address).parse().ok(),
        Some(_) if dialer.tls_name.contains(':') => format!("https://[{}]:{port}", dialer.tls_name).parse().ok(),
        Some(_) => format!("https://{}:{port}", dialer.tls_name).parse().ok(),
    }
}

/// The host in the member's name when that is `host:port` with the address's port (of `target@ip:port`, discovery's
/// name for one of several addresses, the target), else the host in its address.
fn tls_host(member: &Member) -> String {
    let split = |text: &str| text.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned()));
    let dialled = split(&member.address);
    let host = match (split(&member.name), dialled) {
        (Some((name, port)), Some((_, dialled_port))) if port == dialled_port => {
            name.split_once('@').map_or(name.clone(), |(target, _)| target.to_owned())
        }
        (_, Some((host, _))) => host,
        (_, None) => member.address.clone(),
    };
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}
