//! A stand-in member on a loopback address: a gate behind the real protocol, with faults to order.

#![allow(clippy::disallowed_methods, reason = "a stand-in is a process of its own, with its own clock")]

use super::gate::{Entry, Flavour};
use super::server::Service;
use super::shared::{Shared, lock};
use super::wire::{self, Fate};
use crate::scalar::rpc::admin_server::AdminServer;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

/// What a member was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `Pause`.
    Pause {
        /// Whether to wait for the outstanding transactions.
        wait_outstanding: bool,
        /// `max_pause_wait_time`, in milliseconds.
        limit_ms: Option<i64>,
    },
    /// `Unpause`.
    Unpause,
    /// `CheckPaused`.
    CheckPaused,
}

/// One request as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// When, on the monotonic clock.
    pub at: Instant,
    /// In which of the member's lives: 0 from its first start, one more with every restart.
    pub life: u64,
    /// What.
    pub request: Request,
}

/// A TLS server's certificate, as PEM texts.
#[derive(Debug, Clone)]
pub struct SimTls {
    /// The server's certificate chain.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// Set: clients must show a certificate of this CA.
    pub client_ca: Option<String>,
}

/// A stand-in member. Dropping it stops it as a killed process stops.
pub struct SimMember {
    address: SocketAddr,
    tls: Option<SimTls>,
    shared: Arc<Shared>,
    fate: Mutex<watch::Sender<Fate>>,
}

impl SimMember {
    /// Starts a member with an open gate on `address` (port 0: any). Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be listened on, or the certificate is unusable.
    pub fn start(address: SocketAddr, flavour: Flavour, tls: Option<SimTls>) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(flavour));
        let (address, fate) = serve(address, tls.as_ref(), &shared)?;
        Ok(Self { address, tls, shared, fate: Mutex::new(fate) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Dies as by SIGKILL: every connection is cut, what it was doing is forgotten, its gate's state is lost.
    pub fn stop(&self) {
        lock(&self.fate).send_modify(|fate| fate.cut = true);
        self.shared.end_life();
    }

    /// Starts again on the same address after [`SimMember::stop`], or dies and starts: open.
    ///
    /// # Errors
    /// The address was taken by someone else meanwhile.
    pub async fn restart(&self) -> io::Result<()> {
        self.stop();
        let give_up = crate::clock::instant() + Duration::from_secs(5);
        loop {
            match serve(self.address, self.tls.as_ref(), &self.shared) {
                Ok((_, fate)) => {
                    *lock(&self.fate) = fate;
                    return Ok(());
                }
                // The old listener is closed by its task, a moment after it was told.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && crate::clock::instant() < give_up => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether its gate is closed, without asking over the network.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.shared.is_paused()
    }

    /// How many transactions are running.
    #[must_use]
    pub fn outstanding(&self) -> u32 {
        self.shared.state().gate.outstanding()
    }

    /// Every request since it was made, or the last 4,096 of them, in the order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().calls.iter().copied().collect()
    }

    /// A transaction that runs until the guard is dropped; none when the gate is closed.
    #[must_use]
    pub fn begin_transaction(&self) -> Option<Transaction> {
        let mut state = self.shared.state();
        if state.gate.paused() || state.gate.begin() != Entry::Admitted {
            return None;
        }
        Some(Transaction::new(self.shared.clone(), state.life))
    }

    /// Runs one transaction of that length, after waiting for the gate where it makes transactions wait.
    /// False: it was refused, or the member died under it.
    pub async fn transact(&self, lasting: Duration) -> bool {
        self.shared.transact(lasting).await
    }

    /// A load of that many clients, each running one transaction of that length after the other until the load is
    /// dropped; a refused client comes back after as long.
    #[must_use]
    pub fn load(&self, clients: usize, lasting: Duration) -> Load {
        let committed = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let tasks = (0..clients).map(|_| {
            let (shared, committed) = (self.shared.clone(), committed.clone());
            tokio::spawn(async move {
                loop {
                    if shared.transact(lasting).await {
                        committed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    } else {
                        tokio::time::sleep(lasting.max(Duration::from_millis(1))).await;
                    }
                }
            })
        });
        let tasks = tasks.collect();
        Load { tasks, committed }
    }

    /// Requests are taken, and neither executed nor answered until [`SimMember::release`]; then they are executed,
    /// whether or not their clients have given up: a stopped process that goes on.
    pub fn hang(&self) {
        self.shared.hanging.send_replace(true);
    }

    /// Ends [`SimMember::hang`].
    pub fn release(&self) {
        self.shared.hanging.send_replace(false);
    }

    /// The next `times` unpause requests are answered `UNAVAILABLE`.
    pub fn refuse_unpause(&self, times: u32) {
        self.shared.state().refusals = times;
    }

    /// The next `times` requests are executed, and their answers lost.
    pub fn lose_answers(&self, times: u32) {
        self.shared.state().lost_answers = times;
    }

    /// Every request waits this long before it is executed.
    pub fn delay(&self, by: Duration) {
        self.shared.state().delay = by;
    }

    /// The connections that exist carry nothing any more, in silence; new ones work.
    pub fn black_hole(&self) {
        lock(&self.fate).send_modify(|fate| fate.dark_below = fate.next);
    }
}

impl Drop for SimMember {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A running transaction; it ends when this is dropped.
pub struct Transaction {
    shared: Arc<Shared>,
    life: u64,
}

impl Transaction {
    pub(super) const fn new(shared: Arc<Shared>, life: u64) -> Self {
        Self { shared, life }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.shared.end(self.life);
    }
}

/// Clients at work; dropping it stops them.
pub struct Load {
    tasks: Vec<tokio::task::JoinHandle<()>>,
    committed: Arc<std::sync::atomic::AtomicU64>,
}

impl Load {
    /// How many transactions have ended so far.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Serves the shared gate on the address until its fate is to be cut.
fn serve(
    address: SocketAddr,
    tls: Option<&SimTls>,
    shared: &Arc<Shared>,
) -> io::Result<(SocketAddr, watch::Sender<Fate>)> {
    let mut server = Server::builder();
    if let Some(tls) = tls {
        let mut config = ServerTlsConfig::new().identity(Identity::from_pem(&tls.certificate, &tls.key));
        if let Some(ca) = &tls.client_ca {
            config = config.client_ca_root(Certificate::from_pem(ca));
        }
        server = server.tls_config(config).map_err(io::Error::other)?;
    }
    let listener = wire::listen(address)?;
    let address = listener.local_addr()?;
    let fate = watch::Sender::new(Fate::new());
    let (taken, connections) = mpsc::channel(8);
    tokio::spawn(wire::accept(listener, fate.clone(), taken));
    let service = Service { shared: shared.clone(), life: shared.life() };
    let router = server.add_service(AdminServer::new(service));
    // It ends when the accepting task has: then its connections are cut as well.
    tokio::spawn(router.serve_with_incoming(ReceiverStream::new(connections)));
    Ok((address, fate))
}
