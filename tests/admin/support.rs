//! Short cuts for the promises in this binary.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use stillpoint::config::{Cluster, Source, Tls};
use stillpoint::domain::{Member, Product};
use stillpoint::kubernetes::Kubernetes;
use stillpoint::scalar::rpc::PauseRequest;
use stillpoint::scalar::rpc::admin_client::AdminClient as RawClient;
use stillpoint::scalar::{AdminClient, Answer, Connector, FailureKind};
use stillpoint::sim::{Flavour, Request, SimMember};

/// Long enough for anything that works, on a busy machine.
pub const LONG: Duration = Duration::from_secs(10);

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn cluster(source: Source, tls: Option<Tls>) -> Cluster {
    Cluster { name: "orders".to_owned(), product: Product::ScalardlLedger, stage: 0, source, tls }
}

pub fn connector(tls: Option<Tls>) -> Connector {
    Connector::new(&cluster(Source::Addresses(Vec::new()), tls), &Kubernetes::new()).expect("usable TLS settings")
}

pub fn member_at(address: impl ToString) -> Member {
    let address = address.to_string();
    Member { cluster: "orders".to_owned(), name: address.clone(), address, stage: 0, pod: None }
}

pub fn client_of(address: impl ToString) -> AdminClient {
    connector(None).client(&member_at(address))
}

pub fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub fn start(flavour: Flavour) -> (SimMember, AdminClient) {
    let member = SimMember::start(any_port(), flavour, None).expect("a member on loopback");
    let client = client_of(member.address());
    (member, client)
}

/// An address on loopback that nobody listens on.
pub fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind(any_port()).expect("a free port");
    listener.local_addr().expect("its address")
}

pub const CLOSED: Answer = Answer::Looked { paused: true };
pub const OPEN: Answer = Answer::Looked { paused: false };

pub fn kind(answer: &Answer) -> FailureKind {
    answer.failure().unwrap_or_else(|| panic!("{answer:?} is no failure")).kind
}

pub fn detail(answer: &Answer) -> &str {
    &answer.failure().unwrap_or_else(|| panic!("{answer:?} is no failure")).detail
}

/// Asks until it is true.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < give_up, "waited {LONG:?} for {what}");
        tokio::time::sleep(ms(2)).await;
    }
}

/// A pause that runs beside the test, once its member has it.
pub async fn pause_beside(member: &SimMember, drain: Duration, deadline: Duration) -> tokio::task::JoinHandle<Answer> {
    let client = client_of(member.address());
    let before = member.calls().len();
    let task = tokio::spawn(async move { client.pause(drain, deadline).await });
    until("the pause to arrive", || member.calls().len() > before).await;
    task
}

/// A pause as our client never sends it.
pub async fn raw_pause(member: &SimMember, wait_outstanding: bool, limit_ms: Option<i64>) -> Result<(), tonic::Status> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", member.address()))
        .expect("an address")
        .connect_lazy();
    let request = PauseRequest { wait_outstanding, max_pause_wait_time: limit_ms };
    let call = async move { RawClient::new(channel).pause(request).await };
    tokio::time::timeout(LONG, call).await.expect("an answer").map(|_| ())
}

/// How often each kind of request arrived.
pub fn counted(member: &SimMember) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for call in member.calls() {
        let name = match call.request {
            Request::Pause { .. } => "pause",
            Request::Unpause => "unpause",
            Request::CheckPaused => "check",
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}
